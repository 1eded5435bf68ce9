//! What a controller writes into an event ring.

use crate::Bytes;
use std::cell::RefCell;
use trb::{ConsumerRing, Event, RingMemory, Trb};

/// Places of the ring.
const PLACES: u16 = 16;

/// A ring that the controller writes to whenever it likes.
struct Ring(RefCell<[[u32; 4]; PLACES as usize]>);

impl RingMemory for Ring {
    fn body(&self, at: u16) -> [u32; 3] {
        let [a, b, c, _] = self.0.borrow()[usize::from(at)];
        [a, b, c]
    }

    fn control(&self, at: u16) -> u32 {
        self.0.borrow()[usize::from(at)][3]
    }

    fn set_body(&self, at: u16, words: [u32; 3]) {
        self.0.borrow_mut()[usize::from(at)][..3].copy_from_slice(&words);
    }

    fn set_control(&self, at: u16, word: u32) {
        self.0.borrow_mut()[usize::from(at)][3] = word;
    }

    fn publish(&self) {}

    fn acquire(&self) {}
}

/// Each step writes a TRB somewhere and takes what is there: at most one lap, and
/// the place stays inside. Now and then another consumer takes over.
pub(crate) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let ring = Ring(RefCell::new([[0; 4]; PLACES as usize]));
    let mut consumer = ConsumerRing::new(PLACES);
    while !bytes.0.is_empty() {
        let what = bytes.byte();
        let words = [bytes.word(), bytes.word(), bytes.word(), bytes.word()];
        ring.0.borrow_mut()[usize::from(what % PLACES as u8)] = words;
        if what & 0x80 != 0 {
            let dequeue = u16::from(what >> 4 & 7);
            consumer = ConsumerRing::take_over(&ring, PLACES, dequeue);
            assert_eq!(consumer.dequeue(), dequeue);
        }
        let mut taken = 0;
        while let Some(trb) = consumer.next(&ring) {
            let _ = Event::decode(trb);
            assert!(consumer.dequeue() < PLACES);
            taken += 1;
            assert!(taken <= PLACES, "more than a lap without a change");
        }
        let _ = Event::decode(Trb(words));
    }
}
