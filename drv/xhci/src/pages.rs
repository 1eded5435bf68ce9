//! Pages of the driver's two pools, and rings in them.
//!
//! Which pages are whose is known here and nowhere else; what the controller
//! sees of them is `iommu`'s business.

use addr::{Bus, PAGE};
use dma::{Offset, Pool};
use scarce::{Scarce, spent};
use trb::{RingMemory, TRB_BYTES};

/// A page of a pool, by its number.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page(pub u16);

impl Page {
    /// Where it starts in its pool.
    #[must_use]
    pub const fn offset(self) -> Offset {
        self.0 as u32 * PAGE
    }
}

/// Most pages of one [`Pages`]: the bits of its map.
pub const MAX_PAGES: u16 = 64;

/// A run of pages that are given out and taken back.
#[derive(Clone, Debug, Hash)]
pub struct Pages<'p> {
    pool: &'p Pool,
    first: u16,
    count: u16,
    used: u64,
}

impl<'p> Pages<'p> {
    /// `count` pages of `pool` from `first`; those beyond [`MAX_PAGES`] stay
    /// unused.
    #[must_use]
    pub const fn new(pool: &'p Pool, first: u16, count: u16) -> Self {
        Self { pool, first, count: if count < MAX_PAGES { count } else { MAX_PAGES }, used: 0 }
    }

    /// `count` pages side by side.
    pub fn take(&mut self, count: u16) -> Option<Page> {
        if count == 0 || count > self.count || spent(Scarce::Pages) {
            return None;
        }
        let run = u64::MAX >> (u64::BITS - u32::from(count));
        let at = (0..=self.count - count).find(|&at| self.used & run << at == 0)?;
        self.used |= run << at;
        self.pool.hand_out(self.first + at, count);
        Some(Page(self.first + at))
    }

    /// Takes `count` pages from `page` back.
    ///
    /// # Panics
    /// When they were not given out: the driver lost count.
    pub fn give(&mut self, page: Page, count: u16) {
        let first = page.0;
        for page in page.0..page.0 + count {
            let at = page.checked_sub(self.first).filter(|&at| at < self.count);
            let bit = 1 << at.expect("the page is one of these");
            assert!(self.used & bit != 0, "the page was given out");
            self.used &= !bit;
        }
        self.pool.take_back(first, count);
    }

    /// All are back but those in `kept`.
    pub fn reset(&mut self, kept: impl Iterator<Item = Page>) {
        self.used = kept.fold(0, |used, page| used | 1 << (page.0 - self.first));
        self.take_rest_back();
    }

    /// Whatever was in use in an earlier life and is not known now is free.
    pub fn take_rest_back(&self) {
        for at in (0..self.count).filter(|at| self.used & 1 << at == 0) {
            self.pool.take_back(self.first + at, 1);
        }
    }
}

/// Pages that the controller sees as one run, whoever of them is in use.
#[derive(Debug)]
pub(crate) struct Area<'p> {
    pub(crate) pages: Pages<'p>,
    bus: Bus,
    /// Pages that nobody uses and the controller may still reach.
    late: u64,
}

impl<'p> Area<'p> {
    /// The run `pages`, seen from `bus` on.
    pub(crate) const fn new(pages: Pages<'p>, bus: Bus) -> Self {
        Self { pages, bus, late: 0 }
    }

    /// The controller sees the same pages from `bus` on; those given out stay so.
    pub(crate) fn seen_from(&mut self, pages: Pages<'p>, bus: Bus) {
        if (self.pages.first, self.pages.count) != (pages.first, pages.count) {
            self.pages = pages;
        }
        self.bus = bus;
        self.pages.take_rest_back();
    }

    /// Takes a page back of a controller that is not confirmed to have stopped: it
    /// is free [after its reset](Self::after_reset).
    pub(crate) fn give_late(&mut self, page: Page) {
        self.late |= 1 << (page.0 - self.pages.first);
    }

    /// The controller reaches nothing any more.
    pub(crate) fn after_reset(&mut self) {
        let late = core::mem::take(&mut self.late);
        for at in (0..self.pages.count).filter(|at| late & 1 << at != 0) {
            self.pages.give(Page(self.pages.first + at), 1);
        }
    }

    /// Where the controller sees `page`.
    pub(crate) fn bus(&self, page: Page) -> Bus {
        self.bus.plus(u64::from(page.0 - self.pages.first) * u64::from(PAGE))
    }
}

/// A ring in a pool.
#[derive(Debug)]
pub(crate) struct RingAt<'p> {
    pool: &'p Pool,
    base: Offset,
}

impl<'p> RingAt<'p> {
    /// The ring in `page` of `pool`.
    pub(crate) const fn new(pool: &'p Pool, page: Page) -> Self {
        Self { pool, base: page.offset() }
    }

    const fn place(&self, at: u16) -> Offset {
        self.base + at as u32 * TRB_BYTES
    }
}

impl RingMemory for RingAt<'_> {
    fn body(&self, at: u16) -> [u32; 3] {
        let mut bytes = [0; 12];
        self.pool.read(self.place(at), &mut bytes);
        let word =
            |n: usize| u32::from_le_bytes([bytes[n], bytes[n + 1], bytes[n + 2], bytes[n + 3]]);
        [word(0), word(4), word(8)]
    }

    fn control(&self, at: u16) -> u32 {
        self.pool.read32(self.place(at) + 12)
    }

    fn set_body(&self, at: u16, words: [u32; 3]) {
        let mut bytes = [0; 12];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.pool.write(self.place(at), &bytes);
    }

    fn set_control(&self, at: u16, word: u32) {
        self.pool.write32(self.place(at) + 12, word);
    }

    fn publish(&self) {
        dma::publish();
    }

    fn acquire(&self) {
        dma::acquire();
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, Pages};
    use addr::Phys;
    use dma::Pool;
    use proptest::prelude::*;

    #[test]
    fn pages_side_by_side_are_found_in_a_gap() {
        let pool = Pool::simulated(0, Phys(0), 16);
        let mut pages = Pages::new(&pool, 10, 6);
        assert_eq!(pages.take(2), Some(Page(10)));
        assert_eq!(pages.take(3), Some(Page(12)));
        assert_eq!(pages.take(2), None);
        pages.give(Page(10), 2);
        assert_eq!(pages.take(2), Some(Page(10)));
        assert_eq!((pages.take(0), pages.take(7)), (None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_page_is_given_out_twice(
            count in 1_u16..=64,
            script in prop::collection::vec((any::<bool>(), 1_u16..5), 1..100),
        ) {
            let pool = Pool::simulated(0, Phys(0), 67);
            let mut pages = Pages::new(&pool, 3, count);
            let mut held: Vec<(Page, u16)> = Vec::new();
            for (take, n) in script {
                if take {
                    if let Some(page) = pages.take(n) {
                        prop_assert!(page.0 >= 3 && page.0 + n <= 3 + count);
                        prop_assert!(
                            held.iter().all(|&(p, m)| page.0 + n <= p.0 || p.0 + m <= page.0)
                        );
                        held.push((page, n));
                    }
                } else if let Some((page, n)) = held.pop() {
                    pages.give(page, n);
                }
            }
        }
    }
}
