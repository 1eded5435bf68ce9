//! The broker's core: sessions from request to end.
//!
//! A pure state machine. Everything that happens is an [`Input`], everything to
//! be done an [`Effect`]; what is asked of a server is answered by an input, at
//! once or after any number of others. No input makes it wait, and between two
//! inputs every session either has one operation under way, or a time to wait
//! for, or runs, or is parked because a step of its end is not possible yet.
//!
//! What each request is worth is decided in `request`, in which order a session
//! ends in `teardown`, what the peer reads in `response`.

use dsp_abi::SESSIONS;
use dsp_link_api::Address;
use fifo::Fifo;
use handles::Epoch;
use iommu_api::WindowHandle;
use offload_broker_api::{SessionInfo, SessionPhase, Status};
use qmi::{StreamRequest, Token, Txn};
use usb_core_api::UsbCoreError;
use xhci_api::SidebandHandle;

use crate::backend::Backend;
use crate::buffers::Buffers;
use crate::cards::Cards;
use crate::ops::{Ask, Effect, Input, Op, Reply, Server};
use crate::refusal::{Dialect, Failure, Refusal};
use crate::request::{Wanted, check};
use crate::response;
use crate::session::{Draining, Facts, Held, Need, Orders, Refused, Reserved, Session, SessionId};
use crate::teardown::{self, Step, Steps, Undo};
use crate::votes::{Cast, Votes};

/// How long the peer has to let go of a stream whose device goes (P5, B23).
pub const PEER_DEADLINE_MS: u64 = 10_000;
/// How long one operation of a server may take. Servers have shorter deadlines
/// of their own; this one keeps a broken server from keeping a session for ever.
pub const OP_DEADLINE_MS: u64 = 12_000;
/// How long a server is left alone that was too busy to give something back.
pub const RETRY_MS: u64 = 20;
/// Longest time that queued sound is waited for when a stream is disabled.
pub const MAX_PLAY_OUT_MS: u64 = 100;

/// Effects that one input can have: per session an operation, a cancelled one
/// and a message; one hint per route; one answer to who asked.
const EFFECTS: usize = 3 * SESSIONS + crate::backend::ROUTES + 4;

/// What the image decides.
#[derive(Copy, Clone, Debug)]
pub struct Settings {
    /// How the peer is answered.
    pub dialect: Dialect,
    /// Stream identifier of the peer's bus, for the addresses it is told.
    pub sid: u8,
    /// Pages of the buffer pool.
    pub buffer_pages: u16,
}

/// An operation under way.
#[derive(Copy, Clone, Debug)]
struct Asked {
    serial: u16,
    op: Op,
    deadline: u64,
}

/// A place of the session table.
#[derive(Debug, Default)]
struct Place {
    session: Option<Session>,
    asked: Option<Asked>,
    serial: u16,
    /// The session is to end as soon as the operation under way did.
    interrupt: Option<Orders>,
    /// Its end cannot go on before the DSP or a server was reset.
    parked: bool,
}

/// The core.
#[derive(Debug)]
pub struct Broker {
    settings: Settings,
    places: [Place; SESSIONS],
    next_id: u32,
    cards: Cards,
    votes: Votes,
    buffers: Buffers,
    /// Routes, and the DSP's port service.
    pub backend: Backend,
    /// Whose streams are owed and whose requests are remembered.
    client: Option<Address>,
    /// Disables confirmed lately, for peers that did not hear it.
    confirmed: [Option<(Address, Txn, Token)>; SESSIONS],
    next_confirmed: usize,
    effects: Fifo<Effect, EFFECTS>,
    begun: u32,
    ended: u32,
    refused: u32,
    last_refusal: Option<Refusal>,
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
            votes: Votes::default(),
            buffers: Buffers::new(settings.buffer_pages),
            backend: Backend::new(epoch),
            client: None,
            confirmed: [None; SESSIONS],
            next_confirmed: 0,
            effects: Fifo::new(),
            begun: 0,
            ended: 0,
            refused: 0,
            last_refusal: None,
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
        let live = self.places.iter().filter(|place| place.session.is_some()).count();
        Status {
            // Neither is more than SESSIONS.
            sessions: live as u8,
            votes: self.votes.committed() as u8,
            begun: self.begun,
            ended: self.ended,
            refused: self.refused,
            double_releases: self.votes.double_releases(),
            announced: false,
        }
    }

    /// One place of the session table.
    #[must_use]
    pub fn session(&self, index: u8) -> Option<SessionInfo> {
        let place = self.places.get(usize::from(index))?;
        Some(match &place.session {
            None => SessionInfo {
                id: 0,
                phase: SessionPhase::Free,
                device: None,
                token: 0,
                interrupter: None,
                vote: false,
            },
            Some(session) => {
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
        self.places.get(usize::from(index))?.session.as_ref().map(Session::held)
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
        self.places
            .iter()
            .filter_map(|place| {
                let waits = match &place.session {
                    Some(Session::Draining(draining)) => {
                        draining.orders.await_peer.or(draining.tail_until).or(draining.retry_at)
                    }
                    _ => None,
                };
                place.asked.map(|asked| asked.deadline).or(waits)
            })
            .min()
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
            backend.uses_card(card)
                || places
                    .iter()
                    .filter_map(|place| place.session.as_ref())
                    .any(|session| session.facts().wanted.stream.card == card)
        })
    }

    // ---- what happens ----

    /// Takes in what happened at time `now`.
    pub fn step(&mut self, now: u64, input: Input) {
        match input {
            Input::CardAdded(number, info, device) => self.cards.add(number, info, device),
            Input::CardRemoved(number) => {
                self.cards.remove(number);
                self.revoke(now, Refusal::Revoked, |facts, _| facts.wanted.stream.card == number);
            }
            Input::Request { from, txn, request } if request.enable == 0 => {
                self.disable(now, from, txn, &request);
            }
            Input::Request { from, txn, request } => self.enable(now, from, txn, &request),
            Input::Answer(ask, result) => self.answer(now, ask, result),
            Input::Revoked(sideband, _) => self.revoke_sideband(now, sideband),
            Input::WindowFault(window) => self.revoke_window(now, window),
            Input::NodeGone(node) => {
                for owner in self.backend.node_gone(node) {
                    push(&mut self.effects, Effect::Hint(owner));
                }
                self.peer_gone(now, |client| client.node == node);
            }
            Input::ClientGone(gone) => self.peer_gone(now, |client| client == gone),
            Input::ServerDied(server) => self.server_died(now, server),
            Input::PortUp(at) => {
                self.backend.port_up(at);
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

    // ---- requests ----

    fn enable(&mut self, now: u64, from: Address, txn: Txn, request: &StreamRequest) {
        if self.repeats_enable(from, txn, request) {
            return;
        }
        match self.admit(from, request) {
            Err(refusal) => self.refuse(from, txn, request.usb_token, refusal),
            Ok((index, wanted)) => {
                self.client = Some(from);
                // The peer starts the stream anew, so it has let go of the old one.
                self.cards.let_go(request.usb_token);
                // One of SESSIONS places.
                let id = SessionId { place: index as u8, id: self.next_id };
                self.next_id = self.next_id.wrapping_add(1).max(1);
                self.begun = self.begun.wrapping_add(1);
                let facts = Facts { id, client: from, txn, request: *request, wanted };
                let serial = self.places[index].serial;
                let session = Some(Session::Reserved(Reserved::new(facts)));
                self.places[index] = Place { session, serial, ..Place::default() };
                self.advance(now, index);
            }
        }
    }

    /// Whether the request is one that began a live session, sent again: then
    /// it is answered as it was, or the answer is still to come.
    fn repeats_enable(&mut self, from: Address, txn: Txn, request: &StreamRequest) -> bool {
        let Some(session) =
            self.live(request.usb_token).and_then(|i| self.places[i].session.as_ref())
        else {
            return false;
        };
        let facts = session.facts();
        let repeated = facts.client == from && facts.txn == txn && facts.request == *request;
        if let (true, Session::Running(running)) = (repeated, session) {
            let response = response::enabled(facts, running.complete(), self.settings.sid);
            push(&mut self.effects, Effect::Respond(from, txn, response));
        }
        repeated
    }

    /// The checks of an enable request, and a place for its session.
    fn admit(&self, from: Address, request: &StreamRequest) -> Result<(usize, Wanted), Refusal> {
        let wanted = check(request, &self.cards)?;
        let foreign = |place: &Place| match &place.session {
            Some(Session::Draining(draining)) => {
                draining.facts.client != from && !draining.orders.let_go
            }
            Some(session) => session.facts().client != from,
            None => false,
        };
        if self.places.iter().any(foreign) {
            return Err(Refusal::ForeignClient);
        }
        if self.live(request.usb_token).is_some() {
            return Err(Refusal::BusyStream);
        }
        let free = self.places.iter().position(|place| place.session.is_none());
        Ok((free.ok_or(Refusal::NoSessions)?, wanted))
    }

    fn disable(&mut self, now: u64, from: Address, txn: Txn, request: &StreamRequest) {
        let token = request.usb_token;
        let checked = check(request, &self.cards).map(|_| ());
        // That a card is gone is no reason to keep what is left of it.
        let gone = [Refusal::NoDevice, Refusal::ShuttingDown, Refusal::NoStream];
        if let Err(refusal) = checked
            && !gone.contains(&refusal)
        {
            self.refuse(from, txn, token, refusal);
        } else if let Some(index) = self.live(token) {
            self.let_go(now, index, from, txn);
        } else if self.confirmed.contains(&Some((from, txn, token))) {
            self.confirm(from, txn, token);
        } else if self.client == Some(from) && self.cards.let_go(token) {
            // A late disable: its stream is long gone, and nobody is harmed.
            self.confirm(from, txn, token);
        } else {
            self.refuse(from, txn, token, checked.err().unwrap_or(Refusal::NotEnabled));
        }
    }

    /// The peer lets go of a live session's stream.
    fn let_go(&mut self, now: u64, index: usize, from: Address, txn: Txn) {
        let place = &mut self.places[index];
        let Some(session) = &mut place.session else { return };
        let facts = session.facts();
        let token = facts.token();
        if facts.client != from {
            return self.refuse(from, txn, token, Refusal::ForeignClient);
        }
        let confirm = Some((from, txn));
        let orders = match session {
            Session::Draining(draining) => &mut draining.orders,
            Session::Running(_) => {
                // Whether the device is there shows when its card was told gone.
                let card = u16::from(session.facts().wanted.stream.card);
                let play_out = self.cards.get(card).is_some_and(|card| card.present);
                let orders = Orders { confirm, let_go: true, play_out, ..Orders::default() };
                return self.end(now, index, orders);
            }
            Session::Reserved(_) | Session::Mapped(_) | Session::Armed(_) => {
                // It gave up on its enable request before that was answered.
                let refused = Refused::new(Refusal::Revoked, session.held());
                let fresh = Orders { refuse: Some(refused), let_go: true, ..Orders::default() };
                place.interrupt.get_or_insert(fresh)
            }
        };
        orders.let_go = true;
        match orders.confirm {
            // The same again, whose answer is on its way.
            Some(pending) if pending == (from, txn) => {}
            Some(_) => self.refuse(from, txn, token, Refusal::NotEnabled),
            None if place.parked => {
                self.cards.let_go(token);
                self.confirm(from, txn, token);
            }
            None => {
                orders.confirm = confirm;
                if orders.await_peer.take().is_some() {
                    self.advance(now, index);
                }
            }
        }
    }

    fn refuse(&mut self, to: Address, txn: Txn, token: Token, refusal: Refusal) {
        self.note(refusal);
        let response = response::refused(self.settings.dialect, token, refusal);
        push(&mut self.effects, Effect::Respond(to, txn, response));
    }

    fn note(&mut self, refusal: Refusal) {
        self.refused = self.refused.wrapping_add(1);
        self.last_refusal = Some(refusal);
    }

    fn confirm(&mut self, to: Address, txn: Txn, token: Token) {
        let entry = Some((to, txn, token));
        if !self.confirmed.contains(&entry) {
            self.confirmed[self.next_confirmed] = entry;
            self.next_confirmed = (self.next_confirmed + 1) % SESSIONS;
        }
        push(&mut self.effects, Effect::Respond(to, txn, response::disabled(token)));
    }

    // ---- losses ----

    /// Ends every session that `which` picks, because its device, its window or
    /// a server is gone: who has a stream is told and waited for, who was still
    /// to get one is refused.
    fn revoke(&mut self, now: u64, refusal: Refusal, which: impl Fn(&Facts, &Held) -> bool) {
        for index in 0..SESSIONS {
            let place = &mut self.places[index];
            let Some(session) = &mut place.session else { continue };
            if !which(session.facts(), session.held()) {
                continue;
            }
            match session {
                Session::Draining(draining) => {
                    // Nobody is left to play it out.
                    draining.orders.play_out = false;
                    if draining.tail_until.take().is_some() {
                        self.advance(now, index);
                    }
                }
                Session::Running(_) => self.tell_and_end(now, index),
                Session::Reserved(_) | Session::Mapped(_) | Session::Armed(_) => {
                    let refuse = Some(Refused::new(refusal, session.held()));
                    let fresh = Orders { refuse, let_go: true, ..Orders::default() };
                    place.interrupt.get_or_insert(fresh);
                }
            }
        }
    }

    fn tell_and_end(&mut self, now: u64, index: usize) {
        let Some(session) = &self.places[index].session else { return };
        let facts = *session.facts();
        let await_peer = Some(now + PEER_DEADLINE_MS);
        // The Linux service tells of a slot once, whatever runs on it.
        let told = self.settings.dialect == Dialect::Upstream
            && self.places.iter().any(|place| match &place.session {
                Some(Session::Draining(other)) => {
                    other.orders.await_peer == await_peer
                        && other.facts.client == facts.client
                        && other.facts.wanted.handle == facts.wanted.handle
                }
                _ => false,
            });
        if !told {
            let indication = response::disconnect(self.settings.dialect, &facts);
            push(&mut self.effects, Effect::Indicate(facts.client, indication));
        }
        self.end(now, index, Orders { await_peer, ..Orders::default() });
    }

    fn revoke_sideband(&mut self, now: u64, sideband: SidebandHandle) {
        self.revoke(now, Refusal::Revoked, |_, held| held.sideband == Some(sideband));
    }

    fn revoke_window(&mut self, now: u64, window: WindowHandle) {
        self.revoke(now, Refusal::Revoked, |_, held| held.window == Some(window));
    }

    /// The peer is gone: nobody is told anything, nothing is waited for.
    fn peer_gone(&mut self, now: u64, gone: impl Fn(Address) -> bool) {
        for confirmed in &mut self.confirmed {
            confirmed.take_if(|(client, ..)| gone(*client));
        }
        if self.client.is_some_and(&gone) {
            self.client = None;
            self.cards.forgive_all();
        }
        for index in 0..SESSIONS {
            let place = &mut self.places[index];
            let Some(session) = &mut place.session else { continue };
            if !gone(session.facts().client) {
                continue;
            }
            let orders = Orders { let_go: true, ..Orders::default() };
            match session {
                Session::Draining(draining) => {
                    let waited = draining.orders.await_peer.is_some()
                        || draining.tail_until.take().is_some();
                    draining.orders = orders;
                    if waited {
                        self.advance(now, index);
                    }
                }
                Session::Running(_) => self.end(now, index, orders),
                Session::Reserved(_) | Session::Mapped(_) | Session::Armed(_) => {
                    place.interrupt = Some(orders);
                }
            }
        }
        self.unpark(now);
    }

    fn server_died(&mut self, now: u64, server: Server) {
        for session in self.places.iter_mut().filter_map(|place| place.session.as_mut()) {
            session.held_mut().lost(server);
        }
        match server {
            Server::UsbAudio => {
                // Numbers are given out anew. What plays plays on; what was not
                // yet there cannot come to be.
                self.cards.clear();
                for place in &mut self.places {
                    if let Some(session @ Session::Reserved(_)) = &place.session {
                        let refuse = Some(Refused::new(Refusal::ServerDied, session.held()));
                        let fresh = Orders { refuse, let_go: true, ..Orders::default() };
                        place.interrupt.get_or_insert(fresh);
                    }
                }
            }
            Server::UsbCore => {
                self.votes.forget_holds();
                self.revoke(now, Refusal::ServerDied, |_, _| true);
            }
            Server::Xhci | Server::Iommu => self.revoke(now, Refusal::ServerDied, |_, _| true),
        }
        self.unpark(now);
    }

    /// Gives every session whose end could not go on another round.
    fn unpark(&mut self, now: u64) {
        for index in 0..SESSIONS {
            let place = &mut self.places[index];
            if let (true, Some(Session::Draining(draining))) = (place.parked, &mut place.session) {
                draining.stuck = Steps::default();
                place.parked = false;
                self.advance(now, index);
            }
        }
    }

    fn tick(&mut self, now: u64) {
        for index in 0..SESSIONS {
            let place = &mut self.places[index];
            if let Some(asked) = place.asked {
                if asked.deadline <= now
                    && let Some(session) = &place.session
                {
                    let ask = Ask { session: session.facts().id, serial: asked.serial };
                    push(&mut self.effects, Effect::Cancel(ask));
                    self.answer(now, ask, Err(Failure::Deadline));
                }
                continue;
            }
            let Some(Session::Draining(draining)) = &mut place.session else { continue };
            let over = draining.orders.await_peer.is_some_and(|until| until <= now);
            if over {
                // By force, then; the peer owes this stream until it says so.
                draining.orders.await_peer = None;
            }
            let retry = draining.retry_at.take_if(|at| *at <= now).is_some();
            if over || retry || draining.tail_until.is_some_and(|until| until <= now) {
                self.advance(now, index);
            }
        }
    }

    // ---- a session's way ----

    /// The place of the live session of this stream.
    fn live(&self, token: Token) -> Option<usize> {
        self.places.iter().position(|place| {
            place.session.as_ref().is_some_and(|session| session.facts().token() == token)
        })
    }

    fn ask(&mut self, now: u64, index: usize, op: Op) {
        let place = &mut self.places[index];
        let Some(session) = &place.session else { return };
        place.serial = place.serial.wrapping_add(1);
        let serial = place.serial;
        place.asked = Some(Asked { serial, op, deadline: now + OP_DEADLINE_MS });
        let ask = Ask { session: session.facts().id, serial };
        push(&mut self.effects, Effect::Ask(ask, op));
    }

    /// Begins a session's end. No operation of it may be under way.
    fn end(&mut self, now: u64, index: usize, orders: Orders) {
        let place = &mut self.places[index];
        if let Some(session) = place.session.take() {
            place.session = Some(Session::Draining(session.drain(orders)));
            self.advance(now, index);
        }
    }

    fn answer(&mut self, now: u64, ask: Ask, result: Result<Reply, Failure>) {
        let index = usize::from(ask.session.place);
        let Some(place) = self.places.get_mut(index) else { return };
        let Some(session) = &mut place.session else { return };
        let (id, op) = match place.asked {
            Some(Asked { serial, op, .. })
                if serial == ask.serial && session.facts().id == ask.session =>
            {
                (ask.session, op)
            }
            _ => return,
        };
        place.asked = None;
        let broken = match session {
            Session::Draining(draining) => {
                match result {
                    Err(failure) if failure.is_busy() => draining.retry_at = Some(now + RETRY_MS),
                    _ => Self::given_back(&mut self.votes, &mut self.buffers, draining, op, result),
                }
                return self.advance(now, index);
            }
            Session::Reserved(reserved) => match (op, result) {
                (Op::Hold(_), Ok(_) | Err(Failure::Core(UsbCoreError::AlreadyHeld))) => {
                    self.votes.commit(id);
                    None
                }
                (_, Ok(reply)) => reserved.gathered(op, reply).err(),
                (_, Err(failure)) => Some(failure.refusal()),
            },
            _ => result.err().map(Failure::refusal),
        };
        let refused = broken.map(|refusal| Refused::new(refusal, session.held()));
        // What ended the session meanwhile is the better reason than what
        // failed because of it.
        if let Some(orders) = place.interrupt.take() {
            return self.end(now, index, orders);
        }
        if refused.is_some() {
            let orders = Orders { refuse: refused, let_go: true, ..Orders::default() };
            return self.end(now, index, orders);
        }
        if let Some(Session::Armed(armed)) =
            place.session.take_if(|session| matches!(session, Session::Armed(_)))
        {
            let session = Session::Running(armed.run());
            if let Session::Running(running) = &session {
                let facts = session.facts();
                let response = response::enabled(facts, running.complete(), self.settings.sid);
                push(&mut self.effects, Effect::Respond(facts.client, facts.txn, response));
            }
            place.session = Some(session);
        }
        self.advance(now, index);
    }

    /// A step of an end came back.
    fn given_back(
        votes: &mut Votes,
        buffers: &mut Buffers,
        draining: &mut Draining,
        op: Op,
        result: Result<Reply, Failure>,
    ) {
        if let Op::Unhold(_) = op {
            if result == Err(Failure::Core(UsbCoreError::NotHeld)) {
                votes.count_double_release();
            }
            // Releasing never fails.
            return;
        }
        let Some(step) = teardown::step_of(&draining.held, op) else { return };
        match result {
            Err(failure) if !failure.nothing_left(op) => draining.stuck.insert(step),
            _ => {
                if let (Step::Scrub, Some(pages)) = (step, draining.held.buffer) {
                    buffers.free(pages);
                }
                step.settle(&mut draining.held);
            }
        }
    }

    /// Lets a session go as far as it can by itself.
    fn advance(&mut self, now: u64, index: usize) {
        while self.places[index].asked.is_none() {
            let place = &mut self.places[index];
            let Some(session) = place.session.take() else { return };
            let (session, went) = match session {
                Session::Reserved(reserved) => self.gather(now, index, reserved),
                Session::Mapped(mapped) => {
                    let (armed, op) = mapped.arm();
                    (Session::Armed(armed), Went::Asks(op))
                }
                Session::Draining(draining) => self.give_back(now, draining),
                stays @ (Session::Armed(_) | Session::Running(_)) => (stays, Went::Nowhere),
            };
            self.places[index].session = Some(session);
            match went {
                Went::On => {}
                Went::Nowhere => return,
                Went::Asks(op) => self.ask(now, index, op),
                Went::Over => return self.close(index),
            }
        }
    }

    fn gather(&mut self, now: u64, index: usize, mut reserved: Reserved) -> (Session, Went) {
        let id = reserved.facts.id;
        match reserved.need() {
            Need::Ask(op) => return (Session::Reserved(reserved), Went::Asks(op)),
            Need::Vote => {
                let device = reserved.facts.wanted.handle;
                reserved.held.vote = true;
                if self.votes.cast(id, device) == Cast::AskHold {
                    return (Session::Reserved(reserved), Went::Asks(Op::Hold(device)));
                }
            }
            Need::Buffer { pages } => {
                reserved.held.buffer = self.buffers.take(pages);
                if reserved.held.buffer.is_none() {
                    let refusal = Failure::NoBuffer.refusal();
                    let refuse = Some(Refused::new(refusal, &reserved.held));
                    let orders = Orders { refuse, let_go: true, ..Orders::default() };
                    let draining = Session::Reserved(reserved).drain(orders);
                    return (Session::Draining(draining), Went::On);
                }
            }
            Need::Nothing => {
                return match reserved.mapped() {
                    Ok(mapped) => (Session::Mapped(mapped), Went::On),
                    Err(reserved) => unreachable!("session {id:?} of {now}, {index}: {reserved:?}"),
                };
            }
        }
        (Session::Reserved(reserved), Went::On)
    }

    fn give_back(&mut self, now: u64, mut draining: Draining) -> (Session, Went) {
        if draining.orders.await_peer.is_some() || draining.retry_at.is_some() {
            return (Session::Draining(draining), Went::Nowhere);
        }
        let went = match teardown::next(&draining.held, &mut draining.stuck) {
            None => Went::Over,
            Some((Step::Halt, _)) if draining.orders.play_out => {
                let until = *draining.tail_until.get_or_insert(now + play_out_ms(&draining));
                if now < until {
                    Went::Nowhere
                } else {
                    draining.orders.play_out = false;
                    draining.tail_until = None;
                    Went::On
                }
            }
            Some((_, Undo::Ask(op))) => Went::Asks(op),
            Some((step, Undo::Vote)) => {
                step.settle(&mut draining.held);
                match self.votes.release(draining.facts.id) {
                    Some(device) => Went::Asks(Op::Unhold(device)),
                    None => Went::On,
                }
            }
        };
        (Session::Draining(draining), went)
    }

    /// A round of a session's end is over: who waits for it is answered, and
    /// the place is free unless something could not be given back yet.
    fn close(&mut self, index: usize) {
        let Some(Session::Draining(draining)) = &mut self.places[index].session else { return };
        let facts = draining.facts;
        let orders = draining.orders;
        let over = teardown::is_over(&draining.held);
        let description = draining.held.description;
        draining.orders = Orders { let_go: true, ..Orders::default() };
        if over {
            self.places[index].session = None;
            self.ended = self.ended.wrapping_add(1);
        } else {
            self.places[index].parked = true;
        }
        if let Some(refused) = orders.refuse {
            self.note(refused.refusal);
            let dialect = self.settings.dialect;
            let response = response::broken_off(dialect, &facts, description.as_ref(), &refused);
            push(&mut self.effects, Effect::Respond(facts.client, facts.txn, response));
        }
        if let Some((to, txn)) = orders.confirm {
            self.confirm(to, txn, facts.token());
        }
        if !orders.let_go {
            self.cards.owe(facts.token());
        }
    }
}

/// How far a session went by itself.
#[derive(Copy, Clone, Debug)]
enum Went {
    /// A step: look again.
    On,
    /// No further: it waits for time or the peer, or runs.
    Nowhere,
    /// A server is to be asked.
    Asks(Op),
    /// To the end of its round.
    Over,
}

/// How long what the peer queued may still play: at most the whole buffer, and
/// then what the device holds.
fn play_out_ms(draining: &Draining) -> u64 {
    let Some(description) = &draining.held.description else { return 0 };
    let format = &draining.facts.wanted.format;
    let per_second =
        u64::from(format.rate) * u64::from(format.channels) * u64::from(description.subslot);
    let queued = u64::from(draining.facts.wanted.buffer_bytes) * 1000 / per_second.max(1);
    queued.min(MAX_PLAY_OUT_MS) + u64::from(description.tail_ms)
}

/// Adds an effect.
fn push(effects: &mut Fifo<Effect, EFFECTS>, effect: Effect) {
    assert!(effects.push(effect).is_ok(), "one input has a bounded number of effects");
}
