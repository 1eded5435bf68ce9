//! What a debugger would see of a simulated board at one moment.

use crate::board::{Board, Script};
use abi::TaskState;
use host::{Host, TaskIndex};
use kern::arch::SavedRegisters;
use ringbuf::Entries;

/// A task at that moment.
#[derive(Clone, Debug)]
pub struct TaskLook {
    /// Its name.
    pub name: String,
    /// Which incarnation it is.
    pub generation: u8,
    /// Its importance.
    pub priority: u8,
    /// What it is up to.
    pub state: TaskState,
    /// Whether it runs, or ran last.
    pub current: bool,
    /// The third argument of its system call: of RECV, the bits it waits for.
    pub mask: u32,
    /// When its timer ends, in milliseconds, and what is posted then.
    pub timer: Option<(u64, u32)>,
}

/// A ring buffer.
#[derive(Clone, Debug)]
pub struct RingLook {
    /// The task, or `dsp-program`.
    pub task: String,
    /// Its name.
    pub name: &'static str,
    /// What it holds, oldest first; times are nanoseconds.
    pub entries: Entries,
}

/// The counters of one static.
#[derive(Clone, Debug)]
pub struct CountersLook {
    /// The task, or `dsp-program`.
    pub task: String,
    /// Their name.
    pub name: &'static str,
    /// Their `Debug` text.
    pub counts: String,
}

/// All there is to see.
#[derive(Clone, Debug)]
pub struct Look {
    /// Milliseconds since the machine was switched on.
    pub now: u64,
    /// The tasks, by index.
    pub tasks: Vec<TaskLook>,
    /// Their ring buffers.
    pub rings: Vec<RingLook>,
    /// Their counters.
    pub counters: Vec<CountersLook>,
}

impl Look {
    /// What there is to see of `machine` now.
    #[must_use]
    pub fn at<S: Script>(machine: &Host<Board<S>>) -> Self {
        let now = machine.now().0 / 1_000_000;
        let mut look = Self { now, tasks: Vec::new(), rings: Vec::new(), counters: Vec::new() };
        let kernel = machine.kernel();
        for (n, task) in kernel.tasks().iter().enumerate() {
            let index = TaskIndex(n as u8);
            let timer = task.timer();
            look.tasks.push(TaskLook {
                name: machine.task_name(index).to_owned(),
                generation: task.generation().0,
                priority: task.priority().0,
                state: task.state(),
                current: kernel.current() == Some(index),
                mask: task.save().argument(2) as u32,
                timer: timer.deadline.map(|deadline| (deadline.0, timer.to_post.0)),
            });
            look.take(machine, machine.task_name(index), Some(index));
        }
        look.take(machine, "dsp-program", None);
        look
    }

    /// Takes in rings and counters of a task, or of the DSP's program.
    fn take<S: Script>(&mut self, machine: &Host<Board<S>>, task: &str, index: Option<TaskIndex>) {
        for instance in machine.instances(index) {
            let (task, name) = (task.to_owned(), instance.name);
            if let Some(ring) = instance.value.downcast_ref::<ringbuf::Instance>() {
                self.rings.push(RingLook { task, name, entries: ring.entries() });
            } else if let Some(of) = instance.value.downcast_ref::<counters::Instance>() {
                self.counters.push(CountersLook { task, name, counts: format!("{of:?}") });
            }
        }
    }
}
