//! Command TRBs (6.4.3).

use crate::{Dci, SlotId, Trb, TrbType};
use addr::Bus;

/// Block Set Address Request of an Address Device command.
const BSR: u32 = 1 << 9;
/// Suspend of a Stop Endpoint command.
const SP: u32 = 1 << 23;

/// What the controller is told to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Find a free slot.
    EnableSlot {
        /// Slot Type of the port's protocol (7.2.2.1.4).
        slot_type: u8,
    },
    /// Give a slot up.
    DisableSlot(SlotId),
    /// Take the slot and endpoint 0 over; address the device.
    AddressDevice {
        /// The slot.
        slot: SlotId,
        /// The input context.
        input: Bus,
        /// Send no SET_ADDRESS.
        block: bool,
    },
    /// Add and drop endpoints.
    ConfigureEndpoint {
        /// The slot.
        slot: SlotId,
        /// The input context.
        input: Bus,
    },
    /// Take over what 4.6.7 lets change.
    EvaluateContext {
        /// The slot.
        slot: SlotId,
        /// The input context.
        input: Bus,
    },
    /// Bring a halted endpoint to Stopped.
    ResetEndpoint(SlotId, Dci),
    /// Stop an endpoint.
    StopEndpoint {
        /// The slot.
        slot: SlotId,
        /// The endpoint.
        endpoint: Dci,
        /// The device is about to be suspended.
        suspend: bool,
    },
    /// Move a stopped endpoint's dequeue pointer.
    SetDequeue {
        /// The slot.
        slot: SlotId,
        /// The endpoint.
        endpoint: Dci,
        /// The next TRB to be run.
        to: Bus,
        /// The cycle bit that it has once it is the controller's.
        cycle: bool,
    },
    /// The device was reset: back to Default.
    ResetDevice(SlotId),
    /// Nothing.
    NoOp,
}

impl Command {
    /// The TRB, with cycle 0.
    #[must_use]
    pub const fn trb(self) -> Trb {
        match self {
            Self::EnableSlot { slot_type } => {
                Trb::new(TrbType::EnableSlot, 0, 0, (slot_type as u32 & 0x1F) << 16)
            }
            Self::DisableSlot(slot) => Trb::new(TrbType::DisableSlot, 0, 0, slot_field(slot)),
            Self::AddressDevice { slot, input, block } => {
                let block = if block { BSR } else { 0 };
                Trb::new(TrbType::AddressDevice, input.0, 0, slot_field(slot) | block)
            }
            Self::ConfigureEndpoint { slot, input } => {
                Trb::new(TrbType::ConfigureEndpoint, input.0, 0, slot_field(slot))
            }
            Self::EvaluateContext { slot, input } => {
                Trb::new(TrbType::EvaluateContext, input.0, 0, slot_field(slot))
            }
            Self::ResetEndpoint(slot, endpoint) => {
                Trb::new(TrbType::ResetEndpoint, 0, 0, slot_field(slot) | endpoint_field(endpoint))
            }
            Self::StopEndpoint { slot, endpoint, suspend } => {
                let flags = slot_field(slot) | endpoint_field(endpoint);
                Trb::new(TrbType::StopEndpoint, 0, 0, if suspend { flags | SP } else { flags })
            }
            Self::SetDequeue { slot, endpoint, to, cycle } => Trb::new(
                TrbType::SetDequeue,
                to.0 & !0xF | cycle as u64,
                0,
                slot_field(slot) | endpoint_field(endpoint),
            ),
            Self::ResetDevice(slot) => Trb::new(TrbType::ResetDevice, 0, 0, slot_field(slot)),
            Self::NoOp => Trb::new(TrbType::NoOpCommand, 0, 0, 0),
        }
    }
}

const fn slot_field(slot: SlotId) -> u32 {
    (slot.number() as u32) << 24
}

const fn endpoint_field(endpoint: Dci) -> u32 {
    (endpoint.index() as u32) << 16
}

#[cfg(test)]
mod tests {
    use super::Command;
    use crate::{Dci, SlotId, Trb};
    use addr::Bus;

    #[test]
    fn commands_have_their_fields_where_6_4_3_says() {
        let slot = SlotId::new(5).expect("a slot");
        let endpoint = Dci::new(2).expect("an endpoint");
        let address = Command::AddressDevice { slot, input: Bus(0x1_0000_1000), block: true };
        assert_eq!(address.trb(), Trb([0x1000, 1, 0, 5 << 24 | 11 << 10 | 1 << 9]));
        let stop = Command::StopEndpoint { slot, endpoint, suspend: true };
        assert_eq!(stop.trb(), Trb([0, 0, 0, 5 << 24 | 1 << 23 | 2 << 16 | 15 << 10]));
        let set = Command::SetDequeue { slot, endpoint, to: Bus(0x2_2010), cycle: true };
        assert_eq!(set.trb(), Trb([0x2_2011, 0, 0, 5 << 24 | 2 << 16 | 16 << 10]));
        assert_eq!(Command::EnableSlot { slot_type: 0 }.trb(), Trb([0, 0, 0, 9 << 10]));
        assert_eq!(Command::DisableSlot(slot).trb(), Trb([0, 0, 0, 5 << 24 | 10 << 10]));
    }
}
