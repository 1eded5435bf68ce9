//! The few USB words that every layer of the stack speaks.
//!
//! Speeds, endpoint addresses and setup packets (USB 2.0 chapters 5 and 9).
//! Numbers of one controller's own (slots, DCIs) are in `trb`.

#![no_std]

use packed::Packed;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How fast a device talks.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Packed)]
pub enum Speed {
    /// 1.5 Mb/s.
    Low,
    /// 12 Mb/s.
    Full,
    /// 480 Mb/s.
    High,
    /// 5 Gb/s.
    Super,
    /// 10 Gb/s and more.
    SuperPlus,
}

/// Which way the data of a transfer or a stream goes, seen from the host.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Packed)]
pub enum Direction {
    /// To the device: playback.
    Out,
    /// From the device: capture, feedback.
    In,
}

/// bEndpointAddress: number in bits 3:0, IN in bit 7 (USB 2.0 table 9-13).
#[derive(
    Copy,
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Packed,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct EndpointAddress(pub u8);

impl EndpointAddress {
    /// The endpoint number, 0 to 15.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0 & 0x0F
    }

    /// Which way its data goes.
    #[must_use]
    pub const fn direction(self) -> Direction {
        if self.0 & 0x80 == 0 { Direction::Out } else { Direction::In }
    }
}

/// The eight bytes that begin a control transfer (USB 2.0 section 9.3).
#[derive(
    Copy,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Packed,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Setup {
    /// bmRequestType: direction (bit 7), type (6:5), recipient (4:0).
    pub request_type: u8,
    /// bRequest.
    pub request: u8,
    /// wValue.
    pub value: u16,
    /// wIndex.
    pub index: u16,
    /// wLength: bytes of the data stage.
    pub length: u16,
}

impl Setup {
    /// Which way the data stage goes.
    #[must_use]
    pub const fn direction(self) -> Direction {
        if self.request_type & 0x80 == 0 { Direction::Out } else { Direction::In }
    }

    /// The packet as it goes over the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let [v0, v1] = self.value.to_le_bytes();
        let [i0, i1] = self.index.to_le_bytes();
        let [l0, l1] = self.length.to_le_bytes();
        [self.request_type, self.request, v0, v1, i0, i1, l0, l1]
    }

    /// The packet out of its eight bytes.
    #[must_use]
    pub const fn from_bytes(b: [u8; 8]) -> Self {
        Self {
            request_type: b[0],
            request: b[1],
            value: u16::from_le_bytes([b[2], b[3]]),
            index: u16::from_le_bytes([b[4], b[5]]),
            length: u16::from_le_bytes([b[6], b[7]]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Setup;

    #[test]
    fn setup_is_its_own_inverse() {
        let bytes = [0x80, 6, 0, 1, 9, 4, 18, 0];
        assert_eq!(Setup::from_bytes(bytes).to_bytes(), bytes);
    }
}
