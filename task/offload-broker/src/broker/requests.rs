//! What the peer asks: enable and disable, who may, and what was asked before.

use dsp_abi::SESSIONS;
use dsp_link_api::Address;
use qmi::{StreamRequest, Token, Txn};
use usb_types::Direction;

use super::{Broker, Place, push};
use crate::ops::Effect;
use crate::refusal::Refusal;
use crate::request::{Wanted, check};
use crate::response;
use crate::session::{Event, Facts, Live, Reserved, Session, SessionId};

impl Broker {
    pub(super) fn enable(&mut self, now: u64, from: Address, txn: Txn, request: &StreamRequest) {
        if self.repeats_enable(from, txn, request) {
            return;
        }
        match self.admit(from, request) {
            Err(refusal) => {
                self.remember(from, txn, request.usb_token, Some(refusal));
                self.refuse(from, txn, request.usb_token, refusal);
            }
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
                let live = Some(Live::new(Reserved::new(facts)));
                self.places[index] = Place { live, serial, ..Place::default() };
                self.happen(now, index, Event::Begun);
            }
        }
    }

    /// Whether the request is one that was refused or began a live session, sent
    /// again: then it is answered as it was, or the answer is still to come.
    fn repeats_enable(&mut self, from: Address, txn: Txn, request: &StreamRequest) -> bool {
        let same = (from, txn, request.usb_token);
        let mut answered = self.answered.iter().flatten();
        let refused = answered.find(|&&(from, txn, token, _)| (from, txn, token) == same);
        if let Some(&(.., Some(refusal))) = refused {
            self.refuse(from, txn, request.usb_token, refusal);
            return true;
        }
        let live = self.live(request.usb_token).and_then(|i| self.places[i].live.as_ref());
        let Some(Live { session, .. }) = live else { return false };
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
        let foreign = |place: &Place| match place.live.as_ref().map(|live| &live.session) {
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
        let free = self.places.iter().position(|place| place.live.is_none());
        let free = free.filter(|_| !scarce::spent(scarce::Scarce::Place));
        Ok((free.ok_or(Refusal::NoSessions)?, wanted))
    }

    pub(super) fn disable(&mut self, now: u64, from: Address, txn: Txn, request: &StreamRequest) {
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
        } else if self.answered.contains(&Some((from, txn, token, None))) {
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
        let Some(live) = &self.places[index].live else { return };
        let facts = live.session.facts();
        if facts.client != from {
            let token = facts.token();
            return self.refuse(from, txn, token, Refusal::ForeignClient);
        }
        // Whether the device is there shows when its card was told gone. What is
        // recorded was wanted until now, and no longer.
        let stream = facts.wanted.stream;
        let present = self.cards.get(stream.card.into()).is_some_and(|card| card.present);
        let audible = present && stream.direction == Direction::Out;
        self.happen(now, index, Event::LetGo { from, txn, audible });
    }

    pub(super) fn refuse(&mut self, to: Address, txn: Txn, token: Token, refusal: Refusal) {
        self.note(refusal);
        let response = response::refused(self.settings.dialect, token, refusal);
        push(&mut self.effects, Effect::Respond(to, txn, response));
    }

    pub(super) fn note(&mut self, refusal: Refusal) {
        self.refused = self.refused.wrapping_add(1);
        self.last_refusal = Some(refusal);
    }

    pub(super) fn confirm(&mut self, to: Address, txn: Txn, token: Token) {
        self.remember(to, txn, token, None);
        push(&mut self.effects, Effect::Respond(to, txn, response::disabled(token)));
    }

    /// Keeps an answer for when its request comes again.
    pub(super) fn remember(
        &mut self,
        to: Address,
        txn: Txn,
        token: Token,
        refusal: Option<Refusal>,
    ) {
        let entry = Some((to, txn, token, refusal));
        if !self.answered.contains(&entry) {
            self.answered[self.next_answered] = entry;
            self.next_answered = (self.next_answered + 1) % SESSIONS;
        }
    }
}
