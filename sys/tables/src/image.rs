//! All tables of an image.
//!
//! The lower half of the address space is identity-mapped through TTBR0: each
//! task has a table with its own regions, tagged with its ASID, and the kernel,
//! global and privileged. The upper half is the kernel's alone, through TTBR1:
//! address `a` with the top bit set is physical address `a` without it, for the
//! memory of all tasks (code and constants read-only) and the interrupt
//! controller. A task's memory is never both global and not under one address,
//! so that no stale translation can be met, and copying between tasks needs no
//! switch.

use crate::mapping::{Mapping, Who};
use crate::room::{FirstLevel, Room};
use crate::{Region, SECTION, Span};
use abi::RegionAttributes;

/// The kernel's window shows physical address `a` here.
pub const WINDOW: u32 = 0x8000_0000;

/// Distributor and CPU interface of the interrupt controller lie in this
/// megabyte, which the window shows.
pub const INTERRUPT_CONTROLLER: Span = Span { base: 0x0800_0000, size: 0x10_0000 };

/// Entries of the table of the upper half, whose size is a whole one's: the
/// hardware reads the upper half of it (B3.5.4).
const UPPER: usize = 4096;
/// Entries of the table of a lower half.
const LOWER: usize = 2048;

const READ: RegionAttributes = RegionAttributes::READ;
const WRITE: RegionAttributes = RegionAttributes::WRITE;

const TEXT: Mapping = Mapping::new(Who::Privileged, READ.with(RegionAttributes::EXECUTE));
const CONSTANTS: Mapping = Mapping::new(Who::Privileged, READ);
const DATA: Mapping = Mapping::new(Who::Privileged, READ.with(WRITE));
const DEVICE: Mapping =
    Mapping::new(Who::Privileged, READ.with(WRITE).with(RegionAttributes::DEVICE));

/// The kernel's own memory, within one megabyte. What lies between these parts
/// belongs to nothing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct KernelMemory {
    /// Code.
    pub text: Span,
    /// Constants.
    pub constants: Span,
    /// The tables.
    pub tables: Span,
    /// Stack and data.
    pub data: Span,
}

/// What the tables are made of, beside the tasks' regions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kernel's own memory.
    pub kernel: KernelMemory,
    /// Code and constants of all tasks, whole megabytes.
    pub flash: Span,
    /// RAM of all tasks, whole megabytes.
    pub ram: Span,
}

/// Where the tables are, as the hardware sees them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// That of the upper half.
    pub upper: u32,
    /// That of task 0; those of the others follow, [`Tables::LOWER_BYTES`] each.
    pub lower: u32,
    /// Words of all tables.
    pub words: usize,
}

impl Tables {
    /// Bytes from one task's table to the next.
    pub const LOWER_BYTES: u32 = (LOWER * size_of::<u32>()) as u32;
}

/// Makes the tables of an image in `words`, all 0, which the hardware sees at
/// `base`, a multiple of 16 KiB. `tasks` has the regions of each task.
///
/// # Panics
/// When `words` are too few, or the kernel leaves its megabyte: the build sees
/// to both.
pub fn build<R: IntoIterator<Item = Region>>(
    words: &mut [u32],
    base: u32,
    plan: &Plan,
    tasks: impl ExactSizeIterator<Item = R>,
) -> Tables {
    let mut room = Room::new(words, base);
    let upper = room.first_level(UPPER);
    let mut show = |span: Span, mapping| {
        room.map(upper, span.base | WINDOW, span.base, span.size, mapping);
    };
    show(plan.flash, CONSTANTS);
    show(plan.ram, DATA);
    show(INTERRUPT_CONTROLLER, DEVICE);

    let first = room.first_level(LOWER * tasks.len());
    let of_task = |n: usize| first.plus(LOWER * n);
    map_kernel(&mut room, first, &plan.kernel);
    for (n, regions) in tasks.enumerate() {
        let table = of_task(n);
        room.share(first, table, plan.kernel.text.base);
        for Region { span, attributes } in regions {
            let mapping = Mapping::new(Who::Task, attributes);
            room.map(table, span.base, span.base, span.size, mapping);
        }
    }
    Tables { upper: room.address(upper), lower: room.address(first), words: room.used() }
}

fn map_kernel(room: &mut Room<'_>, table: FirstLevel, kernel: &KernelMemory) {
    let KernelMemory { text, constants, tables, data } = *kernel;
    let parts = [(text, TEXT), (constants, CONSTANTS), (tables, CONSTANTS), (data, DATA)];
    for (span, mapping) in parts {
        let end = span.base + span.size;
        assert!(end <= text.base / SECTION * SECTION + SECTION, "kernel is within a megabyte");
        room.map(table, span.base, span.base, span.size, mapping);
    }
}
