//! Events on their way: between the end of a transfer and its event some time passes.
//!
//! The events of one endpoint keep their order, because that time is shorter
//! than any service interval and because stopping or dropping an endpoint puts
//! what is left of its events on their rings at once.

use crate::ids::{Dci, InterrupterId, SlotId};
use crate::{Wake, Xhc, trb};
use fabric::{Fabric, Time};

/// An event that is on its way to its ring.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Deferred {
    slot: SlotId,
    dci: Dci,
    interrupter: InterrupterId,
    event: [u32; 4],
    blocks: bool,
    sequence: u64,
}

/// Events on their way that fit before the list has to grow.
pub(crate) const DEFERRED: usize = 64;

impl Xhc {
    /// Puts `event` on its ring after `span`.
    #[expect(clippy::too_many_arguments, reason = "an event's fields, each of its own type")]
    pub(crate) fn defer(
        &mut self,
        fabric: &mut Fabric,
        span: Time,
        slot: SlotId,
        dci: Dci,
        interrupter: InterrupterId,
        event: [u32; 4],
        blocks: bool,
    ) {
        self.sequence += 1;
        let sequence = self.sequence;
        let deferred = Deferred { slot, dci, interrupter, event, blocks, sequence };
        let index = match self.deferred.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.deferred.push(None);
                self.deferred.len() - 1
            }
        };
        self.deferred[index] = Some(deferred);
        self.after(fabric, span, Wake::Deliver(sequence as u16));
    }

    /// An event is due, if it was not delivered or forgotten before.
    pub(crate) fn deliver_due(&mut self, fabric: &mut Fabric, sequence: u16) {
        let due = |deferred: &Option<Deferred>| {
            deferred.as_ref().is_some_and(|deferred| deferred.sequence as u16 == sequence)
        };
        if let Some(index) = self.deferred.iter().position(due) {
            self.deliver(fabric, index);
        }
    }

    fn deliver(&mut self, fabric: &mut Fabric, index: usize) {
        let Some(deferred) = self.deferred.get_mut(index).and_then(Option::take) else { return };
        let Deferred { interrupter, event, blocks, .. } = deferred;
        // A Stopped event that comes so late that nobody listens any more is the
        // controller's doing, not software's.
        if trb::is_stopped(event) && !self.has_ring(interrupter) {
            return;
        }
        self.post(fabric, interrupter, event, blocks);
    }

    /// Forgets events of slot `id` that were on their way.
    pub(crate) fn forget_events(&mut self, id: SlotId) {
        for deferred in &mut self.deferred {
            if deferred.as_ref().is_some_and(|deferred| deferred.slot == id) {
                *deferred = None;
            }
        }
    }

    /// Puts the events of an endpoint that were on their way on their rings now.
    pub(crate) fn flush_events(&mut self, fabric: &mut Fabric, id: SlotId, dci: Dci) {
        while let Some(index) = self
            .deferred
            .iter()
            .enumerate()
            .filter_map(|(n, deferred)| Some((n, deferred.as_ref()?)))
            .filter(|(_, deferred)| deferred.slot == id && deferred.dci == dci)
            .min_by_key(|(_, deferred)| deferred.sequence)
            .map(|(n, _)| n)
        {
            self.deliver(fabric, index);
        }
    }

    /// Whether an event can reach `interrupter` at all.
    pub(crate) fn has_ring(&self, interrupter: InterrupterId) -> bool {
        self.interrupters.get(interrupter.index()).is_some_and(|state| state.ring.is_some())
    }

    /// How long until an event, drawn from `bounds`.
    pub(crate) fn between(&mut self, bounds: (Time, Time)) -> Time {
        let (low, high) = bounds;
        low + Time::ns(u64::from(self.rng.range(0, high.since(low).0 as u32)))
    }
}
