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
//!
//! R7, R10: what a phase cannot do does not compile.
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

mod gather;
mod held;
mod orders;
mod transition;

use addr::{Bus, Peer};
use dsp_link_api::Address;
use offload_broker_api::SessionPhase;
use qmi::{StreamRequest, Token, Txn};
use usb_audio_api::StreamDescription;
use xhci_api::{Placement, SidebandHandle};

pub use gather::{Need, Reserved};
pub use held::{Held, PeerPlaces, dci};
pub use orders::{Orders, Refused};
pub use transition::{Event, Live, MAX_PLAY_OUT_MS, Next, RETRY_MS, Say, Turn, transition};

use crate::ops::Op;
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

    /// Whether its device is at the controller of this number.
    #[must_use]
    pub const fn is_on(&self, controller: u8) -> bool {
        self.wanted.device.controller == controller
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
