//! The command ring (4.6.1): one command at a time.
//!
//! The controller runs commands one after the other anyway, so nothing is lost
//! by giving it one at a time, and what is won is that a command's input
//! context, its deadline and its abort (4.6.1.2) concern nobody else. An abort
//! that is not confirmed either means that the controller is dead (5.4.5).

use crate::death::Cause;
use crate::driver::Driver;
use crate::hw::Hw;
use crate::op::OpId;
use crate::regs::{CRCR_ABORT, CRCR_CYCLE, CRCR_RUNNING};
use crate::trace::{Trace, note};
use addr::Bus;
use trb::{Command, CompletionCode, PER_PAGE, ProducerRing};
use xhci_api::XhciError;

/// Milliseconds for a command: some of them wait for a device that may not
/// answer (fact 84).
const COMMAND_MS: u64 = 5000;
/// Milliseconds for an abort.
const ABORT_MS: u64 = 5000;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Busy {
        op: OpId,
        at: u16,
        deadline: u64,
    },
    /// Told to stop; the ring is to be set up anew when it did.
    Aborting {
        op: Option<OpId>,
        at: u16,
        deadline: u64,
    },
}

/// The command ring's producer and the command under way.
#[derive(Debug)]
pub(crate) struct Commands {
    ring: ProducerRing,
    state: State,
}

impl Commands {
    pub(crate) const fn new() -> Self {
        Self { ring: ProducerRing::new(PER_PAGE), state: State::Idle }
    }

    /// Whether a command can be given.
    pub(crate) fn idle(&self) -> bool {
        self.state == State::Idle
    }

    /// When the command under way has taken too long.
    pub(crate) const fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Idle => None,
            State::Busy { deadline, .. } | State::Aborting { deadline, .. } => Some(deadline),
        }
    }

    /// Sets a stopped controller's command ring up, empty.
    pub(crate) fn set_up(&mut self, hw: &Hw<'_>) {
        let (memory, base) = hw.commands();
        hw.clear_commands();
        *self = Self::new();
        self.ring.init(&memory, base);
        hw.regs.set_command_ring(base.0 | CRCR_CYCLE);
    }

    fn give(&mut self, hw: &Hw<'_>, op: OpId, command: Command, now: u64) {
        let (memory, _) = hw.commands();
        // One command at a time: there is always room.
        if let Ok(at) = self.ring.push(&memory, &[command.trb()]) {
            self.state = State::Busy { op, at, deadline: now + COMMAND_MS };
            hw.regs.ring_command();
        }
    }
}

impl Driver<'_> {
    /// Gives the controller a command of `op`.
    pub(crate) fn issue(&mut self, hw: &Hw<'_>, op: OpId, command: Command) {
        self.commands.give(hw, op, command, Self::now());
    }

    /// A Command Completion event.
    pub(crate) fn command_completed(
        &mut self,
        hw: &Hw<'_>,
        command: Bus,
        code: CompletionCode,
        slot: u8,
    ) {
        let (_, base) = hw.commands();
        let at = self.commands.ring.index_of(base, command);
        match self.commands.state {
            State::Aborting { op, .. } if code == CompletionCode::CommandRingStopped => {
                self.restart_commands(hw, op);
            }
            State::Busy { op, at: ours, .. } if at == Some(ours) => {
                self.commands.ring.completed(ours);
                self.commands.state = State::Idle;
                self.command_done(hw, op, code, slot);
            }
            State::Aborting { op: Some(op), at: ours, deadline } if at == Some(ours) => {
                // It ended after all, or was aborted; the ring stops either way.
                self.commands.state = State::Aborting { op: None, at: ours, deadline };
                self.command_done(hw, op, code, slot);
            }
            _ => note(Trace::StrayEvent),
        }
    }

    fn command_done(&mut self, hw: &Hw<'_>, op: OpId, code: CompletionCode, slot: u8) {
        match code {
            CompletionCode::Success => {}
            _ => note(Trace::Command(code)),
        }
        self.commanded(hw, op, code, slot);
    }

    /// The time of the command under way is up, if it is.
    pub(crate) fn expire_command(&mut self, now: u64) {
        let Some(hw) = self.hw else { return };
        match self.commands.state {
            State::Busy { op, at, deadline } if deadline <= now => {
                note(Trace::CommandTimeout);
                self.command_timeouts = self.command_timeouts.wrapping_add(1);
                let deadline = now + ABORT_MS;
                self.commands.state = State::Aborting { op: Some(op), at, deadline };
                hw.regs.set_command_ring(CRCR_ABORT);
            }
            State::Aborting { op, deadline, .. } if deadline <= now => {
                // The event may have been lost; the register cannot.
                if hw.regs.command_ring() & CRCR_RUNNING == 0 {
                    self.restart_commands(&hw, op);
                } else {
                    self.die(Cause::AbortHung);
                }
            }
            _ => {}
        }
    }

    /// The ring stopped: it begins anew, past whatever was aborted (fact 9).
    fn restart_commands(&mut self, hw: &Hw<'_>, op: Option<OpId>) {
        self.commands.set_up(hw);
        if let Some(op) = op {
            self.commanded(hw, op, CompletionCode::CommandAborted, 0);
        }
    }
}

/// What a command that failed with `code` means to who asked for it.
pub(crate) const fn command_error(code: CompletionCode) -> XhciError {
    use CompletionCode as C;
    match code {
        C::Bandwidth | C::SecondaryBandwidth => XhciError::Bandwidth,
        C::Resource => XhciError::Resource,
        C::NoSlots => XhciError::NoSlots,
        C::SlotNotEnabled | C::ContextState => XhciError::SlotState,
        C::EndpointNotEnabled => XhciError::NoEndpoint,
        C::Parameter => XhciError::BadEndpoint,
        C::ExitLatency => XhciError::ExitLatency,
        C::Transaction | C::SplitTransaction => XhciError::Transaction,
        C::Stall => XhciError::Stall,
        C::CommandAborted | C::CommandRingStopped => XhciError::TimedOut,
        _ => XhciError::CommandFailed,
    }
}
