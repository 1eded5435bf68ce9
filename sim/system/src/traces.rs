//! The trace rings of a simulated board, as a debugger finds those of a real one.

use crate::board::{Board, Script};
use host::{Host, TaskIndex};
use ringbuf::{Entries, Instance};

/// A ring, and whose it is.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The task, or `dsp-program`.
    pub task: String,
    /// The ring.
    pub name: &'static str,
    /// What it holds, oldest first; times are nanoseconds.
    pub entries: Entries,
}

/// All rings of `machine`: the tasks' by index, then those of the DSP's program.
pub fn traces<S: Script>(machine: &Host<Board<S>>) -> Vec<Trace> {
    let tasks = (0..machine.stats().tasks.len()).map(|index| TaskIndex(index as u8));
    let tasks = tasks.map(|task| (machine.task_name(task).to_owned(), Some(task)));
    let mut traces = Vec::new();
    for (task, of) in tasks.chain([("dsp-program".to_owned(), None)]) {
        for instance in machine.instances(of) {
            if let Some(ring) = instance.value.downcast_ref::<Instance>() {
                let (task, entries) = (task.clone(), ring.entries());
                traces.push(Trace { task, name: instance.name, entries });
            }
        }
    }
    traces
}
