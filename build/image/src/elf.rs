//! As much of ELF as an image needs: what is loaded where (ELF32, little
//! endian, System V gABI chapters 4 and 5).

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
}

/// A linked program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Where it starts; bit 0 set for Thumb.
    pub(crate) entry: u32,
    /// What is loaded, without empty stretches.
    pub(crate) segments: Vec<Segment>,
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

impl Program {
    /// Reads a linked program; `None` when `file` is none for this target.
    pub(crate) fn read(file: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
        if !file.starts_with(&MAGIC) || half(18)? != EM_ARM {
            return None;
        }
        let (table, size, count) = (word(28)? as usize, half(42)?, half(44)?);
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
        Some(Self { entry: word(24)?, segments })
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

/// One ELF file that loads all `segments` and starts at `entry`.
pub(crate) fn join(entry: u32, segments: &[&Segment]) -> Vec<u8> {
    let mut offset = HEADER + segments.len() * PROGRAM_HEADER;
    let mut file = Vec::new();
    file.extend(MAGIC);
    file.extend([1, 0]); // EV_CURRENT, no particular ABI
    file.extend([0; 8]);
    file.extend(ET_EXEC.to_le_bytes());
    file.extend(EM_ARM.to_le_bytes());
    for word in [1, entry, HEADER as u32, 0, EF_ARM] {
        file.extend(word.to_le_bytes());
    }
    let halves = [HEADER as u16, PROGRAM_HEADER as u16, segments.len() as u16, 40, 0, 0];
    file.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    for segment in segments {
        let (address, len) = (segment.address, segment.bytes.len() as u32);
        for word in [PT_LOAD, offset as u32, address, address, len, segment.size, segment.flags, 4]
        {
            file.extend(word.to_le_bytes());
        }
        offset += segment.bytes.len();
    }
    for segment in segments {
        file.extend(&segment.bytes);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::{PF_X, Program, Segment, join};

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
    fn a_file_cut_anywhere_is_refused() {
        let file = join(0x4020_0001, &segments().each_ref());
        for len in 0..file.len() {
            assert!(Program::read(&file[..len]).is_none(), "{len} bytes");
        }
    }
}
