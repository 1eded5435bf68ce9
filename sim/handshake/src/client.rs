//! The broker, as far as the handshake goes: one session after another, built up
//! in one order and taken down in the order that `teardown` gives for what is
//! held.

use crate::driver::Driver;
use crate::ground::{MEDIA, MEDIA_PAGES};
use crate::world::{BROKER, MEDIA_POOL};
use dma::Pool;
use iommu::mapper::Mapper;
use iommu_api::{Access, IommuError, Part, TicketHandle};
use offload_broker::buffers::Buffers;
use offload_broker::ops::{Op, Server};
use offload_broker::refusal::Failure;
use offload_broker::session::Held;
use offload_broker::teardown::{self, Steps, Undo};
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;
use xhci_api::XhciError;

static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::simulated(MEDIA_POOL, MEDIA, MEDIA_PAGES));

/// How far the session is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is none.
    Idle,
    /// It gets its parts.
    Up(Need),
    /// It plays.
    Running,
    /// It is taken down.
    Down,
    /// The rest of it waits for a death or a reset.
    Parked,
}

/// What it gets next.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Sideband, window, and the rings for the controller.
    Rings,
    /// A buffer, for the controller.
    Buffer,
    /// All of them, for the peer.
    Peer,
    /// The gate.
    Gate,
}

/// What of a server's is waited for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wait {
    /// `xhci`, and through it the monitor.
    Gate,
    /// `xhci`, and through it the controller.
    Reset,
    /// `iommu`, and through it the monitor.
    Unmap(TicketHandle),
}

/// The broker.
#[derive(Clone, Debug)]
pub struct Client {
    held: Held,
    stuck: Steps,
    phase: Phase,
    asked: Option<(Wait, Op)>,
    /// It is to end as soon as it is open.
    ends: bool,
    /// Sessions still to come.
    left: u8,
    buffers: Buffers,
}

impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // What a session holds is made of messages, which have no hash.
        format!("{:?}", (&self.held, &self.stuck, &self.asked)).hash(state);
        (self.phase, self.ends, self.left).hash(state);
        self.buffers.hash(state);
    }
}

impl Client {
    /// A broker that will have `sessions` sessions.
    pub fn new(sessions: u8) -> Self {
        Self {
            held: Held::default(),
            stuck: Steps::default(),
            phase: Phase::Idle,
            asked: None,
            ends: false,
            left: sessions,
            buffers: Buffers::new(MEDIA_PAGES),
        }
    }

    /// How far the session is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether nothing is left to come or to be given back.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Idle && self.left == 0
    }

    /// Whether it waits for a server.
    pub const fn waits(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether [`Self::step`] does something.
    pub fn can_step(&self, driver: &Driver) -> bool {
        self.asked.is_none()
            && match self.phase {
                Phase::Idle => self.left > 0 && driver.runs(),
                Phase::Up(_) | Phase::Running | Phase::Down => true,
                Phase::Parked => false,
            }
    }

    /// The server that its next step is an operation of, if the step may make it
    /// wait.
    pub fn next_server(&self) -> Option<Server> {
        match self.phase {
            Phase::Up(Need::Gate) => Some(Server::Xhci),
            Phase::Up(_) => Some(Server::Iommu),
            Phase::Down => match teardown::next(&self.held, &mut self.stuck.clone())?.1 {
                Undo::Ask(Op::CloseGate(_)) => Some(Server::Xhci),
                Undo::Ask(
                    Op::UnmapPeer(_)
                    | Op::Displace(_)
                    | Op::DisplaceBuffer(_)
                    | Op::ReleaseBuffer(_)
                    | Op::CloseWindow(_),
                ) => Some(Server::Iommu),
                _ => None,
            },
            Phase::Idle | Phase::Running | Phase::Parked => None,
        }
    }

    /// Goes on by one operation of a server.
    pub fn step(&mut self, driver: &mut Driver, mapper: &mut Mapper<'_>, now: u64) {
        match self.phase {
            Phase::Idle => {
                self.left -= 1;
                self.ends = false;
                self.phase = Phase::Up(Need::Rings);
            }
            Phase::Up(need) => match self.gather(need, driver, mapper, now) {
                Ok(phase) => self.phase = phase,
                Err(_) => self.end(),
            },
            Phase::Running => self.end(),
            Phase::Down => self.give_back(driver, mapper, now),
            Phase::Parked => {}
        }
    }

    /// The next part: names and rings, then the buffer, then what the peer sees,
    /// then the gate.
    fn gather(
        &mut self,
        need: Need,
        driver: &mut Driver,
        mapper: &mut Mapper<'_>,
        now: u64,
    ) -> Result<Phase, Failure> {
        let held = &mut self.held;
        Ok(match need {
            Need::Rings => {
                let sideband = driver.register().map_err(Failure::Xhci)?;
                (held.sideband, held.data) = (Some(sideband), Some(2));
                let window = mapper.open_window(BROKER, 0).map_err(Failure::Iommu)?;
                held.window = Some(window);
                let placed = driver.place(mapper, sideband, window).map_err(Failure::Xhci)?;
                held.rings = Some(placed);
                Phase::Up(Need::Buffer)
            }
            Need::Buffer => {
                let window = held.window.ok_or(Failure::NoBuffer)?;
                let pages = self.buffers.take(1).ok_or(Failure::NoBuffer)?;
                POOL.hand_out(pages.first, pages.count);
                held.buffer = Some(pages);
                let named = (MEDIA_POOL, pages.first, pages.count);
                let at = mapper.place(BROKER, window, Part::Buffer, named, Access::Read);
                held.buffer_bus = Some(at.map_err(Failure::Iommu)?);
                let grant = mapper.grant(BROKER, named, BROKER.index() as u16);
                held.buffer_grant = Some(grant.map_err(Failure::Iommu)?);
                Phase::Up(Need::Peer)
            }
            Need::Peer => {
                let (Some(window), Some(rings), Some(buffer)) =
                    (held.window, held.rings, held.buffer_grant)
                else {
                    return Err(Failure::NoBuffer);
                };
                let mut map = |part, grant| {
                    let mapped = mapper.map_peer(BROKER, window, part, grant, Access::ReadWrite);
                    mapped.map(Some).map_err(Failure::Iommu)
                };
                held.peer.event = map(Part::EventRing, rings.event.grant)?;
                held.peer.data = map(Part::DataRing, rings.data.grant)?;
                held.peer.buffer = map(Part::Buffer, buffer)?;
                Phase::Up(Need::Gate)
            }
            Need::Gate => {
                let sideband = held.sideband.ok_or(Failure::NoBuffer)?;
                (held.gate, held.running, held.armed) = (true, true, true);
                driver.start_arm(sideband, now).map_err(Failure::Xhci)?;
                self.asked = Some((Wait::Gate, Op::Arm(sideband)));
                Phase::Up(Need::Gate)
            }
        })
    }

    fn end(&mut self) {
        self.stuck = Steps::default();
        self.phase = Phase::Down;
    }

    /// One step back.
    fn give_back(&mut self, driver: &mut Driver, mapper: &mut Mapper<'_>, now: u64) {
        let Some((_, undo)) = teardown::next(&self.held, &mut self.stuck) else {
            let over = teardown::is_over(&self.held);
            self.phase = if over { Phase::Idle } else { Phase::Parked };
            return;
        };
        let Undo::Ask(op) = undo else { return };
        let controller = |runs: bool| if runs { Ok(()) } else { Err(Wait::Reset) };
        let done = match op {
            Op::CloseGate(sideband) => match driver.start_close(sideband, now) {
                Ok(true) => Err(Wait::Gate),
                done => Ok(done.map(|_| ()).map_err(Failure::Xhci)),
            },
            Op::Halt(_) | Op::Disarm(_) => controller(driver.runs()).map(Ok),
            Op::UnmapPeer(window) => match mapper.start_unmap_peer(BROKER, window, now) {
                Ok(ticket) => Err(Wait::Unmap(ticket)),
                Err(error) => Ok(Err(Failure::Iommu(error))),
            },
            Op::Displace(sideband) if driver.runs() => {
                Ok(driver.displace(mapper, sideband).map_err(Failure::Xhci))
            }
            Op::Displace(_) => Ok(Err(Failure::Xhci(XhciError::NotReady))),
            Op::DisplaceBuffer(window) => {
                Ok(mapper.displace(BROKER, window, Part::Buffer).map_err(Failure::Iommu))
            }
            Op::ReleaseBuffer(grant) => Ok(mapper.release(BROKER, grant).map_err(Failure::Iommu)),
            Op::Scrub(pages) => {
                self.buffers.free(pages);
                POOL.take_back(pages.first, pages.count);
                Ok(Ok(()))
            }
            Op::Unregister(sideband) => Ok(driver.unregister(sideband).map_err(Failure::Xhci)),
            Op::CloseWindow(window) => {
                Ok(mapper.close_window(BROKER, window).map_err(Failure::Iommu))
            }
            _ => Ok(Ok(())),
        };
        match done {
            Ok(result) => self.given_back(op, result),
            Err(wait) => self.asked = Some((wait, op)),
        }
    }

    fn given_back(&mut self, op: Op, result: Result<(), Failure>) {
        let Some(step) = teardown::step_of(&self.held, op) else { return };
        match result {
            Err(failure) if !failure.nothing_left(op) => self.stuck.insert(step),
            _ => step.settle(&mut self.held),
        }
    }

    fn answered(&mut self, result: Result<(), Failure>) {
        let Some((_, op)) = self.asked.take() else { return };
        match (op, result) {
            (Op::Arm(_), Ok(())) if !self.ends => self.phase = Phase::Running,
            (Op::Arm(_), _) => self.end(),
            _ => self.given_back(op, result),
        }
    }

    /// `xhci` ended what it was asked.
    pub fn xhci_answered(&mut self, result: Result<(), XhciError>) {
        if matches!(self.asked, Some((Wait::Gate, _))) {
            self.answered(result.map_err(Failure::Xhci));
        }
    }

    /// The controller was reset, and runs.
    pub fn controller_ready(&mut self) {
        self.held.adrift = false;
        if matches!(self.asked, Some((Wait::Reset, _))) {
            self.answered(Ok(()));
        }
        self.try_again();
    }

    /// Looks whether `iommu` ended what it was asked.
    pub fn look(&mut self, mapper: &mut Mapper<'_>) {
        if let Some((Wait::Unmap(ticket), _)) = self.asked {
            match mapper.result(BROKER, ticket) {
                Err(IommuError::NotYet) => {}
                result => self.answered(result.map_err(Failure::Iommu)),
            }
        }
    }

    /// A server died.
    pub fn lost(&mut self, server: Server) {
        self.held.lost(server);
        match (self.asked, server) {
            (Some((Wait::Gate | Wait::Reset, _)), Server::Xhci) => {
                self.answered(Err(Failure::Xhci(XhciError::ServerDied)));
            }
            (Some((Wait::Unmap(_), _)), Server::Iommu) => {
                self.answered(Err(Failure::Iommu(IommuError::ServerDied)));
            }
            _ => {}
        }
        self.revoked();
        self.try_again();
    }

    /// The peer, or what the session stands on, is gone.
    pub fn revoked(&mut self) {
        match self.phase {
            Phase::Up(_) if self.asked.is_some() => self.ends = true,
            Phase::Up(_) | Phase::Running => self.end(),
            Phase::Idle | Phase::Down | Phase::Parked => {}
        }
    }

    /// What could not be given back may be possible now.
    pub fn try_again(&mut self) {
        self.stuck = Steps::default();
        if self.phase == Phase::Parked {
            self.phase = Phase::Down;
        }
    }
}
