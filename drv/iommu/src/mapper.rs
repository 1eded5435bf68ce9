//! The mapper: every operation of `idl/iommu.idol` as a function of state,
//! tables and registers.
//!
//! No system call is made here: the caller's identity and the time come in, and
//! who has to be hinted is asked for afterwards ([`Mapper::take_hints`]). So a
//! test runs it against a model of the SMMU.

mod grants;
mod news;
mod peer_side;

use abi::TaskId;
use addr::{Bus, Peer};
use dsp_abi::SESSIONS;
use dsp_abi::bell::SETSPI;
use handles::{Epoch, Table};
use iommu_api::{
    Access, Attached, GrantHandle, IommuError, Part, Status, TicketHandle, WindowHandle,
};
use iova::{Allocator, Refused};

use crate::Config;
use crate::domain::{Domain, TablePages};
use crate::layout::{BUS, DOORBELL, GUARD_PAGES, MAX_CONTROLLERS, OWN, PEER, event_ring};
use crate::peer::{PeerTables, Sequence};
use crate::pools::{Missing, Pages, Pools};
use crate::smmu::{Smmu, Timeout};
use crate::window::{Blocked, Flush, Life, OnBus, PARTS, Window, index, longest};

pub use grants::MAX_GRANTS;

/// Transfer rings in a space: two a window, all of one length.
const RINGS: usize = 2 * SESSIONS;
/// Pieces that the buffer area of a space can be cut into: merging brings it
/// back to one free piece between two of the at most `SESSIONS` buffers.
const BUFFERS: usize = 4 * SESSIONS;
/// Extents that a driver can map for itself.
pub const MAX_OWN: usize = 64;
/// Operations under way: each window and each grant can have one, and clients
/// are few.
const TICKETS: usize = 24;
/// Operations under way of one client.
const TICKETS_EACH: usize = 12;
/// Milliseconds that the monitor has for a confirmation: microseconds are usual.
pub const CONFIRM_MS: u64 = 300;
/// Milliseconds after which its bell is rung again: it may have been lost, and while
/// no controller runs the monitor does not look by itself.
pub const ASK_AGAIN_MS: u64 = 150;

type Tickets =
    handles::Tickets<Sequence, Result<(), IommuError>, TicketHandle, TICKETS, TICKETS_EACH>;

/// A controller and its half of the windows.
#[derive(Clone, Debug, Hash)]
struct Controller {
    domain: Domain,
    driver: u16,
    rings: Allocator<Bus, RINGS>,
    buffers: Allocator<Bus, BUFFERS>,
    own: Allocator<Bus, MAX_OWN>,
    /// What the driver mapped for itself.
    mapped: [Option<(Bus, Pages)>; MAX_OWN],
    /// The first fault outside all windows.
    fault: Option<Blocked>,
}

impl Controller {
    fn new(number: usize, stream: u16, driver: u16) -> Self {
        let mut controller = Self {
            domain: Domain::new(number as u8, stream),
            driver,
            rings: Allocator::new(Bus(BUS.rings.base), BUS.rings.pages(), GUARD_PAGES),
            buffers: Allocator::new(Bus(BUS.buffers.base), BUS.buffers.pages(), GUARD_PAGES),
            own: Allocator::new(Bus(OWN.base), OWN.pages(), GUARD_PAGES),
            mapped: [None; MAX_OWN],
            fault: None,
        };
        controller.clear();
        controller
    }

    fn clear(&mut self) {
        self.rings = Allocator::new(Bus(BUS.rings.base), BUS.rings.pages(), GUARD_PAGES);
        self.buffers = Allocator::new(Bus(BUS.buffers.base), BUS.buffers.pages(), GUARD_PAGES);
        self.own = Allocator::new(Bus(OWN.base), OWN.pages(), GUARD_PAGES);
        self.mapped = [None; MAX_OWN];
        self.fault = None;
    }

    fn allocate(&mut self, part: Part, window: usize, bytes: u64) -> Result<Bus, Refused> {
        match part {
            Part::EventRing => Ok(Bus(event_ring(window))),
            Part::DataRing | Part::SyncRing => self.rings.allocate(bytes),
            Part::Buffer => self.buffers.allocate(bytes),
        }
    }

    fn release(&mut self, part: Part, at: Bus, bytes: u64) {
        match part {
            Part::EventRing => {}
            Part::DataRing | Part::SyncRing => {
                self.rings.release(at, bytes);
            }
            Part::Buffer => {
                self.buffers.release(at, bytes);
            }
        }
    }
}

/// The mapper.
#[derive(Clone, Debug, Hash)]
pub struct Mapper<'c> {
    config: &'c Config,
    smmu: Smmu<'c>,
    tables: TablePages,
    controllers: [Option<Controller>; MAX_CONTROLLERS],
    pools: Pools,
    windows: Table<Window, WindowHandle, SESSIONS>,
    grants: Table<grants::Grant, GrantHandle, MAX_GRANTS>,
    tickets: Tickets,
    /// Tickets that ended and whose owners were not told yet.
    ended: [Option<(TaskId, TicketHandle)>; TICKETS],
    peer: PeerTables<'c>,
    peer_rings: Allocator<Peer, RINGS>,
    peer_buffers: Allocator<Peer, BUFFERS>,
    /// What the monitor may hold of an earlier life of this task.
    earlier: Option<Flush>,
    /// When the monitor's bell is rung again, if it has not confirmed by then.
    ask_again: Option<u64>,
    faults: u32,
    /// Whether the fault interrupt is held back until what faulted is gone.
    masked: bool,
    /// Tasks to be hinted, a bit each by index.
    hints: u32,
}

impl<'c> Mapper<'c> {
    /// Takes SMMU and peer space over in life `epoch` of this task.
    ///
    /// # Errors
    /// When the SMMU does not answer: the machine is broken.
    ///
    /// # Panics
    /// When the image has more controllers or pools than there is place for.
    pub fn take_over(config: &'c Config, epoch: Epoch, now: u64) -> Result<Self, Timeout> {
        assert!(config.controllers.len() <= MAX_CONTROLLERS, "more than MAX_CONTROLLERS");
        let smmu = Smmu::take_over(&config.smmu, &config.tables)?;
        let (peer, earlier) =
            PeerTables::take_over(&config.tables, &config.answers, &config.bells, epoch.0);
        let mut controllers = core::array::from_fn(|_| None);
        for (number, spec) in config.controllers.iter().enumerate() {
            controllers[number] = Some(Controller::new(number, spec.stream, spec.driver));
        }
        Ok(Self {
            config,
            smmu,
            tables: TablePages::new(&config.tables),
            controllers,
            pools: Pools::new(config.pools),
            windows: Table::new(epoch),
            grants: Table::new(epoch),
            tickets: Tickets::new(epoch),
            ended: [None; TICKETS],
            peer,
            peer_rings: Allocator::new(Peer(PEER.rings.base), PEER.rings.pages(), GUARD_PAGES),
            peer_buffers: Allocator::new(
                Peer(PEER.buffers.base),
                PEER.buffers.pages(),
                GUARD_PAGES,
            ),
            earlier: earlier.map(|sequence| Flush { sequence, deadline: now + CONFIRM_MS }),
            ask_again: earlier.map(|_| now + ASK_AGAIN_MS),
            faults: 0,
            masked: false,
            hints: 0,
        })
    }

    /// Puts the caller's controller under translation, with nothing mapped but
    /// the doorbell; what an earlier call left is gone.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn attach(&mut self, caller: TaskId) -> Result<Attached, IommuError> {
        let number = self.controller_of(caller)?;
        let controller = self.controllers[number].as_mut().ok_or(IommuError::NoController)?;
        let pool = &self.config.tables;
        if controller.domain.is_attached() {
            // The SMMU may read the old tables until it has forgotten them.
            controller.domain.detach(pool);
            self.smmu.forget_stream(controller.domain.stream())?;
            self.smmu.forget_space(controller.domain.asid())?;
            for (_, pages) in controller.mapped.iter().flatten() {
                self.pools.unmap_bus(*pages);
            }
            controller.domain.clear(pool, &mut self.tables);
        }
        controller.clear();
        for (_, _, window) in self.windows.iter_mut() {
            if window.controller == number {
                for part in &mut window.bus {
                    if let Some(part) = part.take() {
                        self.pools.unmap_bus(part.pages);
                    }
                }
            }
        }
        self.pools.release_quarantine(Missing::Controller(number));
        controller.domain.attach(pool, &mut self.tables)?;
        let frame = self.config.bells.base();
        let doorbell = Bus(DOORBELL);
        controller.domain.map(pool, &mut self.tables, doorbell, frame, 1, Access::ReadWrite)?;
        self.smmu.forget_stream(controller.domain.stream())?;
        let stream = controller.domain.stream();
        self.write_windows();
        self.reap();
        Ok(Attached { stream: stream.into(), doorbell: doorbell.plus(SETSPI.into()) })
    }

    /// Maps pages of the caller's for its controller, outside every window.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn map(
        &mut self,
        caller: TaskId,
        pool: u8,
        page: u16,
        count: u16,
        access: Access,
    ) -> Result<Bus, IommuError> {
        let number = self.controller_of(caller)?;
        let pages = self.pages_of(caller, (pool, page, count))?;
        if self.pools.is_at_peer(pages) {
            return Err(IommuError::StillMapped);
        }
        let controller = self.attached(number)?;
        let place =
            controller.mapped.iter().position(Option::is_none).ok_or(IommuError::NoAddresses)?;
        let at = controller.own.allocate(pages.bytes()).map_err(|_| IommuError::NoAddresses)?;
        if let Err(error) = self.map_pages(number, at, pages, access) {
            self.attached(number)?.own.release(at, pages.bytes());
            return Err(error);
        }
        self.attached(number)?.mapped[place] = Some((at, pages));
        Ok(at)
    }

    /// Takes back what [`Self::map`] gave.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn unmap(&mut self, caller: TaskId, at: Bus) -> Result<(), IommuError> {
        let number = self.controller_of(caller)?;
        let controller = self.attached(number)?;
        let place = controller
            .mapped
            .iter()
            .position(|mapped| mapped.is_some_and(|(base, _)| base == at))
            .ok_or(IommuError::NotMapped)?;
        let (_, pages) = controller.mapped[place].take().ok_or(IommuError::NotMapped)?;
        self.unmap_pages(number, at, pages)?;
        self.attached(number)?.own.release(at, pages.bytes());
        Ok(())
    }

    /// A window for the caller. Its place in the table is its number for the
    /// monitor, and decides where its event ring lies.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn open_window(
        &mut self,
        caller: TaskId,
        controller: u8,
    ) -> Result<WindowHandle, IommuError> {
        let number = usize::from(controller);
        if self.controllers.get(number).is_none_or(Option::is_none) {
            return Err(IommuError::BadController);
        }
        self.windows.insert(caller, Window::new(number)).map_err(|_| IommuError::NoWindows)
    }

    /// Gives a window back.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn close_window(&mut self, caller: TaskId, handle: WindowHandle) -> Result<(), IommuError> {
        let window = self.window_of(caller, handle)?;
        if !window.is_off_bus() || !window.is_off_peer() {
            return Err(IommuError::StillMapped);
        }
        window.life = Life::Closed;
        self.reap();
        Ok(())
    }

    /// Lets the window's controller see pages of the caller's.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn place(
        &mut self,
        caller: TaskId,
        handle: WindowHandle,
        part: Part,
        pages: (u8, u16, u16),
        access: Access,
    ) -> Result<Bus, IommuError> {
        let window = *self.window(handle)?;
        let pages = self.pages_of(caller, pages)?;
        if pages.count() > longest(part) {
            return Err(IommuError::PartTooLong);
        }
        if window.bus[index(part)].is_some() {
            return Err(IommuError::AlreadyMapped);
        }
        // The peer has the same event ring and buffer, and never a real ring.
        if let Some(peer) = window.peer[index(part)] {
            let shared = matches!(part, Part::EventRing | Part::Buffer);
            if shared != (peer.pages == pages) {
                return Err(IommuError::BadPages);
            }
        } else if self.pools.is_at_peer(pages) {
            return Err(IommuError::StillMapped);
        }
        let access = match part {
            // A controller never writes a transfer ring.
            Part::DataRing | Part::SyncRing => Access::Read,
            Part::EventRing | Part::Buffer => access,
        };
        let number = window.controller;
        let controller = self.attached(number)?;
        let at = controller
            .allocate(part, number_of(handle), pages.bytes())
            .map_err(|_| IommuError::NoAddresses)?;
        if let Err(error) = self.map_pages(number, at, pages, access) {
            self.attached(number)?.release(part, at, pages.bytes());
            return Err(error);
        }
        let placer = caller.index() as u16;
        self.window(handle)?.bus[index(part)] = Some(OnBus { at, pages, placer });
        self.write_windows();
        Ok(at)
    }

    /// Takes back what the caller placed.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn displace(
        &mut self,
        caller: TaskId,
        handle: WindowHandle,
        part: Part,
    ) -> Result<(), IommuError> {
        let window = *self.window(handle)?;
        let on_bus = window.bus[index(part)].ok_or(IommuError::NotMapped)?;
        if usize::from(on_bus.placer) != caller.index() {
            return Err(IommuError::NotOwner);
        }
        if window.peer[index(part)].is_some_and(|peer| peer.is_held()) {
            return Err(IommuError::StillMapped);
        }
        let done = self.displace_part(handle, part, on_bus);
        self.reap();
        done
    }

    /// What there is.
    #[must_use]
    pub fn status(&self) -> Status {
        let open = || self.windows.iter().filter(|(_, _, window)| window.life != Life::Closed);
        let parts = |window: &Window| {
            window.bus.iter().flatten().map(|part| part.pages.count()).sum::<u16>()
        };
        let held = |window: &Window| {
            let held = window.peer.iter().flatten().filter(|part| part.is_held());
            held.map(|part| part.pages.count()).sum::<u16>()
        };
        Status {
            windows: open().count() as u16,
            grants: self.grants.len() as u16,
            bus_pages: self.windows.iter().map(|(_, _, window)| parts(window)).sum(),
            peer_pages: self.windows.iter().map(|(_, _, window)| held(window)).sum(),
            quarantined: self.pools.quarantined(),
            faults: self.faults,
        }
    }

    /// Pages of the caller's that it can have used for something.
    fn pages_of(
        &self,
        caller: TaskId,
        (pool, page, count): (u8, u16, u16),
    ) -> Result<Pages, IommuError> {
        if let Some(earlier) = self.earlier {
            // The monitor may still hold what an earlier life mapped. One that is
            // late may not have heard of it; whoever comes back later finds out.
            if earlier.deadline == peer_side::NO_DEADLINE {
                self.peer.ring();
            }
            return Err(IommuError::Quarantined);
        }
        self.pools.check(caller, pool, page, count)
    }

    fn controller_of(&self, caller: TaskId) -> Result<usize, IommuError> {
        self.controllers
            .iter()
            .position(|controller| {
                controller.as_ref().is_some_and(|it| usize::from(it.driver) == caller.index())
            })
            .ok_or(IommuError::NoController)
    }

    fn attached(&mut self, number: usize) -> Result<&mut Controller, IommuError> {
        let controller = self.controllers[number].as_mut().ok_or(IommuError::BadController)?;
        if !controller.domain.is_attached() {
            return Err(IommuError::NotAttached);
        }
        Ok(controller)
    }

    /// The window that a handle names, for whoever holds the handle.
    fn window(&mut self, handle: WindowHandle) -> Result<&mut Window, IommuError> {
        let (_, window) = self.windows.find_mut(handle).map_err(code)?;
        if window.life == Life::Closed { Err(IommuError::Stale) } else { Ok(window) }
    }

    /// The window that its opener names.
    fn window_of(
        &mut self,
        caller: TaskId,
        handle: WindowHandle,
    ) -> Result<&mut Window, IommuError> {
        let window = self.windows.get_mut(handle, caller).map_err(code)?;
        if window.life == Life::Open { Ok(window) } else { Err(IommuError::Stale) }
    }

    fn map_pages(
        &mut self,
        number: usize,
        at: Bus,
        pages: Pages,
        access: Access,
    ) -> Result<(), IommuError> {
        self.pools.map_bus(pages)?;
        let to = self.pools.phys(pages);
        let controller = self.controllers[number].as_mut().ok_or(IommuError::BadController)?;
        let pool = &self.config.tables;
        let mapped = controller.domain.map(pool, &mut self.tables, at, to, pages.count(), access);
        if mapped.is_err() {
            self.pools.unmap_bus(pages);
        }
        mapped
    }

    /// Takes pages from a controller and waits until the SMMU has forgotten
    /// them; if it does not, they are not used again.
    fn unmap_pages(&mut self, number: usize, at: Bus, pages: Pages) -> Result<(), IommuError> {
        let controller = self.controllers[number].as_mut().ok_or(IommuError::BadController)?;
        controller.domain.unmap(&self.config.tables, at, pages.count());
        self.pools.unmap_bus(pages);
        let forgotten = self.smmu.forget_pages(controller.domain.asid(), at, pages.count());
        if forgotten.is_err() {
            self.pools.quarantine(pages, Missing::Controller(number));
        }
        Ok(forgotten?)
    }

    fn displace_part(
        &mut self,
        handle: WindowHandle,
        part: Part,
        on_bus: OnBus,
    ) -> Result<(), IommuError> {
        let (_, window) = self.windows.find_mut(handle).map_err(code)?;
        let number = window.controller;
        window.bus[index(part)] = None;
        // The monitor stops letting TRBs point there before it is gone.
        self.write_windows();
        self.unmap_pages(number, on_bus.at, on_bus.pages)?;
        self.attached(number)?.release(part, on_bus.at, on_bus.pages.bytes());
        Ok(())
    }

    /// Brings the window page up to date, and tells the monitor.
    fn write_windows(&mut self) {
        let mut entries = [dsp_abi::control::WindowEntry::default(); SESSIONS];
        for (handle, _, window) in self.windows.iter() {
            entries[number_of(handle)] = window.entry();
        }
        let mut changed = false;
        for (number, entry) in entries.iter().enumerate() {
            changed |= self.peer.write_window(number, entry);
        }
        if changed {
            self.peer.request();
        }
    }

    /// Takes down what nobody uses any more: parts of windows whose opener died,
    /// windows that are empty.
    fn reap(&mut self) {
        while let Some((handle, part, on_bus)) = self.orphaned_part() {
            // On a time-out the pages are quarantined, which is all there is.
            let _ = self.displace_part(handle, part, on_bus);
        }
        let masked = self.masked;
        self.windows.retain(|_, _, window| {
            let empty = window.is_off_bus() && window.is_off_peer();
            if empty && window.life == Life::Orphan {
                window.life = Life::Closed;
            }
            if window.life == Life::Closed {
                window.fault = None;
            }
            window.life != Life::Closed || window.has_lost()
        });
        if masked && !self.anything_faulted() {
            self.unmask();
        }
    }

    /// A part that an opener placed and left behind. It stays as long as the
    /// controller's driver has the rings placed that lead to it.
    fn orphaned_part(&self) -> Option<(WindowHandle, Part, OnBus)> {
        self.windows.iter().find_map(|(handle, owner, window)| {
            let driven = [Part::DataRing, Part::SyncRing]
                .iter()
                .any(|&ring| window.bus[index(ring)].is_some());
            if window.life != Life::Orphan || !window.is_off_peer() || driven {
                return None;
            }
            PARTS.iter().zip(&window.bus).find_map(|(&part, on_bus)| {
                on_bus
                    .filter(|on_bus| usize::from(on_bus.placer) == owner.index())
                    .map(|on_bus| (handle, part, on_bus))
            })
        })
    }
}

/// The number of a window: its place in the table.
fn number_of(handle: WindowHandle) -> usize {
    usize::from(handles::Handle::raw(handle).index)
}

const fn code(error: handles::HandleError) -> IommuError {
    match error {
        handles::HandleError::StaleServer => IommuError::StaleServer,
        handles::HandleError::Stale => IommuError::Stale,
        handles::HandleError::NotOwner => IommuError::NotOwner,
    }
}
