//! How a task reaches the machine under it, per architecture.

#[cfg(target_os = "none")]
mod arm;
#[cfg(not(target_os = "none"))]
mod host;

#[cfg(target_os = "none")]
pub(crate) use arm::{notify_mask, short_syscall, syscall, task_slot};
#[cfg(not(target_os = "none"))]
pub(crate) use host::{notify_mask, short_syscall, syscall, task_slot};

#[cfg(target_os = "none")]
pub use arm::{Remains, Tables, abort};

/// The registers of a system call, r4 to r11; r11 carries the number on entry.
pub(crate) type Registers = [usize; 8];
