//! What the Linux service's decoder makes of a datagram.
//!
//! A DSP that was developed against that service may rely on its answers: it
//! takes much that [`crate::Message::decode`] refuses, and then answers
//! EINVAL or worse, but it answers; what it refuses too gets no answer at all
//! (B16). The broker's `upstream` dialect has to tell the two apart, and that
//! is all this module is for. It is a model of that decoder made from its
//! observed verdicts (`tests/data/qmi_vectors.json`, `linux_ret`), with its
//! vices named:
//!
//! - the header's length and its type and message id are not looked at;
//! - a scalar takes its own size, whatever length its TLV declares, and so
//!   throws what follows out of step;
//! - a struct takes whole fields until the declared length is covered, and is
//!   refused only when that does not come out even;
//! - unknown optional TLVs are skipped by their declared length, past the end
//!   of the datagram if need be;
//! - bytes past the end are read (D-22). Here they are zeros;
//! - nothing is mandatory, and of two the last wins.

use crate::tlv::{FIRST_OPTIONAL, TLV_HEADER};
use crate::{Header, Kind, StreamRequest, Token, Txn};

/// How a TLV's value is taken.
enum Shape {
    /// So many bytes, whatever the TLV says.
    Scalar(usize),
    /// Fields of these sizes, over and over until the declared length is met.
    Struct { fields: &'static [usize], times: usize },
}

const RESULT: Shape = Shape::Struct { fields: &[2, 2], times: 1 };
const INTERFACE: Shape = Shape::Struct { fields: &[1, 1, 1, 1, 1, 1, 1, 1, 1], times: 1 };
const ENDPOINT: Shape = Shape::Struct { fields: &[1, 1, 1, 1, 2, 1, 1, 1], times: 1 };
const MEMORY: Shape = Shape::Struct { fields: &[8, 8, 4], times: 5 };

/// The shape of the TLV `tag` in a message of this kind.
fn shape(kind: Kind, tag: u8) -> Option<Shape> {
    Some(match (kind, tag) {
        (Kind::Request, 0x01) => Shape::Scalar(1),
        (Kind::Request, 0x02 | 0x10..=0x14) => Shape::Scalar(4),
        (Kind::Response, 0x02) => RESULT,
        (Kind::Response, 0x10..=0x13 | 0x1C) => Shape::Scalar(4),
        (Kind::Response, 0x14) => INTERFACE,
        (Kind::Response, 0x15 | 0x16) => ENDPOINT,
        (Kind::Response, 0x17) => Shape::Scalar(2),
        (Kind::Response, 0x18 | 0x19 | 0x1B | 0x1D) => Shape::Scalar(1),
        (Kind::Response, 0x1A) => MEMORY,
        (Kind::Indication, 0x01 | 0x02 | 0x10) => Shape::Scalar(4),
        (Kind::Indication, 0x11) => INTERFACE,
        (Kind::Indication, 0x12 | 0x13) => ENDPOINT,
        (Kind::Indication, 0x14) => Shape::Scalar(2),
        (Kind::Indication, 0x15 | 0x16 | 0x18 | 0x19) => Shape::Scalar(1),
        (Kind::Indication, 0x17) => MEMORY,
        _ => return None,
    })
}

/// Bytes a struct takes for a declared length; `None` when that is refused.
fn struct_takes(fields: &[usize], times: usize, declared: usize) -> Option<usize> {
    let mut taken = 0;
    for field in core::iter::repeat_n(fields, times).flatten() {
        if taken >= declared {
            break;
        }
        taken += field;
    }
    (taken == declared).then_some(taken)
}

/// A byte of the payload, or of the nothing behind it.
fn byte(payload: &[u8], at: usize) -> u8 {
    payload.get(at).copied().unwrap_or(0)
}

/// Little-endian word at `at`.
fn word(payload: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|i| byte(payload, at + i)))
}

/// Walks `datagram` as a message of this kind; `each` sees type and place of
/// every known TLV. Whether the walk came to its end.
fn walk(kind: Kind, datagram: &[u8], mut each: impl FnMut(u8, usize)) -> bool {
    let Some(payload) = datagram.get(Header::LEN..) else {
        return false;
    };
    let mut at = 0;
    while at < payload.len() {
        let tag = byte(payload, at);
        let declared =
            usize::from(u16::from_le_bytes([byte(payload, at + 1), byte(payload, at + 2)]));
        at += TLV_HEADER;
        let value = at;
        at += match shape(kind, tag) {
            None if tag < FIRST_OPTIONAL => return false,
            None => declared,
            Some(Shape::Scalar(size)) => size,
            Some(Shape::Struct { fields, times }) => match struct_takes(fields, times, declared) {
                Some(taken) => taken,
                None => return false,
            },
        };
        each(tag, value);
    }
    true
}

/// Whether the Linux service's decoder accepts `datagram` as a message of this
/// kind.
#[must_use]
pub fn upstream_accepts(kind: Kind, datagram: &[u8]) -> bool {
    walk(kind, datagram, |_, _| {})
}

/// The request that the Linux service's decoder reads out of `datagram`, with
/// its transaction; `None` where it refuses too.
#[must_use]
pub fn upstream_request(datagram: &[u8]) -> Option<(Txn, StreamRequest)> {
    let payload = datagram.get(Header::LEN..)?;
    let txn = Txn(u16::from_le_bytes([datagram[1], datagram[2]]));
    let mut request = StreamRequest::default();
    let accepted = walk(Kind::Request, datagram, |tag, at| match tag {
        0x01 => request.enable = byte(payload, at),
        0x02 => request.usb_token = Token(word(payload, at)),
        0x10 => request.audio_format = Some(word(payload, at)),
        0x11 => request.number_of_ch = Some(word(payload, at)),
        0x12 => request.bit_rate = Some(word(payload, at)),
        0x13 => request.xfer_buff_size = Some(word(payload, at)),
        0x14 => request.service_interval = Some(word(payload, at)),
        _ => {}
    });
    accepted.then_some((txn, request))
}
