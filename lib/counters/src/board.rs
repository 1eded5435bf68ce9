//! Counters on a board: plain words in the task's RAM.
//!
//! The type and its field are what Humility's `counters` looks for: a struct
//! whose name starts with `AtomicU32` and that holds `v`, an `UnsafeCell` of
//! the number. `core`'s own atomic changes shape with the compiler's version.

#![allow(unsafe_code, reason = "a shared static without core's atomic type")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32 as Atomic, Ordering};

/// One counter.
pub struct AtomicU32 {
    v: UnsafeCell<u32>,
}

// SAFETY: the cell is private and reached through `word` alone, as an atomic.
// Handing out a plain pointer to it would break this.
unsafe impl Sync for AtomicU32 {}

impl AtomicU32 {
    /// A counter that stands at `value`.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self { v: UnsafeCell::new(value) }
    }

    /// Counts one; wraps at 2^32.
    pub fn increment(&self) {
        self.word().fetch_add(1, Ordering::Relaxed);
    }

    /// Where the counter stands.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.word().load(Ordering::Relaxed)
    }

    fn word(&self) -> &Atomic {
        // SAFETY: `u32` in a cell has the size and alignment of an atomic, it
        // lives as long as `self`, and no other access to it exists.
        unsafe { Atomic::from_ptr(self.v.get()) }
    }
}

impl core::fmt::Debug for AtomicU32 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}
