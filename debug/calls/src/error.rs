//! Why a call was not made.

use std::fmt::{self, Display, Formatter};

/// Why a call was not made.
#[derive(Debug)]
pub enum Error {
    /// What the user wrote makes no sense; what would.
    Bad(String),
    /// The image has no task `hiffy`.
    NoHiffy,
    /// The board runs another image than the archive's.
    OtherImage,
    /// The board stands still, so that nobody would answer.
    Stopped,
    /// `hiffy` does not take programs: it runs one, or it died.
    NotReady,
    /// The server did not answer in time.
    NoAnswer,
    /// `hiffy` refused the program; why.
    Refused(String),
    /// The image cannot be read.
    View(view::Error),
    /// The emulator's part of it failed.
    Qemu(qemu::Error),
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(why) => f.write_str(why),
            Self::NoHiffy => f.write_str(
                "this image has no task hiffy, which makes the calls; `cargo xtask dist \
                 app-debug.toml` makes one that has",
            ),
            Self::OtherImage => f.write_str("the board runs another image than the archive's"),
            Self::Stopped => f.write_str("the board stands still: nobody would answer"),
            Self::NotReady => f.write_str("hiffy takes no call: it makes another one, or it died"),
            Self::NoAnswer => f.write_str("the server did not answer in time"),
            Self::Refused(why) => write!(f, "hiffy refused the call: {why}"),
            Self::View(error) => error.fmt(f),
            Self::Qemu(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<view::Error> for Error {
    fn from(error: view::Error) -> Self {
        Self::View(error)
    }
}

impl From<qemu::Error> for Error {
    fn from(error: qemu::Error) -> Self {
        Self::Qemu(error)
    }
}
