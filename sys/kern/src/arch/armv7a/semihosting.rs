//! The two ways out of the machine: PSCI, and the emulator's semihosting.
//!
//! Semihosting as in "Semihosting for AArch32 and AArch64" (Arm), PSCI as in
//! ARM DEN 0022. The board's firmware interface is reached by HVC.

use core::arch::asm;

/// Statuses of the emulator's process.
pub(super) const SUCCESS: u32 = 0;
pub(super) const FAILURE: u32 = 1;

/// SYS_WRITE0: a string that ends with a zero byte.
const SYS_WRITE0: u32 = 0x04;
/// SYS_EXIT_EXTENDED: a reason and a status.
const SYS_EXIT_EXTENDED: u32 = 0x20;
/// ADP_Stopped_ApplicationExit.
const APPLICATION_EXIT: u32 = 0x2_0026;

/// PSCI SYSTEM_RESET.
const SYSTEM_RESET: u32 = 0x8400_0009;

/// Ends the emulator with `status`.
pub(super) fn exit(status: u32) {
    let block = [APPLICATION_EXIT, status];
    call(SYS_EXIT_EXTENDED, block.as_ptr().addr());
}

/// Writes `text`, which ends with a zero byte, on the emulator's terminal.
pub(super) fn write(text: &core::ffi::CStr) {
    call(SYS_WRITE0, text.as_ptr().addr());
}

fn call(operation: u32, argument: usize) {
    // SAFETY: the block or string at `argument` lives over the call; the two
    // operations used here write no memory. Only boards that say they have
    // semihosting get here: elsewhere HLT is undefined.
    unsafe {
        asm!(
            ".inst.n 0xBABC", // HLT #0x3C
            inout("r0") operation => _, in("r1") argument,
            options(nostack)
        );
    }
}

/// Resets the machine.
pub(super) fn system_reset() {
    // SAFETY: firmware ends everything; should it refuse, only r0 to r3 change.
    unsafe {
        asm!(
            ".arch_extension virt", "hvc #0",
            inout("r0") SYSTEM_RESET => _, out("r1") _, out("r2") _, out("r3") _,
            options(nostack)
        );
    }
}
