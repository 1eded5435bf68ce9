//! Why something cannot be shown.

use addr::Virt;
use std::fmt;

/// Why something cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A program of the archive cannot be read: its name, and why.
    Program(String, String),
    /// A program lacks what a debugger looks for: its name, and what.
    Lacks(String, String),
    /// What is looked for is not in the dump: where, and how many bytes.
    NotThere(Virt, usize),
    /// What a variable holds makes no sense: its name, and what is wrong.
    Senseless(String, String),
    /// Nobody goes by that name: what kind of thing it would be, the name, and
    /// the names that there are.
    Unknown(&'static str, String, Vec<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(name, why) => write!(f, "`{name}` in the archive: {why}"),
            Self::Lacks(name, what) => write!(f, "`{name}` in the archive has no {what}"),
            Self::NotThere(at, len) => {
                write!(f, "the dump lacks the {len} bytes at {:#010x}", at.0)
            }
            Self::Senseless(name, why) => write!(f, "`{name}` makes no sense: {why}"),
            Self::Unknown(kind, name, known) if known.is_empty() => {
                write!(f, "there is no {kind} `{name}`: there is none at all")
            }
            Self::Unknown(kind, name, known) => {
                write!(f, "there is no {kind} `{name}`; there is {}", known.join(", "))
            }
        }
    }
}

impl std::error::Error for Error {}
