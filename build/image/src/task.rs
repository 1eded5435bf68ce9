//! One task of an image: what is generated for it, and how it is built.

use crate::cargo::Binary;
use crate::elf::Program;
use crate::layout::{self, Area, Places, Region};
use crate::{Error, Folders, Usage};
use app::{App, Owner, TaskIndex};
use std::fmt::Write;
use std::path::Path;

/// A task that was built.
pub(crate) struct Built {
    pub(crate) elf: Program,
    pub(crate) regions: Vec<Region>,
    pub(crate) initial_stack: u32,
}

impl Built {
    pub(crate) fn usage(&self, task: &app::Task) -> Usage {
        let sum = |of: &dyn Fn(&crate::elf::Segment) -> bool| {
            self.elf.segments.iter().filter(|segment| of(segment)).map(|segment| segment.size).sum()
        };
        let data: u32 = sum(&|segment| segment.is_writable());
        Usage {
            name: task.name.clone(),
            text: sum(&|segment| segment.is_executable()),
            constants: sum(&|segment| !segment.is_executable() && !segment.is_writable()),
            ram: task.stack + data,
            flash_limit: Some(task.flash),
            ram_limit: Some(task.ram),
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
    write_if_changed(&generated, &constants(app, index, places))?;
    let built = Binary {
        package: &task.krate,
        binary: &task.krate,
        features: &task.features,
        target: &app.target,
        generated: ("SOTTO_TASK", &generated),
        script: "sys/userlib/task.x",
        symbols: &[
            ("TASK_FLASH", place.flash.base),
            ("TASK_RAM", place.ram.base),
            ("TASK_STACK", task.stack),
        ],
    }
    .build(folders)?;
    // The next task of the same crate is built over it.
    let kept = work.join(&task.name);
    std::fs::copy(&built, &kept).map_err(|error| Error::file(&built, error))?;
    let bytes = std::fs::read(&kept).map_err(|error| Error::file(&kept, error))?;
    let elf = Program::read(&bytes).ok_or_else(|| Error::NotElf(task.name.clone()))?;
    layout::check(task, place, &elf)?;
    let regions = layout::regions(app, index, place, &elf)?;
    Ok(Built { elf, regions, initial_stack: place.ram.base + task.stack })
}

/// A file that is written again only when it says something new, so that
/// nothing is built again for nothing.
pub(crate) fn write_if_changed(path: &Path, text: &str) -> Result<(), Error> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| Error::file(path, error))
}

/// The module `image` of a task: what app.toml says of it.
fn constants(app: &App, index: TaskIndex, places: &Places) -> String {
    let task = app.task(index);
    let slots: Vec<_> =
        task.slots.iter().map(|slot| format!("({:?}, {})", slot.name, slot.task.0)).collect();
    let notifies =
        task.notifies.iter().map(|to| format!("({}, {:#x})", to.client.0, to.bit.mask()));
    let notifies: Vec<_> = notifies.collect();
    let mut text = String::new();
    let mut line = |text_line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{text_line}");
    };
    line("#[allow(dead_code, missing_docs, unreachable_pub)]".into());
    line("mod image {".into());
    line(format!("pub const SLOTS: &[(&str, u16)] = &[{}];", slots.join(", ")));
    line(format!("pub const NOTIFIES: &[(u16, u32)] = &[{}];", notifies.join(", ")));
    // For tests of isolation: what is the kernel's or another task's.
    let foreign =
        places.foreign(index).map(|Area { base, size }| format!("({base:#x}, {size:#x})"));
    let foreign: Vec<_> = foreign.collect();
    line(format!("pub const FOREIGN: &[(u32, u32)] = &[{}];", foreign.join(", ")));
    line("pub mod notifications {".into());
    for (bit, name) in task.notifications.iter().enumerate() {
        line(format!("pub const {}: u32 = 1 << {bit};", constant(name)));
    }
    line("}\npub mod interrupts {".into());
    for interrupt in &task.interrupts {
        line(format!("pub const {}: u32 = {};", constant(&interrupt.name), interrupt.intid.0));
    }
    line("}\npub mod registers {".into());
    for registers in &task.uses {
        let (address, size) = (registers.address.0, registers.size);
        line(format!(
            "pub const {}: (u64, u32) = ({address:#x}, {size:#x});",
            constant(&registers.name)
        ));
    }
    line("}\npub mod pools {".into());
    for pool in &app.pools {
        if pool.owner == Owner::Task(index) || pool.readers.contains(&index) {
            let (id, base, pages) = (pool.id.0, pool.base.0, pool.pages);
            line(format!(
                "pub const {}: (u8, u64, u16) = ({id}, {base:#x}, {pages});",
                constant(&pool.name)
            ));
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

/// A name of app.toml as a constant's: `peer_changed`, `gicv2m.player`,
/// `quiet-ms`.
fn constant(name: &str) -> String {
    name.replace(['.', '-'], "_").to_uppercase()
}
