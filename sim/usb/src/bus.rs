//! What passes between a host controller and a device: USB 2.0 chapters 5, 8 and 9.
//!
//! Addresses, tokens and handshakes, and the trait every device model has. A
//! control transfer is driven stage by stage and packet by packet, because
//! where it stops is part of what a controller has to report.

use crate::{Heard, Hub, Spoken};
use fabric::Time;

/// Signalling speed of a device; the numbers are xHCI's default speed ids
/// (xHCI 1.2, 7.2.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Speed {
    /// 12 Mb/s.
    Full = 1,
    /// 1.5 Mb/s.
    Low = 2,
    /// 480 Mb/s.
    High = 3,
    /// 5 Gb/s.
    Super = 4,
}

/// A microframe: 125 us, counted from virtual time zero and never wrapped.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Microframe(pub u64);

/// Length of a microframe (USB 2.0, 8.4.3.1).
const MICROFRAME: u64 = 125_000;

impl Microframe {
    /// The microframe that runs at `now`.
    #[must_use]
    pub const fn at(now: Time) -> Self {
        Self(now.0 / MICROFRAME)
    }

    /// When it starts.
    #[must_use]
    pub const fn starts(self) -> Time {
        Time(self.0 * MICROFRAME)
    }

    /// The frame (1 ms) it belongs to.
    #[must_use]
    pub const fn frame(self) -> u64 {
        self.0 / 8
    }
}

/// A device address on its bus; 0 is where every device answers after a reset.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u8);

/// An endpoint address as descriptors write it: number, and bit 7 for IN.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(pub u8);

impl Endpoint {
    /// The OUT endpoint `number`.
    #[must_use]
    pub const fn output(number: u8) -> Self {
        Self(number & 0xF)
    }

    /// The IN endpoint `number`.
    #[must_use]
    pub const fn input(number: u8) -> Self {
        Self(0x80 | (number & 0xF))
    }

    /// The endpoint number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0 & 0xF
    }

    /// Whether data flows from the device.
    #[must_use]
    pub const fn is_in(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Where a table of all 32 endpoints holds it.
    pub(crate) const fn index(self) -> usize {
        (self.number() as usize) << 1 | self.is_in() as usize
    }
}

/// An interface number.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface(pub u8);

/// The eight bytes of a setup packet (USB 2.0, 9.3).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// bmRequestType.
    pub kind: u8,
    /// bRequest.
    pub request: u8,
    /// wValue.
    pub value: u16,
    /// wIndex.
    pub index: u16,
    /// wLength.
    pub length: u16,
}

/// The standard requests (USB 2.0, table 9-4).
pub mod standard_request {
    /// GET_STATUS.
    pub const GET_STATUS: u8 = 0;
    /// CLEAR_FEATURE.
    pub const CLEAR_FEATURE: u8 = 1;
    /// SET_FEATURE.
    pub const SET_FEATURE: u8 = 3;
    /// SET_ADDRESS.
    pub const SET_ADDRESS: u8 = 5;
    /// GET_DESCRIPTOR.
    pub const GET_DESCRIPTOR: u8 = 6;
    /// GET_CONFIGURATION.
    pub const GET_CONFIGURATION: u8 = 8;
    /// SET_CONFIGURATION.
    pub const SET_CONFIGURATION: u8 = 9;
    /// GET_INTERFACE.
    pub const GET_INTERFACE: u8 = 10;
    /// SET_INTERFACE.
    pub const SET_INTERFACE: u8 = 11;
}

impl Setup {
    /// The packet from its bytes on the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self {
            kind: bytes[0],
            request: bytes[1],
            value: u16::from_le_bytes([bytes[2], bytes[3]]),
            index: u16::from_le_bytes([bytes[4], bytes[5]]),
            length: u16::from_le_bytes([bytes[6], bytes[7]]),
        }
    }

    /// Its bytes on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let (value, index) = (self.value.to_le_bytes(), self.index.to_le_bytes());
        let length = self.length.to_le_bytes();
        [self.kind, self.request, value[0], value[1], index[0], index[1], length[0], length[1]]
    }

    /// Whether the data stage, if there is one, runs towards the host.
    #[must_use]
    pub const fn is_in(self) -> bool {
        self.kind & 0x80 != 0
    }

    /// Whether this is SET_ADDRESS, which software must leave to the controller.
    #[must_use]
    pub const fn is_set_address(self) -> bool {
        self.kind == 0 && self.request == standard_request::SET_ADDRESS
    }
}

/// How a device answers one transaction.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// ACK: taken, or (status stage of an OUT transfer) done.
    Ack,
    /// A data packet of that many bytes, put into the buffer passed in.
    Data(usize),
    /// NAK: nothing now, ask again.
    Nak,
    /// STALL.
    Stall,
    /// No answer at all: not this address, wrong packet, no device.
    Silent,
}

/// A device at the far end of a wire.
pub trait UsbDevice {
    /// How fast it signals.
    fn speed(&self) -> Speed;

    /// The bus was reset: address 0, not configured.
    fn reset(&mut self, now: Time);

    /// The bus went idle for good (USB 2.0, 7.1.7.6).
    fn suspend(&mut self, now: Time);

    /// The host resumed the bus.
    fn resume(&mut self, now: Time);

    /// Whether it may wake the host: it is suspended, can signal resume, and was
    /// told that it may (USB 2.0, 9.4.5, 7.1.7.7).
    fn may_wake(&self) -> bool;

    /// The device lost its wire, and with it its power.
    fn detach(&mut self, now: Time);

    /// The address it answers to.
    fn address(&self) -> Address;

    /// A setup transaction. A device takes every one that reaches it intact
    /// (USB 2.0, 8.5.3): [`Answer::Ack`], or [`Answer::Silent`] when it is suspended.
    fn setup(&mut self, now: Time, setup: Setup) -> Answer;

    /// One IN transaction of the data stage; `into` holds the largest packet
    /// the device may send at any speed (64 bytes; 512 at super speed).
    fn control_in(&mut self, into: &mut [u8]) -> Answer;

    /// One OUT transaction of the data stage.
    fn control_out(&mut self, data: &[u8]) -> Answer;

    /// The status stage: what was asked for happens here.
    fn status(&mut self, now: Time) -> Answer;

    /// A packet for an isochronous OUT endpoint. No handshake exists.
    fn isoch_out(&mut self, at: Microframe, endpoint: Endpoint, data: &[u8]);

    /// An isochronous IN token; the length of the packet it was answered with,
    /// `None` for no packet at all.
    fn isoch_in(&mut self, at: Microframe, endpoint: Endpoint, into: &mut [u8]) -> Option<usize>;

    /// An interrupt IN token.
    fn interrupt_in(&mut self, at: Microframe, endpoint: Endpoint, into: &mut [u8]) -> Answer;

    /// What it heard, when it is something that hears.
    fn heard(&self) -> Option<&Heard>;

    /// What it said, when it is something that speaks.
    fn spoken(&self) -> Option<&Spoken> {
        None
    }

    /// The hub that it is, if it is one.
    fn hub(&self) -> Option<&Hub> {
        None
    }

    /// As [`Self::hub`], to change it.
    fn hub_mut(&mut self) -> Option<&mut Hub> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Microframe, Setup};
    use fabric::Time;

    #[test]
    fn a_setup_packet_survives_the_wire() {
        let bytes = [0xA2, 0x81, 0x00, 0x01, 0x82, 0x00, 0x03, 0x00];
        let setup = Setup::from_bytes(bytes);
        assert_eq!((setup.value, setup.index, setup.length), (0x100, 0x82, 3));
        assert!(setup.is_in());
        assert_eq!(setup.to_bytes(), bytes);
    }

    #[test]
    fn a_frame_is_eight_microframes() {
        assert_eq!(Microframe::at(Time::us(1_999)).frame(), 1);
        assert_eq!(Microframe(16).starts(), Time::ms(2));
    }
}
