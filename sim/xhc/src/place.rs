//! Devices behind hubs: xHCI 1.2, 4.3.3, 4.6.6 and 6.2.2; USB 2.0, chapter 11.
//!
//! The controller reaches a device by root port and route string. It knows of a
//! hub what its slot context says; whether that is so is looked at here.

use crate::Xhc;
use crate::context::{EndpointState, SlotContext, SlotState};
use crate::ids::{Dci, Place, Route, SlotId};
use crate::port::Port;
use fabric::{Fabric, Time, Violation};
use usb_model::hub::Note;
use usb_model::{Hub, Speed, UsbDevice};

/// The device at `place`, when packets reach it.
pub(crate) fn reach(
    ports: &mut [Port],
    place: Place,
    now: Time,
) -> Option<&mut Box<dyn UsbDevice>> {
    let mut device = ports.get_mut(place.port.index()?)?.reachable()?;
    for port in place.route.ports() {
        device = device.hub_mut()?.reachable(now, port)?;
    }
    Some(device)
}

impl Xhc {
    /// Puts a device at `place`.
    ///
    /// # Panics
    /// When there is no such place, or when it is taken: scenarios know their
    /// board.
    pub fn plug_at(&mut self, fabric: &mut Fabric, place: Place, device: Box<dyn UsbDevice>) {
        let Some((hub, port)) = place.hub() else { return self.plug(fabric, place.port, device) };
        let found = self.hub_mut(hub).expect("no such hub");
        found.plug(fabric.now(), port, device);
        self.stir(fabric, hub);
    }

    /// Takes the device from `place`.
    pub fn unplug_at(&mut self, fabric: &mut Fabric, place: Place) -> Option<Box<dyn UsbDevice>> {
        let Some((hub, port)) = place.hub() else { return self.unplug(fabric, place.port) };
        let device = self.hub_mut(hub)?.unplug(fabric.now(), port)?;
        self.quiesce_at(place);
        self.stir(fabric, hub);
        Some(device)
    }

    /// Whether something can be plugged in at `place`: there is such a place, and
    /// nothing at it.
    #[must_use]
    pub fn has_room_at(&self, place: Place) -> bool {
        let is_there = match place.hub() {
            Some((hub, port)) => {
                let found = self.device_at(hub).and_then(UsbDevice::hub);
                found.is_some_and(|hub| port <= hub.ports())
            }
            None => place.port.index().is_some_and(|index| index < self.ports.len()),
        };
        is_there && self.device_at(place).is_none()
    }

    /// The device at `place`.
    #[must_use]
    pub fn device_at(&self, place: Place) -> Option<&dyn UsbDevice> {
        let device = self.device(place.port)?;
        place.route.ports().try_fold(device, |device, port| device.hub()?.device(port))
    }

    /// Whether the port at `place` is suspended, or on its way there or back.
    pub fn is_suspended_at(&mut self, now: Time, place: Place) -> bool {
        match place.hub() {
            Some((hub, port)) => self.hub_mut(hub).is_some_and(|hub| hub.is_suspended(now, port)),
            None => self.port_mut(place.port).is_some_and(|port| port.is_suspended()),
        }
    }

    /// The device at `place` signals resume; whether it may, and could.
    pub fn wake_up_at(&mut self, fabric: &mut Fabric, place: Place) -> bool {
        let Some((hub, port)) = place.hub() else { return self.wake_up(fabric, place.port) };
        let now = fabric.now();
        let signals = self.hub_mut(hub).is_some_and(|hub| hub.signal(now, port));
        if signals {
            self.stir(fabric, hub);
        }
        signals
    }

    /// A hub that sleeps passes on upwards that it has news (11.9).
    fn stir(&mut self, fabric: &mut Fabric, mut place: Place) {
        while self.hub_mut(place).is_some_and(|hub| hub.wants_out()) {
            let Some((above, port)) = place.hub() else {
                self.wake_up(fabric, place.port);
                return;
            };
            let now = fabric.now();
            if !self.hub_mut(above).is_some_and(|hub| hub.signal(now, port)) {
                return;
            }
            place = above;
        }
    }

    fn hub_mut(&mut self, place: Place) -> Option<&mut Hub> {
        let mut hub = self.port_mut(place.port)?.device.as_mut()?.hub_mut()?;
        for port in place.route.ports() {
            hub = hub.device_mut(port)?.hub_mut()?;
        }
        Some(hub)
    }

    /// How fast the device at `place` is, if its port is enabled.
    pub(crate) fn speed_of(&self, place: Place) -> Option<Speed> {
        match place.hub() {
            None => self.ports.get(place.port.index()?)?.speed(),
            Some((hub, port)) => self.device_at(hub)?.hub()?.speed_at(port),
        }
    }

    /// Whether `place` lost its device, or its way there, and software may not know
    /// yet.
    pub(crate) fn place_just_lost(&self, now: Time, place: Place) -> bool {
        let root = place.port.index().and_then(|index| self.ports.get(index));
        let mut at = Place::from(place.port);
        let mut lost = root.is_some_and(|port| port.just_lost(now));
        for port in place.route.ports() {
            let hub = self.device_at(at).and_then(UsbDevice::hub);
            lost |= hub.is_some_and(|hub| hub.just_lost(now, port));
            at.route = at.route.through(port);
        }
        lost
    }

    /// Whether a slot in use has its device at `place` already.
    pub(crate) fn place_is_taken(&self, place: Place) -> bool {
        self.slot_at(place).is_some()
    }

    fn slot_at(&self, place: Place) -> Option<SlotId> {
        let at = self
            .slots
            .iter()
            .position(|slot| slot.place() == Some(place) && slot.state > SlotState::Enabled);
        at.map(|index| SlotId(index as u8 + 1))
    }

    /// Whether a slot context to be addressed with names hubs that software told
    /// of, and the translator that serves the device (6.2.2): the nearest hub of
    /// high speed, for a device that is slower.
    pub(crate) fn leads_there(&self, context: SlotContext, speed: Speed) -> bool {
        let mut at = Place::from(context.port());
        let mut translator = 0;
        for port in Route(context.route()).ports() {
            let told = self.slot_at(at).and_then(|id| Some((id, self.slot(id)?)));
            let Some((id, slot)) = told.filter(|(_, slot)| slot.state > SlotState::Default) else {
                return false;
            };
            if !slot.context.is_hub() || port > slot.context.hub_ports() {
                return false;
            }
            if slot.context.speed() == Speed::High as u32 {
                translator = u32::from(id.0) | u32::from(port) << 8;
            }
            at.route = at.route.through(port);
        }
        let slow = matches!(speed, Speed::Full | Speed::Low);
        // A route that ends before its last port leads nowhere.
        at.route == Route(context.route())
            && context.translator() == if slow { translator } else { 0 }
            && context.0[0] & SlotContext::MULTI == 0
    }

    /// Whether what a slot context says of the device as a hub is so (4.6.6). Once
    /// told, it is told again each time.
    pub(crate) fn tells_hub(&self, id: SlotId, context: SlotContext) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        if !context.is_hub() {
            return !slot.context.is_hub() && context.hub_ports() == 0 && context.think_time() == 0;
        }
        let device = slot.place().and_then(|place| self.device_at(place));
        let Some(hub) = device.and_then(UsbDevice::hub) else {
            // It may be gone by now.
            return device.is_none();
        };
        let fast = hub.speed() == Speed::High;
        context.hub_ports() == hub.ports()
            && context.think_time() == if fast { u32::from(hub.think_time()) } else { 0 }
    }

    /// Nothing is sent any more to what is at `place` and behind it.
    fn quiesce_at(&mut self, place: Place) {
        let below = |at: Place| at.port == place.port && place.route.leads_to(at.route);
        for slot in &mut self.slots {
            if slot.place().is_some_and(below) {
                slot.quiesce_periodic();
            }
        }
    }

    /// The device at `place` was sent a request: what a hub did at its ports.
    pub(crate) fn follow_hub(&mut self, fabric: &mut Fabric, place: Place) {
        let Some(hub) = self.hub_mut(place) else { return };
        for note in hub.take_notes() {
            match note {
                Note::Closed(port) => {
                    let route = place.route.through(port);
                    self.quiesce_at(Place { route, ..place });
                }
                Note::Suspended(port) => {
                    let at = Place { route: place.route.through(port), ..place };
                    self.check_stopped(fabric, at);
                    self.quiesce_at(at);
                }
                Note::Hurried(wait, waited) => {
                    self.check_wait(fabric, place.port, wait, waited, Time(u64::MAX));
                }
            }
        }
    }

    /// A port was told to suspend: the endpoints of what is behind it were to be
    /// stopped before (4.15.1).
    fn check_stopped(&self, fabric: &mut Fabric, place: Place) {
        let controller = self.number;
        for (n, slot) in (1..).zip(&self.slots) {
            let running =
                |dci: Dci| slot.endpoint(dci).is_some_and(|e| e.state == EndpointState::Running);
            let below = |at: Place| at.port == place.port && place.route.leads_to(at.route);
            if slot.place().is_some_and(below)
                && let Some(dci) = (1..=Dci::LAST).find(|&dci| running(Dci(dci)))
            {
                fabric.violation(Violation::SuspendedWhileRunning { controller, slot: n, dci });
            }
        }
    }

    /// A doorbell was rung for a device behind hubs: each port on the way must be
    /// awake. Whether that is so.
    pub(crate) fn check_way(&mut self, fabric: &mut Fabric, id: SlotId, place: Place, target: u8) {
        let (controller, slot, now) = (self.number, id.0, fabric.now());
        let mut at = Place::from(place.port);
        for port in place.route.ports() {
            let asleep = self.hub_mut(at).is_some_and(|hub| hub.is_suspended(now, port));
            if asleep {
                let port = place.port.0;
                let violation = Violation::TransferToSuspended { controller, port, slot, target };
                return self.violation(fabric, violation);
            }
            at.route = at.route.through(port);
        }
        self.check_rested(fabric, place);
    }

    /// Something is sent to the device at `place`: each port on the way must have
    /// recovered.
    pub(crate) fn check_rested(&mut self, fabric: &mut Fabric, place: Place) {
        self.check_recovered(fabric, place.port);
        let now = fabric.now();
        let mut at = Place::from(place.port);
        for port in place.route.ports() {
            let rest = self.hub_mut(at).and_then(|hub| hub.recovers(now, port));
            if let Some((wait, waited)) = rest {
                self.check_wait(fabric, place.port, wait, waited, Time(u64::MAX));
            }
            at.route = at.route.through(port);
        }
    }
}
