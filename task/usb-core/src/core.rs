//! All that the USB core knows, and what happens to it from below.
//!
//! Events of the driver and the clock come in here; clients' operations are in
//! `ops`, the way of a device from its port in `ports`, tickets' work in
//! `jobs`. Time is a number that the caller passes in.

use abi::TaskId;
use handles::{Epoch, Table};
use usb_core_api::{DeviceHandle, PowerState, Status, SystemPower, UsbCoreError};
use xhci_api::{Event, TicketHandle as Below};

use crate::claims::Wanted;
use crate::clients::Clients;
use crate::controller::{Controller, is_lost};
use crate::controllers::{ControllerNumber, Controllers, Ports, place};
use crate::device::{Device, PortNumber, StoreIndex};
use crate::hub::Hub;
use crate::hubs::{Hubs, Limits};
use crate::jobs::Jobs;
use crate::ports::{Closing, MAX_CLOSING, Port};
use crate::sleep::Sleep;
use crate::{HUBS, MAX_CONFIGURATION, MAX_DEVICES};

/// How long to wait before what was refused as crowded is asked for again.
pub(crate) const CROWDED_MS: u64 = 10;

/// The owner of every entry of the device table: the table is the core's own,
/// clients only name its entries.
pub(crate) const SELF: TaskId = TaskId::KERNEL;

/// What went on; for whoever looks in with a debugger.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
pub(crate) enum Trace {
    #[count(skip)]
    None,
    Connected(PortNumber),
    Step(PortNumber, crate::enumerate::Step),
    Attached(PortNumber),
    EnumerationFailed(PortNumber, crate::enumerate::Failure),
    GivenUp(PortNumber),
    Detached(PortNumber),
    ControllerLost(ControllerNumber),
    SlotNotDisabled(xhci_api::XhciError),
    DescriptorIssues(PortNumber, u16),
    Switched {
        interface: u8,
        alternate: u8,
    },
    ClientGone(TaskId),
    System(SystemPower),
    PowerChanged(PortNumber, PowerState),
    Signalled(PortNumber),
    Owed(PortNumber, u8),
    Replaced(PortNumber),
    Resetting(PortNumber),
    /// An interface is this task's, which took it.
    Taken(TaskId),
    /// A client was refused, and for what.
    #[count(children)]
    Refused(usb_core_api::UsbCoreError),
    HubLeft(PortNumber, crate::hubs::Left),
    HubPortsLeft(PortNumber, u8),
    HubFailed(PortNumber, crate::hub::Failure),
}

ringbuf::counted_ringbuf!(Trace, 64, Trace::None);

pub(crate) fn trace(event: Trace) {
    ringbuf::ringbuf_entry!(event);
}

/// What the image decides.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Settings {
    /// The task that may suspend the system.
    pub(crate) power: Option<u16>,
    /// How long a device is idle before it goes down by itself.
    pub(crate) autosuspend_ms: Option<u64>,
    /// How many hubs are served.
    pub(crate) hubs: Limits,
}

/// The device tree over `N` controllers.
pub(crate) struct Core<C, const N: usize = 1> {
    pub(crate) controllers: Controllers<C, N>,
    pub(crate) settings: Settings,
    pub(crate) sleep: Sleep,
    pub(crate) devices: Table<Device, DeviceHandle, MAX_DEVICES>,
    pub(crate) ports: Ports<N>,
    pub(crate) hubs: Hubs<N>,
    /// Configurations, and which places are taken.
    pub(crate) stores: [[u8; MAX_CONFIGURATION]; MAX_DEVICES],
    pub(crate) stores_taken: u8,
    /// Slots of each controller that are being given up.
    pub(crate) closing: [[Option<Closing>; MAX_CLOSING]; N],
    pub(crate) jobs: Jobs,
    pub(crate) wanted: Option<Wanted>,
    pub(crate) clients: Clients,
    pub(crate) failed_enumerations: u32,
    /// When to ask again for what was refused as crowded.
    pub(crate) retry_at: Option<u64>,
}

impl<C: Controller, const N: usize> Core<C, N> {
    /// Not inlined: what it is put together of would stay on the stack for ever.
    #[inline(never)]
    pub(crate) fn new(controllers: [C; N], epoch: Epoch, settings: Settings) -> Self {
        const { assert!(MAX_DEVICES <= 8, "stores_taken has 8 bits") };
        Self {
            controllers: Controllers(controllers),
            settings,
            sleep: Sleep::new(),
            devices: Table::new(epoch),
            ports: Ports::new(),
            hubs: Hubs::new(),
            stores: [[0; MAX_CONFIGURATION]; MAX_DEVICES],
            stores_taken: 0,
            closing: [[None; MAX_CLOSING]; N],
            jobs: Jobs::new(epoch),
            wanted: None,
            clients: Clients::new(),
            failed_enumerations: 0,
            retry_at: None,
        }
    }

    /// Looks at everything of a controller once: at start, and at a new life of
    /// its driver.
    pub(crate) fn begin(&mut self, controller: ControllerNumber, now: u64) {
        self.take_news(controller, now);
        self.scan(controller, now);
        self.advance(now);
    }

    /// Takes every driver's news until there is none.
    pub(crate) fn pull_all(&mut self, now: u64) {
        for controller in Controllers::<C, N>::numbers() {
            self.take_news(controller, now);
        }
        self.advance(now);
    }

    fn take_news(&mut self, controller: ControllerNumber, now: u64) {
        loop {
            match self.controllers.get(controller).pull() {
                Ok(Event::None) => break,
                Ok(event) => self.event(controller, event, now),
                // The driver died; its next life is begun with when `jefe`
                // tells of it.
                Err(error) => {
                    if is_lost(error) {
                        self.lose_controller(controller);
                    }
                    break;
                }
            }
        }
    }

    fn event(&mut self, controller: ControllerNumber, event: Event, now: u64) {
        match event {
            Event::PortChanged { port } => {
                if let Some(port) = PortNumber::new(controller, port) {
                    self.look_at(port, now);
                }
            }
            Event::TicketDone(ticket) => self.ticket_done(controller, ticket, now),
            Event::IsochProgress { slot, .. }
                if HUBS && self.hub_reported(controller, slot, now) => {}
            Event::IsochProgress { slot, dci } => {
                let is_it = |device: &Device| {
                    device.slot.handle == slot && Controllers::<C, N>::has(controller, device.port)
                };
                let found = self.devices.iter_mut().find(|(_, _, device)| is_it(device));
                if let Some((handle, _, device)) = found
                    && let Some(owner) = device.endpoint_owner(dci)
                {
                    self.clients.progress(owner, handle, dci);
                }
            }
            Event::ControllerDied => self.lose_controller(controller),
            Event::ControllerReady => self.scan(controller, now),
            // To the broker, and never sent here.
            Event::Revoked { .. } | Event::ControllerSafe | Event::None => {}
        }
    }

    fn ticket_done(&mut self, controller: ControllerNumber, ticket: Below, now: u64) {
        let taken = self.enumeration_answered(controller, ticket, now)
            || self.job_answered(controller, ticket)
            || self.change_answered(controller, ticket, now)
            || self.slot_closed(controller, ticket, now)
            || HUBS && self.hub_answered(controller, ticket, now);
        if !taken {
            // Of something that was given up meanwhile: its place is freed.
            let _ = self.controllers.get(controller).cancel(ticket);
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: u64) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.close_slots(now);
        }
        self.tick_ports(now);
        self.tick_claims(now);
        self.advance(now);
    }

    /// When [`tick`](Self::tick) is due next; never while nothing is on its way.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let ports = self.ports.iter().filter_map(Port::deadline);
        let claim = self.wanted.map(|wanted| wanted.until);
        let due = ports.chain(self.retry_at).chain(self.idle_deadline()).chain(claim).min();
        if !HUBS {
            return due;
        }
        self.hubs.iter().filter_map(Hub::deadline).chain(due).min()
    }

    pub(crate) fn retry_later(&mut self, now: u64) {
        let at = now + CROWDED_MS;
        self.retry_at = Some(self.retry_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// A controller or its driver is gone, and with it every slot, ticket and
    /// device of it.
    pub(crate) fn lose_controller(&mut self, controller: ControllerNumber) {
        trace(Trace::ControllerLost(controller));
        if HUBS {
            self.hubs.lose(controller);
        }
        self.closing[place::<N>(controller)] = [None; MAX_CLOSING];
        for index in 0..Ports::<N>::len() {
            if !Controllers::<C, N>::has(controller, PortNumber::at(index)) {
                continue;
            }
            match core::mem::replace(&mut self.ports[index], Port::Empty) {
                Port::Attached(device) => {
                    self.withdraw(device);
                }
                Port::Enumerating(attempt) => {
                    self.free_store(attempt.store);
                    if let Some(device) = attempt.of {
                        self.withdraw(device);
                    }
                }
                Port::Empty | Port::GivenUp => {}
            }
        }
    }

    /// Another life of a client began: what the old one had is taken back.
    /// What it started on the bus ends by itself.
    /// What is not held any more is seen to by the next
    /// [`advance`](Self::advance).
    pub(crate) fn forget_client(&mut self, task: TaskId) {
        trace(Trace::ClientGone(task));
        self.clients.forget(task);
        self.jobs.forget(task);
        for (_, _, device) in self.devices.iter_mut() {
            // Not held is what most clients are.
            let _ = device.power.unhold(task);
        }
        self.forget_claims(task);
    }

    /// Takes a device out of the tree: its handle is void, its tickets are
    /// ready with `DeviceGone`, its clients hear of it.
    pub(crate) fn withdraw(&mut self, handle: DeviceHandle) -> Option<Device> {
        let mut device = self.devices.take(handle).ok()?;
        device.power.end();
        trace(Trace::Detached(device.port));
        self.free_store(Some(device.store));
        self.end_change_of(&device);
        self.end_reset_of(&mut device, Err(UsbCoreError::DeviceGone));
        self.end_wanted_of(handle);
        self.end_jobs_of(handle, device.port);
        self.clients.devices_changed();
        Some(device)
    }

    pub(crate) fn take_store(&mut self) -> Option<StoreIndex> {
        let free = (!self.stores_taken).trailing_zeros();
        if free as usize >= MAX_DEVICES {
            return None;
        }
        self.stores_taken |= 1 << free;
        Some(StoreIndex(free as u8))
    }

    pub(crate) fn free_store(&mut self, store: Option<StoreIndex>) {
        if let Some(StoreIndex(index)) = store {
            self.stores_taken &= !(1 << index);
        }
    }

    /// What is attached and held. A controller that failed without a word is found
    /// out by this; what comes of it is news.
    pub(crate) fn status(&self) -> Status {
        for controller in Controllers::<C, N>::numbers() {
            let _ = self.controllers.get(controller).info();
        }
        let owed = self.devices.iter().map(|(_, _, device)| device.change.owed.count_ones());
        Status {
            devices: self.devices.len() as u8,
            holds: self.devices.iter().map(|(_, _, device)| device.power.holds() as u8).sum(),
            suspended: self.devices.iter().filter(|(.., device)| !device.is_up()).count() as u8,
            owed: owed.sum::<u32>() as u8,
            system: self.sleep.system(),
            failed_enumerations: self.failed_enumerations,
        }
    }
}
