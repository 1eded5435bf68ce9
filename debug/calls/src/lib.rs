//! Calls to a task's server from outside, by the names of its interface.
//!
//! What there is to call stands in each task's `.idolatry` section, how arguments
//! and replies travel in its debug information: nothing here knows an interface.
//! [`Servers`] finds them, [`Call`] is one operation with its arguments,
//! [`Board`] has the task `hiffy` of a board make it.

mod board;
mod call;
mod error;
mod servers;
pub mod udp;
mod wire;

pub use board::Board;
pub use call::{Answer, Call, Outcome};
pub use error::Error;
pub use servers::{Server, Servers};
pub use wire::{largest, pack, unpack};
