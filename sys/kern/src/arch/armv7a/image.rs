//! What the build says of the whole image.
//!
//! `build/image` writes one [`Image`] into the kernel's binary, as the static
//! `SOTTO_IMAGE`; everything in it follows from a checked app.toml.

use core::cell::UnsafeCell;

use crate::platform::{Irq, IrqOwner};
use crate::task::{NotificationSet, Task, TaskDesc, TaskIndex};

use super::mmu::TableSpace;

pub use tables::Span;

/// Entry of [`Image::rows_by_interrupt`] of an interrupt that nobody owns.
pub const NO_INTERRUPT: u8 = 0xFF;

/// One interrupt and whom it wakes.
#[derive(Copy, Clone, Debug)]
pub struct InterruptRow {
    /// Its number.
    pub irq: Irq,
    /// Whom it wakes.
    pub owner: IrqOwner,
}

/// What differs from board to board.
#[derive(Copy, Clone, Debug)]
pub struct Options {
    /// While a task runs, an interrupt every millisecond executes YIELD. QEMU
    /// 7.2 under `-icount` gives its other core no time otherwise.
    pub slice: bool,
    /// A reset ends the emulator with status 0, a panic with status 1.
    pub semihosting: bool,
}

/// The image.
#[derive(Debug)]
pub struct Image {
    /// The kernel's own record of the tasks.
    pub tasks: &'static dyn TaskTableSpace,
    /// Descriptors of the tasks.
    pub descriptors: &'static [TaskDesc],
    /// The tasks that run from the start, as a set.
    pub start: u32,
    /// Bits that task `from` may post to task `to`, at `from * tasks + to`.
    pub posts: &'static [u32],
    /// Interrupts, those of one task together.
    pub interrupts: &'static [InterruptRow],
    /// Where each task's interrupts begin in `interrupts`, and the end.
    pub interrupts_of: &'static [u8],
    /// Position in `interrupts` of each interrupt number.
    pub rows_by_interrupt: &'static [u8],
    /// Code and constants of all tasks, whole megabytes.
    pub flash: Span,
    /// RAM of all tasks, whole megabytes.
    pub ram: Span,
    /// Room for the translation tables.
    pub tables: &'static dyn TableSpace,
    /// Pools that are zero before anything else runs.
    pub zeroed: &'static [Span],
    /// Where the other core starts, when it has something to run.
    pub core1: Option<u32>,
    /// What differs from board to board.
    pub options: Options,
}

/// Where the kernel keeps its tasks, whatever their number.
pub trait TaskTableSpace: Sync + core::fmt::Debug {
    /// The tasks.
    fn get(&self) -> *mut [Task];
}

/// Room for `N` tasks; Humility finds it as `HUBRIS_TASK_TABLE_SPACE`.
#[derive(Debug)]
#[repr(transparent)]
pub struct TaskTable<const N: usize>(UnsafeCell<[Task; N]>);

// SAFETY: only `boot` takes the contents, once, on the one core that runs the
// kernel.
unsafe impl<const N: usize> Sync for TaskTable<N> {}

impl<const N: usize> TaskTable<N> {
    /// The tasks as they are before boot.
    #[must_use]
    pub const fn new(tasks: [Task; N]) -> Self {
        Self(UnsafeCell::new(tasks))
    }
}

impl<const N: usize> TaskTableSpace for TaskTable<N> {
    fn get(&self) -> *mut [Task] {
        self.0.get()
    }
}

unsafe extern "Rust" {
    safe static SOTTO_IMAGE: Image;
}

/// The image that the kernel was linked with.
#[inline(always)]
pub(super) fn image() -> &'static Image {
    &SOTTO_IMAGE
}

impl Image {
    #[inline(always)]
    pub(super) fn post_mask(&self, from: TaskIndex, to: TaskIndex) -> NotificationSet {
        NotificationSet(self.posts[from.get() * self.descriptors.len() + to.get()])
    }

    #[inline(always)]
    pub(super) fn irq_owner(&self, irq: Irq) -> Option<IrqOwner> {
        let &row = self.rows_by_interrupt.get(irq.0 as usize)?;
        self.interrupts.get(usize::from(row)).map(|row| row.owner)
    }

    pub(super) fn irq_of(
        &self,
        task: TaskIndex,
        position: usize,
    ) -> Option<(Irq, NotificationSet)> {
        let first = usize::from(self.interrupts_of[task.get()]);
        let end = usize::from(self.interrupts_of[task.get() + 1]);
        let row = self.interrupts[first..end].get(position)?;
        Some((row.irq, row.owner.notification))
    }
}
