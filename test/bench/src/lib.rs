//! Tasks that measure the kernel on a board.
//!
//! The client asks, the servers (each more important than it) answer, and the
//! client reports how many instructions lay between. The unit is the counter's,
//! and one count is one instruction when the emulator is told so; the client
//! checks that first. `cargo xtask bench` runs it and explains the rows.

#![no_std]
#![cfg(target_os = "none")]

pub mod client;
mod figure;
pub mod poker;
pub mod protocol;
pub mod server;
pub mod supervisor;
// Only one task of the image has a server; a host checks all.
#[cfg(any(feature = "typed", not(feature = "image")))]
pub mod typed;
