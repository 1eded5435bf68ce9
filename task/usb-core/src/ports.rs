//! Ports: what is connected, what is on its way, what is being given up.

use usb_core_api::DeviceHandle;
use xhci_api::{
    CHANGE_CONNECT, Completed, LINK_RESUME, PortStatus, SlotHandle, TicketHandle as Below,
    XhciError,
};

use crate::controller::{Controller, is_crowded, is_lost};
use crate::controllers::{ControllerNumber, Controllers, Ports, place};
use crate::core::{CROWDED_MS, Core, SELF, Trace, trace};
use crate::device::{Device, PortNumber, Slot, StoreIndex};
use crate::enumerate::{ATTEMPTS, Answer, Enumeration, Failure, Next, Request};
use crate::hub::Want;
use crate::{HUBS, MAX_DEVICES};

/// PORTSC.PEC among a port's `changes`: the port was disabled by an error.
const CHANGE_ENABLE: u8 = 1 << 1;

/// Slots that are being given up. Each device may be gone while its
/// predecessor's slot is not yet disabled.
pub(crate) const MAX_CLOSING: usize = 2 * MAX_DEVICES;

/// What goes on at a port.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Port {
    /// Nothing is connected.
    Empty,
    /// A device is on its way.
    Enumerating(Attempt),
    /// A device is configured.
    Attached(DeviceHandle),
    /// What is connected cannot be used; it is left alone until it is pulled.
    GivenUp,
}

impl Port {
    pub(crate) fn deadline(&self) -> Option<u64> {
        match self {
            Self::Enumerating(attempt) => match attempt.wait {
                Wait::Until(at) | Wait::Again(_, at) => Some(at),
                Wait::Ticket(..) | Wait::Hub(_) => None,
            },
            _ => None,
        }
    }
}

/// One try at a device.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Attempt {
    enumeration: Enumeration,
    wait: Wait,
    number: u8,
    pub(crate) store: Option<StoreIndex>,
    /// The device that this is a reset of.
    pub(crate) of: Option<DeviceHandle>,
}

/// What an attempt waits for.
#[derive(Copy, Clone, Debug)]
enum Wait {
    Until(u64),
    Ticket(Below, Request),
    /// The driver was too busy for the request: ask again then.
    Again(Request, u64),
    /// What is wanted of the hub that the port is a port of.
    Hub(Want),
}

/// A slot that is being given up.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Closing {
    /// The device went while its slot was being enabled.
    Enabling(Below),
    /// To be disabled.
    Owed(SlotHandle),
    /// Being disabled.
    Disabling(Below),
}

impl<C: Controller, const N: usize> Core<C, N> {
    /// Looks at every port.
    pub(crate) fn scan_all(&mut self, now: u64) {
        for controller in Controllers::<C, N>::numbers() {
            self.scan(controller, now);
        }
    }

    /// Looks at every port of a controller.
    pub(crate) fn scan(&mut self, controller: ControllerNumber, now: u64) {
        let Ok(info) = self.controllers.get(controller).info() else { return };
        if info.alive {
            if HUBS {
                self.look_behind(controller, None);
            }
            for root in 1..=info.ports {
                let Some(port) = PortNumber::new(controller, root) else { return };
                self.look_at(port, now);
            }
        }
    }

    /// Looks at a port that may have changed.
    pub(crate) fn look_at(&mut self, port: PortNumber, now: u64) {
        // A hub's port is seen when the hub has answered.
        if HUBS && self.want(port, Want::Look) {
            return;
        }
        let root = port.root();
        let driver = self.controllers.of(port);
        let Ok(status) = driver.port(root) else { return };
        if status.changes != 0 && driver.acknowledge_port(root, status.changes).is_err() {
            return;
        }
        self.seen(port, status, now);
    }

    /// A port looks like this; its changes were acknowledged.
    pub(crate) fn seen(&mut self, port: PortNumber, status: PortStatus, now: u64) {
        let index = port.index();
        // A disabled port may be the reset that was asked for; a connection
        // that changed is another device even when it looks the same.
        let enabled = matches!(self.ports[index], Port::Attached(_)) && !status.enabled;
        let broken = status.changes & CHANGE_ENABLE != 0 && enabled;
        if status.changes & CHANGE_CONNECT != 0 || !status.connected || broken {
            self.clear_port(index, now);
        }
        if matches!(self.ports[index], Port::Attached(_)) && status.link_state == LINK_RESUME {
            self.signalled(port);
        }
        // What comes while the system is suspended is looked at when it is awake.
        let empty = matches!(self.ports[index], Port::Empty);
        if status.connected && empty && self.sleep.is_awake() {
            trace(Trace::Connected(port));
            self.attempt(index, 1, now);
        }
    }

    /// Ends whatever goes on at a port.
    pub(crate) fn clear_port(&mut self, index: usize, now: u64) {
        if HUBS && let Port::Attached(device) = self.ports[index] {
            self.clear_below(device, now);
        }
        self.clear_one(index, now);
    }

    /// The same, with nothing behind it.
    pub(crate) fn clear_one(&mut self, index: usize, now: u64) {
        if HUBS {
            self.forget_wants(PortNumber::at(index));
        }
        match core::mem::replace(&mut self.ports[index], Port::Empty) {
            Port::Attached(device) => {
                if let Some(device) = self.withdraw(device) {
                    self.close_slot(device.port, device.slot.handle, now);
                }
            }
            Port::Enumerating(attempt) => self.abandon(index, &attempt, now),
            Port::Empty | Port::GivenUp => {}
        }
    }

    /// Gives back what an attempt at a port has.
    fn abandon(&mut self, index: usize, attempt: &Attempt, now: u64) {
        let port = PortNumber::at(index);
        self.free_store(attempt.store);
        if let Some(device) = attempt.of {
            self.withdraw(device);
        }
        match attempt.wait {
            Wait::Ticket(ticket, Request::EnableSlot(_)) => {
                self.push_closing(port, Closing::Enabling(ticket));
            }
            Wait::Ticket(ticket, _) => {
                // Gone already is what it should be.
                let _ = self.controllers.of(port).cancel(ticket);
            }
            Wait::Until(_) | Wait::Again(..) | Wait::Hub(_) => {}
        }
        if let Some(slot) = attempt.enumeration.slot() {
            self.close_slot(port, slot.handle, now);
        }
    }

    pub(crate) fn attempt(&mut self, index: usize, number: u8, now: u64) {
        let (enumeration, next) = Enumeration::new();
        let wait = Wait::Until(now);
        let attempt = Attempt { enumeration, wait, number, store: None, of: None };
        self.ports[index] = Port::Enumerating(attempt);
        self.follow(index, next, now);
    }

    /// The device at a port goes all the way again, from the port's reset on, and
    /// its configuration into `store`.
    pub(crate) fn attempt_again(
        &mut self,
        (index, device): (usize, DeviceHandle),
        slot: Slot,
        store: StoreIndex,
        now: u64,
    ) {
        let Ok((_, known)) = self.devices.find(device) else { return };
        let (enumeration, request) = Enumeration::again(slot, &known.descriptor, known.speed);
        let (wait, store, of) = (Wait::Until(now), Some(store), Some(device));
        self.ports[index] = Port::Enumerating(Attempt { enumeration, wait, number: 1, store, of });
        self.request(index, request, now);
    }

    /// Does what is due at the ports.
    pub(crate) fn tick_ports(&mut self, now: u64) {
        for index in 0..Ports::<N>::len() {
            if self.ports[index].deadline().is_none_or(|at| at > now) {
                continue;
            }
            let Port::Enumerating(Attempt { wait, .. }) = self.ports[index] else { continue };
            match wait {
                Wait::Until(_) => {
                    let port = PortNumber::at(index);
                    if HUBS && self.want(port, Want::Look) {
                        self.wait(index, Wait::Hub(Want::Look));
                        continue;
                    }
                    let answer = match self.controllers.of(port).port(port.root()) {
                        Ok(status) => Answer::TimeUp(status),
                        Err(error) => Answer::Refused(error),
                    };
                    self.answered(index, answer, now);
                }
                Wait::Again(request, _) => self.request(index, request, now),
                Wait::Ticket(..) | Wait::Hub(_) => {}
            }
        }
    }

    /// Takes the driver's answer when `ticket` belongs to an enumeration.
    pub(crate) fn enumeration_answered(
        &mut self,
        controller: ControllerNumber,
        ticket: Below,
        now: u64,
    ) -> bool {
        let is_its = |index| Controllers::<C, N>::has(controller, PortNumber::at(index));
        let found = self.ports.iter().enumerate().find_map(|(index, port)| match port {
            Port::Enumerating(Attempt { wait: Wait::Ticket(t, request), store, .. })
                if *t == ticket && is_its(index) =>
            {
                Some((index, *request, *store))
            }
            _ => None,
        });
        let Some((index, request, store)) = found else { return false };
        let driver = self.controllers.get(controller);
        let answer = match (request, store) {
            (Request::Control(setup), Some(StoreIndex(place))) if setup.length > 0 => {
                driver.take_data(ticket, &mut self.stores[usize::from(place)]).map(Answer::Data)
            }
            _ => driver.result(ticket).map(|completed| match completed {
                Completed::Done => Answer::Done,
                Completed::Slot { slot, number } => Answer::Slot(Slot { handle: slot, number }),
                Completed::Transferred(len) => Answer::Data(len),
            }),
        };
        match answer {
            // The controller has done its part of it: the hub resets the port.
            Ok(_)
                if HUBS
                    && request == Request::ResetDevice
                    && self.want(PortNumber::at(index), Want::Reset) =>
            {
                self.wait(index, Wait::Hub(Want::Reset));
            }
            Ok(answer) => self.answered(index, answer, now),
            Err(XhciError::NotYet) => {}
            Err(error) => self.answered(index, Answer::Refused(error), now),
        }
        true
    }

    /// A hub has done what was wanted of a port; whatever waits for that goes on.
    pub(crate) fn port_answered(&mut self, index: usize, want: Want, status: PortStatus, now: u64) {
        let Port::Enumerating(Attempt { wait: Wait::Hub(awaited), .. }) = self.ports[index] else {
            return;
        };
        if awaited == want {
            let looked = want == Want::Look;
            let answer = if looked { Answer::TimeUp(status) } else { Answer::Done };
            self.answered(index, answer, now);
        }
    }

    fn answered(&mut self, index: usize, answer: Answer, now: u64) {
        let Port::Enumerating(attempt) = &mut self.ports[index] else { return };
        let store: &[u8] = match attempt.store {
            Some(StoreIndex(place)) => &self.stores[usize::from(place)],
            None => &[],
        };
        // What was waited for has come: nothing of it is left to give up.
        attempt.wait = Wait::Until(now);
        let next = attempt.enumeration.advance(answer, store);
        trace(Trace::Step(PortNumber::at(index), attempt.enumeration.step()));
        self.follow(index, next, now);
    }

    fn follow(&mut self, index: usize, next: Next, now: u64) {
        match next {
            // `now` is cut to whole milliseconds, and a wait that the bus is owed
            // may not be shorter for it.
            Next::Wait(pause) => {
                pause.note();
                self.wait(index, Wait::Until(now + pause.ms() + 1));
            }
            Next::Ask(request) => self.request(index, request, now),
            Next::Ready => self.announce(index),
            Next::Failed(failure) => self.failed(index, failure, now),
        }
    }

    fn wait(&mut self, index: usize, wait: Wait) {
        if let Port::Enumerating(attempt) = &mut self.ports[index] {
            attempt.wait = wait;
        }
    }

    /// Asks the driver for the next step of the device at a port.
    fn request(&mut self, index: usize, request: Request, now: u64) {
        let Port::Enumerating(Attempt { enumeration, store, .. }) = self.ports[index] else {
            return;
        };
        let port = PortNumber::at(index);
        let answer = match (request, enumeration.slot()) {
            (Request::ResetPort, _) if HUBS && self.want(port, Want::Reset) => {
                return self.wait(index, Wait::Hub(Want::Reset));
            }
            (Request::ResetPort, _) => self.controllers.of(port).start_port_reset(port.root()),
            (Request::EnableSlot(speed), _) => {
                let Some(store) = store.or_else(|| self.take_store()) else {
                    return self.failed(index, Failure::TooManyDevices, now);
                };
                if let Port::Enumerating(attempt) = &mut self.ports[index] {
                    attempt.store = Some(store);
                }
                // One place for each slot that may have to be given up.
                let closing = &self.closing[place::<N>(port.controller())];
                if closing.iter().flatten().count() > MAX_CLOSING - MAX_DEVICES {
                    Err(XhciError::Busy)
                } else {
                    self.start_slot(port, speed)
                }
            }
            (_, None) => return self.failed(index, Failure::Confused(enumeration.step()), now),
            (Request::ResetDevice, Some(Slot { handle, .. })) => {
                self.controllers.of(port).start_reset_device(handle)
            }
            (Request::Address { block, max_packet0 }, Some(Slot { handle, .. })) => {
                self.controllers.of(port).start_address(handle, block, max_packet0)
            }
            (Request::Evaluate { max_packet0 }, Some(Slot { handle, .. })) => {
                self.controllers.of(port).start_evaluate(handle, max_packet0)
            }
            (Request::Control(setup), Some(Slot { handle, .. })) => {
                self.controllers.of(port).start_control(handle, setup, &[])
            }
            (Request::Configure, Some(Slot { handle, .. })) => {
                self.controllers.of(port).start_configure(handle, 0, enumeration.initial())
            }
        };
        match answer {
            Ok(ticket) => self.wait(index, Wait::Ticket(ticket, request)),
            Err(error) if is_crowded(error) => {
                self.wait(index, Wait::Again(request, now + CROWDED_MS));
            }
            Err(error) => self.answered(index, Answer::Refused(error), now),
        }
    }

    /// The device at a port is configured: it enters the tree.
    fn announce(&mut self, index: usize) {
        let Port::Enumerating(Attempt { enumeration, number, store, of, .. }) = self.ports[index]
        else {
            return;
        };
        let (Some(slot), Some(store)) = (enumeration.slot(), store) else { return };
        let port = PortNumber::at(index);
        let length = usize::from(enumeration.length());
        let bytes = &self.stores[usize::from(store.0)][..length];
        let device = Device::new(
            (port, slot, store),
            enumeration.speed(),
            *enumeration.device(),
            *enumeration.header(),
            bytes,
        );
        if let Some(old) = of {
            if self.renew(old, &device) {
                self.ports[index] = Port::Attached(old);
                return;
            }
            // It is not as it was. Its slot is the new device's.
            self.withdraw(old);
        }
        let bytes = &self.stores[usize::from(store.0)][..length];
        let issues = device.issues(bytes);
        if issues > 0 {
            trace(Trace::DescriptorIssues(port, issues));
        }
        // There are as many places as stores, and this device has a store.
        if let Ok(handle) = self.devices.put(SELF, device) {
            self.ports[index] = Port::Attached(handle);
            trace(Trace::Attached(port));
            self.clients.devices_changed();
            self.meet_hub(handle, number);
        }
    }

    fn failed(&mut self, index: usize, failure: Failure, now: u64) {
        let port = PortNumber::at(index);
        trace(Trace::EnumerationFailed(port, failure));
        let Port::Enumerating(attempt) = self.ports[index] else { return };
        self.ports[index] = Port::Empty;
        match failure {
            // Every slot is gone with the controller, and the port is looked
            // at again when it is back.
            Failure::Refused(_, error) if is_lost(error) => {
                self.free_store(attempt.store);
                if let Some(device) = attempt.of {
                    self.withdraw(device);
                }
            }
            Failure::NotThere => self.abandon(index, &attempt, now),
            _ => {
                self.abandon(index, &attempt, now);
                if attempt.number < ATTEMPTS && failure != Failure::TooManyDevices {
                    self.attempt(index, attempt.number + 1, now);
                } else {
                    trace(Trace::GivenUp(port));
                    self.failed_enumerations = self.failed_enumerations.wrapping_add(1);
                    self.ports[index] = Port::GivenUp;
                }
            }
        }
    }

    fn push_closing(&mut self, port: PortNumber, closing: Closing) {
        let places = &mut self.closing[place::<N>(port.controller())];
        // A slot is enabled only while there is a place for each that exists.
        if let Some(place) = places.iter_mut().find(|place| place.is_none()) {
            *place = Some(closing);
        }
    }

    fn close_slot(&mut self, port: PortNumber, slot: SlotHandle, now: u64) {
        self.push_closing(port, Closing::Owed(slot));
        self.close_slots(now);
    }

    /// Asks for what is owed.
    pub(crate) fn close_slots(&mut self, now: u64) {
        for index in 0..N * MAX_CLOSING {
            let (driver, place) = (&self.controllers.0[index / MAX_CLOSING], index % MAX_CLOSING);
            let closing = &mut self.closing[index / MAX_CLOSING][place];
            let Some(Closing::Owed(slot)) = *closing else { continue };
            *closing = match driver.start_disable_slot(slot) {
                Ok(ticket) => Some(Closing::Disabling(ticket)),
                Err(error) if is_crowded(error) => {
                    self.retry_later(now);
                    continue;
                }
                Err(error) => {
                    trace(Trace::SlotNotDisabled(error));
                    None
                }
            };
        }
    }

    /// Takes the driver's answer when `ticket` belongs to a slot that is being
    /// given up.
    pub(crate) fn slot_closed(
        &mut self,
        controller: ControllerNumber,
        ticket: Below,
        now: u64,
    ) -> bool {
        let is_it = |closing: &Option<Closing>| matches!(closing, Some(Closing::Enabling(t) | Closing::Disabling(t)) if *t == ticket);
        let places = &mut self.closing[place::<N>(controller)];
        let Some(found) = places.iter_mut().find(|closing| is_it(closing)) else { return false };
        let answer = self.controllers.get(controller).result(ticket);
        if answer == Err(XhciError::NotYet) {
            return true;
        }
        match (found.take(), answer) {
            (Some(Closing::Enabling(_)), Ok(Completed::Slot { slot, .. })) => {
                *found = Some(Closing::Owed(slot));
                self.close_slots(now);
            }
            (Some(Closing::Disabling(_)), Err(error)) => trace(Trace::SlotNotDisabled(error)),
            _ => {}
        }
        true
    }
}
