//! The map of an image: whose each piece of memory is, and who may do what.

use crate::core1::Core1;
use crate::elf::{Program, Segment};
use crate::kernel::Kernel;
use crate::layout::{Area, KERNEL_STACK, PAGE, Places};
use crate::task::Built;
use crate::translation::{Rights, area};
use app::{App, MonitorAccess, Owner};
use std::fmt::Write;
use tables::{INTERRUPT_CONTROLLER, WINDOW};

/// What an image consists of.
pub(crate) struct Parts<'p> {
    pub(crate) app: &'p App,
    pub(crate) places: &'p Places,
    pub(crate) kernel: &'p Kernel,
    pub(crate) tasks: &'p [Built],
    pub(crate) core1: Option<&'p Core1>,
}

/// A run of addresses, and what one party may do there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) area: Area,
    pub(crate) rights: Rights,
    pub(crate) who: String,
    pub(crate) what: String,
}

const KERNEL: &str = "kernel";
const MONITOR: &str = "monitor";
const PROGRAM: &str = "program";
const NOBODY: &str = "-";

impl Parts<'_> {
    /// The rows in the order of their addresses.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Rows(Vec::new());
        self.add_kernel(&mut rows);
        self.add_tasks(&mut rows);
        self.add_pools(&mut rows);
        if let Some(core1) = self.core1 {
            self.add_core1(core1, &mut rows);
        }
        rows.0.sort_by(|a, b| a.area.base.cmp(&b.area.base).then(a.who.cmp(&b.who)));
        rows.0
    }

    fn add_kernel(&self, rows: &mut Rows) {
        let Kernel { elf, memory } = self.kernel;
        rows.add_code(elf, KERNEL);
        rows.add(area(memory.tables), Rights::READ, KERNEL, "translation tables");
        rows.add_guard(area(memory.data), KERNEL);
        rows.add_ram(area(memory.data), KERNEL_STACK, elf, KERNEL);
        let window = [
            (self.places.flash, Rights::READ, "window on the tasks' code"),
            (self.places.ram, Rights::READ_WRITE, "window on the tasks' RAM"),
            (area(INTERRUPT_CONTROLLER), Rights::READ_WRITE, "window on the GIC"),
        ];
        for (Area { base, size }, rights, what) in window {
            rows.add(Area { base: base | WINDOW, size }, rights, KERNEL, what);
        }
    }

    fn add_tasks(&self, rows: &mut Rows) {
        for ((task, place), built) in self.app.tasks.iter().zip(&self.places.tasks).zip(self.tasks)
        {
            rows.add_code(&built.elf, &task.name);
            rows.add_guard(place.ram, &task.name);
            rows.add_ram(place.ram, task.stack, &built.elf, &task.name);
            for registers in &task.uses {
                let area = Area { base: registers.address.0 as u32, size: registers.size };
                let what = format!("registers {}", registers.name);
                rows.add(area, Rights::READ_WRITE, &task.name, &what);
            }
        }
    }

    fn add_pools(&self, rows: &mut Rows) {
        for pool in &self.app.pools {
            let area = Area { base: pool.base.0 as u32, size: pool.pages * PAGE };
            let what = format!("pool {}", pool.name);
            let mut add = |who: &str, rights| rows.add(area, rights, who, &what);
            match pool.owner {
                Owner::Task(owner) => add(&self.app.task(owner).name, Rights::READ_WRITE),
                Owner::Monitor => add(MONITOR, Rights::READ_WRITE),
            }
            for &reader in &pool.readers {
                add(&self.app.task(reader).name, Rights::READ);
            }
            match pool.monitor {
                MonitorAccess::None => {}
                MonitorAccess::Read => add(MONITOR, Rights::READ),
                MonitorAccess::Write => add(MONITOR, Rights::READ_WRITE),
            }
        }
    }

    fn add_core1(&self, core1: &Core1, rows: &mut Rows) {
        rows.add_code(core1.monitor(), MONITOR);
        rows.add_guard(core1.monitor_ram(), MONITOR);
        rows.add_ram(core1.monitor_ram(), core1.monitor_stack(), core1.monitor(), MONITOR);
        rows.add_code(core1.program(), PROGRAM);
        rows.add_ram(core1.program_ram(), core1.program_stack(), core1.program(), PROGRAM);
        for (area, what) in core1.registers(self.app) {
            rows.add(area, Rights::READ_WRITE, MONITOR, &format!("registers {what}"));
        }
        if let Some(media) = self.app.pool("media") {
            let area = Area { base: media.base.0 as u32, size: media.pages * PAGE };
            rows.add(area, Rights::READ, PROGRAM, "pool media");
        }
    }
}

struct Rows(Vec<Row>);

impl Rows {
    fn add(&mut self, area: Area, rights: Rights, who: &str, what: &str) {
        let (who, what) = (who.to_owned(), what.to_owned());
        self.0.push(Row { area, rights, who, what });
    }

    fn add_code(&mut self, elf: &Program, who: &str) {
        for segment in elf.segments.iter().filter(|segment| !segment.is_writable()) {
            let area = Area { base: segment.address, size: segment.size };
            if segment.is_executable() {
                self.add(area, Rights::READ_EXECUTE, who, "code");
            } else {
                self.add(area, Rights::READ, who, "constants");
            }
        }
    }

    /// The page of nothing below RAM with a stack at its bottom.
    fn add_guard(&mut self, ram: Area, who: &str) {
        let guard = Area { base: ram.base - PAGE, size: PAGE };
        self.add(guard, Rights::NONE, NOBODY, &format!("guard below the stack of {who}"));
    }

    /// RAM with a stack of `stack` bytes at its bottom.
    fn add_ram(&mut self, ram: Area, stack: u32, elf: &Program, who: &str) {
        self.add(Area { size: stack, ..ram }, Rights::READ_WRITE, who, "stack");
        let statics = ram.base + stack;
        let in_ram = |segment: &&Segment| segment.address >= statics && segment.is_writable();
        let end = elf.segments.iter().filter(in_ram).map(Segment::end).max().unwrap_or(statics);
        for (base, end, what) in [(statics, end, "statics"), (end, ram.end(), "spare")] {
            if base < end {
                self.add(Area { base, size: end - base }, Rights::READ_WRITE, who, what);
            }
        }
    }
}

/// The rows as text.
pub(crate) fn text(heading: &str, rows: &[Row]) -> String {
    let mut text = format!("{heading}\n\naddress    bytes      may who              what\n");
    for Row { area, rights, who, what } in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:#010x} {:#010x} {rights} {who:<16} {what}", area.base, area.size);
    }
    text
}
