//! How a task reaches the machine under it, per architecture.

#[cfg(not(target_os = "none"))]
mod host;

#[cfg(not(target_os = "none"))]
pub(crate) use host::{notify_mask, syscall, task_slot};

/// The registers of a system call, r4 to r11; r11 carries the number on entry.
pub(crate) type Registers = [usize; 8];
