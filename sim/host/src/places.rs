//! Stacks and task tables, kept and used again.
//!
//! Mapping a stack costs more than a short simulation; and what the kernel knows
//! of a task's memory lives as long as the process, as it does on a board. So a
//! stack, its description and its descriptor are one thing that is made once
//! and passed from simulation to simulation.

use std::fs;
use std::sync::{Mutex, OnceLock, PoisonError};

use abi::RegionAttributes;
use corosensei::stack::{DefaultStack, Stack};
use kern::{REGIONS_PER_TASK, RegionDesc, Task, TaskDesc};

/// Bytes of a task's stack. Models run on it too; only touched pages cost.
const STACK_SIZE: usize = 1 << 20;

/// Bytes at the low end that are not the task's: at least the guard page.
const GUARD: usize = 1 << 16;

/// A stack and what the kernel knows of it.
pub(crate) struct Place {
    pub(crate) stack: DefaultStack,
    pub(crate) descriptor: &'static TaskDesc,
}

static PLACES: Mutex<Vec<Place>> = Mutex::new(Vec::new());
static TABLES: Mutex<Vec<&'static mut [Task]>> = Mutex::new(Vec::new());

/// A stack that nobody uses.
pub(crate) fn take() -> Place {
    let free = PLACES.lock().unwrap_or_else(PoisonError::into_inner).pop();
    free.unwrap_or_else(|| {
        let stack = DefaultStack::new(STACK_SIZE + GUARD).expect("memory for a stack");
        let base = stack.limit().get() + GUARD;
        let ram = RegionDesc {
            base,
            size: stack.base().get() - base,
            attributes: RegionAttributes::READ.with(RegionAttributes::WRITE),
        };
        let mut regions = [&RegionDesc::UNUSED; REGIONS_PER_TASK];
        regions[0] = Box::leak(Box::new(ram));
        let image = image_regions();
        assert!(image.len() < REGIONS_PER_TASK, "the program's read-only data is in too many runs");
        for (region, run) in regions[1..].iter_mut().zip(image) {
            *region = run;
        }
        let initial_stack = stack.base().get();
        let descriptor = TaskDesc { entry_point: 0, initial_stack, regions };
        Place { stack, descriptor: Box::leak(Box::new(descriptor)) }
    })
}

/// Gives a stack back.
pub(crate) fn put(place: Place) {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner).push(place);
}

/// A task table with these tasks.
pub(crate) fn table(tasks: Vec<Task>) -> &'static mut [Task] {
    let mut free = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    match free.iter().position(|table| table.len() == tasks.len()) {
        Some(index) => {
            let table = free.swap_remove(index);
            for (place, task) in table.iter_mut().zip(tasks) {
                *place = task;
            }
            table
        }
        None => Box::leak(tasks.into_boxed_slice()),
    }
}

/// Gives a task table back.
pub(crate) fn put_table(table: &'static mut [Task]) {
    TABLES.lock().unwrap_or_else(PoisonError::into_inner).push(table);
}

/// The runs of this process' memory that hold the program's read-only data:
/// string literals, constants, tables with relocations. Found once, from
/// Linux' list of mappings; neighbours are joined, because the linker cuts what
/// is one image to a task.
fn image_regions() -> &'static [RegionDesc] {
    static REGIONS: OnceLock<Vec<RegionDesc>> = OnceLock::new();
    REGIONS.get_or_init(|| {
        let maps = fs::read_to_string("/proc/self/maps")
            .expect("the simulator reads /proc/self/maps and needs Linux for that");
        let program = fs::read_link("/proc/self/exe").expect("/proc/self/exe names the program");
        let program = program.to_str().expect("the program's path is UTF-8");
        let mut regions: Vec<RegionDesc> = Vec::new();
        for line in maps.lines() {
            let Some((base, end)) = read_only(line, program) else { continue };
            match regions.last_mut() {
                Some(last) if last.base + last.size == base => last.size = end - last.base,
                _ => regions.push(RegionDesc {
                    base,
                    size: end - base,
                    attributes: RegionAttributes::READ,
                }),
            }
        }
        regions
    })
}

/// The range of a mapping of `program` that can be read and not written.
fn read_only(line: &str, program: &str) -> Option<(usize, usize)> {
    // start-end perms offset device inode path
    let mut fields = line.splitn(6, ' ');
    let (base, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let path = fields.nth(3)?.trim_start();
    if !rights.starts_with("r-") || path != program {
        return None;
    }
    Some((usize::from_str_radix(base, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::{image_regions, read_only};

    #[test]
    fn only_read_only_mappings_of_the_program_count() {
        let line = |rights| format!("1000-3000 {rights} 00000000 08:01 77    /bin/a b");
        assert_eq!(read_only(&line("r--p"), "/bin/a b"), Some((0x1000, 0x3000)));
        assert_eq!(read_only(&line("r-xp"), "/bin/a b"), Some((0x1000, 0x3000)));
        assert_eq!(read_only(&line("rw-p"), "/bin/a b"), None);
        assert_eq!(read_only(&line("r--p"), "/bin/a"), None);
        assert_eq!(read_only("1000-3000 r--p 00000000 00:00 0", "/bin/a"), None);
    }

    #[test]
    fn constants_are_in_the_image_and_the_heap_is_not() {
        let inside = |address: usize| {
            image_regions().iter().any(|r| (r.base..r.base + r.size).contains(&address))
        };
        static TABLE: [&str; 2] = ["a relocated", "table"];
        assert!(inside("a literal".as_ptr().addr()));
        assert!(inside(TABLE.as_ptr().addr()));
        assert!(!inside(Box::new(1u8).as_ref() as *const u8 as usize));
    }
}
