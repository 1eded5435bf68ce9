//! Why a file is no dump.

use addr::Virt;
use archive::ImageId;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a file is no dump that can be used.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read or written.
    File(PathBuf, io::Error),
    /// It is no ELF file of a 32-bit ARM.
    NotElf,
    /// It is shorter than its headers say.
    CutOff,
    /// It has the memory from this address on twice.
    Overlap(Virt),
    /// It has memory past the end of a 32-bit address space, from this address.
    OutOfSpace(Virt),
    /// No archive of the image is in it.
    NoArchive,
    /// More than one archive is in it.
    SecondArchive,
    /// The archive in it cannot be used.
    Archive(archive::Error),
    /// It has a note of the debugger's that nobody knows: its type.
    UnknownNote(u32),
    /// Its registers are not pairs of words, or there are two sets.
    BadRegisters,
    /// A register is in it twice: its number.
    SecondValue(u32),
    /// What it says of the one task that it is of makes no sense.
    BadTask,
    /// The image's number is not in its memory.
    NoImageId,
    /// Its memory is that of another image than its archive's.
    OtherImage {
        /// The archive's.
        archive: ImageId,
        /// The memory's.
        memory: ImageId,
    },
}

impl From<archive::Error> for Error {
    fn from(error: archive::Error) -> Self {
        Self::Archive(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotElf => write!(f, "this is no dump: no ELF file of a 32-bit ARM"),
            Self::CutOff => write!(f, "the dump was cut off: its headers tell of more"),
            Self::Overlap(at) => write!(f, "the dump is damaged: memory at {:#x} twice", at.0),
            Self::OutOfSpace(at) => {
                write!(f, "the dump is damaged: memory at {:#x} goes past 32 bits of address", at.0)
            }
            Self::NoArchive => write!(f, "the dump is damaged: no archive of the image in it"),
            Self::SecondArchive => write!(f, "the dump is damaged: two archives in it"),
            Self::Archive(error) => write!(f, "the archive in the dump cannot be used: {error}"),
            Self::UnknownNote(kind) => write!(f, "the dump has a note of unknown type {kind:#x}"),
            Self::BadRegisters => {
                write!(f, "the dump is damaged: its registers are not one list of number and value")
            }
            Self::SecondValue(register) => {
                write!(f, "the dump is damaged: register {register} has two values")
            }
            Self::BadTask => {
                write!(f, "the dump is damaged: it does not say which task it is of")
            }
            Self::NoImageId => {
                write!(f, "the dump is damaged: the memory with the image's number is not in it")
            }
            Self::OtherImage { archive, memory } => write!(
                f,
                "the memory is that of image {memory}, the archive that of image {archive}: \
                 they are of two builds"
            ),
        }
    }
}

impl std::error::Error for Error {}
