//! A `usb_core` with devices that do what a test wants.
//!
//! Requests complete at the next `news`; what a device was told is on record,
//! so that a test can say what must have happened and in which order.

use std::collections::VecDeque;

use abi::TaskId;
use handles::{Handle, Raw};
use usb_core_api::{
    DeviceHandle, DeviceInfo, Event, PipeStatus, PowerState, TicketHandle, UsbCoreError,
};
use usb_desc::{AlternateNumber, InterfaceNumber};
use usb_types::{EndpointAddress, Setup, Speed};
use xhci_api::SlotHandle;

use crate::world::World;

/// The handle of device `index`.
pub(crate) fn handle(index: u16) -> DeviceHandle {
    DeviceHandle::from_raw(Raw { index, seq: 1, epoch: 0 })
}

/// What a device is made of.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) vendor: u16,
    pub(crate) product: u16,
    pub(crate) rates: Vec<u32>,
    /// The data endpoint has a sampling frequency control.
    pub(crate) frequency: bool,
    /// The data endpoint is asynchronous, with feedback at 0x81.
    pub(crate) feedback: bool,
    /// The streaming endpoint is IN.
    pub(crate) capture: bool,
    /// bmAttributes of the second endpoint.
    pub(crate) second: u8,
    /// wMaxPacketSize.
    pub(crate) packet: u16,
    /// What it answers to GET_CUR of its rate; `None`: what it was told.
    pub(crate) says: Option<u32>,
    /// What it answers to GET_MIN and GET_MAX of a volume.
    pub(crate) range: (i16, i16),
}

impl Default for Model {
    fn default() -> Self {
        Self {
            vendor: 0x1209,
            product: 1,
            rates: vec![44_100, 48_000],
            frequency: true,
            feedback: false,
            capture: false,
            second: 0x11,
            packet: 200,
            says: None,
            range: (-60 * 256, 6 * 256),
        }
    }
}

impl Model {
    /// Interface 0 controls: unit 2 with a master mute and two volumes.
    /// Interface 1 streams 16-bit stereo in alternate 1.
    pub(crate) fn configuration(&self) -> Vec<u8> {
        let endpoint = if self.capture { 0x82 } else { 0x01 };
        let (usb, jack) = ([1, 1], [1, if self.capture { 2 } else { 3 }]);
        let (from, to) = if self.capture { (jack, usb) } else { (usb, jack) };
        let mut body = vec![9, 4, 0, 0, 0, 1, 1, 0, 0];
        body.extend([9, 0x24, 1, 0, 1, 40, 0, 1, 1]);
        body.extend([12, 0x24, 2, 1, from[0], from[1], 0, 2, 3, 0, 0, 0]);
        body.extend([10, 0x24, 6, 2, 1, 1, 1, 2, 2, 0]);
        body.extend([9, 0x24, 3, 3, to[0], to[1], 0, 2, 0]);
        body.extend([9, 4, 1, 0, 0, 1, 2, 0, 0]);
        let endpoints = 1 + u8::from(self.feedback);
        body.extend([9, 4, 1, 1, endpoints, 1, 2, 0, 0]);
        body.extend([7, 0x24, 1, if self.capture { 3 } else { 1 }, 2, 1, 0]);
        let count = self.rates.len() as u8;
        body.extend([8 + 3 * count, 0x24, 2, 1, 2, 2, 16, count]);
        self.rates.iter().for_each(|rate| body.extend(&rate.to_le_bytes()[..3]));
        let attributes = if self.feedback { 5 } else { 9 };
        let [low, high] = self.packet.to_le_bytes();
        body.extend([9, 5, endpoint, attributes, low, high, 1, 0, 0]);
        body.extend([7, 0x25, 1, self.frequency.into(), 0, 0, 0]);
        if self.feedback {
            body.extend([9, 5, 0x81, self.second, 3, 0, 1, 4, 0]);
        }
        let [low, high] = (body.len() as u16 + 9).to_le_bytes();
        let mut blob = vec![9, 2, low, high, 2, 1, 0, 0x80, 50];
        blob.extend(body);
        blob
    }
}

/// What a device was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Interface(u8, u8),
    Set { value: u16, index: u16, data: Vec<u8> },
    Get { request: u8, value: u16, index: u16 },
}

#[derive(Debug)]
struct Operation {
    ticket: TicketHandle,
    outcome: Result<Vec<u8>, UsbCoreError>,
    told: bool,
}

/// The world of a test.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) devices: Vec<(DeviceHandle, Model, Vec<u8>)>,
    pub(crate) events: VecDeque<Event>,
    operations: Vec<Operation>,
    started: u16,
    /// What went to the devices, oldest first.
    pub(crate) told: Vec<Told>,
    /// The answer of each request that matches, once or for ever.
    pub(crate) refusals: Vec<(Told, UsbCoreError)>,
    /// Requests do not complete while this is set.
    pub(crate) stuck: bool,
    /// As many requests can be under way.
    pub(crate) tickets: usize,
    pub(crate) claimed: Vec<(DeviceHandle, u8)>,
    pub(crate) claim_error: Option<UsbCoreError>,
    pub(crate) hints: Vec<TaskId>,
    pub(crate) now: u64,
    /// What went out on isochronous endpoints.
    pub(crate) packets: Vec<Vec<u8>>,
    /// Packets the pipe has room for.
    pub(crate) room: usize,
    pub(crate) queued: u8,
    pub(crate) underruns: u32,
    /// What the feedback endpoint has to say, and how often it was asked.
    pub(crate) feedback: VecDeque<Vec<u8>>,
    pub(crate) asked: u32,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self { tickets: 8, room: 1000, ..Self::default() }
    }

    /// Plugs a device in.
    pub(crate) fn plug(&mut self, index: u16, model: Model) -> DeviceHandle {
        let device = handle(index);
        let configuration = model.configuration();
        self.devices.push((device, model, configuration));
        self.events.push_back(Event::Attached(device));
        device
    }

    /// Pulls a device out.
    pub(crate) fn unplug(&mut self, device: DeviceHandle) {
        self.devices.retain(|(known, ..)| *known != device);
        for operation in &mut self.operations {
            operation.outcome = Err(UsbCoreError::DeviceGone);
        }
        self.events.push_back(Event::Detached(device));
    }

    /// Requests for which no result was fetched.
    pub(crate) fn under_way(&self) -> usize {
        self.operations.len()
    }

    fn model(&self, device: DeviceHandle) -> Result<&(DeviceHandle, Model, Vec<u8>), UsbCoreError> {
        self.devices.iter().find(|(known, ..)| *known == device).ok_or(UsbCoreError::DeviceGone)
    }

    fn start(
        &mut self,
        device: DeviceHandle,
        told: Told,
        answer: Vec<u8>,
    ) -> Result<TicketHandle, UsbCoreError> {
        self.model(device)?;
        if self.operations.len() >= self.tickets {
            return Err(UsbCoreError::NoTickets);
        }
        let refused = self.refusals.iter().find(|(what, _)| *what == told);
        let outcome = refused.map_or(Ok(answer), |(_, error)| Err(*error));
        self.told.push(told);
        self.started += 1;
        let ticket = TicketHandle::from_raw(Raw { index: 0, seq: self.started, epoch: 0 });
        self.operations.push(Operation { ticket, outcome, told: false });
        Ok(ticket)
    }

    fn collect(&mut self, ticket: TicketHandle) -> Result<Vec<u8>, UsbCoreError> {
        let found = self.operations.iter().position(|operation| operation.ticket == ticket);
        self.operations.remove(found.ok_or(UsbCoreError::Stale)?).outcome
    }
}

impl World for Fake {
    fn news(&mut self) -> Result<Event, UsbCoreError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        let stuck = self.stuck;
        let ready = self.operations.iter_mut().find(|operation| !operation.told && !stuck);
        Ok(ready.map_or(Event::None, |operation| {
            operation.told = true;
            Event::TicketDone(operation.ticket)
        }))
    }

    fn device(&mut self, device: DeviceHandle) -> Result<DeviceInfo, UsbCoreError> {
        let (_, model, configuration) = self.model(device)?;
        Ok(DeviceInfo {
            controller: 0,
            slot: SlotHandle::from_raw(Raw { index: 1, seq: 1, epoch: 0 }),
            slot_number: 3,
            port: 5,
            speed: Speed::Full,
            vendor: model.vendor,
            product: model.product,
            release: 0,
            configuration: 1,
            configuration_length: configuration.len() as u16,
            power: PowerState::Active,
        })
    }

    fn configuration(
        &mut self,
        device: DeviceHandle,
        offset: u16,
        into: &mut [u8],
    ) -> Result<u16, UsbCoreError> {
        let (_, _, configuration) = self.model(device)?;
        let from = &configuration[usize::from(offset)..];
        // Not all at once, to see that the rest is asked for.
        let count = from.len().min(into.len()).min(100);
        into[..count].copy_from_slice(&from[..count]);
        Ok(count as u16)
    }

    fn claim(
        &mut self,
        device: DeviceHandle,
        interface: InterfaceNumber,
    ) -> Result<(), UsbCoreError> {
        if let (Some(error), 1) = (self.claim_error, interface.0) {
            return Err(error);
        }
        self.claimed.push((device, interface.0));
        Ok(())
    }

    fn release(&mut self, device: DeviceHandle, interface: InterfaceNumber) {
        self.claimed.retain(|claim| *claim != (device, interface.0));
    }

    fn set_interface(
        &mut self,
        device: DeviceHandle,
        interface: InterfaceNumber,
        alternate: AlternateNumber,
    ) -> Result<TicketHandle, UsbCoreError> {
        self.start(device, Told::Interface(interface.0, alternate.0), Vec::new())
    }

    fn control(
        &mut self,
        device: DeviceHandle,
        setup: Setup,
        data: &[u8],
    ) -> Result<TicketHandle, UsbCoreError> {
        let Setup { request, value, index, .. } = setup;
        if setup.request_type & 0x80 == 0 {
            let data = data.to_vec();
            return self.start(device, Told::Set { value, index, data }, Vec::new());
        }
        let &Model { range: (min, max), says, .. } = &self.model(device)?.1;
        let says = says.map(|rate| rate.to_le_bytes()[..3].to_vec());
        let last_rate = self.told.iter().rev().find_map(|told| match told {
            Told::Set { value: 0x0100, index: 0x01, data } => Some(data.clone()),
            _ => None,
        });
        let answer = match request {
            0x82 => min.to_le_bytes().to_vec(),
            0x83 => max.to_le_bytes().to_vec(),
            _ => says.or(last_rate).unwrap_or_else(|| vec![0; 3]),
        };
        self.start(device, Told::Get { request, value, index }, answer)
    }

    fn result(&mut self, ticket: TicketHandle) -> Result<(), UsbCoreError> {
        self.collect(ticket).map(|_| ())
    }

    fn take(&mut self, ticket: TicketHandle, into: &mut [u8]) -> Result<u16, UsbCoreError> {
        let data = self.collect(ticket)?;
        into[..data.len()].copy_from_slice(&data);
        Ok(data.len() as u16)
    }

    fn send(
        &mut self,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        lengths: &[u8],
        data: &[u8],
    ) -> Result<u8, UsbCoreError> {
        self.model(device)?;
        assert_eq!(endpoint, EndpointAddress(0x01));
        assert!(lengths.len() <= 64 && data.len() <= 4096, "the leases' limits");
        let mut rest = data;
        let mut taken = 0;
        for length in lengths.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])) {
            let (packet, after) = rest.split_at(length.into());
            rest = after;
            if self.room > 0 {
                self.room -= 1;
                self.queued += 1;
                taken += 1;
                self.packets.push(packet.to_vec());
            }
        }
        assert!(rest.is_empty(), "lengths and data agree");
        Ok(taken)
    }

    fn receive(
        &mut self,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        into: &mut [u8],
    ) -> Result<u16, UsbCoreError> {
        self.model(device)?;
        assert_eq!(endpoint, EndpointAddress(0x81));
        self.asked += 1;
        let packet = self.feedback.pop_front().ok_or(UsbCoreError::NotYet)?;
        into[..packet.len()].copy_from_slice(&packet);
        Ok(packet.len() as u16)
    }

    fn pipe(
        &mut self,
        device: DeviceHandle,
        _: EndpointAddress,
    ) -> Result<PipeStatus, UsbCoreError> {
        self.model(device)?;
        Ok(PipeStatus {
            queued: self.queued,
            room: self.room as u8,
            completed: 0,
            errors: 0,
            underruns: self.underruns,
        })
    }

    fn hint(&mut self, client: TaskId) {
        self.hints.push(client);
    }

    fn now(&mut self) -> u64 {
        self.now
    }
}
