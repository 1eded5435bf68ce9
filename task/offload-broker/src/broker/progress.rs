//! A session's way: from one operation to the next, up and down.

use dsp_abi::SESSIONS;
use usb_core_api::UsbCoreError;

use super::{Asked, Broker, MAX_PLAY_OUT_MS, OP_DEADLINE_MS, RETRY_MS, push};
use crate::buffers::Buffers;
use crate::ops::{Ask, Effect, Op, Reply};
use crate::refusal::Failure;
use crate::response;
use crate::session::{Draining, Need, Orders, Refused, Reserved, Session};
use crate::teardown::{self, Step, Undo};
use crate::votes::{Cast, Votes};

impl Broker {
    pub(super) fn tick(&mut self, now: u64) {
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
    pub(super) fn end(&mut self, now: u64, index: usize, orders: Orders) {
        let place = &mut self.places[index];
        if let Some(session) = place.session.take() {
            place.session = Some(Session::Draining(session.drain(orders)));
            self.advance(now, index);
        }
    }

    pub(super) fn answer(&mut self, now: u64, ask: Ask, result: Result<Reply, Failure>) {
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
    pub(super) fn advance(&mut self, now: u64, index: usize) {
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
