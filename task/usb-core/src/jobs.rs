//! Tickets and the work behind them: control transfers and switches.
//!
//! A device does one thing at a time, the oldest first, since they share its
//! endpoint 0. The work is kept apart from its ticket: a ticket can be
//! cancelled, or die with its client, while what it began on the bus has to be
//! brought to its end and entered in the books.

use abi::TaskId;
use handles::{Cancelled, Epoch, HandleError, Outcome, Tickets};
use scarce::{Scarce, spent};
use usb_core_api::{DeviceHandle, TicketHandle, UsbCoreError};
use usb_types::{Direction, Setup};
use xhci_api::{SlotHandle, TicketHandle as Below, XhciError};

use crate::clients::TICKETS_EACH;
use crate::controller::{Controller, is_crowded, refusal};
use crate::controllers::{ControllerNumber, Controllers};
use crate::core::{Core, Trace, trace};
use crate::device::PortNumber;
use crate::switch::{Next, Standing, Switch};
use crate::{MAX_CONTROL, MAX_DEVICES};

/// Tickets of all clients.
const MAX_TICKETS: usize = 16;

/// Work of all tickets, and per device of one cancelled ticket and one request
/// of this task's own.
const MAX_JOBS: usize = MAX_TICKETS + 2 * MAX_DEVICES;

/// How a ticket's work ended: the bytes of an IN data stage, if any.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) result: Result<(), UsbCoreError>,
    data: [u8; MAX_CONTROL],
    len: u16,
}

impl Ended {
    pub(crate) const fn bare(result: Result<(), UsbCoreError>) -> Self {
        Self { result, data: [0; MAX_CONTROL], len: 0 }
    }

    /// What arrived.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data[..usize::from(self.len).min(MAX_CONTROL)]
    }
}

/// What a ticket stands for.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Work {
    /// A control transfer with its OUT data.
    Control(Setup, [u8; MAX_CONTROL]),
    /// A switch of alternate settings.
    Switch(Switch),
}

impl Work {
    /// A request without data.
    pub(crate) const fn bare(setup: Setup) -> Self {
        Self::Control(setup, [0; MAX_CONTROL])
    }

    /// Whether what is next of it needs the device to be up.
    const fn needs_device(&self) -> bool {
        match self {
            Self::Control(..) => true,
            Self::Switch(switch) => switch.needs_device(),
        }
    }
}

#[derive(Copy, Clone, Debug)]
struct Job {
    /// Gone once nobody waits for the end.
    ticket: Option<TicketHandle>,
    device: DeviceHandle,
    /// Jobs of a device run in this order.
    order: u32,
    work: Work,
    /// What the driver works at now.
    running: Option<Below>,
    /// It is this task's own; it goes before all others.
    own: bool,
}

/// All work and its tickets.
#[derive(Debug)]
pub(crate) struct Jobs {
    list: [Option<Job>; MAX_JOBS],
    tickets: Tickets<(), Ended, TicketHandle, MAX_TICKETS, TICKETS_EACH>,
    next_order: u32,
}

impl Jobs {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { list: [None; MAX_JOBS], tickets: Tickets::new(epoch), next_order: 0 }
    }

    /// A ticket of `owner`'s for `work` on `device`.
    pub(crate) fn start(
        &mut self,
        owner: TaskId,
        device: DeviceHandle,
        work: Work,
    ) -> Result<TicketHandle, UsbCoreError> {
        let place = self.list.iter().position(Option::is_none).filter(|_| !spent(Scarce::Ticket));
        let place = place.ok_or(UsbCoreError::NoTickets)?;
        let ticket = self.tickets.start(owner, ()).map_err(|_| UsbCoreError::NoTickets)?;
        let order = self.next_order;
        self.next_order = order.wrapping_add(1);
        let job = Job { ticket: Some(ticket), device, order, work, running: None, own: false };
        self.list[place] = Some(job);
        Ok(ticket)
    }

    /// A ticket without work of its own: whoever began what it waits for ends it.
    pub(crate) fn start_bare(&mut self, owner: TaskId) -> Result<TicketHandle, UsbCoreError> {
        self.tickets.start(owner, ()).map_err(|_| UsbCoreError::NoTickets)
    }

    /// Work of this task's own on a device that has none yet.
    pub(crate) fn start_own(&mut self, device: DeviceHandle, work: Work) {
        let order = self.next_order;
        self.next_order = order.wrapping_add(1);
        let place = self.list.iter_mut().find(|place| place.is_none());
        // There is a place for one such request per device.
        if let Some(place) = place {
            *place = Some(Job { ticket: None, device, order, work, running: None, own: true });
        }
    }

    /// Whether there is any work for `device`.
    pub(crate) fn any_of(&self, device: DeviceHandle) -> bool {
        self.list.iter().flatten().any(|job| job.device == device)
    }

    /// Whether there is work of this task's own for `device`.
    pub(crate) fn own_of(&self, device: DeviceHandle) -> bool {
        self.list.iter().flatten().any(|job| job.device == device && job.own)
    }

    /// Whether work waits for `device` to be up.
    pub(crate) fn waits(&self, device: DeviceHandle) -> bool {
        let waits = |job: &Job| job.running.is_none() && job.work.needs_device();
        self.list.iter().flatten().any(|job| job.device == device && waits(job))
    }

    /// Whether `interface` of `device` is being switched.
    pub(crate) fn switches(&self, device: DeviceHandle, interface: u8) -> bool {
        self.list.iter().flatten().any(|job| {
            job.device == device
                && matches!(job.work, Work::Switch(switch) if switch.interface() == interface)
        })
    }

    /// How a ticket's work ended.
    pub(crate) fn result(
        &mut self,
        ticket: TicketHandle,
        caller: TaskId,
    ) -> Result<Ended, UsbCoreError> {
        match self.tickets.result(ticket, caller).map_err(ticket_error)? {
            Outcome::Pending => Err(UsbCoreError::NotYet),
            Outcome::Done(ended) => Ok(ended),
        }
    }

    /// Forgets a ticket; work that has not begun is not begun.
    pub(crate) fn cancel(
        &mut self,
        ticket: TicketHandle,
        caller: TaskId,
    ) -> Result<(), UsbCoreError> {
        let cancelled = self.tickets.cancel(ticket, caller).map_err(ticket_error)?;
        if let Cancelled::Pending(()) = cancelled {
            self.orphan(ticket);
        }
        Ok(())
    }

    /// Forgets all tickets of an incarnation that is gone.
    pub(crate) fn forget(&mut self, owner: TaskId) {
        while let Some((ticket, _)) = self.tickets.take_owned(owner) {
            self.orphan(ticket);
        }
    }

    /// Whether there is neither work nor a ticket.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.list.iter().all(Option::is_none) && self.tickets.is_empty()
    }

    fn orphan(&mut self, ticket: TicketHandle) {
        for place in &mut self.list {
            if let Some(job) = place
                && job.ticket == Some(ticket)
            {
                job.ticket = None;
                if !job.has_begun() {
                    *place = None;
                }
            }
        }
    }

    /// The oldest job of a device when none of its jobs is running.
    fn due(&self, device: DeviceHandle) -> Option<usize> {
        let of_device = |job: &&Job| job.device == device;
        let jobs = || self.list.iter().flatten().filter(of_device);
        if jobs().any(|job| job.running.is_some()) {
            return None;
        }
        // Orders wrap, so age is a difference.
        let age = |job: &Job| (job.own, self.next_order.wrapping_sub(job.order));
        let oldest = jobs().map(age).max()?;
        self.list.iter().position(|job| {
            job.as_ref().is_some_and(|job| job.device == device && age(job) == oldest)
        })
    }
}

impl Job {
    /// Whether something of it has been asked of the bus.
    fn has_begun(&self) -> bool {
        self.running.is_some() || matches!(self.work, Work::Switch(switch) if switch.has_begun())
    }
}

fn ticket_error(error: HandleError) -> UsbCoreError {
    match error {
        HandleError::StaleServer => UsbCoreError::StaleServer,
        HandleError::Stale => UsbCoreError::Stale,
        HandleError::NotOwner => UsbCoreError::NotOwner,
    }
}

/// Asks a device's driver for what a switch needs next.
fn ask_switch<C: Controller>(
    driver: &C,
    slot: SlotHandle,
    switch: &Switch,
) -> Result<Below, XhciError> {
    match switch.next() {
        Next::Configure { drop, add } => driver.start_configure(slot, drop, &add),
        Next::Tell(setup) => driver.start_control(slot, setup, &[]),
        // Over is what `advance` says, never what is next.
        Next::Over(..) => Err(XhciError::Busy),
    }
}

impl<C: Controller, const N: usize> Core<C, N> {
    /// Starts, on each device that is idle, the oldest job that waits.
    pub(crate) fn advance_jobs(&mut self, now: u64) {
        let mut idle = [None; MAX_DEVICES];
        for (place, (handle, _, _)) in idle.iter_mut().zip(self.devices.iter()) {
            *place = Some(handle);
        }
        for device in idle.into_iter().flatten() {
            while let Some(index) = self.jobs.due(device) {
                if !self.start_job(index, now) {
                    break;
                }
            }
        }
    }

    /// Asks the driver for what a job needs next. False when it must wait.
    fn start_job(&mut self, index: usize, now: u64) -> bool {
        let Some(job) = self.jobs.list[index] else { return false };
        let Ok((_, device)) = self.devices.find(job.device) else {
            self.end_job(index, Ended::bare(Err(UsbCoreError::DeviceGone)));
            return true;
        };
        if job.work.needs_device() && !device.takes_requests() {
            return false;
        }
        let (port, slot) = (device.port, device.slot.handle);
        let asked = match &job.work {
            Work::Control(setup, data) => {
                let out = match setup.direction() {
                    Direction::Out => usize::from(setup.length).min(MAX_CONTROL),
                    Direction::In => 0,
                };
                self.controllers.of(port).start_control(slot, *setup, &data[..out])
            }
            Work::Switch(switch) => ask_switch(self.controllers.of(port), slot, switch),
        };
        match asked {
            Ok(ticket) => {
                if let Some(job) = &mut self.jobs.list[index] {
                    job.running = Some(ticket);
                }
                true
            }
            Err(error) if is_crowded(error) => {
                self.retry_later(now);
                false
            }
            Err(error) => {
                self.job_ended(index, Err(error));
                true
            }
        }
    }

    /// Takes the driver's answer when `ticket` belongs to a job.
    pub(crate) fn job_answered(&mut self, controller: ControllerNumber, ticket: Below) -> bool {
        let is_its = |job: &Job| {
            N == 1
                || self
                    .devices
                    .find(job.device)
                    .is_ok_and(|(_, device)| Controllers::<C, N>::has(controller, device.port))
        };
        let is_it = |job: &Option<Job>| {
            job.as_ref().is_some_and(|job| job.running == Some(ticket) && is_its(job))
        };
        let Some(index) = self.jobs.list.iter().position(is_it) else { return false };
        let Some(job) = self.jobs.list[index] else { return false };
        let mut data = [0; MAX_CONTROL];
        let answer = match job.work {
            Work::Control(setup, _) if setup.direction() == Direction::In && setup.length > 0 => {
                self.controllers.get(controller).take_data(ticket, &mut data)
            }
            _ => self.controllers.get(controller).result(ticket).map(|_| 0),
        };
        match answer {
            Err(XhciError::NotYet) => {}
            Ok(len) => self.job_ended(index, Ok(Ended { result: Ok(()), data, len })),
            Err(error) => self.job_ended(index, Err(error)),
        }
        true
    }

    /// What the driver was asked for a job has ended.
    fn job_ended(&mut self, index: usize, answer: Result<Ended, XhciError>) {
        let Some(job) = &mut self.jobs.list[index] else { return };
        job.running = None;
        match &mut job.work {
            Work::Control(..) => {
                let ended = answer.unwrap_or_else(|error| Ended::bare(Err(refusal(error))));
                self.end_job(index, ended);
            }
            Work::Switch(switch) => {
                let next = switch.advance(answer.map(|_| ()));
                let (interface, device) = (switch.interface(), job.device);
                if let Next::Over(standing, result) = next {
                    self.enter(device, interface, standing);
                    self.end_job(index, Ended::bare(result.map_err(refusal)));
                }
            }
        }
    }

    /// Enters in the books which alternate setting stands.
    fn enter(&mut self, device: DeviceHandle, number: u8, standing: Standing) {
        trace(Trace::Switched { interface: number, alternate: standing.alternate });
        if let Ok((_, device)) = self.devices.find_mut(device)
            && let Ok(interface) = device.interface(number)
        {
            interface.standing = standing;
        }
    }

    /// A device is out of reach, and `why`: what waits for it is refused, but
    /// that an interface goes to alternate 0 is owed to the device.
    pub(crate) fn refuse_waiting(&mut self, device: DeviceHandle, why: UsbCoreError) {
        for index in 0..MAX_JOBS {
            let Some(job) = &mut self.jobs.list[index] else { continue };
            if job.device != device || job.own || job.has_begun() {
                continue;
            }
            let Work::Switch(switch) = &mut job.work else {
                self.end_job(index, Ended::bare(Err(why)));
                continue;
            };
            let (interface, was) = (switch.interface(), switch.from().alternate);
            let left = switch.skip_telling();
            if left.is_none() {
                self.end_job(index, Ended::bare(Err(why)));
                continue;
            }
            if was != 0 {
                self.owe(device, interface);
            }
            if let Some(Next::Over(standing, _)) = left {
                self.enter(device, interface, standing);
                self.end_job(index, Ended::bare(Ok(())));
            }
        }
    }

    fn end_job(&mut self, index: usize, ended: Ended) {
        let Some(ticket) = self.jobs.list[index].take().and_then(|job| job.ticket) else {
            return;
        };
        self.end_ticket(ticket, ended);
    }

    /// Ends a ticket and tells its client.
    pub(crate) fn end_ticket(&mut self, ticket: TicketHandle, ended: Ended) {
        // A job keeps its ticket only while somebody waits for it.
        if let Ok((owner, ())) = self.jobs.tickets.finish(ticket, ended) {
            self.clients.ticket_ready(owner, ticket);
        }
    }

    /// Ends all jobs of a device that is gone from `port`.
    pub(crate) fn end_jobs_of(&mut self, device: DeviceHandle, port: PortNumber) {
        for index in 0..MAX_JOBS {
            let Some(job) = self.jobs.list[index] else { continue };
            if job.device == device {
                if let Some(ticket) = job.running {
                    // The driver may have ended it by itself.
                    let _ = self.controllers.of(port).cancel(ticket);
                }
                self.end_job(index, Ended::bare(Err(UsbCoreError::DeviceGone)));
            }
        }
    }
}
