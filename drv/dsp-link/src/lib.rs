//! Datagrams to and from the DSP.
//!
//! Driver of the mailbox that the two cores share, and this core's node of the
//! QRTR network over it: ports for clients, their services announced to the
//! DSP, the DSP's services made known to the clients. It knows nothing of what
//! is in a datagram. The mailbox's rules: crate `mailbox`; frames: `qmi::qrtr`.
//!
//! What the other side writes is hostile and bounded: datagrams taken per wake,
//! datagrams and news waiting per client, services remembered; what is beyond
//! that is dropped and counted, or waits in the mailbox.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod pages;
pub mod router;
mod server;

/// What the image gives the driver.
#[derive(Debug)]
pub struct Config {
    /// The mailbox pool: a page of ours, a page of the DSP's.
    pub mailbox: dma::Pool,
    /// The GICv2m frame, whose SETSPI register rings bells.
    pub bells: mmio::Registers,
    /// Notification bit of the interrupt `dsp_abi::bell::MAIL_TO_APP`.
    pub mail: u32,
    /// Notification bit that `jefe` posts when a neighbour died or restarted.
    pub peer_changed: u32,
    /// Indices of the tasks that may send here.
    pub clients: &'static [u16],
}

/// Runs the driver.
#[inline(always)]
pub fn main(config: &Config) -> ! {
    server::run(config)
}
