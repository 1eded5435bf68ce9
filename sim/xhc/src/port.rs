//! Root hub ports: xHCI 1.2, 4.19 and 5.4.8; waits of USB 2.0, 7.1.7. Link
//! states are in `link`.

use crate::ids::{InterrupterId, RootPort};
use crate::link::Link;
use crate::{Wake, Xhc, flag, trb};
use fabric::{Fabric, Time, UsbWait, Violation};
use std::fmt;
use usb_model::{Speed, UsbDevice};

/// PORTSC (5.4.8).
pub(crate) mod bit {
    pub(super) const CONNECTED: u32 = 1;
    pub(super) const ENABLED: u32 = 1 << 1;
    pub(super) const RESET: u32 = 1 << 4;
    pub(super) const POWER: u32 = 1 << 9;
    pub(super) const LINK_WRITE: u32 = 1 << 16;
    pub(super) const CONNECT_CHANGE: u32 = 1 << 17;
    pub(super) const RESET_CHANGE: u32 = 1 << 21;
    pub(super) const WARM_RESET_CHANGE: u32 = 1 << 19;
    pub(crate) const LINK_CHANGE: u32 = 1 << 22;
    pub(super) const CHANGES: u32 = 0x7F << 17;
    pub(super) const WAKES: u32 = 7 << 25;
    pub(super) const WARM_RESET: u32 = 1 << 31;
    pub(super) const RESERVED: u32 = 1 << 2 | 3 << 28;
}

/// Stable connection before a reset (USB 2.0, 7.1.7.3, TATTDB).
const DEBOUNCE: Time = Time::ms(100);
/// Rest after a reset (7.1.7.5 TRSTRCY).
const RECOVERY: Time = Time::ms(10);

/// A command is no longer under way than that, from its doorbell on.
const UNDER_WAY: Time = Time::ms(1);

/// A port.
pub(crate) struct Port {
    pub(crate) device: Option<Box<dyn UsbDevice>>,
    power: bool,
    pub(crate) enabled: bool,
    pub(crate) link: Link,
    resetting: bool,
    warm: bool,
    changes: u32,
    wakes: u32,
    management: [u32; 3],
    connected_at: Time,
    /// When it lost a device that could be talked to, if it did since; once
    /// software has acknowledged that, when it did.
    lost_at: Option<Time>,
    /// Until then the device must be left alone, because of this.
    pub(crate) recovered_at: Time,
    pub(crate) recovering_from: UsbWait,
    pub(crate) suspended_at: Time,
    pub(crate) resuming_since: Time,
    /// Tells a reset or a link's change that is over from one begun anew.
    pub(crate) turn: u8,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("connected", &self.device.is_some())
            .field("enabled", &self.enabled)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl Port {
    pub(crate) fn new() -> Self {
        Self {
            device: None,
            power: true,
            enabled: false,
            link: Link::RxDetect,
            resetting: false,
            warm: false,
            changes: 0,
            wakes: 0,
            management: [0; 3],
            connected_at: Time::ZERO,
            lost_at: None,
            recovered_at: Time::ZERO,
            recovering_from: UsbWait::ResetRecovery,
            suspended_at: Time::ZERO,
            resuming_since: Time::ZERO,
            turn: 0,
        }
    }

    pub(crate) fn device(&self) -> Option<&dyn UsbDevice> {
        self.device.as_deref()
    }

    /// The device, when packets reach it.
    pub(crate) fn reachable(&mut self) -> Option<&mut Box<dyn UsbDevice>> {
        let open = self.enabled && self.power && self.link == Link::U0 && !self.resetting;
        self.device.as_mut().filter(|_| open)
    }

    pub(crate) fn speed(&self) -> Option<Speed> {
        self.device.as_ref().filter(|_| self.enabled).map(|device| device.speed())
    }

    /// Whether the port lost its device, and whatever the controller does about it
    /// now may have been asked for before software acknowledged that.
    pub(crate) fn just_lost(&self, now: Time) -> bool {
        let told = self.changes & bit::CONNECT_CHANGE == 0;
        self.lost_at.is_some_and(|at| !told || now.since(at) < UNDER_WAY)
    }

    fn value(&self, usb2: bool, deaf: bool) -> u32 {
        let connected = self.device.is_some() && self.power;
        let speed = match &self.device {
            Some(device) if self.power && (self.enabled || connected) => device.speed() as u32,
            _ => 0,
        };
        flag(connected, bit::CONNECTED)
            | flag(self.enabled, bit::ENABLED)
            | flag(self.resetting, bit::RESET)
            | self.link_state(usb2, deaf) << 5
            | flag(self.power, bit::POWER)
            | speed << 10
            | self.changes
            | self.wakes
    }
}

impl Xhc {
    /// Puts a device on `port`.
    ///
    /// # Panics
    /// When there is no such port, when it is taken, or when it is of the other
    /// protocol: scenarios know their board.
    pub fn plug(&mut self, fabric: &mut Fabric, port: RootPort, device: Box<dyn UsbDevice>) {
        let usb2 = device.speed() != Speed::Super;
        assert_eq!(self.p.is_usb2(port), usb2, "the port is of the other protocol");
        let state = self.port_mut(port).expect("no such port");
        assert!(state.device.is_none(), "the port is taken");
        state.device = Some(device);
        state.connected_at = fabric.now();
        let power = state.power;
        if power {
            state.link = Link::Polling;
            self.change(fabric, port, bit::CONNECT_CHANGE);
            if !usb2 {
                self.link_trained(fabric, port);
            }
        }
    }

    /// Takes the device off `port`. What was under way is dropped without a word
    /// on any ring; the port tells of it.
    pub fn unplug(&mut self, fabric: &mut Fabric, port: RootPort) -> Option<Box<dyn UsbDevice>> {
        let now = fabric.now();
        let state = self.port_mut(port)?;
        let mut device = state.device.take()?;
        device.detach(now);
        if state.enabled {
            state.lost_at = Some(now);
        }
        let power = state.power;
        self.disable_port(port);
        if power {
            self.change(fabric, port, bit::CONNECT_CHANGE);
        }
        Some(device)
    }

    /// The device on `port`.
    #[must_use]
    pub fn device(&self, port: RootPort) -> Option<&dyn UsbDevice> {
        self.ports.get(port.index()?)?.device()
    }

    pub(crate) fn port_mut(&mut self, port: RootPort) -> Option<&mut Port> {
        self.ports.get_mut(port.index()?)
    }

    fn disable_port(&mut self, port: RootPort) {
        let Some(state) = self.port_mut(port) else { return };
        state.enabled = false;
        state.resetting = false;
        state.turn = state.turn.wrapping_add(1);
        state.link = if state.device.is_some() { Link::Disabled } else { Link::RxDetect };
        self.quiesce_port(port);
    }

    /// Nothing is sent to the device on `port` any more.
    pub(crate) fn quiesce_port(&mut self, port: RootPort) {
        for slot in self.slots.iter_mut().filter(|slot| slot.port == Some(port)) {
            slot.quiesce_periodic();
        }
    }

    /// Sets change bits, and tells of them (4.19.2).
    pub(crate) fn change(&mut self, fabric: &mut Fabric, port: RootPort, bits: u32) {
        let merges = self.p.merges_port_changes;
        let Some(state) = self.port_mut(port) else { return };
        let news = if merges { state.changes == 0 } else { state.changes & bits != bits };
        state.changes |= bits;
        self.operational.note_port_change();
        if news && self.operational.running() {
            self.post(fabric, InterrupterId::PRIMARY, trb::port_status_change(port), false);
        }
    }

    /// The controller was reset: the port powers up, and sees what is there.
    pub(crate) fn reset_port(&mut self, fabric: &mut Fabric, port: RootPort) {
        let (now, usb2) = (fabric.now(), self.p.is_usb2(port));
        let Some(state) = self.port_mut(port) else { return };
        let device = state.device.take();
        let turn = state.turn.wrapping_add(1);
        *state = Port { device, turn, connected_at: now, ..Port::new() };
        if let Some(device) = &mut state.device {
            device.reset(now);
            state.link = Link::Polling;
            state.changes = bit::CONNECT_CHANGE;
            if !usb2 {
                self.link_trained(fabric, port);
            }
        }
    }

    /// A USB3 link trains by itself to U0 (4.19.1.2.3).
    fn link_trained(&mut self, fabric: &mut Fabric, port: RootPort) {
        let now = fabric.now();
        let Some(state) = self.port_mut(port) else { return };
        state.enabled = true;
        state.lost_at = None;
        state.link = Link::U0;
        if let Some(device) = &mut state.device {
            device.reset(now);
        }
    }

    pub(crate) fn announce_ports(&mut self, fabric: &mut Fabric) {
        if !self.p.announces_ports {
            return;
        }
        for n in 1..=self.p.ports() {
            let port = RootPort(n);
            if self.port_mut(port).is_some_and(|state| state.changes != 0) {
                self.post(fabric, InterrupterId::PRIMARY, trb::port_status_change(port), false);
            }
        }
    }

    pub(crate) fn port_read(&mut self, _fabric: &mut Fabric, relative: u32) -> u32 {
        let index = relative as usize / 16;
        let Some(state) = self.ports.get(index) else { return 0 };
        let usb2 = self.p.is_usb2(RootPort(index as u8 + 1));
        match relative % 16 {
            0 => state.value(usb2, self.p.ignores_resume),
            other => state.management[other as usize / 4 - 1],
        }
    }

    pub(crate) fn port_write(&mut self, fabric: &mut Fabric, relative: u32, value: u32) {
        let offset = u32::from(self.p.caplength) + 0x400 + relative;
        let index = relative as usize / 16;
        if index >= self.ports.len() {
            self.bad_access(fabric, offset);
            return;
        }
        if !relative.is_multiple_of(16) {
            self.ports[index].management[relative as usize % 16 / 4 - 1] = value;
            return;
        }
        let port = RootPort(index as u8 + 1);
        let usb2 = self.p.is_usb2(port);
        if value & bit::RESERVED != 0 || (usb2 && value & bit::WARM_RESET != 0) {
            self.reserved_bits(fabric, offset, value);
        }
        let state = &mut self.ports[index];
        if value & state.changes & bit::CONNECT_CHANGE != 0 && state.lost_at.is_some() {
            // What was asked for before is still under way.
            state.lost_at = Some(fabric.now());
        }
        state.changes &= !(value & bit::CHANGES);
        self.ports[index].wakes = value & bit::WAKES;
        if value & bit::ENABLED != 0 && self.ports[index].enabled {
            let (controller, port_number) = (self.number, port.0);
            self.violation(
                fabric,
                Violation::PortDisabledByAccident { controller, port: port_number },
            );
            self.disable_port(port);
            return;
        }
        if self.p.port_power {
            self.set_power(fabric, port, value & bit::POWER != 0);
        }
        let warm = !usb2 && value & bit::WARM_RESET != 0;
        if value & bit::RESET != 0 || warm {
            self.begin_port_reset(fabric, port, warm);
        } else if value & bit::LINK_WRITE != 0 {
            self.write_link(fabric, port, value >> 5 & 0xF);
        }
    }

    fn set_power(&mut self, fabric: &mut Fabric, port: RootPort, on: bool) {
        let now = fabric.now();
        let Some(state) = self.port_mut(port).filter(|state| state.power != on) else { return };
        state.power = on;
        state.connected_at = now;
        let connected = state.device.is_some();
        if on {
            state.link = if connected { Link::Polling } else { Link::RxDetect };
        } else {
            if let Some(device) = &mut state.device {
                device.detach(now);
            }
            self.disable_port(port);
        }
        if connected {
            self.change(fabric, port, bit::CONNECT_CHANGE);
        }
    }

    fn begin_port_reset(&mut self, fabric: &mut Fabric, port: RootPort, warm: bool) {
        let (now, span) = (fabric.now(), self.p.port_reset);
        let usb2 = self.p.is_usb2(port);
        let Some(state) = self.port_mut(port) else { return };
        if state.device.is_none() || !state.power || state.resetting {
            return;
        }
        let waited = now.since(state.connected_at);
        let fresh = !state.enabled && state.link == Link::Polling;
        state.resetting = true;
        state.warm = warm;
        state.enabled = false;
        state.turn = state.turn.wrapping_add(1);
        let turn = state.turn;
        if usb2 && fresh {
            self.check_wait(fabric, port, UsbWait::Debounce, waited, DEBOUNCE);
        }
        self.quiesce_port(port);
        if span == Time::ZERO {
            self.port_reset_done(fabric, port, turn);
        } else {
            self.after(fabric, span, Wake::PortReset(port, turn));
        }
    }

    pub(crate) fn port_reset_done(&mut self, fabric: &mut Fabric, port: RootPort, turn: u8) {
        let now = fabric.now();
        let Some(state) = self.port_mut(port) else { return };
        if state.turn != turn || !state.resetting {
            return;
        }
        state.resetting = false;
        let Some(device) = &mut state.device else { return };
        device.reset(now);
        state.enabled = true;
        state.lost_at = None;
        state.link = Link::U0;
        state.recovered_at = now + RECOVERY;
        state.recovering_from = UsbWait::ResetRecovery;
        let warm = if state.warm { bit::WARM_RESET_CHANGE } else { 0 };
        self.change(fabric, port, bit::RESET_CHANGE | warm);
    }

    /// Something is sent to the device on `port`: it must have recovered.
    pub(crate) fn check_recovered(&self, fabric: &mut Fabric, port: RootPort) {
        let now = fabric.now();
        let Some(state) = port.index().and_then(|index| self.ports.get(index)) else { return };
        let (short, wait) = (state.recovered_at.since(now), state.recovering_from);
        if short > Time::ZERO {
            let waited = RECOVERY.since(short);
            self.check_wait(fabric, port, wait, waited, RECOVERY);
        }
    }

    pub(crate) fn check_wait(
        &self,
        fabric: &mut Fabric,
        port: RootPort,
        wait: UsbWait,
        waited: Time,
        needed: Time,
    ) {
        if waited < needed {
            let waited_us = (waited.0 / 1000) as u32;
            let (controller, port) = (self.number, port.0);
            self.violation(fabric, Violation::WaitTooShort { controller, port, wait, waited_us });
        }
    }
}
