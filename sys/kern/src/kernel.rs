//! The kernel's state, who runs, and how tasks die and come back.

use abi::{
    FAULT_NOTIFICATION, FaultInfo, MAX_TASKS, SchedState, TaskId, TaskState, UsageError,
    dead_response_code,
};

use crate::arch::SavedRegisters;
use crate::err::UserError;
use crate::platform::Platform;
use crate::task::{NotificationSet, Task, TaskIndex, Timer, Timestamp};

/// Why the kernel cannot go on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum KernelPanic {
    /// The supervisor faulted, and it is who faults are told to.
    SupervisorFault(FaultInfo),
}

/// The kernel.
#[derive(Debug)]
pub struct Kernel {
    pub(crate) tasks: &'static mut [Task],
    /// The tasks whose state is `Runnable`.
    pub(crate) ready: u32,
    /// The earliest deadline of all timers.
    pub(crate) next_deadline: Option<Timestamp>,
    /// Set for good by a reset or a panic of the kernel.
    pub(crate) halted: bool,
}

impl Kernel {
    /// A kernel over `tasks`, most important first, each held back.
    ///
    /// # Panics
    /// When there are none or too many.
    #[must_use]
    pub fn new(tasks: &'static mut [Task]) -> Self {
        assert!((1..=MAX_TASKS).contains(&tasks.len()), "1 to 32 tasks");
        Self { tasks, ready: 0, next_deadline: None, halted: false }
    }

    /// Gives the task table back; the kernel runs nothing any more.
    #[must_use]
    pub fn take_tasks(&mut self) -> &'static mut [Task] {
        self.halt();
        core::mem::take(&mut self.tasks)
    }

    /// Begins the first incarnation of `index`; only before anything ran.
    pub fn boot(&mut self, platform: &mut impl Platform, index: TaskIndex) {
        let task = &mut self.tasks[index.get()];
        platform.begin(index, task.generation, task.descriptor, &mut task.save);
        self.set_runnable(index);
    }

    /// Which task runs now: the most important of those that can. `None` when
    /// all wait.
    #[must_use]
    #[inline(always)]
    pub fn current(&self) -> Option<TaskIndex> {
        TaskIndex::first_of(self.ready)
    }

    /// The tasks that can run.
    #[must_use]
    pub fn ready(&self) -> u32 {
        self.ready
    }

    /// All tasks.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        self.tasks
    }

    /// Task `index`.
    #[must_use]
    pub fn task(&self, index: TaskIndex) -> &Task {
        &self.tasks[index.get()]
    }

    /// Task `index`, for the architecture's entry and exit code.
    #[inline(always)]
    pub fn task_mut(&mut self, index: TaskIndex) -> &mut Task {
        &mut self.tasks[index.get()]
    }

    /// Whether the kernel stopped for good, by a reset or a panic.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Faults task `index`: it did `fault`, or something was done to it. What
    /// it was doing ends at once for everybody else: who waits for it gets its
    /// dead code, and its timer is stopped. The supervisor is told.
    pub fn fault(&mut self, platform: &mut impl Platform, index: TaskIndex, fault: FaultInfo) {
        let TaskState::Healthy(original_state) = self.tasks[index.get()].state else {
            return;
        };
        self.leave_queue(index, original_state);
        self.tasks[index.get()].state = TaskState::Faulted { fault, original_state };
        self.ready &= !index.bit();
        self.set_timer(platform, index, Timer::default());
        platform.faulted(index, fault);
        if index == TaskIndex::SUPERVISOR {
            self.halt();
            platform.kernel_panic(KernelPanic::SupervisorFault(fault));
            return;
        }
        self.release_waiters(index);
        self.post_to(TaskIndex::SUPERVISOR, NotificationSet(FAULT_NOTIFICATION));
    }

    /// Ends the incarnation of task `index` and makes the next, which runs if
    /// `start` and is held back otherwise. Its interrupts are disabled and its
    /// timer is stopped.
    pub(crate) fn restart(&mut self, platform: &mut impl Platform, index: TaskIndex, start: bool) {
        if let TaskState::Healthy(state) = self.tasks[index.get()].state {
            self.leave_queue(index, state);
        }
        let task = &mut self.tasks[index.get()];
        task.state = TaskState::Healthy(SchedState::Stopped);
        task.notifications = NotificationSet(0);
        self.ready &= !index.bit();
        self.release_waiters(index);
        self.set_timer(platform, index, Timer::default());
        self.disable_irqs(platform, index);
        let task = &mut self.tasks[index.get()];
        task.generation = task.generation.next();
        if start {
            platform.begin(index, task.generation, task.descriptor, &mut task.save);
            self.set_runnable(index);
        }
    }

    /// Nothing runs any more.
    pub(crate) fn halt(&mut self) {
        self.halted = true;
        self.ready = 0;
    }

    /// Which task `id` names, if it is one of the image.
    #[inline(always)]
    pub(crate) fn index_of(&self, id: TaskId) -> Result<TaskIndex, UsageError> {
        if id.index() < self.tasks.len() {
            Ok(TaskIndex(id.index() as u8))
        } else {
            Err(UsageError::TaskOutOfRange)
        }
    }

    /// Refuses an `id` of `index` whose incarnation does not run any more.
    #[inline(always)]
    pub(crate) fn check_alive(&self, id: TaskId, index: TaskIndex) -> Result<(), UserError> {
        let task = &self.tasks[index.get()];
        if id.generation() == task.generation && !task.is_dead() {
            Ok(())
        } else {
            Err(UserError::Dead(task.live_generation()))
        }
    }

    #[inline(always)]
    pub(crate) fn set_runnable(&mut self, index: TaskIndex) {
        if !self.halted {
            self.tasks[index.get()].state = TaskState::Healthy(SchedState::Runnable);
            self.ready |= index.bit();
        }
    }

    #[inline(always)]
    pub(crate) fn block(&mut self, index: TaskIndex, state: SchedState) {
        self.tasks[index.get()].state = TaskState::Healthy(state);
        self.ready &= !index.bit();
    }

    /// Sets notification bits of `index`, and ends its RECV if it waits for one
    /// of them.
    #[inline(always)]
    pub(crate) fn post_to(&mut self, index: TaskIndex, bits: NotificationSet) {
        let task = &mut self.tasks[index.get()];
        task.notifications.0 |= bits.0;
        if matches!(task.state, TaskState::Healthy(SchedState::InRecv(_)))
            && task.take_notifications()
        {
            self.set_runnable(index);
        }
    }

    /// Takes a task that waits in SEND out of its target's set of senders.
    fn leave_queue(&mut self, index: TaskIndex, state: SchedState) {
        if let SchedState::InSend(target) = state {
            self.tasks[target.index()].senders &= !index.bit();
        }
    }

    /// Ends every wait for task `index` with its dead code.
    fn release_waiters(&mut self, index: TaskIndex) {
        let id = self.tasks[index.get()].id(index);
        let code = dead_response_code(self.tasks[index.get()].live_generation());
        self.tasks[index.get()].senders = 0;
        for other in (0..self.tasks.len() as u8).map(TaskIndex) {
            let task = &mut self.tasks[other.get()];
            if task.waits_for(id) {
                task.save.set_result(0, code as usize);
                task.save.set_result(1, 0);
                self.set_runnable(other);
            }
        }
    }
}
