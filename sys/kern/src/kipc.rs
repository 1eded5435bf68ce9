//! What the supervisor asks of the kernel.
//!
//! A SEND to `TaskId::KERNEL` is answered at once. Only the supervisor may
//! make one. A request that makes no sense is a fault of the supervisor, and
//! with that the end: it is part of what everything relies on.

use abi::{FaultInfo, KipcError, Kipcnum, PANIC_MESSAGE_MAX_LEN, TaskState, UsageError};
use packed::Packed;

use crate::arch::{self, Address, SavedRegisters};
use crate::err::UserError;
use crate::kernel::Kernel;
use crate::platform::Platform;
use crate::task::{NotificationSet, TaskIndex};
use crate::umem::Readable;

/// The largest request: a task index and one word more.
const REQUEST_MAX: usize = 8;

/// The largest fixed answer: a [`TaskState`].
const ANSWER_MAX: usize = 32;

impl Kernel {
    pub(crate) fn kernel_message(
        &mut self,
        platform: &mut impl Platform,
        caller: TaskIndex,
        message: Readable,
    ) -> Result<(), UserError> {
        if caller != TaskIndex::SUPERVISOR {
            return Err(UsageError::IllegalTask.into());
        }
        let operation = self.tasks[caller.get()].save.argument(0) as u16;
        match Kipcnum::try_from(operation).map_err(|()| UsageError::BadKernelMessage)? {
            Kipcnum::ReadTaskStatus => {
                let task = self.task_named(request(message)?)?;
                let state = self.tasks[task.get()].state;
                self.answer(caller, &state)
            }
            Kipcnum::RestartTask => {
                let (task, start) = request::<(u32, bool)>(message)?;
                let task = self.other_task_named(task)?;
                self.restart(platform, task, start);
                self.answer(caller, &())
            }
            Kipcnum::FaultTask => {
                let task = self.other_task_named(request(message)?)?;
                let by = self.tasks[caller.get()].id(caller);
                self.fault(platform, task, FaultInfo::Injected(by));
                self.answer(caller, &())
            }
            Kipcnum::ReadImageId => self.answer(caller, &platform.image_id()),
            Kipcnum::Reset => {
                self.halt();
                platform.reset();
                Ok(())
            }
            Kipcnum::SoftwareIrq => {
                let (task, mask) = request::<(u32, u32)>(message)?;
                let task = self.task_named(task)?;
                self.software_irq(platform, task, NotificationSet(mask))?;
                self.answer(caller, &())
            }
            Kipcnum::FindFaultedTask => {
                let start = request::<u32>(message)? as usize;
                let found = self.tasks.iter().enumerate().skip(start);
                let is_faulted = |state| matches!(state, TaskState::Faulted { .. });
                let found = found.map(|(i, task)| (i, task.state)).find(|&(_, s)| is_faulted(s));
                self.answer(caller, &found.map_or(0, |(index, _)| index as u32))
            }
            Kipcnum::ReadPanicMessage => {
                let task = self.task_named(request(message)?)?;
                self.read_panic_message(caller, task);
                Ok(())
            }
            Kipcnum::ReadRemains => {
                let task = self.task_named(request(message)?)?;
                let of = &self.tasks[task.get()];
                let into = self.tasks[caller.get()].checked_writable(3);
                let len = arch::remains(of, of.id(task), platform.now(), into);
                self.kernel_reply(caller, 0, len);
                Ok(())
            }
        }
    }

    /// The message is what `task` named when it called PANIC: its registers
    /// are still those of the call.
    fn read_panic_message(&mut self, caller: TaskIndex, task: TaskIndex) {
        let dead = &self.tasks[task.get()];
        let panicked = matches!(dead.state, TaskState::Faulted { fault: FaultInfo::Panic, .. });
        let (base, len) = (dead.save.argument(0) as Address, dead.save.argument(1));
        let len = len.min(PANIC_MESSAGE_MAX_LEN);
        let (code, copied) = match dead.readable(base, len) {
            _ if !panicked => (KipcError::TaskNotPanicked as u32, 0),
            Err(_) => (KipcError::BadPanicBuffer as u32, 0),
            Ok(text) => (0, arch::copy(text, self.tasks[caller.get()].checked_writable(3))),
        };
        self.kernel_reply(caller, code, copied);
    }

    fn answer(&mut self, caller: TaskIndex, value: &impl Packed) -> Result<(), UserError> {
        let mut bytes = [0; ANSWER_MAX];
        let len = packed::pack(value, &mut bytes);
        let into = self.tasks[caller.get()].checked_writable(3);
        if into.len() < len {
            return Err(UsageError::BadKernelMessage.into());
        }
        let copied = arch::write(&bytes[..len], into);
        self.kernel_reply(caller, 0, copied);
        Ok(())
    }

    fn kernel_reply(&mut self, caller: TaskIndex, code: u32, len: usize) {
        let save = &mut self.tasks[caller.get()].save;
        save.set_result(0, code as usize);
        save.set_result(1, len);
    }

    fn task_named(&self, index: u32) -> Result<TaskIndex, UsageError> {
        if (index as usize) < self.tasks.len() {
            Ok(TaskIndex(index as u8))
        } else {
            Err(UsageError::TaskOutOfRange)
        }
    }

    /// As [`task_named`](Self::task_named), for what the supervisor cannot do
    /// to itself.
    fn other_task_named(&self, index: u32) -> Result<TaskIndex, UsageError> {
        match self.task_named(index)? {
            TaskIndex::SUPERVISOR => Err(UsageError::IllegalTask),
            task => Ok(task),
        }
    }
}

fn request<T: Packed>(message: Readable) -> Result<T, UsageError> {
    let mut bytes = [0; REQUEST_MAX];
    if message.len() > bytes.len() {
        return Err(UsageError::BadKernelMessage);
    }
    let len = arch::read(message, &mut bytes);
    packed::unpack(&bytes[..len]).map_err(|_| UsageError::BadKernelMessage)
}
