//! The IOMMU mapper: who may see which page, and where.
//!
//! Driver of the SMMUv3, and writer of the tables that the DSP's monitor puts
//! under the DSP program. Each controller has a domain of its own, the DSP has
//! one peer space; a session has a *window* in one of each: event ring, two
//! transfer rings, buffer, each with an unmapped guard page behind. Owners of
//! pools place their pages in a controller's half and grant them to whoever may
//! have them mapped for the peer. Nothing is ever mapped that was not asked for
//! by its owner, and nothing is reused before the other side has forgotten it:
//! the SMMU by an invalidation that is waited for, the monitor by an answer that
//! a ticket waits for, with a deadline.
//!
//! Not here: what a window is for (the broker), what is in its pages (`xhci`),
//! which accesses the DSP may make through the controller (`dsp/gate`).
//!
//! Arm IHI 0070 (SMMUv3), Arm ARM D8 (VMSAv8-64 tables), ARMv7-A ARM B3.5
//! (short descriptors).

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod descriptors;
pub mod domain;
pub mod layout;
pub mod mapper;
pub mod peer;
pub mod pools;
mod server;
pub mod smmu;
pub mod window;

use addr::Phys;

/// A pool whose pages can be mapped, as the image describes it.
#[derive(Copy, Clone, Debug, Hash)]
pub struct PoolSpec {
    /// Its number in the image.
    pub id: u8,
    /// Its first page.
    pub base: Phys,
    /// Its length.
    pub pages: u16,
    /// Index of the task that owns it.
    pub owner: u16,
}

/// A controller behind the SMMU.
#[derive(Copy, Clone, Debug, Hash)]
pub struct ControllerSpec {
    /// Its StreamID.
    pub stream: u16,
    /// Index of its driver.
    pub driver: u16,
}

/// What the image gives the mapper.
#[derive(Debug, Hash)]
pub struct Config {
    /// The SMMU.
    pub smmu: mmio::Registers,
    /// The GICv2m frame: bells are rung there, and controllers' MSIs land there.
    pub bells: mmio::Registers,
    /// The pool for tables, queues and the window page.
    pub tables: dma::Pool,
    /// The monitor's answer page.
    pub answers: dma::Pool,
    /// The pools that can be mapped.
    pub pools: &'static [PoolSpec],
    /// The controllers, in the order of their numbers.
    pub controllers: &'static [ControllerSpec],
    /// Notification bit of the SMMU's interrupts.
    pub fault: u32,
    /// Notification bit of the interrupt `dsp_abi::bell::TLB_TO_APP`.
    pub tlb: u32,
    /// Notification bit that `jefe` posts when a neighbour died or restarted.
    pub peer_changed: u32,
    /// Indices of the tasks that may send here.
    pub clients: &'static [u16],
}

/// Runs the mapper.
#[inline(always)]
pub fn main(config: &Config) -> ! {
    server::run(config)
}
