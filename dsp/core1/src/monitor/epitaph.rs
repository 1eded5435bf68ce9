//! How the monitor dies: in silence, with its last words where a debugger finds
//! them.
//!
//! The program runs no more; gates and translations are no longer answered, and
//! the application core's deadlines do the rest (DESIGN rule 6).

use super::cp15;
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::panic::PanicInfo;

/// Bytes of last words; the rest is cut off.
const EPITAPH: usize = 128;

/// A static of the monitor: one core, and nothing interrupts it.
#[repr(transparent)]
pub(super) struct Global<T>(UnsafeCell<T>);

// SAFETY: the monitor runs on one core with interrupts masked, so there is no
// second thread to share with. Whoever makes references out of the cell answers
// for there being one at a time.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub(super) const fn get(&self) -> *mut T {
        self.0.get()
    }
}

#[unsafe(no_mangle)]
#[used]
static CORE1_EPITAPH: Global<[u8; EPITAPH]> = Global::new([0; EPITAPH]);

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

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // SAFETY: this core's only user of the static, and it never returns. A
    // panic in `write` itself would come here again and write over words that
    // nobody has a use for.
    let mut words = Words { buffer: unsafe { &mut *CORE1_EPITAPH.get() }, len: 0 };
    // `Words` takes everything.
    let _ = write!(words, "{info}");
    loop {
        cp15::wfi();
    }
}
