//! Names of the tasks that a task may send to.
//!
//! A task's source names its servers by slot; `app.toml` says which task fills
//! each slot. What is not a declared slot cannot be named, and the kernel
//! faults a SEND that goes round this.

use abi::{Generation, TaskId};

use crate::{arch, sys_refresh_task_id};

/// A server as its client's source names it; made by [`task_slot!`](crate::task_slot).
#[derive(Debug)]
pub struct TaskSlot {
    name: &'static str,
}

impl TaskSlot {
    /// The slot `name`; use the macro.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }

    /// Index of the task in this slot.
    ///
    /// # Panics
    /// When `app.toml` gives the running task no such slot.
    #[must_use]
    pub fn get_task_index(&self) -> u16 {
        arch::task_slot(self.name).expect("app.toml gives this task no such slot")
    }

    /// The task in this slot, in its current incarnation.
    ///
    /// # Panics
    /// When `app.toml` gives the running task no such slot.
    #[must_use]
    pub fn get_task_id(&self) -> TaskId {
        sys_refresh_task_id(TaskId::new(self.get_task_index(), Generation::default()))
    }
}

/// Notification bits that `app.toml` lets the running task post to `target`.
#[must_use]
pub fn notify_mask(target: TaskId) -> u32 {
    arch::notify_mask(target.index() as u16)
}

/// Declares a static [`TaskSlot`]: `task_slot!(JEFE, jefe);`, or with `pub` in
/// front of the name.
#[macro_export]
macro_rules! task_slot {
    ($(#[$attribute:meta])* $vis:vis $name:ident, $slot:ident) => {
        $(#[$attribute])*
        $vis static $name: $crate::TaskSlot = $crate::TaskSlot::new(stringify!($slot));
    };
}
