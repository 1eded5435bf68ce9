//! Where each task's memory is, and what it may touch.
//!
//! Tasks lie one after the other in the order of their importance, each in the
//! sizes that app.toml allows it: what one task becomes moves no other. Code of
//! all tasks begins on a megabyte, and so does RAM of all tasks, because the
//! kernel's window on each is made of sections.

use abi::RegionAttributes;
use app::{App, Owner, Task, TaskIndex};
use kern::REGIONS_PER_TASK;

use crate::Error;
use crate::elf::Program;

/// Bytes of a page.
pub const PAGE: u32 = 0x1000;
/// Bytes that one entry of a first-level table covers.
pub(crate) const SECTION: u32 = 0x10_0000;

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
    pub(crate) fn end(self) -> u32 {
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
    if regions.len() > REGIONS_PER_TASK {
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

#[cfg(test)]
mod tests {
    use super::{Area, PAGE, READ, SECTION, places, regions};
    use crate::elf::{Program, Segment};
    use app::{App, TaskIndex};
    use std::collections::HashMap;
    use std::path::Path;

    fn app() -> App {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../app.toml");
        App::load(&path).unwrap_or_else(|refusals| panic!("{refusals}"))
    }

    #[test]
    fn no_two_tasks_share_a_page_and_a_page_lies_below_each_ram() {
        let app = app();
        let places = places(&app);
        let mut areas: Vec<_> =
            places.tasks.iter().flat_map(|place| [place.flash, place.ram]).collect();
        areas.extend(
            app.pools.iter().map(|pool| Area { base: pool.base.0 as u32, size: pool.pages * PAGE }),
        );
        areas.sort_by_key(|area| area.base);
        assert!(areas.windows(2).all(|pair| pair[0].end() <= pair[1].base), "{areas:x?}");
        for place in &places.tasks {
            let below = place.ram.base - PAGE;
            assert!(areas.iter().all(|area| !(area.base..area.end()).contains(&below)));
        }
        for whole in [places.flash, places.ram] {
            assert!(whole.base.is_multiple_of(SECTION) && whole.size.is_multiple_of(SECTION));
        }
    }

    #[test]
    fn a_task_gets_its_ram_first_and_of_others_pools_what_it_may_read() {
        let app = app();
        let xhci = app.index("xhci").unwrap();
        let place = places(&app).tasks[usize::from(xhci.0)];
        let text = Segment { address: place.flash.base, bytes: vec![0; 5], size: 5, flags: 5 };
        let program =
            Program { entry: place.flash.base, segments: vec![text], symbols: HashMap::new() };
        let regions =
            regions(&app, xhci, place, &program).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(regions[0].area, place.ram);
        assert_eq!(regions[1].area, Area { base: place.flash.base, size: PAGE });
        let answers = app.pool("answers").unwrap().base.0 as u32;
        let answers = regions.iter().find(|region| region.area.base == answers).unwrap();
        assert_eq!(answers.attributes, READ.with(super::DMA));
    }

    #[test]
    fn the_supervisors_memory_is_foreign_to_all_others_but_its_own_is_not() {
        let app = app();
        let places = places(&app);
        let jefe = places.tasks[0].ram;
        assert!(places.foreign(TaskIndex(1)).any(|area| area == jefe));
        assert!(places.foreign(TaskIndex(0)).all(|area| area != jefe));
    }
}
