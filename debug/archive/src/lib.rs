//! The archive of an image: what a debugger needs to know of it.
//!
//! A zip file in the format of Hubris' build archives, version 11, as Humility
//! reads it: the image's app.toml, the chip's files, the kernel and every task
//! as ELF files with their debug information, and what is loaded. The order of
//! the tasks in the file is the order of their indices.
//!
//! [`Archive::open`] reads one, [`Contents::write`] makes one. Not here: what
//! is in the ELF files.

mod error;
mod read;
mod write;

pub use error::Error;
pub use read::{Archive, ImageId, Task};
pub use write::Contents;

/// The zip file's comment, without the version's number.
const COMMENT: &str = "hubris build archive v";
/// The version written, and the newest that is read.
const VERSION: u32 = 11;

/// Names of the files.
mod names {
    pub(crate) const APP: &str = "app.toml";
    pub(crate) const CHIP: &str = "chip.toml";
    pub(crate) const MEMORY: &str = "memory.toml";
    pub(crate) const KERNEL: &str = "elf/kernel";
    /// The folder of the tasks' ELF files.
    pub(crate) const TASKS: &str = "elf/task/";
    pub(crate) const IMAGE: &str = "img/final.elf";
    pub(crate) const BINARY: &str = "img/final.bin";
    pub(crate) const GIT_REV: &str = "git-rev";
    pub(crate) const IMAGE_NAME: &str = "image-name";
    /// The folder of what core 1 runs. Humility passes it over.
    pub(crate) const CORE1: &str = "elf/core1/";
}
