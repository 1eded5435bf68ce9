//! A session's way, with what it shares with the others: votes, buffers, cards,
//! and the peer's answers.

use dsp_abi::SESSIONS;
use qmi::Event;

use super::{Broker, OP_DEADLINE_MS, push};
use crate::asleep::Stream;
use crate::ops::{Ask, Effect, Op, Reply};
use crate::refusal::{Dialect, Failure, Refusal};
use crate::response;
use crate::session::{Event as Happening, Facts, Next, Say, Session, transition};

impl Broker {
    /// Something happens to the session in a place: it goes as far as it can.
    pub(super) fn happen(&mut self, now: u64, index: usize, mut event: Happening) {
        loop {
            let Some(live) = self.places[index].live.take() else { return };
            let facts = *live.session.facts();
            let mut turn = transition(live, now, event);
            self.places[index].live = turn.live;
            while let Some(say) = turn.says.pop() {
                self.say(index, &facts, say);
            }
            event = match turn.next {
                None => return,
                Some(Next::Ask(op)) => return self.ask(now, index, &facts, op),
                Some(Next::Vote) => {
                    Happening::Voted(self.votes.cast(facts.id, facts.wanted.handle))
                }
                Some(Next::Buffer(pages)) => Happening::Buffer(self.buffers.take(pages)),
                Some(Next::Unvote) => Happening::Unvoted(self.votes.release(facts.id)),
            };
        }
    }

    fn ask(&mut self, now: u64, index: usize, facts: &Facts, op: Op) {
        let place = &mut self.places[index];
        place.serial = place.serial.wrapping_add(1);
        place.deadline = Some(now + OP_DEADLINE_MS);
        let ask = Ask { session: facts.id, serial: place.serial };
        push(&mut self.effects, Effect::Ask(ask, op));
    }

    /// An operation ended, if it is the one that its session waits for.
    pub(super) fn answer(&mut self, now: u64, ask: Ask, result: Result<Reply, Failure>) {
        let index = usize::from(ask.session.place);
        let Some(place) = self.places.get_mut(index) else { return };
        let is_its = place.live.as_ref().is_some_and(|live| {
            live.session.facts().id == ask.session && live.under_way.asked.is_some()
        });
        if is_its && place.serial == ask.serial {
            place.deadline = None;
            self.happen(now, index, Happening::Answered(result));
        }
    }

    pub(super) fn tick(&mut self, now: u64) {
        for index in 0..SESSIONS {
            let place = &self.places[index];
            let Some(live) = &place.live else { continue };
            if place.deadline.is_some_and(|deadline| deadline <= now) {
                let ask = Ask { session: live.session.facts().id, serial: place.serial };
                push(&mut self.effects, Effect::Cancel(ask));
                self.answer(now, ask, Err(Failure::Deadline));
            } else {
                self.happen(now, index, Happening::Tick);
            }
        }
    }

    fn say(&mut self, index: usize, facts: &Facts, say: Say) {
        let (client, token) = (facts.client, facts.token());
        match say {
            Say::Phase(phase) => {
                if phase == offload_broker_api::SessionPhase::Free {
                    self.ended = self.ended.wrapping_add(1);
                }
                push(&mut self.effects, Effect::Phase(facts.id, phase));
            }
            Say::Enabled => {
                let live = self.places[index].live.as_ref();
                if let Some(Session::Running(running)) = live.map(|live| &live.session) {
                    let response = response::enabled(facts, running.complete(), self.settings.sid);
                    push(&mut self.effects, Effect::Respond(client, facts.txn, response));
                }
            }
            Say::Refuse(refused) => {
                self.note(refused.refusal);
                self.remember(client, facts.txn, token, Some(refused.refusal));
                let response = response::broken_off(self.settings.dialect, facts, &refused);
                push(&mut self.effects, Effect::Respond(client, facts.txn, response));
            }
            Say::Confirm(to, txn) => self.confirm(to, txn, token),
            Say::RefuseDisable(to, txn) => self.refuse(to, txn, token, Refusal::NotEnabled),
            // The Linux service knows no other word, and neither do its peers.
            Say::Suspend if self.settings.dialect == Dialect::Precise => {
                let (device, named) = (facts.wanted.handle, facts.named());
                self.asleep.add(Stream { device, client, named });
                self.indicate(facts, Event::SUSPEND);
            }
            Say::Disconnect | Say::Suspend => self.disconnect(index, facts),
            Say::Owed => self.cards.owe(token),
            Say::Settled => {
                self.cards.let_go(token);
            }
            Say::Granted => self.votes.commit(facts.id),
            Say::NotHeld => self.votes.count_double_release(),
            Say::Free(pages) => self.buffers.free(pages),
        }
    }

    /// Tells the peer that it must let go. The Linux service tells of a slot
    /// once, whatever runs on it.
    fn disconnect(&mut self, index: usize, facts: &Facts) {
        let await_peer = |place: usize| match self.places[place].live.as_ref().map(|l| &l.session) {
            Some(Session::Draining(draining)) => Some((draining.orders.await_peer?, draining)),
            _ => None,
        };
        let told = self.settings.dialect == Dialect::Upstream
            && await_peer(index).is_some_and(|(until, _)| {
                (0..SESSIONS).filter(|&other| other != index).any(|other| {
                    await_peer(other).is_some_and(|(others, draining)| {
                        others == until
                            && draining.facts.client == facts.client
                            && draining.facts.wanted.handle == facts.wanted.handle
                    })
                })
            });
        if !told {
            self.indicate(facts, Event::DISCONNECT);
        }
    }

    fn indicate(&mut self, facts: &Facts, event: Event) {
        let indication = response::indication(self.settings.dialect, event, facts.named());
        push(&mut self.effects, Effect::Indicate(facts.client, indication));
    }
}
