//! How the kernel dies: with its last words where a debugger looks for them.
//!
//! Humility reads `KERNEL_HAS_FAILED` and `KERNEL_EPITAPH` by name.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::fmt::{self, Write};
use core::panic::PanicInfo;

use super::image::image;
use super::semihosting;

/// Bytes of last words; the rest is cut off.
const EPITAPH: usize = 128;

/// A static of the kernel: one core, and nothing interrupts it.
#[repr(transparent)]
pub(super) struct Global<T>(pub(super) UnsafeCell<T>);

// SAFETY: the kernel runs on one core with interrupts masked, so that there is
// no second thread to share with. Whoever makes references out of the cell
// still answers for there being one at a time.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }
}

#[unsafe(no_mangle)]
#[used]
static KERNEL_HAS_FAILED: Global<bool> = Global::new(false);

#[unsafe(no_mangle)]
#[used]
static KERNEL_EPITAPH: Global<[u8; EPITAPH]> = Global::new([0; EPITAPH]);

/// Text, up to the last byte but one of its buffer.
struct Words<'b> {
    buffer: &'b mut [u8; EPITAPH],
    len: usize,
}

impl Write for Words<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let len = text.len().min(EPITAPH - 1 - self.len);
        self.buffer[self.len..][..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

global_asm!(
    // Where the kernel ends. An interrupt that is pending, and never taken, ends
    // every WFI; YIELD then lets the emulator's other core, whose streams play
    // on, have the time. It costs the emulator more than thousands of
    // instructions do, so there are some between.
    ".section .text.sotto_halt, \"ax\"",
    ".syntax unified",
    ".arm",
    ".global sotto_halt",
    ".type sotto_halt, %function",
    "sotto_halt:",
    "   wfi",
    "   yield",
    "   mov r0, #4096",
    "1: subs r0, r0, #1",
    "   bne 1b",
    "   b sotto_halt",
    ".size sotto_halt, . - sotto_halt",
);

unsafe extern "C" {
    safe fn sotto_halt() -> !;
}

/// Writes the epitaph and stops; the panic handler of the kernel's binary.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    let failed = KERNEL_HAS_FAILED.0.get();
    // SAFETY: one core, and this function is not entered twice: the first time
    // sets the flag, and the second goes straight to the end.
    unsafe {
        if !*failed {
            *failed = true;
            let mut words = Words { buffer: &mut *KERNEL_EPITAPH.0.get(), len: 0 };
            // `Words` takes everything.
            let _ = write!(words, "{info}");
            if image().options.semihosting
                && let Ok(text) = CStr::from_bytes_until_nul(&*KERNEL_EPITAPH.0.get())
            {
                semihosting::write(c"kernel has panicked: ");
                semihosting::write(text);
                semihosting::write(c"\n");
                semihosting::exit(semihosting::FAILURE);
            }
        }
    }
    sotto_halt()
}
