//! Writing an archive.

use crate::{COMMENT, VERSION, names};
use std::io::{Cursor, Result, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// What an archive is made of.
#[derive(Clone, Debug)]
pub struct Contents<'c> {
    /// The image's app.toml.
    pub app: &'c str,
    /// The chip's `chip.toml`: registers and interrupts.
    pub chip: &'c str,
    /// The chip's `memory.toml`.
    pub memory: &'c str,
    /// The kernel's ELF file.
    pub kernel: &'c [u8],
    /// Names and ELF files of the tasks, in the order of their indices.
    pub tasks: Vec<(&'c str, &'c [u8])>,
    /// Names and ELF files of what core 1 runs.
    pub core1: Vec<(&'c str, &'c [u8])>,
    /// What is loaded, as an ELF file with a section for each piece.
    pub image: &'c [u8],
    /// The same as plain memory.
    pub binary: Option<&'c [u8]>,
    /// The commit, when there is one.
    pub git_rev: Option<&'c str>,
    /// The image's name.
    pub name: &'c str,
}

impl Contents<'_> {
    /// The archive. Equal contents make equal bytes: no time is in it.
    ///
    /// # Errors
    /// When a file is larger than a zip file can hold (4 GiB).
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644);
        let mut add = |name: &str, bytes: &[u8]| {
            zip.start_file(name, options)?;
            zip.write_all(bytes)
        };
        add(names::APP, self.app.as_bytes())?;
        add(names::CHIP, self.chip.as_bytes())?;
        add(names::MEMORY, self.memory.as_bytes())?;
        add(names::IMAGE_NAME, self.name.as_bytes())?;
        if let Some(git_rev) = self.git_rev {
            add(names::GIT_REV, git_rev.as_bytes())?;
        }
        add(names::KERNEL, self.kernel)?;
        for (name, elf) in &self.tasks {
            add(&format!("{}{name}", names::TASKS), elf)?;
        }
        for (name, elf) in &self.core1 {
            add(&format!("{}{name}", names::CORE1), elf)?;
        }
        add(names::IMAGE, self.image)?;
        if let Some(binary) = self.binary {
            add(names::BINARY, binary)?;
        }
        zip.set_comment(format!("{COMMENT}{VERSION}"))?;
        Ok(zip.finish()?.into_inner())
    }
}
