//! ARMv7-A: a Cortex-A15 under an MMU with short descriptors and a GICv2.
//!
//! Entry points are a few instructions of A32 (only A32 stores another mode's
//! registers in one instruction); all else is Thumb-2. The kernel keeps r0 to
//! r15 and cpsr of each task, runs with interrupts masked, and sees user memory
//! through a window of its own (see [`mmu`]), so that copying needs no address
//! space to be switched. One core runs it.
//!
//! Not here: which tasks there are. That is an [`Image`], a static of the
//! kernel's binary that `build/image` writes.
//!
//! Sections cited are those of the ARM Architecture Reference Manual ARMv7-A,
//! issue C.d (ARM ARM).

#![allow(unsafe_code)]

mod boot;
mod context;
mod copy;
mod core1;
mod cp15;
mod epitaph;
mod faults;
mod fill;
mod gic;
mod image;
mod machine;
mod mmu;
mod platform;
mod remains;
mod semihosting;
mod sleeps;
mod timer;
mod vectors;

pub use context::SavedState;
pub use epitaph::panic;
pub use image::{Image, InterruptRow, NO_INTERRUPT, Options, Span, TaskTable};
pub use mmu::TranslationTables;

use super::Arch;
use crate::task::{Task, Timestamp};
use crate::umem::{Readable, Writable};
use abi::TaskId;

/// The ARMv7-A architecture.
#[derive(Debug)]
pub enum Armv7a {}

impl Arch for Armv7a {
    type Address = u32;
    type SavedState = SavedState;

    #[inline]
    fn copy(from: Readable, to: Writable) -> usize {
        let len = from.len().min(to.len());
        // SAFETY: both lie in regions of tasks (that is what the types stand
        // for), none of them device or DMA memory, so the window shows them.
        // A region outside the spans of the image would break this; the build
        // makes the spans out of the regions.
        unsafe { copy::copy(mmu::in_window(to.base()), mmu::in_window(from.base()), len) };
        len
    }

    fn read(from: Readable, into: &mut [u8]) -> usize {
        let len = from.len().min(into.len());
        // SAFETY: as in `copy`; `into` is the kernel's own.
        unsafe { copy::copy(into.as_mut_ptr() as usize, mmu::in_window(from.base()), len) };
        len
    }

    fn write(from: &[u8], to: Writable) -> usize {
        let len = from.len().min(to.len());
        // SAFETY: as in `copy`; `from` is the kernel's own.
        unsafe { copy::copy(mmu::in_window(to.base()), from.as_ptr() as usize, len) };
        len
    }

    fn remains(of: &Task, id: TaskId, now: Timestamp, to: Writable) -> usize {
        remains::copy_out(of, id, now, to)
    }

    #[inline]
    fn word(address: u32) -> usize {
        address as usize
    }

    fn report(address: u32) -> Option<u32> {
        Some(address)
    }
}
