//! Control transfers on endpoint 0: xHCI 1.2, 3.2.9, 4.11.2.2 and 6.4.1.2.
//!
//! One stage at a time, each after a while; whatever goes wrong halts the
//! endpoint on the TRB it went wrong on.

use crate::context::{Endpoint, EndpointState};
use crate::ids::{Dci, Place, SlotId};
use crate::place::reach;
use crate::transfer::{Front, Whose};
use crate::trb::{self, Code, Trb, kind};
use crate::{Wake, Xhc};
use addr::Bus;
use fabric::{Fabric, Fault, Site, Time, UsbWait};
use usb_model::{Address, Answer, Setup, Status};

/// What a stage takes: the bus is full speed, and others want it, too.
const STAGE: (Time, Time) = (Time::us(10), Time::us(120));
/// Rest after SET_ADDRESS (USB 2.0, 9.2.6.3).
const SET_ADDRESS_RECOVERY: Time = Time::ms(2);
/// Largest data stage (wLength is 16 bits wide).
const LONGEST: usize = 65_535;

/// State of a control endpoint.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// A stage is under way.
    pub(crate) busy: bool,
    /// The transfer that was begun with a Setup TRB.
    setup: Option<Setup>,
    started: Time,
    data: Vec<u8>,
}

/// How a stage ended badly.
struct Broken {
    code: Code,
    trb: Trb,
    residual: u32,
}

/// Who takes part in a stage.
#[derive(Copy, Clone)]
struct Parties {
    slot: SlotId,
    place: Place,
    address: Address,
    addressed_at: Option<Time>,
}

impl Xhc {
    /// The doorbell of endpoint 0.
    pub(crate) fn ring_control(&mut self, fabric: &mut Fabric, id: SlotId) {
        let Some(slot) = self.slot_mut(id) else { return };
        let Some(endpoint) = slot.endpoint_mut(Dci::CONTROL) else { return };
        match endpoint.state {
            EndpointState::Running if endpoint.control.busy => return,
            EndpointState::Running => {}
            EndpointState::Stopped => endpoint.state = EndpointState::Running,
            // It has to be reset first; ringing it meanwhile is a lawful race.
            EndpointState::Halted | EndpointState::Error => return,
        }
        endpoint.control.busy = true;
        let turn = endpoint.turn;
        self.write_endpoint_context(fabric, id, Dci::CONTROL);
        let span = self.between(STAGE);
        self.after(fabric, span, Wake::Control(id, turn));
    }

    /// A stage is due.
    pub(crate) fn control_stage(&mut self, fabric: &mut Fabric, id: SlotId, turn: u8) {
        let Some(slot) = self.slot_mut(id) else { return };
        let Some(place) = slot.place() else { return };
        let (address, addressed_at) = (slot.address, slot.addressed_at);
        let Some(mut endpoint) = slot.take_endpoint(Dci::CONTROL) else { return };
        let parties = Parties { slot: id, place, address, addressed_at };
        let due = endpoint.turn == turn && endpoint.control.busy;
        let halted = due && self.next_stage(fabric, parties, &mut endpoint);
        if !self.operational.running() {
            endpoint.quiesce();
        }
        let again = endpoint.control.busy && due;
        if let Some(slot) = self.slot_mut(id) {
            slot.return_endpoint(Dci::CONTROL, endpoint);
        }
        if halted {
            self.write_endpoint_context(fabric, id, Dci::CONTROL);
        } else if again {
            let span = self.between(STAGE);
            self.after(fabric, span, Wake::Control(id, turn));
        }
    }

    /// Works on the descriptor at the front; `true` when the endpoint halted.
    fn next_stage(
        &mut self,
        fabric: &mut Fabric,
        parties: Parties,
        endpoint: &mut Endpoint,
    ) -> bool {
        let whose = Whose { slot: parties.slot, dci: Dci::CONTROL };
        let Front::Descriptor(count) = self.front(fabric, &mut endpoint.ring, whose) else {
            endpoint.control.busy = false;
            return false;
        };
        self.verify(fabric, &endpoint.ring, count);
        let Some(first) = endpoint.ring.get(0) else { return false };
        if let Some(Fault::Code(code)) =
            fabric.reach(Site::Control(self.number), first.kind().into())
        {
            self.break_off(fabric, parties, endpoint, first, code, first.length());
            return true;
        }
        let result = match first.kind() {
            kind::LINK => Ok(()),
            kind::NO_OP => {
                self.report(fabric, parties.slot, first, Code::Success, 0);
                Ok(())
            }
            kind::SETUP => self.setup_stage(fabric, parties, endpoint, first),
            kind::DATA => self.data_stage(fabric, parties, endpoint, count),
            kind::STATUS => self.status_stage(fabric, parties, endpoint, first),
            _ => {
                self.malformed_trb(fabric, first);
                Err(Broken { code: Code::Trb, trb: first, residual: 0 })
            }
        };
        match result {
            Ok(()) => {
                for _ in 0..count {
                    self.report_event_data(fabric, parties.slot, endpoint);
                }
                false
            }
            Err(Broken { code, trb, residual }) => {
                self.break_off(fabric, parties, endpoint, trb, code.into(), residual);
                true
            }
        }
    }

    /// A transfer ends in the middle, and so does the work of its endpoint.
    fn break_off(
        &mut self,
        fabric: &mut Fabric,
        parties: Parties,
        endpoint: &mut Endpoint,
        trb: Trb,
        code: u8,
        residual: u32,
    ) {
        self.record_transfer(fabric, parties, &mut endpoint.control, code);
        endpoint.control.busy = false;
        endpoint.state =
            if code == Code::Trb as u8 { EndpointState::Error } else { EndpointState::Halted };
        let event = trb::transfer_event(trb.at, residual, code, parties.slot, Dci::CONTROL);
        self.post(fabric, trb.interrupter(), event, false);
    }

    /// Takes the TRB at the front off the ring, and reports it if it is an Event
    /// Data TRB (4.11.5.2).
    fn report_event_data(&mut self, fabric: &mut Fabric, slot: SlotId, endpoint: &mut Endpoint) {
        let Some(trb) = endpoint.ring.pop() else { return };
        if trb.kind() == kind::EVENT_DATA && trb.interrupts_on_completion() {
            let moved = endpoint.control.data.len() as u32;
            let event = trb::event_data(trb.parameter(), moved, Code::Success, slot, Dci::CONTROL);
            self.post(fabric, trb.interrupter(), event, trb.blocks_interrupt());
        }
    }

    fn report(&mut self, fabric: &mut Fabric, slot: SlotId, trb: Trb, code: Code, residual: u32) {
        if trb.interrupts_on_completion() || code == Code::ShortPacket {
            let event = trb::transfer_event(trb.at, residual, code, slot, Dci::CONTROL);
            self.post(fabric, trb.interrupter(), event, trb.blocks_interrupt());
        }
    }

    fn setup_stage(
        &mut self,
        fabric: &mut Fabric,
        parties: Parties,
        endpoint: &mut Endpoint,
        trb: Trb,
    ) -> Result<(), Broken> {
        let setup = Setup::from_bytes(trb.immediate());
        let transfer_type = match (setup.length, setup.is_in()) {
            (0, _) => 0,
            (_, false) => 2,
            (_, true) => 3,
        };
        let rules = [
            trb.is_immediate() && trb.length() == 8,
            trb.transfer_type() == transfer_type,
            // Only the controller sends SET_ADDRESS (4.5.4.1).
            !setup.is_set_address(),
            // A transfer that was begun is ended first.
            endpoint.control.setup.is_none(),
        ];
        if rules.contains(&false) {
            self.malformed_trb(fabric, trb);
        }
        if !rules[0] {
            return Err(Broken { code: Code::Trb, trb, residual: 0 });
        }
        let now = fabric.now();
        self.check_rested(fabric, parties.place);
        if let Some(addressed) = parties.addressed_at {
            let (waited, wait) = (now.since(addressed), UsbWait::SetAddress);
            self.check_wait(fabric, parties.place.port, wait, waited, SET_ADDRESS_RECOVERY);
        }
        let control = &mut endpoint.control;
        control.setup = Some(setup);
        control.started = now;
        control.data.clear();
        let answer = match reach(&mut self.ports, parties.place, now) {
            Some(device) if device.address() == parties.address => device.setup(now, setup),
            _ => Answer::Silent,
        };
        if answer != Answer::Ack {
            return Err(Broken { code: Code::UsbTransaction, trb, residual: 8 });
        }
        self.report(fabric, parties.slot, trb, Code::Success, 0);
        Ok(())
    }

    fn data_stage(
        &mut self,
        fabric: &mut Fabric,
        parties: Parties,
        endpoint: &mut Endpoint,
        count: usize,
    ) -> Result<(), Broken> {
        let packet = endpoint.context.max_packet() as usize;
        let first = endpoint.ring.get(0).expect("a descriptor has a TRB");
        let mut total = 0;
        for trb in (0..count).filter_map(|n| endpoint.ring.get(n)).filter(moves_data) {
            self.check_buffer(fabric, trb);
            total += trb.length() as usize;
        }
        self.check_sizes(fabric, endpoint, count, total, packet);
        let setup = endpoint.control.setup;
        let fits = setup.is_some_and(|setup| {
            setup.is_in() == first.direction_in() && usize::from(setup.length) == total
        });
        if !fits {
            self.malformed_trb(fabric, first);
        }
        if total > LONGEST {
            return Err(Broken { code: Code::Trb, trb: first, residual: 0 });
        }
        if first.direction_in() {
            self.data_in(fabric, parties, endpoint, count, total, packet)
        } else {
            self.data_out(fabric, parties, endpoint, count, packet)
        }
    }

    /// TD Size: packets that are left after each TRB (4.11.2.4).
    fn check_sizes(
        &self,
        fabric: &mut Fabric,
        endpoint: &Endpoint,
        count: usize,
        total: usize,
        packet: usize,
    ) {
        let mut moved = 0;
        for n in 0..count {
            let Some(trb) = endpoint.ring.get(n).filter(moves_data) else { continue };
            moved += trb.length() as usize;
            let left = (total.div_ceil(packet) - moved / packet).min(31);
            let expected = if moved < total { left } else { 0 };
            if trb.td_size() as usize != expected {
                self.malformed_trb(fabric, trb);
            }
        }
    }

    fn data_in(
        &mut self,
        fabric: &mut Fabric,
        parties: Parties,
        endpoint: &mut Endpoint,
        count: usize,
        total: usize,
        packet: usize,
    ) -> Result<(), Broken> {
        let first = endpoint.ring.get(0).expect("a descriptor has a TRB");
        let data = &mut endpoint.control.data;
        data.clear();
        let mut bytes = [0; 512];
        let mut broken = None;
        while data.len() < total {
            let answer = match reach(&mut self.ports, parties.place, fabric.now()) {
                Some(device) => device.control_in(&mut bytes),
                None => Answer::Silent,
            };
            match answer {
                Answer::Data(len) if len > packet || data.len() + len > total => {
                    broken = Some(Code::Babble);
                }
                Answer::Data(len) => {
                    data.extend_from_slice(&bytes[..len]);
                    if len < packet {
                        break;
                    }
                }
                Answer::Stall => broken = Some(Code::Stall),
                Answer::Ack | Answer::Nak | Answer::Silent => broken = Some(Code::UsbTransaction),
            }
            if broken.is_some() {
                break;
            }
        }
        let (mut moved, mut told) = (0, false);
        let short = endpoint.control.data.len() < total;
        for n in 0..count {
            let Some(trb) = endpoint.ring.get(n).filter(moves_data) else { continue };
            let data = &endpoint.control.data;
            let part = (data.len() - moved).min(trb.length() as usize);
            // A blocked write is dropped, and nobody is told.
            let _ = self.write_bytes(fabric, Bus(trb.parameter()), &data[moved..moved + part]);
            moved += part;
            if broken.is_some() {
                continue;
            }
            let residual = trb.length() - part as u32;
            if residual == 0 && (!short || moved < endpoint.control.data.len()) {
                self.report(fabric, parties.slot, trb, Code::Success, 0);
            } else if !told && (trb.interrupts_on_short() || trb.interrupts_on_completion()) {
                told = true;
                let code = if self.p.short_is_success && !trb.interrupts_on_short() {
                    Code::Success
                } else {
                    Code::ShortPacket
                };
                self.report(fabric, parties.slot, trb, code, residual);
            }
        }
        match broken {
            Some(code) => {
                let residual = first.length().saturating_sub(endpoint.control.data.len() as u32);
                Err(Broken { code, trb: first, residual })
            }
            None => Ok(()),
        }
    }

    fn data_out(
        &mut self,
        fabric: &mut Fabric,
        parties: Parties,
        endpoint: &mut Endpoint,
        count: usize,
        packet: usize,
    ) -> Result<(), Broken> {
        let first = endpoint.ring.get(0).expect("a descriptor has a TRB");
        endpoint.control.data.clear();
        for n in 0..count {
            let Some(trb) = endpoint.ring.get(n).filter(moves_data) else { continue };
            let data = &mut endpoint.control.data;
            let start = data.len();
            data.resize(start + trb.length() as usize, 0);
            if trb.is_immediate() {
                let length = trb.length().min(8) as usize;
                data[start..start + length].copy_from_slice(&trb.immediate()[..length]);
            } else {
                // A blocked read gives zeros, and nobody is told.
                let _ = self.read_bytes(fabric, Bus(trb.parameter()), &mut data[start..]);
            }
        }
        let data = std::mem::take(&mut endpoint.control.data);
        let mut code = None;
        for bytes in data.chunks(packet) {
            let answer = match reach(&mut self.ports, parties.place, fabric.now()) {
                Some(device) => device.control_out(bytes),
                None => Answer::Silent,
            };
            code = match answer {
                Answer::Ack => None,
                Answer::Stall => Some(Code::Stall),
                Answer::Data(_) | Answer::Nak | Answer::Silent => Some(Code::UsbTransaction),
            };
            if code.is_some() {
                break;
            }
        }
        endpoint.control.data = data;
        if let Some(code) = code {
            return Err(Broken { code, trb: first, residual: first.length() });
        }
        for n in 0..count {
            if let Some(trb) = endpoint.ring.get(n).filter(moves_data) {
                self.report(fabric, parties.slot, trb, Code::Success, 0);
            }
        }
        Ok(())
    }

    fn status_stage(
        &mut self,
        fabric: &mut Fabric,
        parties: Parties,
        endpoint: &mut Endpoint,
        trb: Trb,
    ) -> Result<(), Broken> {
        let now = fabric.now();
        let Some(setup) = endpoint.control.setup else {
            self.malformed_trb(fabric, trb);
            return Err(Broken { code: Code::Trb, trb, residual: 0 });
        };
        // The status stage runs against the data (USB 2.0, 8.5.3).
        let inward = setup.length == 0 || !setup.is_in();
        if trb.direction_in() != inward {
            self.malformed_trb(fabric, trb);
        }
        let answer = match reach(&mut self.ports, parties.place, fabric.now()) {
            Some(device) => device.status(now),
            None => Answer::Silent,
        };
        self.follow_hub(fabric, parties.place);
        let code = match answer {
            Answer::Ack => Code::Success,
            Answer::Stall => Code::Stall,
            Answer::Data(_) | Answer::Nak | Answer::Silent => Code::UsbTransaction,
        };
        if code != Code::Success {
            return Err(Broken { code, trb, residual: 0 });
        }
        self.record_transfer(fabric, parties, &mut endpoint.control, code.into());
        self.report(fabric, parties.slot, trb, code, 0);
        Ok(())
    }

    /// The transfer is over: it goes into the record of the wire.
    fn record_transfer(
        &mut self,
        fabric: &mut Fabric,
        parties: Parties,
        control: &mut Control,
        code: u8,
    ) {
        const SUCCESS: u8 = Code::Success as u8;
        const STALL: u8 = Code::Stall as u8;
        const BABBLE: u8 = Code::Babble as u8;
        let Some(setup) = control.setup.take() else { return };
        let status = match code {
            SUCCESS => Status::Done,
            STALL => Status::Stall,
            BABBLE => Status::Babble,
            _ => Status::Silent,
        };
        let (now, started) = (fabric.now(), control.started);
        let trace = &mut fabric.trace;
        self.wire.control(trace, started, now, parties.address, setup, &control.data, status);
    }
}

fn moves_data(trb: &Trb) -> bool {
    matches!(trb.kind(), kind::DATA | kind::NORMAL)
}
