//! The driver's state, and what all of its parts use.

use crate::Config;
use crate::command::Commands;
use crate::endpoint::Endpoints;
use crate::gate::Gate;
use crate::hw::{ContextPlace, Hw, MAX_SLOTS};
use crate::interrupter::Interrupters;
use crate::news::{News, TICKETS_EACH};
use crate::op::{Kind, OpId, Ops};
use crate::pages::{Area, Page, Pages, RingAt};
use crate::rings::Rings;
use crate::sideband::Sideband;
use crate::slot::Slot;
use crate::startup::Startup;
use crate::target::Turns;
use crate::trace::{Trace, note};
use abi::TaskId;
use addr::{Bus, PAGE};
use dsp_abi::SESSIONS;
use handles::{HandleError, Table, Tickets};
use iommu_api::{Access, Iommu, IommuError};
use peers::Peers;
use trb::{ConsumerRing, PER_PAGE, ProducerRing};
use userlib::{TIMER_MASK, sys_get_timer, sys_set_timer};
use xhci_api::{Completed, SidebandHandle, SlotHandle, TicketHandle, XhciError};

userlib::task_slot!(IOMMU, iommu);

/// Tickets at once: both clients' share.
const TICKETS: usize = 2 * TICKETS_EACH;

/// What a ticket ended with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// For the client.
    pub(crate) result: Result<Completed, XhciError>,
    /// Where an IN transfer's data wait.
    pub(crate) data: Option<(Page, u16)>,
}

/// Who a message came from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    UsbCore,
    Broker,
}

/// A ring of ours that the controller sees outside every window.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransferRing {
    pub(crate) page: Page,
    pub(crate) bus: Bus,
    pub(crate) producer: ProducerRing,
}

/// Everything the driver knows.
pub(crate) struct Driver<'c> {
    pub(crate) config: &'c Config,
    pub(crate) epoch: u32,
    pub(crate) startup: Startup<'c>,
    /// The controller, from its set-up until it fails.
    pub(crate) hw: Option<Hw<'c>>,
    /// Without a controller: its reset is confirmed, so that nothing of ours
    /// can be reached by it any more.
    pub(crate) safe: bool,
    pub(crate) iommu: Iommu,
    pub(crate) peers: Peers,
    pub(crate) gate: Gate<'c>,
    pub(crate) commands: Commands,
    pub(crate) events: ConsumerRing,
    pub(crate) ops: Ops,
    pub(crate) tickets: Tickets<OpId, Ended, TicketHandle, TICKETS, TICKETS_EACH>,
    pub(crate) slots: Table<Slot, SlotHandle, MAX_SLOTS>,
    pub(crate) contexts: [bool; MAX_SLOTS],
    pub(crate) endpoints: Endpoints,
    pub(crate) sidebands: Table<Sideband, SidebandHandle, SESSIONS>,
    pub(crate) interrupters: Interrupters,
    pub(crate) turns: Turns,
    pub(crate) rings: Rings<'c>,
    /// Bounce pages that the controller reads, and writes.
    pub(crate) bounce_out: Area<'c>,
    pub(crate) bounce_in: Area<'c>,
    pub(crate) news: [News; 2],
    pub(crate) command_timeouts: u32,
    pub(crate) deaths: u32,
    timer: Option<u64>,
}

// It lives on the task's stack, twice while it is made.
const _: () = assert!(size_of::<Driver<'_>>() <= 24 * 1024);

impl<'c> Driver<'c> {
    pub(crate) fn new(config: &'c Config) -> Self {
        let epoch = peers::epoch();
        let none = || Area::new(Pages::new(&config.dma_xhci, 0, 0), Bus(0));
        let neighbours = [config.usb_core, config.offload_broker, IOMMU.get_task_index()];
        Self {
            config,
            epoch: epoch.0,
            peers: Peers::new(&neighbours),
            startup: Startup::new(),
            hw: None,
            safe: false,
            iommu: Iommu::from(IOMMU.get_task_id()),
            gate: Gate::new(config, epoch.0),
            commands: Commands::new(),
            events: ConsumerRing::new(PER_PAGE),
            ops: Ops::new(),
            tickets: Tickets::new(epoch),
            slots: Table::new(epoch),
            contexts: [false; MAX_SLOTS],
            endpoints: Endpoints::new(),
            sidebands: Table::new(epoch),
            interrupters: Interrupters::default(),
            turns: Turns::default(),
            rings: Rings::new(&config.dma_ring),
            bounce_out: none(),
            bounce_in: none(),
            news: Default::default(),
            command_timeouts: 0,
            deaths: 0,
            timer: None,
        }
    }

    /// Milliseconds since the kernel started.
    pub(crate) fn now() -> u64 {
        sys_get_timer().now
    }

    /// Sets the timer to the next thing that is due, if that changed. With
    /// nothing under way no timer runs (rule 7).
    pub(crate) fn set_timer(&mut self) {
        let due = [self.ops.deadline(), self.commands.deadline(), self.startup.deadline()];
        let next = due.into_iter().flatten().min();
        if next != self.timer {
            self.timer = next;
            sys_set_timer(next, TIMER_MASK);
        }
    }

    /// The timer went off.
    pub(crate) const fn timer_is_spent(&mut self) {
        self.timer = None;
    }

    /// The running controller.
    ///
    /// # Errors
    /// [`XhciError::NotReady`] while it starts, [`XhciError::ControllerDead`]
    /// when it does not start any more.
    pub(crate) fn running(&self) -> Result<Hw<'c>, XhciError> {
        match self.hw {
            Some(hw) => Ok(hw),
            None if self.startup.gave_up() => Err(XhciError::ControllerDead),
            None => Err(XhciError::NotReady),
        }
    }

    /// Who `task` is to this driver.
    pub(crate) fn client(&self, task: TaskId) -> Result<Client, XhciError> {
        let index = task.index();
        if index == usize::from(self.config.usb_core) {
            Ok(Client::UsbCore)
        } else if index == usize::from(self.config.offload_broker) {
            Ok(Client::Broker)
        } else {
            Err(XhciError::NotAllowed)
        }
    }

    /// Tells a client that there is news.
    pub(crate) fn hint(&self, client: Client) {
        let index = match client {
            Client::UsbCore => self.config.usb_core,
            Client::Broker => self.config.offload_broker,
        };
        if let Some(task) = self.peers.current(index) {
            peers::hint(task);
        }
    }

    /// Begins an operation that a client gets a ticket for; its admission is
    /// over, so that only tickets can run out.
    pub(crate) fn begin(&mut self, owner: TaskId, kind: Kind) -> Result<TicketHandle, XhciError> {
        let id = self.ops.start(kind);
        let ticket = self.tickets.start(owner, id).map_err(|_| XhciError::NoTickets);
        match (ticket, self.ops.get(id)) {
            (Ok(ticket), Some(mut op)) => {
                op.ticket = Some((owner, ticket));
                self.ops.put(id, op);
            }
            _ => {
                self.ops.remove(id);
            }
        }
        ticket
    }

    /// Whether `owner` can have one more ticket: asked before anything is done.
    pub(crate) fn room_for(&self, owner: TaskId) -> Result<(), XhciError> {
        self.tickets.room_for(owner).map_err(|_| XhciError::NoTickets)
    }

    /// A zeroed page of `dma_ring` that is nobody's.
    pub(crate) fn take_ring_page(&mut self) -> Result<Page, XhciError> {
        let page = self.rings.take(&self.gate).ok_or(XhciError::NoRingMemory)?;
        self.config.dma_ring.zero(page.offset(), PAGE);
        dma::publish();
        Ok(page)
    }

    /// A ring of ours, seen by the controller.
    pub(crate) fn take_ring(&mut self) -> Result<TransferRing, XhciError> {
        let page = self.take_ring_page()?;
        match self.iommu.map(self.config.dma_ring.id(), page.0, 1, Access::Read) {
            Ok(bus) => {
                let producer = ProducerRing::new(PER_PAGE);
                producer.init(&self.ring_at(page), bus);
                Ok(TransferRing { page, bus, producer })
            }
            Err(_) => {
                self.rings.give(page);
                Err(XhciError::MapFailed)
            }
        }
    }

    /// Gives a ring of ours back: the controller uses it no more.
    pub(crate) fn give_ring(&mut self, ring: TransferRing) {
        match self.iommu.unmap(ring.bus) {
            // The mapping died with an earlier life of `iommu`.
            Ok(()) | Err(IommuError::NotMapped) => self.rings.give(ring.page),
            // Until the next life of `iommu` begins, the SMMU lets through what
            // it did: the page is free again after the reset.
            Err(_) => self.die(crate::death::Cause::Mapper),
        }
    }

    /// The memory of the ring in `page`.
    pub(crate) fn ring_at(&self, page: Page) -> RingAt<'c> {
        RingAt::new(&self.config.dma_ring, page)
    }

    /// A place for a device context.
    pub(crate) fn take_context(&mut self) -> Option<ContextPlace> {
        let index = self.contexts.iter().position(|&taken| !taken)?;
        self.contexts[index] = true;
        Some(ContextPlace(index as u8))
    }

    /// Takes in that neighbours died.
    pub(crate) fn peers_changed(&mut self) {
        let mut changed = [None; 3];
        let mut count = 0;
        self.peers.refresh(|change| {
            changed[count] = Some(change);
            count += 1;
        });
        for change in changed.into_iter().flatten() {
            note(Trace::PeerDied(change.old));
            match self.client(change.old) {
                Ok(client) => self.client_died(client, change.old),
                Err(_) => {
                    self.iommu.refresh_task_id();
                    self.die(crate::death::Cause::Mapper);
                    self.startup.begin(Self::now());
                }
            }
        }
    }
}

/// What a handle's error is called in this interface.
pub(crate) const fn handle_error(error: HandleError) -> XhciError {
    match error {
        HandleError::StaleServer => XhciError::StaleServer,
        HandleError::Stale => XhciError::Stale,
        HandleError::NotOwner => XhciError::NotOwner,
    }
}
