//! The task that tries things.

use userlib::{TaskId, sys_recv_notification, sys_refresh_task_id, sys_send};

use crate::cases::{Case, all};
#[cfg(target_os = "none")]
use crate::protocol::WILL_TOUCH;
use crate::protocol::{ASSISTANT, DONE, NEXT, RAISE, first, word};

/// The task that tries things, and what it knows.
#[derive(Debug)]
pub struct Subject {
    /// Memory of the kernel and of other tasks, base and size: what must be out
    /// of reach where there is an MMU.
    pub foreign: &'static [(u32, u32)],
}

/// Asks for a case, tries it, says how it went, waits to be restarted.
pub fn run(subject: &Subject) -> ! {
    let mut answer = [0; 8];
    tell(NEXT, &[], &mut answer);
    let (number, round) = (word(&answer, 0), word(&answer, 1));
    let Case { run, .. } = all().nth(number as usize).expect("runner knows the same cases");
    let line = run(subject, round as usize).err().unwrap_or(0);
    tell(DONE, &line.to_le_bytes(), &mut []);
    loop {
        sys_recv_notification(0);
    }
}

fn tell(operation: u16, message: &[u8], answer: &mut [u8]) {
    sys_send(first(0), operation, message, answer, &[]);
}

impl Subject {
    /// The assistant.
    pub(crate) fn assistant(&self) -> TaskId {
        sys_refresh_task_id(first(ASSISTANT))
    }

    /// Says which address the coming fault is to tell.
    #[cfg(target_os = "none")]
    pub(crate) fn will_touch(&self, address: u32) {
        tell(WILL_TOUCH, &address.to_le_bytes(), &mut []);
    }

    /// Has its interrupt made pending.
    pub(crate) fn raise(&self) {
        tell(RAISE, &[], &mut []);
    }
}
