//! Registers of the SMMU (IHI 0070 6.3), and the rules for writing them.

use super::{Smmu, Surroundings};
use crate::memory::Owner;
use crate::violations::Violation;
use crate::{Time, Width};
use addr::Phys;

const IDR0: u32 = 0x00;
const IDR1: u32 = 0x04;
const IDR5: u32 = 0x14;
const CR0: u32 = 0x20;
const CR0ACK: u32 = 0x24;
const CR1: u32 = 0x28;
const CR2: u32 = 0x2C;
const IRQ_CTRL: u32 = 0x50;
const IRQ_CTRLACK: u32 = 0x54;
const GERROR: u32 = 0x60;
const GERRORN: u32 = 0x64;
const STRTAB_BASE: u32 = 0x80;
const STRTAB_BASE_CFG: u32 = 0x88;
const CMDQ_BASE: u32 = 0x90;
const CMDQ_PROD: u32 = 0x98;
const CMDQ_CONS: u32 = 0x9C;
pub(super) const EVENTQ_BASE: u32 = 0xA0;
/// In page 1; page 0 has no alias in this model, as the architecture says.
const EVENTQ_PROD: u32 = 0x1_00A8;
const EVENTQ_CONS: u32 = 0x1_00AC;

/// Stage 1, VMSAv8-64, coherent, 16-bit ASIDs, little endian, no stalls (QEMU 7.2).
const IDR0_VALUE: u32 = 0x0D40_101A;
/// 16-bit StreamIDs, queues up to 2^19 entries.
const IDR1_VALUE: u32 = 0x0273_0010;
/// All granules, 44-bit output addresses.
const IDR5_VALUE: u32 = 0x74;

const SMMUEN: u32 = 1 << 0;
const EVENTQEN: u32 = 1 << 2;
const CMDQEN: u32 = 1 << 3;
const IRQ_GERROR: u32 = 1 << 0;
const IRQ_EVENTQ: u32 = 1 << 2;

/// GERROR: the command queue stopped at an error.
pub(super) const CMDQ_ERR: u32 = 1 << 0;
/// GERROR: a record could not be written.
pub(super) const EVENTQ_ABT_ERR: u32 = 1 << 2;

/// Longest time that an update of CR0 or IRQ_CTRL takes.
const ACK_DELAY_NS: u32 = 2_000;
/// Longest time that the SMMU takes to look at the command queue again.
const FETCH_DELAY_NS: u32 = 600;
/// Most entries of a queue or of the stream table, as IDR1 says.
const LOG2_QUEUE: u32 = 19;
const LOG2_STREAMS: u32 = 16;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_FFC0;
/// Allocation hint, bit 62 of a queue or table base.
const HINT: u64 = 1 << 62;

/// A queue as its registers describe it: indices carry a wrap bit above them.
#[derive(Copy, Clone, Debug)]
pub(super) struct Queue {
    pub(super) base: Phys,
    log2: u32,
    producer: u32,
    consumer: u32,
}

impl Queue {
    fn mask(&self) -> u32 {
        (1 << self.log2) - 1
    }

    pub(super) fn empty(&self) -> bool {
        self.producer == self.consumer
    }

    pub(super) fn full(&self) -> bool {
        self.producer ^ self.consumer == 1 << self.log2
    }

    pub(super) fn producer_slot(&self) -> u32 {
        self.producer & self.mask()
    }

    pub(super) fn consumer_slot(&self) -> u32 {
        self.consumer & self.mask()
    }

    fn next(&self, index: u32) -> u32 {
        (index + 1) & (self.mask() << 1 | 1)
    }

    fn filled(&self) -> u32 {
        self.producer.wrapping_sub(self.consumer) & (self.mask() << 1 | 1)
    }
}

/// The 64-bit registers, each with what puts it to use.
const HALVES: [(u32, u32); 3] =
    [(STRTAB_BASE, SMMUEN), (CMDQ_BASE, CMDQEN), (EVENTQ_BASE, EVENTQEN)];

#[derive(Debug, Default)]
pub(super) struct Registers {
    cr0: u32,
    cr0ack: u32,
    cr0_due: Time,
    cr1: u32,
    cr2: u32,
    irq_ctrl: u32,
    irq_ctrlack: u32,
    irq_due: Time,
    gerror: u32,
    gerrorn: u32,
    strtab_base: u64,
    strtab_cfg: u32,
    cmdq_base: u64,
    cmdq_prod: u32,
    cmdq_cons: u32,
    eventq_base: u64,
    eventq_prod: u32,
    eventq_cons: u32,
    /// The low halves of 64-bit registers that wait for their high halves.
    halves: [Option<u32>; HALVES.len()],
    /// When the SMMU will look at the command queue.
    pub(super) command_due: Time,
    /// Caches were emptied since the reset: CFGI_ALL, TLBI_NSNH_ALL, then SYNC.
    pub(super) emptied: [bool; 3],
}

impl Registers {
    pub(super) fn enabled(&self) -> bool {
        self.cr0ack & SMMUEN != 0
    }

    pub(super) fn event_queue_enabled(&self) -> bool {
        self.cr0ack & EVENTQEN != 0
    }

    pub(super) fn commands_running(&self) -> bool {
        self.cr0ack & CMDQEN != 0 && (self.gerror ^ self.gerrorn) & CMDQ_ERR == 0
    }

    pub(super) fn event_interrupt_enabled(&self) -> bool {
        self.irq_ctrlack & IRQ_EVENTQ != 0
    }

    pub(super) fn error_interrupt_enabled(&self) -> bool {
        self.irq_ctrlack & IRQ_GERROR != 0
    }

    pub(super) fn event_queue(&self) -> Queue {
        queue(self.eventq_base, self.eventq_prod, self.eventq_cons)
    }

    pub(super) fn command_queue(&self) -> Queue {
        queue(self.cmdq_base, self.cmdq_prod, self.cmdq_cons)
    }

    pub(super) fn event_produced(&mut self) {
        let queue = self.event_queue();
        self.eventq_prod = self.eventq_prod & 1 << 31 | queue.next(queue.producer);
    }

    pub(super) fn command_consumed(&mut self) {
        let queue = self.command_queue();
        self.cmdq_cons = queue.next(queue.consumer);
    }

    /// Notes why the command queue stopped, in CMDQ_CONS.ERR.
    pub(super) fn command_error(&mut self, code: u32) {
        self.cmdq_cons = self.cmdq_cons & 0x000F_FFFF | code << 24;
    }

    /// OVFLG is raised by making it differ from OVACKFLG.
    pub(super) fn set_overflow(&mut self) {
        self.eventq_prod = self.eventq_prod & !(1 << 31) | !self.eventq_cons & 1 << 31;
    }

    /// Raises a global error unless it is up already.
    pub(super) fn toggle_error(&mut self, bit: u32) -> bool {
        let raised = (self.gerror ^ self.gerrorn) & bit == 0;
        if raised {
            self.gerror ^= bit;
        }
        raised
    }

    /// Where the entry of stream `sid` stands; `None` beyond the table.
    pub(super) fn stream_entry(&self, sid: u16) -> Option<Phys> {
        let log2 = self.strtab_cfg & 0x3F;
        (u32::from(sid) < 1 << log2)
            .then(|| Phys(self.strtab_base & ADDRESS).plus(u64::from(sid) * 64))
    }

    /// Takes over updates whose time has come.
    pub(super) fn acknowledge(&mut self, now: Time) {
        if self.cr0_due <= now {
            self.cr0ack = self.cr0;
        }
        if self.irq_due <= now {
            self.irq_ctrlack = self.irq_ctrl;
        }
    }
}

fn queue(base: u64, producer: u32, consumer: u32) -> Queue {
    let log2 = base as u32 & 0x1F;
    let index = (2 << log2) - 1;
    Queue {
        base: Phys(base & ADDRESS & !0x1F),
        log2,
        producer: producer & index,
        consumer: consumer & index,
    }
}

impl Smmu {
    pub(crate) fn read(&mut self, bus: &mut Surroundings<'_>, offset: u32, width: Width) -> u32 {
        self.advance(bus);
        if width != Width::Word {
            bus.violation(Violation::SmmuBadAccess { register: offset });
            return 0;
        }
        let registers = &self.registers;
        match offset {
            IDR0 => IDR0_VALUE,
            IDR1 => IDR1_VALUE,
            IDR5 => IDR5_VALUE,
            // IDR2 to IDR4, IIDR, AIDR: nothing of what they tell is implemented.
            0x08 | 0x0C | 0x10 | 0x18 | 0x1C => 0,
            CR0 => registers.cr0,
            CR0ACK => registers.cr0ack,
            CR1 => registers.cr1,
            CR2 => registers.cr2,
            IRQ_CTRL => registers.irq_ctrl,
            IRQ_CTRLACK => registers.irq_ctrlack,
            GERROR => registers.gerror,
            GERRORN => registers.gerrorn,
            STRTAB_BASE => registers.strtab_base as u32,
            0x84 => (registers.strtab_base >> 32) as u32,
            STRTAB_BASE_CFG => registers.strtab_cfg,
            CMDQ_BASE => registers.cmdq_base as u32,
            0x94 => (registers.cmdq_base >> 32) as u32,
            CMDQ_PROD => registers.cmdq_prod,
            CMDQ_CONS => registers.cmdq_cons,
            EVENTQ_BASE => registers.eventq_base as u32,
            0xA4 => (registers.eventq_base >> 32) as u32,
            EVENTQ_PROD => registers.eventq_prod,
            EVENTQ_CONS => registers.eventq_cons,
            _ => {
                bus.violation(Violation::SmmuBadAccess { register: offset });
                0
            }
        }
    }

    pub(crate) fn write(
        &mut self,
        bus: &mut Surroundings<'_>,
        offset: u32,
        width: Width,
        value: u32,
    ) {
        self.advance(bus);
        if width != Width::Word {
            bus.violation(Violation::SmmuBadAccess { register: offset });
            return;
        }
        match offset {
            STRTAB_BASE | CMDQ_BASE | EVENTQ_BASE => {
                self.registers.halves[half(offset)] = Some(value);
            }
            0x84 | 0x94 | 0xA4 => self.write_high(bus, offset - 4, value),
            CR0 => self.write_cr0(bus, value),
            CR1 => {
                self.check_disabled(bus, offset, SMMUEN | EVENTQEN | CMDQEN);
                check_reserved(bus, offset, value, 0xFFF);
                self.registers.cr1 = value;
            }
            CR2 => {
                self.check_disabled(bus, offset, SMMUEN | EVENTQEN | CMDQEN);
                check_reserved(bus, offset, value, 0x7);
                self.registers.cr2 = value;
            }
            IRQ_CTRL => {
                // PRI is not implemented, so neither is its interrupt.
                check_reserved(bus, offset, value, IRQ_GERROR | IRQ_EVENTQ);
                if self.registers.irq_ctrl != self.registers.irq_ctrlack {
                    bus.violation(Violation::SmmuNotAcknowledged { register: offset });
                }
                self.registers.irq_ctrl = value;
                self.registers.irq_due = self.soon(bus.now, ACK_DELAY_NS);
            }
            GERRORN => {
                let active = self.registers.gerror ^ self.registers.gerrorn;
                if (self.registers.gerrorn ^ value) & !active != 0 {
                    // Acknowledging what is not there would raise it.
                    bus.violation(Violation::SmmuReservedRegisterBits {
                        register: offset,
                        value: value.into(),
                    });
                }
                self.registers.gerrorn = value;
                self.registers.command_due = self.soon(bus.now, FETCH_DELAY_NS);
            }
            STRTAB_BASE_CFG => {
                self.check_disabled(bus, offset, SMMUEN);
                // Linear only (FMT = 0), at most what IDR1 offers.
                check_reserved(bus, offset, value, 0x3F);
                if value > LOG2_STREAMS {
                    bus.violation(Violation::SmmuBadIndex { register: offset, value });
                }
                self.registers.strtab_cfg = value;
            }
            CMDQ_PROD => self.write_command_producer(bus, value),
            CMDQ_CONS => {
                self.check_disabled(bus, offset, CMDQEN);
                self.registers.cmdq_cons = value;
            }
            EVENTQ_PROD => {
                self.check_disabled(bus, offset, EVENTQEN);
                self.registers.eventq_prod = value;
            }
            EVENTQ_CONS => self.write_event_consumer(bus, value),
            _ => bus.violation(Violation::SmmuBadAccess { register: offset }),
        }
    }

    fn write_high(&mut self, bus: &mut Surroundings<'_>, register: u32, high: u32) {
        let Some(low) = self.registers.halves[half(register)].take() else {
            bus.violation(Violation::SmmuHalfWritten { register });
            return;
        };
        let value = u64::from(low) | u64::from(high) << 32;
        let (enable, allowed) = match register {
            STRTAB_BASE => (SMMUEN, ADDRESS | HINT),
            CMDQ_BASE => (CMDQEN, ADDRESS & !0x1F | HINT | 0x1F),
            _ => (EVENTQEN, ADDRESS & !0x1F | HINT | 0x1F),
        };
        self.check_disabled(bus, register, enable);
        if value & !allowed != 0 {
            bus.violation(Violation::SmmuReservedRegisterBits { register, value });
        }
        match register {
            STRTAB_BASE => self.registers.strtab_base = value,
            CMDQ_BASE => self.registers.cmdq_base = value,
            _ => self.registers.eventq_base = value,
        }
    }

    fn write_cr0(&mut self, bus: &mut Surroundings<'_>, value: u32) {
        check_reserved(bus, CR0, value, SMMUEN | EVENTQEN | CMDQEN);
        if self.registers.cr0 != self.registers.cr0ack {
            bus.violation(Violation::SmmuNotAcknowledged { register: CR0 });
        }
        let rising = value & !self.registers.cr0;
        // Whoever was killed between two halves harmed nothing: the next one
        // writes both. What is put to use has to be whole.
        for ((register, enable), half) in HALVES.into_iter().zip(&mut self.registers.halves) {
            if rising & enable != 0 && half.take().is_some() {
                bus.violation(Violation::SmmuHalfWritten { register });
            }
        }
        if rising & CMDQEN != 0 {
            let queue = self.registers.command_queue();
            check_place(bus, CMDQ_BASE, queue.base, 16 << queue.log2, queue.log2 <= LOG2_QUEUE);
        }
        if rising & EVENTQEN != 0 {
            let queue = self.registers.event_queue();
            check_place(bus, EVENTQ_BASE, queue.base, 32 << queue.log2, queue.log2 <= LOG2_QUEUE);
        }
        if rising & SMMUEN != 0 {
            let base = Phys(self.registers.strtab_base & ADDRESS);
            check_place(bus, STRTAB_BASE, base, 64 << (self.registers.strtab_cfg & 0x3F), true);
            if self.registers.emptied != [true; 3] {
                bus.violation(Violation::SmmuEnabledBeforeFlush { cr0: value });
            }
        }
        self.registers.cr0 = value;
        self.registers.cr0_due = self.soon(bus.now, ACK_DELAY_NS);
    }

    fn write_command_producer(&mut self, bus: &mut Surroundings<'_>, value: u32) {
        let before = self.registers.command_queue();
        let index = before.mask() << 1 | 1;
        self.registers.cmdq_prod = value & index;
        let after = self.registers.command_queue();
        if self.registers.cr0ack & CMDQEN == 0 {
            // Where the queue starts when it is enabled.
            return;
        }
        let added = after.filled().wrapping_sub(before.filled()) & index;
        // More than there was room for, or a step back.
        if value & !index != 0 || before.filled() + added > before.mask() + 1 {
            bus.violation(Violation::SmmuBadIndex { register: CMDQ_PROD, value });
        }
        if before.empty() {
            self.registers.command_due = self.soon(bus.now, FETCH_DELAY_NS);
        }
    }

    fn write_event_consumer(&mut self, bus: &mut Surroundings<'_>, value: u32) {
        let before = self.registers.event_queue();
        let index = before.mask() << 1 | 1;
        self.registers.eventq_cons = value & (index | 1 << 31);
        let after = self.registers.event_queue();
        let running = self.registers.event_queue_enabled();
        if running && (value & !(index | 1 << 31) != 0 || after.filled() > before.filled()) {
            bus.violation(Violation::SmmuBadIndex { register: EVENTQ_CONS, value });
        }
    }

    fn check_disabled(&self, bus: &mut Surroundings<'_>, register: u32, bits: u32) {
        if (self.registers.cr0 | self.registers.cr0ack) & bits != 0 {
            bus.violation(Violation::SmmuWrittenWhileEnabled { register });
        }
    }

    fn soon(&mut self, now: Time, longest_ns: u32) -> Time {
        now + Time::ns(u64::from(self.rng.below(longest_ns)))
    }
}

/// Which of [`HALVES`] `register` is.
fn half(register: u32) -> usize {
    HALVES.iter().position(|&(known, _)| known == register).expect("a base register")
}

fn check_reserved(bus: &mut Surroundings<'_>, register: u32, value: u32, allowed: u32) {
    if value & !allowed != 0 {
        bus.violation(Violation::SmmuReservedRegisterBits { register, value: value.into() });
    }
}

fn check_place(bus: &mut Surroundings<'_>, register: u32, at: Phys, bytes: u64, sized: bool) {
    let last = at.plus(bytes - 1);
    let in_tables = [at, last].iter().all(|&at| bus.memory.owner(at) == Some(Owner::Tables));
    if !at.is_aligned(bytes) || !in_tables || !sized {
        bus.violation(Violation::SmmuMisplaced { register, at });
    }
}
