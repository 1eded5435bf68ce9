//! Commands on endpoints: xHCI 1.2, 4.6.6, 4.6.8 to 4.6.10 and 4.8.3.

use crate::Xhc;
use crate::bandwidth::cost;
use crate::context::{Endpoint, EndpointContext, EndpointState, SlotContext, SlotState};
use crate::ids::{Dci, InterrupterId, SlotId};
use crate::personality::StoppedEvent;
use crate::place::reach;
use crate::slots::Input;
use crate::transfer::{Front, Ring, Whose};
use crate::trb::{self, Code, Trb, kind};
use addr::Bus;
use fabric::{Fabric, Time, Violation};

/// The latest that a late Stopped event comes.
const LATE: (Time, Time) = (Time::us(80), Time::ms(1));

/// A Stopped event that waits for its command to complete.
#[derive(Copy, Clone, Debug)]
pub(crate) struct StopReport {
    interrupter: InterrupterId,
    event: [u32; 4],
    slot: SlotId,
    dci: Dci,
}

impl Xhc {
    pub(crate) fn configure_endpoints(&mut self, fabric: &mut Fabric, trb: Trb) -> Code {
        let id = trb.slot();
        let Some(slot) = self.slot(id) else { return Code::SlotNotEnabled };
        if slot.state < SlotState::Addressed {
            return Code::ContextState;
        }
        if trb.command_flag() {
            if slot.state != SlotState::Configured {
                return Code::ContextState;
            }
            let all = slot.live().fold(0, |mask, (dci, _)| mask | 1u32 << dci.0) & !3;
            self.drop_endpoints(fabric, id, all);
            self.set_entries(fabric, id);
            return Code::Success;
        }
        let input = self.input(fabric, trb);
        // The slot context is always part of it, endpoint 0 never (4.6.6).
        if input.add & 3 != 1 || input.drop & 3 != 0 {
            self.malformed_context(fabric, id, 0);
            return Code::Parameter;
        }
        self.apply_configuration(fabric, id, &input)
    }

    fn apply_configuration(&mut self, fabric: &mut Fabric, id: SlotId, input: &Input) -> Code {
        let context = SlotContext(self.input_context(fabric, input, 0));
        let Some(slot) = self.slot(id) else { return Code::SlotNotEnabled };
        let live = slot.live().fold(0, |mask, (dci, _)| mask | 1u32 << dci.0);
        let after = live & !input.drop | input.add & !1;
        let highest = after.checked_ilog2().unwrap_or(1);
        // Adding what is there without dropping it would swap a ring in use.
        let added_twice = input.add & live & !input.drop & !3 != 0;
        if u32::from(context.entries()) != highest || context.has_reserved_bits() || added_twice {
            self.malformed_context(fabric, id, 0);
            return Code::Parameter;
        }
        let speed = slot.place().and_then(|place| self.speed_of(place));
        if !self.tells_hub(id, context) {
            self.malformed_context(fabric, id, 0);
            return Code::Parameter;
        }
        // A device that is gone can only lose endpoints.
        if speed.is_none() && input.add & !1 != 0 {
            return Code::UsbTransaction;
        }
        let mut taken = 0;
        for n in 2..=Dci::LAST {
            let (Some(speed), true) = (speed, input.add >> n & 1 == 1) else { continue };
            let endpoint = EndpointContext(self.input_context(fabric, input, n));
            if matches!(endpoint.kind(), 2 | 3 | 6) {
                return Code::Resource;
            }
            let Some(kind) = self.decode_endpoint(fabric, id, Dci(n), endpoint, speed) else {
                return Code::Parameter;
            };
            taken += cost(speed, kind, endpoint);
        }
        if let Some(speed) = speed
            && !self.bandwidth_suffices(speed, id, input.drop, taken)
        {
            return Code::Bandwidth;
        }
        self.drop_endpoints(fabric, id, input.drop & live);
        for n in 2..=Dci::LAST {
            let (Some(speed), true) = (speed, input.add >> n & 1 == 1) else { continue };
            let dci = Dci(n);
            let endpoint = EndpointContext(self.input_context(fabric, input, n));
            let kind = self.decode_endpoint(fabric, id, dci, endpoint, speed);
            let dequeue = self.reach(Bus(endpoint.dequeue()));
            if let (Some(kind), Some(slot)) = (kind, self.slot_mut(id)) {
                let turn = slot.next_turn();
                slot.set_endpoint(dci, Some(Endpoint::new(kind, endpoint, dequeue, turn)));
                self.write_endpoint_context(fabric, id, dci);
            }
        }
        if let Some(slot) = self.slot_mut(id) {
            slot.context.learn_hub(context);
        }
        self.set_entries(fabric, id);
        Code::Success
    }

    fn drop_endpoints(&mut self, fabric: &mut Fabric, id: SlotId, mask: u32) {
        for dci in (2..=Dci::LAST).filter(|n| mask >> n & 1 == 1).map(Dci) {
            let busy = self.slot(id).and_then(|s| s.endpoint(dci)).is_some_and(Endpoint::busy);
            if busy {
                let (controller, slot) = (self.number, id.0);
                self.violation(fabric, Violation::RingInUse { controller, slot, dci: dci.0 });
            }
            self.flush_events(fabric, id, dci);
            if let Some(slot) = self.slot_mut(id) {
                slot.set_endpoint(dci, None);
            }
            self.write_endpoint_context(fabric, id, dci);
        }
    }

    fn set_entries(&mut self, fabric: &mut Fabric, id: SlotId) {
        let Some(slot) = self.slot_mut(id) else { return };
        let last = slot.live().map(|(dci, _)| dci.0).max().unwrap_or(1);
        let word = &mut slot.context.0[0];
        *word = *word & 0x07FF_FFFF | u32::from(last) << 27;
        slot.state = if last > 1 { SlotState::Configured } else { SlotState::Addressed };
        self.write_slot_context(fabric, id);
    }

    pub(crate) fn reset_endpoint(&mut self, fabric: &mut Fabric, id: SlotId, dci: Dci) -> Code {
        let Some(slot) = self.slot_mut(id) else { return Code::SlotNotEnabled };
        match slot.endpoint_mut(dci) {
            Some(endpoint) if endpoint.state == EndpointState::Halted => {
                endpoint.quiesce();
                endpoint.state = EndpointState::Stopped;
                self.write_endpoint_context(fabric, id, dci);
                Code::Success
            }
            _ => Code::ContextState,
        }
    }

    pub(crate) fn stop_endpoint(&mut self, fabric: &mut Fabric, trb: Trb) -> Code {
        let (id, dci) = (trb.slot(), trb.endpoint());
        let Some(slot) = self.slot(id) else { return Code::SlotNotEnabled };
        let (state, place) = (slot.endpoint(dci).map(|endpoint| endpoint.state), slot.place());
        match state {
            Some(EndpointState::Running) => {}
            Some(EndpointState::Stopped) if self.p.stop_is_idempotent => return Code::Success,
            _ => return Code::ContextState,
        }
        // What was sent before is told of before.
        self.flush_events(fabric, id, dci);
        let now = fabric.now();
        let present = place.is_some_and(|place| reach(&mut self.ports, place, now).is_some());
        let Some(mut endpoint) = self.slot_mut(id).and_then(|slot| slot.take_endpoint(dci)) else {
            return Code::ContextState;
        };
        let report = if endpoint.busy() && present {
            let whose = Whose { slot: id, dci };
            let front = self.front(fabric, &mut endpoint.ring, whose);
            self.stopped_on(&mut endpoint.ring, front, whose)
        } else {
            None
        };
        endpoint.quiesce();
        endpoint.state = EndpointState::Stopped;
        endpoint.for_suspend = trb.suspends();
        if let Some(slot) = self.slot_mut(id) {
            slot.return_endpoint(dci, endpoint);
        }
        self.write_endpoint_context(fabric, id, dci);
        if let Some(report) = report {
            match self.p.stopped {
                StoppedEvent::Before => self.post(fabric, report.interrupter, report.event, false),
                StoppedEvent::After | StoppedEvent::Late => self.stop_report = Some(report),
                StoppedEvent::Never => {}
            }
        }
        Code::Success
    }

    /// The event for the descriptor at the front: nothing of it was sent.
    fn stopped_on(&self, ring: &mut Ring, front: Front, whose: Whose) -> Option<StopReport> {
        let Front::Descriptor(count) = front else { return None };
        let trb = ring.get(0).filter(|trb| trb.kind() != kind::LINK)?;
        if self.p.dequeue_past_stopped {
            for _ in 0..count {
                ring.pop();
            }
        }
        let Whose { slot, dci } = whose;
        let event = trb::transfer_event(trb.at, trb.length(), Code::Stopped, slot, dci);
        Some(StopReport { interrupter: trb.interrupter(), event, slot, dci })
    }

    /// A command has completed: what was to come behind it comes.
    pub(crate) fn after_command(&mut self, fabric: &mut Fabric, _trb: Trb) {
        let Some(report) = self.stop_report.take() else { return };
        let StopReport { interrupter, event, slot, dci } = report;
        let span =
            if self.p.stopped == StoppedEvent::Late { self.between(LATE) } else { Time::ZERO };
        self.defer(fabric, span, slot, dci, interrupter, event, false);
    }

    pub(crate) fn set_dequeue(&mut self, fabric: &mut Fabric, trb: Trb) -> Code {
        let (id, dci) = (trb.slot(), trb.endpoint());
        // Stream id and stream context type are for streams, which do not exist here.
        if trb.parameter() & 0xE != 0 || trb.words[2] >> 16 != 0 {
            self.malformed_trb(fabric, trb);
            return Code::Trb;
        }
        let target = self.reach(Bus(trb.parameter() & !0xF));
        let Some(slot) = self.slot_mut(id) else { return Code::SlotNotEnabled };
        let Some(endpoint) = slot.endpoint_mut(dci) else { return Code::ContextState };
        if !matches!(endpoint.state, EndpointState::Stopped | EndpointState::Error) {
            return Code::ContextState;
        }
        endpoint.state = EndpointState::Stopped;
        endpoint.ring = Ring::new(target, trb.parameter() & 1 == 1);
        self.write_endpoint_context(fabric, id, dci);
        Code::Success
    }
}
