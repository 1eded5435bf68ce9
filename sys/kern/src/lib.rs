//! The kernel: one architecture-free core and its architectures.
//!
//! Static tasks with strict priorities, synchronous messages with leases,
//! notifications, one timer a task, generations, and faults that go to a
//! supervisor. The model, the words and the system calls are Hubris'; what
//! differs is listed in `docs/kernel.md`. There is no heap, no lock and no
//! policy here: [`Kernel`] is a value, its entry points are
//! [`syscall`](Kernel::syscall), [`interrupt`](Kernel::interrupt) and
//! [`tick`](Kernel::tick), and each answers who runs next.
//!
//! A task's index is its rank of importance, 0 (the supervisor) first. That
//! makes the set of tasks that can run one word, and choosing among them one
//! instruction; no path that a message takes looks at a third task.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

pub mod arch;
mod borrow;
mod err;
mod irq;
mod kernel;
mod kipc;
mod platform;
mod quick;
mod syscalls;
mod task;
mod time;
mod umem;

pub use kernel::{Kernel, KernelPanic};
pub use platform::{Irq, IrqOwner, Platform};
pub use task::{
    NotificationSet, REGIONS_PER_TASK, RegionDesc, Task, TaskDesc, TaskIndex, Timer, Timestamp,
};
