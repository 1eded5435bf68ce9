//! Link states of root hub ports, suspend and resume: xHCI 1.2, 4.15 and 4.19;
//! USB 2.0, 7.1.7.6 and 7.1.7.7.
//!
//! Into U3 and out of it a link needs its time, and PLS tells when it is there.
//! A change that software asked for into U3 raises no event (U3C is 0); every
//! return to U0 and every resume that a device began does. A device on a
//! suspended port is out of reach: what is sent to it all the same is a
//! violation, and so is each wait that is cut short.

use crate::context::EndpointState;
use crate::ids::{Dci, RootPort, Route, SlotId};
use crate::port::{Port, bit};
use crate::{Wake, Xhc};
use fabric::{Fabric, Time, UsbWait, Violation};

/// Where the link of a port is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    U0,
    /// U3 was asked for; it still reads as U0.
    Falling,
    U3,
    Disabled,
    RxDetect,
    Polling,
    Resume,
    /// U0 was asked for.
    Rising,
}

/// PLS as software writes and reads it (5.4.8).
mod pls {
    pub(super) const U0: u32 = 0;
    pub(super) const U3: u32 = 3;
    pub(super) const DISABLED: u32 = 4;
    pub(super) const RX_DETECT: u32 = 5;
    pub(super) const POLLING: u32 = 7;
    pub(super) const RECOVERY: u32 = 8;
    pub(super) const RESUME: u32 = 15;
}

/// Rest after a resume (USB 2.0, 7.1.7.7 TRSMRCY).
const RECOVERY: Time = Time::ms(10);
/// Resume signalling (TDRSMDN).
const RESUME: Time = Time::ms(20);
/// A port stays suspended that long before it is resumed (EHCI 2.3.9; the device
/// itself needs up to 10 ms to be suspended, USB 2.0, 7.1.7.6).
const SUSPENDED: Time = Time::ms(10);
/// A device waits that long before it signals resume (TWTRSM).
const QUIET: Time = Time::ms(5);

impl Port {
    /// PLS; `usb2` tells the protocol, `deaf` a controller that does not know
    /// Resume.
    pub(crate) fn link_state(&self, usb2: bool, deaf: bool) -> u32 {
        match self.link {
            Link::U0 | Link::Falling => pls::U0,
            Link::U3 => pls::U3,
            Link::Disabled => pls::DISABLED,
            Link::RxDetect => pls::RX_DETECT,
            Link::Polling => pls::POLLING,
            Link::Resume | Link::Rising if deaf => pls::U3,
            Link::Resume => pls::RESUME,
            Link::Rising if usb2 => pls::RESUME,
            Link::Rising => pls::RECOVERY,
        }
    }

    /// Whether its link is suspended, or on its way there or back.
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.link, Link::Falling | Link::U3 | Link::Resume | Link::Rising)
    }
}

impl Xhc {
    /// PLS was written together with LWS.
    pub(crate) fn write_link(&mut self, fabric: &mut Fabric, port: RootPort, wanted: u32) {
        let usb2 = self.p.is_usb2(port);
        let Some(state) = self.port_mut(port) else { return };
        if !state.enabled || state.device.is_none() {
            return;
        }
        let from = state.link;
        match (from, wanted) {
            (Link::U0, pls::U3) => self.fall(fabric, port),
            (Link::U3, pls::RESUME) if usb2 => self.begin_resume(fabric, port),
            (Link::U3, pls::U0) if !usb2 => self.rise(fabric, port),
            (Link::Resume, pls::U0) => self.rise(fabric, port),
            // What is asked for is there already, or on its way; and a device
            // may have begun to resume while software did.
            (Link::U0 | Link::Rising, pls::U0)
            | (Link::Falling | Link::U3, pls::U3)
            | (Link::Resume, pls::RESUME) => {}
            _ => {
                let (controller, port) = (self.number, port.0);
                let wanted = wanted as u8;
                self.violation(fabric, Violation::BadLinkState { controller, port, wanted });
            }
        }
    }

    /// From U0 to U3: its endpoints were to be stopped before (4.15.1).
    fn fall(&mut self, fabric: &mut Fabric, port: RootPort) {
        let (controller, now, span) = (self.number, fabric.now(), self.p.suspend);
        for (n, slot) in (1..).zip(&self.slots) {
            let running =
                |dci: Dci| slot.endpoint(dci).is_some_and(|e| e.state == EndpointState::Running);
            if slot.port == Some(port)
                && let Some(dci) = (1..=Dci::LAST).find(|&dci| running(Dci(dci)))
            {
                fabric.violation(Violation::SuspendedWhileRunning { controller, slot: n, dci });
            }
        }
        self.quiesce_port(port);
        let Some(state) = self.port_mut(port) else { return };
        state.link = Link::Falling;
        state.turn = state.turn.wrapping_add(1);
        state.suspended_at = now;
        let turn = state.turn;
        if span == Time::ZERO {
            self.link_changed(fabric, port, turn);
        } else {
            self.after(fabric, span, Wake::Link(port, turn));
        }
    }

    fn begin_resume(&mut self, fabric: &mut Fabric, port: RootPort) {
        let now = fabric.now();
        let Some(state) = self.port_mut(port) else { return };
        state.link = Link::Resume;
        state.resuming_since = now;
        let waited = now.since(state.suspended_at);
        self.check_wait(fabric, port, UsbWait::Suspended, waited, SUSPENDED);
    }

    /// To U0.
    fn rise(&mut self, fabric: &mut Fabric, port: RootPort) {
        let (now, span, usb2) = (fabric.now(), self.p.resume, self.p.is_usb2(port));
        let Some(state) = self.port_mut(port) else { return };
        state.link = Link::Rising;
        state.turn = state.turn.wrapping_add(1);
        let (turn, waited) = (state.turn, now.since(state.resuming_since));
        if usb2 {
            self.check_wait(fabric, port, UsbWait::Resume, waited, RESUME);
        }
        if span == Time::ZERO {
            self.link_changed(fabric, port, turn);
        } else {
            self.after(fabric, span, Wake::Link(port, turn));
        }
    }

    /// A link is where it was on its way to.
    pub(crate) fn link_changed(&mut self, fabric: &mut Fabric, port: RootPort, turn: u8) {
        let now = fabric.now();
        let Some(state) = self.port_mut(port).filter(|state| state.turn == turn) else { return };
        let Some(device) = &mut state.device else { return };
        match state.link {
            Link::Falling => {
                state.link = Link::U3;
                device.suspend(now);
            }
            Link::Rising => {
                state.link = Link::U0;
                state.recovered_at = now + RECOVERY;
                state.recovering_from = UsbWait::ResumeRecovery;
                device.resume(now);
                self.change(fabric, port, bit::LINK_CHANGE);
            }
            _ => {}
        }
    }

    /// The device on `port` signals resume, as when a button is pressed; whether
    /// it may, and could.
    pub fn wake_up(&mut self, fabric: &mut Fabric, port: RootPort) -> bool {
        let now = fabric.now();
        let Some(state) = self.port_mut(port) else { return false };
        let quiet = now.since(state.suspended_at) >= QUIET;
        let may = state.device.as_ref().is_some_and(|device| device.may_wake());
        if state.link != Link::U3 || !quiet || !may {
            return false;
        }
        state.link = Link::Resume;
        state.resuming_since = now;
        self.change(fabric, port, bit::LINK_CHANGE);
        true
    }

    /// A doorbell was rung for a device: it must be awake, and recovered from
    /// its resume.
    pub(crate) fn check_awake(&mut self, fabric: &mut Fabric, id: SlotId, target: u8) {
        let Some(place) = self.slot(id).and_then(|slot| slot.place()) else { return };
        let port = place.port;
        let Some(state) = port.index().and_then(|index| self.ports.get(index)) else { return };
        let (controller, slot) = (self.number, id.0);
        if state.is_suspended() {
            let port = port.0;
            let violation = Violation::TransferToSuspended { controller, port, slot, target };
            self.violation(fabric, violation);
        } else if state.recovering_from == UsbWait::ResumeRecovery {
            self.check_recovered(fabric, port);
        }
        if place.route != Route::ROOT {
            self.check_way(fabric, id, place, target);
        }
    }
}
