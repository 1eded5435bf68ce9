//! What Humility needs of an archive and of a dump, row by row.
//!
//! Humility is Hubris' debugger. It finds what it needs by names and shapes: of
//! files in the archive, of symbols, of types in the debug information. Nothing
//! of that is written in code that a compiler would check, so it is checked
//! here: [`ROWS`] is the list of what Humility 0.13.2 asks for, each with the
//! section of the contract that it is from. ELF and DWARF are parsed as Humility
//! parses them, with its limits; stacks are walked by its rules, not by ours.
//!
//! [`check`] holds an archive against the rows, and a dump if there is one.
//! [`damage`] makes archives that break one. Not here: what the numbers mean.

#![forbid(unsafe_code)]

mod commands;
mod damage;
mod elf;
mod files;
mod image;
mod kernel;
mod memory;
mod raw;
mod shapes;
mod table;
mod walk;

pub use damage::{Damage, damage};
pub use table::{Broken, ROWS, Row, check};
pub use walk::{Frame, Walk};

use archive::Archive;
use dump::Dump;

/// The stack of task `index` as Humility walks it; why it cannot, if so.
///
/// # Errors
/// When the archive or the dump lack what the walk needs.
pub fn walk(archive: &Archive, dump: &Dump, index: usize) -> Result<Walk, String> {
    let image = image::Image::read(archive)?;
    walk::walk(&image, dump, index)
}
