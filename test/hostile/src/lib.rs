//! A DSP program that tries everything (DESIGN rule 8).
//!
//! It is the project's own program over a core that listens in: it comes to its
//! session in all honesty. Then whoever runs it ([`Master`]) gives it a
//! [`Plan`], which it carries out before it would wait the next time: calls of
//! the monitor that must be refused, datagrams and bells as fast as they go,
//! accesses anywhere. What it was answered is in its [`Tally`]; what became of
//! the machine is for its master to see. The simulator's tests and the board's
//! run this code.

#![cfg_attr(not(test), no_std)]

mod calls;
mod listen;
mod mail;
mod plan;
mod tally;

pub use listen::run;
pub use plan::{Desk, Master, Order, Plan};
pub use tally::{Attempt, Surprise, Tally};
