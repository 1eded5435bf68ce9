//! Client side of the supervisor.
//!
//! Any task may send to `jefe`, which answers at once and never waits for a
//! task. News of deaths and restarts is not fetched here: `jefe` posts the
//! `peer_changed` notification, and `sys_refresh_task_id` tells who it was
//! (crate `peers`).

#![no_std]

use abi::FaultInfo;
use idol_derive::IdolError;
use packed::Packed;

/// Bytes of a panic message that the supervisor keeps: its head names the file,
/// the line and the beginning of the cause.
pub const PANIC_HEAD: usize = 64;

/// What the supervisor remembers of a task.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Packed)]
pub struct Record {
    /// Restarts since the image booted.
    pub restarts: u32,
    /// Deaths since the image booted; one more than `restarts` while the task
    /// is held back before its restart.
    pub deaths: u32,
    /// Kernel time of the latest death, in ms; 0 when there was none.
    pub died_at: u64,
    /// What the task did to die, the last time.
    pub fault: Option<FaultInfo>,
}

/// Why the supervisor does not answer a question.
#[derive(Copy, Clone, Debug, PartialEq, Eq, IdolError, counters::Count)]
#[repr(u32)]
pub enum JefeError {
    /// The image has no task with this index: the caller's mistake.
    NoSuchTask = 1,
    /// The supervisor died, which stops the machine: nobody gets to see this.
    #[idol(server_death)]
    ServerDied,
}

include!(concat!(env!("OUT_DIR"), "/client_stub.rs"));
