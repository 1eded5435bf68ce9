//! Isochronous and interrupt endpoints: xHCI 1.2, 4.10.3, 4.11.2.5 and 4.14.
//!
//! A service interval is two events. The descriptor and its data are fetched
//! some microframes ahead (the isochronous scheduling threshold), and the packet
//! goes over the wire at the start of the interval. Both are scheduled only
//! while the endpoint is served: one that ran dry, was stopped or lost its
//! device costs nothing until its doorbell rings.

use crate::context::{Endpoint, EndpointKind, EndpointState};
use crate::ids::{Dci, Place, SlotId};
use crate::place::reach;
use crate::transfer::{Front, Whose};
use crate::trb::{self, Code, Trb, kind};
use crate::{Wake, Xhc};
use addr::Bus;
use fabric::{Fabric, Fault, Site, Violation};
use usb_model::{Answer, Microframe, Wire};

/// Frames ahead that a Frame ID may be (4.11.2.5).
const WINDOW: u64 = 895;
/// Frame IDs wrap here.
const FRAMES: u64 = 2048;
/// Largest payload of an interval at high speed: three packets of 1024 bytes.
const LARGEST: usize = 3 * 1024;

/// Links, no-ops and missed descriptors that are passed in one interval.
const HOPS: usize = 64;

/// How an endpoint is served.
#[derive(Debug)]
pub(crate) struct Service {
    /// Whether it is being served.
    pub(crate) active: bool,
    /// Nothing was sent since it was woken.
    fresh: bool,
    /// Length of the service interval, in microframes.
    pub(crate) interval: u64,
    /// The interval that is prepared.
    next: Microframe,
    /// TRBs of the descriptor that was fetched for it; 0 when none was.
    pub(crate) scheduled: usize,
    total: usize,
    buffer: Vec<u8>,
}

impl Service {
    pub(crate) fn new(interval: u32) -> Self {
        Self {
            active: false,
            fresh: true,
            interval: 1 << interval.min(18),
            next: Microframe(0),
            scheduled: 0,
            total: 0,
            buffer: Vec::new(),
        }
    }
}

/// What to do with the descriptor at the front.
enum Choice {
    Serve(usize),
    /// Its frame is that many microframes away.
    Wait(u64),
    Again,
    Dry,
}

impl Xhc {
    /// The doorbell of a periodic endpoint.
    pub(crate) fn ring_periodic(&mut self, fabric: &mut Fabric, id: SlotId, dci: Dci) {
        let Some(slot) = self.slot_mut(id) else { return };
        let Some(place) = slot.place() else { return };
        let Some(endpoint) = slot.endpoint_mut(dci) else { return };
        match endpoint.state {
            EndpointState::Running => {}
            EndpointState::Stopped => {
                endpoint.state = EndpointState::Running;
                self.write_endpoint_context(fabric, id, dci);
            }
            EndpointState::Halted | EndpointState::Error => return,
        }
        let present = reach(&mut self.ports, place, fabric.now()).is_some();
        let Some((active, interval, turn)) = self.slot(id).and_then(|slot| {
            let endpoint = slot.endpoint(dci)?;
            Some((endpoint.service.active, endpoint.service.interval, endpoint.turn))
        }) else {
            return;
        };
        // Without a device nothing is scheduled, and nobody is told.
        if active || !present {
            return;
        }
        let first = self.first_service(fabric, interval);
        if let Some(endpoint) = self.slot_mut(id).and_then(|slot| slot.endpoint_mut(dci)) {
            endpoint.service.active = true;
            endpoint.service.fresh = true;
            endpoint.service.next = first;
            endpoint.service.buffer.resize(LARGEST, 0);
        }
        self.schedule_fetch(fabric, id, dci, turn, first, interval);
    }

    fn schedule_fetch(
        &mut self,
        fabric: &mut Fabric,
        id: SlotId,
        dci: Dci,
        turn: u8,
        at: Microframe,
        interval: u64,
    ) {
        let lead = self.p.lead.min(interval);
        self.wake_at(fabric, Microframe(at.0 - lead).starts(), Wake::Fetch(id, dci, turn));
    }

    /// The descriptor of the next interval is to be fetched.
    pub(crate) fn fetch_due(&mut self, fabric: &mut Fabric, id: SlotId, dci: Dci, turn: u8) {
        self.with_endpoint(fabric, id, dci, turn, |xhc, fabric, place, endpoint| {
            if reach(&mut xhc.ports, place, fabric.now()).is_none() {
                endpoint.quiesce();
                return;
            }
            let whose = Whose { slot: id, dci };
            for _ in 0..HOPS {
                match xhc.choose(fabric, endpoint, whose) {
                    Choice::Again => {}
                    Choice::Serve(count) => {
                        xhc.prepare(fabric, endpoint, count);
                        let at = endpoint.service.next.starts();
                        xhc.wake_at(fabric, at, Wake::Transmit(id, dci, turn));
                        return;
                    }
                    Choice::Wait(microframes) => {
                        let service = &mut endpoint.service;
                        service.next = Microframe(service.next.0 + microframes);
                        let (next, interval) = (service.next, service.interval);
                        xhc.schedule_fetch(fabric, id, dci, turn, next, interval);
                        return;
                    }
                    Choice::Dry => {
                        xhc.run_dry(fabric, endpoint, whose);
                        return;
                    }
                }
            }
            // Nothing but links, or a long row of missed frames: that is all for
            // this interval.
            let service = &mut endpoint.service;
            service.next = Microframe(service.next.0 + service.interval);
            let (next, interval) = (service.next, service.interval);
            xhc.schedule_fetch(fabric, id, dci, turn, next, interval);
        });
    }

    fn choose(&mut self, fabric: &mut Fabric, endpoint: &mut Endpoint, whose: Whose) -> Choice {
        let Front::Descriptor(count) = self.front(fabric, &mut endpoint.ring, whose) else {
            return Choice::Dry;
        };
        self.verify(fabric, &endpoint.ring, count);
        let Some(first) = endpoint.ring.get(0) else { return Choice::Dry };
        let data = if endpoint.kind.is_isoch() { kind::ISOCH } else { kind::NORMAL };
        match first.kind() {
            kind::LINK | kind::NO_OP => {
                endpoint.ring.pop();
                if first.interrupts_on_completion() {
                    self.complete(fabric, whose, first, Code::Success, 0);
                }
                Choice::Again
            }
            found if found == data => {
                if endpoint.kind.is_isoch()
                    && !first.asap()
                    && (endpoint.service.fresh || self.p.contiguous_frame_ids)
                {
                    self.match_frame(fabric, endpoint, whose, first, count)
                } else {
                    Choice::Serve(count)
                }
            }
            _ => {
                self.malformed_trb(fabric, first);
                endpoint.state = EndpointState::Error;
                endpoint.quiesce();
                self.complete(fabric, whose, first, Code::Trb, first.length());
                Choice::Dry
            }
        }
    }

    /// Compares a Frame ID with the frame that is prepared.
    fn match_frame(
        &mut self,
        fabric: &mut Fabric,
        endpoint: &mut Endpoint,
        whose: Whose,
        first: Trb,
        count: usize,
    ) -> Choice {
        let next = endpoint.service.next;
        let current = u64::from(self.frame_index(next)) / 8;
        let ahead = (u64::from(first.frame_id()) + FRAMES - current) % FRAMES;
        if ahead == 0 {
            return Choice::Serve(count);
        }
        if ahead <= FRAMES / 2 {
            if ahead > WINDOW {
                let (controller, at) = (self.number, first.at);
                self.violation(fabric, Violation::FrameOutsideWindow { controller, at });
            }
            let interval = endpoint.service.interval;
            return Choice::Wait((ahead * 8).next_multiple_of(interval));
        }
        // Its frame has passed: it is not sent, and that is told (4.10.3.2).
        for _ in 0..count {
            endpoint.ring.pop();
        }
        self.stats.missed_services += 1;
        let pointer = if self.p.events_point { first.at } else { Bus(0) };
        let length = first.length();
        let Whose { slot, dci } = whose;
        let event = trb::transfer_event(pointer, length, Code::MissedService, slot, dci);
        self.post(fabric, first.interrupter(), event, false);
        Choice::Again
    }

    /// Reads the data of the descriptor that goes out next.
    fn prepare(&mut self, fabric: &mut Fabric, endpoint: &mut Endpoint, count: usize) {
        let packet = endpoint.context.max_packet();
        let mut total = 0;
        for n in 0..count {
            let Some(trb) = endpoint.ring.get(n).filter(moves_data) else { continue };
            self.check_buffer(fabric, trb);
            let length = trb.length() as usize;
            if endpoint.kind == EndpointKind::IsochOut && total + length <= LARGEST {
                let into = &mut endpoint.service.buffer[total..total + length];
                if trb.is_immediate() {
                    let length = length.min(8);
                    into[..length].copy_from_slice(&trb.immediate()[..length]);
                } else {
                    // A blocked read gives zeros, and nobody is told.
                    let _ = self.read_bytes(fabric, Bus(trb.parameter()), into);
                }
            }
            total += length;
        }
        if endpoint.kind.is_isoch() {
            self.check_isoch(fabric, endpoint, count, total as u32, packet);
        }
        endpoint.service.scheduled = count;
        endpoint.service.total = total;
    }

    /// Burst counts and TD Size (4.11.2.3, 4.11.2.4).
    fn check_isoch(
        &self,
        fabric: &mut Fabric,
        endpoint: &Endpoint,
        count: usize,
        total: u32,
        packet: u32,
    ) {
        let Some(first) = endpoint.ring.get(0) else { return };
        let packets = total.div_ceil(packet).max(1);
        let burst = endpoint.context.burst() + 1;
        let last = match packets % burst {
            0 => burst - 1,
            rest => rest - 1,
        };
        let bursts = packets.div_ceil(burst) - 1;
        if first.burst_count() != bursts || first.last_burst_count() != last {
            self.malformed_trb(fabric, first);
        }
        let mut moved = 0;
        for n in 0..count {
            let Some(trb) = endpoint.ring.get(n).filter(moves_data) else { continue };
            moved += trb.length();
            let left = (packets - (moved / packet).min(packets)).min(31);
            let expected = if moved < total { left } else { 0 };
            let misplaced = n > 0 && trb.kind() == kind::ISOCH;
            if trb.td_size() != expected || misplaced {
                self.malformed_trb(fabric, trb);
            }
        }
    }

    /// The ring is empty at a service opportunity (4.10.3.1).
    fn run_dry(&mut self, fabric: &mut Fabric, endpoint: &mut Endpoint, whose: Whose) {
        endpoint.service.active = false;
        let code = match endpoint.kind {
            EndpointKind::IsochOut => Code::RingUnderrun,
            EndpointKind::IsochIn => Code::RingOverrun,
            EndpointKind::InterruptIn | EndpointKind::Control => return,
        };
        if endpoint.state != EndpointState::Running {
            return;
        }
        self.stats.dry_rings += 1;
        let at = endpoint.ring.position().0;
        let pointer = if self.p.events_point { at } else { Bus(0) };
        // No TRB, no target: the slot's says where this goes.
        let Some(target) = self.slot(whose.slot).map(|slot| slot.interrupter) else { return };
        let event = trb::transfer_event(pointer, 0, code, whose.slot, whose.dci);
        self.post(fabric, target, event, false);
    }

    /// The packet goes over the wire.
    pub(crate) fn transmit_due(&mut self, fabric: &mut Fabric, id: SlotId, dci: Dci, turn: u8) {
        self.with_endpoint(fabric, id, dci, turn, |xhc, fabric, place, endpoint| {
            if endpoint.service.scheduled == 0 {
                return;
            }
            let whose = Whose { slot: id, dci };
            match fabric.reach(Site::Packet(xhc.number), dci.0.into()) {
                Some(Fault::Code(code)) => xhc.spoil_packets(fabric, endpoint, whose, code),
                _ if endpoint.kind == EndpointKind::IsochOut => {
                    xhc.send_packets(fabric, place, endpoint, whose);
                }
                _ => xhc.receive_packet(fabric, place, endpoint, whose),
            }
            if !endpoint.service.active {
                return;
            }
            xhc.fetch(fabric, &mut endpoint.ring, xhc.p.prefetch, whose);
            let service = &mut endpoint.service;
            service.fresh = false;
            service.scheduled = 0;
            service.next = Microframe(service.next.0 + service.interval);
            let (next, interval) = (service.next, service.interval);
            xhc.schedule_fetch(fabric, id, dci, turn, next, interval);
        });
    }

    /// Nothing goes over the wire, and each TRB ends with `code`.
    fn spoil_packets(
        &mut self,
        fabric: &mut Fabric,
        endpoint: &mut Endpoint,
        whose: Whose,
        code: u8,
    ) {
        for _ in 0..endpoint.service.scheduled {
            let Some(trb) = endpoint.ring.pop().filter(moves_data) else { continue };
            self.complete(fabric, whose, trb, code, trb.length());
        }
    }

    fn send_packets(
        &mut self,
        fabric: &mut Fabric,
        place: Place,
        endpoint: &mut Endpoint,
        whose: Whose,
    ) {
        let context = endpoint.context;
        let packet = context.max_packet() as usize;
        let limit = (packet * (context.burst() as usize + 1)).min(LARGEST);
        let (at, total) = (endpoint.service.next, endpoint.service.total);
        let Self { ports, wire, .. } = self;
        let Some(device) = reach(ports, place, fabric.now()) else {
            endpoint.quiesce();
            return;
        };
        // What exceeds the reservation is not sent.
        let data = &endpoint.service.buffer[..total.min(limit)];
        let target = whose.dci.endpoint();
        let trace = &mut fabric.trace;
        if data.is_empty() {
            wire.isoch_out(trace, at, device.as_mut(), target, data);
        }
        for bytes in data.chunks(packet) {
            wire.isoch_out(trace, at, device.as_mut(), target, bytes);
        }
        let over = total > limit;
        for _ in 0..endpoint.service.scheduled {
            let Some(trb) = endpoint.ring.pop() else { break };
            if over && moves_data(&trb) {
                self.complete(fabric, whose, trb, Code::BandwidthOverrun, (total - limit) as u32);
            } else if trb.interrupts_on_completion() {
                self.complete_or_data(fabric, whose, trb, Code::Success, 0, total as u32);
            }
        }
    }

    fn receive_packet(
        &mut self,
        fabric: &mut Fabric,
        place: Place,
        endpoint: &mut Endpoint,
        whose: Whose,
    ) {
        let (at, total) = (endpoint.service.next, endpoint.service.total);
        let packet = (endpoint.context.max_packet() as usize).min(LARGEST);
        let Self { ports, wire, .. } = self;
        let Some(device) = reach(ports, place, fabric.now()) else {
            endpoint.quiesce();
            return;
        };
        let buffer = &mut endpoint.service.buffer[..packet];
        let target = whose.dci.endpoint();
        let trace = &mut fabric.trace;
        let isoch = endpoint.kind == EndpointKind::IsochIn;
        let answer = if isoch {
            receive_isoch(wire, trace, at, device.as_mut(), target, buffer)
        } else {
            wire.interrupt_in(trace, at, device.as_mut(), target, buffer)
        };
        let received = match answer {
            Answer::Data(len) => len,
            // Nothing yet: the same descriptor is tried again.
            Answer::Nak => return,
            Answer::Stall | Answer::Ack | Answer::Silent => {
                let Some(trb) = endpoint.ring.get(0) else { return };
                endpoint.state = EndpointState::Halted;
                endpoint.quiesce();
                let code = if answer == Answer::Stall { Code::Stall } else { Code::UsbTransaction };
                self.complete(fabric, whose, trb, code, trb.length());
                return;
            }
        };
        let (mut moved, mut told) = (0, false);
        let over = received > total;
        for _ in 0..endpoint.service.scheduled {
            let Some(trb) = endpoint.ring.pop() else { break };
            let room = if moves_data(&trb) { trb.length() as usize } else { 0 };
            let part = room.min(received - moved);
            let bytes = &endpoint.service.buffer[moved..moved + part];
            // A blocked write is dropped, and nobody is told.
            let _ = self.write_bytes(fabric, Bus(trb.parameter()), bytes);
            moved += part;
            let residual = (room - part) as u32;
            let wanted =
                trb.interrupts_on_completion() || (residual > 0 && trb.interrupts_on_short());
            if told || !(wanted || over) {
                continue;
            }
            let code = match (over, residual) {
                (true, _) => Code::IsochBufferOverrun,
                (false, 0) => Code::Success,
                (false, _) if self.p.short_is_success => Code::Success,
                (false, _) => Code::ShortPacket,
            };
            told = residual > 0 || over;
            self.complete_or_data(fabric, whose, trb, code, residual, moved as u32);
        }
    }

    /// Reports a TRB after a while.
    fn complete(
        &mut self,
        fabric: &mut Fabric,
        whose: Whose,
        trb: Trb,
        code: impl Into<u8>,
        residual: u32,
    ) {
        let Whose { slot, dci } = whose;
        let event = trb::transfer_event(trb.at, residual, code, slot, dci);
        let span = self.between(self.p.completion);
        let blocks = trb.blocks_interrupt();
        self.defer(fabric, span, slot, dci, trb.interrupter(), event, blocks);
    }

    fn complete_or_data(
        &mut self,
        fabric: &mut Fabric,
        whose: Whose,
        trb: Trb,
        code: Code,
        residual: u32,
        moved: u32,
    ) {
        if trb.kind() != kind::EVENT_DATA {
            self.complete(fabric, whose, trb, code, residual);
            return;
        }
        let Whose { slot, dci } = whose;
        let event = trb::event_data(trb.parameter(), moved, code, slot, dci);
        let span = self.between(self.p.completion);
        let blocks = trb.blocks_interrupt();
        self.defer(fabric, span, slot, dci, trb.interrupter(), event, blocks);
    }

    /// Works on an endpoint that is being served since `turn`.
    fn with_endpoint(
        &mut self,
        fabric: &mut Fabric,
        id: SlotId,
        dci: Dci,
        turn: u8,
        work: impl FnOnce(&mut Self, &mut Fabric, Place, &mut Endpoint),
    ) {
        let Some(slot) = self.slot_mut(id) else { return };
        let Some(place) = slot.place() else { return };
        let Some(mut endpoint) = slot.take_endpoint(dci) else { return };
        let before = endpoint.state;
        if endpoint.turn == turn && endpoint.service.active {
            work(self, fabric, place, &mut endpoint);
        }
        if !self.operational.running() {
            endpoint.quiesce();
        }
        let changed = endpoint.state != before;
        if let Some(slot) = self.slot_mut(id) {
            slot.return_endpoint(dci, endpoint);
        }
        if changed {
            self.write_endpoint_context(fabric, id, dci);
        }
    }
}

fn receive_isoch(
    wire: &mut Wire,
    trace: &mut fabric::Trace,
    at: Microframe,
    device: &mut dyn usb_model::UsbDevice,
    target: usb_model::Endpoint,
    buffer: &mut [u8],
) -> Answer {
    // No packet at all reads like an empty one: there is no handshake to miss.
    Answer::Data(wire.isoch_in(trace, at, device, target, buffer).unwrap_or(0))
}

fn moves_data(trb: &Trb) -> bool {
    matches!(trb.kind(), kind::ISOCH | kind::NORMAL)
}
