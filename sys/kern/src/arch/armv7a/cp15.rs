//! The system control registers that the kernel uses, and barriers.

use core::arch::asm;

/// Declares readers and writers of system registers (ARM ARM B3.17).
macro_rules! registers {
    ($($(#[$doc:meta])* $kind:ident $name:ident: $op1:literal, $crn:literal, $crm:literal, $op2:literal;)*) => {
        $(registers!(@ $(#[$doc])* $kind $name, $op1, $crn, $crm, $op2);)*
    };
    (@ $(#[$doc:meta])* read $name:ident, $op1:literal, $crn:literal, $crm:literal, $op2:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name() -> u32 {
            let value;
            // SAFETY: reading this register has no effect on memory.
            unsafe {
                asm!(
                    concat!("mrc p15, ", $op1, ", {}, c", $crn, ", c", $crm, ", ", $op2),
                    out(reg) value,
                    options(nomem, nostack, preserves_flags)
                );
            }
            value
        }
    };
    (@ $(#[$doc:meta])* write $name:ident, $op1:literal, $crn:literal, $crm:literal, $op2:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// What the new value changes must be right for all that runs after it.
        #[inline(always)]
        pub(super) unsafe fn $name(value: u32) {
            // SAFETY: the caller answers for the value.
            unsafe {
                asm!(
                    concat!("mcr p15, ", $op1, ", {}, c", $crn, ", c", $crm, ", ", $op2),
                    in(reg) value,
                    options(nostack, preserves_flags)
                );
            }
        }
    };
}

registers! {
    /// SCTLR.
    read sctlr: 0, 1, 0, 0;
    /// SCTLR.
    write set_sctlr: 0, 1, 0, 0;
    /// ACTLR.
    read actlr: 0, 1, 0, 1;
    /// ACTLR.
    write set_actlr: 0, 1, 0, 1;
    /// TTBR0.
    write set_ttbr0: 0, 2, 0, 0;
    /// TTBR1.
    write set_ttbr1: 0, 2, 0, 1;
    /// TTBCR.
    write set_ttbcr: 0, 2, 0, 2;
    /// DACR.
    write set_dacr: 0, 3, 0, 0;
    /// DFSR.
    read dfsr: 0, 5, 0, 0;
    /// IFSR.
    read ifsr: 0, 5, 0, 1;
    /// DFAR.
    read dfar: 0, 6, 0, 0;
    /// ICIALLU.
    write invalidate_instructions: 0, 7, 5, 0;
    /// BPIALL.
    write invalidate_branches: 0, 7, 5, 6;
    /// TLBIALL.
    write invalidate_tlb: 0, 8, 7, 0;
    /// VBAR.
    write set_vbar: 0, 12, 0, 0;
    /// CONTEXTIDR.
    write set_contextidr: 0, 13, 0, 1;
    /// CNTFRQ.
    read cntfrq: 0, 14, 0, 0;
    /// CNTKCTL.
    write set_cntkctl: 0, 14, 1, 0;
    /// CNTP_CTL.
    write set_cntp_ctl: 0, 14, 2, 1;
}

/// CNTPCT, after everything before it.
pub(super) fn cntpct() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading the counter has no effect on memory.
    unsafe {
        asm!(
            "isb",
            "mrrc p15, 0, {}, {}, c14",
            out(reg) low, out(reg) high,
            options(nomem, nostack, preserves_flags)
        );
    }
    u64::from(low) | u64::from(high) << 32
}

/// Sets CNTP_CVAL.
///
/// # Safety
/// The timer must be wanted to fire at `value`.
pub(super) unsafe fn set_cntp_cval(value: u64) {
    // SAFETY: the caller answers for the value.
    unsafe {
        asm!(
            "mcrr p15, 2, {}, {}, c14",
            in(reg) value as u32, in(reg) (value >> 32) as u32,
            options(nomem, nostack, preserves_flags)
        );
    }
}

/// Instruction synchronisation.
#[inline(always)]
pub(super) fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// All earlier accesses are done.
#[inline(always)]
pub(super) fn dsb() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb", options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt is pending, masked or not (ARM ARM B1.8.14).
pub(super) fn wfi() {
    // SAFETY: a hint; the interrupt that ends it is taken by the caller.
    unsafe { asm!("dsb", "wfi", options(nostack, preserves_flags)) };
}

/// Lets another hardware thread, or the emulator's other core, go on.
pub(super) fn yield_hint() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}
