//! System calls: dispatch, messages and notifications.
//!
//! Registers are those of the Hubris reference. A call ends in one of three
//! ways: with results in the caller's registers; with the caller waiting, its
//! arguments left in its registers for whoever ends the wait; or with a fault.

use abi::{
    FaultInfo, RECV_CLOSED, ReplyFaultReason, SchedState, Sysnum, TaskId, TaskState, UsageError,
};

use crate::arch::{self, Address, SavedRegisters};
use crate::err::UserError;
use crate::kernel::Kernel;
use crate::platform::Platform;
use crate::task::{NotificationSet, Task, TaskIndex};
use crate::umem::{Readable, Writable};

/// What a RECV waits for.
#[derive(Copy, Clone)]
struct Receive {
    buffer: Writable,
    mask: NotificationSet,
    from: Option<TaskId>,
}

impl Kernel {
    /// Does the system call that `caller`'s registers ask for, and says who
    /// runs next.
    #[inline(always)]
    pub fn syscall(
        &mut self,
        platform: &mut impl Platform,
        caller: TaskIndex,
    ) -> Option<TaskIndex> {
        const SEND: u32 = Sysnum::Send as u32;
        const RECV: u32 = Sysnum::Recv as u32;
        const POST: u32 = Sysnum::Post as u32;
        const REPLY_RECV: u32 = Sysnum::ReplyRecv as u32;
        let done = match self.tasks[caller.get()].save.number() {
            SEND => self.quick_send(caller),
            REPLY_RECV => self.quick_reply_recv(caller),
            RECV => self.quick_recv(caller),
            POST => self.quick_post(platform, caller),
            _ => false,
        };
        if !done {
            self.full_syscall(platform, caller);
        }
        self.current()
    }

    #[inline(never)]
    fn full_syscall(&mut self, platform: &mut impl Platform, caller: TaskIndex) {
        let number = self.tasks[caller.get()].save.number();
        let result = match Sysnum::try_from(number) {
            Ok(Sysnum::Send) => self.sys_send(platform, caller),
            Ok(Sysnum::Recv) => self.sys_recv(caller),
            Ok(Sysnum::Reply) => self.sys_reply(caller),
            Ok(Sysnum::ReplyRecv) => self.sys_reply_recv(caller),
            Ok(Sysnum::SetTimer) => self.sys_set_timer(platform, caller),
            Ok(Sysnum::BorrowRead) => self.sys_borrow_read(caller),
            Ok(Sysnum::BorrowWrite) => self.sys_borrow_write(caller),
            Ok(Sysnum::BorrowInfo) => self.sys_borrow_info(caller),
            Ok(Sysnum::IrqControl) => self.sys_irq_control(platform, caller),
            Ok(Sysnum::Panic) => Err(FaultInfo::Panic.into()),
            Ok(Sysnum::GetTimer) => self.sys_get_timer(platform, caller),
            Ok(Sysnum::RefreshTaskId) => self.sys_refresh_task_id(caller),
            Ok(Sysnum::Post) => self.sys_post(platform, caller),
            Ok(Sysnum::ReplyFault) => self.sys_reply_fault(platform, caller),
            Ok(Sysnum::IrqStatus) => self.sys_irq_status(platform, caller),
            Err(()) => Err(UsageError::BadSyscallNumber.into()),
        };
        if let Err(error) = result {
            self.end_with_error(platform, caller, error);
        }
    }

    fn end_with_error(
        &mut self,
        platform: &mut impl Platform,
        caller: TaskIndex,
        error: UserError,
    ) {
        match error {
            UserError::Caller(fault) => self.fault(platform, caller, fault),
            UserError::Lender(lender, fault) => self.fault(platform, lender, fault),
            UserError::Dead(_) | UserError::NotLending => {}
        }
        if let Some(code) = error.code() {
            let save = &mut self.tasks[caller.get()].save;
            save.set_result(0, code as usize);
            save.set_result(1, 0);
        }
    }

    /// SEND. All memory it names is checked here, so that a message is never
    /// refused once it is under way.
    fn sys_send(
        &mut self,
        platform: &mut impl Platform,
        caller: TaskIndex,
    ) -> Result<(), UserError> {
        let task = &self.tasks[caller.get()];
        let id = TaskId((task.save.argument(0) >> 16) as u16);
        let message = task.readable_argument(1)?;
        task.writable_argument(3)?;
        task.check_lease_table(task.save.argument(5) as Address, task.save.argument(6))?;
        if id == TaskId::KERNEL {
            return self.kernel_message(platform, caller, message);
        }
        let target = self.index_of(id)?;
        if self.tasks[caller.get()].send_mask & target.bit() == 0 {
            return Err(UsageError::IllegalTask.into());
        }
        self.check_alive(id, target)?;
        let sender = self.tasks[caller.get()].id(caller);
        match self.tasks[target.get()].state {
            TaskState::Healthy(SchedState::InRecv(from)) if from.is_none_or(|id| id == sender) => {
                let buffer = self.tasks[target.get()].checked_writable(0);
                self.deliver_to(target, caller, buffer);
                self.set_runnable(target);
            }
            _ => {
                self.tasks[target.get()].senders |= caller.bit();
                self.block(caller, SchedState::InSend(id));
            }
        }
        Ok(())
    }

    /// RECV.
    fn sys_recv(&mut self, caller: TaskIndex) -> Result<(), UserError> {
        let task = &self.tasks[caller.get()];
        let buffer = task.writable_argument(0)?;
        let mask = NotificationSet(task.save.argument(2) as u32);
        let from = task.save.argument(3);
        let from = (from & RECV_CLOSED != 0).then_some(TaskId(from as u16));
        self.receive(caller, Receive { buffer, mask, from })
    }

    /// REPLY.
    fn sys_reply(&mut self, caller: TaskIndex) -> Result<(), UserError> {
        let message = self.tasks[caller.get()].readable_argument(2)?;
        self.reply(caller, message)
    }

    /// REPLY_RECV: REPLY with arguments 0 to 3, then an open RECV with
    /// arguments 4 to 6, which it leaves where a RECV has them.
    fn sys_reply_recv(&mut self, caller: TaskIndex) -> Result<(), UserError> {
        let message = self.tasks[caller.get()].readable_argument(2)?;
        self.reply(caller, message)?;
        let buffer = self.tasks[caller.get()].writable_argument(4)?;
        let save = &mut self.tasks[caller.get()].save;
        let mask = save.argument(6);
        save.set_result(0, arch::word(buffer.base()));
        save.set_result(1, buffer.len());
        save.set_result(2, mask);
        self.receive(caller, Receive { buffer, mask: NotificationSet(mask as u32), from: None })
    }

    /// REPLY_FAULT.
    fn sys_reply_fault(
        &mut self,
        platform: &mut impl Platform,
        caller: TaskIndex,
    ) -> Result<(), UserError> {
        let save = &self.tasks[caller.get()].save;
        let reason = ReplyFaultReason::try_from(save.argument(1) as u32)
            .map_err(|()| UsageError::BadKernelMessage)?;
        if let Some(client) = self.waiting_client(caller)? {
            let server = self.tasks[caller.get()].id(caller);
            self.fault(platform, client, FaultInfo::FromServer(server, reason));
        }
        Ok(())
    }

    /// POST.
    fn sys_post(&mut self, platform: &impl Platform, caller: TaskIndex) -> Result<(), UserError> {
        let save = &self.tasks[caller.get()].save;
        let id = TaskId(save.argument(0) as u16);
        let bits = NotificationSet(save.argument(1) as u32);
        let target = self.index_of(id)?;
        if bits.0 & !platform.post_mask(caller, target).0 != 0 {
            return Err(UsageError::IllegalTask.into());
        }
        self.check_alive(id, target)?;
        self.tasks[caller.get()].save.set_result(0, 0);
        self.post_to(target, bits);
        Ok(())
    }

    /// REFRESH_TASK_ID.
    fn sys_refresh_task_id(&mut self, caller: TaskIndex) -> Result<(), UserError> {
        let id = TaskId(self.tasks[caller.get()].save.argument(0) as u16);
        let index = self.index_of(id)?;
        let current = self.tasks[index.get()].id(index);
        self.tasks[caller.get()].save.set_result(0, usize::from(current.0));
        Ok(())
    }

    /// Takes what is there (notifications before messages, the most important
    /// sender first) or waits.
    fn receive(&mut self, caller: TaskIndex, receive: Receive) -> Result<(), UserError> {
        let task = &mut self.tasks[caller.get()];
        if task.take_notifications_in(receive.mask) {
            return Ok(());
        }
        let senders = match receive.from {
            None => task.senders,
            Some(TaskId::KERNEL) => 0,
            Some(id) => {
                let senders = task.senders;
                let index = self.index_of(id)?;
                if index == caller {
                    return Err(UsageError::IllegalTask.into());
                }
                self.check_alive(id, index)?;
                senders & index.bit()
            }
        };
        match TaskIndex::first_of(senders) {
            Some(sender) => {
                self.tasks[caller.get()].senders &= !sender.bit();
                self.deliver_to(caller, sender, receive.buffer);
            }
            None => self.block(caller, SchedState::InRecv(receive.from)),
        }
        Ok(())
    }

    /// As [`deliver`], by index.
    fn deliver_to(&mut self, receiver: TaskIndex, sender: TaskIndex, buffer: Writable) {
        let pair = self.tasks.get_disjoint_mut([sender.get(), receiver.get()]);
        let [from, to] = pair.expect("no task sends to itself");
        deliver((from, sender), (to, receiver), buffer);
        self.ready &= !sender.bit();
    }

    /// Answers the client that arguments 0 and 1 name, if it still waits.
    fn reply(&mut self, caller: TaskIndex, message: Readable) -> Result<(), UserError> {
        let code = self.tasks[caller.get()].save.argument(1);
        if let Some(client) = self.waiting_client(caller)? {
            hand_back(code, message, &mut self.tasks[client.get()]);
            self.set_runnable(client);
        }
        Ok(())
    }

    /// The task that argument 0 names, if it waits for the caller's reply.
    fn waiting_client(&self, caller: TaskIndex) -> Result<Option<TaskIndex>, UserError> {
        let task = &self.tasks[caller.get()];
        let id = TaskId(task.save.argument(0) as u16);
        let index = self.index_of(id)?;
        let client = &self.tasks[index.get()];
        let waits =
            client.generation == id.generation() && client.waits_for_reply_of(task.id(caller));
        Ok(waits.then_some(index))
    }
}

/// Copies the message of `from`, which is in SEND, to `to`, and leaves the
/// sender waiting for the reply.
#[inline(always)]
pub(crate) fn deliver(
    (from, sender): (&mut Task, TaskIndex),
    (to, receiver): (&mut Task, TaskIndex),
    buffer: Writable,
) {
    let message = from.checked_readable(1);
    arch::copy(message, buffer);
    to.save.set_result(0, 0);
    to.save.set_result(1, usize::from(from.id(sender).0));
    to.save.set_result(2, from.save.argument(0) & 0xFFFF);
    to.save.set_result(3, message.len());
    to.save.set_result(4, from.save.argument(4));
    to.save.set_result(5, from.save.argument(6));
    from.state = TaskState::Healthy(SchedState::InReply(to.id(receiver)));
}

/// Ends the SEND that `client` waits in with `code` and `message`.
#[inline(always)]
pub(crate) fn hand_back(code: usize, message: Readable, client: &mut Task) {
    let copied = arch::copy(message, client.checked_writable(3));
    client.save.set_result(0, code as u32 as usize);
    client.save.set_result(1, copied);
    client.state = TaskState::Healthy(SchedState::Runnable);
}

impl Task {
    /// Whether a RECV that waits for `mask` and for anyone would wait now.
    #[inline(always)]
    pub(crate) fn has_nothing_for(&self, mask: NotificationSet) -> bool {
        self.notifications.0 & mask.0 | self.senders == 0
    }

    /// Ends the RECV it waits in if one of the notifications it waits for is
    /// posted.
    #[inline(always)]
    pub(crate) fn take_notifications(&mut self) -> bool {
        self.take_notifications_in(NotificationSet(self.save.argument(2) as u32))
    }

    #[inline(always)]
    fn take_notifications_in(&mut self, mask: NotificationSet) -> bool {
        let taken = self.notifications.0 & mask.0;
        if taken == 0 {
            return false;
        }
        self.notifications.0 &= !taken;
        self.save.set_result(0, 0);
        self.save.set_result(1, usize::from(TaskId::KERNEL.0));
        self.save.set_result(2, taken as usize);
        for n in 3..6 {
            self.save.set_result(n, 0);
        }
        true
    }
}
