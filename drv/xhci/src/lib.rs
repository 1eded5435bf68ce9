//! The driver of one xHCI controller (xHCI 1.2).
//!
//! It owns the controller's PCI function and registers, and the pools
//! `dma_xhci` (contexts, command ring, primary event ring, bounce pages) and
//! `dma_ring` (transfer, shadow and secondary event rings). `usb_core` drives
//! ports, slots and endpoints; the broker drives the sideband of a slot, by
//! which a peer gets rings, an event ring and an interrupter of its own. It
//! knows nothing of audio, of descriptors or of QMI.
//!
//! # Theory of operation
//! Nothing here waits. What depends on the controller, a device or the DSP's
//! monitor is an operation (`op`): a fixed program of steps (`steps`), a
//! wait with a deadline where one is due, a ticket for who asked. `engine`
//! drives them all from messages, interrupts and the one timer. Commands go one
//! at a time (`command`), so there is one input context. Starting and starting
//! over after a failure are the same state machine (`startup`, `death`).
//!
//! Modules follow the chapters of the specification: `regs` 5, `port` 4.19,
//! `suspend` 4.15,
//! `context` 6.2, `slot` and `endpoint` 4.5 and 4.6, `control` 4.11.2.2,
//! `isoch` 4.11.2.3, `event` 4.9.4 and 4.11.3, `interrupter` 4.17.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod command;
mod context;
mod control;
mod death;
mod driver;
mod endpoint;
mod engine;
mod event;
pub mod gate;
mod handover;
mod hub;
mod hw;
mod interrupter;
mod isoch;
mod news;
mod op;
pub mod pages;
mod pci;
mod port;
mod reclaim;
mod regs;
mod requests;
pub mod rings;
mod server;
mod sideband;
mod slot;
mod startup;
mod steps;
mod suspend;
mod target;
mod trace;

use dma::Pool;
use mmio::Registers;

/// What the image gives the driver.
#[derive(Debug, Hash)]
pub struct Config {
    /// Number of the controller in the image: its place in the monitor's answers.
    pub controller: u8,
    /// The function's configuration space (ECAM), one page.
    pub function: Registers,
    /// Where BAR0 is to be.
    pub bar: Registers,
    /// The GICv2m frame, whose SETSPI register rings bells.
    pub bells: Registers,
    /// Contexts, command ring, primary event ring, bounce pages.
    pub dma_xhci: Pool,
    /// Transfer, shadow and secondary event rings.
    pub dma_ring: Pool,
    /// The gate page.
    pub gate: Pool,
    /// The monitor's answers.
    pub answers: Pool,
    /// INTID that the primary interrupter raises (`dsp_abi::bell`).
    pub primary_vector: u16,
    /// First of the INTIDs that interrupters 1 and up raise at the DSP.
    pub dsp_vectors: u16,
    /// Notification bit of the primary interrupter's interrupt.
    pub irq: u32,
    /// Notification bit of the monitor's bell.
    pub gate_bell: u32,
    /// Notification bit by which `iommu` hints.
    pub iommu: u32,
    /// Notification bit that `jefe` posts when a neighbour died or restarted.
    pub peer_changed: u32,
    /// Task index of `usb_core`.
    pub usb_core: u16,
    /// Task index of the broker.
    pub offload_broker: u16,
    /// Whether devices behind hubs are served, by a driver that was built for it.
    pub hubs: bool,
}

/// Runs the driver.
#[inline(always)]
pub fn main(config: &Config) -> ! {
    server::run(config)
}
