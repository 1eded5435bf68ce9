//! USB 2.0 hubs: chapter 11, as strict as it lets them be.
//!
//! A [`Hub`] is a device with devices behind it. Its ports are unpowered until
//! they are told otherwise, show nothing before their power is good, and let
//! packets through only while they are enabled and awake. What takes time (power
//! good, reset, resume) is looked at whenever somebody asks; nothing happens by
//! itself. What its controller has to know of it, it keeps as [`Note`]s.

use crate::bus::{Address, Answer, Endpoint, Interface, Microframe, Setup, Speed, UsbDevice};
use crate::descriptor::{Builder, Descriptors};
use crate::standard::{Chapter9, Function, Stall};
use crate::{Heard, Spoken};
use fabric::{Time, UsbWait};
use std::fmt;

/// Stable connection before a reset (7.1.7.3, TATTDB).
const DEBOUNCE: Time = Time::ms(100);
/// Rest after a reset (7.1.7.5 TRSTRCY) and after a resume (7.1.7.7 TRSMRCY).
const RECOVERY: Time = Time::ms(10);
/// What the hub's reset of a port takes (11.5.1.5: 10 to 20 ms).
const RESET: Time = Time::ms(12);
/// What it drives resume for (11.5.1.10, 7.1.7.7 TDRSMDN).
const RESUME: Time = Time::ms(21);
/// A port stays suspended that long before it is resumed (as at a root port).
const SUSPENDED: Time = Time::ms(10);
/// A device waits that long before it signals resume (TWTRSM).
const QUIET: Time = Time::ms(5);
/// A request is no longer under way than that.
const UNDER_WAY: Time = Time::ms(1);

/// bPwrOn2PwrGood, in units of 2 ms (11.23.2.1).
const POWER_GOOD: u8 = 50;
/// wHubCharacteristics (11.23.2.1): power and over-current per port, and how long
/// the translator thinks, 16 bit times.
const CHARACTERISTICS: u16 = 0b01 | 0b01 << 3 | 0b01 << 5;

/// Features of ports (table 11-17). Change n is feature 16 + n.
mod feature {
    pub(super) const ENABLE: u16 = 1;
    pub(super) const SUSPEND: u16 = 2;
    pub(super) const RESET: u16 = 4;
    pub(super) const POWER: u16 = 8;
    pub(super) const CHANGES: u16 = 16;
}

/// wPortStatus (11.24.2.7.1) and wPortChange (11.24.2.7.2).
mod bit {
    pub(super) const CONNECTION: u16 = 1;
    pub(super) const ENABLE: u16 = 1 << 1;
    pub(super) const SUSPEND: u16 = 1 << 2;
    pub(super) const RESET: u16 = 1 << 4;
    pub(super) const POWER: u16 = 1 << 8;
    pub(super) const LOW_SPEED: u16 = 1 << 9;
    pub(super) const HIGH_SPEED: u16 = 1 << 10;
}

/// bRequest (table 11-16).
mod request {
    pub(super) const GET_STATUS: u8 = 0;
    pub(super) const CLEAR_FEATURE: u8 = 1;
    pub(super) const SET_FEATURE: u8 = 3;
    pub(super) const GET_DESCRIPTOR: u8 = 6;
}

/// What the controller has to know of what a request did.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nothing reaches the device at that port any more.
    Closed(u8),
    /// As [`Self::Closed`], because it was told to suspend: whatever ran there
    /// was to be stopped before.
    Suspended(u8),
    /// A wait was cut short: which, and how long it was.
    Hurried(UsbWait, Time),
}

#[derive(Default)]
struct Port {
    device: Option<Box<dyn UsbDevice>>,
    plugged_at: Time,
    /// Powered since.
    power: Option<Time>,
    connected: bool,
    connected_at: Time,
    enabled: bool,
    suspended: bool,
    suspended_at: Time,
    reset_ends: Option<Time>,
    resume_ends: Option<Time>,
    changes: u16,
    lost_at: Option<Time>,
    recovered_at: Time,
    after_resume: bool,
}

impl Port {
    /// What became due by `now`.
    fn advance(&mut self, now: Time) {
        let good = Time::ms(2 * u64::from(POWER_GOOD));
        if let (Some(since), Some(_), false) = (self.power, &self.device, self.connected) {
            let seen = (since + good).max(self.plugged_at);
            if seen <= now {
                self.connected = true;
                self.connected_at = seen;
                self.changes |= bit::CONNECTION;
            }
        }
        if let Some(at) = self.reset_ends.take_if(|at| *at <= now) {
            self.changes |= bit::RESET;
            if let Some(device) = &mut self.device {
                device.reset(at);
                self.enabled = true;
                self.lost_at = None;
                self.recovered_at = at + RECOVERY;
                self.after_resume = false;
            }
        }
        if let Some(at) = self.resume_ends.take_if(|at| *at <= now) {
            self.changes |= bit::SUSPEND;
            self.suspended = false;
            if let Some(device) = &mut self.device {
                device.resume(at);
                self.recovered_at = at + RECOVERY;
                self.after_resume = true;
            }
        }
    }

    /// Its device is reachable no more.
    fn close(&mut self) {
        (self.enabled, self.suspended) = (false, false);
        (self.reset_ends, self.resume_ends) = (None, None);
    }

    fn power_off(&mut self, now: Time) {
        self.close();
        self.power = None;
        self.connected = false;
        self.changes = 0;
        if let Some(device) = &mut self.device {
            device.detach(now);
        }
    }

    fn status(&self) -> u16 {
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        let speed = self.device.as_ref().filter(|_| self.connected).map(|device| device.speed());
        flag(self.connected, bit::CONNECTION)
            | flag(self.enabled, bit::ENABLE)
            | flag(self.suspended, bit::SUSPEND)
            | flag(self.reset_ends.is_some(), bit::RESET)
            | flag(self.power.is_some(), bit::POWER)
            | flag(speed == Some(Speed::Low), bit::LOW_SPEED)
            | flag(speed == Some(Speed::High) && self.enabled, bit::HIGH_SPEED)
    }
}

/// The ports, and what is said of them.
struct Ports {
    descriptors: Descriptors,
    ports: Vec<Port>,
    notes: Vec<Note>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("count", &self.ports.len()).finish_non_exhaustive()
    }
}

impl Ports {
    fn port(&mut self, number: u16) -> Result<&mut Port, Stall> {
        let index = usize::from(number).checked_sub(1).ok_or(Stall)?;
        self.ports.get_mut(index).ok_or(Stall)
    }

    fn hub_descriptor(&self) -> Vec<u8> {
        let count = self.ports.len() as u8;
        let [low, high] = CHARACTERISTICS.to_le_bytes();
        let bitmap = usize::from(count) / 8 + 1;
        let mut bytes = vec![7 + 2 * bitmap as u8, 0x29, count, low, high, POWER_GOOD, 100];
        // All devices can be removed; the last field is all ones (11.23.2.1).
        bytes.resize(7 + bitmap, 0);
        bytes.resize(7 + 2 * bitmap, 0xFF);
        bytes
    }

    fn set(&mut self, now: Time, what: u16, number: u16) -> Result<(), Stall> {
        let port = self.port(number)?;
        let mut note = None;
        match what {
            feature::POWER if port.power.is_none() => port.power = Some(now),
            feature::POWER => {}
            feature::RESET if port.connected && port.reset_ends.is_none() => {
                let waited = now.since(port.connected_at);
                if !port.enabled && waited < DEBOUNCE {
                    note = Some(Note::Hurried(UsbWait::Debounce, waited));
                }
                port.close();
                port.reset_ends = Some(now + RESET);
                self.notes.push(Note::Closed(number as u8));
            }
            feature::SUSPEND if port.enabled && !port.suspended => {
                port.suspended = true;
                port.suspended_at = now;
                if let Some(device) = &mut port.device {
                    device.suspend(now);
                }
                note = Some(Note::Suspended(number as u8));
            }
            // A port that has nothing to reset or to suspend does neither.
            feature::RESET | feature::SUSPEND => {}
            _ => return Err(Stall),
        }
        self.notes.extend(note);
        Ok(())
    }

    fn clear(&mut self, now: Time, what: u16, number: u16) -> Result<(), Stall> {
        let port = self.port(number)?;
        match what {
            feature::ENABLE => {
                port.close();
                self.notes.push(Note::Closed(number as u8));
            }
            feature::SUSPEND if port.suspended && port.resume_ends.is_none() => {
                let waited = now.since(port.suspended_at);
                port.resume_ends = Some(now + RESUME);
                if waited < SUSPENDED {
                    self.notes.push(Note::Hurried(UsbWait::Suspended, waited));
                }
            }
            feature::SUSPEND => {}
            feature::POWER => {
                port.power_off(now);
                self.notes.push(Note::Closed(number as u8));
            }
            feature::CHANGES..=20 => {
                let bit = 1 << (what - feature::CHANGES);
                if bit == bit::CONNECTION && port.changes & bit != 0 && port.lost_at.is_some() {
                    // What was asked for before is still under way.
                    port.lost_at = Some(now);
                }
                port.changes &= !bit;
            }
            _ => return Err(Stall),
        }
        Ok(())
    }
}

impl Function for Ports {
    fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    fn unconfigure(&mut self, now: Time) {
        for port in &mut self.ports {
            port.power_off(now);
        }
    }

    fn select(&mut self, _: Time, _: Interface, _: u8) {}

    fn request_in(&mut self, setup: Setup, into: &mut Vec<u8>) -> Result<(), Stall> {
        match (setup.kind, setup.request, setup.value, setup.length) {
            (0xA0, request::GET_DESCRIPTOR, 0x2900, _) if setup.index == 0 => {
                into.extend_from_slice(&self.hub_descriptor());
            }
            // Its own power is good, and nothing of it changed.
            (0xA0, request::GET_STATUS, 0, 4) if setup.index == 0 => into.extend([0; 4]),
            (0xA3, request::GET_STATUS, 0, 4) => {
                let port = self.port(setup.index)?;
                into.extend(port.status().to_le_bytes());
                into.extend(port.changes.to_le_bytes());
            }
            _ => return Err(Stall),
        }
        Ok(())
    }

    fn request_out(&mut self, now: Time, setup: Setup, _: &[u8]) -> Result<(), Stall> {
        match (setup.kind, setup.request, setup.length) {
            (0x23, request::SET_FEATURE, 0) => self.set(now, setup.value, setup.index),
            (0x23, request::CLEAR_FEATURE, 0) => self.clear(now, setup.value, setup.index),
            // C_HUB_LOCAL_POWER and C_HUB_OVER_CURRENT.
            (0x20, request::CLEAR_FEATURE, 0) if setup.value < 2 && setup.index == 0 => Ok(()),
            _ => Err(Stall),
        }
    }

    fn isoch_out(&mut self, _: Microframe, _: Endpoint, _: &[u8]) {}

    fn isoch_in(&mut self, _: Microframe, _: Endpoint, _: &mut [u8]) -> Option<usize> {
        None
    }

    /// Bit n is port n; nothing to tell is a NAK (11.12.4).
    fn interrupt_in(&mut self, _: Endpoint, into: &mut [u8]) -> Option<usize> {
        let changed = |(n, port): (usize, &Port)| u32::from(port.changes != 0) << (n + 1);
        let bits = self.ports.iter().enumerate().map(changed).fold(0, |all, bit| all | bit);
        let len = (self.ports.len() / 8 + 1).min(into.len());
        into[..len].copy_from_slice(&bits.to_le_bytes()[..len]);
        (bits != 0).then_some(len)
    }

    fn stray(&mut self, _: Microframe) {}

    /// Below a port that is not suspended by itself the bus goes idle with the
    /// hub's own (11.4).
    fn suspend(&mut self, now: Time) {
        for port in self.ports.iter_mut().filter(|port| port.enabled && !port.suspended) {
            if let Some(device) = &mut port.device {
                device.suspend(now);
            }
        }
    }

    fn resume(&mut self, now: Time) {
        for port in self.ports.iter_mut().filter(|port| port.enabled && !port.suspended) {
            if let Some(device) = &mut port.device {
                device.resume(now);
                port.recovered_at = now + RECOVERY;
                port.after_resume = true;
            }
        }
    }

    fn heard(&self) -> Option<&Heard> {
        None
    }
}

/// A hub, self-powered, that can wake its host.
#[derive(Debug)]
pub struct Hub {
    inner: Chapter9<Ports>,
    suspended: bool,
}

impl Hub {
    /// A hub with so many ports, of full or high speed.
    ///
    /// # Panics
    /// When there is no such hub.
    #[must_use]
    pub fn new(speed: Speed, ports: u8) -> Self {
        assert!((1..=15).contains(&ports), "a route string names up to 15 ports");
        let fast = speed == Speed::High;
        assert!(fast || speed == Speed::Full, "no hub has that speed");
        // bDeviceProtocol: no translator, or one (11.23.1).
        let (protocol, interval) = if fast { (1, 12) } else { (0, 255) };
        let device =
            [18, 1, 0x00, 0x02, 9, 0, protocol, 64, 0xF4, 0x46, 0x0B, 0x00, 0x01, 0x01, 0, 0, 0, 1];
        let configuration = Builder::new(1, 100)
            .wakes()
            .raw(&[4, 0, 0, 1, 9, 0, 0, 0])
            .raw(&[5, 0x81, 3, ports / 8 + 1, 0, interval])
            .finish();
        let descriptors =
            Descriptors { speed, device, configuration, strings: Vec::new(), qualifier: fast };
        let ports = (0..ports).map(|_| Port::default()).collect();
        let inner = Chapter9::new(Ports { descriptors, ports, notes: Vec::new() });
        Self { inner, suspended: false }
    }

    /// How many ports it has.
    #[must_use]
    pub fn ports(&self) -> u8 {
        self.inner.function().ports.len() as u8
    }

    /// How long its translator thinks, as a slot context says it (xHCI 6.2.2 TTT).
    #[must_use]
    pub const fn think_time(&self) -> u8 {
        (CHARACTERISTICS >> 5) as u8 & 3
    }

    fn port(&mut self, number: u8) -> Option<&mut Port> {
        let index = usize::from(number).checked_sub(1)?;
        self.inner.function_mut().ports.get_mut(index)
    }

    /// Puts a device at a port.
    ///
    /// # Panics
    /// When there is no such port, when it is taken, or when the hub is too slow
    /// for the device: scenarios know their board.
    pub fn plug(&mut self, now: Time, number: u8, device: Box<dyn UsbDevice>) {
        let speed = self.speed();
        assert!(device.speed() != Speed::High || speed == Speed::High, "the hub is too slow");
        let port = self.port(number).expect("no such port");
        assert!(port.device.is_none(), "the port is taken");
        port.device = Some(device);
        port.plugged_at = now;
        port.advance(now);
    }

    /// Takes the device from a port.
    pub fn unplug(&mut self, now: Time, number: u8) -> Option<Box<dyn UsbDevice>> {
        let port = self.port(number)?;
        port.advance(now);
        let mut device = port.device.take()?;
        device.detach(now);
        if port.enabled {
            port.lost_at = Some(now);
        }
        port.close();
        if std::mem::take(&mut port.connected) {
            port.changes |= bit::CONNECTION;
        }
        Some(device)
    }

    /// What is at a port, whatever the port lets through.
    #[must_use]
    pub fn device(&self, number: u8) -> Option<&dyn UsbDevice> {
        let index = usize::from(number).checked_sub(1)?;
        self.inner.function().ports.get(index)?.device.as_deref()
    }

    /// What is at a port, for what happens to it from outside.
    pub fn device_mut(&mut self, number: u8) -> Option<&mut Box<dyn UsbDevice>> {
        self.port(number)?.device.as_mut()
    }

    /// What is at a port, when packets reach it.
    pub fn reachable(&mut self, now: Time, number: u8) -> Option<&mut Box<dyn UsbDevice>> {
        let awake = !self.suspended;
        let port = self.port(number)?;
        port.advance(now);
        let open = awake && port.enabled && !port.suspended && port.reset_ends.is_none();
        port.device.as_mut().filter(|_| open)
    }

    /// Whether a port is suspended, or on its way back.
    pub fn is_suspended(&mut self, now: Time, number: u8) -> bool {
        self.port(number).is_some_and(|port| {
            port.advance(now);
            port.suspended
        })
    }

    /// How fast the device at an enabled port is.
    #[must_use]
    pub fn speed_at(&self, number: u8) -> Option<Speed> {
        let index = usize::from(number).checked_sub(1)?;
        let port = self.inner.function().ports.get(index).filter(|port| port.enabled)?;
        port.device.as_ref().map(|device| device.speed())
    }

    /// How long the device at a port has still to be left alone, and after what.
    pub fn recovers(&mut self, now: Time, number: u8) -> Option<(UsbWait, Time)> {
        let port = self.port(number)?;
        port.advance(now);
        let left = port.recovered_at.since(now);
        let wait = if port.after_resume { UsbWait::ResumeRecovery } else { UsbWait::ResetRecovery };
        (left > Time::ZERO).then_some((wait, RECOVERY.since(left)))
    }

    /// Whether a port lost its device, and whoever drives the hub may not know yet.
    #[must_use]
    pub fn just_lost(&self, now: Time, number: u8) -> bool {
        let ports = &self.inner.function().ports;
        let Some(port) = usize::from(number).checked_sub(1).and_then(|n| ports.get(n)) else {
            return false;
        };
        let told = port.changes & bit::CONNECTION == 0;
        port.lost_at.is_some_and(|at| !told || now.since(at) < UNDER_WAY)
    }

    /// The device at a port signals resume; whether it may, and could.
    pub fn signal(&mut self, now: Time, number: u8) -> bool {
        let Some(port) = self.port(number) else { return false };
        let may = port.device.as_ref().is_some_and(|device| device.may_wake());
        let quiet = now.since(port.suspended_at) >= QUIET;
        let can = port.suspended && port.resume_ends.is_none() && may && quiet;
        if can {
            port.resume_ends = Some(now + RESUME);
        }
        can
    }

    /// Whether it sleeps and has something to tell that is worth waking its host.
    #[must_use]
    pub fn wants_out(&self) -> bool {
        let news = |port: &Port| port.changes != 0 || port.resume_ends.is_some();
        self.inner.may_wake() && self.inner.function().ports.iter().any(news)
    }

    /// What requests did, since this was last asked.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.inner.function_mut().notes)
    }

    fn advance(&mut self, now: Time) {
        for port in &mut self.inner.function_mut().ports {
            port.advance(now);
        }
    }
}

impl UsbDevice for Hub {
    fn speed(&self) -> Speed {
        self.inner.speed()
    }

    fn reset(&mut self, now: Time) {
        self.suspended = false;
        self.inner.reset(now);
    }

    fn suspend(&mut self, now: Time) {
        self.advance(now);
        self.suspended = true;
        self.inner.suspend(now);
    }

    fn resume(&mut self, now: Time) {
        self.suspended = false;
        self.inner.resume(now);
    }

    fn may_wake(&self) -> bool {
        self.inner.may_wake()
    }

    fn detach(&mut self, now: Time) {
        self.suspended = false;
        self.inner.detach(now);
    }

    fn address(&self) -> Address {
        self.inner.address()
    }

    fn setup(&mut self, now: Time, setup: Setup) -> Answer {
        self.advance(now);
        self.inner.setup(now, setup)
    }

    fn control_in(&mut self, into: &mut [u8]) -> Answer {
        self.inner.control_in(into)
    }

    fn control_out(&mut self, data: &[u8]) -> Answer {
        self.inner.control_out(data)
    }

    fn status(&mut self, now: Time) -> Answer {
        self.advance(now);
        self.inner.status(now)
    }

    fn isoch_out(&mut self, at: Microframe, endpoint: Endpoint, data: &[u8]) {
        self.inner.isoch_out(at, endpoint, data);
    }

    fn isoch_in(&mut self, at: Microframe, endpoint: Endpoint, into: &mut [u8]) -> Option<usize> {
        self.inner.isoch_in(at, endpoint, into)
    }

    fn interrupt_in(&mut self, at: Microframe, endpoint: Endpoint, into: &mut [u8]) -> Answer {
        self.advance(at.starts());
        self.inner.interrupt_in(at, endpoint, into)
    }

    fn heard(&self) -> Option<&Heard> {
        None
    }

    fn spoken(&self) -> Option<&Spoken> {
        None
    }

    fn hub(&self) -> Option<&Hub> {
        Some(self)
    }

    fn hub_mut(&mut self) -> Option<&mut Hub> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
