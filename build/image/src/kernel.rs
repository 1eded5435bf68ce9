//! The kernel of an image: its tables, and how it is built.

use crate::cargo::Binary;
use crate::elf::Program;
use crate::layout::{self, Area, Places, Region, SECTION};
use crate::task::Built;
use crate::{Error, Folders, Usage, files, translation};
use abi::RegionAttributes;
use app::App;
use kern::REGIONS_PER_TASK;
use std::fmt::Write;
use std::path::Path;
use tables::KernelMemory;

/// Interrupt numbers that the kernel's table covers: a GICv2's SPIs as QEMU's
/// board has them.
const INTERRUPTS: usize = 288;

/// Features of the kernel that an image may ask for.
const SLICE: &str = "slice";
const SEMIHOSTING: &str = "semihosting";

/// All of them.
pub(crate) const FEATURES: [&str; 2] = [SLICE, SEMIHOSTING];

/// Refuses features that the kernel does not have.
pub(crate) fn check_features(app: &App) -> Result<(), Error> {
    let unknown = app.kernel_features.iter().find(|name| !FEATURES.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| Err(Error::NoSuchFeature(name.clone())))
}

/// A kernel that was built.
pub(crate) struct Kernel {
    pub(crate) elf: Program,
    pub(crate) memory: KernelMemory,
}

/// Builds the kernel around `tables`.
pub(crate) fn build(
    app: &App,
    tables: &str,
    id: u64,
    work: &Path,
    folders: &Folders,
) -> Result<Kernel, Error> {
    let generated = work.join("kernel.rs");
    let identity = format!(
        "/// The image's identity.\n#[unsafe(no_mangle)]\n#[used]\n\
         pub static HUBRIS_IMAGE_ID: u64 = {id:#018x};\n"
    );
    files::write_if_changed(&generated, &format!("{tables}{identity}"))?;
    let built = Binary {
        package: &app.kernel,
        binary: "kernel",
        features: &[],
        target: &app.target,
        cpu: app.cpu.as_deref(),
        panics: app::Panics::Messages,
        generated: ("SOTTO_IMAGE", &generated),
        script: "sys/kern/kernel.x",
        symbols: &[("KERNEL_BASE", layout::KERNEL), ("KERNEL_STACK", layout::KERNEL_STACK)],
    }
    .build(folders)?;
    let (elf, _) = Program::keep(&built, work, "kernel")?;
    let memory = memory(&elf)?;
    check(&memory)?;
    Ok(Kernel { elf, memory })
}

/// Checks that the kernel stays in its megabyte.
pub(crate) fn check(memory: &KernelMemory) -> Result<(), Error> {
    let bytes = memory.data.base + memory.data.size - layout::KERNEL;
    if bytes > SECTION {
        return Err(Error::PartTooLarge("kernel".into(), bytes, SECTION));
    }
    Ok(())
}

/// The kernel's memory, as its linker script names it (sys/kern/kernel.x).
pub(crate) fn memory(kernel: &Program) -> Result<KernelMemory, Error> {
    let part = |from, to| kernel.between("kernel", from, to).map(translation::span);
    Ok(KernelMemory {
        text: part("sotto_text", "sotto_constants")?,
        constants: part("sotto_constants", "sotto_tables")?,
        tables: part("sotto_tables", "sotto_guard")?,
        data: part("sotto_data", "sotto_end")?,
    })
}

pub(crate) fn usage(kernel: &Kernel) -> Usage {
    Usage {
        name: "kernel".into(),
        text: kernel.elf.text(),
        constants: kernel.elf.constants(),
        ram: kernel.memory.tables.size + kernel.memory.data.size,
        flash_limit: None,
        ram_limit: None,
        stack: None,
    }
}

/// The source of the kernel's tables.
pub(crate) fn tables(app: &App, places: &Places, tasks: &[Built], core1: Option<u32>) -> String {
    let mut text = String::from(
        "#[allow(unused_imports)]\nuse kern::arch::armv7a::{Image, InterruptRow, NO_INTERRUPT, \
         Options, Span, TaskTable, TranslationTables};\n#[allow(unused_imports)]\nuse kern::{Irq, \
         IrqOwner, NotificationSet, RegionDesc, Task, TaskDesc, TaskIndex};\n",
    );
    let count = app.tasks.len();
    let regions = all_regions(tasks);
    let words = translation::words(places, tasks.iter().map(|task| task.regions.as_slice()));
    let rows = interrupts(app);
    let starts = (0..=count).map(|task| rows.iter().filter(|row| row.task < task).count());
    let by_number = (0..INTERRUPTS).map(|number| {
        let row = rows.iter().position(|row| row.intid == number);
        row.map_or("NO_INTERRUPT".to_owned(), |row| row.to_string())
    });
    let list = |items: Vec<String>| items.join(", ");
    let zeroed = app.pools.iter().filter(|pool| pool.zeroed);
    let zeroed =
        zeroed.map(|pool| Area { base: pool.base.0 as u32, size: pool.pages * layout::PAGE });
    let options = |name: &str| app.kernel_features.iter().any(|feature| feature == name);
    let start =
        app.indexed().filter(|(_, task)| task.start).fold(0u32, |all, (i, _)| all | 1 << i.0);

    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "static HUBRIS_REGION_DESCS: [RegionDesc; {}] = [RegionDesc::UNUSED, {}];\n\
         static HUBRIS_TASK_DESCS: [TaskDesc; {count}] = [{}];\n\
         static HUBRIS_TASK_TABLE_SPACE: TaskTable<{count}> = TaskTable::new([{}]);\n\
         #[unsafe(link_section = \".tables\")]\n\
         static TABLES: TranslationTables<{words}> = TranslationTables::new();\n\
         /// What the build says of the image.\n\
         #[unsafe(no_mangle)]\n\
         pub static SOTTO_IMAGE: Image = Image {{\n\
             tasks: &HUBRIS_TASK_TABLE_SPACE,\n\
             descriptors: &HUBRIS_TASK_DESCS,\n\
             start: {start:#x},\n\
             posts: &[{}],\n\
             interrupts: &[{}],\n\
             interrupts_of: &[{}],\n\
             rows_by_interrupt: &[{}],\n\
             flash: {},\n\
             ram: {},\n\
             tables: &TABLES,\n\
             zeroed: &[{}],\n\
             core1: {core1:?},\n\
             options: Options {{ slice: {}, semihosting: {} }},\n\
         }};\n",
        regions.len() + 1,
        list(regions.iter().map(region_source).collect()),
        list(tasks.iter().map(|task| descriptor_source(task, &regions)).collect()),
        list(app.indexed().map(|(index, _)| task_source(app, index)).collect()),
        list(app.post_table().iter().flatten().map(ToString::to_string).collect()),
        list(rows.iter().map(Row::source).collect()),
        list(starts.map(|start| start.to_string()).collect()),
        list(by_number.collect()),
        span_source(places.flash),
        span_source(places.ram),
        list(zeroed.map(span_source).collect()),
        options(SLICE),
        options(SEMIHOSTING),
    );
    text
}

/// Every region once: what two tasks share has one descriptor.
fn all_regions(tasks: &[Built]) -> Vec<Region> {
    let mut all: Vec<Region> = Vec::new();
    for region in tasks.iter().flat_map(|task| &task.regions) {
        if !all.contains(region) {
            all.push(*region);
        }
    }
    all
}

fn region_source(region: &Region) -> String {
    let Region { area, attributes: RegionAttributes(bits) } = region;
    format!(
        "RegionDesc {{ base: {:#x}, size: {:#x}, attributes: abi::RegionAttributes({bits}) }}",
        area.base, area.size
    )
}

fn descriptor_source(task: &Built, all: &[Region]) -> String {
    let mut regions = Vec::new();
    for n in 0..REGIONS_PER_TASK {
        let position = task.regions.get(n).and_then(|region| all.iter().position(|r| r == region));
        // Entry 0 is the unused one.
        let position = position.map_or(0, |position| position + 1);
        regions.push(format!("&HUBRIS_REGION_DESCS[{position}]"));
    }
    format!(
        "TaskDesc {{ entry_point: {:#x}, initial_stack: {:#x}, regions: [{}] }}",
        task.elf.entry,
        task.initial_stack,
        regions.join(", ")
    )
}

fn task_source(app: &App, index: app::TaskIndex) -> String {
    let (number, mask) = (index.0, app.send_mask(index));
    format!("Task::new(TaskIndex({number}), &HUBRIS_TASK_DESCS[{number}], {mask:#x})")
}

fn span_source(area: Area) -> String {
    format!("Span {{ base: {:#x}, size: {:#x} }}", area.base, area.size)
}

/// An interrupt of a task.
struct Row {
    intid: usize,
    task: usize,
    bits: u32,
}

impl Row {
    fn source(&self) -> String {
        let Self { intid, task, bits } = self;
        format!(
            "InterruptRow {{ irq: Irq({intid}), owner: IrqOwner {{ task: TaskIndex({task}), \
             notification: NotificationSet({bits:#x}) }} }}"
        )
    }
}

/// The interrupts, those of one task together.
fn interrupts(app: &App) -> Vec<Row> {
    let rows = app.indexed().flat_map(|(index, task)| {
        task.interrupts.iter().map(move |interrupt| Row {
            intid: usize::from(interrupt.intid.0),
            task: usize::from(index.0),
            bits: interrupt.bit.mask(),
        })
    });
    rows.collect()
}
