//! Event TRBs (6.4.2), decoded.
//!
//! What comes off an event ring was written by a controller, which may be
//! broken: nothing here trusts a number to be in range.

use crate::{CompletionCode, Dci, PortId, SlotId, Trb, TrbType};
use addr::Bus;

/// Event Data flag of a Transfer Event.
const ED: u32 = 1 << 2;

/// A Transfer Event (6.4.2.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TransferEvent {
    /// The TRB it is about; 0 where the controller does not say (underrun,
    /// overrun, missed service of 1.0 hosts). With `event_data` not an address.
    pub pointer: Bus,
    /// Bytes *not* moved.
    pub residual: u32,
    /// How it ended.
    pub code: CompletionCode,
    /// Whether `pointer` is the value of an Event Data TRB instead.
    pub event_data: bool,
    /// The slot.
    pub slot: SlotId,
    /// The endpoint.
    pub endpoint: Dci,
}

/// What a controller reports.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A transfer, or an endpoint's ring.
    Transfer(TransferEvent),
    /// A command ended (6.4.2.2).
    Completion {
        /// The command's TRB.
        command: Bus,
        /// How it ended.
        code: CompletionCode,
        /// A parameter that some commands answer, 24 bits.
        parameter: u32,
        /// The slot; 0 for commands without one.
        slot: u8,
    },
    /// A port's change bits went from all clear to some set (6.4.2.3).
    PortChange(PortId),
    /// A slot must renegotiate its bandwidth (6.4.2.4).
    BandwidthRequest(SlotId),
    /// The host controller has something to say (6.4.2.6).
    Host(CompletionCode),
    /// A device sent a notification (6.4.2.7).
    Notification(SlotId),
    /// MFINDEX wrapped (6.4.2.8).
    MfIndexWrap,
    /// An event of another type, or one that names what cannot exist.
    Unknown(Trb),
}

impl Event {
    /// What `trb` reports.
    #[must_use]
    pub fn decode(trb: Trb) -> Self {
        Self::known(trb).unwrap_or(Self::Unknown(trb))
    }

    fn known(trb: Trb) -> Option<Self> {
        let slot = (trb.0[3] >> 24) as u8;
        let code = CompletionCode::from_number((trb.0[2] >> 24) as u8);
        let low = trb.0[2] & 0xFF_FFFF;
        Some(match trb.kind()? {
            TrbType::TransferEvent => Self::Transfer(TransferEvent {
                pointer: trb.pointer(),
                residual: low,
                code,
                event_data: trb.has(ED),
                slot: SlotId::new(slot).ok()?,
                endpoint: Dci::new((trb.0[3] >> 16) as u8 & 0x1F).ok()?,
            }),
            TrbType::CompletionEvent => {
                Self::Completion { command: trb.pointer(), code, parameter: low, slot }
            }
            TrbType::PortChangeEvent => Self::PortChange(PortId::new((trb.0[0] >> 24) as u8).ok()?),
            TrbType::BandwidthEvent => Self::BandwidthRequest(SlotId::new(slot).ok()?),
            TrbType::HostEvent => Self::Host(code),
            TrbType::NotificationEvent => Self::Notification(SlotId::new(slot).ok()?),
            TrbType::WrapEvent => Self::MfIndexWrap,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, TransferEvent};
    use crate::{CompletionCode, Dci, PortId, SlotId, Trb};
    use addr::Bus;
    use proptest::prelude::*;

    #[test]
    fn events_are_read_from_where_6_4_2_says() {
        let transfer = Trb([0x1010, 0, 13 << 24 | 5, 7 << 24 | 3 << 16 | 32 << 10 | 1]);
        assert_eq!(
            Event::decode(transfer),
            Event::Transfer(TransferEvent {
                pointer: Bus(0x1010),
                residual: 5,
                code: CompletionCode::ShortPacket,
                event_data: false,
                slot: SlotId::new(7).expect("a slot"),
                endpoint: Dci::new(3).expect("an endpoint"),
            })
        );
        let completion = Trb([0x2000, 0, 1 << 24, 1 << 24 | 33 << 10]);
        assert_eq!(
            Event::decode(completion),
            Event::Completion {
                command: Bus(0x2000),
                code: CompletionCode::Success,
                parameter: 0,
                slot: 1
            }
        );
        let port = Trb([5 << 24, 0, 1 << 24, 34 << 10]);
        assert_eq!(Event::decode(port), Event::PortChange(PortId::new(5).expect("a port")));
        let host = Trb([0, 0, 21 << 24, 37 << 10]);
        assert_eq!(Event::decode(host), Event::Host(CompletionCode::EventRingFull));
        assert_eq!(Event::decode(Trb([0, 0, 0, 39 << 10])), Event::MfIndexWrap);
    }

    #[test]
    fn an_event_for_slot_0_or_endpoint_0_is_unknown() {
        for control in [32 << 10 | 1 << 16, 32 << 10 | 1 << 24, 34 << 10] {
            let trb = Trb([0, 0, 1 << 24, control]);
            assert_eq!(Event::decode(trb), Event::Unknown(trb));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn nothing_that_a_controller_writes_is_more_than_unknown(words: [u32; 4]) {
            let _ = Event::decode(Trb(words));
        }
    }
}
