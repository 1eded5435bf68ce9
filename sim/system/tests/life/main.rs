//! Stories of the whole system: what users do, and what befalls them.
//!
//! Each is told over several seeds, so over several controllers, headsets,
//! memory orders and interleavings of the cores. Each ends with a sound that
//! plays bit for bit and with everything given back.

mod contention;
mod controller;
mod controllers;
mod deaths;
mod dsp;
mod duplex;
mod eager;
mod held;
mod hubs;
mod repeat;
mod reset;
mod sleep;
mod taken;
mod tasks;
mod two;
mod unplug;
mod world;
