//! The datagrams by which Humility makes calls over a network (`-i`), as Hubris'
//! task `udprpc` answers them.
//!
//! A request is the image's id, task, operation, bytes of the reply, bytes of the
//! message, all little-endian, and the message. An answer is a status; with `Ok`
//! the response code, big-endian, and the reply.

use crate::call::Outcome;
use hif::RpcReply;

/// Bytes before a request's message.
const HEADER: usize = 16;
/// Most bytes of a datagram, either way.
pub const LARGEST: usize = 1024;
/// Bytes before an answer's reply.
const PREFIX: usize = 5;

/// A call that a datagram asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The server's index; a generation in the upper bits says nothing.
    pub task: u16,
    /// The operation's number.
    pub operation: u16,
    /// Bytes of the reply.
    pub reply: u16,
    /// The message.
    pub message: Vec<u8>,
}

/// Bits of a task's index in an id.
const INDEX: u16 = 0x3FF;

/// Answers `datagram`, which came for the image `image_id`; `make` makes the call.
/// That it was not made cannot be said: whoever asked waits no longer than it
/// wants to.
///
/// # Errors
/// Why the call was not made.
pub fn answer<E>(
    datagram: &[u8],
    image_id: u64,
    make: impl FnOnce(&Asked) -> Result<Outcome, E>,
) -> Result<Vec<u8>, E> {
    let asked = match parse(datagram, image_id) {
        Ok(asked) => asked,
        Err(RpcReply::BadImageId) => {
            let mut answer = vec![RpcReply::BadImageId as u8];
            answer.extend(image_id.to_le_bytes());
            return Ok(answer);
        }
        Err(status) => return Ok(vec![status as u8]),
    };
    let (code, reply) = match make(&asked)? {
        Outcome::Replied(reply) => (0, reply),
        Outcome::Code(code) => (code, Vec::new()),
    };
    let mut answer = vec![RpcReply::Ok as u8];
    answer.extend(code.to_be_bytes());
    answer.extend(reply.into_iter().take(asked.reply.into()));
    Ok(answer)
}

fn parse(datagram: &[u8], image_id: u64) -> Result<Asked, RpcReply> {
    let (header, message) = datagram.split_first_chunk::<HEADER>().ok_or(RpcReply::TooShort)?;
    let (id, rest) = header.split_first_chunk().ok_or(RpcReply::TooShort)?;
    if u64::from_le_bytes(*id) != image_id {
        return Err(RpcReply::BadImageId);
    }
    let half = |n: usize| u16::from_le_bytes([rest[2 * n], rest[2 * n + 1]]);
    if usize::from(half(3)) != message.len() {
        return Err(RpcReply::BytesMismatch);
    }
    if usize::from(half(2)) + PREFIX > LARGEST {
        return Err(RpcReply::ReplyOverflow);
    }
    let (task, operation, reply) = (half(0) & INDEX, half(1), half(2));
    Ok(Asked { task, operation, reply, message: message.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::{Asked, answer};
    use crate::{Error, Outcome};
    use proptest::prelude::*;

    const ID: u64 = 0x0102_0304_0506_0708;

    fn request(task: u16, operation: u16, reply: u16, message: &[u8]) -> Vec<u8> {
        let mut bytes = ID.to_le_bytes().to_vec();
        for half in [task, operation, reply, message.len() as u16] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.extend(message);
        bytes
    }

    fn never(asked: &Asked) -> Result<Outcome, Error> {
        panic!("{asked:?} is no call to make")
    }

    #[test]
    fn a_call_is_made_and_its_reply_comes_back() {
        let make = |asked: &Asked| {
            let message = vec![9, 8];
            assert_eq!(*asked, Asked { task: 3, operation: 7, reply: 2, message });
            Ok::<_, Error>(Outcome::Replied(vec![1, 2, 3]))
        };
        // An id with a generation names the same task.
        let bytes = answer(&request(3 | 5 << 10, 7, 2, &[9, 8]), ID, make).expect("it is made");
        assert_eq!(bytes, [0, 0, 0, 0, 0, 1, 2]);
        let refused = |_: &Asked| Ok::<_, Error>(Outcome::Code(0x0102));
        let bytes = answer(&request(3, 7, 2, &[]), ID, refused).expect("it is made");
        assert_eq!(bytes, [0, 0, 0, 1, 2]);
    }

    #[test]
    fn what_is_no_request_has_its_own_status() {
        let status = |bytes: &[u8]| answer(bytes, ID, never).expect("an answer");
        assert_eq!(status(&[0; 15]), [1]);
        assert_eq!(status(&[0; 16]), [2, 8, 7, 6, 5, 4, 3, 2, 1]);
        let mut long = request(3, 7, 2, &[1]);
        long.push(0);
        assert_eq!(status(&long), [3]);
        assert_eq!(status(&request(3, 7, 1020, &[])), [4]);
    }

    proptest! {
        #[test]
        fn any_datagram_is_answered(bytes: Vec<u8>, reply: Vec<u8>) {
            let bytes = [&ID.to_le_bytes()[..], &bytes].concat();
            let answered = answer(&bytes, ID, |_| Ok::<_, Error>(Outcome::Replied(reply.clone())));
            prop_assert!(answered.is_ok_and(|answer| answer.len() <= super::LARGEST));
        }
    }
}
