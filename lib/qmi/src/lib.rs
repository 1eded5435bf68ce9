//! QMI messages of the USB audio service, and QRTR frames.
//!
//! What the DSP and the broker say to each other, byte for byte: the messages
//! of QMI service 0x41D ([`StreamRequest`], [`StreamResponse`],
//! [`StreamIndication`]) and the QRTR framing that carries them ([`qrtr`]).
//!
//! Decoding is strict: what is truncated, doubled, missing or of the wrong
//! length is refused with a [`DecodeError`] that says which and where. What a
//! value *means* is not judged here: enums, counts and transaction ids come
//! out as they were on the wire. [`lenient`] says what the Linux service's
//! decoder would have made of the same bytes, for the dialect that has to
//! answer as that service does.
//!
//! Names of fields are those of the service as the field knows them. Wire
//! integers are little endian and packed; nothing here is a `memcpy` of a
//! struct.

#![no_std]
#![forbid(unsafe_code)]

mod error;
pub mod lenient;
mod message;
pub mod qrtr;
mod tlv;

pub use error::{DecodeError, EncodeError};
pub use message::{
    EndpointDescriptor, Event, Header, InterfaceDescriptor, Kind, MemoryInfo, Message, QmiResult,
    Region, Speed, Status, StreamIndication, StreamRequest, StreamResponse, Token, Txn,
};

/// The service's id in the QRTR name service.
pub const SERVICE: u32 = 0x41D;
/// The version of the service that is spoken here.
pub const VERSION: u8 = 1;
/// The instance of the service: there is one broker.
pub const INSTANCE: u8 = 0;
/// The "instance" word of the name service: version in the low byte, instance above.
pub const INSTANCE_WORD: u32 = VERSION as u32 | (INSTANCE as u32) << 8;
/// All three messages carry this id; the header's type tells them apart.
pub const STREAM: u16 = 0x0001;
/// Longest datagram the service sends: the response with every TLV.
pub const MAX_DATAGRAM: usize = Header::LEN + StreamResponse::MAX_PAYLOAD;
