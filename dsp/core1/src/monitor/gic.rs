//! The interrupt controller as core 1 uses it: a GICv2 (ARM IHI 0048B).
//!
//! The kernel on core 0 sets up the distributor before it starts this core, and
//! owns it: registers with a bit an interrupt are written so that no other
//! interrupt's bit changes, and the one byte that routes an interrupt here is
//! written alone. The CPU interface, and interrupts below 32, are this core's.

use core::ptr;
use monitor::Line;

/// What is mapped of it.
pub(super) const DISTRIBUTOR: u32 = 0x0800_0000;
pub(super) const CPU_INTERFACE: u32 = 0x0801_0000;
/// Bytes of each.
pub(super) const DISTRIBUTOR_BYTES: u32 = 0x1000;
pub(super) const CPU_INTERFACE_BYTES: u32 = 0x2000;

/// GICD_ISENABLER, one bit an interrupt; the first word is banked.
const D_ISENABLER: u32 = DISTRIBUTOR + 0x100;
/// GICD_ICENABLER.
const D_ICENABLER: u32 = DISTRIBUTOR + 0x180;
/// GICD_ICPENDR.
const D_ICPENDR: u32 = DISTRIBUTOR + 0x280;
/// GICD_IPRIORITYR, one byte an interrupt; the first eight words are banked.
const D_IPRIORITYR: u32 = DISTRIBUTOR + 0x400;
/// GICD_ITARGETSR, one byte an interrupt.
const D_ITARGETSR: u32 = DISTRIBUTOR + 0x800;
/// GICC_CTLR.
const C_CTLR: u32 = CPU_INTERFACE;
/// GICC_PMR.
const C_PMR: u32 = CPU_INTERFACE + 0x004;
/// GICC_IAR.
const C_IAR: u32 = CPU_INTERFACE + 0x00C;
/// GICC_EOIR.
const C_EOIR: u32 = CPU_INTERFACE + 0x010;

/// A priority that GICC_PMR lets through, in the middle: as the kernel's.
const PRIORITY: u32 = 0x8080_8080;
/// This core in GICD_ITARGETSR.
const TO_CORE_1: u8 = 1 << 1;
/// From here on GICC_IAR tells of no interrupt (3.2.5).
const FIRST_SPECIAL: u32 = 1020;
/// Interrupts up to 15 are SGIs: the IAR also tells which core raised them.
const IAR_NUMBER: u32 = 0x3FF;

fn read(register: u32) -> u32 {
    // SAFETY: the constants above are registers of the controller, which are
    // mapped as device memory; reading the IAR takes the interrupt, which is
    // what it is read for, and the others change nothing.
    unsafe { ptr::with_exposed_provenance::<u32>(register as usize).read_volatile() }
}

fn write(register: u32, value: u32) {
    // SAFETY: as in `read`; no value makes the controller touch memory.
    unsafe { ptr::with_exposed_provenance_mut::<u32>(register as usize).write_volatile(value) }
}

/// The word of a register with one bit an interrupt.
const fn word(register: u32, line: Line) -> (u32, u32) {
    (register + line.0 as u32 / 32 * 4, 1 << (line.0 % 32))
}

fn set_bit(register: u32, line: Line) {
    let (register, bit) = word(register, line);
    write(register, bit);
}

/// Lets interrupts through to this core; none of its own is enabled.
pub(super) fn start() {
    write(D_ICENABLER, u32::MAX);
    write(D_ICPENDR, u32::MAX);
    for n in 0..8 {
        write(D_IPRIORITYR + n * 4, PRIORITY);
    }
    write(C_PMR, 0xFF);
    write(C_CTLR, 1);
}

/// From here on `line` comes to this core; an edge of before is forgotten.
pub(super) fn listen(line: Line) {
    let target = (D_ITARGETSR + u32::from(line.0)) as usize;
    // SAFETY: byte accesses to this register are legal (4.3.12), and this byte
    // is the interrupt's alone.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(target).write_volatile(TO_CORE_1) };
    set_bit(D_ICPENDR, line);
    set_bit(D_ISENABLER, line);
}

/// From here on `line` comes no more.
pub(super) fn ignore(line: Line) {
    set_bit(D_ICENABLER, line);
}

/// Lets an interrupt of this core's own through.
pub(super) fn enable(line: Line) {
    set_bit(D_ISENABLER, line);
}

/// Takes the interrupt that is signalled, if any.
pub(super) fn take() -> Option<Taken> {
    let acknowledged = read(C_IAR);
    (acknowledged & IAR_NUMBER < FIRST_SPECIAL).then_some(Taken(acknowledged))
}

/// An interrupt that was taken and must be ended.
#[derive(Debug)]
pub(super) struct Taken(u32);

impl Taken {
    pub(super) const fn line(&self) -> Line {
        Line((self.0 & IAR_NUMBER) as u16)
    }

    pub(super) fn end(self) {
        write(C_EOIR, self.0);
    }
}
