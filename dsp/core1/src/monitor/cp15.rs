//! The system control registers that the monitor uses, and barriers.

use core::arch::asm;

/// Declares readers and writers of system registers (ARM ARM B3.17).
macro_rules! registers {
    ($($(#[$doc:meta])* $kind:ident $name:ident: $place:literal;)*) => {
        $(registers!(@ $(#[$doc])* $kind $name, $place);)*
    };
    (@ $(#[$doc:meta])* read $name:ident, $place:literal) => {
        $(#[$doc])*
        pub(super) fn $name() -> u32 {
            let value;
            // SAFETY: reading this register has no effect on memory.
            unsafe {
                asm!(
                    concat!("mrc p15, ", $place), value = out(reg) value,
                    options(nomem, nostack, preserves_flags)
                );
            }
            value
        }
    };
    (@ $(#[$doc:meta])* write $name:ident, $place:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// What the new value changes must be right for all that runs after it.
        pub(super) unsafe fn $name(value: u32) {
            // SAFETY: the caller answers for the value.
            unsafe {
                asm!(
                    concat!("mcr p15, ", $place), value = in(reg) value,
                    options(nostack, preserves_flags)
                );
            }
        }
    };
}

registers! {
    /// SCTLR.
    read sctlr: "0, {value}, c1, c0, 0";
    /// SCTLR.
    write set_sctlr: "0, {value}, c1, c0, 0";
    /// ACTLR.
    read actlr: "0, {value}, c1, c0, 1";
    /// ACTLR.
    write set_actlr: "0, {value}, c1, c0, 1";
    /// TTBR0.
    write set_ttbr0: "0, {value}, c2, c0, 0";
    /// TTBCR.
    write set_ttbcr: "0, {value}, c2, c0, 2";
    /// DACR.
    write set_dacr: "0, {value}, c3, c0, 0";
    /// DFAR.
    read dfar: "0, {value}, c6, c0, 0";
    /// PAR.
    read par: "0, {value}, c7, c4, 0";
    /// ICIALLU.
    write invalidate_instructions: "0, {value}, c7, c5, 0";
    /// BPIALL.
    write invalidate_branches: "0, {value}, c7, c5, 6";
    /// ATS1CUR: what unprivileged code would read at an address, to PAR.
    write translate_unprivileged_read: "0, {value}, c7, c8, 2";
    /// TLBIALL.
    write invalidate_tlb: "0, {value}, c8, c7, 0";
    /// VBAR.
    write set_vbar: "0, {value}, c12, c0, 0";
    /// CONTEXTIDR.
    write set_contextidr: "0, {value}, c13, c0, 1";
    /// CNTFRQ.
    read cntfrq: "0, {value}, c14, c0, 0";
    /// CNTKCTL.
    write set_cntkctl: "0, {value}, c14, c1, 0";
    /// CNTP_CTL.
    write set_cntp_ctl: "0, {value}, c14, c2, 1";
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
pub(super) fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// All earlier accesses are done.
pub(super) fn dsb() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb", options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt is pending, masked or not (ARM ARM B1.8.14).
pub(super) fn wfi() {
    // SAFETY: a hint; the interrupt that ends it is taken by the caller.
    unsafe { asm!("dsb", "wfi", options(nostack, preserves_flags)) };
}
