//! What the monitor says about a session (DESIGN rule 8: a DSP that misbehaves
//! loses its session, never more).
//!
//! The gate refused something, or the program died: the session is taken down
//! in the one order. Who misbehaves is told, as of a device that goes, but not
//! waited for: the wait lets a peer come to an orderly end, and this one had
//! its chance; nor is there anything to wait for behind a gate that was never
//! opened. A program that died knows of nothing, so nobody is told. One
//! that stalls may come back: that is counted only.

use offload_broker_api::RouteEnding;
use xhci_api::GateOpening;

use super::{Broker, push};
use crate::ops::{Effect, Trouble};
use crate::refusal::Refusal;
use crate::session::{Event, Live};

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
        let named = |live: &Live| {
            let held = live.session.held();
            held.gate
                && held.rings.is_some_and(|rings| rings.gate == opening)
                && live.session.facts().is_on(controller)
        };
        let mut places = self.places.iter();
        let index = places.position(|place| place.live.as_ref().is_some_and(named));
        let Some(index) = index else { return };
        match trouble {
            Trouble::Stalled => self.stalls = self.stalls.wrapping_add(1),
            Trouble::Refused(_) => {
                self.misbehaved = self.misbehaved.wrapping_add(1);
                self.end_routes(index, RouteEnding::Misbehaved);
                self.happen(now, index, Event::Ousted(Refusal::Misbehaved));
            }
            Trouble::NotOpened(_) => {
                self.end_routes(index, RouteEnding::Revoked);
                self.happen(now, index, Event::Ousted(Refusal::GateFailed));
            }
            Trouble::Restarted => {
                self.end_routes(index, RouteEnding::DspGone);
                self.happen(now, index, Event::Abandoned);
            }
        }
    }

    /// Ends the routes of a session's stream; their owners have news.
    fn end_routes(&mut self, index: usize, why: RouteEnding) {
        let Some(live) = &self.places[index].live else { return };
        for owner in self.backend.end_stream(live.session.facts().token(), why) {
            push(&mut self.effects, Effect::Hint(owner));
        }
    }
}
