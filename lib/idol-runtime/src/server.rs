//! What a generated server's dispatcher is made of.

use packed::{Malformed, Packed};
use userlib::RecvMessage;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{CLikeError, ClientError};

/// Arguments that travel as their bytes in memory.
///
/// # Errors
/// When `message` has another size.
#[inline]
pub fn read_args<T: FromBytes>(message: &[u8]) -> Result<T, ClientError> {
    T::read_from_bytes(message).map_err(|_| ClientError::BadMessageSize)
}

/// Arguments that travel packed.
///
/// # Errors
/// When `message` is too short or too long, or packs something else.
#[inline]
pub fn unpack_args<T: Packed>(message: &[u8]) -> Result<T, ClientError> {
    packed::unpack(message).map_err(|malformed| match malformed {
        Malformed::Length => ClientError::BadMessageSize,
        Malformed::Contents => ClientError::BadMessageContents,
    })
}

/// Refuses a message whose sender has no room for the answer, or that came
/// with another number of leases than the operation takes: before anything is
/// done that could not be reported.
///
/// # Errors
/// When one of them is so.
#[inline]
pub const fn check_frame(
    message: &RecvMessage,
    reply_size: usize,
    leases: usize,
) -> Result<(), ClientError> {
    if message.response_capacity < reply_size {
        return Err(ClientError::ReplyBufferTooSmall);
    }
    if message.lease_count != leases {
        return Err(ClientError::BadLease);
    }
    Ok(())
}

/// Puts `value` at the start of `reply`; its length.
///
/// # Panics
/// When it does not fit, which the generator rules out.
#[inline]
pub fn write_reply<T: IntoBytes + Immutable>(value: &T, reply: &mut [u8]) -> usize {
    let bytes = value.as_bytes();
    reply[..bytes.len()].copy_from_slice(bytes);
    bytes.len()
}

/// Packs `value` at the start of `reply`; its length.
///
/// # Panics
/// When it does not fit, which the generator rules out.
#[inline]
pub fn pack_reply<T: Packed>(value: &T, reply: &mut [u8]) -> usize {
    packed::pack(value, reply)
}

/// The response code of `error`.
#[inline]
pub fn code<E: CLikeError>(error: E) -> u32 {
    error.into()
}
