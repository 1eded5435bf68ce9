//! The file: an ELF core with the debugger's notes (System V gABI chapter 5).

use crate::{Error, Memory, Registers};
use abi::TaskId;
use addr::Virt;
use archive::{Archive, ImageId};
use object::LittleEndian;
use object::elf::{EM_ARM, ET_CORE, FileHeader32, PT_LOAD, PT_NOTE, ProgramHeader32};
use object::read::elf::{FileHeader, ProgramHeader};
use std::path::Path;

/// Name of the debugger's notes, and their types.
const NAME: &[u8] = b"Oxide Computer Company";
const ARCHIVE: u32 = 0x1de0_0001;
const REGISTERS: u32 = 0x1de0_0002;
const TASK: u32 = 0x1de0_0003;

/// First bytes of the note about one task.
const TASK_MAGIC: [u8; 2] = [0xDA, 0xDA];

/// A dump.
#[derive(Debug)]
pub struct Dump {
    /// The archive of the image that ran.
    pub archive: Archive,
    /// What was in memory.
    pub memory: Memory,
    /// Registers of the core that runs the kernel.
    pub registers: Option<Registers>,
    /// The task that it is of, when it is of one only.
    pub task: Option<OneTask>,
}

/// What a dump of one task is of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OneTask {
    /// The task. A file has its index alone, as Humility takes the number for one;
    /// which incarnation it was is in its record.
    pub task: TaskId,
    /// When it was taken, in milliseconds since start.
    pub time: u64,
}

impl Dump {
    /// Reads the dump in the file at `path`.
    ///
    /// # Errors
    /// When there is no such file, or it is no dump.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|error| Error::File(path.to_owned(), error))?;
        Self::read(&bytes)
    }

    /// Reads the dump that `bytes` are.
    ///
    /// # Errors
    /// When they are none, or archive and memory are of two images.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let header = FileHeader32::<LittleEndian>::parse(bytes).map_err(|_| Error::NotElf)?;
        if !header.is_little_endian() || header.e_machine(LittleEndian) != EM_ARM {
            return Err(Error::NotElf);
        }
        let headers = header.program_headers(LittleEndian, bytes).map_err(|_| Error::CutOff)?;
        let mut memory = Memory::default();
        let mut notes = Notes::default();
        for header in headers {
            match header.p_type(LittleEndian) {
                PT_LOAD => {
                    let address = Virt(header.p_vaddr(LittleEndian).into());
                    memory.insert(address, loaded(header, bytes)?.to_vec())?;
                }
                PT_NOTE => notes.take(header, bytes)?,
                _ => {}
            }
        }
        let archive = notes.archive.ok_or(Error::NoArchive)?;
        let dump = Self { archive, memory, registers: notes.registers, task: notes.task };
        dump.check()?;
        Ok(dump)
    }

    /// Whether archive and memory are of one image.
    ///
    /// # Errors
    /// When they are not.
    pub fn check(&self) -> Result<(), Error> {
        let archive = self.archive.image_id();
        let memory = self.memory.read(self.archive.image_id_address(), 8);
        let memory = memory.and_then(|bytes| bytes.try_into().ok()).ok_or(Error::NoImageId)?;
        let memory = ImageId(u64::from_le_bytes(memory));
        if archive == memory { Ok(()) } else { Err(Error::OtherImage { archive, memory }) }
    }

    /// The file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut notes = Vec::new();
        if let Some(OneTask { task, time }) = self.task {
            let mut of = TASK_MAGIC.to_vec();
            of.extend((task.index() as u16).to_le_bytes());
            of.extend([0; 4]);
            of.extend(time.to_le_bytes());
            notes.push(note(TASK, &of));
        }
        if let Some(registers) = &self.registers {
            notes.push(note(REGISTERS, &registers.to_note()));
        }
        notes.push(note(ARCHIVE, self.archive.bytes()));
        let pieces = self.memory.pieces();
        let mut headers: Vec<_> =
            notes.iter().map(|note| (PT_NOTE, Virt(0), note.as_slice(), 0)).collect();
        headers
            .extend(pieces.iter().map(|p| (PT_LOAD, p.address, p.bytes.as_slice(), p.bytes.len())));
        core_file(&headers)
    }
}

/// A part of the file: type, address, contents, bytes of memory.
type Part<'p> = (object::elf::ProgramType, Virt, &'p [u8], usize);

fn core_file(parts: &[Part<'_>]) -> Vec<u8> {
    const HEADER: usize = size_of::<FileHeader32<LittleEndian>>();
    const PROGRAM_HEADER: usize = size_of::<ProgramHeader32<LittleEndian>>();
    /// Readable.
    const PF_R: u32 = 4;

    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0];
    file.extend([0; 8]);
    let half = |file: &mut Vec<u8>, half: usize| file.extend((half as u16).to_le_bytes());
    let word = |file: &mut Vec<u8>, word: u32| file.extend(word.to_le_bytes());
    half(&mut file, ET_CORE.0.into());
    half(&mut file, EM_ARM.0.into());
    for value in [1, 0, HEADER as u32, 0, 0] {
        word(&mut file, value);
    }
    for value in [HEADER, PROGRAM_HEADER, parts.len(), 0, 0, 0] {
        half(&mut file, value);
    }
    let mut offset = HEADER + parts.len() * PROGRAM_HEADER;
    for (kind, address, contents, memory) in parts {
        let (address, len) = (address.low(), contents.len() as u32);
        for value in [kind.0, offset as u32, address, address, len, *memory as u32, PF_R, 4] {
            word(&mut file, value);
        }
        offset += contents.len().next_multiple_of(4);
    }
    for (_, _, contents, _) in parts {
        file.extend(*contents);
        file.resize(file.len().next_multiple_of(4), 0);
    }
    file
}

/// A note: name and contents, each padded to words.
fn note(kind: u32, contents: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for value in [NAME.len() as u32 + 1, contents.len() as u32, kind] {
        note.extend(value.to_le_bytes());
    }
    note.extend(NAME);
    note.resize((note.len() + 1).next_multiple_of(4), 0);
    note.extend(contents);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// The bytes of a stretch of memory, all of which have to be in the file.
fn loaded<'b>(header: &ProgramHeader32<LittleEndian>, bytes: &'b [u8]) -> Result<&'b [u8], Error> {
    let data = header.data(LittleEndian, bytes).map_err(|()| Error::CutOff)?;
    let whole = header.p_memsz(LittleEndian) as usize == data.len();
    whole.then_some(data).ok_or(Error::CutOff)
}

/// What the notes say.
#[derive(Default)]
struct Notes {
    archive: Option<Archive>,
    registers: Option<Registers>,
    task: Option<OneTask>,
}

impl Notes {
    fn take(&mut self, header: &ProgramHeader32<LittleEndian>, bytes: &[u8]) -> Result<(), Error> {
        let notes = header.notes(LittleEndian, bytes).map_err(|_| Error::CutOff)?;
        for note in notes.into_iter().flatten() {
            let note = note.map_err(|_| Error::CutOff)?;
            if note.name() != NAME {
                continue;
            }
            match note.n_type(LittleEndian).0 {
                ARCHIVE if self.archive.is_some() => return Err(Error::SecondArchive),
                ARCHIVE => self.archive = Some(Archive::read(note.desc().to_vec())?),
                REGISTERS if self.registers.is_some() => return Err(Error::BadRegisters),
                REGISTERS => self.registers = Some(Registers::from_note(note.desc())?),
                TASK if self.task.is_some() => return Err(Error::BadTask),
                TASK => self.task = Some(one_task(note.desc()).ok_or(Error::BadTask)?),
                unknown => return Err(Error::UnknownNote(unknown)),
            }
        }
        Ok(())
    }
}

fn one_task(note: &[u8]) -> Option<OneTask> {
    let note: &[u8; 16] = note.try_into().ok()?;
    let [m0, m1, t0, t1, _, _, _, _, time @ ..] = note;
    let task = TaskId(u16::from_le_bytes([*t0, *t1]));
    ([*m0, *m1] == TASK_MAGIC).then(|| OneTask { task, time: u64::from_le_bytes(*time) })
}
