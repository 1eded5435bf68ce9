//! The doorbell array: xHCI 1.2, 4.7 and 5.6.

use crate::Xhc;
use crate::capability::DOORBELLS;
use crate::context::EndpointKind;
use crate::ids::{Dci, SlotId};
use fabric::{Fabric, Violation};

impl Xhc {
    pub(crate) fn doorbell_write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) {
        let slot = SlotId(((offset - DOORBELLS) / 4).min(255) as u8);
        let target = value as u8;
        let bad = Violation::BadDoorbell { controller: self.number, slot: slot.0, target };
        // Bits 15:8 are reserved; no endpoint here has streams.
        if value & !0xFF != 0 {
            self.reserved_bits(fabric, offset, value);
        }
        if self.operational.failed() {
            // Nobody needs to know of it yet.
            return;
        }
        if !self.operational.running() {
            self.violation(fabric, bad);
            return;
        }
        if slot.0 == 0 {
            if target == 0 {
                self.ring_commands(fabric);
            } else {
                self.violation(fabric, bad);
            }
            return;
        }
        let dci = Dci(target);
        let kind = self
            .slot(slot)
            .filter(|_| (1..=Dci::LAST).contains(&target))
            .and_then(|state| state.endpoint(dci))
            .map(|endpoint| endpoint.kind);
        if kind.is_some() {
            self.check_awake(fabric, slot, target);
        }
        match kind {
            None => self.violation(fabric, bad),
            Some(EndpointKind::Control) => self.ring_control(fabric, slot),
            Some(EndpointKind::IsochOut | EndpointKind::IsochIn | EndpointKind::InterruptIn) => {
                self.ring_periodic(fabric, slot, dci);
            }
        }
    }
}
