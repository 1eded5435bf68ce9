//! The primary event ring (4.9.4): commands, ports, host-path transfers.
//!
//! Everything in it is consumed in one go, bounded by its length; ERDP is moved
//! once at the end, which clears EHB (fact 28). An interrupt may also mean that
//! the controller died, with or without a last word; one that dies without an
//! interrupt is found out by whoever asks for `info`.

use crate::death::Cause;
use crate::driver::{Client, Driver};
use crate::hw::Hw;
use crate::op::{Ops, Wait};
use crate::port;
use crate::regs::{ERDP_BUSY, GONE, STS_CONTROLLER_ERROR, STS_EINT, STS_HALTED, STS_SYSTEM_ERROR};
use crate::steps::Step;
use crate::trace::{Trace, note};
use trb::{CompletionCode, Dci, Event, InterrupterId, PER_PAGE, PortId, TRB_BYTES, TransferEvent};
use xhci_api::XhciError;

/// Events taken before ERDP is moved: half a ring, so that it cannot fill while
/// they are worked on.
const BATCH: u16 = PER_PAGE / 2;

impl Driver<'_> {
    /// Takes what is in the primary event ring.
    pub(crate) fn take_events(&mut self) {
        let Some(hw) = self.hw else { return };
        let status = hw.regs.status();
        if status == GONE {
            return self.die(Cause::Gone);
        }
        // EINT before IP (fact 12); with MSI-X IP clears itself.
        if status & STS_EINT != 0 {
            hw.regs.clear_interrupt();
        }
        while self.take_batch(&hw) {}
        if status & (STS_CONTROLLER_ERROR | STS_SYSTEM_ERROR) != 0 {
            self.die(Cause::Error);
        } else if status & STS_HALTED != 0 && self.startup.is_over() {
            self.die(Cause::DoesNotRun);
        }
    }

    /// Takes up to [`BATCH`] events and moves ERDP; whether there may be more.
    fn take_batch(&mut self, hw: &Hw<'_>) -> bool {
        let (memory, base) = hw.events();
        for n in 0..BATCH {
            let Some(trb) = self.events.next(&memory) else {
                if n > 0 {
                    self.move_dequeue(hw, base);
                }
                // What came between the last look and the move raises no new
                // interrupt on every controller: look once more.
                return n > 0;
            };
            self.event(hw, Event::decode(trb));
            if self.hw.is_none() {
                return false;
            }
        }
        self.move_dequeue(hw, base);
        true
    }

    fn move_dequeue(&self, hw: &Hw<'_>, base: addr::Bus) {
        let at = base.plus(u64::from(self.events.dequeue()) * u64::from(TRB_BYTES));
        hw.regs.set_event_dequeue(InterrupterId::PRIMARY, at.0 | ERDP_BUSY);
    }

    fn event(&mut self, hw: &Hw<'_>, event: Event) {
        let known = match event {
            Event::Transfer(transfer) => self.transfer_event(&transfer),
            Event::Completion { command, code, slot, .. } => {
                self.command_completed(hw, command, code, slot);
                true
            }
            Event::PortChange(port) => {
                self.port_event(hw, port);
                true
            }
            Event::Host(CompletionCode::EventRingFull) => {
                note(Trace::EventRingFull);
                true
            }
            Event::Host(_) | Event::Unknown(_) => false,
            // Nothing here negotiates bandwidth, wakes by notification or
            // counts MFINDEX.
            Event::BandwidthRequest(_) | Event::Notification(_) | Event::MfIndexWrap => true,
        };
        if !known {
            note(Trace::StrayEvent);
        }
    }

    fn transfer_event(&mut self, event: &TransferEvent) -> bool {
        let Some(slot) = self.slot_numbered(event.slot) else { return false };
        if event.endpoint == Dci::EP0 {
            return self.control_event(slot, event);
        }
        let known = self.endpoint_event(slot, event);
        if self.endpoints.live(slot, event.endpoint).is_some_and(|e| e.has_progress()) {
            self.hint(Client::UsbCore);
        }
        known
    }

    /// A port has change bits set: its resets end, its owner hears of it.
    fn port_event(&mut self, hw: &Hw<'_>, port: PortId) {
        if port.number() > hw.regs.caps.ports {
            return note(Trace::StrayEvent);
        }
        let portsc = hw.regs.port(port);
        for id in Ops::places() {
            let Some(mut op) = self.ops.get(id) else { continue };
            let waits = matches!(op.wait, Wait::Event { .. }) && op.step() == Some(Step::ResetPort);
            if !waits || self.port_to_reset(&op) != Some(port) {
                continue;
            }
            if portsc & port::PRC != 0 {
                op.advance();
            } else if portsc & port::CCS == 0 {
                op.fail(XhciError::NotConnected);
            }
            self.ops.put(id, op);
        }
        self.news[Client::UsbCore as usize].port_changed(port.number());
        self.hint(Client::UsbCore);
    }
}
