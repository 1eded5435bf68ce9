//! What is in a system's memory, in the words of its debug information.
//!
//! A [`System`] is a dump with its archive; tables of its tasks, ring buffers
//! and counters come out of it, and any variable. The tables themselves know
//! nothing of dumps: the simulator fills the same ones. Words and columns are
//! Humility's.
//!
//! Not here: how a dump is taken, and what is printed around the tables.

mod counts;
mod decode;
mod dwarf;
mod error;
mod object;
mod places;
mod programs;
mod regions;
mod ring;
mod show;
mod story;
mod system;
mod tasks;
pub mod types;
mod unwind;
mod value;
mod words;

pub use counts::{Counts, Table as CountsTable};
pub use decode::{decode, scalar};
pub use error::Error;
pub use object::{Object, Segment, Symbol};
pub use programs::{Found, Programs, Which};
pub use regions::{Margin, Region, descriptor, margin, regions};
pub use ring::{Entry, Ring};
pub use show::ShowStack;
pub use story::{Moment, Story, wrapped};
pub use system::{Record, System, TaskRegisters};
pub use tasks::{Notification, Task, Tasks, Timer};
pub use types::{TypeId, Types, Variable};
pub use unwind::{Call, Frame, Stack, unwind};
pub use value::{Fields, Inline, Lines, Struct, Value};
