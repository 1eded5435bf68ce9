//! Helpers over the system calls that any task may want.
//!
//! They use the timer notification [`TIMER_MASK`] and the task's one timer; a
//! task that uses its timer for something else must not call them.

use abi::TIMER_MASK;

use crate::{sys_get_timer, sys_recv_notification, sys_set_timer};

/// Does nothing for `ticks` milliseconds.
pub fn sleep_for(ticks: u64) {
    sleep_until(sys_get_timer().now.saturating_add(ticks));
}

/// Does nothing until the kernel's time is `deadline`.
pub fn sleep_until(deadline: u64) {
    sys_set_timer(Some(deadline), TIMER_MASK);
    loop {
        sys_recv_notification(TIMER_MASK);
        // The bit may be left over from an earlier timer.
        if sys_get_timer().now >= deadline {
            return;
        }
    }
}
