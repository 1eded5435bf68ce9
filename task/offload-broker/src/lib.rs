//! The offload broker: sessions, votes, the QMI service.
//!
//! The DSP asks it for streams (QMI service 0x41D over `dsp_link`); it has them
//! opened (`usb_audio`), held up (`usb_core`), driven (`xhci`) and mapped
//! (`iommu`), and takes everything down again in one order, whatever ended it
//! (DESIGN rules 4 and 6). Clients on the application core ask it for routes:
//! then it tells the DSP to start.
//!
//! The core (`broker` and what it uses) is pure; only `server` knows of
//! messages, tickets and time. The broker knows neither descriptors nor
//! registers nor tables: it passes on what their owners hand it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod asleep;
pub mod backend;
pub mod broker;
pub mod buffers;
pub mod cards;
pub mod ops;
pub mod refusal;
pub mod request;
pub mod response;
mod server;
pub mod service;
pub mod session;
pub mod teardown;
pub mod votes;

use refusal::Dialect;

/// What the image gives the broker.
#[derive(Debug)]
pub struct Config {
    /// How the peer is answered.
    pub dialect: Dialect,
    /// Stream identifier of the peer's bus, for the addresses it is told (I1).
    pub sid: u8,
    /// Milliseconds that the peer has to let go of a stream whose device goes.
    pub peer_deadline_ms: u32,
    /// The `dma_media` pool: transfer buffers.
    pub media: dma::Pool,
    /// The `answers` pool: the monitor's notices.
    pub answers: dma::Pool,
    /// Controllers of the image: 1, or 2. Their drivers are in the slots `xhci` and
    /// `xhci1`.
    pub controllers: u8,
    /// The broker's own task index, to grant its pages to itself.
    pub index: u16,
    /// Notification bits by which the servers hint: `usb_audio`, `usb_core`,
    /// `xhci` (every controller's driver), `dsp_link`, `iommu`.
    pub hints: u32,
    /// Notification bit of the interrupt `dsp_abi::bell::NOTICE`.
    pub notice: u32,
    /// Notification bit that `jefe` posts when a neighbour died or restarted.
    pub peer_changed: u32,
    /// Indices of the tasks that share an edge of the graph with the broker.
    pub neighbours: &'static [u16],
}

/// Runs the broker.
#[inline(always)]
pub fn main(config: &Config) -> ! {
    server::run(config)
}
