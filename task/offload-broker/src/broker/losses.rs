//! What ends sessions that nobody asked to end: devices, peers and servers that
//! go, and faults.

use dsp_abi::SESSIONS;
use dsp_link_api::Address;
use iommu_api::WindowHandle;
use xhci_api::{RevokeReason, SidebandHandle};

use super::Broker;
use crate::ops::Server;
use crate::refusal::Refusal;
use crate::session::{Event, Facts, Held};

impl Broker {
    /// Something happens to every session that `which` picks.
    fn happen_to(&mut self, now: u64, event: Event, which: &dyn Fn(&Facts, &Held) -> bool) {
        for index in 0..SESSIONS {
            let live = self.places[index].live.as_ref();
            if live.is_some_and(|live| which(live.session.facts(), live.session.held())) {
                self.happen(now, index, event);
            }
        }
    }

    /// Ends every session that `which` picks, because its device, its window or
    /// a server is gone: who has a stream is told and waited for, who was still
    /// to get one is refused.
    pub(super) fn revoke(
        &mut self,
        now: u64,
        refusal: Refusal,
        which: &dyn Fn(&Facts, &Held) -> bool,
    ) {
        let until = now + u64::from(self.settings.peer_deadline_ms);
        self.happen_to(now, Event::Revoked { refusal, until }, which);
    }

    pub(super) fn revoke_sideband(
        &mut self,
        now: u64,
        controller: u8,
        sideband: SidebandHandle,
        reason: RevokeReason,
    ) {
        let refusal = match reason {
            RevokeReason::DeviceSuspended => Refusal::Suspended,
            _ => Refusal::Revoked,
        };
        self.revoke(now, refusal, &|facts, held| {
            facts.is_on(controller) && held.sideband == Some(sideband)
        });
    }

    pub(super) fn revoke_window(&mut self, now: u64, window: WindowHandle) {
        self.revoke(now, Refusal::Revoked, &|_, held| held.window == Some(window));
    }

    /// The peer is gone: nobody is told anything, nothing is waited for.
    pub(super) fn peer_gone(&mut self, now: u64, gone: impl Fn(Address) -> bool) {
        for answered in &mut self.answered {
            answered.take_if(|(client, ..)| gone(*client));
        }
        self.asleep.forget(|stream| gone(stream.client));
        if self.client.is_some_and(&gone) {
            self.client = None;
            self.cards.forgive_all();
        }
        self.happen_to(now, Event::Abandoned, &|facts, _| gone(facts.client));
        self.unpark(now);
    }

    /// A server died: all of it, or the driver of one controller.
    pub(super) fn server_died(&mut self, now: u64, server: Server, controller: Option<u8>) {
        let concerns =
            |facts: &Facts, _: &Held| controller.is_none_or(|controller| facts.is_on(controller));
        self.happen_to(now, Event::Lost(server), &concerns);
        match server {
            // Numbers are given out anew. What plays plays on.
            Server::UsbAudio => self.cards.clear(),
            Server::UsbCore => self.votes.forget_holds(),
            Server::Xhci | Server::Iommu => {}
        }
        if matches!(server, Server::UsbAudio | Server::UsbCore) {
            self.asleep.forget(|_| true);
        }
        if server != Server::UsbAudio {
            self.revoke(now, Refusal::ServerDied, &concerns);
        }
        self.unpark(now);
    }

    /// A controller was reset, or is kept from memory: nothing of any session is in its
    /// reach any more.
    pub(super) fn controller_safe(&mut self, now: u64, controller: u8) {
        self.happen_to(now, Event::Quiesced, &|facts, _| facts.is_on(controller));
        self.unpark(now);
    }

    /// What could not be given back may be possible now: every session that is
    /// ending tries again.
    pub(super) fn unpark(&mut self, now: u64) {
        self.happen_to(now, Event::TryAgain, &|_, _| true);
    }
}
