//! Votes: the usage counter, by name (DESIGN rule 4).
//!
//! Each session has at most one vote for its device to stay up. A vote is
//! recorded before `usb_core` is asked (`Pending`), and then committed or
//! dropped. `usb_core` keeps one bit per device incarnation for the broker; it
//! is set with the first vote and ends with the last. A vote that is released
//! twice is a counted defect, not a wrong count (D-9, R16).

use counters::{Count, count, counters};
use dsp_abi::SESSIONS;
use usb_core_api::DeviceHandle;

use crate::session::SessionId;

/// What happened to votes: what was cast and not released still stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count)]
pub enum Change {
    /// One was cast, pending or committed at once.
    Cast,
    /// One was released.
    Released,
    /// One was released that was not there.
    ReleasedTwice,
}

counters!(VOTES, Change);

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Committed,
}

#[derive(Copy, Clone, Debug)]
struct Vote {
    session: SessionId,
    device: DeviceHandle,
    state: State,
}

/// What `usb_core` must be asked when a vote is cast.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Cast {
    /// Ask it for a hold, then commit or drop.
    AskHold,
    /// The device is held already, and the vote is committed.
    Committed,
}

/// All votes that stand.
#[derive(Debug, Default)]
pub struct Votes {
    votes: [Option<Vote>; SESSIONS],
    /// Devices that `usb_core` holds up for the broker.
    held: [Option<DeviceHandle>; SESSIONS],
    double_releases: u32,
}

impl Votes {
    /// Records a vote of `session` for `device`.
    ///
    /// # Panics
    /// When the session has one already: it has one place for it.
    pub fn cast(&mut self, session: SessionId, device: DeviceHandle) -> Cast {
        assert!(self.place(session).is_none(), "a session votes once");
        let held = self.held.contains(&Some(device));
        let state = if held { State::Committed } else { State::Pending };
        let free = self.votes.iter_mut().find(|vote| vote.is_none());
        *free.expect("a place per session") = Some(Vote { session, device, state });
        count!(VOTES, Change::Cast);
        if held { Cast::Committed } else { Cast::AskHold }
    }

    /// `usb_core` granted the hold.
    pub fn commit(&mut self, session: SessionId) {
        let Some(index) = self.place(session) else { return };
        let Some(vote) = &mut self.votes[index] else { return };
        vote.state = State::Committed;
        let device = vote.device;
        if !self.held.contains(&Some(device)) {
            let free = self.held.iter_mut().find(|held| held.is_none());
            *free.expect("not more devices than sessions") = Some(device);
        }
    }

    /// Ends a vote, pending or committed. The device whose hold must now end,
    /// if it was the last vote for one that is held.
    pub fn release(&mut self, session: SessionId) -> Option<DeviceHandle> {
        let Some(vote) = self.place(session).and_then(|index| self.votes[index].take()) else {
            self.count_double_release();
            return None;
        };
        count!(VOTES, Change::Released);
        if self.votes.iter().flatten().any(|other| other.device == vote.device) {
            return None;
        }
        let held = self.held.iter_mut().find(|held| **held == Some(vote.device))?;
        held.take()
    }

    /// `usb_core` died, and every hold with it; the votes stay their sessions'
    /// until those end.
    pub fn forget_holds(&mut self) {
        self.held = [None; SESSIONS];
    }

    /// A release of what was not there.
    pub fn count_double_release(&mut self) {
        self.double_releases = self.double_releases.wrapping_add(1);
        count!(VOTES, Change::ReleasedTwice);
    }

    /// Whether the session's vote is committed.
    #[must_use]
    pub fn is_committed(&self, session: SessionId) -> bool {
        self.votes
            .iter()
            .flatten()
            .any(|vote| vote.session == session && vote.state == State::Committed)
    }

    /// Votes committed.
    #[must_use]
    pub fn committed(&self) -> usize {
        self.votes.iter().flatten().filter(|vote| vote.state == State::Committed).count()
    }

    /// Votes released that were not there: always 0, or a defect.
    #[must_use]
    pub const fn double_releases(&self) -> u32 {
        self.double_releases
    }

    fn place(&self, session: SessionId) -> Option<usize> {
        self.votes.iter().position(|vote| vote.is_some_and(|vote| vote.session == session))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cast, Votes};
    use crate::session::SessionId;
    use handles::{Handle, Raw};
    use usb_core_api::DeviceHandle;

    fn device(index: u16) -> DeviceHandle {
        DeviceHandle::from_raw(Raw { index, seq: 1, epoch: 0 })
    }

    fn session(place: u8) -> SessionId {
        SessionId { place, id: u32::from(place) }
    }

    #[test]
    fn the_first_vote_asks_and_the_last_one_ends_the_hold() {
        let mut votes = Votes::default();
        assert_eq!(votes.cast(session(0), device(7)), Cast::AskHold);
        assert_eq!(votes.committed(), 0);
        votes.commit(session(0));
        assert_eq!(votes.cast(session(1), device(7)), Cast::Committed);
        assert_eq!(votes.cast(session(2), device(8)), Cast::AskHold);
        assert_eq!(votes.committed(), 2);
        assert_eq!(votes.release(session(0)), None);
        assert_eq!(votes.release(session(1)), Some(device(7)));
        assert_eq!(votes.release(session(2)), None, "never granted, so nothing to end");
        assert_eq!(votes.double_releases(), 0);
    }

    /// Two votes are under way at once: whichever goes, the bit stays as long
    /// as one may need it, and ends with the last.
    #[test]
    fn a_hold_that_a_pending_vote_may_need_is_not_ended_under_it() {
        let mut votes = Votes::default();
        assert_eq!(votes.cast(session(0), device(7)), Cast::AskHold);
        assert_eq!(votes.cast(session(1), device(7)), Cast::AskHold);
        votes.commit(session(0));
        assert_eq!(votes.release(session(0)), None);
        assert_eq!(votes.release(session(1)), Some(device(7)), "dropped, and it was the last");
    }

    /// D-9, R16: a second release of one vote is counted and takes nothing.
    #[test]
    fn a_second_release_is_a_counted_defect_and_changes_nothing() {
        let mut votes = Votes::default();
        for place in 0..2 {
            votes.cast(session(place), device(7));
            votes.commit(session(place));
        }
        assert_eq!(votes.release(session(0)), None);
        assert_eq!(votes.release(session(0)), None);
        assert_eq!((votes.double_releases(), votes.committed()), (1, 1));
        assert_eq!(votes.release(session(1)), Some(device(7)));
    }

    #[test]
    fn holds_that_died_with_usb_core_are_not_ended_again() {
        let mut votes = Votes::default();
        votes.cast(session(0), device(7));
        votes.commit(session(0));
        votes.forget_holds();
        assert_eq!(votes.release(session(0)), None);
        assert_eq!(votes.double_releases(), 0);
    }
}
