//! One device on its way down or up.
//!
//! Down: whatever has begun on the bus is brought to its end, the device is told
//! whether it may signal, and the driver suspends it. Up: the driver resumes it,
//! it is told not to signal, and then of the alternate settings 0 that it is
//! owed. A device that does not come up again is as one that was pulled and
//! plugged. Why a device changes is `power`'s and `sleep`'s.

use usb_core_api::{DeviceHandle, PowerState, SystemPower, TicketHandle as Ticket};
use usb_types::Setup;
use xhci_api::{LINK_RESUME, TicketHandle as Below, XhciError};

use crate::controller::{Controller, is_crowded, refusal};
use crate::controllers::{ControllerNumber, Controllers};
use crate::core::{Core, Trace, trace};
use crate::device::{Device, PortNumber};
use crate::hub::Want;
use crate::jobs::Work;
use crate::switch::set_interface;
use crate::{HUBS, MAX_DEVICES};

/// bmAttributes of a configuration: the device can signal (USB 2.0 table 9-10).
const REMOTE_WAKE: u8 = 1 << 5;
/// bRequest values, and the feature, of tables 9-4 and 9-6.
const CLEAR_FEATURE: u8 = 1;
const SET_FEATURE: u8 = 3;
const DEVICE_REMOTE_WAKEUP: u16 = 1;

/// How far a hub is with the port of a device that goes down or comes up.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum AtHub {
    /// Nothing is wanted of it.
    #[default]
    Nothing,
    /// It was asked.
    Asked,
    /// It has done it.
    Done,
}

/// What a device is still to be told, and what the driver does with it.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Change {
    /// The driver suspends or resumes it.
    ticket: Option<Below>,
    /// What its hub does about that.
    pub(crate) at_hub: AtHub,
    /// It can signal, and is to be told whether it may.
    tell: Option<bool>,
    /// Interfaces whose alternate setting 0 it has not heard of.
    pub(crate) owed: u32,
    /// Nobody has wanted anything of it since then.
    pub(crate) idle_since: Option<u64>,
    /// Who waits for its reset.
    pub(crate) reset: Option<Ticket>,
    /// How often it was reset; wraps.
    pub(crate) resets: u8,
    /// How often an interface that was taken became free again; wraps.
    pub(crate) offers: u8,
}

impl Device {
    /// Whether it can signal.
    pub(crate) const fn can_wake(&self) -> bool {
        self.header.attributes & REMOTE_WAKE != 0
    }

    /// Whether work that needs the device can go on: it is up, or so far only
    /// about to go down.
    pub(crate) fn takes_requests(&self) -> bool {
        match self.power.state() {
            PowerState::Active => !self.power.is_resetting(),
            PowerState::Suspending => {
                self.change.ticket.is_none() && self.change.at_hub == AtHub::Nothing
            }
            PowerState::Suspended | PowerState::Resuming => false,
        }
    }

    /// It begins to go down.
    pub(crate) fn goes_down(&mut self) {
        self.change.idle_since = None;
        self.change.tell = self.can_wake().then_some(true);
    }

    /// The next thing that it is to be told by this task itself.
    fn debt(&mut self) -> Option<Setup> {
        if !self.takes_requests() {
            return None;
        }
        if let Some(may) = self.change.tell.take() {
            let request = if may { SET_FEATURE } else { CLEAR_FEATURE };
            let value = DEVICE_REMOTE_WAKEUP;
            return Some(Setup { request_type: 0, request, value, index: 0, length: 0 });
        }
        if self.power.is_in_reach() && self.change.owed != 0 {
            let interface = self.change.owed.trailing_zeros() as u8;
            self.change.owed &= self.change.owed - 1;
            return Some(set_interface(interface, 0));
        }
        None
    }
}

impl<C: Controller, const N: usize> Core<C, N> {
    /// Goes on with every device that is on its way; whether any did.
    pub(crate) fn step_changes(&mut self, now: u64) -> bool {
        let mut went = false;
        for handle in self.handles().into_iter().flatten() {
            went |= self.step_change(handle, now);
        }
        went
    }

    /// The devices that there are.
    pub(crate) fn handles(&self) -> [Option<DeviceHandle>; MAX_DEVICES] {
        let mut handles = [None; MAX_DEVICES];
        for (place, (handle, _, _)) in handles.iter_mut().zip(self.devices.iter()) {
            *place = Some(handle);
        }
        handles
    }

    fn step_change(&mut self, handle: DeviceHandle, now: u64) -> bool {
        let keeps_up = HUBS && self.keeps_up(handle);
        let busy = self.jobs.any_of(handle) || keeps_up;
        // The system has turned round, and who is below a hub does not go down.
        let turned = keeps_up && self.sleep.system() == SystemPower::Resuming;
        let idle = self.is_idle(handle);
        let Ok((_, device)) = self.devices.find_mut(handle) else { return false };
        let asked = device.change.ticket.is_some() || device.change.at_hub == AtHub::Asked;
        if asked || self.jobs.own_of(handle) {
            return false;
        }
        if let Some(setup) = device.debt() {
            self.jobs.start_own(handle, Work::bare(setup));
            self.advance_jobs(now);
            return true;
        }
        if HUBS && device.power.state() == PowerState::Resuming {
            match self.resume_at_hub(handle) {
                Some(true) => {}
                Some(false) => return true,
                None => return false,
            }
        }
        let Ok((_, device)) = self.devices.find_mut(handle) else { return false };
        let asked = match device.power.state() {
            PowerState::Active => return false,
            // What it was idle for is over.
            PowerState::Suspending if turned || device.power.is_in_reach() && !idle => {
                device.power.end_change(false);
                device.change.tell = device.can_wake().then_some(false);
                return true;
            }
            PowerState::Suspending if busy => return false,
            PowerState::Suspending => {
                self.controllers.of(device.port).start_suspend_device(device.slot.handle)
            }
            PowerState::Suspended => {
                let wanted = device.power.is_in_reach() && self.jobs.waits(handle);
                return wanted && device.power.begin_wake();
            }
            PowerState::Resuming => {
                self.controllers.of(device.port).start_resume_device(device.slot.handle)
            }
        };
        match asked {
            Ok(ticket) => device.change.ticket = Some(ticket),
            Err(error) if is_crowded(error) => {
                self.retry_later(now);
                return false;
            }
            Err(error) => self.change_ended(handle, Err(error), now),
        }
        true
    }

    /// Takes the driver's answer when `ticket` belongs to a change.
    pub(crate) fn change_answered(
        &mut self,
        controller: ControllerNumber,
        ticket: Below,
        now: u64,
    ) -> bool {
        let ours = |device: &Device| {
            Controllers::<C, N>::has(controller, device.port)
                && device.change.ticket == Some(ticket)
        };
        let found = self.devices.iter().find(|(_, _, device)| ours(device));
        let Some((handle, _, _)) = found else { return false };
        match self.controllers.get(controller).result(ticket) {
            Err(XhciError::NotYet) => {}
            answer => self.change_ended(handle, answer.map(|_| ()), now),
        }
        true
    }

    pub(crate) fn change_ended(
        &mut self,
        handle: DeviceHandle,
        answer: Result<(), XhciError>,
        now: u64,
    ) {
        let Ok((_, device)) = self.devices.find_mut(handle) else { return };
        device.change.ticket = None;
        let (was, port) = (device.power.state(), device.port);
        let is_asleep = answer.is_ok() && was == PowerState::Suspending;
        if HUBS && is_asleep && port.is_behind() && device.change.at_hub == AtHub::Nothing {
            // Its endpoints stand still; its port is the hub's.
            device.change.at_hub = AtHub::Asked;
            self.want(port, Want::Suspend);
            return;
        }
        device.change.at_hub = AtHub::Nothing;
        device.power.end_change(answer.is_ok());
        trace(Trace::PowerChanged(port, device.power.state()));
        let goes_up = was == PowerState::Resuming;
        match answer {
            Ok(()) if goes_up => {
                device.change.tell = device.can_wake().then_some(false);
                if HUBS {
                    self.look_behind(port.controller(), Some(handle));
                }
            }
            Ok(()) => self.look_for_signal(port),
            // It is there no more; what is plugged in now is looked at.
            Err(XhciError::DeviceGone | XhciError::Stale) => self.replace(port, now),
            Err(_) if goes_up => self.replace(port, now),
            Err(error) => {
                device.change.tell = device.can_wake().then_some(false);
                device.change.idle_since = None;
                self.suspend_failed(refusal(error));
            }
        }
    }

    /// Takes a device that is of no more use out of the tree, and looks at its
    /// port anew.
    fn replace(&mut self, port: PortNumber, now: u64) {
        trace(Trace::Replaced(port));
        self.clear_port(port.index(), now);
        self.look_at(port, now);
    }

    /// A device that may signal can do so before anybody looks.
    fn look_for_signal(&mut self, port: PortNumber) {
        // A hub tells of it.
        if port.is_behind() {
            return;
        }
        if let Ok(status) = self.controllers.of(port).port(port.root())
            && status.link_state == LINK_RESUME
        {
            self.signalled(port);
        }
    }

    /// The device at a port signals: if it is suspended, it is brought up.
    pub(crate) fn signalled(&mut self, port: PortNumber) {
        let found = self.devices.iter_mut().find(|(_, _, device)| device.port == port);
        if let Some((handle, _, device)) = found
            && device.power.begin_wake()
        {
            trace(Trace::Signalled(port));
            self.woken(handle);
        }
    }

    /// Gives up what the driver does with a device that is gone.
    pub(crate) fn end_change_of(&self, device: &Device) {
        if let Some(ticket) = device.change.ticket {
            // The driver may have ended it by itself.
            let _ = self.controllers.of(device.port).cancel(ticket);
        }
    }

    /// An interface goes to alternate 0 while its device is out of reach: the
    /// device hears of it later.
    pub(crate) fn owe(&mut self, handle: DeviceHandle, interface: u8) {
        if let Ok((_, device)) = self.devices.find_mut(handle) {
            trace(Trace::Owed(device.port, interface));
            device.change.owed |= 1 << (interface & 31);
        }
    }
}
