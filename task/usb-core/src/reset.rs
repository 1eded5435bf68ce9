//! The reset of a device that somebody uses (U15, R33).
//!
//! A normal event: its sessions end in order, its port is reset, and it goes the
//! way from there to its configuration once more, with its handle, its slot and
//! its place in the tree. Meanwhile it answers `Resetting`. Who knows it is told
//! when it is over; streams are then opened anew, and sessions armed anew.

use abi::TaskId;
use usb_core_api::{DeviceHandle, TicketHandle, UsbCoreError};

use crate::controller::Controller;
use crate::core::{Core, Trace, trace};
use crate::device::Device;
use crate::jobs::Ended;

impl<C: Controller, const N: usize> Core<C, N> {
    /// Begins to reset a device: for who claimed an interface of it, or is less
    /// important than all who did, so that none of them ever waits for it.
    pub(crate) fn start_reset(
        &mut self,
        caller: TaskId,
        handle: DeviceHandle,
        now: u64,
    ) -> Result<TicketHandle, UsbCoreError> {
        let device = self.active_device(handle)?;
        let (mut is_owner, mut is_last) = (false, true);
        for owner in device.interfaces().filter_map(|interface| interface.owner) {
            is_owner |= owner == caller;
            is_last &= owner.index() < caller.index();
        }
        if !is_owner && !is_last {
            return Err(UsbCoreError::NotAllowed);
        }
        let (slot, port) = (device.slot, device.port);
        // A device that rests is woken by a request before.
        if !device.is_up() {
            return Err(UsbCoreError::Busy);
        }
        let store = self.take_store().ok_or(UsbCoreError::NoResources)?;
        let ticket = match self.jobs.start_bare(caller) {
            Ok(ticket) => ticket,
            Err(refusal) => {
                self.free_store(Some(store));
                return Err(refusal);
            }
        };
        trace(Trace::Resetting(port));
        if let Ok(device) = self.device(handle) {
            device.power.begin_reset();
            device.change.reset = Some(ticket);
        }
        self.refuse_waiting(handle, UsbCoreError::Resetting);
        self.attempt_again((port.index(), handle), slot, store, now);
        self.advance(now);
        Ok(ticket)
    }

    /// A device was reset, and is `fresh` now; whether that is the same device
    /// with the same configuration.
    pub(crate) fn renew(&mut self, handle: DeviceHandle, fresh: &Device) -> bool {
        let Ok((_, device)) = self.devices.find_mut(handle) else { return false };
        let store = |device: &Device| usize::from(device.store.0);
        let [old, new] =
            [&*device, fresh].map(|device| device.descriptors(&self.stores[store(device)]));
        if device.descriptor != fresh.descriptor || old != new {
            return false;
        }
        device.renew(fresh);
        let ticket = device.change.reset.take();
        self.free_store(Some(fresh.store));
        if let Some(ticket) = ticket {
            self.end_ticket(ticket, Ended::bare(Ok(())));
        }
        self.clients.devices_changed();
        true
    }

    /// Whoever waits for the reset of a device hears how it ended.
    pub(crate) fn end_reset_of(&mut self, device: &mut Device, result: Result<(), UsbCoreError>) {
        if let Some(ticket) = device.change.reset.take() {
            self.end_ticket(ticket, Ended::bare(result));
        }
    }
}
