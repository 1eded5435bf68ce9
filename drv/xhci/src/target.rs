//! Whose event ring takes a slot's own events.
//!
//! Ring Underrun and Ring Overrun speak of no TRB (4.10.3.1), so no TRB says
//! where they go: the Interrupter Target of the slot context does (6.2.2), one
//! for all endpoints of the slot. It is that of the session that has listened
//! longest, and the primary interrupter's when none does. An event of one
//! session may therefore arrive in the ring of another, or in one that a session
//! on the DSP has where the endpoint is the host path's; `docs/deviations.md`
//! says why nobody depends on it.
//!
//! The target moves by Evaluate Context, the only command that may do so while
//! endpoints run (4.6.7), and before the interrupter that it leaves is switched
//! off: an event to an interrupter without a ring would go nowhere.

use crate::context;
use crate::death::Cause;
use crate::driver::Driver;
use crate::engine::{After, Begin};
use crate::hw::Hw;
use crate::op::Op;
use trb::{Command, CompletionCode, InterrupterId};
use xhci_api::SlotHandle;

/// A place in the line: who listens longer has the lower one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn(u64);

/// Gives places out.
#[derive(Debug, Default)]
pub(crate) struct Turns(u64);

impl Turns {
    fn next(&mut self) -> Turn {
        self.0 += 1;
        Turn(self.0)
    }
}

impl Driver<'_> {
    /// Step [`Target`](crate::steps::Step::Target): the session listens from
    /// here on.
    pub(crate) fn begin_target(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let turn = self.turns.next();
        if let Some((_, sideband)) = op.sideband().and_then(|s| self.sidebands.find_mut(s).ok()) {
            sideband.listens = Some(turn);
        }
        self.move_target(hw, op)
    }

    /// Step [`TargetBack`](crate::steps::Step::TargetBack): it listens no more.
    pub(crate) fn begin_target_back(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        if let Some((_, sideband)) = op.sideband().and_then(|s| self.sidebands.find_mut(s).ok()) {
            sideband.listens = None;
        }
        self.move_target(hw, op)
    }

    /// The target could not be taken back. While somebody else listens that
    /// leaves the controller with events for an interrupter that is about to be
    /// switched off; without anybody there is no endpoint left to have any.
    pub(crate) fn target_moved_back(&self, op: &Op, code: CompletionCode) -> After {
        let slot = self.slot_of(op);
        let left = slot.is_some_and(|slot| self.target_of(slot) != InterrupterId::PRIMARY);
        if code == CompletionCode::Success || !left {
            After::Next
        } else {
            After::Die(Cause::StuckTarget)
        }
    }

    /// Begins an Evaluate Context that brings the slot's target to where it
    /// belongs; nothing to do when it is there already.
    fn move_target(&self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Some(handle) = self.slot_of(op) else { return Begin::Next };
        let Ok((_, slot)) = self.slots.find(handle) else { return Begin::Next };
        let target = self.target_of(handle);
        let output = hw.output(slot.context, 0);
        if context::slot_target(output) == target.number() {
            return Begin::Next;
        }
        let entries = (output[0] >> 27) as u8;
        hw.begin_input(context::control(0, 1));
        hw.input(0, context::slot_again(output, entries, target));
        Begin::Command(Command::EvaluateContext { slot: slot.id, input: hw.input_bus() })
    }

    /// Where a slot's own events belong now.
    fn target_of(&self, slot: SlotHandle) -> InterrupterId {
        let of_slot = self.sidebands.iter().filter(|(_, _, found)| found.slot == Some(slot));
        let listening =
            of_slot.filter_map(|(_, _, found)| Some((found.listens?, found.interrupter?.id)));
        listening.min_by_key(|&(turn, _)| turn).map_or(InterrupterId::PRIMARY, |(_, id)| id)
    }
}
