//! What a DSP program stands on, on a board: the other side of core 1's monitor.
//!
//! A program is a crate of its own that becomes a binary by [`program!`]. What
//! ships is `program::main`; tests have another.

#![no_std]

#[cfg(target_os = "none")]
use runtime as _;

#[cfg(target_os = "none")]
mod supervised;

#[cfg(target_os = "none")]
pub use supervised::{SPACE_END, Supervised, end};

/// Makes a binary a DSP program: where the monitor begins each of its lives, and
/// what its panics become.
#[macro_export]
macro_rules! program {
    ($main:expr) => {
        // Links again when the script changes.
        const _: &str =
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dsp/core1/program.x"));

        /// Where the monitor starts the program.
        #[unsafe(no_mangle)]
        extern "C" fn sotto_program() -> ! {
            $main
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $crate::end()
        }
    };
}
