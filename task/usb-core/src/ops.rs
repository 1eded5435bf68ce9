//! What clients ask for.

use abi::TaskId;
use handles::HandleError;
use usb_core_api::{DeviceHandle, DeviceInfo, Event, PipeStatus, TicketHandle, UsbCoreError};
use usb_types::{Direction, EndpointAddress, Setup};

use crate::MAX_CONTROL;
use crate::clients::View;
use crate::controller::{Controller, refusal};
use crate::core::Core;
use crate::device::Device;
use crate::jobs::{Ended, Work};
use crate::power::HoldError;
use crate::switch::Switch;

type Answer<T> = Result<T, UsbCoreError>;

/// bmRequestType fields (USB 2.0 table 9-2).
const TYPE_MASK: u8 = 0x60;
const TYPE_CLASS: u8 = 0x20;
const TYPE_VENDOR: u8 = 0x40;
const RECIPIENT_MASK: u8 = 0x1F;
const RECIPIENT_INTERFACE: u8 = 1;
const RECIPIENT_ENDPOINT: u8 = 2;

impl<C: Controller, const N: usize> Core<C, N> {
    /// A message of `caller` came: an earlier incarnation of it is gone.
    pub(crate) fn meet(&mut self, caller: TaskId) {
        if let Some(old) = self.clients.other_incarnation(caller) {
            self.forget_client(old);
        }
    }

    pub(crate) fn pull(&mut self, caller: TaskId) -> Event {
        if self.settings.power.map(usize::from) == Some(caller.index())
            && let Some(device) = self.sleep.take_woken()
        {
            return Event::Woken(device);
        }
        if let Some(wanted) = self.tell_wanted(caller) {
            return wanted;
        }
        let mut live = [None; crate::MAX_DEVICES];
        for (place, (handle, _, device)) in live.iter_mut().zip(self.devices.iter()) {
            let power = &device.power;
            let (in_reach, naps) = (power.is_in_reach(), power.naps());
            let (resets, offers) = (device.change.resets, device.change.offers);
            *place = Some(View { device: handle, in_reach, naps, resets, offers });
        }
        self.clients.pull(caller, live.iter().copied().flatten())
    }

    pub(crate) fn info(&self, device: DeviceHandle) -> Answer<DeviceInfo> {
        let (_, device) = self.devices.find(device).map_err(device_error)?;
        Ok(device.info())
    }

    /// The active configuration's descriptors.
    pub(crate) fn configuration(&self, device: DeviceHandle) -> Answer<&[u8]> {
        let (_, device) = self.devices.find(device).map_err(device_error)?;
        Ok(device.descriptors(&self.stores[usize::from(device.store.0)]))
    }

    pub(crate) fn start_set_interface(
        &mut self,
        caller: TaskId,
        handle: DeviceHandle,
        (number, alternate): (u8, u8),
        now: u64,
    ) -> Answer<TicketHandle> {
        let device = self.device(handle)?;
        let reach = in_reach(device);
        let from = device.claimed(number, caller)?.standing;
        if alternate != 0 {
            reach?;
        }
        let (_, device) = self.devices.find(handle).map_err(device_error)?;
        let bytes = device.descriptors(&self.stores[usize::from(device.store.0)]);
        let to = device.setting(number, alternate, bytes)?;
        if device.clashes(number, &to) {
            return Err(UsbCoreError::EndpointBusy);
        }
        if self.jobs.switches(handle, number) {
            return Err(UsbCoreError::Busy);
        }
        let work = Work::Switch(Switch::new(number, from, to));
        let ticket = self.jobs.start(caller, handle, work)?;
        if let Err(why) = reach {
            self.refuse_waiting(handle, why);
        }
        self.advance(now);
        Ok(ticket)
    }

    pub(crate) fn start_control(
        &mut self,
        caller: TaskId,
        handle: DeviceHandle,
        setup: Setup,
        out: &[u8],
        now: u64,
    ) -> Answer<TicketHandle> {
        let device = self.active_device(handle)?;
        check_recipient(device, caller, setup)?;
        let expected = match setup.direction() {
            Direction::Out => usize::from(setup.length),
            Direction::In => 0,
        };
        if usize::from(setup.length) > MAX_CONTROL || out.len() != expected {
            return Err(UsbCoreError::BadRequest);
        }
        let mut data = [0; MAX_CONTROL];
        data[..out.len()].copy_from_slice(out);
        let ticket = self.jobs.start(caller, handle, Work::Control(setup, data))?;
        self.advance(now);
        Ok(ticket)
    }

    /// How a ticket's work ended; the ticket is spent.
    pub(crate) fn result(&mut self, caller: TaskId, ticket: TicketHandle) -> Answer<Ended> {
        let ended = self.jobs.result(ticket, caller)?;
        self.clients.ticket_gone(caller, ticket);
        Ok(ended)
    }

    pub(crate) fn cancel(&mut self, caller: TaskId, ticket: TicketHandle) -> Answer<()> {
        self.jobs.cancel(ticket, caller)?;
        self.unwant(ticket);
        self.clients.ticket_gone(caller, ticket);
        Ok(())
    }

    pub(crate) fn write_isoch(
        &mut self,
        caller: TaskId,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        (lengths, data): (&[u8], &[u8]),
    ) -> Answer<u8> {
        let device = self.active_device(device)?;
        let (dci, slot, port) =
            (device.endpoint(endpoint, caller)?, device.slot.handle, device.port);
        self.controllers.of(port).write_isoch(slot, dci, lengths, data).map_err(refusal)
    }

    pub(crate) fn read_isoch(
        &mut self,
        caller: TaskId,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        data: &mut [u8],
    ) -> Answer<u16> {
        let device = self.active_device(device)?;
        let (dci, slot, port) =
            (device.endpoint(endpoint, caller)?, device.slot.handle, device.port);
        self.controllers.of(port).read_isoch(slot, dci, data).map_err(refusal)
    }

    pub(crate) fn isoch_status(
        &mut self,
        caller: TaskId,
        device: DeviceHandle,
        endpoint: EndpointAddress,
    ) -> Answer<PipeStatus> {
        let device = self.device(device)?;
        let (dci, slot, port) =
            (device.endpoint(endpoint, caller)?, device.slot.handle, device.port);
        let status = self.controllers.of(port).isoch_status(slot, dci).map_err(refusal)?;
        Ok(PipeStatus {
            queued: status.queued,
            room: status.room,
            completed: status.completed,
            errors: status.errors,
            underruns: status.underruns,
        })
    }

    pub(crate) fn hold(&mut self, caller: TaskId, device: DeviceHandle, now: u64) -> Answer<()> {
        self.device(device)?.power.hold(caller).map_err(hold_error)?;
        self.advance(now);
        Ok(())
    }

    pub(crate) fn unhold(&mut self, caller: TaskId, device: DeviceHandle, now: u64) -> Answer<()> {
        self.device(device)?.power.unhold(caller).map_err(hold_error)?;
        self.advance(now);
        Ok(())
    }

    pub(crate) fn device(&mut self, handle: DeviceHandle) -> Answer<&mut Device> {
        self.devices.find_mut(handle).map(|(_, device)| device).map_err(device_error)
    }

    /// A device that its clients may ask for something.
    pub(crate) fn active_device(&mut self, handle: DeviceHandle) -> Answer<&mut Device> {
        let device = self.device(handle)?;
        in_reach(device)?;
        Ok(device)
    }
}

/// Refuses what a device's clients may not ask of it now.
fn in_reach(device: &Device) -> Answer<()> {
    if !device.power.is_in_reach() {
        Err(UsbCoreError::Suspended)
    } else if device.power.is_resetting() {
        Err(UsbCoreError::Resetting)
    } else {
        Ok(())
    }
}

/// Refuses a request that is not for an interface of the caller's or for an
/// endpoint in force there, and what this task alone may say: standard
/// requests change what it keeps books of.
fn check_recipient(device: &mut Device, caller: TaskId, setup: Setup) -> Answer<()> {
    if !matches!(setup.request_type & TYPE_MASK, TYPE_CLASS | TYPE_VENDOR) {
        return Err(UsbCoreError::BadRequest);
    }
    let recipient = setup.index as u8;
    match setup.request_type & RECIPIENT_MASK {
        // The upper byte of wIndex is the class's own (an audio unit).
        RECIPIENT_INTERFACE => device.claimed(recipient, caller).map(|_| ()),
        RECIPIENT_ENDPOINT => device.endpoint(EndpointAddress(recipient), caller).map(|_| ()),
        _ => Err(UsbCoreError::BadRequest),
    }
}

fn device_error(error: HandleError) -> UsbCoreError {
    match error {
        HandleError::StaleServer => UsbCoreError::StaleServer,
        HandleError::Stale => UsbCoreError::DeviceGone,
        HandleError::NotOwner => UsbCoreError::NotOwner,
    }
}

fn hold_error(error: HoldError) -> UsbCoreError {
    match error {
        HoldError::Suspended => UsbCoreError::Suspended,
        HoldError::Resetting => UsbCoreError::Resetting,
        HoldError::AlreadyHeld => UsbCoreError::AlreadyHeld,
        HoldError::TooMany => UsbCoreError::NoResources,
        HoldError::NotHeld => UsbCoreError::NotHeld,
    }
}
