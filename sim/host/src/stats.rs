//! What a host counts.

use kern::TaskIndex;

/// What one task did.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskStats {
    /// System calls it made.
    pub syscalls: u64,
    /// Points it reached: system calls, accesses, barriers.
    pub points: u64,
    /// Times it was faulted.
    pub faults: u64,
    /// Incarnations that began.
    pub incarnations: u64,
}

/// What a host did since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Times core 0 stopped being idle.
    pub wakeups: u64,
    /// Interrupts core 0 took.
    pub interrupts: u64,
    /// Times the kernel's timer ended.
    pub ticks: u64,
    /// System calls of all tasks.
    pub syscalls: u64,
    /// Points on core 0.
    pub points: u64,
    /// Points of the DSP's program.
    pub core1_points: u64,
    /// Each task, by index.
    pub tasks: Vec<TaskStats>,
}

impl Stats {
    pub(crate) fn task(&mut self, task: TaskIndex) -> &mut TaskStats {
        &mut self.tasks[task.get()]
    }
}
