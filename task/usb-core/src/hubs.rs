//! The hubs of the tree, and the ports behind them.
//!
//! A hub's port is a port like any other: it has its place among those of its
//! controller, behind the root ports, and what goes on there is `ports`'s. What
//! differs is that its status does not stand in a register: it is wanted of the
//! hub, and comes later. What sleeps below a hub sleeps before it, and wakes after
//! it; a hub is as awake as the most wakeful device below it (U9).

use usb_core_api::{DeviceHandle, PowerState};
use usb_types::Speed;
use xhci_api::{PortStatus, SlotHandle, TicketHandle as Below, XhciError};

use crate::change::AtHub;
use crate::controller::{Answer, Controller};
use crate::controllers::{ControllerNumber, place};
use crate::core::{Core, SELF, Trace, trace};
use crate::device::{Device, PortNumber};
use crate::enumerate::ATTEMPTS;
use crate::hub::{Ask, Failure, Hub, Outcome, Wait, Want};
use crate::ports::Port;
use crate::{HUBS, MAX_HUB_PORTS, MAX_HUBS, ROOT_PORTS};

/// bDeviceClass of a hub (USB 2.0 11.23.1).
pub(crate) const CLASS: u8 = 9;
/// EP Type of an interrupt IN endpoint (xHCI 6.2.3).
const INTERRUPT_IN: u8 = 7;

/// The places of all hubs: whose, and which.
fn places<const N: usize>() -> impl Iterator<Item = (usize, usize)> {
    (0..N).flat_map(|of| (0..MAX_HUBS).map(move |place| (of, place)))
}

/// How many hubs the image serves; nothing of it, and a hub is left alone.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Hubs of a controller at a time.
    pub hubs: u8,
    /// Ports of each.
    pub ports: u8,
    /// Hubs one behind the other.
    pub depth: u8,
}

/// Why a hub is a device like any other, and nobody looks behind it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The image serves none.
    Unserved,
    /// It is of SuperSpeed: the part of it that speaks USB 2 has a port of its own.
    SuperSpeed,
    /// The image has no place for one more.
    TooMany,
    /// The image looks behind so many hubs only.
    TooDeep,
    /// It has no status pipe.
    NoPipe,
}

/// The hubs of each controller.
#[derive(Debug)]
pub(crate) struct Hubs<const N: usize>([[Option<Hub>; MAX_HUBS]; N]);

impl<const N: usize> Hubs<N> {
    pub(crate) const fn new() -> Self {
        Self([[None; MAX_HUBS]; N])
    }

    /// All there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Hub> {
        self.0.iter().flatten().flatten()
    }

    /// Those of a controller.
    fn of(&mut self, controller: ControllerNumber) -> &mut [Option<Hub>; MAX_HUBS] {
        &mut self.0[place::<N>(controller)]
    }

    /// A controller is gone.
    pub(crate) fn lose(&mut self, controller: ControllerNumber) {
        *self.of(controller) = [None; MAX_HUBS];
    }

    /// The hub that a port is a port of, and which one.
    fn above(&mut self, port: PortNumber) -> Option<(&mut Hub, u8)> {
        let (hub, number) = port.at_hub()?;
        Some((self.of(port.controller())[hub].as_mut()?, number))
    }

    /// The hub that a device is.
    fn find(&self, device: DeviceHandle) -> Option<&Hub> {
        self.iter().find(|hub| hub.device == device)
    }

    /// The ports of the hub that a device is.
    fn ports_of(&self, device: DeviceHandle) -> impl Iterator<Item = PortNumber> + use<N> {
        let places = if self.find(device).is_some() { MAX_HUB_PORTS as u8 } else { 0 };
        let first = self.find(device).map_or(0, |hub| hub.first.0);
        (first..first + places).map(PortNumber)
    }
}

impl PortNumber {
    /// Port `number` of a controller's hub.
    fn behind(controller: ControllerNumber, hub: usize, number: u8) -> Self {
        let place = ROOT_PORTS + hub * MAX_HUB_PORTS + usize::from(number);
        Self(controller.0 * crate::MAX_PORTS as u8 + place as u8)
    }

    /// Which hub it is a port of, and its number there; `None` of a root port.
    fn at_hub(self) -> Option<(usize, u8)> {
        if !HUBS {
            return None;
        }
        let place = usize::from(self.root()).checked_sub(ROOT_PORTS + 1)?;
        Some((place / MAX_HUB_PORTS, (place % MAX_HUB_PORTS) as u8 + 1))
    }

    /// Whether it is a hub's.
    pub(crate) fn is_behind(self) -> bool {
        HUBS && usize::from(self.root()) > ROOT_PORTS
    }
}

impl<C: Controller, const N: usize> Core<C, N> {
    /// A device entered the tree, at attempt `number` in a row: if it is a hub, it is
    /// served if it can be.
    pub(crate) fn meet_hub(&mut self, handle: DeviceHandle, number: u8) {
        let Ok((_, device)) = self.devices.find_mut(handle) else { return };
        if device.descriptor.class != CLASS {
            return;
        }
        let (port, slot, speed) = (device.port, device.slot.handle, device.speed);
        if !HUBS || self.settings.hubs.hubs == 0 {
            return trace(Trace::HubLeft(port, Left::Unserved));
        }
        let mut pipe = None;
        for interface in device.interfaces() {
            let mut specs = interface.standing.specs.iter();
            pipe = pipe.or_else(|| Some(specs.find(|spec| spec.kind == INTERRUPT_IN)?.dci));
        }
        match self.serve_hub((handle, number), (port, slot), speed, pipe) {
            // Nobody else is to tell it anything.
            Ok(()) => {
                for interface in self.device(handle).into_iter().flat_map(Device::interfaces) {
                    interface.owner = Some(SELF);
                }
            }
            Err(left) => trace(Trace::HubLeft(port, left)),
        }
    }

    fn serve_hub(
        &mut self,
        (handle, number): (DeviceHandle, u8),
        (port, slot): (PortNumber, SlotHandle),
        speed: Speed,
        pipe: Option<u8>,
    ) -> Result<(), Left> {
        let limits = self.settings.hubs;
        if speed >= Speed::Super {
            return Err(Left::SuperSpeed);
        }
        let pipe = pipe.ok_or(Left::NoPipe)?;
        let depth = self.hubs.above(port).map_or(0, |(hub, _)| hub.depth) + 1;
        if depth > limits.depth {
            return Err(Left::TooDeep);
        }
        let places = self.hubs.of(port.controller());
        let mut served = places.iter().take(limits.hubs.into());
        let index = served.position(Option::is_none);
        let index = index.filter(|_| !scarce::spent(scarce::Scarce::Place)).ok_or(Left::TooMany)?;
        let first = PortNumber::behind(port.controller(), index, 1);
        let of = (handle, slot, pipe, number);
        places[index] = Some(Hub::new(of, speed, (depth, first), limits.ports));
        Ok(())
    }

    /// Asks each hub for what is wanted of it, if it is its turn; whether any was.
    pub(crate) fn step_hubs(&mut self, now: u64) -> bool {
        let mut went = false;
        for (of, place) in places::<N>() {
            let Some(hub) = &mut self.hubs.0[of][place] else { continue };
            let Ok((_, device)) = self.devices.find(hub.device) else { continue };
            if !device.takes_requests() {
                continue;
            }
            let Some(ask) = hub.next(now) else { continue };
            let driver = &self.controllers.0[of];
            let asked = match ask {
                Ask::Control(setup) => driver.start_control(hub.slot, setup, &[]),
                Ask::Tell { ports, think_time } => {
                    driver.start_configure_hub(hub.slot, ports, think_time)
                }
            };
            went = true;
            match asked {
                Ok(ticket) => hub.wait = Wait::Ticket(ticket),
                Err(error) => {
                    let outcome = hub.answered(Err(error), now);
                    let device = hub.device;
                    self.hub_went(device, outcome, now);
                }
            }
        }
        went
    }

    /// Takes the driver's answer when `ticket` belongs to a hub.
    pub(crate) fn hub_answered(
        &mut self,
        controller: ControllerNumber,
        ticket: Below,
        now: u64,
    ) -> bool {
        let is_it = |hub: &&mut Hub| hub.wait == Wait::Ticket(ticket);
        let Some(hub) = self.hubs.of(controller).iter_mut().flatten().find(is_it) else {
            return false;
        };
        let mut data = [0; 16];
        let answer = match self.controllers.get(controller).take_data(ticket, &mut data) {
            Err(XhciError::NotYet) => return true,
            // Telling the controller of it brings no data.
            Err(XhciError::DataLength) => Ok(&data[..0]),
            answer => answer.map(|len| &data[..usize::from(len).min(data.len())]),
        };
        let (device, outcome) = (hub.device, hub.answered(answer, now));
        self.hub_went(device, outcome, now);
        true
    }

    fn hub_went(&mut self, device: DeviceHandle, outcome: Outcome, now: u64) {
        match outcome {
            Outcome::OnTheWay => {}
            Outcome::Ready(left) => {
                if left != 0
                    && let Ok((_, hub)) = self.devices.find(device)
                {
                    trace(Trace::HubPortsLeft(hub.port, left));
                }
                // The first time it has nothing to say, and is listened to from now on.
                let _ = self.read_pipe(device, &mut [0; 2]);
            }
            Outcome::Done(number, want, status) => {
                let port = self.hubs.ports_of(device).nth(usize::from(number).wrapping_sub(1));
                if let Some(port) = port {
                    self.hub_port_done(port, want, status, now);
                }
            }
            Outcome::Failed(why) => self.lose_hub(device, why, now),
        }
    }

    /// What was wanted of a hub's port has been seen to.
    fn hub_port_done(&mut self, port: PortNumber, want: Want, status: PortStatus, now: u64) {
        // Whoever went down is down before it can signal.
        if let Port::Attached(device) = self.ports[port.index()]
            && matches!(want, Want::Suspend | Want::Resume)
        {
            self.hub_has_changed(device, now);
        }
        self.seen(port, status, now);
        self.port_answered(port.index(), want, status, now);
    }

    fn read_pipe(&self, device: DeviceHandle, into: &mut [u8]) -> Answer<u16> {
        let hub = self.hubs.find(device).ok_or(XhciError::NoEndpoint)?;
        let (_, device) = self.devices.find(device).map_err(|_| XhciError::DeviceGone)?;
        self.controllers.of(device.port).read_isoch(hub.slot, hub.pipe, into)
    }

    /// A hub's status pipe has something to say, if it is one.
    pub(crate) fn hub_reported(
        &mut self,
        controller: ControllerNumber,
        slot: SlotHandle,
        now: u64,
    ) -> bool {
        let is_it = |hub: &&mut Hub| hub.slot == slot;
        let found = self.hubs.of(controller).iter_mut().flatten().find(is_it);
        let Some(device) = found.map(|hub| hub.device) else { return false };
        let mut report = [0; 2];
        match self.read_pipe(device, &mut report) {
            Ok(0) => self.lose_hub(device, Failure::Pipe, now),
            Ok(_) => {
                let hub = self.hubs.of(controller).iter_mut().flatten().find(is_it);
                let (Some(hub), changed) = (hub, u16::from_le_bytes(report)) else { return true };
                // Bit 0 is the hub itself.
                for number in (0..=MAX_HUB_PORTS as u8).filter(|n| changed >> n & 1 != 0) {
                    hub.want(Want::Look, number);
                }
                hub.attempt = 0;
            }
            // It will say so again.
            Err(_) => {}
        }
        true
    }

    /// Something is wanted of a port, if it is a hub's.
    pub(crate) fn want(&mut self, port: PortNumber, want: Want) -> bool {
        if let Some((hub, number)) = self.hubs.above(port) {
            hub.want(want, number);
        }
        port.is_behind()
    }

    /// The ports of each hub of a controller, or of one hub, are to be looked at.
    pub(crate) fn look_behind(&mut self, controller: ControllerNumber, of: Option<DeviceHandle>) {
        for hub in self.hubs.of(controller).iter_mut().flatten() {
            if of.is_none_or(|device| device == hub.device) {
                hub.look_at_all();
            }
        }
    }

    /// Whatever was at a port is gone.
    pub(crate) fn forget_wants(&mut self, port: PortNumber) {
        if let Some((hub, number)) = self.hubs.above(port) {
            hub.forget(number);
        }
    }

    /// A slot for the device at a port.
    pub(crate) fn start_slot(&mut self, port: PortNumber, speed: Speed) -> Answer<Below> {
        let driver = self.controllers.of(port);
        match self.hubs.above(port) {
            Some((hub, number)) if HUBS => driver.start_enable_slot_behind(hub.slot, number, speed),
            _ => driver.start_enable_slot(port.root(), speed),
        }
    }

    /// A hub is of no use any more: what is behind it is as if it were pulled. It goes
    /// all the way again; if it fails each time nobody looks there before the hub itself
    /// was pulled.
    fn lose_hub(&mut self, device: DeviceHandle, why: Failure, now: u64) {
        let (Some(hub), Ok((_, found))) = (self.hubs.find(device), self.devices.find(device))
        else {
            return;
        };
        let (port, attempt) = (found.port, hub.attempt);
        trace(Trace::HubFailed(port, why));
        if attempt >= ATTEMPTS {
            return self.clear_below(device, now);
        }
        self.clear_port(port.index(), now);
        // While the system sleeps it waits, as what is plugged in does.
        if self.sleep.is_awake() {
            self.attempt(port.index(), attempt + 1, now);
        }
    }

    /// Takes everything behind a device out of the tree, what is furthest first.
    pub(crate) fn clear_below(&mut self, device: DeviceHandle, now: u64) {
        let Some(&Hub { depth, .. }) = self.hubs.find(device) else { return };
        for tier in (depth..=self.settings.hubs.depth).rev() {
            for (of, place) in places::<N>() {
                let Some(hub) = self.hubs.0[of][place] else { continue };
                if hub.depth != tier || !self.is_below(hub.device, device) {
                    continue;
                }
                for port in self.hubs.ports_of(hub.device) {
                    self.clear_one(port.index(), now);
                }
                if let Wait::Ticket(ticket) = hub.wait {
                    // Gone already is what it should be.
                    let _ = self.controllers.0[of].cancel(ticket);
                }
                self.hubs.0[of][place] = None;
            }
        }
    }

    /// Whether `device` is `hub`, or behind it.
    fn is_below(&mut self, mut device: DeviceHandle, hub: DeviceHandle) -> bool {
        while device != hub {
            let Ok((_, found)) = self.devices.find(device) else { return false };
            let Some((above, _)) = self.hubs.above(found.port) else { return false };
            device = above.device;
        }
        true
    }

    /// The devices at the ports of the hub that `device` is.
    fn children(&self, device: DeviceHandle) -> impl Iterator<Item = &Device> {
        self.hubs.ports_of(device).filter_map(|port| match self.ports[port.index()] {
            Port::Attached(child) => Some(self.devices.find(child).ok()?.1),
            _ => None,
        })
    }

    /// Whether a device is a hub that cannot go to sleep yet: it has something to
    /// do, or somebody below it is awake.
    pub(crate) fn keeps_up(&self, device: DeviceHandle) -> bool {
        self.hubs.find(device).is_some_and(Hub::is_busy) || self.is_wanted_below(device)
    }

    /// Whether a device is a hub with somebody below it who is awake, or arrives.
    pub(crate) fn is_wanted_below(&self, device: DeviceHandle) -> bool {
        let arrives = |port: PortNumber| matches!(self.ports[port.index()], Port::Enumerating(_));
        let awake = |child: &Device| child.power.state() != PowerState::Suspended;
        self.hubs.ports_of(device).any(arrives) || self.children(device).any(awake)
    }

    /// Whether a device is a hub that could not tell of what happens at its ports
    /// while it sleeps: it does not do so by itself.
    pub(crate) fn would_be_deaf(&self, device: DeviceHandle) -> bool {
        let can_wake = self.devices.find(device).is_ok_and(|(_, found)| found.can_wake());
        self.hubs.find(device).is_some() && !can_wake
    }

    /// U9: a hub is held while somebody below it is, or stays up because somebody
    /// was.
    pub(crate) fn carry(&mut self) {
        for hub in self.handles().into_iter().flatten() {
            let mut carries = false;
            for below in self.handles().into_iter().flatten().filter(|&below| below != hub) {
                let is_up = self.devices.find(below).is_ok_and(|(_, found)| found.power.holds_up());
                carries |= is_up && self.is_below(below, hub);
            }
            if let Ok((_, device)) = self.devices.find_mut(hub) {
                device.power.carry(carries);
            }
        }
    }

    /// The port of a device that goes down was suspended by its hub, or that of one
    /// that comes up resumed.
    fn hub_has_changed(&mut self, handle: DeviceHandle, now: u64) {
        let Ok((_, device)) = self.devices.find_mut(handle) else { return };
        if device.change.at_hub != AtHub::Asked {
            return;
        }
        device.change.at_hub = AtHub::Done;
        if device.power.state() == PowerState::Suspending {
            self.change_ended(handle, Ok(()), now);
        }
    }

    /// A device comes up: its hub goes first, and resumes the port. Whether that was
    /// done already, or did go on; `None` if it waits.
    pub(crate) fn resume_at_hub(&mut self, handle: DeviceHandle) -> Option<bool> {
        let (_, device) = self.devices.find_mut(handle).ok()?;
        if !device.port.is_behind() || device.change.at_hub == AtHub::Done {
            return Some(true);
        }
        let port = device.port;
        let (&mut Hub { device: above, .. }, _) = self.hubs.above(port)?;
        let (_, hub) = self.devices.find_mut(above).ok()?;
        if hub.takes_requests() {
            self.want(port, Want::Resume);
            let (_, device) = self.devices.find_mut(handle).ok()?;
            device.change.at_hub = AtHub::Asked;
            return Some(false);
        }
        hub.power.begin_wake().then_some(false)
    }
}
