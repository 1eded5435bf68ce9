//! What will happen when: the queue that drives devices.
//!
//! Two events of one point of time happen in the order in which they were
//! scheduled, so that a run depends on nothing but its seed.

use crate::Time;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A device on the simulated board; the board gives the numbers out.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u8);

/// An event that was scheduled; good for cancelling it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId(u64);

/// An event that is due.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Whom to wake.
    pub device: DeviceId,
    /// What the device said when it asked to be woken.
    pub token: u32,
    sequence: u64,
}

impl Event {
    /// The id that scheduling it returned.
    #[must_use]
    pub const fn id(&self) -> EventId {
        EventId(self.sequence)
    }
}

impl Ord for Event {
    /// Reversed, because the heap of the standard library pops its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The queue of events to come.
#[derive(Debug)]
pub struct Events {
    heap: BinaryHeap<Event>,
    sequence: u64,
}

/// Events that fit before the heap has to grow: some tens per controller.
const ROOM: usize = 256;

impl Default for Events {
    fn default() -> Self {
        Self { heap: BinaryHeap::with_capacity(ROOM), sequence: 0 }
    }
}

impl Events {
    /// Wakes `device` with `token` at `at`.
    pub fn schedule(&mut self, at: Time, device: DeviceId, token: u32) -> EventId {
        let sequence = self.sequence;
        self.sequence += 1;
        self.heap.push(Event { at, device, token, sequence });
        EventId(sequence)
    }

    /// Takes an event back; `false` when it has already been popped.
    ///
    /// Costs a walk over the queue: meant for time-outs that rarely run out,
    /// not for the way of each packet.
    pub fn cancel(&mut self, id: EventId) -> bool {
        let before = self.heap.len();
        self.heap.retain(|event| event.sequence != id.0);
        self.heap.len() != before
    }

    /// When the next event is due; [`Time::NEVER`] when there is none.
    #[must_use]
    pub fn next_at(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |event| event.at)
    }

    /// Takes the earliest event that is due at `now`.
    pub fn pop_due(&mut self, now: Time) -> Option<Event> {
        if self.next_at() > now {
            return None;
        }
        self.heap.pop()
    }

    /// Events in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing will ever happen again.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceId, Events};
    use crate::Time;

    #[test]
    fn events_come_by_time_then_by_order_of_scheduling() {
        let mut events = Events::default();
        events.schedule(Time::us(2), DeviceId(0), 1);
        events.schedule(Time::us(1), DeviceId(0), 2);
        events.schedule(Time::us(1), DeviceId(0), 3);
        assert_eq!(events.next_at(), Time::us(1));
        let tokens: Vec<u32> =
            std::iter::from_fn(|| events.pop_due(Time::us(5)).map(|event| event.token)).collect();
        assert_eq!(tokens, [2, 3, 1]);
    }

    #[test]
    fn nothing_is_popped_early_and_a_cancelled_event_never() {
        let mut events = Events::default();
        let id = events.schedule(Time::us(2), DeviceId(1), 7);
        events.schedule(Time::us(3), DeviceId(1), 8);
        assert_eq!(events.pop_due(Time::us(1)), None);
        assert!(events.cancel(id));
        assert!(!events.cancel(id));
        assert_eq!(events.pop_due(Time::us(9)).map(|event| event.token), Some(8));
        assert!(events.is_empty());
    }
}
