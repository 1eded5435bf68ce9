//! The two ring state machines (4.9) over an abstract memory.
//!
//! A producer hands a TD over by writing its first cycle bit last; a consumer
//! reads the cycle bit first. The barriers between are asked of the memory, so
//! that the order is this file's and no caller can get it wrong.

use crate::{CHAIN, CYCLE, Trb, transfer};
use addr::Bus;

/// Memory that holds a ring, seen as TRBs from 0 up.
pub trait RingMemory {
    /// Words 0 to 2 of a TRB.
    fn body(&self, at: u16) -> [u32; 3];
    /// Word 3 of a TRB, in one access.
    fn control(&self, at: u16) -> u32;
    /// Writes words 0 to 2.
    fn set_body(&self, at: u16, words: [u32; 3]);
    /// Writes word 3 in one access.
    fn set_control(&self, at: u16, word: u32);
    /// Earlier writes become visible before later ones.
    fn publish(&self);
    /// Earlier reads are done before later ones.
    fn acquire(&self);
}

/// No room for the whole TD; nothing was written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RingFull;

/// The producer's side of a ring of one segment whose last TRB links to its
/// first and toggles the cycle (4.9.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ProducerRing {
    /// TRBs without the Link.
    usable: u16,
    enqueue: u16,
    dequeue: u16,
    cycle: bool,
}

impl ProducerRing {
    /// A ring over `len` TRBs of zeroed memory, Link included.
    ///
    /// # Panics
    /// With less than three TRBs: one usable place would always be the gap that
    /// tells full from empty.
    #[must_use]
    pub const fn new(len: u16) -> Self {
        assert!(len >= 3, "a ring has a place, a gap and a Link");
        Self { usable: len - 1, enqueue: 0, dequeue: 0, cycle: true }
    }

    /// Writes the Link TRB, not yet the controller's. `base` is where the
    /// controller sees the ring.
    pub fn init(&self, memory: &impl RingMemory, base: Bus) {
        let [a, b, c, d] = transfer::link(base, true).0;
        memory.set_body(self.usable, [a, b, c]);
        memory.set_control(self.usable, d);
        memory.publish();
    }

    /// Where the next TRB goes.
    #[must_use]
    pub const fn enqueue(&self) -> u16 {
        self.enqueue
    }

    /// The cycle bit that the next TRB gets.
    #[must_use]
    pub const fn cycle(&self) -> bool {
        self.cycle
    }

    /// TRBs for which there is room; one place is always left (4.9.2.2).
    #[must_use]
    pub const fn room(&self) -> u16 {
        self.usable - 1 - self.used()
    }

    /// TRBs that are the controller's.
    #[must_use]
    pub const fn used(&self) -> u16 {
        (self.enqueue + self.usable - self.dequeue) % self.usable
    }

    /// Hands a TD over: its first TRB becomes the controller's last of all.
    /// Where the first TRB stands.
    ///
    /// # Errors
    /// [`RingFull`].
    pub fn push(&mut self, memory: &impl RingMemory, td: &[Trb]) -> Result<u16, RingFull> {
        if td.len() > usize::from(self.room()) {
            return Err(RingFull);
        }
        let first = (self.enqueue, self.cycle);
        for (n, trb) in td.iter().enumerate() {
            let [a, b, c, d] = trb.with_cycle(self.cycle).0;
            memory.set_body(self.enqueue, [a, b, c]);
            // The first place keeps the cycle bit of the lap before, with which
            // it is not the controller's.
            if n > 0 {
                memory.set_control(self.enqueue, d);
            }
            self.step(memory, trb.has(CHAIN));
        }
        if let Some(trb) = td.first() {
            memory.publish();
            memory.set_control(first.0, trb.with_cycle(first.1).0[3]);
            memory.publish();
        }
        Ok(first.0)
    }

    /// Everything up to and with the TRB at `at` is done. What is not the
    /// controller's cannot be: then nothing happens and the answer is `false`.
    pub fn completed(&mut self, at: u16) -> bool {
        let ours =
            at < self.usable && (at + self.usable - self.dequeue) % self.usable < self.used();
        if ours {
            self.dequeue = (at + 1) % self.usable;
        }
        ours
    }

    /// The controller has nothing more: the endpoint was stopped and is set to
    /// go on at [`enqueue`](Self::enqueue).
    pub const fn abandon(&mut self) {
        self.dequeue = self.enqueue;
    }

    /// The place of the TRB that the controller sees at `pointer`, in a ring
    /// that it sees at `base`.
    #[must_use]
    pub fn index_of(&self, base: Bus, pointer: Bus) -> Option<u16> {
        let offset = pointer.offset_from(base)?;
        let index = offset / u64::from(crate::TRB_BYTES);
        (pointer.is_aligned(16) && index < u64::from(self.usable)).then_some(index as u16)
    }

    /// The place in front of `pointer`, up to which a controller that is to go on
    /// there is through with the ring that it sees at `base`.
    #[must_use]
    pub fn index_before(&self, base: Bus, pointer: Bus) -> Option<u16> {
        let offset = pointer.offset_from(base)?;
        let index = offset / u64::from(crate::TRB_BYTES);
        let inside = pointer.is_aligned(16) && index <= u64::from(self.usable);
        // In front of the Link as well as behind it is the last place.
        inside.then(|| (index as u16 + self.usable - 1) % self.usable)
    }

    fn step(&mut self, memory: &impl RingMemory, chain: bool) {
        self.enqueue += 1;
        if self.enqueue == self.usable {
            // The Link is handed over like any other TRB, within a TD chained.
            let control = memory.control(self.usable) & !(CYCLE | CHAIN);
            let chain = if chain { CHAIN } else { 0 };
            memory.publish();
            memory.set_control(self.usable, control | chain | u32::from(self.cycle));
            self.enqueue = 0;
            self.cycle = !self.cycle;
        }
    }
}

/// The consumer's side of an event ring: segments of equal length, no Links
/// (4.9.4). Memory holds them one after another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRing {
    len: u16,
    dequeue: u16,
    cycle: bool,
}

impl ConsumerRing {
    /// The consumer of `len` TRBs of zeroed memory, over all segments.
    ///
    /// # Panics
    /// With none.
    #[must_use]
    pub const fn new(len: u16) -> Self {
        assert!(len > 0, "an event ring has places");
        Self { len, dequeue: 0, cycle: true }
    }

    /// Takes over from another consumer that stands before `dequeue`. Its cycle
    /// follows from the last event that it consumed: the one before, which on
    /// the lap before this one if `dequeue` is the first place.
    ///
    /// # Panics
    /// When `dequeue` is outside the ring.
    #[must_use]
    pub fn take_over(memory: &impl RingMemory, len: u16, dequeue: u16) -> Self {
        assert!(dequeue < len, "an event ring's dequeue pointer is inside it");
        let (last, same_lap) = if dequeue == 0 { (len - 1, false) } else { (dequeue - 1, true) };
        let seen = memory.control(last) & CYCLE != 0;
        Self { len, dequeue, cycle: seen == same_lap }
    }

    /// The next event, if there is one.
    #[must_use]
    pub fn peek(&self, memory: &impl RingMemory) -> Option<Trb> {
        let control = memory.control(self.dequeue);
        if (control & CYCLE != 0) != self.cycle {
            return None;
        }
        memory.acquire();
        let [a, b, c] = memory.body(self.dequeue);
        Some(Trb([a, b, c, control]))
    }

    /// The event that [`peek`](Self::peek) showed is consumed.
    pub const fn advance(&mut self) {
        self.dequeue += 1;
        if self.dequeue == self.len {
            self.dequeue = 0;
            self.cycle = !self.cycle;
        }
    }

    /// The next event, consumed.
    pub fn next(&mut self, memory: &impl RingMemory) -> Option<Trb> {
        let trb = self.peek(memory)?;
        self.advance();
        Some(trb)
    }

    /// The first place that is not consumed: what ERDP must say.
    #[must_use]
    pub const fn dequeue(&self) -> u16 {
        self.dequeue
    }

    /// The cycle bit of an event that is there.
    #[must_use]
    pub const fn cycle(&self) -> bool {
        self.cycle
    }
}
