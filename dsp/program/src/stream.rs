//! A running stream, whichever way its sound goes.

use crate::core::{Core, Denied};
use crate::playing::Playing;
use crate::recording::Recording;
use crate::session::{Pipe, Session, Unusable};
use dsp_abi::port;
use qmi::{StreamResponse, Token};
use trb::TransferEvent;

/// What a running stream has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Times that the ring ran dry with sound left to play or record (4.10.3.1),
    /// as far as an event told of it.
    pub(crate) underruns: u32,
    /// Service opportunities that the controller missed (4.10.3.2).
    pub(crate) missed: u32,
    /// Packets that completed with another error.
    pub(crate) errors: u32,
    /// Events that made no sense.
    pub(crate) strange: u32,
}

impl Counters {
    /// One more of `counter`.
    pub(crate) const fn count(counter: &mut u32) {
        *counter = counter.wrapping_add(1);
    }
}

/// Whether `token` names a capture stream (3.1 of the service: bits 7:0).
pub(crate) const fn records(token: u32) -> bool {
    Token(token).direction() == 1
}

/// A stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Playing(Playing),
    Recording(Recording),
}

impl Stream {
    /// The stream that `start` wants, in the memory that `response` names.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(crate) fn new(
        core: &impl Core,
        start: &port::Message,
        response: &StreamResponse,
    ) -> Result<Self, Unusable> {
        let session = Session::new(core, start, response)?;
        Ok(if records(start.token) {
            Self::Recording(Recording::new(session, start)?)
        } else {
            Self::Playing(Playing::new(session, start)?)
        })
    }

    pub(crate) const fn session(&self) -> &Session {
        match self {
            Self::Playing(stream) => &stream.session,
            Self::Recording(stream) => &stream.session,
        }
    }

    pub(crate) const fn session_mut(&mut self) -> &mut Session {
        match self {
            Self::Playing(stream) => &mut stream.session,
            Self::Recording(stream) => &mut stream.session,
        }
    }

    pub(crate) const fn counters(&self) -> &Counters {
        match self {
            Self::Playing(stream) => &stream.counters,
            Self::Recording(stream) => &stream.counters,
        }
    }

    pub(crate) const fn counters_mut(&mut self) -> &mut Counters {
        match self {
            Self::Playing(stream) => &mut stream.counters,
            Self::Recording(stream) => &mut stream.counters,
        }
    }

    /// Frames played, or recorded.
    pub(crate) fn frames(&self) -> u32 {
        match self {
            Self::Playing(stream) => stream.played(),
            Self::Recording(stream) => stream.recorded(),
        }
    }

    /// Whether all that was wanted is done.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Playing(stream) => stream.is_over(),
            Self::Recording(stream) => stream.is_over(),
        }
    }

    /// Takes an event of the session's, which has `pipe`.
    pub(crate) fn take(&mut self, core: &impl Core, pipe: Pipe, event: &TransferEvent) {
        match self {
            Self::Playing(stream) => stream.take(core, pipe, event),
            Self::Recording(stream) => stream.take(core, event),
        }
    }

    /// Fills the rings and rings the doorbells.
    ///
    /// # Errors
    /// [`Denied`]: the session is over.
    pub(crate) fn fill(&mut self, core: &impl Core) -> Result<(), Denied> {
        match self {
            Self::Playing(stream) => stream.fill(core),
            Self::Recording(stream) => stream.fill(core),
        }
    }
}
