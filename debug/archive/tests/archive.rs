//! What is written is what is read, and nothing else is taken for an archive.

use archive::{Archive, Contents, Error};
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// An ELF file with a symbol of `size` bytes of `data`.
fn elf(architecture: Architecture, symbol: &str, data: &[u8], size: u64) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    let section = object.section_id(object::write::StandardSection::ReadOnlyData);
    let value = object.append_section_data(section, data, 8);
    object.add_symbol(Symbol {
        name: symbol.into(),
        value,
        size,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    object.write().expect("an ELF file")
}

fn kernel() -> Vec<u8> {
    elf(Architecture::Arm, "HUBRIS_IMAGE_ID", &0x0123_4567_89AB_CDEF_u64.to_le_bytes(), 8)
}

fn task() -> Vec<u8> {
    elf(Architecture::Arm, "_start", &[0; 4], 4)
}

fn contents<'c>(kernel: &'c [u8], task: &'c [u8]) -> Contents<'c> {
    Contents {
        app: "name = \"sotto\"\n",
        chip: "[uart0]\naddress = 1\nsize = 2\n",
        memory: "",
        kernel,
        tasks: vec![("jefe", task), ("beta", task), ("alpha", task)],
        core1: vec![("dsp-monitor", task)],
        image: task,
        binary: None,
        git_rev: None,
        name: "sotto",
    }
}

fn written() -> Vec<u8> {
    contents(&kernel(), &task()).write().expect("an archive")
}

/// An archive of these files, whatever they are.
fn zip(comment: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.set_comment(comment).unwrap();
    zip.finish().unwrap().into_inner()
}

const COMMENT: &str = "hubris build archive v11";

#[test]
fn what_is_written_is_what_is_read() {
    let bytes = written();
    let archive = Archive::read(bytes.clone()).unwrap();
    assert_eq!(archive.bytes(), bytes);
    assert_eq!(archive.app(), "name = \"sotto\"\n");
    assert_eq!(archive.name(), Some("sotto"));
    assert_eq!(archive.git_rev(), None);
    assert_eq!(archive.kernel(), kernel());
    assert_eq!(archive.image(), task());
    assert_eq!(archive.image_id().to_string(), "0123456789abcdef");
    let names: Vec<_> = archive.core1().map(|program| program.name).collect();
    assert_eq!(names, ["dsp-monitor"]);
}

#[test]
fn tasks_keep_the_order_of_their_indices() {
    let archive = Archive::read(written()).unwrap();
    let names: Vec<_> = archive.tasks().map(|task| task.name).collect();
    assert_eq!(names, ["jefe", "beta", "alpha"]);
}

#[test]
fn equal_contents_make_equal_bytes() {
    assert_eq!(written(), written());
}

#[test]
fn a_file_is_opened_and_a_missing_one_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("build-sotto.zip");
    assert!(matches!(Archive::open(&path), Err(Error::File(at, _)) if at == path));
    std::fs::write(&path, written()).unwrap();
    assert_eq!(Archive::open(&path).unwrap().name(), Some("sotto"));
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    let whole = written();
    for len in 0..whole.len() {
        assert!(Archive::read(whole[..len].to_vec()).is_err(), "{len} bytes");
    }
}

/// The rest of a byte's values are names and times, of which an archive may
/// have others.
#[test]
fn a_changed_byte_of_a_file_is_found() {
    let whole = written();
    let app = b"name = \"sotto\"\n";
    let mut damaged = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        match Archive::read(bytes) {
            Ok(archive) => assert_eq!(archive.app().as_bytes(), app, "byte {at}"),
            Err(Error::Damaged(..)) => damaged += 1,
            Err(_) => {}
        }
    }
    assert!(damaged > whole.len() / 4, "{damaged} of {}", whole.len());
}

#[test]
fn each_thing_that_is_no_archive_has_its_own_refusal() {
    let (kernel, task) = (kernel(), task());
    let all: [(&str, &[u8]); 4] = [
        ("app.toml", b"name = 1"),
        ("elf/kernel", &kernel),
        ("elf/task/jefe", &task),
        ("img/final.elf", &task),
    ];
    let without = |name: &str| -> Vec<_> { all.into_iter().filter(|f| f.0 != name).collect() };
    let with = |name: &str, bytes: &'static [u8]| -> Vec<_> {
        all.into_iter().map(|f| if f.0 == name { (f.0, bytes) } else { f }).collect()
    };
    let refusal = |bytes: Vec<u8>| match Archive::read(bytes) {
        Ok(archive) => panic!("{archive:?}"),
        Err(error) => format!("{error:?}"),
    };
    assert!(Archive::read(zip(COMMENT, &all)).is_ok());
    for (bytes, expected) in [
        (b"no zip file".to_vec(), "NotZip"),
        (zip("", &all), "NotArchive"),
        (zip("hubris build archive vx", &all), "NotArchive"),
        (zip("hubris build archive v12", &all), "Newer(12)"),
        (zip(COMMENT, &without("app.toml")), "Missing(\"app.toml\")"),
        (zip(COMMENT, &without("elf/kernel")), "Missing(\"elf/kernel\")"),
        (zip(COMMENT, &without("img/final.elf")), "Missing(\"img/final.elf\")"),
        (zip(COMMENT, &without("elf/task/jefe")), "NoTask"),
        (zip(COMMENT, &with("app.toml", &[0xFF])), "NotText(\"app.toml\")"),
        (zip(COMMENT, &with("elf/task/jefe", b"text")), "NotElf(\"elf/task/jefe\")"),
        (zip(COMMENT, &with("elf/kernel", b"")), "NotElf(\"elf/kernel\")"),
    ] {
        let refusal = refusal(bytes);
        assert!(refusal.starts_with(expected), "{refusal} instead of {expected}");
    }
}

#[test]
fn an_elf_file_of_another_machine_is_refused() {
    let foreign = elf(Architecture::X86_64, "_start", &[0; 4], 4);
    let bytes = contents(&kernel(), &foreign).write().unwrap();
    assert!(matches!(Archive::read(bytes), Err(Error::NotElf(name)) if name == "elf/task/jefe"));
}

#[test]
fn a_kernel_without_the_images_number_is_refused() {
    for (symbol, size) in [("HUBRIS_IMAGE", 8), ("HUBRIS_IMAGE_ID", 4), ("HUBRIS_IMAGE_ID", 0)] {
        let kernel = elf(Architecture::Arm, symbol, &[0; 8], size);
        let bytes = contents(&kernel, &task()).write().unwrap();
        assert!(matches!(Archive::read(bytes), Err(Error::NoImageId)), "{symbol} {size}");
    }
}
