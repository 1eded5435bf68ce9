//! How the program is commanded on a board: through its own memory.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};
use hostile::{Desk, Order, Tally};
use zerocopy::{IntoBytes, transmute};

const WORDS: usize = size_of::<Desk>() / 4;
const ORDER: usize = offset_of!(Desk, order) / 4;
const BEGUN: usize = offset_of!(Desk, begun) / 4;
const DONE: usize = offset_of!(Desk, done) / 4;
const TALLY: usize = offset_of!(Desk, tally) / 4;

/// A [`Desk`], word by word.
#[allow(unsafe_code, reason = "whoever commands the program finds it by this name")]
#[unsafe(no_mangle)]
static HOSTILE_DESK: [AtomicU32; WORDS] = [const { AtomicU32::new(0) }; WORDS];

/// An order that was not begun yet.
pub(crate) fn order() -> Option<Order> {
    // The sequence first: what it announces is then in what follows.
    let sequence = HOSTILE_DESK[ORDER].load(Ordering::Acquire);
    if sequence == HOSTILE_DESK[BEGUN].load(Ordering::Relaxed) {
        return None;
    }
    HOSTILE_DESK[BEGUN].store(sequence, Ordering::Relaxed);
    let mut words = [0_u32; size_of::<Order>() / 4];
    for (word, place) in words.iter_mut().zip(&HOSTILE_DESK[ORDER..]) {
        *word = place.load(Ordering::Relaxed);
    }
    Some(transmute!(words))
}

/// What was answered so far.
pub(crate) fn report(tally: &Tally) {
    for (place, word) in HOSTILE_DESK[TALLY..].iter().zip(tally.as_bytes().chunks_exact(4)) {
        let word = word.try_into().map_or(0, u32::from_ne_bytes);
        place.store(word, Ordering::Relaxed);
    }
}

/// This order was carried out.
pub(crate) fn done(sequence: u32) {
    HOSTILE_DESK[DONE].store(sequence, Ordering::Release);
}
