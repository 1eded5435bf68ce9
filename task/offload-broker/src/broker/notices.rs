//! What the monitor says about a session (DESIGN rule 8: a DSP that misbehaves
//! loses its session, never more).
//!
//! The gate refused something, or the program died: the session is taken down
//! in the one order. Who misbehaves is told, as of a device that goes, but not
//! waited for: the wait lets a peer come to an orderly end, and this one had
//! its chance; nor is there anything to wait for behind a gate that was never
//! opened. A program that died knows of nothing, so nobody is told. One
//! that stalls may come back: that is counted only.

use dsp_abi::SESSIONS;
use offload_broker_api::RouteEnding;
use xhci_api::GateOpening;

use super::{Broker, push};
use crate::ops::{Effect, Trouble};
use crate::refusal::Refusal;
use crate::response;
use crate::session::{Orders, Refused, Session};

impl Broker {
    /// Takes in a notice. One about a gate that is closed, or was opened again
    /// since, is about nobody.
    pub(super) fn notice(
        &mut self,
        now: u64,
        controller: u8,
        opening: GateOpening,
        trouble: Trouble,
    ) {
        let named = |session: &Session| {
            let held = session.held();
            held.gate
                && held.rings.is_some_and(|rings| rings.gate == opening)
                && session.facts().wanted.device.controller == controller
        };
        let index =
            (0..SESSIONS).find(|&index| self.places[index].session.as_ref().is_some_and(named));
        let Some(index) = index else { return };
        match trouble {
            Trouble::Stalled => self.stalls = self.stalls.wrapping_add(1),
            Trouble::Refused(_) => {
                self.misbehaved = self.misbehaved.wrapping_add(1);
                self.end_routes(index, RouteEnding::Misbehaved);
                self.oust(now, index, Refusal::Misbehaved);
            }
            Trouble::NotOpened(_) => {
                self.end_routes(index, RouteEnding::Revoked);
                self.oust(now, index, Refusal::GateFailed);
            }
            Trouble::Restarted => {
                self.end_routes(index, RouteEnding::DspGone);
                self.abandon(now, index);
            }
        }
    }

    /// Takes a session from its peer, which is not waited for.
    fn oust(&mut self, now: u64, index: usize, refusal: Refusal) {
        let place = &mut self.places[index];
        let Some(session) = &mut place.session else { return };
        let facts = *session.facts();
        match session {
            Session::Draining(draining) => {
                draining.orders.play_out = false;
                let waited = draining.orders.await_peer.take().is_some()
                    || draining.tail_until.take().is_some();
                if waited {
                    self.advance(now, index);
                }
            }
            Session::Running(_) => {
                let indication = response::disconnect(self.settings.dialect, &facts);
                push(&mut self.effects, Effect::Indicate(facts.client, indication));
                self.end(now, index, Orders::default());
            }
            Session::Reserved(_) | Session::Mapped(_) | Session::Armed(_) => {
                let refuse = Some(Refused::new(refusal, session.held()));
                let fresh = Orders { refuse, let_go: true, ..Orders::default() };
                place.interrupt.get_or_insert(fresh);
            }
        }
    }

    /// Ends the routes of a session's stream; their owners have news.
    fn end_routes(&mut self, index: usize, why: RouteEnding) {
        let Some(session) = &self.places[index].session else { return };
        for owner in self.backend.end_stream(session.facts().token(), why) {
            push(&mut self.effects, Effect::Hint(owner));
        }
    }
}
