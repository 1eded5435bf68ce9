//! A session and its phases.
//!
//! ```text
//! Reserved --> Mapped --> Armed --> Running
//!     |           |          |         |
//!     +-----------+----------+---------+--> Draining --> (free)
//! ```
//!
//! Each phase is a type of its own, and going on consumes it: what a phase does
//! not hold cannot be used in it, and what it holds cannot be lost on the way.
//! `Reserved` gathers, so it may hold any part; from `Mapped` on everything is
//! there; `Draining` gives back, part by part, in the one order of `teardown`.
//! What a phase cannot do does not compile (R10):
//!
//! ```compile_fail,E0599
//! fn armed_before_it_was_mapped(session: offload_broker::session::Reserved) {
//!     let _ = session.arm();
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn told_before_it_was_armed(session: offload_broker::session::Mapped) {
//!     let _ = session.complete();
//! }
//! ```
//!
//! ```compile_fail,E0382
//! fn armed_twice(session: offload_broker::session::Mapped) {
//!     let _ = session.arm();
//!     let _ = session.arm();
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn revived(session: offload_broker::session::Draining) {
//!     let _ = session.run();
//! }
//! ```

use addr::{Bus, Peer};
use dsp_link_api::Address;
use iommu_api::{Access, GrantHandle, Part, WindowHandle};
use offload_broker_api::SessionPhase;
use qmi::{StreamRequest, Token, Txn};
use usb_audio_api::{StreamDescription, StreamHandle};
use usb_types::{Direction, EndpointAddress};
use xhci_api::{Placement, SidebandHandle};

use crate::buffers::Pages;
use crate::ops::{Op, Reply, Server};
use crate::refusal::Refusal;
use crate::request::Wanted;
use crate::teardown::Steps;

/// A session: its place in the table, and which of all sessions it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// The place.
    pub place: u8,
    /// Counts sessions; never reused.
    pub id: u32,
}

/// What is known of a session from its first moment to its last.
#[derive(Copy, Clone, Debug)]
pub struct Facts {
    /// Which one it is.
    pub id: SessionId,
    /// The client's.
    pub client: Address,
    /// The exchange that began it.
    pub txn: Txn,
    /// The request that began it.
    pub request: StreamRequest,
    /// The same, checked.
    pub wanted: Wanted,
}

impl Facts {
    /// The stream as the peer names it.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.request.usb_token
    }
}

/// Where the peer sees the parts of the window.
#[derive(Copy, Clone, Debug, Default)]
pub struct PeerPlaces {
    /// The event ring.
    pub event: Option<Peer>,
    /// The data ring's shadow.
    pub data: Option<Peer>,
    /// The sync ring's shadow.
    pub sync: Option<Peer>,
    /// The transfer buffer.
    pub buffer: Option<Peer>,
}

impl PeerPlaces {
    /// Whether the peer sees anything.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.event.is_some() || self.data.is_some() || self.sync.is_some() || self.buffer.is_some()
    }
}

/// What a session has taken and not yet given back.
#[derive(Copy, Clone, Debug, Default)]
pub struct Held {
    /// The open stream.
    pub stream: Option<StreamHandle>,
    /// What `usb_audio` says of it; stays known after it is closed.
    pub description: Option<StreamDescription>,
    /// The slot's sideband.
    pub sideband: Option<SidebandHandle>,
    /// DCI of the data endpoint in it.
    pub data: Option<u8>,
    /// DCI of the sync endpoint in it.
    pub sync: Option<u8>,
    /// The session has a vote.
    pub vote: bool,
    /// The interrupter.
    pub interrupter: Option<u8>,
    /// The window.
    pub window: Option<WindowHandle>,
    /// The rings in it.
    pub rings: Option<Placement>,
    /// What the peer sees of it.
    pub peer: PeerPlaces,
    /// The transfer buffer's pages.
    pub buffer: Option<Pages>,
    /// Where the controller sees them.
    pub buffer_bus: Option<Bus>,
    /// The right to map them for the peer.
    pub buffer_grant: Option<GrantHandle>,
    /// The gate may be open.
    pub gate: bool,
    /// The endpoints may be running.
    pub running: bool,
    /// The endpoints are set up for the rings, the interrupter may be on.
    pub armed: bool,
}

impl Held {
    /// A server died: what it gave is void, and need not be given back.
    pub fn lost(&mut self, server: Server) {
        match server {
            Server::Xhci => {
                (self.gate, self.running, self.armed) = (false, false, false);
                (self.sideband, self.rings, self.interrupter) = (None, None, None);
                (self.data, self.sync) = (None, None);
            }
            Server::Iommu => {
                (self.window, self.peer) = (None, PeerPlaces::default());
                (self.buffer_bus, self.buffer_grant) = (None, None);
            }
            Server::UsbAudio => self.stream = None,
            // The vote is the broker's own; the hold behind it is forgotten there.
            Server::UsbCore => {}
        }
    }
}

/// Device context index of an endpoint (xHCI 4.5.1).
#[must_use]
pub const fn dci(address: EndpointAddress) -> u8 {
    address.number() * 2
        + match address.direction() {
            Direction::Out => 0,
            Direction::In => 1,
        }
}

/// What a session that gathers needs next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// An operation of a server.
    Ask(Op),
    /// A vote.
    Vote,
    /// Pages for its buffer.
    Buffer {
        /// How many.
        pages: u16,
    },
    /// Nothing: all is there.
    Nothing,
}

/// A request was accepted; resources are being gathered.
#[derive(Debug)]
pub struct Reserved {
    /// What is known.
    pub facts: Facts,
    /// What was gathered.
    pub held: Held,
}

impl Reserved {
    /// Nothing gathered yet.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        Self { facts, held: Held::default() }
    }

    /// The first thing that is missing, in the order of the Linux service
    /// (3.6), but for the mappings: all of them come when the windows' owner is
    /// known to be able to drive them.
    #[must_use]
    pub fn need(&self) -> Need {
        let (held, wanted) = (&self.held, &self.facts.wanted);
        let Some(stream) = held.stream else {
            return Need::Ask(Op::Open(wanted.stream, wanted.format));
        };
        let Some(description) = &held.description else {
            return Need::Ask(Op::Describe(stream));
        };
        let Some(sideband) = held.sideband else {
            return Need::Ask(Op::Register(wanted.device.slot));
        };
        if held.data.is_none() {
            return Need::Ask(Op::AddEndpoint(sideband, dci(description.data_address)));
        }
        if let (None, Some(sync)) = (held.sync, description.sync_address) {
            return Need::Ask(Op::AddEndpoint(sideband, dci(sync)));
        }
        if !held.vote {
            return Need::Vote;
        }
        if held.interrupter.is_none() {
            return Need::Ask(Op::CreateInterrupter(sideband));
        }
        let Some(window) = held.window else {
            return Need::Ask(Op::OpenWindow { controller: wanted.device.controller });
        };
        let Some(rings) = held.rings else {
            return Need::Ask(Op::Place(sideband, window));
        };
        if held.peer.event.is_none() {
            let grant = rings.event.grant;
            return Need::Ask(Op::MapPeer(window, Part::EventRing, grant, Access::Read));
        }
        if held.peer.data.is_none() {
            let grant = rings.data.grant;
            return Need::Ask(Op::MapPeer(window, Part::DataRing, grant, Access::ReadWrite));
        }
        if let (None, Some(sync)) = (held.peer.sync, rings.sync) {
            return Need::Ask(Op::MapPeer(window, Part::SyncRing, sync.grant, Access::ReadWrite));
        }
        let Some(buffer) = held.buffer else {
            // At most 24 pages.
            return Need::Buffer { pages: (wanted.buffer_bytes / addr::PAGE) as u16 };
        };
        if held.buffer_bus.is_none() {
            // Samples are read from it; feedback and recordings are written.
            let written = [Some(description.data_address), description.sync_address]
                .into_iter()
                .flatten()
                .any(|address| address.direction() == Direction::In);
            let access = if written { Access::ReadWrite } else { Access::Read };
            return Need::Ask(Op::PlaceBuffer(window, buffer, access));
        }
        let Some(grant) = held.buffer_grant else {
            return Need::Ask(Op::GrantBuffer(buffer));
        };
        if held.peer.buffer.is_none() {
            return Need::Ask(Op::MapPeer(window, Part::Buffer, grant, Access::ReadWrite));
        }
        Need::Nothing
    }

    /// Notes what `op` brought.
    ///
    /// # Errors
    /// When the broker cannot use it: an interrupter whose number does not fit
    /// the response, or an answer that does not belong to the operation. It is
    /// noted all the same, so that it is given back.
    pub fn gathered(&mut self, op: Op, reply: Reply) -> Result<(), Refusal> {
        let held = &mut self.held;
        match (op, reply) {
            (Op::Open(..), Reply::Opened(stream)) => held.stream = Some(stream),
            (Op::Describe(_), Reply::Described(description)) => {
                held.description = Some(description);
            }
            (Op::Register(_), Reply::Registered(sideband)) => held.sideband = Some(sideband),
            (Op::AddEndpoint(_, dci), Reply::Done) if held.data.is_none() => held.data = Some(dci),
            (Op::AddEndpoint(_, dci), Reply::Done) => held.sync = Some(dci),
            (Op::CreateInterrupter(_), Reply::Interrupter(number)) => {
                held.interrupter = Some(number as u8);
                if number > u16::from(u8::MAX) {
                    return Err(Refusal::InterrupterRange);
                }
            }
            (Op::OpenWindow { .. }, Reply::Window(window)) => held.window = Some(window),
            (Op::Place(..), Reply::Placed(placement)) => held.rings = Some(placement),
            (Op::MapPeer(_, part, ..), Reply::Mapped(at)) => {
                let place = match part {
                    Part::EventRing => &mut held.peer.event,
                    Part::DataRing => &mut held.peer.data,
                    Part::SyncRing => &mut held.peer.sync,
                    Part::Buffer => &mut held.peer.buffer,
                };
                *place = Some(at);
            }
            (Op::PlaceBuffer(..), Reply::BufferPlaced(bus)) => held.buffer_bus = Some(bus),
            (Op::GrantBuffer(_), Reply::BufferGranted(grant)) => held.buffer_grant = Some(grant),
            _ => return Err(Refusal::BrokerDefect),
        }
        Ok(())
    }

    /// Goes on when everything was gathered.
    ///
    /// # Errors
    /// Itself, when something is missing.
    #[expect(clippy::result_large_err, reason = "there is no heap to box it on")]
    pub fn mapped(self) -> Result<Mapped, Self> {
        let held = &self.held;
        let complete = (|| {
            Some(Complete {
                sideband: held.sideband?,
                description: held.description?,
                interrupter: held.interrupter?,
                rings: held.rings?,
                event: held.peer.event?,
                data: held.peer.data?,
                sync: held.peer.sync,
                buffer: held.peer.buffer?,
                buffer_bus: held.buffer_bus?,
            })
        })();
        match complete {
            Some(complete) if self.need() == Need::Nothing => {
                Ok(Mapped { facts: self.facts, held: self.held, complete })
            }
            _ => Err(self),
        }
    }
}

/// What a session that has everything tells its peer.
#[derive(Copy, Clone, Debug)]
pub struct Complete {
    /// The sideband.
    pub sideband: SidebandHandle,
    /// What `usb_audio` says of the stream.
    pub description: StreamDescription,
    /// The interrupter.
    pub interrupter: u8,
    /// Where the controller sees the rings.
    pub rings: Placement,
    /// Where the peer sees the event ring.
    pub event: Peer,
    /// Where the peer sees the data ring's shadow.
    pub data: Peer,
    /// Where the peer sees the sync ring's shadow.
    pub sync: Option<Peer>,
    /// Where the peer sees the buffer.
    pub buffer: Peer,
    /// Where the controller sees the buffer.
    pub buffer_bus: Bus,
}

/// Pages are mapped on both sides.
#[derive(Debug)]
pub struct Mapped {
    facts: Facts,
    held: Held,
    complete: Complete,
}

impl Mapped {
    /// Begins the handover: from here on the gate may be open.
    #[must_use]
    pub fn arm(mut self) -> (Armed, Op) {
        (self.held.gate, self.held.running, self.held.armed) = (true, true, true);
        let op = Op::Arm(self.complete.sideband);
        (Armed { facts: self.facts, held: self.held, complete: self.complete }, op)
    }
}

/// The handover is under way.
#[derive(Debug)]
pub struct Armed {
    facts: Facts,
    held: Held,
    complete: Complete,
}

impl Armed {
    /// The handover is done: the peer may be told.
    #[must_use]
    pub fn run(self) -> Running {
        Running { facts: self.facts, held: self.held, complete: self.complete }
    }
}

/// The DSP drives the stream.
#[derive(Debug)]
pub struct Running {
    facts: Facts,
    held: Held,
    complete: Complete,
}

impl Running {
    /// What the peer was told.
    #[must_use]
    pub const fn complete(&self) -> &Complete {
        &self.complete
    }
}

/// A refusal, and what was known when it fell (B13).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The data endpoint was the sideband's, so the sync endpoint's turn had come.
    pub data_added: bool,
    /// All endpoints were the sideband's.
    pub endpoints_added: bool,
    /// The interrupter.
    pub interrupter: Option<u8>,
}

impl Refused {
    /// A refusal that falls now.
    #[must_use]
    pub fn new(refusal: Refusal, held: &Held) -> Self {
        let wants_sync = held.description.is_some_and(|d| d.sync_address.is_some());
        Self {
            refusal,
            data_added: held.data.is_some(),
            endpoints_added: held.data.is_some() && held.sync.is_some() == wants_sync,
            interrupter: held.interrupter,
        }
    }
}

/// Why and how a session ends.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// The enable request is still to be refused with this.
    pub refuse: Option<Refused>,
    /// A disable request that is still to be confirmed.
    pub confirm: Option<(Address, Txn)>,
    /// The peer has let go of the stream, or never had it.
    pub let_go: bool,
    /// Wait until then for the peer to let go.
    pub await_peer: Option<u64>,
    /// The device is there and the peer ended in good order: what it queued is
    /// played out, and the device's tail with it.
    pub play_out: bool,
}

/// Being taken down.
#[derive(Debug)]
pub struct Draining {
    /// What is known.
    pub facts: Facts,
    /// What is still to be given back.
    pub held: Held,
    /// How.
    pub orders: Orders,
    /// Steps that did not succeed in this round, and what depends on them.
    pub stuck: Steps,
    /// The stream is being played out until then.
    pub tail_until: Option<u64>,
    /// A server was too busy for the next step; it is asked again then.
    pub retry_at: Option<u64>,
}

/// A session in whatever phase it is.
#[derive(Debug)]
pub enum Session {
    /// See [`Reserved`].
    Reserved(Reserved),
    /// See [`Mapped`].
    Mapped(Mapped),
    /// See [`Armed`].
    Armed(Armed),
    /// See [`Running`].
    Running(Running),
    /// See [`Draining`].
    Draining(Draining),
}

impl Session {
    /// What is known of it.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        match self {
            Self::Reserved(Reserved { facts, .. })
            | Self::Mapped(Mapped { facts, .. })
            | Self::Armed(Armed { facts, .. })
            | Self::Running(Running { facts, .. })
            | Self::Draining(Draining { facts, .. }) => facts,
        }
    }

    /// What it holds.
    #[must_use]
    pub const fn held(&self) -> &Held {
        match self {
            Self::Reserved(Reserved { held, .. })
            | Self::Mapped(Mapped { held, .. })
            | Self::Armed(Armed { held, .. })
            | Self::Running(Running { held, .. })
            | Self::Draining(Draining { held, .. }) => held,
        }
    }

    /// The same, to note a loss.
    pub fn held_mut(&mut self) -> &mut Held {
        match self {
            Self::Reserved(Reserved { held, .. })
            | Self::Mapped(Mapped { held, .. })
            | Self::Armed(Armed { held, .. })
            | Self::Running(Running { held, .. })
            | Self::Draining(Draining { held, .. }) => held,
        }
    }

    /// Its phase, for who asks.
    #[must_use]
    pub const fn phase(&self) -> SessionPhase {
        match self {
            Self::Reserved(_) => SessionPhase::Reserved,
            Self::Mapped(_) => SessionPhase::Mapped,
            Self::Armed(_) => SessionPhase::Armed,
            Self::Running(_) => SessionPhase::Running,
            Self::Draining(_) => SessionPhase::Draining,
        }
    }

    /// Begins its end, from any phase. One that is ending already goes on as
    /// it was told.
    #[must_use]
    pub fn drain(self, orders: Orders) -> Draining {
        let (facts, held) = match self {
            Self::Reserved(Reserved { facts, held })
            | Self::Mapped(Mapped { facts, held, .. })
            | Self::Armed(Armed { facts, held, .. })
            | Self::Running(Running { facts, held, .. }) => (facts, held),
            Self::Draining(draining) => return draining,
        };
        Draining { facts, held, orders, stuck: Steps::default(), tail_until: None, retry_at: None }
    }
}
