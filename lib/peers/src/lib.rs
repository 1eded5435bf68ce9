//! Who my neighbours are, and which incarnation of them.
//!
//! Three things that every server needs: to hint a client that there is news
//! ([`hint`]), to learn which neighbours died since it last looked ([`Peers`]),
//! and to know its own life's number for its handles ([`epoch`]).
//!
//! A hint carries nothing and promises nothing: bits merge, and the client may
//! find the news already fetched. News is kept by the server until the client
//! pulls it.

#![no_std]
#![forbid(unsafe_code)]

use abi::{Generation, MAX_TASKS, TaskId};
use handles::Epoch;

userlib::task_slot!(JEFE, jefe);

/// Hints `client` that there is news, by the one notification bit that
/// `app.toml` lets the running task post to it (`notifies`). A client that it
/// gives none asks on its own account, and is not hinted; neither is one that
/// died meanwhile, since it pulls everything when it starts.
pub fn hint(client: TaskId) {
    let bit = userlib::notify_mask(client);
    if bit != 0 {
        // The answer can only be the dead code, see above.
        userlib::sys_post(client, bit);
    }
}

/// How often the running task was restarted, as `jefe` counts: the epoch of
/// its handles.
///
/// # Panics
/// When `jefe` is not there to answer, which stops the machine anyway.
#[must_use]
pub fn epoch() -> Epoch {
    let jefe = jefe_api::Jefe::from(JEFE.get_task_id());
    Epoch(jefe.epoch().expect("the supervisor answers"))
}

/// A neighbour of whom another incarnation is there now.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The incarnation that is gone: what it owned is to be reclaimed.
    pub old: TaskId,
    /// The incarnation that is there, though perhaps still held back; a SEND to
    /// it then answers the dead code.
    pub new: TaskId,
}

/// The tasks that share an edge of the graph with this one, in the incarnation
/// last seen.
#[derive(Debug)]
pub struct Peers {
    seen: [TaskId; MAX_TASKS],
    len: usize,
}

impl Peers {
    /// Begins to watch the tasks with these indices, as they are now. Whoever
    /// is sent to is looked up after this: a death in between is then told,
    /// and one before it is seen in the lookup.
    ///
    /// # Panics
    /// When there are more than an image can have.
    #[must_use]
    pub fn new(neighbours: &[u16]) -> Self {
        Self::start(neighbours, userlib::sys_refresh_task_id)
    }

    /// Calls `changed` for each neighbour that is no longer the incarnation
    /// seen before: what to do on the `peer_changed` notification. Several
    /// deaths of one task between two looks are one change.
    pub fn refresh(&mut self, changed: impl FnMut(Change)) {
        self.look(userlib::sys_refresh_task_id, changed);
    }

    /// The neighbour with this index in the incarnation last seen; `None` for a
    /// task that is no neighbour.
    #[must_use]
    pub fn current(&self, index: u16) -> Option<TaskId> {
        self.seen[..self.len].iter().copied().find(|seen| seen.index() == usize::from(index))
    }

    /// [`Peers::new`] over any source of current incarnations.
    fn start(neighbours: &[u16], current: impl Fn(TaskId) -> TaskId) -> Self {
        assert!(neighbours.len() <= MAX_TASKS, "more neighbours than tasks");
        let mut seen = [TaskId::KERNEL; MAX_TASKS];
        for (seen, &index) in seen.iter_mut().zip(neighbours) {
            *seen = current(TaskId::new(index, Generation::default()));
        }
        Self { seen, len: neighbours.len() }
    }

    /// [`Peers::refresh`] over any source of current incarnations.
    fn look(&mut self, current: impl Fn(TaskId) -> TaskId, mut changed: impl FnMut(Change)) {
        for seen in &mut self.seen[..self.len] {
            let new = current(*seen);
            if new != *seen {
                changed(Change { old: *seen, new });
                *seen = new;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Peers};
    use abi::{Generation, TaskId};

    /// Tasks 1 and 2 in the incarnations given.
    fn now(first: u8, second: u8) -> impl Fn(TaskId) -> TaskId {
        move |id| {
            let generation = if id.index() == 1 { first } else { second };
            TaskId::new(id.index() as u16, Generation(generation))
        }
    }

    fn changes(peers: &mut Peers, current: impl Fn(TaskId) -> TaskId) -> [Option<Change>; 2] {
        let mut seen = [None; 2];
        let mut next = 0;
        peers.look(current, |change| {
            seen[next] = Some(change);
            next += 1;
        });
        seen
    }

    #[test]
    fn a_change_is_told_once_with_the_incarnation_that_is_gone() {
        let mut peers = Peers::start(&[1, 2], now(3, 0));
        assert_eq!(changes(&mut peers, now(3, 0)), [None; 2]);
        let (old, new) = (TaskId::new(1, Generation(3)), TaskId::new(1, Generation(5)));
        assert_eq!(changes(&mut peers, now(5, 0)), [Some(Change { old, new }), None]);
        assert_eq!(changes(&mut peers, now(5, 0)), [None; 2]);
        assert_eq!(peers.current(1), Some(new));
        assert_eq!(peers.current(3), None);
    }

    #[test]
    fn deaths_of_several_neighbours_are_all_told() {
        let mut peers = Peers::start(&[1, 2], now(0, 0));
        assert!(changes(&mut peers, now(1, 63)).iter().all(Option::is_some));
    }
}
