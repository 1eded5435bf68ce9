//! The model of an Arm SMMUv3 (IHI 0070), stage 1, as QEMU's `virt` has one.
//!
//! Register level: linear stream table, command and event queue, VMSAv8-64
//! tables with 4 KiB granule, wired interrupts. Where the architecture lets an
//! SMMU choose, the model takes what hurts: it caches stream table entries
//! (invalid ones too), context descriptors and translations for as long as it
//! may, uses a stale one or the new one as chance decides, carries commands out
//! late and not before their SYNC, keeps updates of CR0 waiting, and acts on
//! every rule for tables and registers that a driver could forget.
//!
//! Not modelled, because IDR says so: stage 2, substreams, stalls, PRI, ATS,
//! MSIs of its own, two-level stream tables (the driver has no use for them).

mod commands;
mod registers;
mod tlb;
mod walk;

use crate::events::Events;
use crate::interrupts::{IntId, Interrupts};
use crate::memory::{Memory, Owner, TableWrite};
use crate::points::Points;
use crate::trace::{Record, Trace};
use crate::violations::{Violation, Violations};
use crate::{Layout, StreamId, Time};
use addr::{Bus, PAGE, Phys};
use commands::Pending;
use registers::Registers;
use rng::Rng;
use tlb::Tlb;
use walk::Config;

/// Types of event records (IHI 0070 7.3).
pub mod record {
    /// The stream's number is beyond the stream table.
    pub const C_BAD_STREAMID: u8 = 0x02;
    /// The stream table entry could not be read.
    pub const F_STE_FETCH: u8 = 0x03;
    /// The stream table entry is invalid or wrong.
    pub const C_BAD_STE: u8 = 0x04;
    /// The context descriptor could not be read.
    pub const F_CD_FETCH: u8 = 0x09;
    /// The context descriptor is invalid or wrong.
    pub const C_BAD_CD: u8 = 0x0A;
    /// A table could not be read.
    pub const F_WALK_EABT: u8 = 0x0B;
    /// No translation.
    pub const F_TRANSLATION: u8 = 0x10;
    /// The output address is beyond what is implemented.
    pub const F_ADDR_SIZE: u8 = 0x11;
    /// The access flag is clear.
    pub const F_ACCESS: u8 = 0x12;
    /// The translation does not allow it.
    pub const F_PERMISSION: u8 = 0x13;
}

/// Bytes of one event record.
const RECORD: u64 = 32;
/// A blocked access leaves a record for each beat of this many bytes (seen on
/// QEMU: one bad packet fills a short queue).
const BEAT: usize = 4;

/// What the SMMU needs of the rest of the fabric.
pub(crate) struct Surroundings<'a> {
    pub(crate) now: Time,
    pub(crate) memory: &'a mut Memory,
    pub(crate) interrupts: &'a mut Interrupts,
    pub(crate) trace: &'a mut Trace,
    pub(crate) violations: &'a mut Violations,
    pub(crate) points: &'a mut Points,
    pub(crate) events: &'a mut Events,
}

impl Surroundings<'_> {
    fn violation(&mut self, violation: Violation) {
        self.violations.add(self.now, violation);
        self.trace.record(self.now, Record::Violation { kind: violation.name() });
    }

    fn raise(&mut self, line: IntId) {
        self.trace.record(self.now, Record::Raise { line });
        self.interrupts.edge(self.now, line, self.points, self.events);
    }
}

/// What the architecture leaves open and a seed decides for the whole run.
#[derive(Copy, Clone, Debug)]
struct Personality {
    /// A full event queue sets OVFLG (IHI 0070 7.4), else it toggles
    /// GERROR.EVENTQ_ABT_ERR as QEMU does.
    overflow_flag: bool,
    /// Records carry the CLASS field (QEMU 10 does, 7.2 does not).
    class: bool,
}

/// The SMMU.
#[derive(Debug)]
pub struct Smmu {
    rng: Rng,
    personality: Personality,
    event_line: IntId,
    gerror_line: IntId,
    registers: Registers,
    pending: Pending,
    configs: Vec<Config>,
    tlb: Tlb,
    /// Pages that a walk has read as translation tables.
    walked: Vec<Phys>,
    faults: u64,
    strangers: u64,
}

impl Smmu {
    pub(crate) fn new(layout: &Layout, mut rng: Rng) -> Self {
        let personality = Personality { overflow_flag: rng.one_in(2), class: rng.one_in(2) };
        Self {
            rng,
            personality,
            event_line: layout.smmu_event,
            gerror_line: layout.smmu_gerror,
            registers: Registers::default(),
            pending: Pending::default(),
            configs: Vec::with_capacity(64),
            tlb: Tlb::default(),
            walked: Vec::with_capacity(64),
            faults: 0,
            strangers: 0,
        }
    }

    /// Accesses that were blocked since the start, whether recorded or not.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    /// Those of [`Self::faults`] that were blocked because the stream had no
    /// address space at all: its stream table entry was invalid.
    #[must_use]
    pub const fn strangers(&self) -> u64 {
        self.strangers
    }

    /// Translations that the SMMU still holds although the tables have them no
    /// more.
    #[must_use]
    pub fn stale(&self) -> usize {
        self.tlb.stale()
    }

    /// Translates an access of `len` bytes that stays in one page; `None` when
    /// it is blocked.
    pub(crate) fn translate(
        &mut self,
        bus: &mut Surroundings<'_>,
        stream: StreamId,
        at: Bus,
        len: usize,
        write: bool,
    ) -> Option<Phys> {
        self.advance(bus);
        if !self.registers.enabled() {
            bus.violation(Violation::DmaUntranslated { stream, bus: at });
            return Some(Phys(at.0));
        }
        let outcome = self
            .config(bus, stream)
            .and_then(|config| self.translation(bus, stream, &config, at, write));
        match outcome {
            Ok(page) => Some(page.plus(at.0 % u64::from(PAGE))),
            Err(fault) => {
                self.faults += 1;
                self.strangers += u64::from(fault.kind == record::C_BAD_STE);
                self.report(bus, fault, stream, at, len, write);
                None
            }
        }
    }

    /// A core changed a word of a page that belongs to the SMMU.
    pub(crate) fn table_written(&mut self, bus: &mut Surroundings<'_>, write: TableWrite) {
        let TableWrite { at, old, new } = write;
        let page = Phys(at.0 & !u64::from(PAGE - 1));
        if self.walked.contains(&page) {
            if old & new & 1 != 0 {
                bus.violation(Violation::BreakBeforeMake { at, old, new });
            }
            if old & 1 != 0 {
                self.tlb.mark_stale(at, bus.memory);
            }
        }
        for config in &mut self.configs {
            if config.covers(at) {
                if config.torn(at, new) {
                    bus.violation(Violation::BreakBeforeMake { at, old, new });
                }
                config.mark_stale();
            }
        }
    }

    /// The first of `count` pages from `first` that some device was let through to
    /// and may be again.
    pub(crate) fn reaches(&self, first: Phys, count: u32) -> Option<Phys> {
        self.tlb.leads_to(first, count)
    }

    /// Writes the records of a blocked access.
    fn report(
        &mut self,
        bus: &mut Surroundings<'_>,
        fault: walk::Fault,
        stream: StreamId,
        at: Bus,
        len: usize,
        write: bool,
    ) {
        bus.trace.record(bus.now, Record::SmmuFault { kind: fault.kind, stream, bus: at });
        if !fault.recorded || !self.registers.event_queue_enabled() {
            return;
        }
        for beat in 0..len.div_ceil(BEAT) {
            let address = at.plus((beat * BEAT) as u64);
            let mut words = [0_u32; 8];
            words[0] = u32::from(fault.kind);
            words[1] = u32::from(stream.0);
            if fault.kind >= record::F_TRANSLATION {
                // CLASS = IN: the input address is at fault, not a table fetch.
                let class = if self.personality.class { 0b10 << 8 } else { 0 };
                words[3] = u32::from(!write) << 3 | class;
                words[4] = address.low();
                words[5] = address.high();
            }
            if !self.push_record(bus, words) {
                return;
            }
        }
    }

    /// Puts a record on the event queue; `false` when there is no room.
    fn push_record(&mut self, bus: &mut Surroundings<'_>, words: [u32; 8]) -> bool {
        let queue = self.registers.event_queue();
        if queue.full() {
            self.overflow(bus);
            return false;
        }
        let mut bytes = [0; RECORD as usize];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        let at = queue.base.plus(u64::from(queue.producer_slot()) * RECORD);
        if bus.memory.owner(at) != Some(Owner::Tables)
            || bus.memory.device_write(bus.now, at, &bytes).is_err()
        {
            bus.violation(Violation::SmmuMisplaced { register: registers::EVENTQ_BASE, at });
            return false;
        }
        let was_empty = queue.empty();
        self.registers.event_produced();
        // An edge comes only when the queue stops being empty (7.2.1).
        if was_empty && self.registers.event_interrupt_enabled() {
            bus.raise(self.event_line);
        }
        true
    }

    fn overflow(&mut self, bus: &mut Surroundings<'_>) {
        if self.personality.overflow_flag {
            self.registers.set_overflow();
        } else {
            self.global_error(bus, registers::EVENTQ_ABT_ERR);
        }
    }

    fn global_error(&mut self, bus: &mut Surroundings<'_>, bit: u32) {
        if self.registers.toggle_error(bit) && self.registers.error_interrupt_enabled() {
            bus.raise(self.gerror_line);
        }
    }
}
