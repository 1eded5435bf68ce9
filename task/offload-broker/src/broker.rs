//! The broker's core: sessions from request to end.
//!
//! A pure state machine. Everything that happens is an [`Input`], everything to
//! be done an [`Effect`]; what is asked of a server is answered by an input, at
//! once or after any number of others. No input makes it wait, and between two
//! inputs every session either has one operation under way, or a time to wait
//! for, or runs, or is parked because a step of its end is not possible yet.
//!
//! What becomes of one session is decided by `session::transition`; here is which
//! of them an input concerns, and the books that they share. What each request is
//! worth is decided in `request`, in which order a session ends in `teardown`,
//! what the peer reads in `response`.

mod course;
mod losses;
mod notices;
mod requests;

use dsp_abi::SESSIONS;
use dsp_link_api::Address;
use fifo::Fifo;
use handles::Epoch;
use offload_broker_api::{SessionInfo, SessionPhase, Status};
use qmi::{Event, Token, Txn};

use crate::asleep::{Asleep, Stream};
use crate::backend::Backend;
use crate::buffers::Buffers;
use crate::cards::Cards;
use crate::ops::{Effect, Input, Server};
use crate::refusal::{Dialect, Refusal};
use crate::response;
use crate::session::{Held, Live, SessionId};
use crate::votes::Votes;

/// How long a real DSP has to let go of a stream whose device goes (P5, B23): what
/// `app.toml` gives it.
pub const PEER_DEADLINE_MS: u64 = 10_000;
/// How long one operation of a server may take. Servers have shorter deadlines
/// of their own; this one keeps a broken server from keeping a session for ever.
pub const OP_DEADLINE_MS: u64 = 12_000;
/// Effects that one input can have: per session an operation, a cancelled one,
/// a message and four phases; two messages per route; one answer to who asked.
const EFFECTS: usize = 7 * SESSIONS + 2 * crate::backend::ROUTES + 4;

/// What the image decides.
#[derive(Copy, Clone, Debug)]
pub struct Settings {
    /// How the peer is answered.
    pub dialect: Dialect,
    /// Stream identifier of the peer's bus, for the addresses it is told.
    pub sid: u8,
    /// Milliseconds that the peer has to let go of a stream whose device goes.
    pub peer_deadline_ms: u32,
    /// Pages of the buffer pool.
    pub buffer_pages: u16,
}

/// A place of the session table.
#[derive(Debug, Default)]
struct Place {
    live: Option<Live>,
    /// Numbers what is asked for the session.
    serial: u16,
    /// When what is asked has to be answered.
    deadline: Option<u64>,
}

/// A request that was answered: whose, in which exchange, for which stream, and
/// why it was refused, if it was.
type Answered = (Address, Txn, Token, Option<Refusal>);

/// The core.
#[derive(Debug)]
pub struct Broker {
    settings: Settings,
    places: [Place; SESSIONS],
    next_id: u32,
    cards: Cards,
    asleep: Asleep,
    votes: Votes,
    buffers: Buffers,
    /// Routes, and the DSP's port service.
    pub backend: Backend,
    /// Whose streams are owed and whose requests are remembered.
    client: Option<Address>,
    /// Disables confirmed and enables refused lately, for peers that did not hear
    /// it.
    answered: [Option<Answered>; SESSIONS],
    next_answered: usize,
    effects: Fifo<Effect, EFFECTS>,
    begun: u32,
    ended: u32,
    refused: u32,
    last_refusal: Option<Refusal>,
    misbehaved: u32,
    stalls: u32,
}

impl Broker {
    /// A broker with no session, in its life `epoch`.
    #[must_use]
    pub fn new(settings: Settings, epoch: Epoch) -> Self {
        Self {
            settings,
            places: Default::default(),
            next_id: 1,
            cards: Cards::default(),
            asleep: Asleep::default(),
            votes: Votes::default(),
            buffers: Buffers::new(settings.buffer_pages),
            backend: Backend::new(epoch),
            client: None,
            answered: [None; SESSIONS],
            next_answered: 0,
            effects: Fifo::new(),
            begun: 0,
            ended: 0,
            refused: 0,
            last_refusal: None,
            misbehaved: 0,
            stalls: 0,
        }
    }

    // ---- what others see ----

    /// The cards.
    #[must_use]
    pub const fn cards(&self) -> &Cards {
        &self.cards
    }

    /// What is held; whether the service is announced is not known here.
    #[must_use]
    pub fn status(&self) -> Status {
        let live = self.places.iter().filter(|place| place.live.is_some()).count();
        Status {
            // Neither is more than SESSIONS.
            sessions: live as u8,
            votes: self.votes.committed() as u8,
            begun: self.begun,
            ended: self.ended,
            refused: self.refused,
            double_releases: self.votes.double_releases(),
            misbehaved: self.misbehaved,
            stalls: self.stalls,
            announced: false,
        }
    }

    /// One place of the session table.
    #[must_use]
    pub fn session(&self, index: u8) -> Option<SessionInfo> {
        let place = self.places.get(usize::from(index))?;
        Some(match &place.live {
            None => SessionInfo {
                id: 0,
                phase: SessionPhase::Free,
                device: None,
                token: 0,
                interrupter: None,
                vote: false,
            },
            Some(Live { session, .. }) => {
                let facts = session.facts();
                SessionInfo {
                    id: facts.id.id,
                    phase: session.phase(),
                    device: Some(facts.wanted.handle),
                    token: facts.token().0,
                    interrupter: session.held().interrupter.map(u16::from),
                    vote: self.votes.is_committed(facts.id),
                }
            }
        })
    }

    /// What a session holds; for whoever checks the core.
    #[must_use]
    pub fn held(&self, index: u8) -> Option<&Held> {
        self.places.get(usize::from(index))?.live.as_ref().map(|live| live.session.held())
    }

    /// The controller that a session's device is at: whose driver is asked for
    /// what the session needs. `None` of a session that is over.
    #[must_use]
    pub fn controller_of(&self, session: SessionId) -> Option<u8> {
        let live = self.places.get(usize::from(session.place))?.live.as_ref()?;
        Some(live.session.facts().wanted.device.controller)
    }

    /// Pages of transfer buffers in use.
    #[must_use]
    pub fn buffer_pages(&self) -> u32 {
        self.buffers.in_use()
    }

    /// The refusal that fell since this was asked last, for the trace.
    pub fn take_refusal(&mut self) -> Option<Refusal> {
        self.last_refusal.take()
    }

    /// When a [`Input::Tick`] is due. While sessions only run, never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let of = |place: &Place| place.deadline.or(place.live.as_ref()?.deadline());
        self.places.iter().filter_map(of).min()
    }

    /// The next thing to be done; to be asked after each input until there is
    /// none.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// The number of a vanished card of which nothing is in use any more, once.
    pub fn take_forgettable_card(&mut self) -> Option<u8> {
        let (places, backend) = (&self.places, &self.backend);
        self.cards.take_forgettable(|card| {
            let mut lives = places.iter().filter_map(|place| place.live.as_ref());
            backend.uses_card(card)
                || lives.any(|live| live.session.facts().wanted.stream.card == card)
        })
    }

    // ---- what happens ----

    /// Takes in what happened at time `now`.
    pub fn step(&mut self, now: u64, input: Input) {
        match input {
            Input::CardAdded(number, info, device) => self.cards.add(number, info, device),
            Input::CardRemoved(number) => {
                self.cards.remove(number);
                self.asleep.forget(|stream| stream.named.token.card() == u16::from(number));
                self.revoke(now, Refusal::Revoked, &|facts, _| facts.wanted.stream.card == number);
            }
            Input::Request { from, txn, request } if request.enable == 0 => {
                self.disable(now, from, txn, &request);
            }
            Input::Request { from, txn, request } => self.enable(now, from, txn, &request),
            Input::Answer(ask, result) => self.answer(now, ask, result),
            Input::Revoked { controller, sideband, reason } => {
                self.revoke_sideband(now, controller, sideband, reason);
            }
            Input::Resumed(device) => {
                while let Some(Stream { client, named, .. }) = self.asleep.take(device) {
                    let told = response::indication(self.settings.dialect, Event::RESUME, named);
                    push(&mut self.effects, Effect::Indicate(client, told));
                }
            }
            Input::WindowFault(window) => self.revoke_window(now, window),
            Input::Notice { controller, opening, trouble } => {
                self.notice(now, controller, opening, trouble);
            }
            Input::NodeGone(node) => {
                for owner in self.backend.node_gone(node) {
                    push(&mut self.effects, Effect::Hint(owner));
                }
                self.peer_gone(now, |client| client.node == node);
            }
            Input::ClientGone(gone) => self.peer_gone(now, |client| client == gone),
            Input::ServerDied(server) => self.server_died(now, server, None),
            Input::DriverDied(controller) => {
                self.server_died(now, Server::Xhci, Some(controller));
            }
            Input::ControllerSafe(controller) => self.controller_safe(now, controller),
            Input::PortUp(at) => {
                for message in self.backend.port_up(at) {
                    push(&mut self.effects, Effect::Port(at, message));
                }
                self.unpark(now);
            }
            Input::PortDown(at) => {
                for owner in self.backend.port_down(at) {
                    push(&mut self.effects, Effect::Hint(owner));
                }
            }
            Input::PortMessage(from, message) => {
                if let Some(owner) = self.backend.hear(from, &message) {
                    push(&mut self.effects, Effect::Hint(owner));
                }
            }
            Input::Tick => self.tick(now),
        }
    }

    /// The place of the live session of this stream.
    fn live(&self, token: Token) -> Option<usize> {
        self.places.iter().position(|place| {
            place.live.as_ref().is_some_and(|live| live.session.facts().token() == token)
        })
    }
}

/// Adds an effect.
fn push(effects: &mut Fifo<Effect, EFFECTS>, effect: Effect) {
    assert!(effects.push(effect).is_ok(), "one input has a bounded number of effects");
}
