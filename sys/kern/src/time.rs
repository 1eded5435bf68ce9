//! Timers: one a task, and no tick while none is set.

use crate::arch::SavedRegisters;
use crate::err::UserError;
use crate::kernel::Kernel;
use crate::platform::Platform;
use crate::task::{NotificationSet, TaskIndex, Timer, Timestamp};

impl Kernel {
    /// When the kernel next wants [`tick`](Self::tick); `None` while no timer
    /// is set.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.next_deadline
    }

    /// Ends the timers that are due.
    pub fn tick(&mut self, platform: &mut impl Platform) {
        let now = platform.now();
        if self.next_deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        for index in (0..self.tasks.len() as u8).map(TaskIndex) {
            let timer = self.tasks[index.get()].timer;
            if timer.deadline.is_some_and(|deadline| deadline <= now) {
                self.tasks[index.get()].timer = Timer::default();
                self.post_to(index, timer.to_post);
            }
        }
        self.find_next_deadline(platform);
    }

    pub(crate) fn set_timer(
        &mut self,
        platform: &mut impl Platform,
        index: TaskIndex,
        timer: Timer,
    ) {
        let old = core::mem::replace(&mut self.tasks[index.get()].timer, timer).deadline;
        if old.is_some() && old == self.next_deadline {
            self.find_next_deadline(platform);
        } else if let Some(deadline) = timer.deadline
            && self.next_deadline.is_none_or(|earliest| deadline < earliest)
        {
            self.next_deadline = Some(deadline);
            platform.set_deadline(self.next_deadline);
        }
    }

    /// SET_TIMER. A deadline that has passed ends at once.
    pub(crate) fn sys_set_timer(
        &mut self,
        platform: &mut impl Platform,
        caller: TaskIndex,
    ) -> Result<(), UserError> {
        let save = &self.tasks[caller.get()].save;
        let ticks = save.argument(1) as u32 as u64 | (save.argument(2) as u32 as u64) << 32;
        let to_post = NotificationSet(save.argument(3) as u32);
        let deadline = (save.argument(0) != 0).then_some(Timestamp(ticks));
        if deadline.is_some_and(|deadline| deadline <= platform.now()) {
            self.set_timer(platform, caller, Timer::default());
            self.post_to(caller, to_post);
        } else {
            self.set_timer(platform, caller, Timer { deadline, to_post });
        }
        Ok(())
    }

    /// GET_TIMER.
    pub(crate) fn sys_get_timer(
        &mut self,
        platform: &impl Platform,
        caller: TaskIndex,
    ) -> Result<(), UserError> {
        let task = &mut self.tasks[caller.get()];
        let now = platform.now().0;
        let deadline = task.timer.deadline.map_or(0, |deadline| deadline.0);
        let results = [
            now as u32 as usize,
            (now >> 32) as usize,
            usize::from(task.timer.deadline.is_some()),
            deadline as u32 as usize,
            (deadline >> 32) as usize,
            task.timer.to_post.0 as usize,
        ];
        for (n, value) in results.into_iter().enumerate() {
            task.save.set_result(n, value);
        }
        Ok(())
    }

    fn find_next_deadline(&mut self, platform: &mut impl Platform) {
        let earliest = self.tasks.iter().filter_map(|task| task.timer.deadline).min();
        if earliest != self.next_deadline {
            self.next_deadline = earliest;
            platform.set_deadline(earliest);
        }
    }
}
