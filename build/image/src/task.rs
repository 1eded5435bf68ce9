//! One task of an image: what is generated for it, and how it is built.

use crate::cargo::Binary;
use crate::elf::{Program, Segment};
use crate::layout::{self, Area, Places, Region};
use crate::{Error, Folders, Stack, Usage, files};
use app::{App, Dialect, Owner, Peripheral, Pool, TaskIndex};
use std::path::Path;

/// A task that was built.
pub(crate) struct Built {
    pub(crate) elf: Program,
    pub(crate) regions: Vec<Region>,
    pub(crate) initial_stack: u32,
    stack: Stack,
}

impl Built {
    pub(crate) fn usage(&self, task: &app::Task) -> Usage {
        Usage {
            name: task.name.clone(),
            text: self.elf.text(),
            constants: self.elf.constants(),
            ram: task.stack + self.elf.size(Segment::is_writable),
            flash_limit: Some(task.flash),
            ram_limit: Some(task.ram),
            stack: Some(self.stack.clone()),
        }
    }
}

/// Builds task `index` in its place.
pub(crate) fn build(
    app: &App,
    index: TaskIndex,
    places: &Places,
    work: &Path,
    folders: &Folders,
) -> Result<Built, Error> {
    let task = app.task(index);
    let place = places.tasks[usize::from(index.0)];
    let generated = work.join(format!("{}.rs", task.name));
    files::write_if_changed(&generated, &constants(app, index, places))?;
    let built = Binary {
        package: &task.krate,
        binary: &task.krate,
        features: &task.features,
        target: &app.target,
        cpu: app.cpu.as_deref(),
        panics: app.panics,
        generated: ("SOTTO_TASK", &generated),
        script: "sys/userlib/task.x",
        symbols: &[
            ("TASK_FLASH", place.flash.base),
            ("TASK_RAM", place.ram.base),
            ("TASK_STACK", task.stack),
        ],
    }
    .build(folders)?;
    let (elf, bytes) = Program::keep(&built, work, &task.name)?;
    layout::check(task, place, &elf)?;
    let regions = layout::regions(app, index, place, &elf)?;
    let stack = Stack::of(&task.name, task.stack, &bytes)?;
    Ok(Built { elf, regions, initial_stack: place.ram.base + task.stack, stack })
}

/// The module `image` of a task: what app.toml says of it.
fn constants(app: &App, index: TaskIndex, places: &Places) -> String {
    let task = app.task(index);
    let mut text = String::from(
        "#[allow(dead_code, missing_docs, unreachable_pub, clippy::all)]\nmod image {\n",
    );
    let mut line = |item: String| {
        text.push_str(&item);
        text.push('\n');
    };
    line(format!("pub const INDEX: u16 = {};", index.0));
    line(list("SLOTS", "(&str, u16)", &task.slots, |slot| {
        format!("({:?}, {})", slot.name, slot.task.0)
    }));
    line(list("NOTIFIES", "(u16, u32)", &task.notifies, |to| {
        format!("({}, {:#x})", to.client.0, to.bit.mask())
    }));
    line(list("NEIGHBOURS", "u16", &app.neighbours(index), |other| other.0.to_string()));
    // For the supervisor: each task's neighbours as a set.
    let every: Vec<TaskIndex> = app.indexed().map(|(index, _)| index).collect();
    line(list("NEIGHBOUR_SETS", "u32", &every, |&of| {
        let set = app.neighbours(of).iter().fold(0u32, |set, other| set | 1 << other.0);
        format!("{set:#x}")
    }));
    // For the mapper: pools with their owners, controllers with their drivers.
    let pools: Vec<_> = app.dma_pools().collect();
    line(list("DMA_POOLS", "(u8, u64, u16, u16)", &pools, |(pool, owner)| {
        format!("({}, {:#x}, {}, {})", pool.id.0, pool.base.0, pool.pages, owner.0)
    }));
    line(list("CONTROLLERS", "(u16, u16)", &app.controllers(), |controller| {
        format!("({:#x}, {})", controller.stream, controller.driver.0)
    }));
    // For tests of isolation: what is the kernel's or another task's.
    let foreign: Vec<Area> = places.foreign(index).collect();
    line(list("FOREIGN", "(u32, u32)", &foreign, |Area { base, size }| {
        format!("({base:#x}, {size:#x})")
    }));
    // For a controller's driver: its controller.
    let controllers = app.controllers();
    if let Some(own) = controllers.iter().find(|controller| controller.driver == index) {
        line("pub mod controller {".into());
        line(format!("pub const NUMBER: u8 = {};", own.number));
        for (name, registers) in [("REGISTERS", own.registers), ("FUNCTION", own.function)] {
            line(block(name, registers));
        }
        for (name, pool) in [("CONTEXTS", own.contexts), ("RINGS", own.rings), ("GATE", own.gate)] {
            line(pages(name, pool));
        }
        line(format!("pub const PRIMARY: u16 = {};", own.primary.0));
        line(format!("pub const DSP_FIRST: u16 = {};", own.dsp_first.0));
        line("}".into());
    }
    let precise = app.dialect == Dialect::Precise;
    line(format!("pub const PRECISE_DIALECT: bool = {precise};"));
    line("pub mod tasks {".into());
    for (index, task) in app.indexed() {
        line(format!("pub const {}: u16 = {};", constant(&task.name), index.0));
    }
    line("}\npub mod notifications {".into());
    for (bit, name) in task.notifications.iter().enumerate() {
        line(format!("pub const {}: u32 = 1 << {bit};", constant(name)));
    }
    let all = task.notifications.iter().enumerate().fold(0u32, |all, (bit, _)| all | 1 << bit);
    line(format!("pub const ALL: u32 = {all:#x};"));
    line("}\npub mod interrupts {".into());
    for interrupt in &task.interrupts {
        line(format!("pub const {}: u32 = {};", constant(&interrupt.name), interrupt.intid.0));
    }
    line("}\npub mod registers {".into());
    for registers in &task.uses {
        line(block(&constant(&registers.name), registers));
    }
    line("}\npub mod pools {".into());
    for pool in &app.pools {
        if pool.owner == Owner::Task(index) || pool.readers.contains(&index) {
            line(pages(&constant(&pool.name), pool));
        }
    }
    line("}\npub mod config {".into());
    for (name, value) in &task.config {
        let name = constant(name);
        match value {
            toml::Value::Integer(number) => line(format!("pub const {name}: i64 = {number};")),
            toml::Value::Boolean(is) => line(format!("pub const {name}: bool = {is};")),
            toml::Value::String(words) => line(format!("pub const {name}: &str = {words:?};")),
            // Structured values are the simulator's and the builder's to read.
            _ => {}
        }
    }
    line("}\n}".into());
    text
}

/// A constant that is a block of registers.
fn block(name: &str, registers: &Peripheral) -> String {
    let (address, size) = (registers.address.0, registers.size);
    format!("pub const {name}: (u64, u32) = ({address:#x}, {size:#x});")
}

/// A constant that is a pool.
fn pages(name: &str, pool: &Pool) -> String {
    let (id, base, pages) = (pool.id.0, pool.base.0, pool.pages);
    format!("pub const {name}: (u8, u64, u16) = ({id}, {base:#x}, {pages});")
}

/// A constant that is a slice of `items`.
fn list<T>(name: &str, of: &str, items: &[T], item: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(item).collect();
    format!("pub const {name}: &[{of}] = &[{}];", items.join(", "))
}

/// A name of app.toml as a constant's: `peer_changed`, `gicv2m.player`,
/// `quiet-ms`.
fn constant(name: &str) -> String {
    name.replace(['.', '-'], "_").to_uppercase()
}
