//! What a processor architecture is to the kernel core.
//!
//! [`Arch`] is the contract: the type of a user's addresses, the registers the
//! kernel keeps of a task that does not run, and copying of user memory that
//! the core has checked. One implementation is chosen when the kernel is built;
//! the core is written against the names that stand here.

use abi::TaskId;

use crate::task::{Task, Timestamp};
use crate::umem::{Readable, Writable};

#[cfg(target_os = "none")]
pub mod armv7a;
#[cfg(not(target_os = "none"))]
pub mod host;

#[cfg(target_os = "none")]
use armv7a::Armv7a as Selected;
#[cfg(not(target_os = "none"))]
use host::Host as Selected;

/// A user's address.
pub type Address = <Selected as Arch>::Address;

/// Registers of a task that does not run.
pub type SavedState = <Selected as Arch>::SavedState;

/// A processor architecture.
pub trait Arch {
    /// A user's address.
    type Address: Copy + Ord;

    /// Registers of a task that does not run.
    type SavedState: SavedRegisters;

    /// Copies as many bytes as both have, and says how many.
    fn copy(from: Readable, to: Writable) -> usize;

    /// Copies out of user memory as many bytes as fit, and says how many.
    fn read(from: Readable, into: &mut [u8]) -> usize;

    /// Copies into user memory as many bytes as fit, and says how many.
    fn write(from: &[u8], to: Writable) -> usize;

    /// Copies what a debugger needs to know of a task that does not run, and says
    /// how many bytes: an [`abi::RemainsHead`] and what follows it.
    fn remains(of: &Task, id: TaskId, now: Timestamp, to: Writable) -> usize;

    /// An address as a register holds it.
    fn word(address: Self::Address) -> usize;

    /// What a fault record tells of an address.
    fn report(address: Self::Address) -> Option<u32>;
}

/// The registers of a system call, by position: arguments 0 to 6 are r4 to r10,
/// the number is r11, results begin at r4.
pub trait SavedRegisters {
    /// Those of a task that has not begun.
    const EMPTY: Self;

    /// Argument number `n`, at most 6.
    fn argument(&self, n: usize) -> usize;

    /// The system call's number.
    fn number(&self) -> u32;

    /// Sets result number `n`, at most 6.
    fn set_result(&mut self, n: usize, value: usize);
}

pub(crate) fn copy(from: Readable, to: Writable) -> usize {
    Selected::copy(from, to)
}

pub(crate) fn read(from: Readable, into: &mut [u8]) -> usize {
    Selected::read(from, into)
}

pub(crate) fn write(from: &[u8], to: Writable) -> usize {
    Selected::write(from, to)
}

pub(crate) fn remains(of: &Task, id: TaskId, now: Timestamp, to: Writable) -> usize {
    Selected::remains(of, id, now, to)
}

pub(crate) fn word(address: Address) -> usize {
    Selected::word(address)
}

pub(crate) fn report(address: Address) -> Option<u32> {
    Selected::report(address)
}
