//! Interrupters (4.17): which are taken, switching them on and off, event rings
//! that change hands.

use crate::hw::{Hw, MAX_INTERRUPTERS};
use crate::regs::ERDP_BUSY;
use addr::Bus;
use trb::{ConsumerRing, InterrupterId, PER_PAGE, RingMemory, TRB_BYTES};
use xhci_api::XhciError;

/// Nanoseconds per count of IMOD.
const MODERATION_NS: u32 = 250;

/// The secondary interrupters' bookkeeping.
#[derive(Debug, Default)]
pub(crate) struct Interrupters {
    taken: [bool; MAX_INTERRUPTERS],
}

impl Interrupters {
    /// Takes interrupter `number`, or with 0 the lowest free one (X17), of a
    /// controller with `limit`.
    ///
    /// # Errors
    /// A code for each reason, where upstream has `ENOMEM` for all.
    pub(crate) fn take(&mut self, number: u16, limit: u16) -> Result<InterrupterId, XhciError> {
        let limit = usize::from(limit).min(MAX_INTERRUPTERS);
        let index = match usize::from(number) {
            0 => (1..limit)
                .find(|&index| !self.taken[index])
                .filter(|_| !scarce::spent(scarce::Scarce::Interrupter))
                .ok_or(XhciError::InterruptersExhausted)?,
            index if index >= limit => return Err(XhciError::InterrupterRange),
            index if self.taken[index] => return Err(XhciError::InterrupterTaken),
            index => index,
        };
        let id = InterrupterId::new(index as u16).map_err(|_| XhciError::InterrupterRange)?;
        self.taken[index] = true;
        Ok(id)
    }

    /// Takes an interrupter back.
    pub(crate) fn give(&mut self, id: InterrupterId) {
        self.taken[usize::from(id.number())] = false;
    }

    /// How many are taken.
    pub(crate) fn count(&self) -> usize {
        self.taken.iter().filter(|&&taken| taken).count()
    }
}

/// IMOD's interval for a moderation in ns: units of 250 ns, as many as fit (X19).
pub(crate) const fn moderation(ns: u32) -> u16 {
    let interval = ns / MODERATION_NS;
    if interval > u16::MAX as u32 { u16::MAX } else { interval as u16 }
}

/// Gives interrupter `id` the zeroed event ring at `ring`, not enabled (X19,
/// X20). The order of the writes is 5.5.2.3's: ERSTBA makes it live.
pub(crate) fn set_ring(hw: &Hw<'_>, id: InterrupterId, ring: Bus, moderation: u16) {
    hw.set_segment(id, ring);
    hw.regs.set_management(id, false, false);
    hw.regs.set_moderation(id, moderation);
    hw.regs.set_segments(id, 1);
    hw.regs.set_event_dequeue(id, ring.0);
    hw.regs.set_segment_table(id, hw.segment_table_bus(id));
}

/// Takes over from the peer where it stopped, consumes what is there and says
/// so, which clears EHB (X22). How many events there were.
pub(crate) fn drain(hw: &Hw<'_>, id: InterrupterId, memory: &impl RingMemory, ring: Bus) -> u32 {
    let at = Bus(hw.regs.event_dequeue(id) & !0xF);
    let index = at.offset_from(ring).map(|offset| offset / u64::from(TRB_BYTES));
    // ERDP is written by this driver and the monitor alone, both inside the ring.
    let index = index.filter(|&index| index < u64::from(PER_PAGE)).unwrap_or(0) as u16;
    let mut consumer = ConsumerRing::take_over(memory, PER_PAGE, index);
    let mut drained = 0;
    while drained < u32::from(PER_PAGE) && consumer.next(memory).is_some() {
        drained += 1;
    }
    let dequeue = ring.plus(u64::from(consumer.dequeue()) * u64::from(TRB_BYTES));
    hw.regs.set_event_dequeue(id, dequeue.0 | ERDP_BUSY);
    drained
}

/// Switches interrupter `id` off. ERSTBA is left alone on purpose: half of it
/// cleared would make the controller fetch from nowhere (X22).
pub(crate) fn switch_off(hw: &Hw<'_>, id: InterrupterId) {
    hw.regs.set_management(id, false, true);
    hw.regs.set_segments(id, 0);
}

#[cfg(test)]
mod tests {
    use super::{Interrupters, moderation};
    use xhci_api::XhciError;

    /// R32: taken, out of range and none left are three codes.
    #[test]
    fn x17_zero_is_the_lowest_free_and_a_certain_one_must_be_free() {
        let mut interrupters = Interrupters::default();
        let number = |taken: Result<trb::InterrupterId, _>| taken.map(|id| id.number());
        assert_eq!(number(interrupters.take(0, 4)), Ok(1));
        assert_eq!(number(interrupters.take(3, 4)), Ok(3));
        assert_eq!(number(interrupters.take(0, 4)), Ok(2));
        assert_eq!(number(interrupters.take(0, 4)), Err(XhciError::InterruptersExhausted));
        assert_eq!(number(interrupters.take(2, 4)), Err(XhciError::InterrupterTaken));
        assert_eq!(number(interrupters.take(4, 4)), Err(XhciError::InterrupterRange));
        let taken = interrupters.take(9, 100);
        assert_eq!(number(taken), Err(XhciError::InterrupterRange), "the image has no vector");
        assert_eq!(interrupters.count(), 3);
        interrupters.give(trb::InterrupterId::new(2).expect("in range"));
        assert_eq!(number(interrupters.take(0, 4)), Ok(2));
    }

    #[test]
    fn x17_a_controller_with_one_interrupter_has_none_to_give() {
        let mut interrupters = Interrupters::default();
        assert_eq!(interrupters.take(0, 1).err(), Some(XhciError::InterruptersExhausted));
        assert_eq!(interrupters.take(1, 1).err(), Some(XhciError::InterrupterRange));
    }

    #[test]
    fn x19_moderation_counts_250_ns_and_is_clamped() {
        assert_eq!((moderation(0), moderation(1_000_000)), (0, 4000));
        assert_eq!(moderation(u32::MAX), u16::MAX);
    }
}
