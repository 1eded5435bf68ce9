//! Stretches of memory.

use crate::Error;
use addr::Virt;
use object::{Object, ObjectSegment};

/// A stretch of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first byte.
    pub address: Virt,
    /// What is there.
    pub bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.address.0 + self.bytes.len() as u64
    }
}

/// Memory of a 32-bit address space, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In the order of their addresses; no two touch.
    pieces: Vec<Piece>,
}

impl Memory {
    /// What the ELF file `elf` loads, without what it only makes room for; `None`
    /// when it is damaged.
    #[must_use]
    pub fn of_image(elf: &[u8]) -> Option<Self> {
        let file = object::File::parse(elf).ok()?;
        let mut memory = Self::default();
        for segment in file.segments() {
            memory.insert(Virt(segment.address()), segment.data().ok()?.to_vec()).ok()?;
        }
        Some(memory)
    }

    /// The pieces, in the order of their addresses; no two touch.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// When some of it is known already, or it leaves the address space.
    pub fn insert(&mut self, address: Virt, bytes: Vec<u8>) -> Result<(), Error> {
        let piece = Piece { address, bytes };
        let end = address.0.checked_add(piece.bytes.len() as u64);
        if end.is_none_or(|end| end > 1 << 32) {
            return Err(Error::OutOfSpace(address));
        }
        if piece.bytes.is_empty() {
            return Ok(());
        }
        let at = self.pieces.partition_point(|known| known.address < address);
        let overlaps = |one: &Piece, next: &Piece| one.end() > next.address.0;
        if at > 0 && overlaps(&self.pieces[at - 1], &piece)
            || self.pieces.get(at).is_some_and(|next| overlaps(&piece, next))
        {
            return Err(Error::Overlap(address));
        }
        self.pieces.insert(at, piece);
        // Reads may span what was added in pieces.
        self.join(at);
        if at > 0 {
            self.join(at - 1);
        }
        Ok(())
    }

    /// Joins piece `at` and the next if they touch.
    fn join(&mut self, at: usize) {
        let touch = |pair: &[Piece]| pair[0].end() == pair[1].address.0;
        if self.pieces.get(at..at + 2).is_some_and(touch) {
            let next = self.pieces.remove(at + 1);
            self.pieces[at].bytes.extend(next.bytes);
        }
    }

    /// The `len` bytes at `address`, if all are known.
    #[must_use]
    pub fn read(&self, address: Virt, len: usize) -> Option<&[u8]> {
        let (piece, offset) = self.place(address)?;
        self.pieces[piece].bytes.get(offset..offset.checked_add(len)?)
    }

    /// The little-endian word at `address`.
    #[must_use]
    pub fn word(&self, address: Virt) -> Option<u32> {
        Some(u32::from_le_bytes(self.read(address, 4)?.try_into().ok()?))
    }

    /// Puts `bytes` in the place of those at `address`; `None`, and nothing
    /// changed, when some of them are not known.
    #[must_use]
    pub fn replace(&mut self, address: Virt, bytes: &[u8]) -> Option<()> {
        let (piece, offset) = self.place(address)?;
        let known = &mut self.pieces[piece].bytes;
        known.get_mut(offset..offset.checked_add(bytes.len())?)?.copy_from_slice(bytes);
        Some(())
    }

    /// Which piece `address` is in, and where there.
    fn place(&self, address: Virt) -> Option<(usize, usize)> {
        let piece = self.pieces.partition_point(|p| p.address <= address).checked_sub(1)?;
        Some((piece, address.offset_from(self.pieces[piece].address)? as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Memory};
    use addr::Virt;
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq};
    use std::collections::BTreeMap;

    #[test]
    fn pieces_that_touch_become_one_and_a_read_spans_them() {
        let mut memory = Memory::default();
        memory.insert(Virt(0x108), vec![3; 4]).unwrap();
        memory.insert(Virt(0x100), vec![1; 4]).unwrap();
        assert_eq!(memory.pieces().len(), 2);
        assert_eq!(memory.read(Virt(0x100), 5), None);
        memory.insert(Virt(0x104), vec![2; 4]).unwrap();
        assert_eq!(memory.pieces().len(), 1);
        assert_eq!(memory.word(Virt(0x106)), Some(0x0303_0202));
        assert_eq!(memory.read(Virt(0x100), 13), None);
    }

    #[test]
    fn what_is_known_is_not_added_again() {
        let mut memory = Memory::default();
        memory.insert(Virt(0x100), vec![1; 8]).unwrap();
        for (address, len) in [(0xFF, 2), (0x100, 1), (0x107, 9), (0xF0, 0x100)] {
            let refusal = memory.insert(Virt(address), vec![0; len]);
            assert!(matches!(refusal, Err(Error::Overlap(at)) if at == Virt(address)));
        }
        assert_eq!(memory.read(Virt(0x100), 8), Some(&[1; 8][..]));
    }

    #[test]
    fn nothing_lies_past_the_address_space() {
        let mut memory = Memory::default();
        assert!(memory.insert(Virt(0xFFFF_FFFF), vec![1]).is_ok());
        for address in [0xFFFF_FFFF, 1 << 32, u64::MAX] {
            let refusal = memory.insert(Virt(address), vec![0; 2]);
            assert!(matches!(refusal, Err(Error::OutOfSpace(_))), "{address:#x}");
        }
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// It is a map from address to byte.
        #[test]
        fn what_was_added_or_replaced_last_is_what_is_read(
            steps in vec((any::<bool>(), 0..40u64, vec(any::<u8>(), 0..12)), 0..20),
            at in 0..40u64,
            len in 0..12usize,
        ) {
            let mut memory = Memory::default();
            let mut bytes = BTreeMap::new();
            for (add, address, new) in steps {
                let places: Vec<u64> = (address..).take(new.len()).collect();
                let done = if add {
                    memory.insert(Virt(address), new.clone()).is_ok()
                } else {
                    memory.replace(Virt(address), &new).is_some()
                };
                let known = |place: &u64| bytes.contains_key(place);
                if new.is_empty() {
                    continue;
                }
                prop_assert_eq!(
                    done,
                    if add { !places.iter().any(known) } else { places.iter().all(known) }
                );
                if done {
                    bytes.extend(places.into_iter().zip(new));
                }
            }
            let expected: Option<Vec<u8>> =
                (at..).take(len).map(|place| bytes.get(&place).copied()).collect();
            if len > 0 {
                prop_assert_eq!(memory.read(Virt(at), len).map(<[u8]>::to_vec), expected);
            }
        }
    }
}
