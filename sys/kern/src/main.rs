//! The kernel of one image.
//!
//! The image's tables are written by `build/image`, which names the file in
//! `SOTTO_IMAGE` when it builds this.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

include!(env!("SOTTO_IMAGE"));

// Links again when the script changes.
const _: &str = include_str!("../kernel.x");

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    kern::arch::armv7a::panic(info)
}
