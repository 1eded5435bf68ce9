//! The system calls, one function each.
//!
//! Registers as in the Hubris reference ("Syscalls by architecture: ARM"):
//! arguments in r4 to r10, the number in r11, results from r4 on.

use abi::{
    Generation, IRQ_CLEAR_PENDING, IRQ_ENABLE, IrqStatus, LeaseAttributes, RECV_CLOSED,
    ReplyFaultReason, Sysnum, TaskId, extract_new_generation,
};

use crate::Lease;
use crate::arch::{self, Registers};

/// A message, or a notification when [`sender`](Self::sender) is
/// [`TaskId::KERNEL`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RecvMessage {
    /// Who sent it.
    pub sender: TaskId,
    /// What the sender asks for; of a notification, the bits.
    pub operation: u32,
    /// Bytes of the message as it was sent; more than the buffer holds means
    /// that the rest was cut off.
    pub message_len: usize,
    /// Bytes that the sender has room for in the reply.
    pub response_capacity: usize,
    /// How many leases came with it.
    pub lease_count: usize,
}

/// Why a closed receive ended without a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ClosedRecvError {
    /// The task that was waited for is dead; its next incarnation is given.
    Dead(Generation),
}

/// What GET_TIMER tells.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TimerState {
    /// Milliseconds since the kernel started.
    pub now: u64,
    /// When the task's timer ends, if it is set.
    pub deadline: Option<u64>,
    /// Notification bits it will set.
    pub on_dl: u32,
}

/// Sends `outgoing` as operation `operation` to `target` and waits for the
/// answer, which goes to `incoming`. Returns the response code and the
/// answer's length. A dead code (see [`extract_new_generation`]) says that the
/// incarnation `target` is gone.
pub fn sys_send(
    target: TaskId,
    operation: u16,
    outgoing: &[u8],
    incoming: &mut [u8],
    leases: &[Lease<'_>],
) -> (u32, usize) {
    let r = call(
        Sysnum::Send,
        [
            usize::from(target.0) << 16 | usize::from(operation),
            outgoing.as_ptr().expose_provenance(),
            outgoing.len(),
            incoming.as_mut_ptr().expose_provenance(),
            incoming.len(),
            leases.as_ptr().expose_provenance(),
            leases.len(),
        ],
    );
    (r[0] as u32, r[1])
}

/// Waits for a message from anyone, or for a notification in
/// `notification_mask`.
pub fn sys_recv_open(buffer: &mut [u8], notification_mask: u32) -> RecvMessage {
    let (base, len) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    received(&call(Sysnum::Recv, [base, len, notification_mask as usize, 0, 0, 0, 0]))
}

/// Waits for a message from `specific_sender` alone when one is given, or for
/// a notification in `notification_mask`. From [`TaskId::KERNEL`] means:
/// notifications only.
///
/// # Errors
/// When the incarnation `specific_sender` is dead or dies.
pub fn sys_recv(
    buffer: &mut [u8],
    notification_mask: u32,
    specific_sender: Option<TaskId>,
) -> Result<RecvMessage, ClosedRecvError> {
    let (base, len) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    let from = specific_sender.map_or(0, |sender| RECV_CLOSED | usize::from(sender.0));
    let r = call(Sysnum::Recv, [base, len, notification_mask as usize, from, 0, 0, 0]);
    match extract_new_generation(r[0] as u32) {
        Some(generation) => Err(ClosedRecvError::Dead(generation)),
        None => Ok(received(&r)),
    }
}

/// Waits for a notification in `notification_mask` and returns the bits that
/// were set.
pub fn sys_recv_notification(notification_mask: u32) -> u32 {
    let from = RECV_CLOSED | usize::from(TaskId::KERNEL.0);
    let mask = notification_mask as usize;
    call(Sysnum::Recv, [0, 0, mask, from, 0, 0, 0])[2] as u32
}

/// Answers `peer`, which waits for it, with `code` and `message`. When it does
/// not wait any more nothing happens.
pub fn sys_reply(peer: TaskId, code: u32, message: &[u8]) {
    let (base, len) = (message.as_ptr().expose_provenance(), message.len());
    call(Sysnum::Reply, [usize::from(peer.0), code as usize, base, len, 0, 0, 0]);
}

/// [`sys_reply`], then [`sys_recv_open`], in one kernel entry. Meant for
/// `idol_runtime`'s loop alone: a server that answers by itself must not also
/// leave its answers to the loop.
pub fn sys_reply_recv(
    peer: TaskId,
    code: u32,
    message: &[u8],
    buffer: &mut [u8],
    notification_mask: u32,
) -> RecvMessage {
    received(&call(
        Sysnum::ReplyRecv,
        [
            usize::from(peer.0),
            code as usize,
            message.as_ptr().expose_provenance(),
            message.len(),
            buffer.as_mut_ptr().expose_provenance(),
            buffer.len(),
            notification_mask as usize,
        ],
    ))
}

/// Sets the task's one timer: at `deadline` (milliseconds since the kernel
/// started) the bits `notifications` are set. `None` stops it.
pub fn sys_set_timer(deadline: Option<u64>, notifications: u32) {
    let ticks = deadline.unwrap_or(0);
    call(
        Sysnum::SetTimer,
        [
            usize::from(deadline.is_some()),
            ticks as u32 as usize,
            (ticks >> 32) as usize,
            notifications as usize,
            0,
            0,
            0,
        ],
    );
}

/// Sets the task's timer to end `interval` milliseconds from now; the deadline.
pub fn set_timer_relative(interval: u32, notifications: u32) -> u64 {
    let deadline = sys_get_timer().now.saturating_add(u64::from(interval));
    sys_set_timer(Some(deadline), notifications);
    deadline
}

/// Copies from `lender`'s lease `index`, from byte `offset` on, until `dest` is
/// full or the lease ends. Returns 0 and the number of bytes, or
/// [`abi::DEFECT`].
pub fn sys_borrow_read(
    lender: TaskId,
    index: usize,
    offset: usize,
    dest: &mut [u8],
) -> (u32, usize) {
    let (base, len) = (dest.as_mut_ptr().expose_provenance(), dest.len());
    let r = call(Sysnum::BorrowRead, [usize::from(lender.0), index, offset, base, len, 0, 0]);
    (r[0] as u32, r[1])
}

/// Copies `src` into `lender`'s lease `index`, from byte `offset` on, until all
/// is written or the lease ends. Returns 0 and the number of bytes, or
/// [`abi::DEFECT`].
pub fn sys_borrow_write(lender: TaskId, index: usize, offset: usize, src: &[u8]) -> (u32, usize) {
    let (base, len) = (src.as_ptr().expose_provenance(), src.len());
    let r = call(Sysnum::BorrowWrite, [usize::from(lender.0), index, offset, base, len, 0, 0]);
    (r[0] as u32, r[1])
}

/// What `lender`'s lease `index` allows, and its length. Returns 0 and these,
/// or [`abi::DEFECT`].
#[must_use]
pub fn sys_borrow_info(lender: TaskId, index: usize) -> (u32, LeaseAttributes, usize) {
    let r = call(Sysnum::BorrowInfo, [usize::from(lender.0), index, 0, 0, 0, 0, 0]);
    (r[0] as u32, LeaseAttributes(r[1] as u32), r[2])
}

/// Enables or disables the interrupts that map to the task's notification bits
/// `mask`. An interrupt is disabled when it is delivered.
pub fn sys_irq_control(mask: u32, enable: bool) {
    irq_control(mask, if enable { IRQ_ENABLE } else { 0 });
}

/// Enables the interrupts that map to `mask` after forgetting that they are
/// pending.
pub fn sys_irq_control_clear_pending(mask: u32) {
    irq_control(mask, IRQ_ENABLE | IRQ_CLEAR_PENDING);
}

fn irq_control(mask: u32, flags: usize) {
    short_call(Sysnum::IrqControl, mask as usize, flags);
}

/// The state of the interrupts that map to the task's notification bits `mask`,
/// all of them together.
#[must_use]
pub fn sys_irq_status(mask: u32) -> IrqStatus {
    IrqStatus(short_call(Sysnum::IrqStatus, mask as usize, 0) as u32)
}

/// Ends the task with a message for whoever asks why.
pub fn sys_panic(message: &[u8]) -> ! {
    let (base, len) = (message.as_ptr().expose_provenance(), message.len());
    call(Sysnum::Panic, [base, len, 0, 0, 0, 0, 0]);
    unreachable!("PANIC returned")
}

/// The time, and the task's timer.
#[must_use]
pub fn sys_get_timer() -> TimerState {
    let r = call(Sysnum::GetTimer, [0; 7]);
    let wide = |low: usize, high: usize| u64::from(low as u32) | u64::from(high as u32) << 32;
    TimerState {
        now: wide(r[0], r[1]),
        deadline: (r[2] != 0).then(|| wide(r[3], r[4])),
        on_dl: r[5] as u32,
    }
}

/// The id of the current incarnation of the task that `task_id` was ever an
/// incarnation of.
#[must_use]
pub fn sys_refresh_task_id(task_id: TaskId) -> TaskId {
    TaskId(short_call(Sysnum::RefreshTaskId, usize::from(task_id.0), 0) as u16)
}

/// Sets notification bits of `task_id`. Returns 0, or a dead code when that
/// incarnation is gone.
pub fn sys_post(task_id: TaskId, bits: u32) -> u32 {
    short_call(Sysnum::Post, usize::from(task_id.0), bits as usize) as u32
}

/// Faults `client`, which waits for an answer, for what it sent. When it does
/// not wait any more nothing happens.
pub fn sys_reply_fault(client: TaskId, reason: ReplyFaultReason) {
    short_call(Sysnum::ReplyFault, usize::from(client.0), reason as usize);
}

fn received(r: &Registers) -> RecvMessage {
    RecvMessage {
        sender: TaskId(r[1] as u16),
        operation: r[2] as u32,
        message_len: r[3],
        response_capacity: r[4],
        lease_count: r[5],
    }
}

/// A call with two arguments, none of them an address, and one result.
fn short_call(number: Sysnum, a: usize, b: usize) -> usize {
    arch::short_syscall(a, b, number as usize)
}

fn call(number: Sysnum, arguments: [usize; 7]) -> Registers {
    let [a, b, c, d, e, f, g] = arguments;
    let mut registers = [a, b, c, d, e, f, g, number as usize];
    // SAFETY: every address in `arguments` comes from a slice that its caller
    // borrows over the call, mutably where the kernel writes; a lease borrows
    // the memory it names. A wrapper that passed an address of anything else
    // would break this.
    unsafe { arch::syscall(&mut registers) };
    registers
}
