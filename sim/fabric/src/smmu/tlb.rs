//! The SMMU's translation cache.
//!
//! It forgets what a command tells it to, and what it needs room for. An entry
//! whose descriptor was changed in memory is *stale*: it may be used or not
//! until it is forgotten, and its page must not be used for anything else.

use crate::memory::Memory;
use addr::{PAGE, Phys};

/// Entries; more than any scenario needs, so that hardly one goes by itself.
const ENTRIES: usize = 1024;

/// A cached translation.
#[derive(Copy, Clone, Debug)]
pub(super) struct Entry {
    /// Address space; `None` for a global one.
    pub(super) space: Option<u16>,
    /// Input page number.
    pub(super) page: u64,
    /// The page descriptor.
    pub(super) descriptor: u64,
    /// The descriptors that the walk went through, last one first.
    pub(super) path: [Phys; 3],
    /// The page that it leads to.
    pub(super) to: Phys,
    pub(super) stale: bool,
}

#[derive(Debug)]
pub(super) struct Tlb(Box<[Option<Entry>; ENTRIES]>);

impl Default for Tlb {
    fn default() -> Self {
        Self(Box::new([None; ENTRIES]))
    }
}

impl Tlb {
    /// The translation of `page` in `space`, or a global one.
    pub(super) fn get(&self, space: u16, page: u64) -> Option<Entry> {
        let hit = |space: Option<u16>| {
            self.0[index(space, page)].filter(|entry| entry.page == page && entry.space == space)
        };
        hit(Some(space)).or_else(|| hit(None))
    }

    pub(super) fn put(&mut self, memory: &mut Memory, entry: Entry) {
        let place = &mut self.0[index(entry.space, entry.page)];
        drop_entry(place, memory);
        *place = Some(entry);
    }

    /// Forgets all that `which` picks.
    pub(super) fn forget(&mut self, memory: &mut Memory, which: impl Fn(&Entry) -> bool) {
        for place in self.0.iter_mut() {
            if place.as_ref().is_some_and(&which) {
                drop_entry(place, memory);
            }
        }
    }

    /// Notes that the descriptor at `at` is not what it was.
    pub(super) fn mark_stale(&mut self, at: Phys, memory: &mut Memory) {
        for entry in self.0.iter_mut().flatten() {
            if !entry.stale && entry.path.contains(&at) {
                entry.stale = true;
                memory.note_stale(entry.to, false);
            }
        }
    }

    /// The first of `count` pages from `first` that a translation leads to.
    pub(super) fn leads_to(&self, first: Phys, count: u32) -> Option<Phys> {
        let bytes = u64::from(count) * u64::from(PAGE);
        let inside = |to: Phys| to.offset_from(first).is_some_and(|offset| offset < bytes);
        self.0.iter().flatten().map(|entry| entry.to).filter(|&to| inside(to)).min()
    }

    pub(super) fn stale(&self) -> usize {
        self.0.iter().flatten().filter(|entry| entry.stale).count()
    }
}

fn drop_entry(place: &mut Option<Entry>, memory: &mut Memory) {
    if let Some(entry) = place.take()
        && entry.stale
    {
        memory.note_stale(entry.to, true);
    }
}

fn index(space: Option<u16>, page: u64) -> usize {
    let space = space.map_or(0x1_0000, u64::from);
    let mixed = (page ^ space << 7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 54) as usize
}

const _: () = assert!(ENTRIES == 1 << (64 - 54));
