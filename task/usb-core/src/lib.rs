//! The USB device tree: enumeration, configurations, alternate settings, holds.
//!
//! It sees ports through `xhci` and shows devices to its clients: a device is
//! announced when it is configured and withdrawn when it is gone, and what is
//! plugged in next has another handle. Nothing here waits: what depends on the
//! bus is a ticket, every delay of the specification is a deadline in a table,
//! and this task serves in between.
//!
//! It knows nothing of audio. Hubs are devices like any other; what is behind
//! them is looked for if the task was built for that (feature `hubs`).

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod change;
mod claims;
mod clients;
mod controller;
mod controllers;
mod core;
mod device;
mod endpoint;
mod enumerate;
mod hub;
mod hubs;
mod jobs;
mod ops;
pub mod pause;
mod ports;
pub mod power;
mod reset;
mod server;
mod sleep;
mod switch;

pub use hubs::Limits;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

/// Devices at a time. A machine for one headset has room for a few more; the
/// next one is not enumerated.
pub const MAX_DEVICES: usize = 8;

/// Root ports of a controller. QEMU's has 8, real ones up to about 16; a port
/// beyond is not looked at.
pub const ROOT_PORTS: usize = 32;

/// Whether this task was built for hubs.
pub(crate) const HUBS: bool = cfg!(any(feature = "hubs", test));

/// Hubs of a controller. Each is a device as well.
pub const MAX_HUBS: usize = if HUBS { 4 } else { 0 };

/// Ports of a hub: those of one chip. A larger hub is made of several.
pub const MAX_HUB_PORTS: usize = 8;

/// Ports of a controller: its own, and those of the hubs behind them.
pub(crate) const MAX_PORTS: usize = ROOT_PORTS + MAX_HUBS * MAX_HUB_PORTS;

/// Bytes of a configuration: what one transfer of the driver below can carry.
/// Cameras with audio have about 2500; a longer one is passed over.
pub const MAX_CONFIGURATION: usize = 4096;

/// Clients: the tasks that may send here.
pub const MAX_CLIENTS: usize = 8;

/// Bytes of a client's control transfer. Audio requests have at most a few
/// dozen; a longer one is refused.
pub const MAX_CONTROL: usize = 64;

/// What the image gives the USB core.
#[derive(Copy, Clone, Debug)]
pub struct Config {
    /// Indices of the tasks that share an edge with this one.
    pub neighbours: &'static [u16],
    /// Notification bit by which `jefe` tells of a neighbour's death or restart.
    pub peer_changed: u32,
    /// Notification bit by which every driver of a controller tells of news.
    pub xhci: u32,
    /// Index of the task that may suspend the system, if the image has one.
    pub power: Option<u16>,
    /// Milliseconds for which a device must be idle to be suspended; 0 is never.
    pub autosuspend_ms: u32,
    /// How many hubs are served, by a task that was built for it.
    pub hubs: Limits,
}

/// Runs the USB core over `CONTROLLERS` controllers, whose drivers are in the
/// slots `xhci`, `xhci1` and so on, in the order of their numbers.
#[inline(always)]
pub fn main<const CONTROLLERS: usize>(config: &Config) -> ! {
    server::run::<CONTROLLERS>(config)
}
