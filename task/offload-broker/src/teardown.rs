//! The one order in which a session is taken down (DESIGN rule 6).
//!
//! Telling the peer and waiting for it come before all of this and are the
//! broker's (`broker`); what is here is what follows. Every end takes the same
//! steps: disable, unplug, reset, death of the DSP or of a server, and an
//! enable that failed half-way. A step whose object was never taken, or is
//! gone, is skipped; one that fails is left for a later round together with all
//! that may only come after it. No step is ever done before one above it that
//! is still owed and that it depends on.

use crate::ops::Op;
use crate::session::{Held, PeerPlaces};

/// The steps, in order.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Step {
    /// The monitor lets nothing more through, confirmed.
    CloseGate,
    /// Endpoints stopped, ERDP taken over, event ring drained.
    Halt,
    /// Alternate 0, if the device is there.
    Close,
    /// Endpoints dropped, slot's interrupter target back, interrupter off.
    Disarm,
    /// Unmapped for the peer, confirmed.
    UnmapPeer,
    /// Rings unmapped for the controller, scrubbed, freed.
    Displace,
    /// Buffer unmapped for the controller.
    DisplaceBuffer,
    /// The buffer's grant ended.
    ReleaseBuffer,
    /// The buffer scrubbed; it is free then.
    Scrub,
    /// The interrupter given back.
    RemoveInterrupter,
    /// The sync endpoint given back.
    RemoveSync,
    /// The data endpoint given back.
    RemoveData,
    /// The sideband given back.
    Unregister,
    /// The window closed.
    CloseWindow,
    /// The vote released.
    ReleaseVote,
}

use Step as S;

/// All steps, first to last.
pub const ORDER: [Step; 15] = [
    S::CloseGate,
    S::Halt,
    S::Close,
    S::Disarm,
    S::UnmapPeer,
    S::Displace,
    S::DisplaceBuffer,
    S::ReleaseBuffer,
    S::Scrub,
    S::RemoveInterrupter,
    S::RemoveSync,
    S::RemoveData,
    S::Unregister,
    S::CloseWindow,
    S::ReleaseVote,
];

/// A set of steps.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(u16);

impl Steps {
    /// Adds a step.
    pub fn insert(&mut self, step: Step) {
        self.0 |= 1 << step as u8;
    }

    /// Whether the step is in the set.
    #[must_use]
    pub const fn contains(self, step: Step) -> bool {
        self.0 & 1 << step as u8 != 0
    }

    /// Whether no step is.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What is to be done for a step.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// An operation of a server.
    Ask(Op),
    /// Release the vote, and end the device's hold if it was the last.
    Vote,
}

impl Step {
    /// Steps that must not be owed any more when this one is done. (The vote
    /// depends on none: a device need not stay up for pages out of use.)
    const fn after(self) -> &'static [Step] {
        match self {
            S::CloseGate | S::ReleaseVote => &[],
            S::Halt => &[S::CloseGate],
            S::Close | S::Disarm => &[S::Halt],
            S::UnmapPeer => &[S::CloseGate],
            S::Displace => &[S::Disarm, S::UnmapPeer],
            S::DisplaceBuffer => &[S::Disarm, S::UnmapPeer],
            S::ReleaseBuffer => &[S::UnmapPeer],
            S::Scrub => &[S::DisplaceBuffer, S::ReleaseBuffer],
            S::RemoveInterrupter | S::RemoveSync | S::RemoveData => &[S::Displace],
            S::Unregister => &[S::RemoveInterrupter, S::RemoveSync, S::RemoveData],
            S::CloseWindow => &[S::UnmapPeer, S::Displace, S::DisplaceBuffer],
        }
    }

    /// What the step does for what is held; `None` when there is nothing.
    #[must_use]
    pub fn undo(self, held: &Held) -> Option<Undo> {
        let sideband = held.sideband;
        Some(Undo::Ask(match self {
            S::CloseGate => Op::CloseGate(sideband.filter(|_| held.gate)?),
            S::Halt => Op::Halt(sideband.filter(|_| held.running)?),
            S::Close => Op::Close(held.stream?),
            S::Disarm => Op::Disarm(sideband.filter(|_| held.armed)?),
            S::UnmapPeer => Op::UnmapPeer(held.window.filter(|_| held.peer.any())?),
            S::Displace => Op::Displace(sideband.filter(|_| held.rings.is_some())?),
            S::DisplaceBuffer => {
                Op::DisplaceBuffer(held.window.filter(|_| held.buffer_bus.is_some())?)
            }
            S::ReleaseBuffer => Op::ReleaseBuffer(held.buffer_grant?),
            S::Scrub => Op::Scrub(held.buffer?),
            S::RemoveInterrupter => {
                Op::RemoveInterrupter(sideband.filter(|_| held.interrupter.is_some())?)
            }
            S::RemoveSync => Op::RemoveEndpoint(sideband?, held.sync?),
            S::RemoveData => Op::RemoveEndpoint(sideband?, held.data?),
            S::Unregister => Op::Unregister(sideband?),
            S::CloseWindow => Op::CloseWindow(held.window?),
            S::ReleaseVote => return held.vote.then_some(Undo::Vote),
        }))
    }

    /// The step's object was given back, or is gone.
    pub fn settle(self, held: &mut Held) {
        match self {
            S::CloseGate => held.gate = false,
            S::Halt => held.running = false,
            S::Close => held.stream = None,
            S::Disarm => held.armed = false,
            S::UnmapPeer => held.peer = PeerPlaces::default(),
            S::Displace => held.rings = None,
            S::DisplaceBuffer => held.buffer_bus = None,
            S::ReleaseBuffer => held.buffer_grant = None,
            S::Scrub => held.buffer = None,
            S::RemoveInterrupter => held.interrupter = None,
            S::RemoveSync => held.sync = None,
            S::RemoveData => held.data = None,
            S::Unregister => held.sideband = None,
            S::CloseWindow => held.window = None,
            S::ReleaseVote => held.vote = false,
        }
    }
}

/// The next step for what is held, leaving out what is `stuck`; steps that
/// depend on a stuck one become stuck with it. While nobody can say that the
/// controller has stopped, nothing is taken from it: its reset will stand for
/// the steps that its driver or the mapper died before.
pub fn next(held: &Held, stuck: &mut Steps) -> Option<(Step, Undo)> {
    for step in ORDER {
        let Some(undo) = step.undo(held) else { continue };
        let reached = held.adrift && matches!(step, S::DisplaceBuffer | S::Scrub);
        if reached || step.after().iter().any(|&earlier| stuck.contains(earlier)) {
            stuck.insert(step);
        }
        if !stuck.contains(step) {
            return Some((step, undo));
        }
    }
    None
}

/// The step that `op` does for what is held.
#[must_use]
pub fn step_of(held: &Held, op: Op) -> Option<Step> {
    ORDER.into_iter().find(|step| step.undo(held) == Some(Undo::Ask(op)))
}

/// Whether nothing is left to give back.
#[must_use]
pub fn is_over(held: &Held) -> bool {
    ORDER.iter().all(|step| step.undo(held).is_none())
}
