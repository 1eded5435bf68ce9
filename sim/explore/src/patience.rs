//! How long tasks waited for servers, and streams for their beginning.

use abi::Sysnum;
use fabric::{Record, Time};
use std::cell::Cell;
use std::rc::Rc;

/// Tasks that an image can have.
const TASKS: usize = 32;

/// The longest times of a run, or of many.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Longest {
    /// From a message to its answer: so long was a server busy with others.
    pub answer: Time,
    /// From a command to its first packet.
    pub enable: Time,
}

impl Longest {
    /// [`Self::answer`] in microseconds.
    #[must_use]
    pub fn answer_us(&self) -> f64 {
        self.answer.0 as f64 / 1e3
    }

    /// [`Self::enable`] in milliseconds.
    #[must_use]
    pub fn enable_ms(&self) -> f64 {
        self.enable.0 as f64 / 1e6
    }

    /// The longer ones of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { answer: self.answer.max(other.answer), enable: self.enable.max(other.enable) }
    }
}

/// Watches who waits for an answer. Clones watch together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience(Rc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    asked: [Cell<Option<Time>>; TASKS],
    longest: Cell<Time>,
}

impl Patience {
    pub(crate) fn hear(&self, at: Time, record: &Record) {
        match *record {
            Record::Syscall { task, number, .. } => {
                let asked = self.0.asked.get(usize::from(task));
                let sends = number == Sysnum::Send as u32;
                if let Some(asked) = asked {
                    asked.set(sends.then_some(at));
                }
            }
            Record::Return { task, .. } => {
                let asked = self.0.asked.get(usize::from(task)).and_then(Cell::take);
                let waited = asked.map_or(Time::ZERO, |asked| at.since(asked));
                self.0.longest.set(self.0.longest.get().max(waited));
            }
            // Whoever died waits no more.
            Record::Fault { task, .. } => {
                if let Some(asked) = self.0.asked.get(usize::from(task)) {
                    asked.set(None);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn longest(&self) -> Time {
        self.0.longest.get()
    }
}

#[cfg(test)]
mod tests {
    use super::Patience;
    use fabric::{Record, Time};

    fn syscall(task: u16, number: u32) -> Record {
        Record::Syscall { task, number, args: [0; 4] }
    }

    #[test]
    fn the_longest_wait_for_an_answer_is_kept_and_the_dead_wait_for_none() {
        let patience = Patience::default();
        let back = |task| Record::Return { task, code: 0, length: 0 };
        for (at, record) in [
            (1, syscall(3, 0)),
            (2, syscall(4, 0)),
            (6, back(4)),
            // A wait for news is no wait for an answer.
            (7, syscall(4, 1)),
            (8, Record::Fault { task: 3, kind: "injected" }),
            (90, back(3)),
            (99, back(4)),
        ] {
            patience.hear(Time(at), &record);
        }
        assert_eq!(patience.longest(), Time(4));
    }
}
