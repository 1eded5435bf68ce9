//! The memory of a board as a file that debuggers read.
//!
//! An ELF core file in Humility's format: stretches of memory, the archive of
//! the image, and registers of the core that runs the kernel. Humility knows
//! Cortex-M only, so registers have the numbers of that.
//!
//! [`Dump::open`] reads one, [`Dump::write`] makes one, [`take`] takes one of a
//! board.

mod debug_info;
mod error;
mod file;
mod frames;
mod layout;
mod memory;
mod monitor;
mod registers;
mod remains;
mod take;

pub use error::Error;
pub use file::{Dump, OneTask};
pub use layout::{CoreRegisters, Unknown};
pub use memory::{Memory, Piece};
pub use monitor::Monitor;
pub use registers::{Register, Registers};
pub use remains::{NoRemains, remains};
pub use take::{Board, TakeError, Taken, take};
