//! The supervisor.
//!
//! The kernel tells it of every fault; it writes down what happened, restarts
//! the task, and tells the task's neighbours, who then take back what the dead
//! incarnation owned. A task that dies once is back at once. One that keeps
//! dying waits, twice as long each time, and meanwhile is a dead task with a
//! new generation: whoever sends to it is answered so, and nobody waits.
//!
//! It is the most important task and sends to the kernel alone: whoever it
//! waited for could stop every restart. It decides nothing about the system's
//! work; which state a restarted task finds is its neighbours' business.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod backoff;
mod server;

pub use backoff::Backoff;

/// What the image gives the supervisor.
#[derive(Copy, Clone, Debug)]
pub struct Config {
    /// For each task of the image, by index, the set of tasks (bits by index)
    /// that share an edge with it and are told of its deaths and restarts.
    pub neighbours: &'static [u32],
    /// Notification bit by which the kernel tells of a fault.
    pub fault: u32,
    /// How long a task that keeps dying is held back.
    pub backoff: Backoff,
    /// Keeps what is left of a task for a debugger, before it is restarted.
    pub keep: fn(task: usize),
}

/// Runs the supervisor.
#[inline(always)]
pub fn main(config: &Config) -> ! {
    server::run(config)
}
