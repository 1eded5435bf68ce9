//! System calls and task slots, as tasks use them.
//!
//! The functions, their arguments and their meanings are those that a Hubris
//! task knows (Hubris reference, "Syscalls"). On a board each is a supervisor
//! call; on a host it goes to the simulator that runs the task. What differs
//! from Hubris is listed in `docs/kernel.md`.
//!
//! Not here: message formats (`idol_runtime` and the generated clients) and
//! anything with a policy.

#![no_std]

mod arch;
#[cfg(target_os = "none")]
mod binary;
mod call;
#[cfg(all(target_os = "none", feature = "counter"))]
pub mod counter;
pub mod hl;
mod idolatry;
pub mod kipc;
mod lease;
#[cfg(feature = "raw")]
pub mod raw;
mod slot;

pub use abi::{
    FaultInfo, FaultSource, Generation, IrqStatus, LeaseAttributes, ReplyFaultReason, SchedState,
    TIMER_MASK, TaskId, TaskState, UsageError, dead_response_code, extract_new_generation,
};
#[cfg(target_os = "none")]
pub use arch::{Remains, Tables, abort};
pub use call::{
    ClosedRecvError, RecvMessage, TimerState, set_timer_relative, sys_borrow_info, sys_borrow_read,
    sys_borrow_write, sys_get_timer, sys_irq_control, sys_irq_control_clear_pending,
    sys_irq_status, sys_panic, sys_post, sys_recv, sys_recv_notification, sys_recv_open,
    sys_refresh_task_id, sys_reply, sys_reply_fault, sys_reply_recv, sys_send, sys_set_timer,
};
pub use lease::Lease;
pub use slot::{TaskSlot, notify_mask};
