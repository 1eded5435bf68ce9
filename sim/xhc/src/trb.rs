//! TRBs as this controller decodes and encodes them: xHCI 1.2, 6.4.
//!
//! On purpose not the code that drivers use: the model is to notice when that
//! one is wrong.

use crate::ids::{Dci, InterrupterId, RootPort, SlotId};
use addr::Bus;

/// Types (table 6-91).
pub(crate) mod kind {
    pub(crate) const NORMAL: u8 = 1;
    pub(crate) const SETUP: u8 = 2;
    pub(crate) const DATA: u8 = 3;
    pub(crate) const STATUS: u8 = 4;
    pub(crate) const ISOCH: u8 = 5;
    pub(crate) const LINK: u8 = 6;
    pub(crate) const EVENT_DATA: u8 = 7;
    pub(crate) const NO_OP: u8 = 8;
    pub(crate) const ENABLE_SLOT: u8 = 9;
    pub(crate) const DISABLE_SLOT: u8 = 10;
    pub(crate) const ADDRESS_DEVICE: u8 = 11;
    pub(crate) const CONFIGURE_ENDPOINT: u8 = 12;
    pub(crate) const EVALUATE_CONTEXT: u8 = 13;
    pub(crate) const RESET_ENDPOINT: u8 = 14;
    pub(crate) const STOP_ENDPOINT: u8 = 15;
    pub(crate) const SET_TR_DEQUEUE: u8 = 16;
    pub(crate) const RESET_DEVICE: u8 = 17;
    pub(crate) const NO_OP_COMMAND: u8 = 23;
    pub(crate) const TRANSFER_EVENT: u8 = 32;
    pub(crate) const COMMAND_COMPLETION: u8 = 33;
    pub(crate) const PORT_STATUS_CHANGE: u8 = 34;
    pub(crate) const HOST_CONTROLLER: u8 = 37;
}

/// Completion codes (table 6-90), those that this model produces.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Success = 1,
    Babble = 3,
    UsbTransaction = 4,
    Trb = 5,
    Stall = 6,
    Resource = 7,
    Bandwidth = 8,
    NoSlots = 9,
    SlotNotEnabled = 11,
    ShortPacket = 13,
    RingUnderrun = 14,
    RingOverrun = 15,
    Parameter = 17,
    BandwidthOverrun = 18,
    ContextState = 19,
    EventRingFull = 21,
    MissedService = 23,
    CommandRingStopped = 24,
    CommandAborted = 25,
    Stopped = 26,
    MaxExitLatency = 29,
    IsochBufferOverrun = 31,
}

impl From<Code> for u8 {
    fn from(code: Code) -> Self {
        code as Self
    }
}

/// A TRB, and where it stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trb {
    pub(crate) at: Bus,
    pub(crate) words: [u32; 4],
}

impl Trb {
    pub(crate) fn cycle(&self) -> bool {
        self.words[3] & 1 == 1
    }

    pub(crate) fn kind(&self) -> u8 {
        (self.words[3] >> 10 & 0x3F) as u8
    }

    /// Whether it can stand behind the first TRB of a descriptor, or is no part of one.
    pub(crate) fn follows(&self) -> bool {
        matches!(
            self.kind(),
            kind::NORMAL | kind::DATA | kind::STATUS | kind::LINK | kind::EVENT_DATA
        )
    }

    /// The parameter as one number: a pointer, mostly.
    pub(crate) fn parameter(&self) -> u64 {
        u64::from(self.words[0]) | u64::from(self.words[1]) << 32
    }

    pub(crate) fn immediate(&self) -> [u8; 8] {
        self.parameter().to_le_bytes()
    }

    /// TRB Transfer Length.
    pub(crate) fn length(&self) -> u32 {
        self.words[2] & 0x1_FFFF
    }

    pub(crate) fn td_size(&self) -> u32 {
        self.words[2] >> 17 & 0x1F
    }

    pub(crate) fn interrupter(&self) -> InterrupterId {
        InterrupterId((self.words[2] >> 22) as u16)
    }

    fn bit(&self, bit: u32) -> bool {
        self.words[3] >> bit & 1 == 1
    }

    /// Link: Toggle Cycle. (The same bit is ENT elsewhere.)
    pub(crate) fn toggles_cycle(&self) -> bool {
        self.bit(1)
    }

    pub(crate) fn interrupts_on_short(&self) -> bool {
        self.bit(2)
    }

    pub(crate) fn chained(&self) -> bool {
        self.bit(4)
    }

    pub(crate) fn interrupts_on_completion(&self) -> bool {
        self.bit(5)
    }

    pub(crate) fn is_immediate(&self) -> bool {
        self.bit(6)
    }

    pub(crate) fn blocks_interrupt(&self) -> bool {
        self.bit(9)
    }

    /// Data and Status: the direction is IN.
    pub(crate) fn direction_in(&self) -> bool {
        self.bit(16)
    }

    /// Setup: Transfer Type.
    pub(crate) fn transfer_type(&self) -> u32 {
        self.words[3] >> 16 & 3
    }

    /// Isoch: Start Isoch ASAP.
    pub(crate) fn asap(&self) -> bool {
        self.bit(31)
    }

    pub(crate) fn frame_id(&self) -> u16 {
        (self.words[3] >> 20 & 0x7FF) as u16
    }

    /// Isoch: Transfer Burst Count.
    pub(crate) fn burst_count(&self) -> u32 {
        self.words[3] >> 7 & 3
    }

    /// Isoch: Transfer Last Burst Packet Count.
    pub(crate) fn last_burst_count(&self) -> u32 {
        self.words[3] >> 16 & 0xF
    }

    /// Commands: slot.
    pub(crate) fn slot(&self) -> SlotId {
        SlotId((self.words[3] >> 24) as u8)
    }

    /// Commands: endpoint.
    pub(crate) fn endpoint(&self) -> Dci {
        Dci((self.words[3] >> 16 & 0x1F) as u8)
    }

    /// Bit 9 of a command: BSR of Address Device, DC of Configure Endpoint, TSP
    /// of Reset Endpoint.
    pub(crate) fn command_flag(&self) -> bool {
        self.bit(9)
    }

    /// SP of Stop Endpoint: the device is about to be suspended (6.4.3.8).
    pub(crate) fn suspends(&self) -> bool {
        self.bit(23)
    }

    /// Whether a bit is set that has no meaning in a TRB of its type.
    pub(crate) fn has_reserved_bits(&self) -> bool {
        // What each word may have set; bit 0 and the type are taken for granted.
        const ANY: u32 = u32::MAX;
        const TARGET: u32 = 0xFFC0_0000;
        let allowed: [u32; 4] = match self.kind() {
            kind::NORMAL => [ANY, ANY, ANY, 0x0000_027E],
            kind::SETUP => [ANY, ANY, TARGET | 0x1_FFFF, 0x0003_0060],
            kind::DATA => [ANY, ANY, ANY, 0x0001_027E],
            kind::STATUS => [0, 0, TARGET, 0x0001_0032],
            kind::ISOCH => [ANY, ANY, ANY, 0xFFFF_03FE],
            kind::LINK => [0xFFFF_FFF0, ANY, TARGET, 0x0000_0032],
            kind::EVENT_DATA => [ANY, ANY, TARGET, 0x0000_0232],
            kind::NO_OP => [0, 0, TARGET, 0x0000_0032],
            kind::ENABLE_SLOT => [0, 0, 0, 0x001F_0000],
            kind::DISABLE_SLOT | kind::RESET_DEVICE => [0, 0, 0, 0xFF00_0000],
            kind::ADDRESS_DEVICE | kind::CONFIGURE_ENDPOINT => [0xFFFF_FFF0, ANY, 0, 0xFF00_0200],
            kind::EVALUATE_CONTEXT => [0xFFFF_FFF0, ANY, 0, 0xFF00_0000],
            kind::RESET_ENDPOINT => [0, 0, 0, 0xFF1F_0200],
            kind::STOP_ENDPOINT => [0, 0, 0, 0xFF9F_0000],
            kind::SET_TR_DEQUEUE => [ANY, ANY, 0xFFFF_0000, 0xFF1F_0000],
            kind::NO_OP_COMMAND => [0, 0, 0, 0],
            _ => [ANY; 4],
        };
        let taken = [0, 0, 0, 0xFC01];
        self.words
            .iter()
            .zip(allowed)
            .zip(taken)
            .any(|((word, allowed), taken)| word & !(allowed | taken) != 0)
    }
}

fn words(parameter: u64, status: u32, control: u32) -> [u32; 4] {
    [parameter as u32, (parameter >> 32) as u32, status, control]
}

fn control(kind: u8, rest: u32) -> u32 {
    u32::from(kind) << 10 | rest
}

/// A Transfer Event (6.4.2.1).
pub(crate) fn transfer_event(
    pointer: Bus,
    residual: u32,
    code: impl Into<u8>,
    slot: SlotId,
    dci: Dci,
) -> [u32; 4] {
    let rest = u32::from(slot.0) << 24 | u32::from(dci.0) << 16;
    let status = u32::from(code.into()) << 24 | residual & 0xFF_FFFF;
    words(pointer.0, status, control(kind::TRANSFER_EVENT, rest))
}

/// Whether `event` says that an endpoint has stopped.
pub(crate) fn is_stopped(event: [u32; 4]) -> bool {
    event[2] >> 24 == Code::Stopped as u32
}

/// A Transfer Event that an Event Data TRB caused.
pub(crate) fn event_data(
    value: u64,
    transferred: u32,
    code: Code,
    slot: SlotId,
    dci: Dci,
) -> [u32; 4] {
    let mut event = transfer_event(Bus(value), transferred, code, slot, dci);
    event[3] |= 1 << 2;
    event
}

/// A Command Completion Event (6.4.2.2).
pub(crate) fn command_completion(pointer: Bus, code: impl Into<u8>, slot: SlotId) -> [u32; 4] {
    let rest = u32::from(slot.0) << 24;
    words(pointer.0, u32::from(code.into()) << 24, control(kind::COMMAND_COMPLETION, rest))
}

/// A Port Status Change Event (6.4.2.3).
pub(crate) fn port_status_change(port: RootPort) -> [u32; 4] {
    let status = u32::from(Code::Success as u8) << 24;
    words(u64::from(port.0) << 24, status, control(kind::PORT_STATUS_CHANGE, 0))
}

/// A Host Controller Event (6.4.2.6).
pub(crate) fn host_controller(code: Code) -> [u32; 4] {
    words(0, u32::from(code as u8) << 24, control(kind::HOST_CONTROLLER, 0))
}
