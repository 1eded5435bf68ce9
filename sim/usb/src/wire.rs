//! The wire between a controller and its devices: where packets are recorded and harmed.
//!
//! Whatever a controller sends goes through [`Wire`], so the record is of what
//! really passed: a packet that a fault swallowed is not in it, one that a
//! fault doubled is in it twice. The judge reads isochronous OUT packets from
//! [`WireLog`]; a capture file gets everything.

use crate::bus::{Address, Answer, Endpoint, Microframe, Setup, UsbDevice};
use crate::pcap::{Pcap, Status, Transfer, TransferKind};
use fabric::{Record, Time, Trace};
use xxhash_rust::xxh3::xxh3_64;

/// An isochronous OUT packet that went over the wire.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct IsochPacket {
    /// The microframe it went out in.
    pub at: Microframe,
    /// The device it went to.
    pub device: Address,
    /// The endpoint it went to.
    pub endpoint: Endpoint,
    /// Bytes of payload.
    pub len: u16,
    /// Where [`WireLog::data`] holds them.
    offset: usize,
}

/// All isochronous OUT packets of a run.
#[derive(Debug, Default)]
pub struct WireLog {
    packets: Vec<IsochPacket>,
    bytes: Vec<u8>,
}

impl WireLog {
    /// The packets in the order in which they went out.
    #[must_use]
    pub fn packets(&self) -> &[IsochPacket] {
        &self.packets
    }

    /// The payload of a packet of this log.
    #[must_use]
    pub fn data(&self, packet: &IsochPacket) -> &[u8] {
        &self.bytes[packet.offset..packet.offset + usize::from(packet.len)]
    }

    /// The payloads of all packets, one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn push(&mut self, at: Microframe, device: Address, endpoint: Endpoint, data: &[u8]) {
        let (offset, len) = (self.bytes.len(), data.len() as u16);
        self.bytes.extend_from_slice(data);
        self.packets.push(IsochPacket { at, device, endpoint, len, offset });
    }
}

/// What happens to one isochronous OUT packet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum WireFaultKind {
    /// It never reaches the wire.
    Drop,
    /// It is sent twice in its interval.
    Duplicate,
    /// One bit of its payload is flipped, in a way no checksum sees.
    FlipBit,
    /// It goes out with the next packet of its endpoint, in front of it.
    Late,
}

/// A fault of the wire.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct WireFault {
    /// What happens.
    pub kind: WireFaultKind,
    /// To which isochronous OUT packet with payload, counted from 0.
    pub packet: u64,
}

/// Largest isochronous packet of full and high speed (USB 2.0, 5.6.3).
const LARGEST: usize = 1024;

#[derive(Debug)]
struct Held {
    endpoint: Endpoint,
    len: usize,
    data: Box<[u8; LARGEST]>,
}

/// The wire of one controller.
#[derive(Debug)]
pub struct Wire {
    controller: u8,
    log: WireLog,
    pcap: Option<Pcap>,
    faults: Vec<WireFault>,
    /// Isochronous OUT packets with payload so far.
    sent: u64,
    held: Option<Held>,
}

impl Wire {
    /// The wire of controller number `controller`.
    #[must_use]
    pub fn new(controller: u8) -> Self {
        let log = WireLog::default();
        Self { controller, log, pcap: None, faults: Vec::new(), sent: 0, held: None }
    }

    /// Writes everything into a capture as well.
    pub fn capture(&mut self, pcap: Pcap) {
        self.pcap = Some(pcap);
    }

    /// The capture, to be finished.
    pub fn take_capture(&mut self) -> Option<Pcap> {
        self.pcap.take()
    }

    /// Makes room for a long run ahead of it.
    pub fn reserve(&mut self, packets: usize, bytes: usize) {
        self.log.packets.reserve(packets);
        self.log.bytes.reserve(bytes);
    }

    /// Harms a packet that is still to come.
    pub fn inject(&mut self, fault: WireFault) {
        self.faults.push(fault);
    }

    /// What went over the wire.
    #[must_use]
    pub fn log(&self) -> &WireLog {
        &self.log
    }

    /// An isochronous OUT transaction.
    pub fn isoch_out(
        &mut self,
        trace: &mut Trace,
        at: Microframe,
        device: &mut dyn UsbDevice,
        endpoint: Endpoint,
        data: &[u8],
    ) {
        if self.faults.is_empty() && self.held.is_none() {
            self.deliver(trace, at, device, endpoint, data);
        } else {
            self.deliver_harmed(trace, at, device, endpoint, data);
        }
        self.sent += u64::from(!data.is_empty());
    }

    fn deliver_harmed(
        &mut self,
        trace: &mut Trace,
        at: Microframe,
        device: &mut dyn UsbDevice,
        endpoint: Endpoint,
        data: &[u8],
    ) {
        if let Some(held) = self.held.take_if(|held| held.endpoint == endpoint) {
            self.deliver(trace, at, device, endpoint, &held.data[..held.len]);
        }
        let hit = self
            .faults
            .iter()
            .position(|fault| fault.packet == self.sent && !data.is_empty())
            .map(|index| self.faults.swap_remove(index).kind);
        match hit {
            None => self.deliver(trace, at, device, endpoint, data),
            Some(WireFaultKind::Drop) => {}
            Some(WireFaultKind::Duplicate) => {
                self.deliver(trace, at, device, endpoint, data);
                self.deliver(trace, at, device, endpoint, data);
            }
            Some(WireFaultKind::FlipBit) => {
                let mut bytes = [0; LARGEST];
                let bytes = &mut bytes[..data.len()];
                bytes.copy_from_slice(data);
                bytes[data.len() / 2] ^= 0x10;
                self.deliver(trace, at, device, endpoint, bytes);
            }
            Some(WireFaultKind::Late) => {
                let mut copy = Box::new([0; LARGEST]);
                copy[..data.len()].copy_from_slice(data);
                self.held = Some(Held { endpoint, len: data.len(), data: copy });
            }
        }
    }

    fn deliver(
        &mut self,
        trace: &mut Trace,
        at: Microframe,
        device: &mut dyn UsbDevice,
        endpoint: Endpoint,
        data: &[u8],
    ) {
        let address = device.address();
        self.log.push(at, address, endpoint, data);
        self.note(trace, at, TransferKind::Isoch, address, endpoint, data, data.len());
        device.isoch_out(at, endpoint, data);
    }

    /// An isochronous IN transaction; the length of the packet, `None` when
    /// the device sent none.
    pub fn isoch_in(
        &mut self,
        trace: &mut Trace,
        at: Microframe,
        device: &mut dyn UsbDevice,
        endpoint: Endpoint,
        into: &mut [u8],
    ) -> Option<usize> {
        let address = device.address();
        let len = device.isoch_in(at, endpoint, into)?;
        let asked = into.len();
        self.note(trace, at, TransferKind::Isoch, address, endpoint, &into[..len], asked);
        Some(len)
    }

    /// An interrupt IN transaction. A NAK leaves no record.
    pub fn interrupt_in(
        &mut self,
        trace: &mut Trace,
        at: Microframe,
        device: &mut dyn UsbDevice,
        endpoint: Endpoint,
        into: &mut [u8],
    ) -> Answer {
        let address = device.address();
        let answer = device.interrupt_in(at, endpoint, into);
        if let Answer::Data(len) = answer {
            let asked = into.len();
            self.note(trace, at, TransferKind::Interrupt, address, endpoint, &into[..len], asked);
        }
        answer
    }

    /// A control transfer has ended; the controller drove its stages itself.
    #[expect(clippy::too_many_arguments, reason = "a record's fields, each of its own type")]
    pub fn control(
        &mut self,
        trace: &mut Trace,
        started: Time,
        ended: Time,
        device: Address,
        setup: Setup,
        data: &[u8],
        status: Status,
    ) {
        let endpoint = if setup.is_in() { Endpoint::input(0) } else { Endpoint::output(0) };
        let request = xxh3_64(&setup.to_bytes());
        trace.record(
            ended,
            Record::Packet {
                controller: self.controller,
                device: device.0,
                endpoint: endpoint.0,
                microframe: Microframe::at(ended).0,
                len: data.len() as u32,
                digest: xxh3_64(data) ^ request.rotate_left(status as u32 & 63),
            },
        );
        if let Some(pcap) = &mut self.pcap {
            let (kind, asked) = (TransferKind::Control, u32::from(setup.length));
            let (setup, frame) = (Some(setup), None);
            let transfer = Transfer {
                kind,
                device,
                endpoint,
                setup,
                started,
                ended,
                asked,
                data,
                status,
                frame,
            };
            pcap.transfer(&transfer);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a record's fields, each of its own type")]
    fn note(
        &mut self,
        trace: &mut Trace,
        at: Microframe,
        kind: TransferKind,
        device: Address,
        endpoint: Endpoint,
        data: &[u8],
        asked: usize,
    ) {
        trace.record(
            at.starts(),
            Record::Packet {
                controller: self.controller,
                device: device.0,
                endpoint: endpoint.0,
                microframe: at.0,
                len: data.len() as u32,
                digest: xxh3_64(data),
            },
        );
        if let Some(pcap) = &mut self.pcap {
            let (started, ended, frame) = (at.starts(), at.starts(), Some(at));
            let (setup, status, asked) = (None, Status::Done, asked as u32);
            let transfer = Transfer {
                kind,
                device,
                endpoint,
                setup,
                started,
                ended,
                asked,
                data,
                status,
                frame,
            };
            pcap.transfer(&transfer);
        }
    }
}
