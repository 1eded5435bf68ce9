//! The generic timer's counter, for images that measure.

use core::arch::asm;

/// The counter (CNTPCT). No barrier: an emulator that counts instructions needs
/// none, and nothing else should take a single reading for exact.
#[inline(always)]
#[must_use]
pub fn now() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register.
    unsafe {
        asm!(
            "mrrc p15, 0, {}, {}, c14",
            out(reg) low, out(reg) high,
            options(nostack, preserves_flags)
        );
    }
    u64::from(low) | u64::from(high) << 32
}

/// Executes exactly `2 * rounds` instructions.
#[inline(always)]
pub fn spend(rounds: u32) {
    if rounds > 0 {
        // SAFETY: touches nothing but its counter.
        unsafe {
            asm!(
                "2: subs {0}, {0}, #1",
                "bne 2b",
                inout(reg) rounds => _,
                options(nostack)
            );
        }
    }
}
