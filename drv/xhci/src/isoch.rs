//! Isochronous endpoints on the host path: packets in bounce pages.
//!
//! One queue per endpoint, one TD per service interval (fact 63), all events on
//! the primary event ring. This file keeps the books; the TRBs are written and
//! the data copied by `endpoint`. It knows packets, not sound.

use crate::pages::Page;
use addr::PAGE;
use trb::CompletionCode;
use xhci_api::IsochStatus;

/// Packets in one queue at most: what `IsochStatus` and a ring page can hold
/// with room to spare, 64 ms at full speed.
pub(crate) const PACKETS: u32 = 64;
/// Bounce pages of one queue.
pub(crate) const BOUNCE_PAGES: u16 = 4;
/// An interrupt comes after this many OUT packets, and after the last of each
/// batch.
pub(crate) const INTERRUPT_EVERY: u32 = 4;

/// The packets of one endpoint, oldest first: those whose data a client has not
/// read (IN), then those that are the controller's.
#[derive(Copy, Clone, Debug)]
pub(crate) struct IsochQueue {
    /// First of [`BOUNCE_PAGES`].
    pub(crate) page: Page,
    is_in: bool,
    slot: u16,
    capacity: u32,
    /// Packets handed to the controller, finished by it, read by the client;
    /// they wrap.
    written: u32,
    done: u32,
    read: u32,
    /// Where in the ring each packet's TRB is, and its bytes.
    at: [u16; PACKETS as usize],
    length: [u16; PACKETS as usize],
    errors: u32,
    underruns: u32,
    /// Something completed since the client was told.
    pub(crate) progress: bool,
}

impl IsochQueue {
    /// An empty queue for packets of at most `payload` bytes; `None` when such a
    /// packet does not fit a page.
    pub(crate) fn new(page: Page, is_in: bool, payload: u32) -> Option<Self> {
        let slot = Self::slot_bytes(payload)?;
        let capacity = (PAGE / u32::from(slot) * u32::from(BOUNCE_PAGES)).min(PACKETS);
        Some(Self {
            page,
            is_in,
            slot,
            capacity,
            written: 0,
            done: 0,
            read: 0,
            at: [0; PACKETS as usize],
            length: [0; PACKETS as usize],
            errors: 0,
            underruns: 0,
            progress: false,
        })
    }

    /// There is never more than one: a hub says again what nobody has seen to.
    pub(crate) const fn one_at_a_time(&mut self) {
        self.capacity = 1;
    }

    /// Bytes that a packet's place takes; `None` when it does not fit a page.
    pub(crate) const fn slot_bytes(payload: u32) -> Option<u16> {
        if payload == 0 || payload > PAGE { None } else { Some(payload.next_multiple_of(4) as u16) }
    }

    /// Which way the packets go.
    pub(crate) const fn is_in(&self) -> bool {
        self.is_in
    }

    /// Packets that can still be handed over.
    pub(crate) const fn room(&self) -> u32 {
        let held = if self.is_in { self.read } else { self.done };
        self.capacity - self.written.wrapping_sub(held)
    }

    /// Packets that are the controller's.
    const fn queued(&self) -> u32 {
        self.written.wrapping_sub(self.done)
    }

    /// Where the next packet's data go: the page after the first, the offset.
    pub(crate) const fn next_place(&self) -> (u16, u32) {
        self.place(self.written)
    }

    const fn place(&self, packet: u32) -> (u16, u32) {
        let index = packet % self.capacity;
        let per_page = PAGE / self.slot as u32;
        ((index / per_page) as u16, index % per_page * self.slot as u32)
    }

    /// A packet of `length` bytes was handed over in the TRB at `at`.
    pub(crate) fn pushed(&mut self, at: u16, length: u16) {
        let index = (self.written % self.capacity) as usize;
        self.at[index] = at;
        self.length[index] = length;
        self.written = self.written.wrapping_add(1);
    }

    /// The controller reports on the TRB at `at`. Everything before it is over
    /// as well; without events of their own those went well, unless a missed
    /// service speaks for them all (fact 69). `false` when the TRB is not one of
    /// the queue's.
    pub(crate) fn completed(&mut self, at: u16, code: CompletionCode, residual: u32) -> bool {
        let Some(ahead) = (0..self.queued())
            .find(|&n| self.at[(self.done.wrapping_add(n) % self.capacity) as usize] == at)
        else {
            return false;
        };
        let missed = code == CompletionCode::MissedService;
        for n in 0..=ahead {
            let index = (self.done.wrapping_add(n) % self.capacity) as usize;
            let last = n == ahead;
            let good = matches!(code, CompletionCode::Success | CompletionCode::ShortPacket);
            if missed || last && !good {
                self.errors = self.errors.wrapping_add(1);
            }
            if self.is_in {
                let lost = if last && good { residual } else { u32::from(self.length[index]) };
                self.length[index] = u32::from(self.length[index]).saturating_sub(lost) as u16;
            }
        }
        self.done = self.done.wrapping_add(ahead + 1);
        self.progress = true;
        true
    }

    /// The ring ran dry (underrun OUT, overrun IN).
    pub(crate) const fn ran_dry(&mut self) {
        self.underruns = self.underruns.wrapping_add(1);
        self.progress = true;
    }

    /// The oldest packet received and not read: where its data are, and how
    /// many bytes.
    pub(crate) const fn oldest(&self) -> Option<((u16, u32), u16)> {
        if self.read == self.done {
            return None;
        }
        let index = (self.read % self.capacity) as usize;
        Some((self.place(self.read), self.length[index]))
    }

    /// The oldest packet was read.
    pub(crate) const fn take(&mut self) {
        self.read = self.read.wrapping_add(1);
    }

    /// For the client.
    pub(crate) const fn status(&self) -> IsochStatus {
        IsochStatus {
            queued: self.queued() as u8,
            room: self.room() as u8,
            completed: self.done,
            errors: self.errors,
            underruns: self.underruns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNCE_PAGES, IsochQueue, PACKETS};
    use crate::pages::Page;
    use addr::PAGE;
    use proptest::prelude::*;
    use trb::CompletionCode as C;

    fn queue(is_in: bool, payload: u32) -> IsochQueue {
        IsochQueue::new(Page(0), is_in, payload).expect("fits a page")
    }

    #[test]
    fn an_event_speaks_for_the_packets_before_it() {
        let mut out = queue(false, 192);
        for at in 0..4 {
            out.pushed(at, 192);
        }
        assert!(out.completed(2, C::Success, 0));
        let status = out.status();
        assert_eq!((status.completed, status.errors, status.queued), (3, 0, 1));
        assert!(!out.completed(2, C::Success, 0), "twice");
        assert!(!out.completed(9, C::Success, 0), "not queued");
        assert!(out.completed(3, C::Transaction, 0));
        assert_eq!(out.status().errors, 1);
    }

    #[test]
    fn a_missed_service_loses_all_packets_up_to_its_own() {
        let mut out = queue(false, 192);
        for at in 10..15 {
            out.pushed(at, 192);
        }
        assert!(out.completed(12, C::MissedService, 0));
        assert_eq!((out.status().completed, out.status().errors), (3, 3));
    }

    #[test]
    fn in_packets_wait_to_be_read_with_the_length_that_came() {
        let mut queue = queue(true, 4);
        queue.pushed(0, 4);
        queue.pushed(1, 4);
        assert_eq!(queue.oldest(), None);
        assert!(queue.completed(0, C::Success, 1));
        assert_eq!(queue.oldest(), Some(((0, 0), 3)));
        assert!(queue.completed(1, C::Transaction, 0));
        queue.take();
        assert_eq!(queue.oldest(), Some(((0, 4), 0)), "a failed packet is empty");
        queue.take();
        assert_eq!(queue.oldest(), None);
    }

    #[test]
    fn a_residual_beyond_the_packet_is_no_more_than_all_of_it() {
        let mut queue = queue(true, 4);
        queue.pushed(0, 4);
        assert!(queue.completed(0, C::Success, 0xFF_FFFF));
        assert_eq!(queue.oldest(), Some(((0, 0), 0)));
    }

    #[test]
    fn a_packet_larger_than_a_page_has_no_place() {
        assert!(IsochQueue::new(Page(0), false, PAGE + 1).is_none());
        assert!(IsochQueue::new(Page(0), false, 0).is_none());
        assert_eq!(queue(false, PAGE).room(), u32::from(BOUNCE_PAGES));
        assert_eq!(queue(false, 192).room(), PACKETS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_place_is_used_by_two_packets_and_none_crosses_a_page(
            payload in 1_u32..4097,
            script in prop::collection::vec(0_u32..3, 1..300),
        ) {
            let mut queue = queue(true, payload);
            let (mut next, mut held) = (0_u16, std::collections::VecDeque::new());
            let mut flying = std::collections::VecDeque::new();
            for action in script {
                match action {
                    0 if queue.room() > 0 => {
                        let place = queue.next_place();
                        prop_assert!(place.0 < BOUNCE_PAGES && place.1 + payload <= PAGE);
                        prop_assert!(!held.contains(&place));
                        held.push_back(place);
                        flying.push_back(next);
                        queue.pushed(next, payload as u16);
                        next = (next + 1) % 255;
                    }
                    1 => if let Some(at) = flying.pop_front() {
                        prop_assert!(queue.completed(at, C::Success, 0));
                    },
                    _ => if let Some((place, length)) = queue.oldest() {
                        prop_assert_eq!((Some(place), u32::from(length)), (held.pop_front(), payload));
                        queue.take();
                    },
                }
            }
        }
    }
}
