//! What ends sessions that nobody asked to end: devices, peers and servers that
//! go, and faults.

use dsp_abi::SESSIONS;
use dsp_link_api::Address;
use iommu_api::WindowHandle;
use xhci_api::SidebandHandle;

use super::{Broker, PEER_DEADLINE_MS, push};
use crate::ops::{Effect, Server};
use crate::refusal::{Dialect, Refusal};
use crate::response;
use crate::session::{Facts, Held, Orders, Refused, Session};
use crate::teardown::Steps;

impl Broker {
    /// Ends every session that `which` picks, because its device, its window or
    /// a server is gone: who has a stream is told and waited for, who was still
    /// to get one is refused.
    pub(super) fn revoke(
        &mut self,
        now: u64,
        refusal: Refusal,
        which: impl Fn(&Facts, &Held) -> bool,
    ) {
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

    pub(super) fn revoke_sideband(&mut self, now: u64, sideband: SidebandHandle) {
        self.revoke(now, Refusal::Revoked, |_, held| held.sideband == Some(sideband));
    }

    pub(super) fn revoke_window(&mut self, now: u64, window: WindowHandle) {
        self.revoke(now, Refusal::Revoked, |_, held| held.window == Some(window));
    }

    /// The peer is gone: nobody is told anything, nothing is waited for.
    pub(super) fn peer_gone(&mut self, now: u64, gone: impl Fn(Address) -> bool) {
        for confirmed in &mut self.confirmed {
            confirmed.take_if(|(client, ..)| gone(*client));
        }
        if self.client.is_some_and(&gone) {
            self.client = None;
            self.cards.forgive_all();
        }
        for index in 0..SESSIONS {
            let session = self.places[index].session.as_ref();
            if session.is_some_and(|session| gone(session.facts().client)) {
                self.abandon(now, index);
            }
        }
        self.unpark(now);
    }

    /// Takes a session down whose peer knows nothing of it any more.
    pub(super) fn abandon(&mut self, now: u64, index: usize) {
        let orders = Orders { let_go: true, ..Orders::default() };
        let place = &mut self.places[index];
        match &mut place.session {
            Some(Session::Draining(draining)) => {
                let waited =
                    draining.orders.await_peer.is_some() || draining.tail_until.take().is_some();
                draining.orders = orders;
                if waited {
                    self.advance(now, index);
                }
            }
            Some(Session::Running(_)) => self.end(now, index, orders),
            Some(Session::Reserved(_) | Session::Mapped(_) | Session::Armed(_)) => {
                place.interrupt = Some(orders);
            }
            None => {}
        }
    }

    pub(super) fn server_died(&mut self, now: u64, server: Server) {
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

    /// What could not be given back may be possible now: every session that is
    /// ending tries again.
    pub(super) fn unpark(&mut self, now: u64) {
        for index in 0..SESSIONS {
            let place = &mut self.places[index];
            if let Some(Session::Draining(draining)) = &mut place.session {
                draining.stuck = Steps::default();
                if core::mem::take(&mut place.parked) {
                    self.advance(now, index);
                }
            }
        }
    }
}
