//! Calls by datagram.

/// How a datagram that asks for a call was taken; the first byte of the answer.
/// The numbers are the protocol's, of Hubris' task `udprpc`. A debugger reads the
/// names out of the task of that name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RpcReply {
    /// The call was made: code and reply follow.
    Ok = 0,
    /// There is not even a header.
    TooShort = 1,
    /// It is for another image.
    BadImageId = 2,
    /// The message is not as long as the header says.
    BytesMismatch = 3,
    /// The reply would be longer than a datagram.
    ReplyOverflow = 4,
}
