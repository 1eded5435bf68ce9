//! Where each task's memory is, and what it may touch.
//!
//! Tasks lie one after the other in the order of their importance, each in the
//! sizes that app.toml allows it: what one task becomes moves no other. Code of
//! all tasks begins on a megabyte, and so does RAM of all tasks, because the
//! kernel's window on each is made of sections.

use abi::RegionAttributes;
use app::{App, Owner, Task, TaskIndex};
use std::collections::BTreeSet;

use crate::Error;
use crate::elf::Program;

/// Bytes of a page.
pub const PAGE: u32 = 0x1000;
/// Bytes that one entry of a first-level table covers.
const SECTION: u32 = 0x10_0000;

/// Where the kernel is: past what QEMU may put at the start of RAM.
pub(crate) const KERNEL: u32 = 0x4020_0000;
/// Bytes of the kernel's stack.
pub(crate) const KERNEL_STACK: u32 = 0x1000;
/// Where the tasks' code begins.
const FLASH: u32 = KERNEL + SECTION;

/// A run of addresses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// First byte.
    pub base: u32,
    /// Bytes.
    pub size: u32,
}

impl Area {
    fn end(self) -> u32 {
        self.base + self.size
    }
}

/// A task's own memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Code and constants.
    pub(crate) flash: Area,
    /// The stack at the bottom, then data.
    pub(crate) ram: Area,
}

/// All tasks' own memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Of each task.
    pub(crate) tasks: Vec<Place>,
    /// Code and constants of all, whole megabytes.
    pub(crate) flash: Area,
    /// RAM of all, whole megabytes.
    pub(crate) ram: Area,
}

impl Places {
    /// The memory of the kernel and of all tasks but `index`.
    pub(crate) fn foreign(&self, index: TaskIndex) -> impl Iterator<Item = Area> {
        let kernel = Area { base: KERNEL, size: SECTION };
        let others = self.tasks.iter().enumerate();
        let others = others.filter(move |&(other, _)| other != usize::from(index.0));
        let areas = others.flat_map(|(_, place)| [place.flash, place.ram]);
        std::iter::once(kernel).chain(areas)
    }
}

/// A run of addresses that a task may use.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) area: Area,
    pub(crate) attributes: RegionAttributes,
}

const READ: RegionAttributes = RegionAttributes::READ;
const WRITE: RegionAttributes = RegionAttributes::WRITE;
const EXECUTE: RegionAttributes = RegionAttributes::EXECUTE;
const DEVICE: RegionAttributes = RegionAttributes::DEVICE;
const DMA: RegionAttributes = RegionAttributes::DMA;

/// Regions that the kernel keeps for a task (kern: `REGIONS_PER_TASK`).
pub(crate) const REGIONS: usize = 8;

/// Gives every task its place.
pub(crate) fn places(app: &App) -> Places {
    let mut flash = FLASH;
    let take = |cursor: &mut u32, size: u32| {
        let area = Area { base: *cursor, size: size.next_multiple_of(PAGE) };
        *cursor = area.end();
        area
    };
    let flashes: Vec<_> = app.tasks.iter().map(|task| take(&mut flash, task.flash)).collect();
    let flash_end = flash.next_multiple_of(SECTION);
    // A page between two tasks' RAM: what runs over a stack meets nobody.
    let mut ram = flash_end;
    let rams = app.tasks.iter().map(|task| {
        ram += PAGE;
        take(&mut ram, task.ram)
    });
    let rams: Vec<_> = rams.collect();
    let tasks = flashes.into_iter().zip(rams).map(|(flash, ram)| Place { flash, ram }).collect();
    Places {
        tasks,
        flash: Area { base: FLASH, size: flash_end - FLASH },
        ram: Area { base: flash_end, size: ram.next_multiple_of(SECTION) - flash_end },
    }
}

/// What task `index`, linked as `program` in `place`, may touch. RAM is first.
pub(crate) fn regions(
    app: &App,
    index: TaskIndex,
    place: Place,
    program: &Program,
) -> Result<Vec<Region>, Error> {
    let task = app.task(index);
    let mut regions = vec![Region { area: place.ram, attributes: READ.with(WRITE) }];
    for segment in program.segments.iter().filter(|segment| !segment.is_writable()) {
        let base = segment.address / PAGE * PAGE;
        let size = (segment.end() - base).next_multiple_of(PAGE);
        let attributes = if segment.is_executable() { READ.with(EXECUTE) } else { READ };
        regions.push(Region { area: Area { base, size }, attributes });
    }
    for peripheral in &task.uses {
        let base = peripheral.address.0 as u32;
        let size = peripheral.size.next_multiple_of(PAGE);
        let attributes = READ.with(WRITE).with(DEVICE);
        regions.push(Region { area: Area { base, size }, attributes });
    }
    for pool in &app.pools {
        let attributes = if pool.owner == Owner::Task(index) {
            READ.with(WRITE).with(DMA)
        } else if pool.readers.contains(&index) {
            READ.with(DMA)
        } else {
            continue;
        };
        let area = Area { base: pool.base.0 as u32, size: pool.pages * PAGE };
        regions.push(Region { area, attributes });
    }
    if regions.len() > REGIONS {
        return Err(Error::TooManyRegions(task.name.clone(), regions.len()));
    }
    Ok(regions)
}

/// Checks that `program` stays in the place of `task`.
pub(crate) fn check(task: &Task, place: Place, program: &Program) -> Result<(), Error> {
    for segment in &program.segments {
        let (what, area, limit) = if segment.is_writable() {
            ("RAM", place.ram, task.ram)
        } else {
            ("flash", place.flash, task.flash)
        };
        if segment.address < area.base || segment.end() > area.base + limit {
            let bytes = segment.end() - area.base;
            return Err(Error::TooLarge(task.name.clone(), what, bytes, limit));
        }
    }
    Ok(())
}

/// Second-level tables that `regions` of one task need: one for each megabyte
/// that is not theirs as a whole (as the kernel maps them, arch/armv7a/mmu.rs).
pub(crate) fn second_level_tables(regions: &[Region]) -> usize {
    let mut megabytes = BTreeSet::new();
    for Region { area, .. } in regions {
        let mut at = area.base;
        while at < area.end() {
            let next = (at / SECTION + 1) * SECTION;
            if !at.is_multiple_of(SECTION) || next > area.end() {
                megabytes.insert(at / SECTION);
            }
            at = next;
        }
    }
    megabytes.len()
}
