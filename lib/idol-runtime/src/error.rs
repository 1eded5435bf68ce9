//! How an operation can fail, and whose fault it is.

use userlib::ReplyFaultReason;

/// What a client did wrong: it is faulted, not answered. A client that is
/// itself gone is neither.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// No such operation.
    UnknownOperation,
    /// The message is too short or too long.
    BadMessageSize,
    /// The message's bytes mean nothing.
    BadMessageContents,
    /// Too few or too many leases, leases without the right attributes, or
    /// leases of the wrong size.
    BadLease,
    /// The reply would not fit.
    ReplyBufferTooSmall,
    /// It asked for what it has no right to.
    AccessViolation,
    /// It died, or was restarted, while its request was worked on.
    WentAway,
}

impl ClientError {
    /// What the client is faulted for; `None` when there is nobody to fault.
    #[must_use]
    pub const fn into_fault(self) -> Option<ReplyFaultReason> {
        Some(match self {
            Self::UnknownOperation => ReplyFaultReason::UndefinedOperation,
            Self::BadMessageSize => ReplyFaultReason::BadMessageSize,
            Self::BadMessageContents => ReplyFaultReason::BadMessageContents,
            Self::BadLease => ReplyFaultReason::BadLeases,
            Self::ReplyBufferTooSmall => ReplyFaultReason::ReplyBufferTooSmall,
            Self::AccessViolation => ReplyFaultReason::AccessViolation,
            Self::WentAway => return None,
        })
    }

    /// The same, as the error of any operation.
    #[must_use]
    pub const fn fail<E>(self) -> RequestError<E> {
        RequestError::Fail(self)
    }
}

/// Why a server's operation came to nothing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RequestError<E> {
    /// The interface has an error for it, which is the answer.
    Runtime(E),
    /// The client is at fault.
    Fail(ClientError),
}

impl<E> RequestError<E> {
    /// The client is no longer there.
    #[must_use]
    pub const fn went_away() -> Self {
        Self::Fail(ClientError::WentAway)
    }
}

impl<E: IdolError> From<E> for RequestError<E> {
    fn from(error: E) -> Self {
        Self::Runtime(error)
    }
}

impl<E> From<ClientError> for RequestError<E> {
    fn from(error: ClientError) -> Self {
        Self::Fail(error)
    }
}

/// The server died before it answered; asking again asks its next incarnation.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ServerDeath;

/// An error of an interface. It can say that the server died, which no server
/// says: the client's side does. Derived by `idol_derive::IdolError`.
pub trait IdolError: Sized {
    /// The server died before it answered.
    const SERVER_DEATH: Self;
}

/// An error that travels as a response code from 1 up. Derived by
/// `idol_derive::IdolError` on enums without fields.
pub trait CLikeError: IdolError + Into<u32> + TryFrom<u32> {}
