//! As much of ELF as an image needs: what is loaded where (ELF32, little
//! endian, System V gABI chapters 4 and 5).

use crate::Error;
use crate::layout::Area;
use object::read::elf::ElfFile32;
use object::{LittleEndian, Object, ObjectSymbol};
use std::collections::HashMap;
use std::path::Path;

/// A stretch of memory that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its address.
    pub(crate) address: u32,
    /// Its first bytes.
    pub(crate) bytes: Vec<u8>,
    /// Its length; zeros follow the bytes.
    pub(crate) size: u32,
    /// Permissions as `PF_*`.
    pub(crate) flags: u32,
}

impl Segment {
    pub(crate) fn end(&self) -> u32 {
        self.address + self.size
    }

    pub(crate) fn is_executable(&self) -> bool {
        self.flags & PF_X != 0
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.flags & PF_W != 0
    }

    /// The section it becomes: where in [`NAMES`] its name is, and its flags.
    fn section(&self) -> (u32, u32) {
        if self.is_executable() {
            (11, SHF_ALLOC | SHF_EXECINSTR)
        } else if self.is_writable() {
            (25, SHF_ALLOC | SHF_WRITE)
        } else {
            (17, SHF_ALLOC)
        }
    }
}

/// A linked program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Where it starts; bit 0 set for Thumb.
    pub(crate) entry: u32,
    /// What is loaded, without empty stretches.
    pub(crate) segments: Vec<Segment>,
    /// Names and their values.
    pub(crate) symbols: HashMap<String, u32>,
}

const MAGIC: [u8; 6] = [0x7F, b'E', b'L', b'F', 1, 1];
const ET_EXEC: u16 = 2;
const EM_ARM: u16 = 40;
/// EABI version 5, soft float.
const EF_ARM: u32 = 0x0500_0200;
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const HEADER: usize = 52;
const PROGRAM_HEADER: usize = 32;
const SECTION_HEADER: u16 = 40;
const SHT_PROGBITS: u32 = 1;
const SHT_STRTAB: u32 = 3;
const SHF_WRITE: u32 = 1;
const SHF_ALLOC: u32 = 2;
const SHF_EXECINSTR: u32 = 4;
/// Names of sections.
const NAMES: &[u8] = b"\0.shstrtab\0.text\0.rodata\0.data\0";

impl Program {
    /// Keeps what was just built, over which the next of its binary's name is
    /// built, as `name` in the folder `work`, and reads it; the program and its
    /// file.
    pub(crate) fn keep(built: &Path, work: &Path, name: &str) -> Result<(Self, Vec<u8>), Error> {
        let kept = work.join(name);
        std::fs::copy(built, &kept).map_err(|error| Error::file(built, error))?;
        let bytes = std::fs::read(&kept).map_err(|error| Error::file(&kept, error))?;
        let program = Self::read(&bytes).ok_or_else(|| Error::NotElf(name.into()))?;
        Ok((program, bytes))
    }

    /// Reads a linked program; `None` when `file` is none for this target.
    pub(crate) fn read(file: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
        if !file.starts_with(&MAGIC) || half(18)? != EM_ARM {
            return None;
        }
        let (table, size, count) = (word(28)? as usize, half(42)?, half(44)?);
        let sections = usize::from(half(46)?) * usize::from(half(48)?);
        // A file that was cut off lacks what is at its end.
        file.get(word(32)? as usize..)?.get(..sections)?;
        let mut segments = Vec::new();
        for n in 0..usize::from(count) {
            let at = table.checked_add(n * usize::from(size))?;
            let (kind, memory) = (word(at)?, word(at + 20)?);
            if kind != PT_LOAD || memory == 0 {
                continue;
            }
            let (offset, len) = (word(at + 4)? as usize, word(at + 16)? as usize);
            segments.push(Segment {
                address: word(at + 8)?,
                bytes: file.get(offset..offset.checked_add(len)?)?.to_vec(),
                size: memory,
                flags: word(at + 24)?,
            });
        }
        let parsed = ElfFile32::<LittleEndian>::parse(file).ok()?;
        let symbols = parsed
            .symbols()
            .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address() as u32)));
        Some(Self { entry: word(24)?, segments, symbols: symbols.collect() })
    }

    /// The memory from the symbol `from` to the symbol `to` of the linker script
    /// of `part`, which this is.
    pub(crate) fn between(&self, part: &str, from: &str, to: &str) -> Result<Area, Error> {
        let at = |name: &str| {
            let lacks = || Error::NoSymbol(part.to_owned(), name.to_owned());
            self.symbols.get(name).copied().ok_or_else(lacks)
        };
        let base = at(from)?;
        Ok(Area { base, size: at(to)? - base })
    }

    /// Bytes of those segments that `of` says.
    pub(crate) fn size(&self, of: impl Fn(&Segment) -> bool) -> u32 {
        self.segments.iter().filter(|segment| of(segment)).map(|segment| segment.size).sum()
    }

    /// Bytes of code.
    pub(crate) fn text(&self) -> u32 {
        self.size(Segment::is_executable)
    }

    /// Bytes of constants.
    pub(crate) fn constants(&self) -> u32 {
        self.size(|segment| !segment.is_executable() && !segment.is_writable())
    }

    /// Everything that makes it what it is, for a digest.
    pub(crate) fn contents(&self) -> Vec<u8> {
        let mut all = self.entry.to_le_bytes().to_vec();
        for segment in &self.segments {
            for word in [segment.address, segment.size, segment.flags] {
                all.extend(word.to_le_bytes());
            }
            all.extend(&segment.bytes);
        }
        all
    }
}

/// All `segments` as they lie in memory from the lowest address on, zeros between
/// and after them.
pub(crate) fn flat(segments: &[&Segment]) -> Vec<u8> {
    let base = segments.iter().map(|segment| segment.address).min().unwrap_or(0);
    let end = segments.iter().map(|segment| segment.end()).max().unwrap_or(0);
    let mut memory = vec![0; (end - base) as usize];
    for segment in segments {
        let at = (segment.address - base) as usize;
        memory[at..at + segment.bytes.len()].copy_from_slice(&segment.bytes);
    }
    memory
}

/// One ELF file that loads all `segments` and starts at `entry`. Each piece that
/// has bytes is a section too: debuggers look for contents there.
pub(crate) fn join(entry: u32, segments: &[&Segment]) -> Vec<u8> {
    let pieces: Vec<_> = segments.iter().filter(|segment| !segment.bytes.is_empty()).collect();
    let names_at: u32 = (HEADER + segments.len() * PROGRAM_HEADER) as u32;
    let contents_at = (names_at as usize + NAMES.len()).next_multiple_of(4);
    let contents: usize = segments.iter().map(|segment| segment.bytes.len()).sum();
    let sections_at = (contents_at + contents).next_multiple_of(4);

    let mut file = Vec::new();
    let words = |file: &mut Vec<u8>, words: &[u32]| {
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    file.extend(MAGIC);
    file.extend([1, 0]); // EV_CURRENT, no particular ABI
    file.extend([0; 8]);
    file.extend(ET_EXEC.to_le_bytes());
    file.extend(EM_ARM.to_le_bytes());
    words(&mut file, &[1, entry, HEADER as u32, sections_at as u32, EF_ARM]);
    // The null section, then that of the names.
    let sections = pieces.len() as u16 + 2;
    let halves =
        [HEADER as u16, PROGRAM_HEADER as u16, segments.len() as u16, SECTION_HEADER, sections, 1];
    file.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    let mut offset = contents_at as u32;
    for segment in segments {
        let (address, len) = (segment.address, segment.bytes.len() as u32);
        words(&mut file, &[PT_LOAD, offset, address, address, len, segment.size, segment.flags, 4]);
        offset += len;
    }
    file.extend(NAMES);
    file.resize(contents_at, 0);
    for segment in segments {
        file.extend(&segment.bytes);
    }
    file.resize(sections_at, 0);
    words(&mut file, &[0; SECTION_HEADER as usize / 4]);
    words(&mut file, &[1, SHT_STRTAB, 0, 0, names_at, NAMES.len() as u32, 0, 0, 1, 0]);
    let mut offset = contents_at as u32;
    for segment in pieces {
        let (len, (name, flags)) = (segment.bytes.len() as u32, segment.section());
        let address = segment.address;
        words(&mut file, &[name, SHT_PROGBITS, flags, address, offset, len, 0, 0, 4, 0]);
        offset += len;
    }
    file
}

#[cfg(test)]
mod tests {
    use super::{PF_X, Program, Segment, flat, join};
    use object::read::elf::ElfFile32;
    use object::{LittleEndian, Object, ObjectSection, SectionKind};

    fn segments() -> [Segment; 2] {
        [
            Segment { address: 0x4020_0000, bytes: vec![1, 2, 3], size: 3, flags: 4 | PF_X },
            Segment { address: 0x4030_0000, bytes: vec![], size: 4096, flags: 6 },
        ]
    }

    #[test]
    fn what_is_joined_is_what_is_read() {
        let file = join(0x4020_0001, &segments().each_ref());
        let program = Program::read(&file).unwrap();
        assert_eq!(program.entry, 0x4020_0001);
        assert_eq!(program.segments, segments());
    }

    #[test]
    fn every_piece_with_bytes_is_a_section() {
        let file = join(0x4020_0001, &segments().each_ref());
        let file = ElfFile32::<LittleEndian>::parse(&*file).unwrap();
        let sections: Vec<_> = file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text)
            .map(|section| (section.name().unwrap(), section.address(), section.data().unwrap()))
            .collect();
        assert_eq!(sections, [(".text", 0x4020_0000, &[1, 2, 3][..])]);
        // Beside it the null section and that of the names.
        assert_eq!(file.elf_section_table().len(), 3);
    }

    #[test]
    fn flat_memory_has_each_piece_at_its_place_and_zeros_elsewhere() {
        let memory = flat(&segments().each_ref());
        assert_eq!(memory.len(), 0x10_1000);
        assert_eq!(memory[..4], [1, 2, 3, 0]);
        assert!(memory[4..].iter().all(|&byte| byte == 0));
        assert_eq!(flat(&[]), []);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let file = join(0x4020_0001, &segments().each_ref());
        for len in 0..file.len() {
            assert!(Program::read(&file[..len]).is_none(), "{len} bytes");
        }
    }
}
