//! How much of its bus a periodic endpoint takes: USB 2.0, 5.11.3, and xHCI 1.2, 4.16.
//!
//! All full-speed devices of a controller share one budget, and so do all
//! high-speed ones: the stingiest arrangement that the specification allows.

use crate::Xhc;
use crate::context::{EndpointContext, EndpointKind};
use crate::ids::{Dci, SlotId};
use usb_model::Speed;

/// Nanoseconds that periodic transfers may take: 90 percent of a frame at full
/// speed, 80 percent of a microframe at high speed (USB 2.0, 5.6.4).
const FULL_BUDGET: u64 = 900_000;
const HIGH_BUDGET: u64 = 100_000;

/// Time on the bus of one service interval of an endpoint, in nanoseconds.
pub(crate) fn cost(speed: Speed, kind: EndpointKind, context: EndpointContext) -> u64 {
    let bytes = u64::from(context.payload());
    // A bit is stuffed after six ones, at worst in every seventh place.
    let bits = 3 + bytes * 8 * 7 / 6;
    match (speed, kind) {
        (_, EndpointKind::Control) => 0,
        (Speed::Full, EndpointKind::IsochOut) => 6_265 + bits * 8_354 / 100,
        (Speed::Full, EndpointKind::IsochIn) => 7_268 + bits * 8_354 / 100,
        (Speed::Full, EndpointKind::InterruptIn) => 9_107 + bits * 8_354 / 100,
        (Speed::Low, _) => 64_060 + bits * 67_667 / 100,
        (Speed::High, EndpointKind::InterruptIn) => 917 + bits * 2_083 / 1000,
        (Speed::High, _) => 633 * u64::from(context.burst() + 1) + bits * 2_083 / 1000,
        (Speed::Super, _) => bits / 5,
    }
}

impl Xhc {
    /// Whether the bus can carry what is configured, with `dropped` endpoints of
    /// `slot` gone and `added` costs more.
    pub(crate) fn bandwidth_suffices(
        &self,
        speed: Speed,
        slot: SlotId,
        dropped: u32,
        added: u64,
    ) -> bool {
        let budget = match speed {
            Speed::Full | Speed::Low => FULL_BUDGET,
            Speed::High | Speed::Super => HIGH_BUDGET,
        };
        let mut taken = added;
        for (index, state) in self.slots.iter().enumerate() {
            let same = slot.index() == Some(index);
            let at = state.place().and_then(|place| self.speed_of(place));
            if at != Some(speed) {
                continue;
            }
            for (Dci(dci), endpoint) in state.live() {
                if !(same && dropped >> dci & 1 == 1) {
                    taken += cost(speed, endpoint.kind, endpoint.context);
                }
            }
        }
        taken <= budget
    }
}
