//! A dump as a file, and what is in it (section 5).

use crate::image::Image;
use crate::table::{Findings, Taken};
use addr::Virt;
use dump::Register;
use object::elf::{EM_ARM, ET_CORE, FileHeader32, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};
use view::{System, margin};

const LE: object::LittleEndian = object::LittleEndian;
const NAME: &[u8] = b"Oxide Computer Company";
const ARCHIVE: u32 = 0x1de0_0001;
const REGISTERS: u32 = 0x1de0_0002;
const TASK: u32 = 0x1de0_0003;

type Header = FileHeader32<object::LittleEndian>;
type Segment = object::elf::ProgramHeader32<object::LittleEndian>;

fn headers<'t>(taken: &Taken<'t>) -> Result<(&'t Header, &'t [Segment]), String> {
    let header = Header::parse(taken.bytes).map_err(|error| error.to_string())?;
    let headers = header.program_headers(LE, taken.bytes).map_err(|error| error.to_string())?;
    Ok((header, headers))
}

pub(crate) fn file(_: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let Some((header, _)) = found.take(headers(taken)) else { return };
    found.expect(header.is_little_endian(), || "it is big-endian".into());
    found.expect(header.e_machine(LE) == EM_ARM, || "it is of another machine".into());
    found.expect(header.e_type(LE) == ET_CORE, || "it is no core file".into());
}

/// Type and size of each note in the file, taken apart word by word.
fn notes_of(taken: &Taken<'_>) -> Result<Vec<(u32, Vec<u8>, usize)>, String> {
    let mut notes = Vec::new();
    for header in headers(taken)?.1.iter().filter(|header| header.p_type(LE) == PT_NOTE) {
        let mut rest = header.data(LE, taken.bytes).map_err(|()| "a note is cut off")?;
        while !rest.is_empty() {
            let (head, after) = rest.split_at_checked(12).ok_or("a note is cut off")?;
            let word =
                |n: usize| u32::from_le_bytes([head[n], head[n + 1], head[n + 2], head[n + 3]]);
            let (name, contents) = (word(0) as usize, word(4) as usize);
            let places = name.next_multiple_of(4) + contents.next_multiple_of(4);
            let named = after.get(..name).ok_or("a note's name is cut off")?.to_vec();
            notes.push((word(8), named, contents));
            rest = after.get(places..).ok_or("a note's contents are cut off")?;
        }
    }
    Ok(notes)
}

pub(crate) fn notes(_: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let Some(notes) = found.take(notes_of(taken)) else { return };
    let count = |kind| notes.iter().filter(|note| note.0 == kind).count();
    found.expect(count(ARCHIVE) == 1, || format!("{} archives", count(ARCHIVE)));
    found.expect(count(REGISTERS) <= 1, || format!("{} sets of registers", count(REGISTERS)));
    found.expect(count(TASK) <= 1, || format!("{} notes of one task", count(TASK)));
    for (kind, name, size) in &notes {
        let right = name.strip_suffix(&[0]) == Some(NAME);
        found.expect(right, || format!("a note of {:?}", String::from_utf8_lossy(name)));
        let known = [ARCHIVE, REGISTERS, TASK].contains(kind);
        found.expect(known, || format!("a note of type {kind:#x}"));
        found.expect(*kind != TASK || *size == 16, || format!("one task in {size} bytes"));
    }
}

pub(crate) fn pieces(_: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let Some((_, headers)) = found.take(headers(taken)) else { return };
    let mut runs = Vec::new();
    for header in headers.iter().filter(|header| header.p_type(LE) == PT_LOAD) {
        let (at, bytes) = (header.p_vaddr(LE), header.p_memsz(LE));
        runs.push((u64::from(at), u64::from(at) + u64::from(bytes)));
        let whole = header.data(LE, taken.bytes).is_ok_and(|data| data.len() == bytes as usize);
        found.expect(whole, || format!("{at:#x} is not whole in the file"));
    }
    runs.sort_unstable();
    for pair in runs.windows(2) {
        found.expect(pair[0].1 <= pair[1].0, || format!("{:#x} is there twice", pair[1].0));
    }
    found.expect(!runs.is_empty(), || "there is none".into());
}

pub(crate) fn registers(_: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let Some(notes) = found.take(notes_of(taken)) else { return };
    if taken.dump.task.is_some() {
        return;
    }
    let size = notes.iter().find(|note| note.0 == REGISTERS).map(|note| note.2);
    let known = taken.dump.registers.as_ref();
    let Some((size, known)) = size.zip(known) else {
        return found.expect(false, || "there is no note of them".into());
    };
    found.expect(size == 8 * known.iter().count(), || "one is there twice".into());
    for number in (0..=18).chain([20]) {
        found.expect(known.get(Register(number)).is_some(), || format!("no number {number}"));
    }
}

pub(crate) fn readable(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    const STATICS: [&str; 7] = [
        "CURRENT_TASK_PTR",
        "HUBRIS_TASK_TABLE_SPACE",
        "TICKS",
        "KERNEL_HAS_FAILED",
        "KERNEL_EPITAPH",
        "HUBRIS_TASK_DESCS",
        "HUBRIS_REGION_DESCS",
    ];
    // Of one task there are its record and its memory.
    if taken.dump.task.is_none() {
        for name in STATICS {
            let types = image.kernel().types();
            let there = types
                .variable(name)
                .and_then(|variable| taken.dump.memory.read(variable.at, types.size(variable.of)?));
            found.expect(there.is_some(), || name.into());
        }
    }
    let system = System::of(taken.dump);
    for (index, task) in image.tasks().iter().enumerate() {
        if taken.dump.task.is_some_and(|one| one.task.index() != index) {
            continue;
        }
        let margin = margin(system.programs(), &taken.dump.memory, index);
        found.expect(margin.is_ok(), || format!("the stack of {}", task.name));
    }
}

pub(crate) fn attach(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let id = taken.dump.memory.read(image.archive.image_id_address(), 8);
    let same = id.is_some_and(|id| id == image.archive.image_id().0.to_le_bytes());
    found.expect(same, || "the image's number is another".into());
    if taken.dump.task.is_some() {
        return;
    }
    let pc = taken.dump.registers.as_ref().and_then(|known| known.get(Register::PC));
    if let Some(pc) = pc {
        let at = Virt(pc.into());
        let inside = image.programs.iter().any(|program| program.object.text().contains(&at));
        found.expect(inside, || format!("PC {pc:#x} is in no program"));
    }
    let current = System::of(taken.dump).current().map_err(|error| error.to_string());
    if let Some(current) = found.take(current) {
        found.expect(current.is_some(), || "there is no current task".into());
    }
}
