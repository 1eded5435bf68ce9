//! The other core: started once, and nothing to the kernel from then on.

use core::arch::asm;

/// PSCI CPU_ON (ARM DEN 0022 5.4), and the core it is about, by its MPIDR.
const CPU_ON: u32 = 0x8400_0003;
const CORE_1: u32 = 1;

/// Starts core 1 at `entry`, bit 0 set for Thumb state.
///
/// # Panics
/// When firmware refuses: a board without the core that its image is for.
///
/// # Safety
/// What is at `entry` must keep to memory and registers of its own, and the
/// interrupt distributor must be set up.
pub(super) unsafe fn start(entry: u32) {
    let mut status = CPU_ON;
    // SAFETY: firmware changes r0 to r3; the caller answers for what runs then.
    unsafe {
        asm!(
            ".arch_extension virt", "dsb", "hvc #0",
            inout("r0") status, inout("r1") CORE_1 => _, inout("r2") entry => _,
            inout("r3") 0 => _,
            options(nostack)
        );
    }
    assert!(status == 0, "core 1 cannot be started");
}
