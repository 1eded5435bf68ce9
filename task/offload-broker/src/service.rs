//! The QMI service's ear: what a datagram is, and what the dialect makes of it.
//!
//! What decodes goes to the broker's core. What does not is answered as the
//! dialect has it: `precise` says that the message is malformed or unknown;
//! `upstream` answers EINVAL where the Linux service's decoder would have taken
//! the message, and nothing where that refuses too (B14 to B17, D-2, D-22).

use qmi::lenient::upstream_request;
use qmi::{DecodeError, Header, Kind, QmiResult, STREAM, StreamRequest, StreamResponse, Txn};

use crate::refusal::{Dialect, Refusal};
use crate::response;

/// What a datagram is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A request.
    Request(Txn, StreamRequest),
    /// Nothing that can be served; this is the answer.
    Answer(Txn, StreamResponse),
    /// Nothing that is answered.
    Silence,
}

/// Makes out what `datagram` is.
#[must_use]
pub fn hear(dialect: Dialect, datagram: &[u8]) -> Heard {
    let error = match StreamRequest::decode(datagram) {
        Ok((txn, request)) => return Heard::Request(txn, request),
        Err(error) => error,
    };
    // Only requests are answered: whoever answers answers starts a storm.
    let Some((&[kind, low, high, id_low, id_high], _)) = datagram.split_first_chunk() else {
        return Heard::Silence;
    };
    if datagram.len() < Header::LEN || kind != Kind::Request as u8 {
        return Heard::Silence;
    }
    let txn = Txn(u16::from_le_bytes([low, high]));
    match dialect {
        Dialect::Precise => {
            let resp = match error {
                DecodeError::UnknownMessage(_) => QmiResult::NOT_SUPPORTED,
                _ => QmiResult::MALFORMED,
            };
            Heard::Answer(txn, StreamResponse { resp, ..StreamResponse::default() })
        }
        // What the handler search does with another id is undefined (D-2).
        Dialect::Upstream if u16::from_le_bytes([id_low, id_high]) != STREAM => Heard::Silence,
        Dialect::Upstream => match upstream_request(datagram) {
            Some((txn, request)) => {
                let token = request.usb_token;
                Heard::Answer(txn, response::refused(dialect, token, Refusal::BadMessage))
            }
            None => Heard::Silence,
        },
    }
}
