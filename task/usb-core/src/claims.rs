//! Who has an interface, and how it changes hands.
//!
//! Each interface has one owner at a time. A less important task may take one from
//! its owner (U16, what Linux' usbfs does with a driver): the owner is told, and has
//! its time to let go of it in order, as if the device were pulled. It is never
//! called and nobody waits for it (R13): when its time is over, the interface is
//! the other one's all the same.

use abi::TaskId;
use usb_core_api::{DeviceHandle, Event, TicketHandle, UsbCoreError};

use crate::controller::Controller;
use crate::core::{Core, Trace, trace};
use crate::device::Interface;
use crate::jobs::Ended;

/// How long an owner has to let go: longer than a stream's owner waits for a DSP
/// that does not answer (10 s).
pub(crate) const LET_GO_MS: u64 = 12_000;

/// Somebody waits for an interface; one at a time.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Wanted {
    device: DeviceHandle,
    interface: u8,
    by: TaskId,
    ticket: TicketHandle,
    pub(crate) until: u64,
    /// Its owner knows.
    told: bool,
}

type Answer<T> = Result<T, UsbCoreError>;

impl<C: Controller, const N: usize> Core<C, N> {
    pub(crate) fn claim(&mut self, caller: TaskId, device: DeviceHandle, number: u8) -> Answer<()> {
        let interface = self.device(device)?.interface(number)?;
        match interface.owner {
            Some(owner) if owner != caller => Err(UsbCoreError::InterfaceBusy),
            _ => {
                interface.owner = Some(caller);
                Ok(())
            }
        }
    }

    pub(crate) fn release(
        &mut self,
        caller: TaskId,
        handle: DeviceHandle,
        number: u8,
    ) -> Answer<()> {
        self.device(handle)?.claimed(number, caller)?.owner = None;
        self.freed(handle, number);
        Ok(())
    }

    /// Begins to take an interface from its owner, for a task that is less
    /// important and so never waited for by it.
    pub(crate) fn start_take(
        &mut self,
        by: TaskId,
        device: DeviceHandle,
        interface: u8,
        now: u64,
    ) -> Answer<TicketHandle> {
        let owner = self.device(device)?.interface(interface)?.owner.filter(|&owner| owner != by);
        if self.wanted.is_some() {
            return Err(UsbCoreError::Busy);
        }
        if owner.is_some_and(|owner| owner.index() >= by.index()) {
            return Err(UsbCoreError::NotAllowed);
        }
        let ticket = self.jobs.start_bare(by)?;
        let until = now + LET_GO_MS;
        self.wanted = Some(Wanted { device, interface, by, ticket, until, told: false });
        match owner {
            Some(owner) => self.clients.hint_index(owner.index() as u16),
            None => self.take(),
        }
        Ok(ticket)
    }

    /// The interface that somebody waits for.
    fn wanted_interface(&mut self) -> Option<&mut Interface> {
        let Wanted { device, interface, .. } = self.wanted?;
        self.device(device).ok()?.interface(interface).ok()
    }

    /// What `owner` has to let go of and was not told yet.
    pub(crate) fn tell_wanted(&mut self, owner: TaskId) -> Option<Event> {
        if self.wanted?.told || self.wanted_interface()?.owner != Some(owner) {
            return None;
        }
        let wanted = self.wanted.as_mut()?;
        wanted.told = true;
        Some(Event::Wanted { device: wanted.device, interface: wanted.interface })
    }

    /// The interface that somebody waits for is that one's.
    fn take(&mut self) {
        let Some(Wanted { by, ticket, .. }) = self.wanted else { return };
        if let Some(interface) = self.wanted_interface() {
            interface.owner = Some(by);
            interface.was_taken = true;
        }
        self.wanted = None;
        trace(Trace::Taken(by));
        self.end_ticket(ticket, Ended::bare(Ok(())));
    }

    /// An interface has no owner any more: it is whose who waits for it. When nobody
    /// does, and it was taken from somebody once, all are told of the device anew.
    fn freed(&mut self, handle: DeviceHandle, number: u8) {
        if self.wanted.is_some_and(|of| of.device == handle && of.interface == number) {
            return self.take();
        }
        if let Ok(device) = self.device(handle)
            && let Ok(interface) = device.interface(number)
            && core::mem::take(&mut interface.was_taken)
        {
            device.change.offers = device.change.offers.wrapping_add(1);
            self.clients.devices_changed();
        }
    }

    /// Takes what its owner did not let go of in time.
    pub(crate) fn tick_claims(&mut self, now: u64) {
        if self.wanted.is_some_and(|wanted| wanted.until <= now) {
            self.take();
        }
    }

    /// Nobody waits any more for what that ticket was for. Its owner may be about
    /// to let go, for nobody.
    pub(crate) fn unwant(&mut self, ticket: TicketHandle) {
        if self.wanted.is_some_and(|wanted| wanted.ticket == ticket) {
            if let Some(interface) = self.wanted_interface() {
                interface.was_taken = true;
            }
            self.wanted = None;
        }
    }

    /// A client is gone, and nothing is its any more.
    pub(crate) fn forget_claims(&mut self, task: TaskId) {
        if let Some(wanted) = self.wanted.filter(|wanted| wanted.by == task) {
            self.unwant(wanted.ticket);
        }
        loop {
            let had = self.devices.iter_mut().find_map(|(handle, _, device)| {
                let (number, interface) =
                    device.numbered().find(|(_, interface)| interface.owner == Some(task))?;
                interface.owner = None;
                Some((handle, number))
            });
            let Some((handle, number)) = had else { return };
            self.freed(handle, number);
        }
    }

    /// Whoever waits for an interface of a device that is gone hears so.
    pub(crate) fn end_wanted_of(&mut self, device: DeviceHandle) {
        if let Some(wanted) = self.wanted.take_if(|wanted| wanted.device == device) {
            self.end_ticket(wanted.ticket, Ended::bare(Err(UsbCoreError::DeviceGone)));
        }
    }
}
