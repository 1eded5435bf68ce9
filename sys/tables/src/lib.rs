//! Translation tables of ARMv7-A: from what may be touched to the words that
//! the hardware reads.
//!
//! Short descriptors (ARM Architecture Reference Manual ARMv7-A, issue C.d,
//! B3.5). Pure: the kernel makes its tables with this at start, in the memory
//! that the hardware will read; `build/image` makes the same ones in memory of
//! its own and checks them.
//!
//! Not here: registers, and turning the MMU on.

#![no_std]

mod image;
mod mapping;
mod room;

pub use image::{INTERRUPT_CONTROLLER, KernelMemory, Plan, Tables, WINDOW, build};
pub use mapping::{Mapping, Who};
pub use room::{FirstLevel, Room};

use abi::RegionAttributes;

/// Bytes of a small page.
pub const PAGE: u32 = 0x1000;
/// Bytes that one entry of a first-level table covers.
pub const SECTION: u32 = 0x10_0000;

/// A run of addresses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub base: u32,
    /// Bytes.
    pub size: u32,
}

/// A run of addresses, and what may be done there.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where, whole pages.
    pub span: Span,
    /// What may be done there.
    pub attributes: RegionAttributes,
}
