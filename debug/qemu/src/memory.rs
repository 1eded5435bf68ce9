//! The guest's RAM, seen from outside.
//!
//! QEMU keeps the RAM in a file that it shares. Reading the file neither stops
//! the machine nor takes any of its time, so that a run which is watched is the
//! run that is not.

use crate::Error;
use addr::Phys;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where RAM begins.
pub const RAM: Phys = Phys(0x4000_0000);

/// A view of the guest's RAM, which stays after the machine ended.
#[derive(Debug)]
pub struct Memory {
    file: File,
}

impl Memory {
    pub(crate) fn new(file: File) -> Self {
        Self { file }
    }

    /// Copies RAM from `at` on. What the guest writes meanwhile may be there or
    /// not.
    ///
    /// # Errors
    /// When that is not all RAM.
    pub fn read(&self, at: Phys, into: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(into, offset(at)?).map_err(|error| Error::Io("the RAM", error))
    }

    /// The little-endian word at `at`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn word(&self, at: Phys) -> Result<u32, Error> {
        let mut word = [0; 4];
        self.read(at, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    /// All of RAM, from [`RAM`] on.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn all(&self) -> Result<Vec<u8>, Error> {
        let bytes = self.file.metadata().map_err(|error| Error::Io("the RAM", error))?.len();
        let mut all = vec![0; bytes as usize];
        self.read(RAM, &mut all)?;
        Ok(all)
    }

    /// Copies `from` into RAM.
    ///
    /// # Errors
    /// When that is not all RAM.
    pub fn write(&self, at: Phys, from: &[u8]) -> Result<(), Error> {
        let start = offset(at)?;
        let bytes = self.file.metadata().map_err(|error| Error::Io("the RAM", error))?.len();
        // Writing behind its end would make the file longer.
        if start.checked_add(from.len() as u64).is_none_or(|end| end > bytes) {
            return Err(outside());
        }
        self.file.write_all_at(from, start).map_err(|error| Error::Io("the RAM", error))
    }
}

fn offset(at: Phys) -> Result<u64, Error> {
    at.offset_from(RAM).ok_or_else(outside)
}

fn outside() -> Error {
    Error::Io("the RAM", io::Error::from(io::ErrorKind::UnexpectedEof))
}

#[cfg(test)]
mod tests {
    use super::{Memory, RAM};

    #[test]
    fn what_is_written_is_read_and_nothing_outside_is_either() {
        let file = tempfile::tempfile().expect("a file without a name");
        file.set_len(0x1000).expect("room for a page");
        let memory = Memory::new(file);
        memory.write(RAM.plus(0xFFC), &[1, 2, 3, 4]).expect("the last word");
        assert_eq!(memory.word(RAM.plus(0xFFC)).expect("the last word"), 0x0403_0201);
        assert_eq!(memory.all().expect("a page")[0xFFB..], [0, 1, 2, 3, 4]);
        assert!(memory.word(RAM.plus(0xFFD)).is_err());
        assert!(memory.write(RAM.plus(0xFFD), &[0; 4]).is_err());
        assert!(memory.word(addr::Phys(RAM.0 - 4)).is_err());
        assert!(memory.write(addr::Phys(u64::MAX), &[0; 4]).is_err());
    }
}
