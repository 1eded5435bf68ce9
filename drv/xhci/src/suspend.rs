//! Suspend and resume of a device by its port's link (4.15; USB 2.0 7.1.7.6 and
//! 7.1.7.7).
//!
//! Down: endpoints stopped for it (SP), U3 asked for, and PLS read until it says
//! so, because no event tells of it. Up: signalling on a USB 2 port, U0 asked
//! for and read, the device's rest, and then the host path's rings go on where
//! they stood. A device that signals by itself is brought up the same way, from
//! where its link is by then. What does not get down is brought back up.

use crate::context::{self, EndpointState};
use crate::driver::Driver;
use crate::engine::Begin;
use crate::hub::HUBS;
use crate::hw::Hw;
use crate::op::{Kind, Op, Wait};
use crate::port::{self, PLS_RESUME, PLS_U0, PLS_U3};
use crate::requests::Answer;
use crate::slot::Slot;
use abi::TaskId;
use trb::{CompletionCode, PortId};
use userlib::RecvMessage;
use xhci_api::{SidebandHandle, SlotHandle, TicketHandle, XhciError};

/// The clock counts whole milliseconds, and a wait that the bus is owed may not
/// be shorter for it.
const CUT_MS: u64 = 1;
/// Between two looks at a link on its way.
const LOOK_MS: u64 = 1;
/// Looks after which a link does not get there any more: twice what a device
/// has to become suspended (7.1.7.6).
const LOOKS: u8 = 20;
/// From U3 to the end of it (7.1.7.6; EHCI 2.3.9).
const SUSPENDED_MS: u64 = 10;
/// Resume signalling (7.1.7.7 TDRSMDN).
const RESUME_MS: u64 = 20;
/// The device's rest afterwards (TRSMRCY).
const RECOVERY_MS: u64 = 10;

impl Driver<'_> {
    /// A slot of `caller`'s whose device can be talked to.
    ///
    /// # Errors
    /// For a bad handle; [`XhciError::Suspended`] from the beginning of its
    /// suspend to the end of its resume.
    pub(crate) fn awake(&self, slot: SlotHandle, caller: TaskId) -> Result<&Slot, XhciError> {
        let slot = self.usable(slot, caller)?;
        if slot.asleep { Err(XhciError::Suspended) } else { Ok(slot) }
    }

    /// Whether a sideband's device is suspended: nothing is handed over then.
    pub(crate) fn sleeps(&self, sideband: SidebandHandle) -> bool {
        let slot = self.sidebands.find(sideband).ok().and_then(|(_, found)| found.slot);
        slot.and_then(|slot| self.slots.find(slot).ok()).is_some_and(|(_, slot)| slot.asleep)
    }

    /// As `start_suspend_device`.
    ///
    /// # Errors
    /// As in `idl/xhci.idol`.
    pub(crate) fn start_suspend_request(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
    ) -> Answer<TicketHandle> {
        let caller = self.changing(message, slot)?;
        self.awake(slot, caller)?;
        if let Ok((_, found)) = self.slots.find_mut(slot) {
            found.asleep = true;
        }
        self.ticket(caller, Kind::Suspend { slot })
    }

    /// As `start_resume_device`.
    ///
    /// # Errors
    /// As in `idl/xhci.idol`.
    pub(crate) fn start_resume_request(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
    ) -> Answer<TicketHandle> {
        let caller = self.changing(message, slot)?;
        self.ticket(caller, Kind::Resume { slot })
    }

    /// Who asks for a slot that nothing is under way on.
    fn changing(&mut self, message: &RecvMessage, slot: SlotHandle) -> Result<TaskId, XhciError> {
        let caller = self.core(message)?;
        self.changeable(slot, caller)?;
        if self.under_way(slot, |_| true) { Err(XhciError::Busy) } else { Ok(caller) }
    }

    /// The port of the device that `op` is about, and PORTSC, if one is there.
    fn link_of(&self, hw: &Hw<'_>, op: &Op) -> Result<(PortId, u32), Begin> {
        let gone = Begin::Fail(XhciError::DeviceGone);
        let slot = op.slot().and_then(|slot| self.slots.find(slot).ok());
        let (_, slot) = slot.ok_or(gone)?;
        let portsc = hw.regs.port(slot.place.port);
        // The port of a slot whose client died is that client's successor's.
        let there = !slot.orphan && portsc & port::CCS != 0 && portsc & port::PED != 0;
        if there { Ok((slot.place.port, portsc)) } else { Err(gone) }
    }

    /// Step [`LinkDown`](crate::steps::Step::LinkDown).
    pub(crate) fn begin_link_down(&mut self, hw: &Hw<'_>, op: &mut Op) -> Begin {
        let (port, portsc) = match self.link_of(hw, op) {
            Ok(found) => found,
            Err(gone) => return gone,
        };
        if port::link_state(portsc) == PLS_U3 {
            let now = Self::now();
            if let Some(Ok((_, slot))) = op.slot().map(|slot| self.slots.find_mut(slot)) {
                slot.down_at = now;
            }
            return Begin::Next;
        }
        if op.tries == 0 {
            hw.regs.set_port(port, port::set_link(portsc, PLS_U3));
        }
        look_again(op)
    }

    /// Step [`LinkResume`](crate::steps::Step::LinkResume).
    pub(crate) fn begin_link_resume(&mut self, hw: &Hw<'_>, op: &mut Op) -> Begin {
        let (port, portsc) = match self.link_of(hw, op) {
            Ok(found) => found,
            Err(gone) => return gone,
        };
        // Whatever PLS reads by now: some controllers do not show it.
        if op.left.is_some() || hw.protocols.is_usb3(port) {
            return Begin::Next;
        }
        let down_at = op.slot().and_then(|slot| self.slots.find(slot).ok()).map(|s| s.1.down_at);
        let due = down_at.unwrap_or(0) + SUSPENDED_MS + CUT_MS;
        match port::link_state(portsc) {
            PLS_U3 if Self::now() < due => return pause_until(due),
            PLS_U3 => hw.regs.set_port(port, port::set_link(portsc, PLS_RESUME)),
            // The device began.
            PLS_RESUME => {}
            // It never went down.
            _ => return Begin::Next,
        }
        op.left = Some(0);
        pause_until(Self::now() + RESUME_MS + CUT_MS)
    }

    /// Step [`LinkUp`](crate::steps::Step::LinkUp).
    pub(crate) fn begin_link_up(&mut self, hw: &Hw<'_>, op: &mut Op) -> Begin {
        let (port, portsc) = match self.link_of(hw, op) {
            Ok(found) => found,
            Err(gone) => return gone,
        };
        if port::link_state(portsc) == PLS_U0 {
            return Begin::Next;
        }
        if op.tries == 0 {
            hw.regs.set_port(port, port::set_link(portsc, PLS_U0));
        }
        look_again(op)
    }

    /// Step [`Recover`](crate::steps::Step::Recover).
    pub(crate) fn begin_recover(&self, op: &mut Op) -> Begin {
        if op.left.replace(0).is_some() {
            return Begin::Next;
        }
        pause_until(Self::now() + RECOVERY_MS + CUT_MS)
    }

    /// Step [`Restart`](crate::steps::Step::Restart): a doorbell is all that a
    /// stopped ring needs to go on (4.6.9). The packet on which it stopped may be
    /// behind it, and no event need have said so.
    pub(crate) fn begin_restart(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Some(handle) = op.slot() else { return Begin::Next };
        let Ok((_, slot)) = self.slots.find_mut(handle) else { return Begin::Next };
        slot.asleep = false;
        for endpoint in self.endpoints.iter_mut().filter(|e| e.slot == handle) {
            let Some(ring) = &mut endpoint.ring else { continue };
            let output = hw.endpoint(slot.context, endpoint.dci);
            let passed = ring.producer.index_before(ring.bus, context::dequeue(output));
            if let (Some(queue), Some(at)) = (&mut endpoint.isoch, passed)
                && context::endpoint_state(output) == EndpointState::Stopped
                && ring.producer.completed(at)
            {
                queue.completed(at, CompletionCode::Stopped, 0);
            }
            if ring.producer.used() > 0 {
                hw.regs.ring(slot.id, endpoint.dci);
            }
        }
        if HUBS {
            self.restart_pipes(hw, handle);
        }
        Begin::Next
    }
}

fn look_again(op: &mut Op) -> Begin {
    if op.tries >= LOOKS {
        return Begin::Fail(XhciError::TimedOut);
    }
    op.tries += 1;
    pause_until(Driver::now() + LOOK_MS + CUT_MS)
}

/// Has the step begin again then, in milliseconds.
pub(crate) const fn pause_until(until: u64) -> Begin {
    Begin::Wait(Wait::Pause { until })
}
