//! What the supervisor asks of the kernel.
//!
//! Requests are SENDs to [`TaskId::KERNEL`], packed as hubpack packs. The
//! kernel takes them from task 0 alone; of any other task they are a fault.

use core::num::NonZeroUsize;

use abi::{KipcError, Kipcnum, PANIC_MESSAGE_MAX_LEN, TaskId, TaskState};
use packed::Packed;

use crate::sys_send;

/// The largest request: a task index and one word more.
const REQUEST_MAX: usize = 8;

/// The largest fixed answer: a [`TaskState`].
const ANSWER_MAX: usize = 32;

/// Why a panic message cannot be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ReadPanicMessageError {
    /// The task did not panic.
    TaskNotPanicked,
    /// It panicked with a message that is not its own memory.
    BadPanicBuffer,
}

/// The state of task `task`.
#[must_use]
pub fn read_task_status(task: usize) -> TaskState {
    ask(Kipcnum::ReadTaskStatus, &(task as u32))
}

/// Ends the current incarnation of task `task` and makes the next, which
/// starts at once when `start` says so and is held back otherwise.
pub fn restart_task(task: usize, start: bool) {
    tell(Kipcnum::RestartTask, &(task as u32, start), &mut []);
}

/// Faults task `task`, whatever it is doing.
pub fn fault_task(task: usize) {
    tell(Kipcnum::FaultTask, &(task as u32), &mut []);
}

/// The identity of the image that runs.
#[must_use]
pub fn read_image_id() -> u64 {
    ask(Kipcnum::ReadImageId, &())
}

/// Resets the machine.
pub fn system_restart() -> ! {
    tell(Kipcnum::Reset, &(), &mut []);
    unreachable!("the machine was reset")
}

/// Makes the interrupts that map to the notification bits `mask` of task
/// `task` pending.
pub fn software_irq(task: usize, mask: u32) {
    tell(Kipcnum::SoftwareIrq, &(task as u32, mask), &mut []);
}

/// The first faulted task with an index of at least `start`.
#[must_use]
pub fn find_faulted_task(start: usize) -> Option<NonZeroUsize> {
    let found: u32 = ask(Kipcnum::FindFaultedTask, &(start as u32));
    NonZeroUsize::new(found as usize)
}

/// The message with which task `task` panicked.
///
/// # Errors
/// When there is none.
pub fn read_panic_message(
    task: usize,
    buffer: &mut [u8; PANIC_MESSAGE_MAX_LEN],
) -> Result<&[u8], ReadPanicMessageError> {
    const NOT_PANICKED: u32 = KipcError::TaskNotPanicked as u32;
    const BAD_BUFFER: u32 = KipcError::BadPanicBuffer as u32;
    match tell(Kipcnum::ReadPanicMessage, &(task as u32), buffer) {
        (0, len) => Ok(&buffer[..len]),
        (NOT_PANICKED, _) => Err(ReadPanicMessageError::TaskNotPanicked),
        (BAD_BUFFER, _) => Err(ReadPanicMessageError::BadPanicBuffer),
        (code, _) => unreachable!("kernel answered {code}"),
    }
}

/// Copies what a debugger needs to know of task `task`, as far as it fits: an
/// [`abi::RemainsHead`] and what follows it. A host has nothing of the kind.
pub fn read_remains(task: usize, into: &mut [u8]) {
    tell(Kipcnum::ReadRemains, &(task as u32), into);
}

fn tell<T: Packed>(operation: Kipcnum, request: &T, answer: &mut [u8]) -> (u32, usize) {
    let mut bytes = [0; REQUEST_MAX];
    let len = packed::pack(request, &mut bytes);
    sys_send(TaskId::KERNEL, operation as u16, &bytes[..len], answer, &[])
}

fn ask<T: Packed, R: Packed>(operation: Kipcnum, request: &T) -> R {
    let mut answer = [0; ANSWER_MAX];
    let (_, len) = tell(operation, request, &mut answer);
    packed::unpack(&answer[..len]).expect("kernel's answer is well formed")
}
