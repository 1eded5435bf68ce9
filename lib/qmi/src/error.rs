//! What can be wrong with a message.
//!
//! One variant per cause, with the place, because "malformed" alone sends two
//! teams looking (DESIGN rule 10).

use core::fmt;

/// Why bytes are not a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than a QMI header has.
    HeaderTruncated {
        /// Bytes there were.
        have: usize,
    },
    /// The header's type is none of request, response, indication.
    UnknownKind(u8),
    /// A message of another type than the one asked for.
    WrongKind(u8),
    /// The service has no message of this id.
    UnknownMessage(u16),
    /// The header declares more payload than the datagram holds.
    LengthBeyondDatagram {
        /// Bytes the header declares.
        declared: usize,
        /// Bytes that follow the header.
        present: usize,
    },
    /// The datagram goes on after the payload that the header declares.
    BytesAfterPayload {
        /// Bytes the header declares.
        declared: usize,
        /// Bytes that follow the header.
        present: usize,
    },
    /// The payload ends inside a TLV's type and length.
    TlvHeaderTruncated {
        /// Offset of the TLV in the payload.
        at: usize,
    },
    /// A TLV declares more bytes than the payload has left.
    TlvOverrun {
        /// The TLV's type.
        tag: u8,
        /// Bytes it declares.
        declared: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A known TLV whose length is not the one its type has.
    TlvLength {
        /// The TLV's type.
        tag: u8,
        /// The length that type has.
        expected: usize,
        /// The length it declares.
        declared: usize,
    },
    /// A known TLV came twice.
    Duplicate {
        /// The TLV's type.
        tag: u8,
    },
    /// A type below 0x10, which nobody may skip, that the message does not have.
    UnknownMandatory {
        /// The TLV's type.
        tag: u8,
    },
    /// A mandatory TLV did not come.
    Missing {
        /// The TLV's type.
        tag: u8,
    },
}

impl DecodeError {
    /// A short name that does not change, for tools.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::HeaderTruncated { .. } => "header_truncated",
            Self::UnknownKind(_) => "unknown_kind",
            Self::WrongKind(_) => "wrong_kind",
            Self::UnknownMessage(_) => "unknown_message",
            Self::LengthBeyondDatagram { .. } => "length_beyond_datagram",
            Self::BytesAfterPayload { .. } => "bytes_after_payload",
            Self::TlvHeaderTruncated { .. } => "tlv_header_truncated",
            Self::TlvOverrun { .. } => "tlv_overrun",
            Self::TlvLength { .. } => "tlv_length",
            Self::Duplicate { .. } => "duplicate",
            Self::UnknownMandatory { .. } => "unknown_mandatory",
            Self::Missing { .. } => "missing",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::HeaderTruncated { have } => {
                write!(f, "a QMI header has 7 bytes, the datagram {have}")
            }
            Self::UnknownKind(kind) => {
                write!(f, "header type {kind} is none of 0 request, 2 response, 4 indication")
            }
            Self::WrongKind(kind) => write!(f, "header type {kind} is not the one expected here"),
            Self::UnknownMessage(id) => {
                write!(f, "message {id:#06x}: the service has only 0x0001 (STREAM)")
            }
            Self::LengthBeyondDatagram { declared, present } => {
                write!(f, "the header declares {declared} bytes of payload, {present} follow it")
            }
            Self::BytesAfterPayload { declared, present } => {
                write!(f, "the header declares {declared} bytes of payload, but {present} follow")
            }
            Self::TlvHeaderTruncated { at } => {
                write!(f, "the payload ends inside the type and length of the TLV at offset {at}")
            }
            Self::TlvOverrun { tag, declared, left } => {
                write!(f, "TLV {tag:#04x} declares {declared} bytes, {left} are left")
            }
            Self::TlvLength { tag, expected, declared } => {
                write!(f, "TLV {tag:#04x} has {expected} bytes, this one declares {declared}")
            }
            Self::Duplicate { tag } => write!(f, "TLV {tag:#04x} comes twice"),
            Self::UnknownMandatory { tag } => {
                write!(f, "TLV {tag:#04x} is unknown, and types below 0x10 may not be skipped")
            }
            Self::Missing { tag } => write!(f, "mandatory TLV {tag:#04x} is missing"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why a message was not encoded.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The buffer ends before the message does.
    BufferTooSmall {
        /// Bytes the message takes, header included.
        needed: usize,
        /// Bytes the buffer has.
        have: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::BufferTooSmall { needed, have } = self;
        write!(f, "the message takes {needed} bytes, the buffer has {have}")
    }
}

impl core::error::Error for EncodeError {}
