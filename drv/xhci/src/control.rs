//! Control transfers on endpoint 0 (4.11.2.2).
//!
//! One at a time per slot, its data in a bounce page. Whatever goes wrong, the
//! ring is afterwards as if the transfer had never been queued: an endpoint that
//! halted is reset, one that hangs is stopped, and its dequeue pointer is set
//! behind the rest (4.6.8, 4.6.10).

use crate::context::{self, EndpointState};
use crate::death::Cause;
use crate::driver::Driver;
use crate::engine::{After, Begin};
use crate::hw::Hw;
use crate::op::{Kind, Op, OpId, Transfer, Wait};
use crate::pages::RingAt;
use trb::{
    Command, CompletionCode, Dci, InterrupterId, PER_PAGE, TransferEvent, Trb, data, setup, status,
};
use usb_types::Direction;
use xhci_api::{Completed, SlotHandle, XhciError};

/// Milliseconds for a control transfer (USB 2.0 9.2.6.1).
const TRANSFER_MS: u64 = 5000;
/// Places for TRBs in a ring: all but the Link.
const PLACES: u16 = PER_PAGE - 1;
/// How often endpoint 0 is asked to come to rest.
const SETTLE_TRIES: u8 = 8;

impl Driver<'_> {
    /// Step [`Transfer`](crate::steps::Step::Transfer).
    pub(crate) fn begin_transfer(&mut self, hw: &Hw<'_>, op: &mut Op) -> Begin {
        let Kind::Control { slot, transfer } = &mut op.kind else { return Begin::Next };
        let Ok((_, found)) = self.slots.find_mut(*slot) else {
            return Begin::Fail(XhciError::DeviceGone);
        };
        let target = InterrupterId::PRIMARY;
        let packet = transfer.setup;
        let is_in = packet.direction() == Direction::In;
        let first = setup(packet.to_bytes(), target);
        // Without data, and after OUT data, the status stage is IN.
        let last = status(!(is_in && packet.length > 0), target);
        let mut td = [first, last, Trb::default()];
        let mut len = 2;
        if let Some(page) = transfer.bounce {
            let area = if is_in { &self.bounce_in } else { &self.bounce_out };
            td = [first, data(area.bus(page), packet.length, is_in, target), last];
            len = 3;
        }
        let memory = RingAt::new(&self.config.dma_ring, found.ep0.page);
        let Ok(at) = found.ep0.producer.push(&memory, &td[..len]) else {
            return Begin::Fail(XhciError::Busy);
        };
        transfer.last = (at + len as u16 - 1) % PLACES;
        hw.regs.ring(found.id, Dci::EP0);
        Begin::Wait(Wait::Event { deadline: Self::now() + TRANSFER_MS })
    }

    /// A transfer event of endpoint 0; `false` when nothing waits for it.
    pub(crate) fn control_event(&mut self, slot: SlotHandle, event: &TransferEvent) -> bool {
        // What stops endpoint 0 is this driver, which does not wait for that.
        if event.code.is_stopped() {
            return true;
        }
        let waiting = |op: &Op| {
            matches!(op.kind, Kind::Control { slot: s, .. } if s == slot)
                && matches!(op.wait, Wait::Event { .. })
        };
        let Some(id) = self.ops.oldest(waiting) else { return false };
        let Some(mut op) = self.ops.get(id) else { return false };
        let Ok((_, found)) = self.slots.find_mut(slot) else { return false };
        let Kind::Control { transfer, .. } = &mut op.kind else { return false };
        let ring = &mut found.ep0;
        let Some(at) = ring.producer.index_of(ring.bus, event.pointer) else { return false };
        // Its TRBs are the last three or two; others are of an earlier one.
        if (transfer.last + PLACES - at) % PLACES > 2 {
            return false;
        }
        match event.code {
            CompletionCode::Success | CompletionCode::ShortPacket if at != transfer.last => {
                // The data stage came up short; the status stage follows.
                transfer.residual = event.residual;
                self.ops.put(id, op);
                return true;
            }
            CompletionCode::Success => {
                ring.producer.completed(at);
                let residual = transfer.residual.min(u32::from(transfer.setup.length));
                let moved = transfer.setup.length - residual as u16;
                op.value = Completed::Transferred(moved);
            }
            code => op.failed = Some(transfer_error(code)),
        }
        op.advance();
        self.ops.put(id, op);
        true
    }

    /// The time of a control transfer is up: endpoint 0 is brought to rest.
    pub(crate) fn expire_transfer(&mut self, id: OpId) {
        if let Some(mut op) = self.ops.get(id) {
            op.failed = Some(XhciError::TimedOut);
            op.advance();
            self.ops.put(id, op);
        }
    }

    /// Step [`Settle`](crate::steps::Step::Settle).
    pub(crate) fn begin_settle(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Some((_, slot)) = op.slot().and_then(|slot| self.slots.find(slot).ok()) else {
            return Begin::Next;
        };
        if slot.ep0.producer.used() == 0 {
            return Begin::Next;
        }
        match context::endpoint_state(hw.endpoint(slot.context, Dci::EP0)) {
            EndpointState::Halted => Begin::Command(Command::ResetEndpoint(slot.id, Dci::EP0)),
            EndpointState::Running => Begin::Command(Command::StopEndpoint {
                slot: slot.id,
                endpoint: Dci::EP0,
                suspend: false,
            }),
            EndpointState::Disabled | EndpointState::Stopped | EndpointState::Error => Begin::Next,
        }
    }

    pub(crate) fn settled(&mut self, op: &mut Op, code: CompletionCode) -> After {
        match code {
            CompletionCode::Success => After::Next,
            // It halted or stopped on its own meanwhile, which its context shows.
            _ if op.tries < SETTLE_TRIES => {
                op.tries += 1;
                After::Again
            }
            _ => After::Die(Cause::StuckEndpoint),
        }
    }

    /// Step [`Rewind`](crate::steps::Step::Rewind).
    pub(crate) fn begin_rewind(&mut self, op: &Op) -> Begin {
        match op.slot().and_then(|slot| self.slots.find(slot).ok()) {
            Some((_, slot)) if slot.ep0.producer.used() > 0 => {
                let (to, cycle) = slot.ep0.next();
                let endpoint = Dci::EP0;
                Begin::Command(Command::SetDequeue { slot: slot.id, endpoint, to, cycle })
            }
            _ => Begin::Next,
        }
    }

    /// The pointer stands behind the rest; a controller that leaves it in front
    /// of what is forgotten would begin there.
    pub(crate) fn rewound(&mut self, op: &Op, code: CompletionCode) -> After {
        if code != CompletionCode::Success {
            return After::Die(Cause::Clings);
        }
        if let Some(Ok((_, slot))) = op.slot().map(|slot| self.slots.find_mut(slot)) {
            slot.ep0.producer.abandon();
        }
        After::Next
    }

    /// Ends the control transfer of a slot that is being given up: endpoint 0 is
    /// brought to rest first, since until then its data may still come.
    pub(crate) fn end_transfers(&mut self, slot: SlotHandle) {
        for (_, op) in self.ops.iter_mut() {
            if matches!(op.kind, Kind::Control { slot: s, .. } if s == slot)
                && matches!(op.wait, Wait::Event { .. })
            {
                op.failed = Some(XhciError::DeviceGone);
                op.advance();
            }
        }
    }

    /// Takes the bounce page of a transfer back. Of a controller that fails it can
    /// be used again when its reset was confirmed: until then the transfer goes on.
    pub(crate) fn give_transfer_page(&mut self, transfer: &Transfer) {
        if let Some(page) = transfer.bounce {
            let is_in = transfer.setup.direction() == Direction::In;
            let area = if is_in { &mut self.bounce_in } else { &mut self.bounce_out };
            if self.hw.is_some() || self.safe {
                area.pages.give(page, 1);
            } else {
                area.give_late(page);
            }
        }
    }
}

/// What a transfer that ended with `code` means to who asked for it.
const fn transfer_error(code: CompletionCode) -> XhciError {
    use CompletionCode as C;
    match code {
        C::Stall => XhciError::Stall,
        C::Transaction | C::SplitTransaction | C::NoPing => XhciError::Transaction,
        C::Babble => XhciError::Babble,
        C::Resource => XhciError::Resource,
        _ => XhciError::TransferFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::transfer_error;
    use trb::CompletionCode as C;
    use xhci_api::XhciError;

    #[test]
    fn what_the_device_did_and_what_the_controller_did_have_codes_of_their_own() {
        assert_eq!(transfer_error(C::Stall), XhciError::Stall);
        assert_eq!(transfer_error(C::Transaction), XhciError::Transaction);
        assert_eq!(transfer_error(C::Babble), XhciError::Babble);
        assert_eq!(transfer_error(C::DataBuffer), XhciError::TransferFailed);
    }
}
