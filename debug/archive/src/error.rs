//! Why a file is no archive.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a file is no archive that can be used.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    File(PathBuf, io::Error),
    /// It is no zip file, or one that was cut off.
    NotZip(String),
    /// It is a zip file of something else: its comment.
    NotArchive(String),
    /// It is an archive of a later version than is known.
    Newer(u32),
    /// A file in it is damaged: its name, and how.
    Damaged(String, String),
    /// A file in it is larger than any can be.
    TooLarge(String),
    /// A file is missing.
    Missing(&'static str),
    /// It has no task.
    NoTask,
    /// A file in it is no text.
    NotText(String),
    /// A file in it is no ELF file for the target.
    NotElf(String),
    /// The kernel does not say which image it belongs to.
    NoImageId,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotZip(why) => write!(f, "the archive is damaged or none: {why}"),
            Self::NotArchive(comment) => write!(
                f,
                "this zip file is no archive of an image: its comment is {comment:?}, not \
                 \"{}N\"",
                crate::COMMENT
            ),
            Self::Newer(version) => write!(
                f,
                "the archive is of version {version}; up to {} can be read",
                crate::VERSION
            ),
            Self::Damaged(name, why) => write!(f, "`{name}` in the archive is damaged: {why}"),
            Self::TooLarge(name) => {
                write!(f, "`{name}` in the archive is larger than any file of an image")
            }
            Self::Missing(name) => write!(f, "the archive has no `{name}`"),
            Self::NoTask => write!(f, "the archive has no `{}…`", crate::names::TASKS),
            Self::NotText(name) => write!(f, "`{name}` in the archive is no text in UTF-8"),
            Self::NotElf(name) => {
                write!(f, "`{name}` in the archive is no ELF file of a 32-bit ARM")
            }
            Self::NoImageId => write!(
                f,
                "`{}` in the archive has no HUBRIS_IMAGE_ID of 8 bytes",
                crate::names::KERNEL
            ),
        }
    }
}

impl std::error::Error for Error {}
