//! What is written is what is read, and nothing else is taken for a dump.

use abi::TaskId;
use addr::Virt;
use archive::{Archive, Contents, ImageId};
use dump::{Dump, Error, Memory, OneTask, Register, Registers};
use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

const ID: ImageId = ImageId(0x0123_4567_89AB_CDEF);

/// An archive of an image whose number is at address 0.
fn archive() -> Archive {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Arm, Endianness::Little);
    let section = object.section_id(StandardSection::ReadOnlyData);
    let value = object.append_section_data(section, &ID.0.to_le_bytes(), 8);
    object.add_symbol(Symbol {
        name: b"HUBRIS_IMAGE_ID".into(),
        value,
        size: 8,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    let elf = object.write().unwrap();
    let contents = Contents {
        app: "",
        chip: "",
        memory: "",
        kernel: &elf,
        tasks: vec![("jefe", &elf)],
        core1: vec![],
        image: &elf,
        binary: None,
        git_rev: None,
        name: "tiny",
    };
    Archive::read(contents.write().unwrap()).unwrap()
}

fn dump() -> Dump {
    let mut memory = Memory::default();
    memory.insert(Virt(0), ID.0.to_le_bytes().to_vec()).unwrap();
    memory.insert(Virt(0x4000_0001), vec![7; 5]).unwrap();
    let mut registers = Registers::default();
    registers.set(Register::PC, 0x4000_0002);
    registers.set(Register(0), 9);
    Dump { archive: archive(), memory, registers: Some(registers), task: None }
}

#[test]
fn what_is_written_is_what_is_read() {
    let task = Some(OneTask { task: TaskId(3), time: 1 << 40 });
    for written in [dump(), Dump { registers: None, task, ..dump() }] {
        let read = Dump::read(&written.write()).unwrap();
        assert_eq!(read.memory, written.memory);
        assert_eq!(read.registers, written.registers);
        assert_eq!(read.task, written.task);
        assert_eq!(read.archive.bytes(), written.archive.bytes());
    }
}

/// Humility takes the number of the task for its index.
#[test]
fn a_task_that_had_died_before_is_known_by_its_index() {
    let task = Some(OneTask { task: TaskId(0x0C03), time: 7 });
    let read = Dump::read(&Dump { task, ..dump() }.write()).unwrap();
    assert_eq!(read.task, Some(OneTask { task: TaskId(3), time: 7 }));
}

#[test]
fn a_dump_cut_off_anywhere_is_refused() {
    let whole = dump().write();
    // The last piece is padded to a word.
    for len in 0..whole.len() - 3 {
        assert!(Dump::read(&whole[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_changed_byte_is_an_error_or_nothing_worse() {
    let whole = dump().write();
    for at in 0..whole.len() {
        for bit in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            if let Ok(read) = Dump::read(&bytes) {
                assert_eq!(read.archive.image_id(), ID);
            }
        }
    }
}

#[test]
fn memory_of_another_build_is_refused() {
    let mut other = dump();
    let id = ImageId(ID.0 + 1);
    other.memory.replace(Virt(0), &id.0.to_le_bytes()).unwrap();
    let refusal = Dump::read(&other.write());
    assert!(
        matches!(refusal, Err(Error::OtherImage { archive: ID, memory }) if memory == id),
        "{refusal:?}"
    );
}

/// Type, name and contents of a note, as the file has it.
fn note(kind: u32, name: &str, contents: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [name.len() as u32 + 1, contents.len() as u32, kind] {
        note.extend(word.to_le_bytes());
    }
    note.extend(name.as_bytes());
    note.resize((note.len() + 1).next_multiple_of(4), 0);
    note.extend(contents);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// A file with these notes and one piece of memory.
fn file(notes: &[u8], address: u32, piece: &[u8]) -> Vec<u8> {
    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0];
    file.resize(16, 0);
    let halves = |file: &mut Vec<u8>, halves: &[u16]| {
        file.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    };
    let words = |file: &mut Vec<u8>, words: &[u32]| {
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    halves(&mut file, &[4, 40]);
    words(&mut file, &[1, 0, 52, 0, 0]);
    halves(&mut file, &[52, 32, 3, 0, 0, 0]);
    let at = 52 + 3 * 32;
    words(&mut file, &[4, at, 0, 0, notes.len() as u32, 0, 4, 4]);
    let load = at + notes.len() as u32;
    let len = piece.len() as u32;
    words(&mut file, &[1, load, address, address, len, len, 4, 4]);
    words(&mut file, &[1, load, 0, 0, 8, 8, 4, 4]);
    file.extend(notes);
    file.extend(piece);
    file
}

#[test]
fn each_thing_that_is_no_dump_has_its_own_refusal() {
    const OURS: &str = "Oxide Computer Company";
    let archive = note(0x1de0_0001, OURS, archive().bytes());
    let notes = |more: &[Vec<u8>]| [archive.clone(), more.concat()].concat();
    let registers = |words: &[u32]| {
        note(0x1de0_0002, OURS, &words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>())
    };
    let task = |magic: u8, len| note(0x1de0_0003, OURS, &vec![magic; len]);
    let id = ID.0.to_le_bytes();
    let with = |more: &[Vec<u8>]| file(&notes(more), 0x100, &id);
    let mut short = with(&[]);
    // The memory of the first piece is longer than the file.
    short[52 + 32 + 20] += 1;

    assert!(Dump::read(&with(&[])).is_ok());
    assert!(Dump::read(&with(&[note(7, "CORE", b"foreign")])).is_ok());
    for (bytes, expected) in [
        (b"no dump".to_vec(), "NotElf"),
        (short, "CutOff"),
        (file(&[], 0x100, &id), "NoArchive"),
        (with(std::slice::from_ref(&archive)), "SecondArchive"),
        (file(&note(0x1de0_0001, OURS, b"zip"), 0x100, &id), "Archive(NotZip("),
        (with(&[note(0x1de0_0004, OURS, b"")]), "UnknownNote(501219332)"),
        (with(&[registers(&[1, 2, 3])]), "BadRegisters"),
        (with(&[note(0x1de0_0002, OURS, b"odd")]), "BadRegisters"),
        (with(&[registers(&[1, 2]), registers(&[3, 4])]), "BadRegisters"),
        (with(&[registers(&[1, 2, 1, 2])]), "SecondValue(1)"),
        (with(&[task(0xDA, 15)]), "BadTask"),
        (with(&[task(0xDB, 16)]), "BadTask"),
        (with(&[task(0xDA, 16), task(0xDA, 16)]), "BadTask"),
        (file(&notes(&[]), 4, &id), "Overlap(Virt(0x0))"),
        (file(&notes(&[]), 0xFFFF_FFFC, &id), "OutOfSpace("),
    ] {
        let refusal = match Dump::read(&bytes) {
            Ok(dump) => panic!("{:?} instead of {expected}", dump.memory),
            Err(error) => format!("{error:?}"),
        };
        assert!(refusal.starts_with(expected), "{refusal} instead of {expected}");
    }
}

#[test]
fn a_dump_without_the_images_number_is_refused() {
    let mut without = dump();
    without.memory = Memory::default();
    assert!(matches!(Dump::read(&without.write()), Err(Error::NoImageId)));
}
