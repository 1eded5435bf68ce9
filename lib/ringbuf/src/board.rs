//! Rings on a board: statics of the task, read by the debugger from outside.
//!
//! Field names are Humility's (`StaticCell` holds `cell`, an `UnsafeCell`).

#![allow(unsafe_code, reason = "one mutable static per ring, and the counter")]

use crate::{Payload, Ringbuf};
use core::arch::asm;
use core::cell::UnsafeCell;

/// A static that one task changes and the debugger reads.
pub struct StaticCell<T> {
    cell: UnsafeCell<T>,
}

// SAFETY: a task is one thread of execution, and statics belong to one task;
// nothing interrupts it with code of its own. A second thread in a task would
// break this.
unsafe impl<T> Sync for StaticCell<T> {}

impl<T> core::fmt::Debug for StaticCell<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("StaticCell")
    }
}

impl<T: Payload, const N: usize> StaticCell<Ringbuf<T, N>> {
    /// A cell that holds `initial`; the debugger knows its name.
    #[must_use]
    pub const fn new(_name: &'static str, initial: Ringbuf<T, N>) -> Self {
        Self { cell: UnsafeCell::new(initial) }
    }

    /// Adds an event.
    pub fn record(&self, line: u16, payload: T) {
        // SAFETY: no other reference to the ring lives: those made here and
        // below end before any code of the payload's type runs, which is the
        // only code that could come back into this function. Comparing inside
        // the reference's life would break this.
        let latest = unsafe { (*self.cell.get()).latest() };
        let repeats = latest.is_some_and(|latest| latest.is(line, payload));
        let time = now();
        // SAFETY: as above; `write` runs no code of the payload's type.
        unsafe { (*self.cell.get()).write(time, line, payload, repeats) };
    }
}

/// The generic timer's counter (CNTPCT, ARM ARM B8.1.2), which the kernel lets
/// tasks read. Both cores have the same.
fn now() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register that affects nothing. Where the kernel does not
    // let tasks read it, it faults the task and nobody else.
    unsafe {
        asm!(
            "mrrc p15, 0, {}, {}, c14",
            out(reg) low, out(reg) high,
            options(nomem, nostack, preserves_flags)
        );
    }
    u64::from(low) | u64::from(high) << 32
}
