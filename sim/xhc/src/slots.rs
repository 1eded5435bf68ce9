//! Commands on device slots: xHCI 1.2, 4.5.2 and 4.6.3 to 4.6.5, 4.6.7, 4.6.11.

use crate::Xhc;
use crate::command::Outcome;
use crate::context::{
    Endpoint, EndpointContext, EndpointKind, EndpointState, Slot, SlotContext, SlotState, Words,
};
use crate::ids::{Dci, Place, Route, SlotId};
use crate::place::reach;
use crate::trb::{Code, Trb};
use addr::Bus;
use fabric::{Fabric, Record, Time, Violation};
use usb_model::{Address, Answer, Microframe, Setup, Speed, Status, standard_request};

/// Add Context flags of the slot context and of endpoint 0.
const ADD_SLOT: u32 = 1;
const ADD_CONTROL: u32 = 1 << 1;
/// Addresses a device can be given.
const ADDRESSES: u64 = 127;

/// An input context: its control words, and where it stands.
pub(crate) struct Input {
    pub(crate) drop: u32,
    pub(crate) add: u32,
    base: Bus,
}

impl Xhc {
    /// Reads the input control context of a command (6.2.5.1).
    pub(crate) fn input(&self, fabric: &mut Fabric, trb: Trb) -> Input {
        let base = self.reach(Bus(trb.parameter() & !0xF));
        if !base.is_aligned(64) {
            self.misplaced(fabric, base);
        }
        let words = self.read_context(fabric, base, 0);
        if words[0] & 3 != 0 || words[2..7] != [0; 5] {
            self.malformed_context(fabric, trb.slot(), 0);
        }
        Input { drop: words[0], add: words[1], base }
    }

    /// Context `dci` of an input context, 0 for the slot context.
    pub(crate) fn input_context(&self, fabric: &mut Fabric, input: &Input, dci: u8) -> Words {
        self.read_context(fabric, input.base, dci + 1)
    }

    pub(crate) fn enable_slot(&mut self, fabric: &mut Fabric) -> Outcome {
        self.check_scratchpads(fabric);
        let allowed = usize::from(self.operational.max_slots());
        let free = self.slots.iter().take(allowed).position(|s| s.state == SlotState::Disabled);
        match free {
            None => (Code::NoSlots, SlotId(0)),
            Some(index) => {
                self.slots[index].forget();
                self.slots[index].state = SlotState::Enabled;
                (Code::Success, SlotId(index as u8 + 1))
            }
        }
    }

    pub(crate) fn disable_slot(&mut self, fabric: &mut Fabric, id: SlotId) -> Code {
        self.check_scratchpads(fabric);
        let Some(slot) = self.slot(id) else { return Code::SlotNotEnabled };
        if slot.streaming() {
            // Its rings are about to be freed under the controller.
            let (controller, slot) = (self.number, id.0);
            self.violation(fabric, Violation::RingInUse { controller, slot, dci: 0 });
        }
        self.forget_events(id);
        if let Some(slot) = self.slot_mut(id) {
            slot.context = SlotContext([0; 8]);
            slot.address = Address(0);
            slot.state = SlotState::Enabled;
        }
        self.write_slot_context(fabric, id);
        if let Some(slot) = self.slot_mut(id) {
            slot.forget();
        }
        Code::Success
    }

    pub(crate) fn address_device(&mut self, fabric: &mut Fabric, trb: Trb) -> Code {
        let (id, block) = (trb.slot(), trb.command_flag());
        let Some(state) = self.slot(id).map(|slot| slot.state) else {
            return Code::SlotNotEnabled;
        };
        let expected = match (state, block) {
            (SlotState::Enabled, _) => true,
            (SlotState::Default, block) => !block,
            _ => false,
        };
        if !expected {
            return Code::ContextState;
        }
        let input = self.input(fabric, trb);
        let context = SlotContext(self.input_context(fabric, &input, 0));
        let control = EndpointContext(self.input_context(fabric, &input, 1));
        let place = Place { port: context.port(), route: Route(context.route()) };
        let speed = self.speed_at(fabric.now(), place, context);
        let rules = [
            input.drop == 0 && input.add == ADD_SLOT | ADD_CONTROL,
            context.entries() == 1,
            speed.is_some_and(|speed| self.leads_there(context, speed)),
            !context.is_hub() && context.hub_ports() == 0 && context.think_time() == 0,
            context.interrupter().index() < self.interrupters.len(),
            !context.has_reserved_bits(),
            speed.is_some_and(|speed| speed as u32 == context.speed()),
            state != SlotState::Enabled || !self.place_is_taken(place),
        ];
        if rules.contains(&false) {
            self.malformed_context(fabric, id, 0);
            return Code::Parameter;
        }
        let Some(speed) = speed else { return Code::Parameter };
        let kind = self.decode_endpoint(fabric, id, Dci::CONTROL, control, speed);
        if kind != Some(EndpointKind::Control) {
            return Code::Parameter;
        }
        let output = self.array_entry(fabric, id);
        if output.0 == 0 || !output.is_aligned(64) {
            self.misplaced(fabric, output);
            return Code::Parameter;
        }
        let dequeue = self.reach(Bus(control.dequeue()));
        let Some(slot) = self.slot_mut(id) else { return Code::SlotNotEnabled };
        slot.output = output;
        slot.context = context;
        slot.port = Some(place.port);
        slot.route = place.route;
        slot.interrupter = context.interrupter();
        slot.state = SlotState::Default;
        let turn = slot.next_turn();
        let endpoint = Endpoint::new(EndpointKind::Control, control, dequeue, turn);
        slot.set_endpoint(Dci::CONTROL, Some(endpoint));
        let code = if block { Code::Success } else { self.assign_address(fabric, id) };
        self.write_slot_context(fabric, id);
        self.write_endpoint_context(fabric, id, Dci::CONTROL);
        code
    }

    /// The speed of the device that a context speaks of. Of one that is gone, which
    /// software may not have been told yet, it is what the context says.
    fn speed_at(&mut self, now: Time, place: Place, context: SlotContext) -> Option<Speed> {
        // The hubs on the way come up to now.
        let _ = reach(&mut self.ports, place, now);
        let told = || {
            let speeds = [Speed::Full, Speed::Low, Speed::High, Speed::Super];
            speeds.into_iter().find(|&speed| speed as u32 == context.speed())
        };
        self.speed_of(place).or_else(|| told().filter(|_| self.place_just_lost(now, place)))
    }

    /// Sends SET_ADDRESS, which only the controller does (4.6.5).
    fn assign_address(&mut self, fabric: &mut Fabric, id: SlotId) -> Code {
        let now = fabric.now();
        let address = (u64::from(id.0) - 1 + self.p.seed % ADDRESSES) % ADDRESSES + 1;
        let address = Address(address as u8);
        let Some(place) = self.slot(id).and_then(Slot::place) else { return Code::Parameter };
        self.check_rested(fabric, place);
        let request = standard_request::SET_ADDRESS;
        let value = u16::from(address.0);
        let setup = Setup { kind: 0, request, value, index: 0, length: 0 };
        let Some(device) = reach(&mut self.ports, place, now) else {
            return Code::UsbTransaction;
        };
        let answers = device.address() == Address(0);
        if !answers || device.setup(now, setup) != Answer::Ack || device.status(now) != Answer::Ack
        {
            return Code::UsbTransaction;
        }
        self.wire.control(&mut fabric.trace, now, now, Address(0), setup, &[], Status::Done);
        if let Some(slot) = self.slot_mut(id) {
            slot.address = address;
            slot.addressed_at = Some(now);
            slot.state = SlotState::Addressed;
        }
        Code::Success
    }

    pub(crate) fn evaluate_context(&mut self, fabric: &mut Fabric, trb: Trb) -> Code {
        let id = trb.slot();
        let Some(slot) = self.slot(id) else { return Code::SlotNotEnabled };
        if slot.state < SlotState::Default {
            return Code::ContextState;
        }
        let input = self.input(fabric, trb);
        // Only these two can be evaluated (4.6.7).
        if input.drop != 0 || input.add & !(ADD_SLOT | ADD_CONTROL) != 0 || input.add == 0 {
            self.malformed_context(fabric, id, 0);
            return Code::Parameter;
        }
        if input.add & ADD_SLOT != 0 {
            let context = SlotContext(self.input_context(fabric, &input, 0));
            if context.interrupter().index() >= self.interrupters.len() {
                self.malformed_context(fabric, id, 0);
                return Code::Parameter;
            }
            if context.max_exit_latency() > 0 && self.streams_tightly(id, context) {
                return Code::MaxExitLatency;
            }
            let Some(slot) = self.slot_mut(id) else { return Code::SlotNotEnabled };
            let to = context.interrupter();
            let from = std::mem::replace(&mut slot.interrupter, to);
            let left = slot.live().filter(|(_, endpoint)| endpoint.ring.names(from));
            let left = left.fold(0, |mask, (dci, _)| mask | 1 << dci.0);
            let latency = context.max_exit_latency();
            slot.context.0[1] = slot.context.0[1] & 0xFFFF_0000 | latency;
            if from != to {
                let (controller, slot, from, to) = (self.number, id.0, from.0, to.0);
                fabric.record(Record::Target { controller, slot, from, to, left });
            }
        }
        if input.add & ADD_CONTROL != 0 {
            let context = EndpointContext(self.input_context(fabric, &input, 1));
            let size = context.max_packet();
            if !(8..=512).contains(&size) || !size.is_power_of_two() {
                self.malformed_context(fabric, id, 1);
                return Code::Parameter;
            }
            if let Some(slot) = self.slot_mut(id)
                && let Some(endpoint) = slot.endpoint_mut(Dci::CONTROL)
            {
                let word = &mut endpoint.context.0[1];
                *word = *word & 0xFFFF | size << 16;
            }
            self.write_endpoint_context(fabric, id, Dci::CONTROL);
        }
        self.write_slot_context(fabric, id);
        Code::Success
    }

    /// Whether an endpoint of `id` must be served sooner than the link could
    /// leave its low-power state (4.23.5.2).
    fn streams_tightly(&self, id: SlotId, context: SlotContext) -> bool {
        self.slot(id).is_some_and(|slot| {
            slot.live().any(|(dci, endpoint)| {
                let interval = endpoint.service.interval * 125;
                dci != Dci::CONTROL && u64::from(context.max_exit_latency()) >= interval
            })
        })
    }

    pub(crate) fn reset_device(&mut self, fabric: &mut Fabric, id: SlotId) -> Code {
        let Some(slot) = self.slot(id) else { return Code::SlotNotEnabled };
        if slot.state < SlotState::Default {
            return Code::ContextState;
        }
        if slot.streaming() {
            let (controller, slot) = (self.number, id.0);
            self.violation(fabric, Violation::RingInUse { controller, slot, dci: 0 });
        }
        self.forget_events(id);
        for n in 2..=Dci::LAST {
            let dci = Dci(n);
            let Some(slot) = self.slot_mut(id) else { break };
            if slot.endpoint(dci).is_some() {
                slot.set_endpoint(dci, None);
                self.write_endpoint_context(fabric, id, dci);
            }
        }
        if let Some(slot) = self.slot_mut(id) {
            slot.state = SlotState::Default;
            slot.address = Address(0);
            slot.addressed_at = None;
            slot.context.0[0] = slot.context.0[0] & 0x07FF_FFFF | 1 << 27;
            if let Some(control) = slot.endpoint_mut(Dci::CONTROL) {
                control.quiesce();
                control.state = EndpointState::Stopped;
            }
        }
        self.write_slot_context(fabric, id);
        self.write_endpoint_context(fabric, id, Dci::CONTROL);
        Code::Success
    }

    /// The first service interval that an endpoint woken now can have.
    pub(crate) fn first_service(&mut self, fabric: &Fabric, interval: u64) -> Microframe {
        let slack = u64::from(self.rng.below(2)) * interval;
        let earliest = Microframe::at(fabric.now()).0 + 1 + self.p.lead;
        Microframe(earliest.next_multiple_of(interval) + slack)
    }
}
