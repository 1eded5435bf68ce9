//! Runs of pages of the `dma_media` pool, for transfer buffers.
//!
//! The broker owns the pool; a page is free, or some session's. Pages of a
//! session whose unmapping was not confirmed stay its own and are thereby out
//! of use (DESIGN rule 6).

/// Pages that can be managed; a larger pool's rest stays unused.
pub const MAX_PAGES: u16 = 512;

const WORD: u16 = 32;
const WORDS: usize = (MAX_PAGES / WORD) as usize;

/// A run of pages of the pool.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The first of them.
    pub first: u16,
    /// How many.
    pub count: u16,
}

/// Which pages are some session's.
#[derive(Clone, Debug, Hash)]
pub struct Buffers {
    pages: u16,
    used: [u32; WORDS],
}

impl Buffers {
    /// All `pages` pages free.
    #[must_use]
    pub fn new(pages: u16) -> Self {
        Self { pages: pages.min(MAX_PAGES), used: [0; WORDS] }
    }

    /// The lowest free run of `count` pages, now taken.
    pub fn take(&mut self, count: u16) -> Option<Pages> {
        if scarce::spent(scarce::Scarce::Pages) {
            return None;
        }
        let mut first = 0;
        while first + count <= self.pages {
            match (first..first + count).rev().find(|&page| self.is_used(page)) {
                Some(used) => first = used + 1,
                None => {
                    (first..first + count).for_each(|page| self.flip(page));
                    return Some(Pages { first, count });
                }
            }
        }
        None
    }

    /// Gives a run back.
    ///
    /// # Panics
    /// When a page of it is free: something was given back twice.
    pub fn free(&mut self, pages: Pages) {
        for page in pages.first..pages.first + pages.count {
            assert!(self.is_used(page), "a buffer was freed twice");
            self.flip(page);
        }
    }

    /// Pages in use.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.used.iter().map(|word| word.count_ones()).sum()
    }

    fn is_used(&self, page: u16) -> bool {
        self.used[usize::from(page / WORD)] & 1 << (page % WORD) != 0
    }

    fn flip(&mut self, page: u16) {
        self.used[usize::from(page / WORD)] ^= 1 << (page % WORD);
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffers, MAX_PAGES, Pages};
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn a_run_is_found_between_others_and_none_where_there_is_none() {
        let mut buffers = Buffers::new(10);
        let taken = [4, 3, 3].map(|count| buffers.take(count).expect("room"));
        assert_eq!(buffers.take(1), None);
        buffers.free(taken[1]);
        assert_eq!(buffers.take(4), None);
        assert_eq!(buffers.take(2), Some(Pages { first: 4, count: 2 }));
        assert_eq!(buffers.in_use(), 9);
    }

    #[test]
    fn a_pool_larger_than_the_table_is_used_as_far_as_the_table_goes() {
        let mut buffers = Buffers::new(u16::MAX);
        assert_eq!(buffers.take(MAX_PAGES), Some(Pages { first: 0, count: MAX_PAGES }));
        assert_eq!(buffers.take(1), None);
    }

    #[test]
    #[should_panic(expected = "freed twice")]
    fn a_buffer_freed_twice_is_a_defect() {
        let mut buffers = Buffers::new(10);
        let pages = buffers.take(2).expect("room");
        buffers.free(pages);
        buffers.free(pages);
    }

    proptest! {
        #[test]
        fn runs_never_overlap_and_all_come_back(
            steps in proptest::collection::vec((any::<bool>(), 1_u16..25, any::<u8>()), 0..100)
        ) {
            let mut buffers = Buffers::new(128);
            let mut live: Vec<Pages> = Vec::new();
            for (take, count, which) in steps {
                if take {
                    if let Some(run) = buffers.take(count) {
                        prop_assert!(run.first + run.count <= 128);
                        for other in &live {
                            prop_assert!(run.first + run.count <= other.first
                                || other.first + other.count <= run.first);
                        }
                        live.push(run);
                    }
                } else if !live.is_empty() {
                    buffers.free(live.remove(usize::from(which) % live.len()));
                }
                let pages: u32 = live.iter().map(|run| u32::from(run.count)).sum();
                prop_assert!(buffers.in_use() == pages);
            }
        }
    }
}
