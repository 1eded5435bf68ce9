//! All memory and the controller's registers, but for what a session and its
//! program may change.

use addr::{PAGE, Phys};
use archive::Archive;
use dsp_abi::control::PEER_TABLES_PAGE;
use dsp_abi::mailbox::DSP_PAGE;
use object::{Object, ObjectSegment, SegmentFlags};
use qemu::{Error, Memory, RAM, Running};
use std::collections::BTreeSet;
use std::ops::Range;

use crate::Bad;
use crate::run::session::{Session, page};
use crate::run::stage::{Built, Stop};

/// Bytes of the controller's registers.
const REGISTERS: usize = 0x4000;
/// Registers of the SMMU: how it works, where its tables and queues are, and how
/// far it is in them (IHI 0070 6.3). It minds being read by more than words.
const SMMU: [u64; 14] =
    [0x20, 0x24, 0x50, 0x60, 0x64, 0x80, 0x84, 0x88, 0x90, 0x94, 0x98, 0x9C, 0xA0, 0xA4];
/// USBSTS, and in it EINT: an event came for some interrupter (xHCI 5.4.2).
const USBSTS: usize = 0x44;
const EINT: u32 = 1 << 3;
/// The runtime registers: MFINDEX first, then the interrupters' (xHCI 5.5).
const RUNTIME: usize = 0x1000;
const INTERRUPTER: usize = 0x20;
/// An endpoint's context has its dequeue pointer in the third and fourth word;
/// the controller keeps it there (xHCI 6.2.3).
const CONTEXT: usize = 32;
const DEQUEUE: Range<usize> = 8..16;

/// What was outside at one time.
pub(super) struct Outside {
    memory: Vec<u8>,
    registers: Vec<u8>,
    smmu: Vec<u32>,
}

/// What the session and its program may change.
pub(super) struct Own<'b> {
    built: &'b Built,
    session: Session,
    pages: BTreeSet<Phys>,
}

impl Outside {
    pub(super) fn take(machine: &mut Running, built: &Built) -> Result<Self, Stop> {
        let controller = built.image.app.peripheral("xhci0");
        let controller = controller.ok_or_else(|| Bad("the chip has no xhci0".to_owned()))?;
        let smmu =
            SMMU.into_iter().map(|offset| machine.bus()?.read(built.places.smmu.plus(offset)));
        Ok(Self {
            smmu: smmu.collect::<Result<_, _>>()?,
            registers: machine.device_block(controller.address, REGISTERS)?,
            memory: machine.memory.all()?,
        })
    }

    /// What another is otherwise than this one, but for what is the session's.
    pub(super) fn changes(&self, now: &Self, own: &Own<'_>) -> Vec<String> {
        let mut changes = Vec::new();
        let size = PAGE as usize;
        for (n, (was, is)) in self.memory.chunks(size).zip(now.memory.chunks(size)).enumerate() {
            let at = RAM.plus((n * size) as u64);
            if was != is && !own.pages.contains(&at) && !own.is_dequeue_pointer(at, was, is) {
                let first = was.iter().zip(is).position(|(was, is)| was != is);
                changes.push(format!("memory at {:#x} changed", at.0 + first.unwrap_or(0) as u64));
            }
        }
        for (offset, was, is) in words(&self.registers, &now.registers) {
            if !own.is_register(offset, was, is) {
                changes.push(format!("the controller's register {offset:#x}: {was:#x}, {is:#x}"));
            }
        }
        for (offset, (was, is)) in SMMU.iter().zip(self.smmu.iter().zip(&now.smmu)) {
            if was != is {
                changes.push(format!("the SMMU's register {offset:#x}: {was:#x}, {is:#x}"));
            }
        }
        changes
    }
}

/// Words that are not the same, and where.
fn words<'a>(was: &'a [u8], is: &'a [u8]) -> impl Iterator<Item = (usize, u32, u32)> + 'a {
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
    let both = was.chunks(4).zip(is.chunks(4)).enumerate();
    both.map(move |(n, (was, is))| (n * 4, word(was), word(is))).filter(|(_, was, is)| was != is)
}

impl<'b> Own<'b> {
    pub(super) fn of(built: &'b Built, memory: &Memory, session: Session) -> Result<Self, Stop> {
        let mut own = Self { built, session, pages: BTreeSet::new() };
        own.pages.insert(page(session.gate.event_ring));
        let rings = session.rings().flat_map(|ring| [page(ring.real), page(ring.shadow)]);
        own.pages.extend(rings);
        own.pages.extend(buffer(built, memory, &session)?);
        // What the monitor says, and its mail.
        own.pages.insert(pool(built, "answers")?);
        own.pages.insert(pool(built, "mailbox")?.plus(u64::from(DSP_PAGE) * u64::from(PAGE)));
        for ram in core1(built)? {
            own.pages.extend(ram.step_by(PAGE as usize).map(Phys));
        }
        Ok(own)
    }

    /// Whether all that changed on a page is where in its own ring the controller
    /// is with the session's endpoint.
    fn is_dequeue_pointer(&self, at: Phys, was: &[u8], is: &[u8]) -> bool {
        let contexts = pool(self.built, "dma_xhci").unwrap_or_default();
        let pages = self.built.image.app.pool("dma_xhci").map_or(0, |pool| pool.pages);
        let inside = at.offset_from(contexts).is_some_and(|o| o < u64::from(pages * PAGE));
        let in_ring = |context: &[u8]| {
            let at = context[DEQUEUE].try_into().map_or(0, u64::from_le_bytes);
            self.session.rings().any(|ring| at & !0xFFF == u64::from(ring.bus))
        };
        let both = was.chunks(CONTEXT).zip(is.chunks(CONTEXT));
        let mut changed = both.filter(|(was, is)| was != is);
        let one = changed.next();
        let rest = |context: &[u8]| [&context[..DEQUEUE.start], &context[DEQUEUE.end..]].concat();
        inside
            && changed.next().is_none()
            && one.is_some_and(|(was, is)| in_ring(was) && in_ring(is) && rest(was) == rest(is))
    }

    /// Whether a register may have changed so.
    fn is_register(&self, offset: usize, was: u32, is: u32) -> bool {
        let own = RUNTIME + INTERRUPTER * (1 + self.session.gate.interrupter as usize);
        offset == RUNTIME
            || (own..own + INTERRUPTER).contains(&offset)
            || (offset == USBSTS && (was ^ is) == EINT)
    }
}

fn pool(built: &Built, name: &str) -> Result<Phys, Stop> {
    let pool = built.image.app.pool(name);
    Ok(pool.ok_or_else(|| Bad(format!("the image has no pool {name}")))?.base)
}

/// The pages of a session's buffer, as the program's tables have them (ARM ARM
/// B3.5.1).
fn buffer(built: &Built, memory: &Memory, session: &Session) -> Result<Vec<Phys>, Error> {
    let tables = built.places.tables.plus(u64::from(PEER_TABLES_PAGE) * u64::from(PAGE));
    let buffer = session.window.buffer;
    let pages = (buffer.peer / PAGE..).take((buffer.len / PAGE) as usize);
    let entry = |n: u32| memory.word(tables.plus(u64::from(n) * 4));
    pages.map(|n| Ok(page(entry(n)? & !(PAGE - 1)))).collect()
}

/// RAM of the monitor and of the program: it ends where the last of their
/// statics does.
fn core1(built: &Built) -> Result<Vec<Range<u64>>, Stop> {
    let archive = Archive::open(&built.image.archive).map_err(|error| Bad(error.to_string()))?;
    let mut areas = Vec::new();
    for program in archive.core1() {
        let file = object::File::parse(program.elf).map_err(|error| Bad(error.to_string()))?;
        let written = file.segments().filter(|segment| {
            matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. }
                if p_flags.0 & object::elf::PF_W.0 != 0)
        });
        let end = written.map(|segment| segment.address() + segment.size()).max();
        let part = if program.name == "dsp-monitor" { "monitor" } else { "program" };
        let mut usage = built.image.usage.iter();
        let usage = usage.find(|usage| usage.name == format!("core 1: {part}"));
        let (Some(end), Some(usage)) = (end, usage) else {
            return Err(Bad(format!("core 1's {part} has no RAM")).into());
        };
        let end = end.next_multiple_of(u64::from(PAGE));
        areas.push(end - u64::from(usage.ram)..end);
    }
    Ok(areas)
}
