//! Driving the operations: what begins, what waits for what, how it ends.

use crate::death::Cause;
use crate::driver::{Client, Driver, Ended};
use crate::hub::HUBS;
use crate::hw::Hw;
use crate::op::{Kind, Op, OpId, Ops, Wait};
use crate::port;
use crate::rings::Held;
use crate::sideband::Sideband;
use crate::steps::Step;
use crate::trace::{Trace, note};
use handles::Handle;
use iommu_api::IommuError;
use trb::{Command, CompletionCode, PortId};
use usb_types::Direction;
use xhci_api::{Completed, REVOKE_MS, RevokeReason, SidebandPhase, SlotHandle, XhciError};

/// Milliseconds for a port reset, some five times what it may take (USB 2.0
/// 7.1.7.5).
const PORT_RESET_MS: u64 = 300;

/// What a step does first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Nothing more: the next step.
    Next,
    /// It has the controller do something.
    Command(Command),
    /// It waits.
    Wait(Wait),
    /// It cannot be done.
    Fail(XhciError),
}

/// What follows from a command that ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next step.
    Next,
    /// The same step has more to do.
    Again,
    /// The operation fails.
    Fail(XhciError),
    /// The controller is of no more use.
    Die(Cause),
}

impl Driver<'_> {
    /// Goes on with everything that can go on. Every message and every wake
    /// ends with this.
    pub(crate) fn run(&mut self) {
        loop {
            self.wake();
            let (idle, gone) = (self.commands.idle(), self.hw.is_none());
            let ready = |op: &Op| {
                let free = idle || gone || !op.step().is_some_and(Step::commands);
                op.wait == Wait::Nothing && free
            };
            let Some(id) = self.ops.oldest(ready) else { break };
            self.step(id);
        }
        self.set_timer();
    }

    /// Ends the waits whose reason is gone.
    fn wake(&mut self) {
        for id in Ops::places() {
            let Some(mut op) = self.ops.get(id) else { continue };
            let over = match op.wait {
                Wait::Reset => self.hw.is_some() || self.safe,
                Wait::Gate { sequence, .. } => self.gate.confirmed(sequence),
                Wait::Sessions { .. } => !self.in_the_way(id, &op),
                Wait::Own => !self.is_busy(&op),
                Wait::Iommu(ticket) => match self.iommu.result(ticket) {
                    Err(IommuError::NotYet) => false,
                    // Not confirmed by the peer: `iommu` keeps the pages out of
                    // use, and so must we.
                    Err(IommuError::Quarantined) => {
                        self.never_reuse(&op);
                        true
                    }
                    Ok(()) | Err(_) => true,
                },
                Wait::Nothing | Wait::Command | Wait::Event { .. } | Wait::Pause { .. } => false,
            };
            if over {
                match op.wait {
                    // These begin their step (again); the others have ended it.
                    Wait::Reset | Wait::Iommu(_) => op.wait = Wait::Nothing,
                    _ => op.advance(),
                }
                self.ops.put(id, op);
            }
        }
    }

    /// Acts on deadlines.
    pub(crate) fn expire(&mut self, now: u64) {
        // What is due may have come: a bell can be lost. Or it cannot come any more.
        self.take_events();
        self.wake();
        self.expire_command(now);
        for id in Ops::places() {
            let Some(mut op) = self.ops.get(id) else { continue };
            if op.wait.deadline().is_none_or(|at| at > now) {
                continue;
            }
            match op.wait {
                Wait::Gate { sequence, .. } => self.expire_gate(id, sequence),
                Wait::Pause { .. } => {
                    op.wait = Wait::Nothing;
                    self.ops.put(id, op);
                }
                Wait::Event { .. } if op.step() == Some(Step::Transfer) => self.expire_transfer(id),
                Wait::Event { .. } => {
                    op.fail(XhciError::TimedOut);
                    self.ops.put(id, op);
                }
                Wait::Sessions { .. } => {
                    note(Trace::OwnerTooSlow);
                    op.wait = Wait::Sessions { deadline: None };
                    self.ops.put(id, op);
                    self.take_sessions_down(&op);
                }
                _ => {}
            }
        }
    }

    /// Begins the step at hand of an operation.
    fn step(&mut self, id: OpId) {
        let Some(mut op) = self.ops.get(id) else { return };
        let Some(step) = op.step() else { return self.finish(id) };
        if let Some(sideband) = op.sideband() {
            note(Trace::Session(sideband.raw().index, step));
        }
        let deaths = self.deaths;
        let begun = match self.hw {
            Some(hw) => self.begin_step(&hw, id, &mut op, step),
            None if !step.needs_controller() => self.begin_without(id, &mut op, step),
            // The confirmed reset stands for the step.
            None if self.safe && op.sideband().is_some() && step.takes_down() => Begin::Next,
            None if self.safe => Begin::Fail(XhciError::ControllerDead),
            None => Begin::Wait(Wait::Reset),
        };
        if self.deaths != deaths {
            // Its end has been seen to.
            return;
        }
        match begun {
            Begin::Next => op.advance(),
            Begin::Wait(wait) => op.wait = wait,
            Begin::Fail(error) => op.fail(error),
            Begin::Command(command) => {
                op.wait = Wait::Command;
                if let Some(hw) = self.hw {
                    self.issue(&hw, id, command);
                }
            }
        }
        self.ops.put(id, op);
    }

    fn begin_step(&mut self, hw: &Hw<'_>, id: OpId, op: &mut Op, step: Step) -> Begin {
        match step {
            Step::StopEndpoints => self.begin_stop(hw, op),
            Step::Drain => self.begin_drain(hw, op),
            Step::DropEndpoints => self.begin_drop(hw, op),
            Step::TargetBack => self.begin_target_back(hw, op),
            Step::InterrupterOff => self.begin_interrupter_off(hw, op),
            Step::EventRing => self.begin_event_ring(hw, op),
            Step::HandOver => self.begin_hand_over(hw, op),
            Step::Target => self.begin_target(hw, op),
            Step::InterrupterOn => self.begin_interrupter_on(hw, op),
            Step::EnableSlot => match op.kind {
                Kind::EnableSlot { place, .. } => self.begin_enable(hw, place.port),
                _ => Begin::Next,
            },
            Step::Address => self.begin_address(hw, op),
            Step::EvaluateEndpoint0 => self.begin_evaluate(hw, op),
            Step::Transfer => self.begin_transfer(hw, op),
            Step::Settle => self.begin_settle(hw, op),
            Step::Rewind => self.begin_rewind(op),
            Step::Configure => self.begin_configure(hw, op),
            Step::ConfigureHub if HUBS => self.begin_hub(hw, op),
            Step::ResetDevice => self.begin_reset_device(op),
            Step::DisableSlot => self.begin_disable(op),
            // Its port and its link are the hub's.
            Step::ResetPort | Step::LinkDown | Step::LinkResume | Step::LinkUp
                if HUBS && self.is_behind(op) =>
            {
                Begin::Next
            }
            Step::ResetPort => self.begin_reset_port(hw, op),
            Step::LinkDown => self.begin_link_down(hw, op),
            Step::LinkResume => self.begin_link_resume(hw, op),
            Step::LinkUp => self.begin_link_up(hw, op),
            Step::Recover => self.begin_recover(op),
            Step::Restart => self.begin_restart(hw, op),
            _ => self.begin_without(id, op, step),
        }
    }

    /// The steps that need no controller.
    fn begin_without(&mut self, id: OpId, op: &mut Op, step: Step) -> Begin {
        match step {
            Step::Sessions => self.begin_sessions(id, op),
            Step::Own => {
                if self.is_busy(op) {
                    return Begin::Wait(Wait::Own);
                }
                Begin::Next
            }
            Step::GateClose => self.begin_gate_close(op),
            Step::GateOpen => self.begin_gate_open(op),
            Step::RevokeGrants => self.begin_revoke(op),
            Step::Displace => self.begin_displace(op),
            Step::Forget => self.begin_forget(op),
            _ => Begin::Next,
        }
    }

    /// A command of an operation ended.
    pub(crate) fn commanded(&mut self, hw: &Hw<'_>, id: OpId, code: CompletionCode, slot: u8) {
        let Some(mut op) = self.ops.get(id) else { return };
        let Some(step) = op.step() else { return };
        // Only what addresses a device can wait for something outside.
        if code == CompletionCode::CommandAborted && step != Step::Address {
            return self.die(Cause::CommandHung);
        }
        let deaths = self.deaths;
        let after = match step {
            Step::StopEndpoints => self.stopped(&mut op, code),
            Step::DropEndpoints => self.dropped(&op, code),
            Step::TargetBack => self.target_moved_back(&op, code),
            Step::HandOver => self.handed_over(&op, code),
            Step::ConfigureHub if HUBS => self.hub_told(&op, code),
            Step::Target | Step::EvaluateEndpoint0 => match code {
                CompletionCode::Success => After::Next,
                code => After::Fail(crate::command::command_error(code)),
            },
            Step::EnableSlot => self.enabled(hw, &mut op, code, slot),
            Step::Address => self.addressed(&op, code),
            Step::Settle => self.settled(&mut op, code),
            Step::Rewind => self.rewound(&op, code),
            Step::Configure => self.configured(&op, code),
            Step::ResetDevice => self.device_reset(hw, &op, code),
            Step::DisableSlot => self.disabled(hw, &op, code),
            _ => After::Next,
        };
        if self.deaths != deaths {
            return;
        }
        match after {
            After::Next => op.advance(),
            After::Again => op.wait = Wait::Nothing,
            After::Fail(error) => op.fail(error),
            After::Die(cause) => {
                self.ops.put(id, op);
                return self.die(cause);
            }
        }
        self.ops.put(id, op);
    }

    /// Step [`ResetPort`](Step::ResetPort).
    fn begin_reset_port(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Some(port) = self.port_to_reset(op) else { return Begin::Fail(XhciError::DeviceGone) };
        let portsc = hw.regs.port(port);
        if portsc & port::CCS == 0 {
            return Begin::Fail(XhciError::NotConnected);
        }
        hw.regs.set_port(port, port::reset(portsc));
        Begin::Wait(Wait::Event { deadline: Self::now() + PORT_RESET_MS })
    }

    /// The port that an operation resets: named, or its slot's.
    pub(crate) fn port_to_reset(&self, op: &Op) -> Option<PortId> {
        match op.kind {
            Kind::ResetPort { port } => Some(port),
            _ => self.slots.find(op.slot()?).ok().map(|(_, slot)| slot.place.port),
        }
    }

    /// Step [`Sessions`](Step::Sessions): whoever has a session on the slot
    /// hears that it ends (X13).
    fn begin_sessions(&mut self, id: OpId, op: &Op) -> Begin {
        let Some(slot) = op.slot() else { return Begin::Next };
        let reason = match op.kind {
            Kind::DisableSlot { .. } => RevokeReason::SlotDisabled,
            Kind::ResetDevice { .. } => RevokeReason::DeviceReset,
            Kind::Suspend { .. } => RevokeReason::DeviceSuspended,
            _ => RevokeReason::EndpointDropped,
        };
        if op.ends_slot() {
            if let Ok((_, found)) = self.slots.find_mut(slot) {
                found.leaving = true;
            }
            self.end_transfers(slot);
        }
        let mut told = false;
        for (_, _, sideband) in self.sidebands.iter_mut() {
            let concerned = if op.ends_slot() {
                sideband.slot == Some(slot)
            } else {
                is_in_the_way_of(op, slot, sideband)
            };
            if concerned && sideband.revoked.is_none() {
                sideband.revoked = Some(reason);
                told = true;
            }
        }
        if told {
            self.hint(Client::Broker);
        }
        if self.in_the_way(id, op) {
            Begin::Wait(Wait::Sessions { deadline: Some(Self::now() + u64::from(REVOKE_MS)) })
        } else {
            Begin::Next
        }
    }

    /// Whether something on the slot must end before `op` touches it.
    fn in_the_way(&self, id: OpId, op: &Op) -> bool {
        let Some(slot) = op.slot() else { return false };
        let mut sidebands = self.sidebands.iter();
        let sessions = sidebands.any(|(_, _, sideband)| is_in_the_way_of(op, slot, sideband));
        let others = op.ends_slot()
            && self.ops.iter().any(|(other, found)| other != id && found.slot() == Some(slot));
        sessions || others
    }

    fn take_sessions_down(&mut self, op: &Op) {
        let Some(slot) = op.slot() else { return };
        let mut left = [None; dsp_abi::SESSIONS];
        for (place, (handle, _, sideband)) in left.iter_mut().zip(self.sidebands.iter()) {
            let started = self.ops.any(|op| {
                op.sideband() == Some(handle)
                    && matches!(op.kind, Kind::TakeDown { .. } | Kind::Reclaim { .. })
            });
            let due = is_in_the_way_of(op, slot, sideband) && !started;
            *place = due.then_some(handle);
        }
        for sideband in left.into_iter().flatten() {
            self.ops.start(Kind::TakeDown { sideband });
        }
    }

    /// Whether another operation is under way on the sideband of `op`; if not,
    /// `op` is from here on.
    fn is_busy(&mut self, op: &Op) -> bool {
        match op.sideband().map(|sideband| self.sidebands.find_mut(sideband)) {
            Some(Ok((_, sideband))) => core::mem::replace(&mut sideband.busy, true),
            _ => false,
        }
    }

    fn never_reuse(&mut self, op: &Op) {
        let monitor = self.gate.monitor();
        if let Some(Ok((_, sideband))) = op.sideband().map(|s| self.sidebands.find_mut(s)) {
            sideband.unconfirmed = Some(Held::UntilReset(monitor));
        }
    }

    /// An operation is over.
    fn finish(&mut self, id: OpId) {
        let Some(op) = self.ops.remove(id) else { return };
        let mut data = None;
        match op.kind {
            Kind::Control { transfer, .. } => {
                let is_in = transfer.setup.direction() == Direction::In;
                match (op.value, op.failed, transfer.bounce) {
                    (Completed::Transferred(len), None, Some(page)) if is_in => {
                        data = Some((page, len));
                    }
                    _ => self.give_transfer_page(&transfer),
                }
            }
            Kind::Configure { slot, add, .. } if op.failed.is_some() => {
                self.forget_endpoints(slot, add, true);
            }
            Kind::ResetDevice { slot } => self.reset_over(slot),
            Kind::Arm { sideband } => {
                let armed = op.failed.is_none();
                self.phase(
                    sideband,
                    if armed { SidebandPhase::Armed } else { SidebandPhase::Placed },
                );
            }
            Kind::CloseGate { sideband } => self.phase(sideband, SidebandPhase::GateClosed),
            Kind::Halt { sideband } => self.phase(sideband, SidebandPhase::Halted),
            Kind::Disarm { sideband } => self.phase(sideband, SidebandPhase::Placed),
            Kind::TakeDown { sideband } => {
                let placed = self.sidebands.find(sideband).is_ok_and(|(_, s)| s.pages.is_some());
                let phase = if placed { SidebandPhase::Placed } else { SidebandPhase::Reserved };
                self.phase(sideband, phase);
            }
            Kind::Remove { sideband, dci } => {
                for endpoint in self.endpoints.iter_mut() {
                    if endpoint.sideband == Some(sideband) && endpoint.dci == dci {
                        endpoint.sideband = None;
                    }
                }
                if let Ok((_, found)) = self.sidebands.find_mut(sideband) {
                    found.remove(dci);
                    found.busy = false;
                }
            }
            Kind::StopOf { sideband, .. } => {
                if let Ok((_, found)) = self.sidebands.find_mut(sideband) {
                    found.busy = false;
                }
            }
            _ => {}
        }
        let ended = Ended { result: op.failed.map_or(Ok(op.value), Err), data };
        let Some((owner, ticket)) = op.ticket else { return self.undo(&ended) };
        match self.tickets.finish(ticket, ended) {
            Ok(_) => {
                if let Ok(client) = self.client(owner) {
                    self.news[client as usize].ticket_done(ticket);
                    self.hint(client);
                }
            }
            Err(ended) => self.undo(&ended),
        }
    }

    /// The slot can be used again, unless its owner died meanwhile.
    fn reset_over(&mut self, slot: SlotHandle) {
        if let Ok((_, found)) = self.slots.find_mut(slot) {
            found.leaving = found.orphan;
        }
        self.disable_orphans();
    }

    fn phase(&mut self, sideband: xhci_api::SidebandHandle, phase: SidebandPhase) {
        if let Ok((_, found)) = self.sidebands.find_mut(sideband) {
            found.phase = phase;
            found.busy = false;
        }
    }
}

/// Whether a sideband must end before `op` touches `slot`. Sessions of other
/// endpoints go on while one is configured away.
fn is_in_the_way_of(op: &Op, slot: SlotHandle, sideband: &Sideband) -> bool {
    let concerned = match op.kind {
        Kind::Configure { drop, .. } => sideband.endpoints & drop != 0,
        Kind::Suspend { .. } => true,
        _ => op.ends_slot(),
    };
    concerned && sideband.slot == Some(slot) && sideband.in_the_way()
}
