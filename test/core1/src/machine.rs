//! Core 0 and the board around it, as far as the cases need them.

use addr::Phys;
use core::arch::{asm, global_asm};
use core::fmt::{Arguments, Write};
use mmio::Registers;
use report::Serial;

global_asm!(
    ".section .text.boot, \"ax\"",
    ".syntax unified",
    ".arm",
    ".global Reset",
    ".type Reset, %function",
    "Reset:",
    "   ldr sp, 1f",
    "   b core1_test",
    "1: .word test_stack_top",
    ".size Reset, . - Reset",
);

const UART: (u64, u32) = (0x0900_0000, 0x1000);
const DISTRIBUTOR: (u64, u32) = (0x0800_0000, 0x1000);
/// GICD_CTLR, GICD_ISPENDR, GICD_ICPENDR, GICD_IPRIORITYR, GICD_ITARGETSR,
/// GICD_ICFGR.
const D_CTLR: u32 = 0;
const D_ISPENDR: u32 = 0x200;
const D_ICPENDR: u32 = 0x280;
const D_IPRIORITYR: u32 = 0x400;
const D_ITARGETSR: u32 = 0x800;
const D_ICFGR: u32 = 0xC00;
/// Words of one bit an interrupt.
const LINES: u32 = 288 / 32;
/// The first interrupt of the GICv2m frame.
const FIRST_EDGE: u32 = 80;

/// PSCI CPU_ON by HVC (QEMU's `virt`), and the core it is about.
const CPU_ON: u32 = 0x8400_0003;
const CORE_1: u32 = 1;
/// Semihosting's SYS_EXIT_EXTENDED, and ADP_Stopped_ApplicationExit.
const SYS_EXIT_EXTENDED: u32 = 0x20;
const APPLICATION_EXIT: u32 = 0x2_0026;

const fn block((base, len): (u64, u32)) -> Registers {
    // SAFETY: registers of the board, and nothing else runs on this core.
    unsafe { Registers::new(Phys(base), len) }
}

/// Writes a line.
pub(crate) fn say(text: Arguments<'_>) {
    // The serial port takes everything.
    let _ = writeln!(Serial::new(block(UART)), "{text}");
}

/// Sets the distributor up as the kernel does: every shared interrupt an edge to
/// this core, at one priority, none enabled.
pub(crate) fn start_distributor() {
    let distributor = block(DISTRIBUTOR);
    distributor.write32(D_CTLR, 0);
    for n in 0..LINES * 8 {
        distributor.write32(D_IPRIORITYR + n * 4, 0x8080_8080);
    }
    for n in 8..LINES * 8 {
        distributor.write32(D_ITARGETSR + n * 4, 0x0101_0101);
    }
    for n in FIRST_EDGE / 16..LINES * 2 {
        distributor.write32(D_ICFGR + n * 4, 0xAAAA_AAAA);
    }
    distributor.write32(D_CTLR, 1);
}

/// Whether interrupt `line` was raised since the last time this was asked.
pub(crate) fn was_raised(line: u16) -> bool {
    let (word, bit) = (u32::from(line) / 32 * 4, 1 << (line % 32));
    let distributor = block(DISTRIBUTOR);
    let raised = distributor.read32(D_ISPENDR + word) & bit != 0;
    distributor.write32(D_ICPENDR + word, bit);
    raised
}

/// Starts core 1 at `entry`.
pub(crate) fn start_core_1(entry: u32) {
    let mut status = CPU_ON;
    // SAFETY: core 1 runs what is linked to be run there, in memory of its own;
    // firmware changes r0 to r3.
    unsafe {
        asm!(
            ".arch_extension virt", "hvc #0",
            inout("r0") status, inout("r1") CORE_1 => _, inout("r2") entry => _,
            inout("r3") 0 => _,
            options(nostack)
        );
    }
    assert_eq!(status, 0, "PSCI");
}

/// Milliseconds since the machine was started.
pub(crate) fn now_ms() -> u64 {
    let (low, high, frequency): (u32, u32, u32);
    // SAFETY: reading the counter and its frequency has no effect.
    unsafe {
        asm!(
            "isb", "mrrc p15, 0, {}, {}, c14", "mrc p15, 0, {}, c14, c0, 0",
            out(reg) low, out(reg) high, out(reg) frequency,
            options(nomem, nostack, preserves_flags)
        );
    }
    (u64::from(low) | u64::from(high) << 32) * 1000 / u64::from(frequency)
}

/// Waits until `what` holds, and says how long that took.
///
/// # Panics
/// When it does not within a second or two.
pub(crate) fn until(name: &str, mut what: impl FnMut() -> bool) -> u64 {
    let start = now_ms();
    while !what() {
        assert!(now_ms() - start < 2_000, "{name}: waited in vain");
        // QEMU's other core gets no time from one that only computes.
        // SAFETY: a hint.
        unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
    }
    now_ms() - start
}

/// Lets `span` milliseconds pass.
pub(crate) fn pass(span: u64) {
    let end = now_ms() + span;
    until("time", || now_ms() >= end);
}

/// Ends the emulator.
pub(crate) fn exit(well: bool) -> ! {
    let block = [APPLICATION_EXIT, u32::from(!well)];
    // SAFETY: the emulator reads the block and ends.
    unsafe {
        asm!(
            ".inst.n 0xBABC", // HLT #0x3C
            in("r0") SYS_EXIT_EXTENDED, in("r1") block.as_ptr(),
            options(noreturn)
        );
    }
}
