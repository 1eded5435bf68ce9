//! The command queue (IHI 0070 4): consumption, and when commands take effect.
//!
//! An invalidation takes effect somewhere between its consumption and the
//! completion of the next SYNC; chance decides. A SYNC completes only after all
//! before it took effect.

use super::{Smmu, Surroundings, registers};
use crate::memory::Owner;
use crate::trace::Record;
use crate::violations::Violation;
use crate::{Rng, StreamId, Time};

const CFGI_STE: u8 = 0x03;
const CFGI_STE_RANGE: u8 = 0x04;
const CFGI_CD: u8 = 0x05;
const CFGI_CD_ALL: u8 = 0x06;
const TLBI_NH_ALL: u8 = 0x10;
const TLBI_NH_ASID: u8 = 0x11;
const TLBI_NH_VA: u8 = 0x12;
const TLBI_NH_VAA: u8 = 0x13;
const TLBI_NSNH_ALL: u8 = 0x30;
const SYNC: u8 = 0x46;

/// CMDQ_CONS.ERR: the command is illegal.
const CERROR_ILL: u32 = 1;
/// CMDQ_CONS.ERR: the command could not be read.
const CERROR_ABT: u32 = 2;

/// Bytes of a command.
const COMMAND: u64 = 16;
/// Longest time that one command takes; SYNC takes up to [`SYNC_NS`].
const COMMAND_NS: u32 = 300;
const SYNC_NS: u32 = 3_000;
/// Invalidations that can wait for a SYNC; more take effect at once.
const WAITING: usize = 256;

/// What an invalidation forgets.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Forget {
    /// Configurations of streams in this range.
    Streams(u16, u16),
    /// Translations of all kinds.
    Translations,
    /// Translations of one address space that are not global.
    Space(u16),
    /// One page in one address space, or globally.
    Page(u16, u64),
    /// One page in all address spaces.
    PageAnywhere(u64),
}

/// Invalidations that were consumed but need not have taken effect.
#[derive(Debug)]
pub(super) struct Pending(Vec<Forget>);

impl Default for Pending {
    fn default() -> Self {
        Self(Vec::with_capacity(WAITING))
    }
}

impl Smmu {
    /// Brings the SMMU up to the present: acknowledgements, then commands.
    pub(super) fn advance(&mut self, bus: &mut Surroundings<'_>) {
        let was_enabled = self.registers.enabled();
        self.registers.acknowledge(bus.now);
        if self.registers.enabled() && !was_enabled {
            self.speculate(bus);
        }
        while self.registers.commands_running()
            && self.registers.command_due <= bus.now
            && !self.registers.command_queue().empty()
        {
            self.consume(bus);
        }
    }

    fn consume(&mut self, bus: &mut Surroundings<'_>) {
        let queue = self.registers.command_queue();
        let at = queue.base.plus(u64::from(queue.consumer_slot()) * COMMAND);
        let mut bytes = [0; COMMAND as usize];
        if bus.memory.owner(at) != Some(Owner::Tables)
            || bus.memory.device_read(bus.now, at, &mut bytes).is_err()
        {
            bus.violation(Violation::SmmuMisplaced { register: 0x90, at });
            self.stop(bus, CERROR_ABT);
            return;
        }
        let mut words = [0_u32; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes(chunk.try_into().expect("four bytes"));
        }
        bus.trace.record(bus.now, Record::SmmuCommand { words });
        let opcode = words[0] as u8;
        let Some((forget, allowed)) = decode(words) else {
            bus.violation(Violation::SmmuUnknownCommand { opcode });
            self.stop(bus, CERROR_ILL);
            return;
        };
        if words.iter().zip(allowed).any(|(word, allowed)| word & !allowed != 0) {
            bus.violation(Violation::SmmuReservedCommandBits { opcode });
        }
        match forget {
            Some(forget) => {
                if forget == Forget::Streams(0, u16::MAX) {
                    self.registers.emptied[0] = true;
                }
                if opcode == TLBI_NSNH_ALL {
                    self.registers.emptied[1] = true;
                }
                if self.pending.0.len() == WAITING || self.rng.one_in(2) {
                    self.forget(bus, forget);
                } else {
                    self.pending.0.push(forget);
                }
                self.registers.command_due += delay(&mut self.rng, COMMAND_NS);
            }
            None => {
                while let Some(forget) = self.pending.0.pop() {
                    self.forget(bus, forget);
                }
                self.registers.emptied[2] |= self.registers.emptied[0] && self.registers.emptied[1];
                self.registers.command_due += delay(&mut self.rng, SYNC_NS);
            }
        }
        self.registers.command_consumed();
    }

    fn stop(&mut self, bus: &mut Surroundings<'_>, code: u32) {
        self.registers.command_error(code);
        self.global_error(bus, registers::CMDQ_ERR);
    }

    fn forget(&mut self, bus: &mut Surroundings<'_>, forget: Forget) {
        match forget {
            Forget::Streams(first, last) => {
                self.configs.retain(|config| !(first..=last).contains(&config.stream().0));
            }
            Forget::Translations => self.tlb.forget(bus.memory, |_| true),
            Forget::Space(asid) => {
                self.tlb.forget(bus.memory, |entry| entry.space == Some(asid));
            }
            Forget::Page(asid, page) => self.tlb.forget(bus.memory, |entry| {
                entry.page == page && entry.space.is_none_or(|space| space == asid)
            }),
            Forget::PageAnywhere(page) => {
                self.tlb.forget(bus.memory, |entry| entry.page == page);
            }
        }
    }

    /// When it is enabled an SMMU may read entries that nobody asked for.
    fn speculate(&mut self, bus: &mut Surroundings<'_>) {
        for sid in 0..0x20 {
            if self.rng.one_in(4) {
                // Whether the entry is any good shows when it is used.
                let _ = self.config(bus, StreamId(sid));
            }
        }
    }
}

/// What a command forgets (`None` for SYNC), and the bits it may have set;
/// `None` for what is no command of this SMMU.
fn decode(words: [u32; 4]) -> Option<(Option<Forget>, [u32; 4])> {
    let opcode = words[0] as u8;
    let sid = words[1] as u16;
    let asid = (words[1] >> 16) as u16;
    let page = (u64::from(words[2]) | u64::from(words[3]) << 32) >> 12;
    Some(match opcode {
        CFGI_STE => (Some(Forget::Streams(sid, sid)), [0xFF, 0xFFFF, 1, 0]),
        CFGI_STE_RANGE => {
            let range = words[2] & 0x1F;
            let span = if range >= 15 { u16::MAX } else { (2 << range) - 1 };
            (Some(Forget::Streams(sid & !span, sid | span)), [0xFF, 0xFFFF, 0x1F, 0])
        }
        CFGI_CD => (Some(Forget::Streams(sid, sid)), [0xFF, 0xFFFF, 1, 0]),
        CFGI_CD_ALL => (Some(Forget::Streams(sid, sid)), [0xFF, 0xFFFF, 0, 0]),
        TLBI_NH_ALL => (Some(Forget::Translations), [0xFF, 0, 0, 0]),
        TLBI_NH_ASID => (Some(Forget::Space(asid)), [0xFF, 0xFFFF_0000, 0, 0]),
        TLBI_NH_VA => (Some(Forget::Page(asid, page)), [0xFF, 0xFFFF_0000, 0xFFFF_F001, u32::MAX]),
        TLBI_NH_VAA => (Some(Forget::PageAnywhere(page)), [0xFF, 0, 0xFFFF_F001, u32::MAX]),
        TLBI_NSNH_ALL => (Some(Forget::Translations), [0xFF, 0, 0, 0]),
        // Completion signal, shareability and attributes of an MSI that this
        // SMMU does not send: only "no signal" is left.
        SYNC => (None, [0xFF, 0, 0, 0]),
        _ => return None,
    })
}

fn delay(rng: &mut Rng, longest_ns: u32) -> Time {
    Time::ns(u64::from(rng.below(longest_ns)))
}
