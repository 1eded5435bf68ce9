//! A session's life as one function.
//!
//! [`transition`] takes a session, what happened to it and what time it is, and
//! answers what it is then, what it needs next and what is to be said. It knows
//! nothing of other sessions and touches nothing; whoever carries out what it
//! wants (`broker`) tells it how that went, as the next event. So everything
//! that can become of a session can be tried out without a server, a peer or a
//! clock, and by whoever explores orders of events.

use dsp_link_api::Address;
use fifo::Fifo;
use offload_broker_api::SessionPhase;
use qmi::Txn;
use usb_core_api::{DeviceHandle, UsbCoreError};

use super::{Draining, Need, Orders, Refused, Reserved, Session};
use crate::buffers::Pages;
use crate::ops::{Op, Reply, Server};
use crate::refusal::{Failure, Refusal};
use crate::teardown::{self, Step, Steps, Undo};
use crate::votes::Cast;

/// How long a server is left alone that was too busy to give something back.
pub const RETRY_MS: u64 = 20;
/// Longest time that queued sound is waited for when a stream is disabled.
pub const MAX_PLAY_OUT_MS: u64 = 100;

/// Things that one transition can say: at most three changes of phase, what a
/// step gave back, and the three words at a session's end.
const SAYS: usize = 8;

/// A session, and what is under way for it.
#[derive(Debug)]
pub struct Live {
    /// The session.
    pub session: Session,
    /// What is under way.
    pub under_way: UnderWay,
}

/// What is under way for a session.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// What a server is asked.
    pub asked: Option<Op>,
    /// The session is to end like this as soon as that ended.
    pub interrupt: Option<Orders>,
    /// Its end cannot go on before the DSP or a server was reset.
    pub parked: bool,
}

/// What can happen to a session.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was made: it begins to gather.
    Begun,
    /// What it asked for ended.
    Answered(Result<Reply, Failure>),
    /// Its vote was cast ([`Next::Vote`]).
    Voted(Cast),
    /// Pages were looked for ([`Next::Buffer`]).
    Buffer(Option<Pages>),
    /// Its vote was released ([`Next::Unvote`]); the device whose hold ends with
    /// it.
    Unvoted(Option<DeviceHandle>),
    /// Its device, its window or a server is gone: a peer that has the stream is
    /// told, and waited for until then.
    Revoked {
        /// What a peer is told that was still to get the stream.
        refusal: Refusal,
        /// How long a peer is waited for that has it.
        until: u64,
    },
    /// It is taken from its peer, who is told and not waited for.
    Ousted(Refusal),
    /// Its peer is gone: nobody is told, nothing is waited for.
    Abandoned,
    /// Its peer lets go of the stream.
    LetGo {
        /// Whom to answer.
        from: Address,
        /// In which exchange.
        txn: Txn,
        /// What the peer queued can still be heard.
        audible: bool,
    },
    /// A server died.
    Lost(Server),
    /// Its controller was reset, or is kept from memory: nothing of it runs any more.
    Quiesced,
    /// What could not be given back may be possible now.
    TryAgain,
    /// Time passed.
    Tick,
}

/// What a session needs next. It is told by an event how that went, and can
/// wait for nothing else meanwhile.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// An operation of a server.
    Ask(Op),
    /// A vote for its device.
    Vote,
    /// So many pages for its buffer.
    Buffer(u16),
    /// Its vote released.
    Unvote,
}

/// What is to be said, or entered in the books, on a session's way.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// It is in this phase now; `Free` is its end.
    Phase(SessionPhase),
    /// The peer has its stream.
    Enabled,
    /// The peer does not get it.
    Refuse(Refused),
    /// A disable request is confirmed.
    Confirm(Address, Txn),
    /// A disable request is refused: another one is on its way already.
    RefuseDisable(Address, Txn),
    /// The peer must let go of it.
    Disconnect,
    /// The same, because its device is suspended.
    Suspend,
    /// The peer has not let go of a stream that was taken from it.
    Owed,
    /// The peer let go of a stream that it owed.
    Settled,
    /// Its vote is granted.
    Granted,
    /// A hold was to be ended that was not there.
    NotHeld,
    /// Pages are free.
    Free(Pages),
}

/// What a transition comes to.
#[derive(Debug)]
pub struct Turn {
    /// The session; `None` when it is over and nothing is left of it.
    pub live: Option<Live>,
    /// What it needs next.
    pub next: Option<Next>,
    /// What is to be said first, in this order.
    pub says: Fifo<Say, SAYS>,
}

impl Live {
    /// A session that was just admitted.
    #[must_use]
    pub fn new(reserved: Reserved) -> Self {
        Self { session: Session::Reserved(reserved), under_way: UnderWay::default() }
    }

    /// When [`Event::Tick`] is due for it; what is asked of a server has a
    /// deadline elsewhere.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        match &self.session {
            Session::Draining(draining) if self.under_way.asked.is_none() => {
                draining.orders.await_peer.or(draining.tail_until).or(draining.retry_at)
            }
            _ => None,
        }
    }
}

/// What becomes of a session to which `event` happens at time `now`. An event
/// that is not for the phase it is in changes nothing.
#[must_use]
pub fn transition(live: Live, now: u64, event: Event) -> Turn {
    let mut course = Course { now, says: Fifo::new() };
    let Live { session, under_way } = live;
    let (live, next) = course.take(session, under_way, event);
    Turn { live, next, says: course.says }
}

/// A session, and what it needs next.
type Went = (Option<Live>, Option<Next>);

/// It stays as it is, and needs nothing.
const fn stays(session: Session, under_way: UnderWay) -> Went {
    (Some(Live { session, under_way }), None)
}

/// It needs something of the broker's own books.
const fn needs(session: Session, under_way: UnderWay, next: Next) -> Went {
    (Some(Live { session, under_way }), Some(next))
}

/// A server is asked.
fn asks(session: Session, under_way: UnderWay, op: Op) -> Went {
    let under_way = UnderWay { asked: Some(op), ..under_way };
    needs(session, under_way, Next::Ask(op))
}

/// One transition on its way.
struct Course {
    now: u64,
    says: Fifo<Say, SAYS>,
}

impl Course {
    fn say(&mut self, say: Say) {
        assert!(self.says.push(say).is_ok(), "a transition says a bounded number of things");
    }

    fn take(&mut self, mut session: Session, mut way: UnderWay, event: Event) -> Went {
        match event {
            Event::Begun => {
                self.say(Say::Phase(SessionPhase::Reserved));
                self.advance(session, way)
            }
            Event::Answered(result) => match way.asked.take() {
                Some(op) => self.answered(session, way, op, result),
                None => stays(session, way),
            },
            Event::Voted(Cast::AskHold) => {
                let hold = Op::Hold(session.facts().wanted.handle);
                asks(session, way, hold)
            }
            Event::Voted(Cast::Committed) | Event::Unvoted(None) => self.advance(session, way),
            Event::Unvoted(Some(device)) => asks(session, way, Op::Unhold(device)),
            Event::Buffer(pages) => self.buffer(session, way, pages),
            Event::Revoked { refusal, until } => {
                let told = Orders { await_peer: Some(until), ..Orders::default() };
                self.taken(session, way, refusal, told)
            }
            Event::Ousted(refusal) => self.taken(session, way, refusal, Orders::default()),
            Event::Abandoned => self.abandoned(session, way),
            Event::LetGo { from, txn, audible } => self.let_go(session, way, (from, txn), audible),
            Event::Lost(server) => {
                session.held_mut().lost(server);
                if let (Server::UsbAudio, Session::Reserved(reserved)) = (server, &session) {
                    // What is not yet there cannot come to be.
                    let orders = Orders::refuse(Refusal::ServerDied, &reserved.held);
                    way.interrupt.get_or_insert(orders);
                }
                stays(session, way)
            }
            Event::Quiesced => {
                session.held_mut().adrift = false;
                stays(session, way)
            }
            Event::TryAgain => {
                if let Session::Draining(draining) = &mut session {
                    draining.stuck = Steps::default();
                    if core::mem::take(&mut way.parked) {
                        return self.advance(session, way);
                    }
                }
                stays(session, way)
            }
            Event::Tick => self.tick(session, way),
        }
    }

    /// Lets a session for which nothing is under way go as far as it can by
    /// itself.
    fn advance(&mut self, session: Session, way: UnderWay) -> Went {
        if way.asked.is_some() {
            return stays(session, way);
        }
        match session {
            Session::Reserved(reserved) => self.gather(reserved, way),
            Session::Mapped(mapped) => {
                let (armed, op) = mapped.arm();
                self.say(Say::Phase(SessionPhase::Armed));
                asks(Session::Armed(armed), way, op)
            }
            Session::Draining(draining) => self.give_back(draining, way),
            Session::Armed(_) | Session::Running(_) => stays(session, way),
        }
    }

    // ---- up ----

    fn gather(&mut self, mut reserved: Reserved, way: UnderWay) -> Went {
        match reserved.need() {
            Need::Ask(op) => asks(Session::Reserved(reserved), way, op),
            Need::Vote => {
                reserved.held.vote = true;
                needs(Session::Reserved(reserved), way, Next::Vote)
            }
            Need::Buffer { pages } => needs(Session::Reserved(reserved), way, Next::Buffer(pages)),
            Need::Nothing => match reserved.mapped() {
                Ok(mapped) => {
                    self.say(Say::Phase(SessionPhase::Mapped));
                    self.advance(Session::Mapped(mapped), way)
                }
                Err(reserved) => unreachable!("nothing is missing of {reserved:?}"),
            },
        }
    }

    fn buffer(&mut self, mut session: Session, way: UnderWay, pages: Option<Pages>) -> Went {
        if let Session::Reserved(reserved) = &mut session {
            reserved.held.buffer = pages;
            if pages.is_none() {
                let orders = Orders::refuse(Failure::NoBuffer.refusal(), &reserved.held);
                return self.end(session, way, orders);
            }
        }
        self.advance(session, way)
    }

    fn answered(
        &mut self,
        mut session: Session,
        mut way: UnderWay,
        op: Op,
        result: Result<Reply, Failure>,
    ) -> Went {
        let broken = match &mut session {
            Session::Draining(draining) => {
                match result {
                    Err(failure) if failure.is_busy() => {
                        draining.retry_at = Some(self.now + RETRY_MS);
                    }
                    _ => self.given_back(draining, op, result),
                }
                return self.advance(session, way);
            }
            Session::Reserved(reserved) => match (op, result) {
                (Op::Hold(_), Ok(_) | Err(Failure::Core(UsbCoreError::AlreadyHeld))) => {
                    self.say(Say::Granted);
                    None
                }
                (_, Ok(reply)) => reserved.gathered(op, reply).err(),
                (_, Err(failure)) => Some(failure.refusal()),
            },
            _ => result.err().map(Failure::refusal),
        };
        let broken = broken.map(|refusal| Orders::refuse(refusal, session.held()));
        // What ended the session meanwhile is the better reason than what
        // failed because of it.
        if let Some(orders) = way.interrupt.take().or(broken) {
            return self.end(session, way, orders);
        }
        if let Session::Armed(armed) = session {
            self.say(Say::Phase(SessionPhase::Running));
            self.say(Say::Enabled);
            return stays(Session::Running(armed.run()), way);
        }
        self.advance(session, way)
    }

    // ---- down ----

    /// Begins a session's end. Nothing may be under way for it.
    fn end(&mut self, session: Session, way: UnderWay, orders: Orders) -> Went {
        self.say(Say::Phase(SessionPhase::Draining));
        self.advance(Session::Draining(session.drain(orders)), way)
    }

    /// It is taken from its peer: who has the stream is told, and `told` says
    /// how it ends then; who was still to get it is refused.
    fn taken(
        &mut self,
        mut session: Session,
        mut way: UnderWay,
        refusal: Refusal,
        told: Orders,
    ) -> Went {
        match &mut session {
            Session::Draining(draining) => {
                // Nobody is left to play it out.
                draining.orders.play_out = false;
                let mut waited = draining.tail_until.take().is_some();
                if told.await_peer.is_none() {
                    waited |= draining.orders.await_peer.take().is_some();
                }
                if waited { self.advance(session, way) } else { stays(session, way) }
            }
            Session::Running(_) => {
                self.say(match refusal {
                    Refusal::Suspended => Say::Suspend,
                    _ => Say::Disconnect,
                });
                self.end(session, way, told)
            }
            Session::Reserved(_) | Session::Mapped(_) | Session::Armed(_) => {
                way.interrupt.get_or_insert(Orders::refuse(refusal, session.held()));
                stays(session, way)
            }
        }
    }

    /// Its peer knows nothing of it any more.
    fn abandoned(&mut self, mut session: Session, mut way: UnderWay) -> Went {
        let orders = Orders { let_go: true, ..Orders::default() };
        match &mut session {
            Session::Draining(draining) => {
                let waited =
                    draining.orders.await_peer.is_some() || draining.tail_until.take().is_some();
                draining.orders = orders;
                if waited { self.advance(session, way) } else { stays(session, way) }
            }
            Session::Running(_) => self.end(session, way, orders),
            Session::Reserved(_) | Session::Mapped(_) | Session::Armed(_) => {
                way.interrupt = Some(orders);
                stays(session, way)
            }
        }
    }

    /// Its peer lets go of the stream, and is to be answered.
    fn let_go(
        &mut self,
        mut session: Session,
        mut way: UnderWay,
        to: (Address, Txn),
        audible: bool,
    ) -> Went {
        let confirm = Some(to);
        let orders = match &mut session {
            Session::Draining(draining) => &mut draining.orders,
            Session::Running(_) => {
                let orders =
                    Orders { confirm, let_go: true, play_out: audible, ..Orders::default() };
                return self.end(session, way, orders);
            }
            Session::Reserved(_) | Session::Mapped(_) | Session::Armed(_) => {
                // It gave up on its enable request before that was answered.
                let orders = Orders::refuse(Refusal::Revoked, session.held());
                way.interrupt.get_or_insert(orders)
            }
        };
        orders.let_go = true;
        match orders.confirm {
            // The same again, whose answer is on its way.
            Some(pending) if pending == to => stays(session, way),
            Some(_) => {
                self.say(Say::RefuseDisable(to.0, to.1));
                stays(session, way)
            }
            None if way.parked => {
                self.say(Say::Settled);
                self.say(Say::Confirm(to.0, to.1));
                stays(session, way)
            }
            None => {
                orders.confirm = confirm;
                let waited = orders.await_peer.take().is_some();
                if waited { self.advance(session, way) } else { stays(session, way) }
            }
        }
    }

    fn tick(&mut self, mut session: Session, way: UnderWay) -> Went {
        let Session::Draining(draining) = &mut session else { return stays(session, way) };
        let due = |at: &mut u64| *at <= self.now;
        // By force, then; the peer owes this stream until it says so.
        let over = draining.orders.await_peer.take_if(due).is_some();
        let retry = draining.retry_at.take_if(due).is_some();
        let played = draining.tail_until.is_some_and(|at| at <= self.now);
        if over || retry || played { self.advance(session, way) } else { stays(session, way) }
    }

    /// A step of an end came back.
    fn given_back(&mut self, draining: &mut Draining, op: Op, result: Result<Reply, Failure>) {
        if let Op::Unhold(_) = op {
            if result == Err(Failure::Core(UsbCoreError::NotHeld)) {
                self.say(Say::NotHeld);
            }
            // Releasing never fails.
            return;
        }
        let Some(step) = teardown::step_of(&draining.held, op) else { return };
        match result {
            Err(failure) if !failure.nothing_left(op) => draining.stuck.insert(step),
            _ => {
                if let (Step::Scrub, Some(pages)) = (step, draining.held.buffer) {
                    self.say(Say::Free(pages));
                }
                step.settle(&mut draining.held);
            }
        }
    }

    fn give_back(&mut self, mut draining: Draining, way: UnderWay) -> Went {
        if draining.orders.await_peer.is_some() || draining.retry_at.is_some() {
            return stays(Session::Draining(draining), way);
        }
        match teardown::next(&draining.held, &mut draining.stuck) {
            None => self.close(draining, way),
            Some((Step::Halt, _)) if draining.orders.play_out => {
                let until = self.now + play_out_ms(&draining);
                if self.now < *draining.tail_until.get_or_insert(until) {
                    return stays(Session::Draining(draining), way);
                }
                draining.orders.play_out = false;
                draining.tail_until = None;
                self.give_back(draining, way)
            }
            Some((_, Undo::Ask(op))) => asks(Session::Draining(draining), way, op),
            Some((step, Undo::Vote)) => {
                step.settle(&mut draining.held);
                needs(Session::Draining(draining), way, Next::Unvote)
            }
        }
    }

    /// A round of an end is over: who waits for it is answered, and the session
    /// is gone unless something could not be given back yet.
    fn close(&mut self, mut draining: Draining, mut way: UnderWay) -> Went {
        let over = teardown::is_over(&draining.held);
        let rest = Orders { let_go: true, ..Orders::default() };
        let orders = core::mem::replace(&mut draining.orders, rest);
        if over {
            self.say(Say::Phase(SessionPhase::Free));
        }
        if let Some(refused) = orders.refuse {
            self.say(Say::Refuse(refused));
        }
        if let Some((to, txn)) = orders.confirm {
            self.say(Say::Confirm(to, txn));
        }
        if !orders.let_go {
            self.say(Say::Owed);
        }
        if over {
            return (None, None);
        }
        way.parked = true;
        stays(Session::Draining(draining), way)
    }
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
