//! Handing a session's rings to the peer, and taking them back (DESIGN
//! "Handover" and rule 6).
//!
//! What the peer gets is always fresh: a zeroed ring that links to itself, an
//! empty event ring, an endpoint that starts at the ring's beginning. What comes
//! back is only used to see how far the peer came. Steps that the hardware can
//! no longer do, because slot or controller are gone, end at once.

use crate::command::command_error;
use crate::context;
use crate::death::Cause;
use crate::driver::Driver;
use crate::engine::{After, Begin};
use crate::gate::GateIndex;
use crate::hw::Hw;
use crate::interrupter;
use crate::op::{Op, OpId, Wait};
use crate::rings::Held;
use crate::sideband::{Interrupter, Pages, RingPages, Sideband};
use crate::trace::{Trace, note};
use addr::{Bus, PAGE};
use dsp_abi::control::{GateEntry, GateRing};
use handles::Handle;
use trb::{Command, CompletionCode, PER_PAGE, ProducerRing};
use xhci_api::{SidebandHandle, XhciError};

/// Milliseconds for the monitor to confirm a change of the gate: microseconds are
/// usual, and a lost bell is made good within a period of its watch.
const GATE_MS: u64 = 300;

/// What a placed session consists of.
struct Session {
    handle: SidebandHandle,
    interrupter: Interrupter,
    pages: Pages,
    event: Bus,
}

impl Driver<'_> {
    fn session(&self, op: &Op) -> Option<Session> {
        let handle = op.sideband()?;
        let (_, sideband) = self.sidebands.find(handle).ok()?;
        let (interrupter, pages) = (sideband.interrupter?, sideband.pages?);
        Some(Session { handle, interrupter, pages, event: pages.event.bus? })
    }

    fn sideband_of(&mut self, op: &Op) -> Option<&mut Sideband> {
        self.sidebands.find_mut(op.sideband()?).ok().map(|(_, sideband)| sideband)
    }

    /// Step [`EventRing`](crate::steps::Step::EventRing).
    pub(crate) fn begin_event_ring(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Some(session) = self.session(op) else { return Begin::Fail(XhciError::WrongPhase) };
        self.config.dma_ring.zero(session.pages.event.page.offset(), PAGE);
        dma::publish();
        let Interrupter { id, moderation } = session.interrupter;
        interrupter::set_ring(hw, id, session.event, moderation);
        if let Some(sideband) = self.sideband_of(op) {
            sideband.live = true;
        }
        Begin::Next
    }

    /// Step [`HandOver`](crate::steps::Step::HandOver).
    pub(crate) fn begin_hand_over(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let found = self.slot_of(op).and_then(|slot| Some((slot, self.slots.find(slot).ok()?.1)));
        let Some((slot, found)) = found else { return Begin::Fail(XhciError::DeviceGone) };
        let (id, place) = (found.id, found.context);
        let Some(session) = self.session(op) else { return Begin::Fail(XhciError::WrongPhase) };
        let live = self.endpoints.mask(slot, false);
        let rings = session.pages.rings.into_iter().flatten();
        let mask = rings.clone().fold(0, |mask, ring| mask | ring.dci.bit());
        if mask & !live != 0 {
            return Begin::Fail(XhciError::NoEndpoint);
        }
        self.write_configuration(hw, place, mask, mask, live);
        for RingPages { dci, real, .. } in rings {
            let (Some(bus), Some(endpoint)) = (real.bus, self.endpoints.live(slot, dci)) else {
                return Begin::Fail(XhciError::NoEndpoint);
            };
            let words = context::endpoint(&endpoint.spec, bus, hw.regs.caps.large_payload);
            self.config.dma_ring.zero(real.page.offset(), PAGE);
            ProducerRing::new(PER_PAGE).init(&self.ring_at(real.page), bus);
            hw.input(dci.index(), words);
        }
        Begin::Command(Command::ConfigureEndpoint { slot: id, input: hw.input_bus() })
    }

    /// The endpoints run from the session's rings; the host path's are free.
    pub(crate) fn handed_over(&mut self, op: &Op, code: CompletionCode) -> After {
        if code != CompletionCode::Success {
            return After::Fail(command_error(code));
        }
        let (Some(slot), Some(session)) = (self.slot_of(op), self.session(op)) else {
            return After::Fail(XhciError::DeviceGone);
        };
        for ring in session.pages.rings.into_iter().flatten() {
            if let Some(endpoint) = self.endpoints.live(slot, ring.dci) {
                let (host, queue) = (endpoint.ring.take(), endpoint.isoch.take());
                if let Some(host) = host {
                    self.give_ring(host);
                }
                self.give_bounce(queue);
            }
        }
        After::Next
    }

    /// Step [`InterrupterOn`](crate::steps::Step::InterrupterOn).
    pub(crate) fn begin_interrupter_on(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        if let Some(session) = self.session(op) {
            hw.regs.set_management(session.interrupter.id, true, true);
        }
        Begin::Next
    }

    /// Step [`GateOpen`](crate::steps::Step::GateOpen).
    pub(crate) fn begin_gate_open(&mut self, op: &Op) -> Begin {
        let slot = self.slot_of(op).and_then(|slot| Some((slot, self.slots.find(slot).ok()?.1)));
        let (Some((slot, found)), Some(session), Some(hw)) = (slot, self.session(op), self.hw)
        else {
            return Begin::Fail(XhciError::DeviceGone);
        };
        let id = session.interrupter.id;
        let mut entry = GateEntry {
            window: session.pages.window.raw().index.into(),
            slot: found.id.number().into(),
            interrupter: id.number().into(),
            vector: u32::from(self.config.dsp_vectors + id.number() - 1),
            event_ring: self.config.dma_ring.phys(session.pages.event.page.offset()).low(),
            event_bus: session.event.low(),
            erdp: hw.regs.event_dequeue_at(id).low(),
            doorbell: hw.regs.doorbell_at(found.id).low(),
            ..GateEntry::default()
        };
        for (place, ring) in entry.rings.iter_mut().zip(session.pages.rings) {
            let Some(ring) = ring else { continue };
            let endpoint = self.endpoints.live(slot, ring.dci);
            *place = GateRing {
                dci: ring.dci.index().into(),
                is_in: ring.dci.is_in().into(),
                real: self.config.dma_ring.phys(ring.real.page.offset()).low(),
                shadow: self.config.dma_ring.phys(ring.shadow.offset()).low(),
                bus: ring.real.bus.map_or(0, Bus::low),
                max_payload: endpoint.map_or(0, |endpoint| endpoint.spec.esit_payload),
            };
        }
        let sequence = self.gate.open(GateIndex::new(session.handle.raw().index), entry);
        Begin::Wait(Wait::Gate { sequence, deadline: Self::now() + GATE_MS })
    }

    /// Step [`GateClose`](crate::steps::Step::GateClose).
    pub(crate) fn begin_gate_close(&mut self, op: &Op) -> Begin {
        let Some(sideband) = op.sideband() else { return Begin::Next };
        match self.gate.close(GateIndex::new(sideband.raw().index)) {
            Some(sequence) if self.gate.monitor_is_up() => {
                Begin::Wait(Wait::Gate { sequence, deadline: Self::now() + GATE_MS })
            }
            _ => Begin::Next,
        }
    }

    /// The monitor did not confirm in time. Opening fails; closing goes on, but
    /// the pages are not reused before it did.
    pub(crate) fn expire_gate(&mut self, id: OpId, sequence: u32) {
        note(Trace::GateTimeout);
        let Some(mut op) = self.ops.get(id) else { return };
        if op.is_handing_over() {
            op.fail(XhciError::GateTimeout);
        } else {
            op.failed.get_or_insert(XhciError::GateTimeout);
            op.advance();
            if let Some(sideband) = self.sideband_of(&op) {
                sideband.unconfirmed = Some(Held::UntilGate(sequence));
            }
        }
        self.ops.put(id, op);
    }

    /// Step [`Drain`](crate::steps::Step::Drain).
    pub(crate) fn begin_drain(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let live = self.sideband_of(op).is_some_and(|sideband| sideband.live);
        if let Some(session) = self.session(op).filter(|_| live) {
            let memory = self.ring_at(session.pages.event.page);
            interrupter::drain(hw, session.interrupter.id, &memory, session.event);
        }
        Begin::Next
    }

    /// Step [`DropEndpoints`](crate::steps::Step::DropEndpoints).
    pub(crate) fn begin_drop(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let found = self.slot_of(op).and_then(|slot| Some((slot, self.slots.find(slot).ok()?.1)));
        let Some((slot, found)) = found else { return Begin::Next };
        let (id, place) = (found.id, found.context);
        let drop = self.owned(op);
        if drop == 0 {
            return Begin::Next;
        }
        let kept = self.endpoints.mask(slot, false) & !drop;
        self.write_configuration(hw, place, drop, 0, kept);
        Begin::Command(Command::ConfigureEndpoint { slot: id, input: hw.input_bus() })
    }

    /// They are gone. What is only taken away is not refused (4.6.6), so a
    /// controller that does so may go on reading their rings.
    pub(crate) fn dropped(&mut self, op: &Op, code: CompletionCode) -> After {
        if code != CompletionCode::Success {
            return After::Die(Cause::Clings);
        }
        if let Some(slot) = self.slot_of(op) {
            self.forget_endpoints(slot, self.owned(op), false);
        }
        After::Next
    }

    /// DCI bits of the session's endpoints that the controller has.
    fn owned(&self, op: &Op) -> u32 {
        let Some((slot, owner)) = self.slot_of(op).zip(op.sideband()) else { return 0 };
        self.endpoints
            .iter()
            .filter(|e| e.slot == slot && !e.adding && e.sideband == Some(owner))
            .fold(0, |mask, e| mask | e.dci.bit())
    }

    /// Step [`InterrupterOff`](crate::steps::Step::InterrupterOff).
    pub(crate) fn begin_interrupter_off(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        if let Some(session) = self.session(op)
            && self.sideband_of(op).is_some_and(|sideband| core::mem::take(&mut sideband.live))
        {
            // What the steps between brought in is consumed as well (X22).
            let memory = self.ring_at(session.pages.event.page);
            interrupter::drain(hw, session.interrupter.id, &memory, session.event);
            interrupter::switch_off(hw, session.interrupter.id);
        }
        Begin::Next
    }
}
