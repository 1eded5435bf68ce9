//! A driver with one made-up device, for tests.
//!
//! Every request is written down and answered at once through the event
//! queue, unless a test says otherwise.

use core::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use abi::{Generation, TaskId};
use handles::{Epoch, Handle, Raw};
use usb_core_api::{DeviceHandle, Event, UsbCoreError};
use usb_types::{Setup, Speed};
use xhci_api::{
    CHANGE_CONNECT, CHANGE_LINK, Completed, ControllerInfo, EndpointSpec, Event as Below,
    IsochStatus, LINK_RESUME, PortStatus, SlotHandle, TicketHandle, XhciError,
};

use crate::controller::{Answer, Controller};
use crate::controllers::Controllers;
use crate::core::{Core, Settings};
use crate::hubs::Limits;

/// QEMU's `usb-audio`: full speed, playback in alternate 1 of interface 1.
pub(crate) const DEVICE: [u8; 18] = [
    0x12, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x40, 0xf4, 0x46, 0x02, 0x00, 0x00, 0x00, 0x01, 0x02,
    0x03, 0x01,
];

/// Two interfaces: 0 without endpoints; 1 with alternate 1 (isochronous OUT 1)
/// and alternate 2 (isochronous OUT 1 with larger packets, feedback IN 1).
pub(crate) const CONFIGURATION: [u8; 66] = [
    9, 2, 66, 0, 2, 1, 0, 0x80, 50, //
    9, 4, 0, 0, 0, 1, 1, 0, 0, //
    9, 4, 1, 0, 0, 1, 2, 0, 0, //
    9, 4, 1, 1, 1, 1, 2, 0, 0, 7, 5, 0x01, 0x0d, 0xc0, 0, 1, //
    9, 4, 1, 2, 2, 1, 2, 0, 0, 7, 5, 0x01, 0x05, 0x80, 1, 1, //
    0, 0, 0, 0, 0, 0, 0,
];

/// [`CONFIGURATION`] with its last descriptor in place: feedback IN 1.
pub(crate) fn configuration() -> Vec<u8> {
    let mut bytes = CONFIGURATION.to_vec();
    bytes[59..].copy_from_slice(&[7, 5, 0x81, 0x11, 3, 0, 1]);
    bytes
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) log: Vec<String>,
    pub(crate) events: VecDeque<Below>,
    pub(crate) ports: Vec<Port>,
    pub(crate) device: Vec<u8>,
    pub(crate) configurations: Vec<Vec<u8>>,
    /// wTotalLength when all of a configuration is read, if it is another one
    /// than in its header.
    pub(crate) other_length: Option<u16>,
    /// Requests that are refused when asked for, by how their log line starts.
    pub(crate) refuse: Vec<(&'static str, XhciError)>,
    /// Requests that end badly.
    pub(crate) fail: Vec<(&'static str, XhciError)>,
    /// Requests whose end a test lets come with [`Fake::release`].
    pub(crate) stuck: Vec<&'static str>,
    /// Held-back ends.
    pub(crate) held: Vec<TicketHandle>,
    tickets: Vec<(TicketHandle, Answer<Completed>, Vec<u8>)>,
    issued: u16,
    slots: u16,
    pub(crate) open_slots: Vec<SlotHandle>,
    /// Numbers of slots that were disabled, in that order.
    pub(crate) closed: Vec<u16>,
    /// Root ports at which there is a hub.
    pub(crate) hub_ports: Vec<u8>,
    /// Hubs by their slots' numbers.
    pub(crate) hubs: BTreeMap<u16, FakeHub>,
    /// Hubs' status pipes have failed.
    pub(crate) deaf_pipe: bool,
    /// Hubs cannot signal.
    pub(crate) mute_hubs: bool,
    pub(crate) dead: bool,
    /// What it answers to whoever asks for news.
    pub(crate) deaf: Option<XhciError>,
}

#[derive(Copy, Clone, Default)]
pub(crate) struct Port {
    pub(crate) connected: bool,
    pub(crate) enabled: bool,
    pub(crate) usb3: bool,
    pub(crate) speed: Option<Speed>,
    pub(crate) changes: u8,
    pub(crate) link_state: u8,
}

/// The descriptors of a hub of four ports, of high speed, that can signal.
pub(crate) const HUB: [u8; 18] = [18, 1, 0, 2, 9, 0, 1, 64, 0xf4, 0x46, 0x0b, 0, 1, 1, 0, 0, 0, 1];
pub(crate) const HUB_CONFIGURATION: [u8; 25] = [
    9, 2, 25, 0, 1, 1, 0, 0xa0, 50, //
    9, 4, 0, 0, 1, 9, 0, 0, 0, 7, 5, 0x81, 3, 1, 0, 12,
];

/// What a made-up hub has at its ports: wPortStatus and wPortChange, and whether
/// that is another hub.
#[derive(Clone, Default)]
pub(crate) struct FakeHub {
    pub(crate) ports: [(u16, u16); 5],
    pub(crate) hubs: [bool; 5],
    /// What its pipe says next.
    report: Option<u8>,
}

#[derive(Clone)]
pub(crate) struct Fake(pub(crate) Rc<RefCell<State>>);

impl Fake {
    pub(crate) fn new() -> Self {
        let state = State {
            ports: vec![Port::default(); 4],
            device: DEVICE.to_vec(),
            configurations: vec![configuration()],
            ..State::default()
        };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Plugs a device in.
    pub(crate) fn plug(&self, port: u8) {
        let mut state = self.0.borrow_mut();
        let place = &mut state.ports[usize::from(port) - 1];
        place.connected = true;
        place.speed = Some(Speed::Full);
        place.changes |= CHANGE_CONNECT;
        state.events.push_back(Below::PortChanged { port });
    }

    /// Pulls a device out.
    pub(crate) fn unplug(&self, port: u8) {
        let mut state = self.0.borrow_mut();
        state.ports[usize::from(port) - 1] = Port { changes: CHANGE_CONNECT, ..Port::default() };
        state.events.push_back(Below::PortChanged { port });
    }

    /// The device at a port signals resume.
    pub(crate) fn signal(&self, port: u8) {
        let mut state = self.0.borrow_mut();
        let place = &mut state.ports[usize::from(port) - 1];
        if place.connected {
            place.link_state = LINK_RESUME;
            place.changes |= CHANGE_LINK;
            state.events.push_back(Below::PortChanged { port });
        }
    }

    /// Plugs a hub in.
    pub(crate) fn plug_hub(&self, port: u8) {
        self.0.borrow_mut().hub_ports.push(port);
        self.plug(port);
        self.0.borrow_mut().ports[usize::from(port) - 1].speed = Some(Speed::High);
    }

    /// Plugs a device, or another hub, into a port of the hub in `slot`.
    pub(crate) fn plug_behind(&self, slot: u16, port: usize, is_hub: bool) {
        self.behind(slot, port, |hub| {
            hub.ports[port] = (0x101 | if is_hub { 1 << 10 } else { 0 }, 1);
            hub.hubs[port] = is_hub;
        });
    }

    pub(crate) fn unplug_behind(&self, slot: u16, port: usize) {
        self.behind(slot, port, |hub| hub.ports[port] = (0x100, 1));
    }

    /// The device at a port of the hub in `slot` signals resume.
    pub(crate) fn signal_behind(&self, slot: u16, port: usize) {
        self.behind(slot, port, |hub| {
            hub.ports[port].0 &= !4;
            hub.ports[port].1 |= 4;
        });
    }

    /// Something changes at a port of a hub, which says so.
    fn behind(&self, slot: u16, port: usize, change: impl FnOnce(&mut FakeHub)) {
        let state = &mut *self.0.borrow_mut();
        let hub = state.hubs.get_mut(&slot).expect("no such hub");
        change(hub);
        hub.report = Some(hub.report.unwrap_or(0) | 1 << port);
        let slot = SlotHandle::from_raw(Raw { index: slot, seq: 1, epoch: 0 });
        state.events.push_back(Below::IsochProgress { slot, dci: 3 });
    }

    /// A hub's answer to a request of its class.
    fn hub_request(&self, slot: u16, setup: Setup) -> Option<Vec<u8>> {
        let mut state = self.0.borrow_mut();
        let hub = state.hubs.get_mut(&slot)?;
        let port = usize::from(setup.index);
        Some(match (setup.request_type, setup.request, setup.value) {
            (0xA0, 6, _) => vec![9, 0x29, 4, 0x29, 0, 50, 100, 0, 0xFF],
            (0xA0, 0, _) => vec![0; 4],
            (0xA3, 0, _) => {
                let (status, change) = hub.ports[port];
                [status.to_le_bytes(), change.to_le_bytes()].concat()
            }
            (0x23, 3, 8) => {
                hub.ports[port].0 |= 0x100;
                vec![]
            }
            (0x23, 3, 4) if hub.ports[port].0 & 1 != 0 => {
                hub.ports[port].0 = hub.ports[port].0 & !4 | 2;
                hub.ports[port].1 |= 0x10;
                vec![]
            }
            (0x23, 3, 2) => {
                hub.ports[port].0 |= 4;
                vec![]
            }
            (0x23, 1, 2) if hub.ports[port].0 & 4 != 0 => {
                hub.ports[port].0 &= !4;
                hub.ports[port].1 |= 4;
                vec![]
            }
            (0x23, 1, change @ 16..) => {
                hub.ports[port].1 &= !(1 << (change - 16));
                vec![]
            }
            (0x23 | 0x20, ..) => vec![],
            _ => return None,
        })
    }

    /// Lets everything held back end.
    pub(crate) fn release(&self) {
        let mut state = self.0.borrow_mut();
        state.stuck.clear();
        let held = std::mem::take(&mut state.held);
        state.events.extend(held.into_iter().map(Below::TicketDone));
    }

    /// The log so far, which is then empty.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().log)
    }

    fn start(&self, line: String, completed: Completed, data: Vec<u8>) -> Answer<TicketHandle> {
        let state = &mut *self.0.borrow_mut();
        if state.dead {
            return Err(XhciError::ControllerDead);
        }
        let rule = |(prefix, error): &(&str, XhciError)| line.starts_with(prefix).then_some(*error);
        let (refusal, failure) =
            (state.refuse.iter().find_map(rule), state.fail.iter().find_map(rule));
        let stuck = state.stuck.iter().any(|prefix| line.starts_with(prefix));
        state.log.push(line);
        if let Some(error) = refusal {
            return Err(error);
        }
        state.issued += 1;
        let ticket = TicketHandle::from_raw(Raw { index: 0, seq: state.issued, epoch: 0 });
        state.tickets.push((ticket, failure.map_or(Ok(completed), Err), data));
        if stuck {
            state.held.push(ticket);
        } else {
            state.events.push_back(Below::TicketDone(ticket));
        }
        Ok(ticket)
    }

    fn end(&self, ticket: TicketHandle) -> Answer<(Completed, Vec<u8>)> {
        let mut state = self.0.borrow_mut();
        if state.held.contains(&ticket) {
            return Err(XhciError::NotYet);
        }
        let index =
            state.tickets.iter().position(|(t, ..)| *t == ticket).ok_or(XhciError::Stale)?;
        let (_, answer, data) = state.tickets.remove(index);
        answer.map(|completed| (completed, data))
    }

    fn descriptor(&self, slot: u16, setup: Setup) -> Vec<u8> {
        let state = self.0.borrow();
        if state.hubs.contains_key(&slot) {
            let bytes: &[u8] = if setup.value >> 8 == 1 { &HUB } else { &HUB_CONFIGURATION };
            let mut bytes = bytes[..bytes.len().min(setup.length.into())].to_vec();
            if setup.value >> 8 == 2 && state.mute_hubs {
                bytes[7] &= !(1 << 5);
            }
            return bytes;
        }
        let bytes = match setup.value >> 8 {
            1 => Some(&state.device),
            2 => state.configurations.get(usize::from(setup.value & 0xff)),
            _ => None,
        };
        let mut bytes = bytes.cloned().unwrap_or_default();
        if let Some(total) =
            state.other_length.filter(|_| setup.value >> 8 == 2 && setup.length > 9)
        {
            bytes[2..4].copy_from_slice(&total.to_le_bytes());
        }
        bytes[..bytes.len().min(setup.length.into())].to_vec()
    }
}

impl Controller for Fake {
    fn info(&self) -> Answer<ControllerInfo> {
        let state = self.0.borrow();
        let ports = state.ports.len() as u8;
        Ok(ControllerInfo { ports, slots: 8, interrupters: 4, version: 0x110, alive: !state.dead })
    }

    fn pull(&self) -> Answer<Below> {
        let state = &mut *self.0.borrow_mut();
        match state.deaf {
            Some(error) => Err(error),
            None => Ok(state.events.pop_front().unwrap_or(Below::None)),
        }
    }

    fn result(&self, ticket: TicketHandle) -> Answer<Completed> {
        self.end(ticket).map(|(completed, _)| completed)
    }

    fn take_data(&self, ticket: TicketHandle, into: &mut [u8]) -> Answer<u16> {
        let (_, data) = self.end(ticket)?;
        let len = data.len().min(into.len());
        into[..len].copy_from_slice(&data[..len]);
        Ok(len as u16)
    }

    fn cancel(&self, ticket: TicketHandle) -> Answer<()> {
        let mut state = self.0.borrow_mut();
        state.log.push("cancel".into());
        state.held.retain(|held| *held != ticket);
        state.tickets.retain(|(t, ..)| *t != ticket);
        Ok(())
    }

    fn port(&self, port: u8) -> Answer<PortStatus> {
        let state = self.0.borrow();
        let Port { connected, enabled, usb3, speed, changes, link_state } =
            state.ports[usize::from(port) - 1];
        Ok(PortStatus { connected, enabled, link_state, speed, usb3, changes })
    }

    fn acknowledge_port(&self, port: u8, changes: u8) -> Answer<()> {
        self.0.borrow_mut().ports[usize::from(port) - 1].changes &= !changes;
        Ok(())
    }

    fn start_port_reset(&self, port: u8) -> Answer<TicketHandle> {
        self.0.borrow_mut().ports[usize::from(port) - 1].enabled = true;
        self.start(format!("reset port {port}"), Completed::Done, vec![])
    }

    fn start_enable_slot(&self, port: u8, speed: Speed) -> Answer<TicketHandle> {
        let slot = {
            let mut state = self.0.borrow_mut();
            state.slots += 1;
            SlotHandle::from_raw(Raw { index: state.slots, seq: 1, epoch: 0 })
        };
        let number = slot.raw().index as u8;
        if self.0.borrow().hub_ports.contains(&port) {
            self.0.borrow_mut().hubs.insert(slot.raw().index, FakeHub::default());
        }
        let completed = Completed::Slot { slot, number };
        let line = format!("enable slot {port} {speed:?}");
        let fails = self.0.borrow().fail.iter().any(|(prefix, _)| line.starts_with(prefix));
        let ticket = self.start(line, completed, vec![])?;
        if !fails {
            self.0.borrow_mut().open_slots.push(slot);
        }
        Ok(ticket)
    }

    fn start_enable_slot_behind(
        &self,
        hub: SlotHandle,
        port: u8,
        speed: Speed,
    ) -> Answer<TicketHandle> {
        let above = hub.raw().index;
        let line = format!("enable slot behind {above} {port} {speed:?}");
        let fails = self.0.borrow().fail.iter().any(|(prefix, _)| line.starts_with(prefix));
        let slot = {
            let mut state = self.0.borrow_mut();
            state.slots += 1;
            let slot = SlotHandle::from_raw(Raw { index: state.slots, seq: 1, epoch: 0 });
            let found = state.hubs.get(&above).expect("behind no hub");
            if found.hubs[usize::from(port)] {
                state.hubs.insert(slot.raw().index, FakeHub::default());
            }
            slot
        };
        let completed = Completed::Slot { slot, number: slot.raw().index as u8 };
        let ticket = self.start(line, completed, vec![])?;
        if !fails {
            self.0.borrow_mut().open_slots.push(slot);
        }
        Ok(ticket)
    }

    fn start_configure_hub(&self, hub: SlotHandle, ports: u8, think: u8) -> Answer<TicketHandle> {
        self.start(format!("hub {} {ports} {think}", hub.raw().index), Completed::Done, vec![])
    }

    fn start_address(&self, _: SlotHandle, block: bool, size: u16) -> Answer<TicketHandle> {
        self.start(format!("address block={block} {size}"), Completed::Done, vec![])
    }

    fn start_evaluate(&self, _: SlotHandle, size: u16) -> Answer<TicketHandle> {
        self.start(format!("evaluate {size}"), Completed::Done, vec![])
    }

    fn start_control(&self, slot: SlotHandle, setup: Setup, out: &[u8]) -> Answer<TicketHandle> {
        let Setup { request_type, request, value, index, length } = setup;
        let line = format!("control {request_type:02x} {request} {value:04x} {index} {length}");
        let line = if out.is_empty() { line } else { format!("{line} {out:?}") };
        let of_hub = self.hub_request(slot.raw().index, setup);
        let data = match request_type {
            _ if of_hub.is_some() => of_hub.unwrap_or_default(),
            0x80 => self.descriptor(slot.raw().index, setup),
            _ if request_type & 0x80 != 0 => vec![0x5A; length.into()],
            _ => vec![],
        };
        self.start(line, Completed::Transferred(data.len() as u16), data)
    }

    fn start_configure(
        &self,
        _: SlotHandle,
        drop: u32,
        add: &[EndpointSpec],
    ) -> Answer<TicketHandle> {
        let add: Vec<_> = add.iter().map(|spec| (spec.dci, spec.max_packet)).collect();
        self.start(format!("configure drop={drop:#x} add={add:?}"), Completed::Done, vec![])
    }

    fn start_reset_device(&self, slot: SlotHandle) -> Answer<TicketHandle> {
        self.start(format!("reset device {}", slot.raw().index), Completed::Done, vec![])
    }

    fn start_disable_slot(&self, slot: SlotHandle) -> Answer<TicketHandle> {
        let ticket = self.start("disable slot".into(), Completed::Done, vec![])?;
        let state = &mut *self.0.borrow_mut();
        state.open_slots.retain(|open| *open != slot);
        state.closed.push(slot.raw().index);
        Ok(ticket)
    }

    fn start_suspend_device(&self, slot: SlotHandle) -> Answer<TicketHandle> {
        self.start(format!("suspend {}", slot.raw().index), Completed::Done, vec![])
    }

    fn start_resume_device(&self, slot: SlotHandle) -> Answer<TicketHandle> {
        let mut state = self.0.borrow_mut();
        for port in &mut state.ports {
            port.link_state = 0;
        }
        drop(state);
        self.start(format!("resume {}", slot.raw().index), Completed::Done, vec![])
    }

    fn write_isoch(&self, _: SlotHandle, dci: u8, lengths: &[u8], data: &[u8]) -> Answer<u8> {
        self.0.borrow_mut().log.push(format!("write {dci} {lengths:?} {data:?}"));
        Ok((lengths.len() / 2) as u8)
    }

    fn read_isoch(&self, slot: SlotHandle, dci: u8, data: &mut [u8]) -> Answer<u16> {
        let state = &mut *self.0.borrow_mut();
        if let Some(hub) = state.hubs.get_mut(&slot.raw().index) {
            if state.deaf_pipe {
                return Ok(0);
            }
            data[0] = hub.report.take().ok_or(XhciError::NotYet)?;
            return Ok(1);
        }
        data[0] = dci;
        Ok(1)
    }

    fn isoch_status(&self, _: SlotHandle, dci: u8) -> Answer<IsochStatus> {
        Ok(IsochStatus { queued: dci, room: 1, completed: 2, errors: 3, underruns: 4 })
    }
}

/// The core over fakes, its clock, and a client.
pub(crate) struct Bench<const N: usize = 1> {
    /// The driver of the first controller.
    pub(crate) fake: Fake,
    pub(crate) fakes: [Fake; N],
    pub(crate) core: Core<Fake, N>,
    pub(crate) now: u64,
}

pub(crate) const CLIENT: TaskId = TaskId::new(5, Generation(0));
pub(crate) const OTHER: TaskId = TaskId::new(6, Generation(0));
pub(crate) const POWER: TaskId = TaskId::new(8, Generation(0));

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_autosuspend(None)
    }

    /// With devices that go down after so many milliseconds.
    pub(crate) fn with_autosuspend(autosuspend_ms: Option<u64>) -> Self {
        Self::over([Fake::new()], autosuspend_ms)
    }

    /// With the device configured at port 1, and known to [`CLIENT`].
    pub(crate) fn attached() -> (Self, DeviceHandle) {
        let mut bench = Self::new();
        bench.fake.plug(1);
        bench.settle();
        let Event::Attached(device) = bench.core.pull(CLIENT) else { panic!("no device") };
        bench.fake.log();
        (bench, device)
    }

    /// [`Bench::attached`], interface 1 claimed by [`CLIENT`].
    pub(crate) fn claimed() -> (Self, DeviceHandle) {
        let (mut bench, device) = Self::attached();
        bench.core.claim(CLIENT, device, 1).expect("nobody has it");
        (bench, device)
    }
}

impl<const N: usize> Bench<N> {
    /// Over these controllers.
    pub(crate) fn over(fakes: [Fake; N], autosuspend_ms: Option<u64>) -> Self {
        let hubs = Limits { hubs: 3, ports: 4, depth: 2 };
        let settings = Settings { power: Some(8), autosuspend_ms, hubs };
        let mut core = Core::new(fakes.clone(), Epoch(3), settings);
        for controller in Controllers::<Fake, N>::numbers() {
            core.begin(controller, 0);
        }
        Self { fake: fakes[0].clone(), fakes, core, now: 0 }
    }

    /// Lets events come and time pass until nothing is due any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            self.core.pull_all(self.now);
            if self.fakes.iter().any(|fake| !fake.0.borrow().events.is_empty()) {
                continue;
            }
            let Some(deadline) = self.core.deadline() else { return };
            self.now = self.now.max(deadline);
            self.core.tick(self.now);
        }
        panic!("it never comes to rest");
    }

    /// Switches interface 1 of `device` and says how that ended.
    pub(crate) fn switch(
        &mut self,
        device: DeviceHandle,
        alternate: u8,
    ) -> Result<(), UsbCoreError> {
        let setting = (1, alternate);
        let ticket = self.core.start_set_interface(CLIENT, device, setting, self.now)?;
        self.settle();
        assert_eq!(self.core.pull(CLIENT), Event::TicketDone(ticket));
        self.core.result(CLIENT, ticket).and_then(|ended| ended.result)
    }
}
