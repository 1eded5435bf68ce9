//! The interrupt controller, a GICv2 (ARM IHI 0048B).
//!
//! Every interrupt goes to this core, at one priority. Messages (GICv2m) and
//! the SMMU's lines among them are edges, all others levels.

use super::mmu::in_window;
use crate::platform::Irq;

const DISTRIBUTOR: u32 = tables::INTERRUPT_CONTROLLER.base;
const CPU_INTERFACE: u32 = DISTRIBUTOR + 0x1_0000;

/// GICD_CTLR.
const D_CTLR: u32 = DISTRIBUTOR;
/// GICD_TYPER.
const D_TYPER: u32 = DISTRIBUTOR + 0x004;
/// GICD_ISENABLER, one bit each.
const D_ISENABLER: u32 = DISTRIBUTOR + 0x100;
/// GICD_ICENABLER.
const D_ICENABLER: u32 = DISTRIBUTOR + 0x180;
/// GICD_ISPENDR.
const D_ISPENDR: u32 = DISTRIBUTOR + 0x200;
/// GICD_ICPENDR.
const D_ICPENDR: u32 = DISTRIBUTOR + 0x280;
/// GICD_IPRIORITYR, one byte each.
const D_IPRIORITYR: u32 = DISTRIBUTOR + 0x400;
/// GICD_ITARGETSR, one byte each.
const D_ITARGETSR: u32 = DISTRIBUTOR + 0x800;
/// GICD_ICFGR, two bits each.
const D_ICFGR: u32 = DISTRIBUTOR + 0xC00;

/// GICC_CTLR.
const C_CTLR: u32 = CPU_INTERFACE;
/// GICC_PMR.
const C_PMR: u32 = CPU_INTERFACE + 0x004;
/// GICC_IAR.
const C_IAR: u32 = CPU_INTERFACE + 0x00C;
/// GICC_EOIR.
const C_EOIR: u32 = CPU_INTERFACE + 0x010;

/// The first interrupt that is not one core's own.
const FIRST_SHARED: u32 = 32;
/// The first of GICv2m's frame; those below are wires of level kind.
const FIRST_EDGE: u32 = 80;
/// From here on GICC_IAR tells of no interrupt (3.2.5).
const FIRST_SPECIAL: u32 = 1020;
/// A priority that GICC_PMR lets through, in the middle.
const PRIORITY: u32 = 0x8080_8080;
/// Every interrupt to the first core.
const TO_CORE_0: u32 = 0x0101_0101;
/// Every interrupt an edge.
const EDGES: u32 = 0xAAAA_AAAA;

/// Interrupts up to 15 are SGIs: the IAR also tells which core raised them.
const IAR_NUMBER: u32 = 0x3FF;

#[inline(always)]
fn read(register: u32) -> u32 {
    // SAFETY: the constants above are registers of the controller, which the
    // window maps as device memory; reading one changes nothing but, for the
    // IAR, what the kernel reads it for.
    unsafe { core::ptr::with_exposed_provenance::<u32>(in_window(register)).read_volatile() }
}

#[inline(always)]
fn write(register: u32, value: u32) {
    // SAFETY: as in `read`; the kernel is the controller's only user, and no
    // value makes it touch memory.
    unsafe {
        core::ptr::with_exposed_provenance_mut::<u32>(in_window(register)).write_volatile(value);
    }
}

/// The word of a register with one bit an interrupt.
#[inline(always)]
fn word(register: u32, irq: Irq) -> (u32, u32) {
    (register + irq.0 / 32 * 4, 1 << (irq.0 % 32))
}

/// Makes every interrupt reach this core once it is enabled; none is.
pub(super) fn start() {
    let lines = (read(D_TYPER) & 0x1F) + 1;
    write(D_CTLR, 0);
    for n in 0..lines {
        write(D_ICENABLER + n * 4, u32::MAX);
        write(D_ICPENDR + n * 4, u32::MAX);
    }
    for n in 0..lines * 8 {
        write(D_IPRIORITYR + n * 4, PRIORITY);
    }
    for n in FIRST_SHARED / 4..lines * 8 {
        write(D_ITARGETSR + n * 4, TO_CORE_0);
    }
    for n in FIRST_EDGE / 16..lines * 2 {
        write(D_ICFGR + n * 4, EDGES);
    }
    write(D_CTLR, 1);
    write(C_PMR, 0xFF);
    write(C_CTLR, 1);
}

/// Takes the interrupt that is signalled, if any.
#[inline(always)]
pub(super) fn take() -> Option<Taken> {
    let acknowledged = read(C_IAR);
    (acknowledged & IAR_NUMBER < FIRST_SPECIAL).then_some(Taken(acknowledged))
}

/// An interrupt that was taken and must be ended.
#[derive(Debug)]
pub(super) struct Taken(u32);

impl Taken {
    pub(super) fn irq(&self) -> Irq {
        Irq(self.0 & IAR_NUMBER)
    }

    pub(super) fn end(self) {
        write(C_EOIR, self.0);
    }
}

pub(super) fn enable(irq: Irq) {
    let (register, bit) = word(D_ISENABLER, irq);
    write(register, bit);
}

pub(super) fn disable(irq: Irq) {
    let (register, bit) = word(D_ICENABLER, irq);
    write(register, bit);
}

pub(super) fn clear_pending(irq: Irq) {
    let (register, bit) = word(D_ICPENDR, irq);
    write(register, bit);
}

pub(super) fn pend(irq: Irq) {
    let (register, bit) = word(D_ISPENDR, irq);
    write(register, bit);
}

pub(super) fn is_enabled(irq: Irq) -> bool {
    let (register, bit) = word(D_ISENABLER, irq);
    read(register) & bit != 0
}

pub(super) fn is_pending(irq: Irq) -> bool {
    let (register, bit) = word(D_ISPENDR, irq);
    read(register) & bit != 0
}
