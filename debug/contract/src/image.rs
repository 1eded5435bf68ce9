//! An archive as Humility takes it apart.

use crate::raw::{self, Raw};
use archive::Archive;
use dump::Memory;
use gimli::{DwarfSections, EndianSlice, LittleEndian};
use object::read::elf::ElfFile32;
use object::{Object as _, ObjectSection};
use toml::Table;
use view::{Object, Types};

pub(crate) type Elf<'a> = ElfFile32<'a, object::LittleEndian>;
pub(crate) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// One program of the archive.
pub(crate) struct Program<'a> {
    pub(crate) name: &'a str,
    /// Its index; the kernel has none.
    pub(crate) task: Option<usize>,
    pub(crate) elf: Elf<'a>,
    /// Its debug information, entry by entry.
    pub(crate) raw: Raw,
    /// The same, understood.
    pub(crate) object: Object<'a>,
}

impl<'a> Program<'a> {
    fn read(name: &'a str, task: Option<usize>, bytes: &'a [u8]) -> Result<Self, String> {
        let elf = Elf::parse(bytes).map_err(|error| format!("`{name}`: {error}"))?;
        let sections = DwarfSections::load(|id| {
            Ok::<_, gimli::Error>(Slice::new(contents(&elf, id.name()), LittleEndian))
        });
        let raw = sections.and_then(|sections| raw::read(&sections.borrow(|slice| *slice)));
        let raw = raw.map_err(|error| format!("`{name}`: its debug information: {error}"))?;
        let object = Object::read(name, bytes).map_err(|error| error.to_string())?;
        Ok(Self { name, task, elf, raw, object })
    }

    pub(crate) fn types(&self) -> &Types {
        self.object.types()
    }

    /// The contents of a section; none when there is none.
    pub(crate) fn section(&self, name: &str) -> &'a [u8] {
        contents(&self.elf, name)
    }
}

fn contents<'a>(elf: &Elf<'a>, name: &str) -> &'a [u8] {
    elf.section_by_name(name).and_then(|section| section.data().ok()).unwrap_or_default()
}

/// The archive.
pub(crate) struct Image<'a> {
    pub(crate) archive: &'a Archive,
    /// The kernel, then the tasks.
    pub(crate) programs: Vec<Program<'a>>,
    pub(crate) app: Table,
    pub(crate) chip: Table,
    /// What is loaded.
    pub(crate) loaded: Memory,
}

impl<'a> Image<'a> {
    /// Takes `archive` apart; why Humility could not.
    pub(crate) fn read(archive: &'a Archive) -> Result<Self, String> {
        let mut programs = vec![Program::read("kernel", None, archive.kernel())?];
        for (index, task) in archive.tasks().enumerate() {
            programs.push(Program::read(task.name, Some(index), task.elf)?);
        }
        let table = |name: &str| {
            let text = archive.text(name).ok_or_else(|| format!("there is no `{name}`"))?;
            text.parse::<Table>().map_err(|error| format!("`{name}`: {error}"))
        };
        let loaded = Memory::of_image(archive.image()).ok_or("img/final.elf overlaps itself")?;
        Ok(Self { archive, programs, app: table("app.toml")?, chip: table("chip.toml")?, loaded })
    }

    pub(crate) fn kernel(&self) -> &Program<'a> {
        &self.programs[0]
    }

    pub(crate) fn tasks(&self) -> &[Program<'a>] {
        &self.programs[1..]
    }
}
