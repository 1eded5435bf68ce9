//! The audio class: cards, streams, formats, clocks, controls.
//!
//! A card is a USB device with audio streams. Its streams are opened for the
//! host path, where this task cuts what is written into packets, or for a peer
//! that drives the endpoints itself; never for both at once (A18). Opening
//! takes several requests to the device, so it is a ticket; nothing here waits.
//!
//! It talks to `usb_core` alone and knows endpoints by their addresses: what
//! rings and slots are is no business of the audio class (R22 of the review
//! list). Which bytes of a descriptor mean what is `usb_desc`'s.
//!
//! - `script`: the requests that open a stream or set its volume, in order.
//! - `host`: PCM to packets on the host path.
//! - `cards`, `clients`: card numbers, and who was told what.
//! - `engine`, `jobs`, `pump`, `ops`: the state and what happens to it, over the
//!   [`World`](world::World) that tests replace.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod cards;
mod clients;
mod engine;
mod host;
mod jobs;
mod leaving;
mod ops;
mod pump;
mod quirks;
mod script;
mod server;
mod world;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

/// Streams open at a time in the whole image. A session of the broker has one;
/// the next opener is refused with `NoStreams`.
pub const MAX_OPEN: usize = 8;

/// Streams on the host path at a time; each has a buffer of
/// `host::PCM_BYTES`. The player needs one.
pub const MAX_HOST: usize = 2;

/// Clients: the tasks that may send here, and some to spare.
pub const MAX_CLIENTS: usize = 4;

/// Operations that one client can have under way.
pub const TICKETS_EACH: usize = 8;

/// Bytes of a configuration that are read, as many as `usb_core` lends at a
/// time and keeps; streams described behind them are not there.
pub const MAX_CONFIGURATION: usize = 4096;

/// What the image gives the audio class.
#[derive(Copy, Clone, Debug)]
pub struct Config {
    /// Indices of the tasks that share an edge with this one.
    pub neighbours: &'static [u16],
    /// Notification bit by which `jefe` tells of a neighbour's death or restart.
    pub peer_changed: u32,
    /// Notification bit by which `usb_core` tells of news.
    pub usb_core: u32,
}

/// Runs the audio class.
#[inline(always)]
pub fn main(config: &Config) -> ! {
    server::run(config)
}
