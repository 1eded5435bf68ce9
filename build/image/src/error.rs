//! Why an image cannot be built.

use crate::Finding;
use app::Refusals;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why an image cannot be built.
#[derive(Debug)]
pub enum Error {
    /// app.toml breaks a rule.
    Description(Refusals),
    /// app.toml asks for something that the kernel does not have.
    NoSuchFeature(String),
    /// A file cannot be read or written.
    File(PathBuf, std::io::Error),
    /// cargo cannot be started.
    NoCargo(std::io::Error),
    /// This part does not compile; the compiler has said why.
    Compile(String),
    /// The linker made of this part what is no ELF file for the target.
    NotElf(String),
    /// This part has memory outside its place: name, what, bytes, limit.
    TooLarge(String, &'static str, u32, u32),
    /// This part needs more memory than there is for it: name, bytes, limit.
    PartTooLarge(String, u32, u32),
    /// This part can need more stack than it has: name, bytes, stack.
    StackTooSmall(String, u32, u32),
    /// This part was linked without this symbol of its linker script.
    NoSymbol(String, String),
    /// The translation tables let somebody do what they must not.
    Tables(Vec<Finding>),
    /// The image of this name has no DSP.
    NoDsp(String),
    /// A task has more regions than the kernel keeps: name, how many.
    TooManyRegions(String, usize),
}

impl Error {
    /// Refuses tables in which something was found.
    pub(crate) fn tables(findings: Vec<Finding>) -> Result<(), Self> {
        if findings.is_empty() { Ok(()) } else { Err(Self::Tables(findings)) }
    }

    pub(crate) fn file(path: &Path, error: std::io::Error) -> Self {
        Self::File(path.to_owned(), error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Description(refusals) => refusals.fmt(f),
            Self::NoSuchFeature(name) => write!(
                f,
                "the kernel has no feature `{name}`; it has: {}",
                crate::kernel::FEATURES.join(", ")
            ),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoCargo(error) => write!(f, "cargo cannot be started: {error}"),
            Self::Compile(part) => write!(f, "`{part}` does not compile, see above"),
            Self::NotElf(part) => write!(f, "`{part}` is no ELF file for this target"),
            Self::TooLarge(part, what, bytes, limit) => write!(
                f,
                "`{part}` needs {bytes} bytes of {what}; app.toml allows {limit} (`max-sizes`)"
            ),
            Self::PartTooLarge(part, bytes, limit) => {
                write!(f, "`{part}` needs {bytes} bytes of memory; there are {limit} for it")
            }
            Self::StackTooSmall(part, bytes, stack) => write!(
                f,
                "`{part}` can need {bytes} bytes of stack; it has {stack} (`stacksize` in app.toml)"
            ),
            Self::NoSymbol(part, symbol) => {
                write!(f, "`{part}` was linked without `{symbol}` of its linker script")
            }
            Self::Tables(findings) => {
                f.write_str("the translation tables break a rule:")?;
                findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
            }
            Self::NoDsp(name) => {
                write!(f, "`{name}` has no DSP: it lacks pools that the two cores share")
            }
            Self::TooManyRegions(part, regions) => {
                let most = kern::REGIONS_PER_TASK;
                write!(f, "`{part}` has {regions} regions; the kernel keeps {most} for a task")
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
