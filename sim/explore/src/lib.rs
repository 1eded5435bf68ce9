//! Runs of the simulated board in which something goes wrong.
//!
//! A [`Case`] names a run: a scenario, a seed, and faults with the points at
//! which they strike. [`Stage::play`] plays it: the scenario with its faults,
//! time to come back, and then a stream that must be exact, with everything
//! given back. Whatever is not as the rules say is a [`Finding`].

#![forbid(unsafe_code)]

mod aftermath;
mod answers;
pub mod case;
pub mod choice;
mod errands;
pub mod file;
pub mod finding;
mod neighbour;
mod order;
pub mod patience;
pub mod play;
pub mod pool;
pub mod scenario;
pub mod search;
mod seat;
pub mod shrink;
pub mod stage;
pub mod story;
mod stranger;

pub use case::{Case, Strike, What};
pub use finding::Finding;
pub use patience::Longest;
pub use play::{Ran, Sinks};
pub use scenario::Scenario;
pub use search::{Failure, Search, Tally};
pub use shrink::shrink;
pub use stage::Stage;
