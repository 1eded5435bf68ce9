//! TRBs of xHCI 1.2 chapter 6.4, and the rings that they travel in.
//!
//! Layouts as producers and consumers need them, and the two ring state machines
//! (4.9) over an abstract memory, for the driver, the DSP program and its gate.
//! Nothing here touches hardware. The controller model in `sim/xhc` decodes TRBs
//! with code of its own, so that a mistake made here is found there.

#![no_std]

mod code;
mod command;
mod event;
mod frame;
mod id;
mod ring;
mod transfer;

pub use code::CompletionCode;
pub use command::Command;
pub use event::{Event, TransferEvent};
pub use frame::{FrameId, MfIndex};
pub use id::{BadId, Dci, InterrupterId, PortId, SlotId};
pub use ring::{ConsumerRing, ProducerRing, RingFull, RingMemory};
pub use transfer::{
    Isoch, Start, burst_counts, data, isoch_trbs, link, no_op, normal, setup, status,
};

use addr::Bus;

/// Bytes of a TRB.
pub const TRB_BYTES: u32 = 16;
/// TRBs of a ring segment that is one page: all rings here are.
pub const PER_PAGE: u16 = (addr::PAGE / TRB_BYTES) as u16;

/// A transfer request block: four words, whatever they say.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
pub struct Trb(pub [u32; 4]);

/// The cycle bit, in word 3 of every TRB.
pub const CYCLE: u32 = 1 << 0;
/// Toggle Cycle of a Link TRB, word 3.
pub const TC: u32 = 1 << 1;
/// Interrupt on Short Packet, word 3.
pub const ISP: u32 = 1 << 2;
/// Chain, word 3.
pub const CHAIN: u32 = 1 << 4;
/// Interrupt on Completion, word 3.
pub const IOC: u32 = 1 << 5;
/// Immediate Data, word 3.
pub const IDT: u32 = 1 << 6;
/// Block Event Interrupt, word 3: the event comes, and rings nobody.
pub const BEI: u32 = 1 << 9;

/// What a TRB is (6.4.6).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum TrbType {
    Normal = 1,
    Setup = 2,
    Data = 3,
    Status = 4,
    Isoch = 5,
    Link = 6,
    EventData = 7,
    NoOp = 8,
    EnableSlot = 9,
    DisableSlot = 10,
    AddressDevice = 11,
    ConfigureEndpoint = 12,
    EvaluateContext = 13,
    ResetEndpoint = 14,
    StopEndpoint = 15,
    SetDequeue = 16,
    ResetDevice = 17,
    ForceEvent = 18,
    NegotiateBandwidth = 19,
    SetLatencyTolerance = 20,
    GetPortBandwidth = 21,
    ForceHeader = 22,
    NoOpCommand = 23,
    TransferEvent = 32,
    CompletionEvent = 33,
    PortChangeEvent = 34,
    BandwidthEvent = 35,
    DoorbellEvent = 36,
    HostEvent = 37,
    NotificationEvent = 38,
    WrapEvent = 39,
}

impl TrbType {
    const ALL: [Self; 31] = {
        use TrbType as T;
        [
            T::Normal,
            T::Setup,
            T::Data,
            T::Status,
            T::Isoch,
            T::Link,
            T::EventData,
            T::NoOp,
            T::EnableSlot,
            T::DisableSlot,
            T::AddressDevice,
            T::ConfigureEndpoint,
            T::EvaluateContext,
            T::ResetEndpoint,
            T::StopEndpoint,
            T::SetDequeue,
            T::ResetDevice,
            T::ForceEvent,
            T::NegotiateBandwidth,
            T::SetLatencyTolerance,
            T::GetPortBandwidth,
            T::ForceHeader,
            T::NoOpCommand,
            T::TransferEvent,
            T::CompletionEvent,
            T::PortChangeEvent,
            T::BandwidthEvent,
            T::DoorbellEvent,
            T::HostEvent,
            T::NotificationEvent,
            T::WrapEvent,
        ]
    };

    /// The type with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == number)
    }
}

impl Trb {
    /// A TRB of a kind, with a parameter, a status word and flags, cycle 0.
    #[must_use]
    pub const fn new(kind: TrbType, parameter: u64, status: u32, flags: u32) -> Self {
        let control = (kind as u32) << 10 | flags;
        Self([parameter as u32, (parameter >> 32) as u32, status, control])
    }

    /// What it is; `None` for a reserved or vendor type.
    #[must_use]
    pub fn kind(self) -> Option<TrbType> {
        TrbType::from_number(self.type_number())
    }

    /// The type field, known or not.
    #[must_use]
    pub const fn type_number(self) -> u8 {
        (self.0[3] >> 10) as u8 & 0x3F
    }

    /// The cycle bit.
    #[must_use]
    pub const fn cycle(self) -> bool {
        self.0[3] & CYCLE != 0
    }

    /// The same TRB with the cycle bit that is given.
    #[must_use]
    pub const fn with_cycle(self, cycle: bool) -> Self {
        let [a, b, c, d] = self.0;
        Self([a, b, c, d & !CYCLE | cycle as u32])
    }

    /// Whether a flag of word 3 is set.
    #[must_use]
    pub const fn has(self, flag: u32) -> bool {
        self.0[3] & flag != 0
    }

    /// Words 0 and 1 as an address: a transfer's buffer, a link's target.
    #[must_use]
    pub const fn pointer(self) -> Bus {
        Bus(self.0[0] as u64 | (self.0[1] as u64) << 32)
    }

    /// TRB Transfer Length, bytes (a transfer TRB's word 2, bits 16:0).
    #[must_use]
    pub const fn length(self) -> u32 {
        self.0[2] & 0x1_FFFF
    }

    /// TD Size (a transfer TRB's word 2, bits 21:17).
    #[must_use]
    pub const fn td_size(self) -> u8 {
        (self.0[2] >> 17) as u8 & 0x1F
    }

    /// Interrupter Target (a transfer TRB's word 2, bits 31:22).
    #[must_use]
    pub const fn interrupter(self) -> InterrupterId {
        InterrupterId::from_field(self.0[2] >> 22)
    }

    /// Start Isoch ASAP (an Isoch TRB's word 3, bit 31).
    #[must_use]
    pub const fn start_asap(self) -> bool {
        self.0[3] >> 31 != 0
    }

    /// Frame ID (an Isoch TRB's word 3, bits 30:20).
    #[must_use]
    pub const fn frame(self) -> FrameId {
        FrameId::wrapping((self.0[3] >> 20) as u16)
    }
}

impl core::fmt::Debug for Trb {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "Trb({a:08x} {b:08x} {c:08x} {d:08x})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Trb, TrbType};

    #[test]
    fn every_type_number_names_one_type() {
        for number in 0..=63 {
            let kind = TrbType::from_number(number);
            assert!(kind.is_none_or(|kind| kind as u8 == number));
            assert_eq!(kind.is_some(), matches!(number, 1..=23 | 32..=39), "{number}");
        }
    }

    #[test]
    fn the_cycle_bit_is_the_only_thing_that_with_cycle_changes() {
        let trb = Trb([1, 2, 3, 0xFFFF_FFFF]);
        assert_eq!(trb.with_cycle(false).0, [1, 2, 3, 0xFFFF_FFFE]);
        assert_eq!(trb.with_cycle(false).with_cycle(true), trb);
    }
}
