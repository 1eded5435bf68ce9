//! Event rings: xHCI 1.2, 4.9.4, 5.5.2 and 6.5.
//!
//! The segment table is read once, when ERSTBA is written, and whenever the
//! controller comes to a new segment it checks that the table is still the
//! same: hardware may cache it for as long as it likes. One place of the ring
//! is kept for the Event Ring Full error; what comes while it is full is lost.

use crate::Xhc;
use crate::ids::InterrupterId;
use crate::trb::{self, Code};
use addr::Bus;
use fabric::{Fabric, Record, Violation};

/// Least and most TRBs in a segment (6.5).
const SEGMENT: std::ops::RangeInclusive<u32> = 16..=4096;
/// No structure of a controller crosses this boundary (table 6-1).
const BOUNDARY: u64 = 0x1_0000;

/// A segment as the table describes it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Segment {
    base: Bus,
    size: u32,
    raw: [u32; 4],
}

/// A ring in use. Places are counted over all segments.
#[derive(Debug)]
pub(crate) struct EventRing {
    table: Bus,
    segments: Vec<Segment>,
    total: u32,
    enqueue: u32,
    /// Where software is; `None` while ERDP points nowhere.
    dequeue: Option<u32>,
    cycle: bool,
}

/// What a new value of ERDP was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dequeue {
    /// Behind the last event: the ring is empty.
    Empty,
    /// Events are left.
    Left,
    /// Not in the ring, or beyond the last event.
    Astray,
}

impl EventRing {
    fn place(&self, at: Bus) -> Option<u32> {
        let mut first = 0;
        for segment in &self.segments {
            if let Some(offset) = at.offset_from(segment.base)
                && offset < u64::from(segment.size) * 16
            {
                return offset.is_multiple_of(16).then(|| first + (offset / 16) as u32);
            }
            first += segment.size;
        }
        None
    }

    fn at(&self, place: u32) -> (usize, Bus) {
        let mut place = place;
        for (index, segment) in self.segments.iter().enumerate() {
            if place < segment.size {
                return (index, segment.base.plus(u64::from(place) * 16));
            }
            place -= segment.size;
        }
        unreachable!("places of a ring lie in its segments");
    }

    /// Places from `from` forward to `to`.
    fn distance(&self, from: u32, to: u32) -> u32 {
        (to + self.total - from) % self.total
    }

    pub(crate) fn set_dequeue(&mut self, at: Bus) -> Dequeue {
        let place = self.place(at);
        let old = self.dequeue.replace(place.unwrap_or(0));
        let Some(place) = place else {
            self.dequeue = None;
            return Dequeue::Astray;
        };
        // The first one has nothing to be compared with but the empty ring.
        let held = self.distance(old.unwrap_or(self.enqueue), self.enqueue);
        if self.distance(old.unwrap_or(self.enqueue), place) > held {
            return Dequeue::Astray;
        }
        if place == self.enqueue { Dequeue::Empty } else { Dequeue::Left }
    }
}

impl Xhc {
    /// ERSTBA of `interrupter` was written: its ring starts, empty.
    pub(crate) fn start_event_ring(&mut self, fabric: &mut Fabric, interrupter: InterrupterId) {
        let state = &self.interrupters[interrupter.index()];
        let (count, table, erdp) = (state.segments, state.table, state.dequeue);
        let register = interrupter_register(interrupter, 0x10);
        if count == 0 {
            self.interrupters[interrupter.index()].ring = None;
            return;
        }
        if u32::from(count) > 1 << self.p.segments_log2 {
            self.violation(fabric, Violation::XhcBadAccess { controller: self.number, register });
            self.fail(fabric);
            return;
        }
        let mut segments = Vec::with_capacity(usize::from(count));
        for n in 0..u64::from(count) {
            let Some(raw) = self.read_words::<4>(fabric, table.plus(16 * n)) else {
                self.fail(fabric);
                return;
            };
            let base = Bus(u64::from(raw[0]) | u64::from(raw[1]) << 32);
            let size = raw[2];
            let bytes = u64::from(size & 0xFFFF) * 16;
            let legal = SEGMENT.contains(&size)
                && base.is_aligned(64)
                && base.0 / BOUNDARY == (base.0 + bytes - 1) / BOUNDARY
                && raw[3] == 0;
            if !legal {
                self.misplaced(fabric, base);
                self.fail(fabric);
                return;
            }
            segments.push(Segment { base: self.reach(base), size, raw });
        }
        let total = segments.iter().map(|segment| segment.size).sum();
        let mut ring = EventRing { table, segments, total, enqueue: 0, dequeue: None, cycle: true };
        // ERDP comes first in a well-ordered bring-up (4.2).
        ring.dequeue = ring.place(erdp).filter(|&place| place == 0);
        self.interrupters[interrupter.index()].ring = Some(ring);
    }

    /// Puts `event` on the ring of `interrupter`; the cycle bit is filled in.
    pub(crate) fn post(
        &mut self,
        fabric: &mut Fabric,
        interrupter: InterrupterId,
        event: [u32; 4],
        blocks_interrupt: bool,
    ) {
        if !self.operational.alive() {
            return;
        }
        let unset = Violation::EventToUnsetInterrupter {
            controller: self.number,
            interrupter: interrupter.0,
        };
        let Some(state) = self.interrupters.get(interrupter.index()) else {
            self.violation(fabric, unset);
            return;
        };
        let Some(ring) = &state.ring else {
            self.violation(fabric, unset);
            return;
        };
        let Some(dequeue) = ring.dequeue else {
            // Software never said where it is, or said something impossible.
            let at = state.dequeue;
            let (controller, interrupter) = (self.number, interrupter.0);
            self.violation(fabric, Violation::DequeueBeyondEnqueue { controller, interrupter, at });
            self.fail(fabric);
            return;
        };
        let free = ring.total - 1 - ring.distance(dequeue, ring.enqueue);
        match free {
            0 => self.stats.events_lost += 1,
            1 => {
                self.stats.events_lost += 1;
                self.stats.rings_full += 1;
                if interrupter == InterrupterId::PRIMARY {
                    let (controller, interrupter) = (self.number, interrupter.0);
                    let full = Violation::EventRingFull { controller, interrupter };
                    self.violation(fabric, full);
                }
                self.write_event(fabric, interrupter, trb::host_controller(Code::EventRingFull));
                self.interrupt(fabric, interrupter);
            }
            _ => {
                self.write_event(fabric, interrupter, event);
                if !(blocks_interrupt && self.p.moderates) {
                    self.interrupt(fabric, interrupter);
                }
            }
        }
    }

    fn write_event(&mut self, fabric: &mut Fabric, interrupter: InterrupterId, event: [u32; 4]) {
        let ring = self.interrupters[interrupter.index()].ring.as_ref().expect("checked by post");
        let mut words = event;
        words[3] |= u32::from(ring.cycle);
        let (segment, at) = ring.at(ring.enqueue);
        let last = ring.enqueue + 1 == ring.total;
        let entry = ring.table.plus(16 * segment as u64);
        let (raw, starts) = (ring.segments[segment].raw, ring.segments[segment].base == at);
        if starts && self.read_words::<4>(fabric, entry) != Some(raw) {
            let (controller, interrupter) = (self.number, interrupter.0);
            self.violation(fabric, Violation::SegmentTableChanged { controller, interrupter });
        }
        fabric.record(Record::Event { controller: self.number, interrupter: interrupter.0, words });
        if !self.write_words(fabric, at, words) {
            // 4.10.2.5 leaves it open; QEMU reports a host controller error.
            self.fail(fabric);
            return;
        }
        let ring = self.interrupters[interrupter.index()].ring.as_mut().expect("checked by post");
        ring.enqueue = if last { 0 } else { ring.enqueue + 1 };
        ring.cycle ^= last;
    }
}

/// The offset of a register of an interrupter in BAR0.
pub(crate) const fn interrupter_register(interrupter: InterrupterId, register: u32) -> u32 {
    crate::capability::RUNTIME + 0x20 + 0x20 * interrupter.0 as u32 + register
}
