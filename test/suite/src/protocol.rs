//! Who the tasks are and what they say to each other.

use userlib::{Generation, TaskId};

/// Indices of the tasks; app-suite.toml has them in this order.
pub(crate) const ASSISTANT: usize = 1;
/// The subject's.
pub(crate) const SUBJECT: usize = 2;
/// Of a task that the subject may neither SEND nor POST to.
pub(crate) const BYSTANDER: usize = 3;
/// Of no task.
pub(crate) const NOBODY: usize = 4;

/// Task `index` in its first incarnation.
pub(crate) const fn first(index: usize) -> TaskId {
    TaskId::new(index as u16, Generation(0))
}

/// To the runner: which case? Answered with its number and its round.
pub(crate) const NEXT: u16 = 0;
/// To the runner: the case ended; 0, or the line of what was not as it should.
pub(crate) const DONE: u16 = 1;
/// To the runner: the address that the coming fault is to tell.
pub(crate) const WILL_TOUCH: u16 = 2;
/// To the runner: make the subject's interrupt pending.
pub(crate) const RAISE: u16 = 3;

/// To the assistant: answer what is sent.
pub(crate) const ECHO: u16 = 0;
/// To the assistant: answer 100 bytes of 7.
pub(crate) const LONG: u16 = 1;
/// To the assistant: answer with a fault.
pub(crate) const FAULT_ME: u16 = 2;
/// To the assistant: panic.
pub(crate) const CRASH: u16 = 3;
/// To the assistant: read a lease (index, offset); answer code, count, bytes.
pub(crate) const READ: u16 = 4;
/// To the assistant: write `abcd` to a lease (index, offset); answer code,
/// count.
pub(crate) const WRITE: u16 = 5;
/// To the assistant: answer code, attributes and length of a lease (index).
pub(crate) const INFO: u16 = 6;
/// To the assistant: answer, then hint.
pub(crate) const HINT: u16 = 7;
/// To the assistant: answer, then read the lease; [`LAST`] tells how it went.
pub(crate) const READ_LATE: u16 = 8;
/// To the assistant: the code of the last late read.
pub(crate) const LAST: u16 = 9;

/// The subject's notification from the assistant.
pub(crate) const HINTED: u32 = 1 << 0;
/// The subject's interrupt.
pub(crate) const INTERRUPT: u32 = 1 << 1;

/// Two words as bytes.
pub(crate) fn words(a: u32, b: u32) -> [u8; 8] {
    (u64::from(a) | u64::from(b) << 32).to_le_bytes()
}

/// Word `n` of `bytes`; zeros follow what is there.
pub(crate) fn word(bytes: &[u8], n: usize) -> u32 {
    let mut word = [0; 4];
    for (to, from) in word.iter_mut().zip(bytes.iter().skip(4 * n)) {
        *to = *from;
    }
    u32::from_le_bytes(word)
}
