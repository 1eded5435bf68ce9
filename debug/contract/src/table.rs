//! The rows, in the contract's order.

use crate::image::Image;
use crate::{commands, elf, files, kernel, memory, walk};
use archive::Archive;
use dump::Dump;
use std::fmt;

/// What is wrong, as it is found.
pub(crate) struct Findings(Vec<String>);

impl Findings {
    /// Notes `what` unless it `holds`.
    pub(crate) fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    /// Notes the error, if `result` is one.
    pub(crate) fn take<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|what| self.0.push(what)).ok()
    }
}

/// A dump, as a file and as it was read.
pub(crate) struct Taken<'t> {
    pub(crate) bytes: &'t [u8],
    pub(crate) dump: &'t Dump,
}

/// What a row is held against.
enum Of {
    Archive(fn(&Image<'_>, &mut Findings)),
    Dump(fn(&Image<'_>, &Taken<'_>, &mut Findings)),
}

/// One demand.
pub struct Row {
    /// The section of the contract that it is from.
    pub section: &'static str,
    /// What is demanded.
    pub demand: &'static str,
    of: Of,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.section, self.demand)
    }
}

const fn archive(
    section: &'static str,
    demand: &'static str,
    check: fn(&Image<'_>, &mut Findings),
) -> Row {
    Row { section, demand, of: Of::Archive(check) }
}

const fn dump(
    section: &'static str,
    demand: &'static str,
    check: fn(&Image<'_>, &Taken<'_>, &mut Findings),
) -> Row {
    Row { section, demand, of: Of::Dump(check) }
}

/// What is demanded, row by row. Section 0.1 (how Humility reaches a system), 8
/// (live) and 10 (limits of its own) demand nothing of either file; of 7 the
/// commands that need a live system (hiffy -c, jefe, dump) are 8's. Without what
/// 9.7 asks for Humility shows no stack of the kernel itself, and lacks nothing
/// else; it shows none of Hubris' kernel either.
pub const ROWS: &[Row] = &[
    archive("0.2", "kernel and tasks lie at addresses of their own", elf::own_addresses),
    archive("0.3", "each program is a 32-bit little-endian ARM ELF file", elf::machine),
    archive("0.3", "each program has .text, .symtab and .debug_frame", elf::sections),
    archive("0.3", "debug information is DWARF 4 at most", elf::version),
    archive("0.3", "names are of DW_FORM_strp", elf::names),
    archive("0.4", "Task, SavedState, TaskDesc and RegionDesc have one shape", kernel::one_shape),
    archive("1", "the comment has the version, 11 at most", files::comment),
    archive(
        "1",
        "files are stored or deflated (bzip2 could be read, and is not used)",
        files::compression,
    ),
    archive("1", "app.toml, elf/kernel, img/final.elf are there, each name once", files::present),
    archive("1", "the files in `task` folders are the tasks, in their order", files::tasks),
    archive("1", "git-rev and image-name are UTF-8", files::texts),
    archive("1", "there is no patches.toml that Humility would refuse", files::patches),
    archive("1", "chip.toml is the name by which the chip's file is found", files::chip_name),
    archive("1", "memory.toml names lists of addresses", files::memory),
    archive("1.1", "app.toml has target, name, board, kernel, tasks", files::app),
    archive("1.1", "features and notifications are lists of names", files::lists),
    archive("1.1", "interrupts name a number or the chip's, and a bit", files::interrupts),
    archive("1.1", "config is what Humility reads, or nothing", files::config),
    archive("1.1", "the target has room for floating point in its frames", files::target),
    archive("1.2", "chip.toml has peripherals and nothing else", files::chip),
    archive("1.3", "sections of img/final.elf with contents do not overlap", elf::image_sections),
    archive("1.3", "img/final.elf has the descriptors and the image's number", kernel::in_image),
    archive("2", ".text is where code is", elf::text),
    archive("2", "no two pieces are loaded at one address", elf::loads),
    archive("2", "__sbss and __eheap are of the kernel and touch no piece", elf::heap),
    archive("2", "_stack_base and _stack_start are absolute", elf::kernel_stack),
    archive("2", "functions with a size lie in .text and end where code ends", elf::functions),
    archive("2", "members have name, place and type", elf::members),
    archive("2", "enumerations have name, type and size", elf::enumerations),
    archive("2", "arrays have a count", elf::arrays),
    archive("2", "pointers have a type", elf::pointers),
    archive("2", "inlined functions have places that are understood", elf::inlined),
    archive("2", "statics have symbols with a size", elf::statics),
    archive("2", "frames are register plus offset, registers at an offset", elf::frames),
    archive("2", ".idolatry is Idol's text", elf::interfaces),
    archive("3", "HUBRIS_IMAGE_ID: 8 bytes with contents", kernel::image_id),
    archive("3", "CURRENT_TASK_PTR: a word", kernel::current),
    archive("3", "HUBRIS_TASK_TABLE_SPACE: as many tasks as there are", kernel::task_table),
    archive("3", "HUBRIS_TASK_DESCS, HUBRIS_REGION_DESCS", kernel::descriptors),
    archive("3", "TICKS: 8 bytes", kernel::ticks),
    archive("3", "KERNEL_HAS_FAILED: a byte", kernel::failed),
    archive("3", "KERNEL_EPITAPH: bytes", kernel::epitaph),
    archive("3", "CLOCK_FREQ_KHZ is a word, or not there", kernel::clock),
    archive("3", "Reset: a function", kernel::reset),
    archive("4", "everything in Task can be decoded", kernel::decodable),
    archive("4.1", "Task: save, state, generation, priority, descriptor, timer", kernel::task),
    archive("4.2", "SavedState: r4 to r11 and psp; r4, r5, r6 in a row", kernel::saved_state),
    archive("4.3", "timer: deadline and to_post", kernel::timer),
    archive("4.3", "states, faults and their causes are those that are known", kernel::states),
    archive("4.4", "TaskDesc: entry_point, initial_stack, regions", kernel::task_desc),
    archive("4.4", "regions are references into HUBRIS_REGION_DESCS", kernel::regions),
    archive("4.4", "RegionDesc: base, size, attributes, a word of known bits", kernel::region_desc),
    dump("5", "a 32-bit little-endian ARM core file", memory::file),
    dump("5", "notes: one archive, one set of registers, none unknown", memory::notes),
    dump("5", "pieces of memory are whole and do not overlap", memory::pieces),
    dump("5", "registers 0 to 18 and 20, each once", memory::registers),
    dump("5", "what is looked up is there", memory::readable),
    dump("5", "attaching: image, PC, number of tasks, current task", memory::attach),
    dump("6.1", "registers of the task that runs are the core's", walk::running),
    dump("6.2", "registers of the others are in their frames", walk::frames),
    dump("6.3", "each stack is in one region and can be walked to its end", walk::stacks),
    archive("6.4", "system calls push, have no frame, and keep the link", elf::stubs),
    archive("6.4", "the first function pushes nothing before it calls main", elf::start),
    archive("6.4", "all other code has frames", elf::covered),
    archive("7 manifest", "a task `hiffy` has its variables", commands::hiffy),
    archive("7 map", "each region of each task is understood", kernel::map),
    dump("7 tasks", "records hold values of their types", commands::tasks),
    dump("7 stackmargin", "the stack is its region's bottom, and painted", commands::stackmargin),
    archive("7 ringbuf", "ring buffers have the shape that is known", commands::ringbufs),
    archive("7 counters", "counters are AtomicU32 { v: UnsafeCell { value } }", commands::counters),
    archive("7 counters ipc", "client counters have the shape that is known", commands::ipc),
    archive("7 readvar", "statics have types", commands::statics),
    dump("7 registers", "stack pointer and PC are in regions", commands::registers),
    archive("7 diagnose", "entry points are in their tasks' .text", commands::entries),
    archive("7 hiffy -l", "types of replies and errors are there by name", commands::replies),
    dump("7 hydrate", "a note of one task is of a task there is", commands::one_task),
    archive("9.2", "one space of addresses: what one task runs no other has", elf::own_text),
    dump("9.4", "frames lie 104 bytes below the stack pointer", walk::frames),
    dump("9.5", "status words have bit 9 clear", walk::status),
    dump("9.6", "pc is even, and behind the svc of who waits", walk::after_svc),
    archive("9.9", "each stack is the bottom of one region", commands::stack_regions),
    dump("9.10", "PC is in some .text, and there is a current task", memory::attach),
    archive("9.11", "descriptors are constants, in img/final.elf", kernel::in_image),
    archive("9.12", "counters are of a type of our own", commands::counters),
];

/// A row that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its section.
    pub section: &'static str,
    /// What is demanded.
    pub demand: &'static str,
    /// What there is instead.
    pub found: Vec<String>,
}

/// Findings of a row that are told.
const TOLD: usize = 4;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, demand, found } = self;
        let told = found[..found.len().min(TOLD)].join("; ");
        write!(f, "{section}: {demand}: {told}")?;
        let more = found.len().saturating_sub(TOLD);
        if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
    }
}

/// Holds `archive`, and `dump` with its file, against the rows: those that do
/// not hold.
///
/// # Errors
/// When Humility could not even open the archive.
pub fn check(archive: &Archive, dump: Option<(&[u8], &Dump)>) -> Result<Vec<Broken>, String> {
    let image = Image::read(archive)?;
    let mut broken = Vec::new();
    for Row { section, demand, of } in ROWS {
        let mut findings = Findings(Vec::new());
        match (of, dump) {
            (Of::Archive(check), _) => check(&image, &mut findings),
            (Of::Dump(check), Some((bytes, dump))) => {
                check(&image, &Taken { bytes, dump }, &mut findings);
            }
            (Of::Dump(_), None) => {}
        }
        if !findings.0.is_empty() {
            broken.push(Broken { section, demand, found: findings.0 });
        }
    }
    Ok(broken)
}
