//! The memory that tables are made in.

use crate::mapping::Mapping;
use crate::{PAGE, SECTION};

/// Words of a second-level table: 256 small pages.
const SECOND_LEVEL: usize = 256;

/// A first-level table: where in the room it begins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FirstLevel(usize);

impl FirstLevel {
    /// The table that follows `entries` entries after this one, taken with it.
    pub(crate) const fn plus(self, entries: usize) -> Self {
        Self(self.0 + entries)
    }
}

/// Memory for tables. Parts are given out one after the other, so that what is
/// asked for in descending order of size is aligned as the hardware wants it.
#[derive(Debug)]
pub struct Room<'w> {
    words: &'w mut [u32],
    base: u32,
    used: usize,
}

impl<'w> Room<'w> {
    /// A room in `words`, all 0, which the hardware sees at `base`.
    pub fn new(words: &'w mut [u32], base: u32) -> Self {
        Self { words, base, used: 0 }
    }

    /// Words given out.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// A first-level table with an entry for each of `megabytes`, empty.
    ///
    /// # Panics
    /// When the room is full: the build makes it as large as the tables.
    pub fn first_level(&mut self, megabytes: usize) -> FirstLevel {
        FirstLevel(self.take(megabytes))
    }

    /// Where the hardware sees a table.
    #[must_use]
    pub fn address(&self, table: FirstLevel) -> u32 {
        self.at(table.0)
    }

    /// Maps `bytes` bytes at `from` to `to`, whole megabytes as sections. All
    /// are multiples of a page.
    ///
    /// # Panics
    /// When the room is full, and when `table` does not reach to the end of
    /// what is to be mapped.
    pub fn map(&mut self, table: FirstLevel, from: u32, to: u32, bytes: u32, mapping: Mapping) {
        let mut done = 0;
        while done < bytes {
            let (at, target) = (from + done, to + done);
            let entry = table.0 + (at / SECTION) as usize;
            let whole = at.is_multiple_of(SECTION)
                && target.is_multiple_of(SECTION)
                && bytes - done >= SECTION;
            if whole {
                *self.word(entry) = mapping.section(target);
                done += SECTION;
            } else {
                let pages = self.pages_of(entry, mapping);
                *self.word(pages + (at % SECTION / PAGE) as usize) = mapping.page(target);
                done += PAGE;
            }
        }
    }

    /// Gives the megabyte of `at` in `to` the meaning that it has in `from`.
    ///
    /// # Panics
    /// When a table does not reach so far.
    pub fn share(&mut self, from: FirstLevel, to: FirstLevel, at: u32) {
        let megabyte = (at / SECTION) as usize;
        *self.word(to.0 + megabyte) = *self.word(from.0 + megabyte);
    }

    /// The second-level table of a first-level `entry`, made when there is none.
    fn pages_of(&mut self, entry: usize, mapping: Mapping) -> usize {
        let present = *self.word(entry);
        if present != 0 {
            return ((present & !0x3FF) - self.base) as usize / size_of::<u32>();
        }
        let table = self.take(SECOND_LEVEL);
        *self.word(entry) = mapping.table(self.at(table));
        table
    }

    fn take(&mut self, words: usize) -> usize {
        let at = self.used;
        self.used += words;
        assert!(self.used <= self.words.len(), "more translation tables than room for them");
        at
    }

    fn at(&self, word: usize) -> u32 {
        self.base + (word * size_of::<u32>()) as u32
    }

    fn word(&mut self, at: usize) -> &mut u32 {
        &mut self.words[at]
    }
}
