//! What the kernel needs from the machine and the image around it.
//!
//! Interrupt controller, clock, the tables that the build made out of
//! `app.toml`, and the two ways to end. Access to user memory and to saved
//! registers is [`Arch`](crate::arch::Arch)'s.

use abi::{FaultInfo, Generation};

use crate::arch::SavedState;

use crate::{KernelPanic, NotificationSet, TaskDesc, TaskIndex, Timestamp};

/// An interrupt as the controller numbers it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Irq(pub u32);

/// Whom an interrupt wakes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct IrqOwner {
    /// The task.
    pub task: TaskIndex,
    /// The bits it gets.
    pub notification: NotificationSet,
}

/// The machine and the image around the kernel.
pub trait Platform {
    /// Milliseconds since start.
    fn now(&self) -> Timestamp;

    /// The kernel wants [`Kernel::tick`](crate::Kernel::tick) at `deadline`,
    /// or never. Called only when this changes.
    fn set_deadline(&mut self, deadline: Option<Timestamp>);

    /// Notification bits that `from` may post to `to`.
    fn post_mask(&self, from: TaskIndex, to: TaskIndex) -> NotificationSet;

    /// Whom `irq` belongs to.
    fn irq_owner(&self, irq: Irq) -> Option<IrqOwner>;

    /// The interrupts of `task`, with the bits each maps to, by position;
    /// `None` past the last.
    fn irq_of(&self, task: TaskIndex, position: usize) -> Option<(Irq, NotificationSet)>;

    /// Lets `irq` interrupt.
    fn irq_enable(&mut self, irq: Irq);

    /// Keeps `irq` from interrupting; it can still become pending.
    fn irq_disable(&mut self, irq: Irq);

    /// Makes `irq` not pending.
    fn irq_clear_pending(&mut self, irq: Irq);

    /// Makes `irq` pending, as if its device had raised it.
    fn irq_pend(&mut self, irq: Irq);

    /// Whether `irq` may interrupt.
    fn irq_is_enabled(&self, irq: Irq) -> bool;

    /// Whether `irq` is pending.
    fn irq_is_pending(&self, irq: Irq) -> bool;

    /// Task `task` begins a new incarnation: `save` must be made so that
    /// running it enters `descriptor`'s entry point on an empty stack.
    fn begin(
        &mut self,
        task: TaskIndex,
        generation: Generation,
        descriptor: &TaskDesc,
        save: &mut SavedState,
    );

    /// Task `task` was faulted; for traces.
    fn faulted(&mut self, _task: TaskIndex, _fault: FaultInfo) {}

    /// The image's identity.
    fn image_id(&self) -> u64;

    /// Resets the machine. May return where there is no machine; the kernel
    /// then runs nothing any more.
    fn reset(&mut self);

    /// The kernel cannot go on. May return, as [`reset`](Self::reset).
    fn kernel_panic(&mut self, why: KernelPanic);
}
