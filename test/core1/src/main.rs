//! The DSP core of a board, tried from core 0 without a kernel.
//!
//! Core 0 starts core 1 as the kernel does and then plays everybody that core 1
//! knows: `dsp_link`, the broker, `xhci`, `iommu`, the controller. One line for
//! each case goes to the serial port; the emulator's exit status tells how it
//! ended. QEMU has no caches and core 0 no MMU here, so that this says nothing
//! about memory order; translations, privileges and interrupts are real.

#![no_std]
#![no_main]

mod cases;
mod machine;
mod peers;

use core::panic::PanicInfo;

// Links again when the script changes.
const _: &str = include_str!("../image.x");

/// What the build says: where things are.
mod image {
    include!(env!("SOTTO_CORE1_TEST"));
}

#[unsafe(no_mangle)]
extern "C" fn core1_test() -> ! {
    cases::run();
    machine::exit(true)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    machine::say(format_args!("{info}"));
    machine::exit(false)
}
