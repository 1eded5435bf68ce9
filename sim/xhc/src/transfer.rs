//! Transfer rings: xHCI 1.2, 4.9 and 4.11.
//!
//! TRBs are fetched ahead of their use and kept, across a Stop Endpoint too,
//! until they are used or the dequeue pointer is set. When one is used, memory
//! is looked at again: if it says something else by now, then somebody wrote to
//! a TRB that the controller owned.

use crate::Xhc;
use crate::ids::{Dci, InterrupterId, SlotId};
use crate::trb::{Trb, kind};
use addr::Bus;
use fabric::{Fabric, Record, Violation};
use std::collections::VecDeque;

/// TRBs that are kept at most: the longest transfer descriptor this controller
/// takes, and those fetched ahead.
pub(crate) const CACHE: usize = 64;
/// Segments and buffers do not cross this boundary (table 6-1, 4.11.7).
const BOUNDARY: u64 = 0x1_0000;

/// A TRB that was fetched, and what comes behind it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) trb: Trb,
    next: Bus,
    next_cycle: bool,
}

/// A transfer ring as the controller sees it; the command ring is one, too.
#[derive(Debug)]
pub(crate) struct Ring {
    dequeue: Bus,
    cycle: bool,
    fetch: Bus,
    fetch_cycle: bool,
    cache: VecDeque<Fetched>,
    /// The interrupter that the TRB fetched last names.
    interrupter: Option<InterrupterId>,
}

/// What the front of a ring holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// Nothing that the controller owns yet.
    Empty,
    /// A transfer descriptor of that many TRBs.
    Descriptor(usize),
}

/// Whose ring it is: what is said about it in traces and violations.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Whose {
    pub(crate) slot: SlotId,
    pub(crate) dci: Dci,
}

impl Ring {
    pub(crate) fn new(dequeue: Bus, cycle: bool) -> Self {
        let cache = VecDeque::with_capacity(CACHE);
        Self { dequeue, cycle, fetch: dequeue, fetch_cycle: cycle, cache, interrupter: None }
    }

    /// What stands in for a ring while it is in use.
    pub(crate) fn taken() -> Self {
        let (cache, interrupter) = (VecDeque::new(), None);
        Self { dequeue: Bus(0), cycle: true, fetch: Bus(0), fetch_cycle: true, cache, interrupter }
    }

    /// Whether its TRBs name that interrupter, as far as they were fetched.
    pub(crate) fn names(&self, interrupter: InterrupterId) -> bool {
        self.interrupter == Some(interrupter)
    }

    /// Where the next TRB to use stands, and with what cycle bit.
    pub(crate) fn position(&self) -> (Bus, bool) {
        (self.dequeue, self.cycle)
    }

    pub(crate) fn get(&self, index: usize) -> Option<Trb> {
        self.cache.get(index).map(|fetched| fetched.trb)
    }

    /// The TRB at the front was used.
    pub(crate) fn pop(&mut self) -> Option<Trb> {
        let fetched = self.cache.pop_front()?;
        (self.dequeue, self.cycle) = (fetched.next, fetched.next_cycle);
        Some(fetched.trb)
    }
}

impl Xhc {
    /// Fetches until `ring` has `wanted` TRBs in its cache, or no more are owned.
    pub(crate) fn fetch(&self, fabric: &mut Fabric, ring: &mut Ring, wanted: usize, whose: Whose) {
        while ring.cache.len() < wanted.min(CACHE) {
            let at = ring.fetch;
            // A blocked fetch reads zeros: a TRB that is not owned, or one
            // without a type. Nobody is told.
            let Some(words) = self.read_words::<4>(fabric, at) else { return };
            let trb = Trb { at, words };
            if trb.cycle() != ring.fetch_cycle {
                return;
            }
            let (controller, slot, dci) = (self.number, whose.slot.0, whose.dci.0);
            // The first TRB of a descriptor hands over those behind it (4.9.2).
            if !trb.follows() && fabric.was_torn(self.stream, self.reach(at)) {
                self.violation(fabric, Violation::TrbHandedOverTorn { controller, at });
            }
            fabric.record(Record::Trb { controller, slot, dci, at, words });
            ring.interrupter = Some(trb.interrupter());
            if trb.has_reserved_bits() {
                self.malformed_trb(fabric, trb);
            }
            let (next, cycle) = if trb.kind() == kind::LINK {
                if trb.parameter() & 0xF != 0 {
                    self.misplaced(fabric, Bus(trb.parameter()));
                }
                let target = self.reach(Bus(trb.parameter() & !0xF));
                (target, ring.fetch_cycle ^ trb.toggles_cycle())
            } else {
                let next = at.plus(16);
                if next.0.is_multiple_of(BOUNDARY) {
                    // A segment ends here at the latest, and with a link.
                    self.misplaced(fabric, next);
                }
                (next, ring.fetch_cycle)
            };
            (ring.fetch, ring.fetch_cycle) = (next, cycle);
            ring.cache.push_back(Fetched { trb, next, next_cycle: cycle });
        }
    }

    /// Looks at the front of `ring`: fetches up to the end of its first
    /// descriptor, and ahead.
    pub(crate) fn front(&self, fabric: &mut Fabric, ring: &mut Ring, whose: Whose) -> Front {
        self.fetch(fabric, ring, 1 + self.p.prefetch, whose);
        let mut count = 0;
        loop {
            if count == ring.cache.len() {
                self.fetch(fabric, ring, count + 1, whose);
            }
            let Some(trb) = ring.get(count) else {
                // The rest of the descriptor is not there yet.
                return Front::Empty;
            };
            count += 1;
            if !trb.chained() || count == CACHE {
                return Front::Descriptor(count);
            }
        }
    }

    /// The first `count` TRBs are about to be used: they must still be what they
    /// were when they were fetched.
    pub(crate) fn verify(&self, fabric: &mut Fabric, ring: &Ring, count: usize) {
        for fetched in ring.cache.iter().take(count) {
            let at = fetched.trb.at;
            // One that is out of reach now was not written by anybody.
            let seen = self.read_words::<4>(fabric, at);
            if seen.is_some_and(|words| words != fetched.trb.words) {
                let controller = self.number;
                self.violation(fabric, Violation::TrbChangedAfterFetch { controller, at });
            }
        }
    }

    pub(crate) fn malformed_trb(&self, fabric: &mut Fabric, trb: Trb) {
        let (controller, at, kind) = (self.number, trb.at, trb.kind());
        self.violation(fabric, Violation::TrbMalformed { controller, at, kind });
    }

    /// Checks the rules that all TRBs with a buffer have in common.
    pub(crate) fn check_buffer(&self, fabric: &mut Fabric, trb: Trb) {
        if trb.is_immediate() {
            if trb.length() > 8 {
                self.malformed_trb(fabric, trb);
            }
            return;
        }
        let (start, length) = (trb.parameter(), u64::from(trb.length()));
        if length > 0 && start / BOUNDARY != (start + length - 1) / BOUNDARY {
            self.malformed_trb(fabric, trb);
        }
        if trb.length() > BOUNDARY as u32 {
            self.malformed_trb(fabric, trb);
        }
    }
}
