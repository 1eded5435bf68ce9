//! QEMU's board: started, watched and ended by a program.
//!
//! [`Machine`] says what is to run; [`Machine::start`] gives a [`Running`] one,
//! with QEMU's monitor ([`Qmp`]), a view of the guest's RAM that does not
//! disturb it ([`Memory`]), and, when asked for, a way to its bus ([`Bus`]),
//! QEMU's debugger ([`Gdb`]) and what its devices did ([`Act`]). A machine ends with its value: none is left
//! behind.
//!
//! Not here: what the image in it means.

mod bus;
mod error;
mod gdb;
mod machine;
mod memory;
mod qmp;
mod running;
mod trace;

pub use bus::Bus;
pub use error::Error;
pub use gdb::{Core, Gdb, Register};
pub use machine::{Clock, Headset, Load, Machine, QEMU};
pub use memory::{Memory, RAM};
pub use qmp::{Event, Qmp};
pub use running::{Ended, Running};
pub use trace::{Act, UsbEvent};
