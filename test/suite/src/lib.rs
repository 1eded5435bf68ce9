//! Every fault, every error of a system call, and isolation, tried from a task.
//!
//! Three tasks: the runner (the supervisor) tells the subject which case to try
//! and judges how that ended: with the subject's word, or with the fault that
//! the case must lead to. Then it restarts the subject for the next. The
//! assistant is the server that the subject needs for some. On a board the
//! runner writes a line a case to the serial port; in the simulator the same
//! tasks run with the same lines, but for the cases that need an MMU
//! (`trespass`), which there are the simulator's to enforce.

#![cfg_attr(target_os = "none", no_std)]

pub mod assistant;
mod cases;
mod protocol;
pub mod runner;
pub mod subject;
#[cfg(target_os = "none")]
mod trespass;
