//! What can go wrong with a machine.

use std::fmt;
use std::io;

/// Why a machine could not be started, or did not do what it was told.
#[derive(Debug)]
pub enum Error {
    /// QEMU is not installed.
    Missing,
    /// The operating system refused something: what, and its words.
    Io(&'static str, io::Error),
    /// QEMU ended by itself, with these words.
    Died(String),
    /// QEMU's monitor refused a command: the command, and its words.
    Refused(String, String),
    /// QEMU said what its protocol does not allow: which, and what.
    Protocol(&'static str, String),
    /// This did not happen in time.
    Late(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "{} is not installed", crate::QEMU),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Died(words) if words.is_empty() => f.write_str("QEMU ended by itself"),
            Self::Died(words) => write!(f, "QEMU ended by itself: {words}"),
            Self::Refused(command, words) => write!(f, "QEMU refused {command}: {words}"),
            Self::Protocol(which, what) => write!(f, "QEMU's {which} said {what:?}"),
            Self::Late(what) => write!(f, "{what} took too long"),
        }
    }
}

impl std::error::Error for Error {}
