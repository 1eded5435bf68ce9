//! The pools whose pages can be mapped, and what each page is used for.
//!
//! Checks of ownership, bounds and double use, with sets of pages. Nothing here
//! touches memory.

use abi::TaskId;
use addr::{PAGE, Phys};
use counters::{Count, count, counters};
use iommu_api::IommuError;

use crate::PoolSpec;
use crate::layout::MAX_CONTROLLERS;

/// Pools that can be mapped: two of each controller's driver, and the broker's.
pub const MAX_POOLS: usize = 2 * MAX_CONTROLLERS + 1;
/// Pages of such a pool: a bit each in a set.
pub const MAX_PAGES: u16 = 256;
const WORDS: usize = MAX_PAGES as usize / 32;

/// What happened that must not.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count)]
pub enum Quarantine {
    /// Pages were taken out of use, because someone did not let go of them.
    Begun,
}

counters!(QUARANTINES, Quarantine);

/// Pages of one pool, one behind the other.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pages {
    pool: u8,
    first: u16,
    count: u16,
}

impl Pages {
    /// How many.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.count as u64 * PAGE as u64
    }
}

/// Whose confirmation is missing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The monitor's: until the DSP was reset.
    Peer,
    /// The SMMU's for this controller: until the controller was reset.
    Controller(usize),
}

#[derive(Copy, Clone, Debug, Default, Hash)]
struct Set([u32; WORDS]);

impl Set {
    fn words(pages: Pages) -> impl Iterator<Item = (usize, u32)> {
        (pages.first..pages.first + pages.count)
            .map(|page| (usize::from(page / 32), 1 << (page % 32)))
    }

    fn any(&self, pages: Pages) -> bool {
        Self::words(pages).any(|(word, bit)| self.0[word] & bit != 0)
    }

    fn add(&mut self, pages: Pages) {
        for (word, bit) in Self::words(pages) {
            self.0[word] |= bit;
        }
    }

    fn remove(&mut self, pages: Pages) {
        for (word, bit) in Self::words(pages) {
            self.0[word] &= !bit;
        }
    }

    fn count(&self) -> u16 {
        self.0.iter().map(|word| word.count_ones() as u16).sum()
    }
}

#[derive(Copy, Clone, Debug, Hash)]
struct Pool {
    spec: PoolSpec,
    /// Mapped for a controller.
    bus: Set,
    /// Mapped for the peer.
    peer: Set,
    /// Out of use, by who is missing: the peer, then each controller.
    quarantined: [Set; 1 + MAX_CONTROLLERS],
}

/// All pools.
#[derive(Clone, Debug, Hash)]
pub struct Pools([Option<Pool>; MAX_POOLS]);

impl Pools {
    /// The pools of the image.
    ///
    /// # Panics
    /// When there are more, or longer ones, than there is place for: the image
    /// is wrong.
    #[must_use]
    pub fn new(specs: &[PoolSpec]) -> Self {
        assert!(specs.len() <= MAX_POOLS, "more pools than MAX_POOLS");
        let mut pools = [None; MAX_POOLS];
        for (pool, &spec) in pools.iter_mut().zip(specs) {
            assert!(spec.pages <= MAX_PAGES, "a pool longer than MAX_PAGES");
            *pool = Some(Pool {
                spec,
                bus: Set::default(),
                peer: Set::default(),
                quarantined: [Set::default(); 1 + MAX_CONTROLLERS],
            });
        }
        Self(pools)
    }

    /// The pages that `owner` names, if they are its own and in use by nobody
    /// who is missing.
    ///
    /// # Errors
    /// `NotPoolOwner`, `BadPages` or `Quarantined`.
    pub fn check(
        &self,
        owner: TaskId,
        pool: u8,
        first: u16,
        count: u16,
    ) -> Result<Pages, IommuError> {
        let (index, found) = self
            .0
            .iter()
            .enumerate()
            .find_map(|(index, found)| {
                found.as_ref().filter(|found| found.spec.id == pool).map(|found| (index, found))
            })
            .filter(|(_, found)| usize::from(found.spec.owner) == owner.index())
            .ok_or(IommuError::NotPoolOwner)?;
        let inside = first.checked_add(count).is_some_and(|end| end <= found.spec.pages);
        if count == 0 || !inside {
            return Err(IommuError::BadPages);
        }
        let pages = Pages { pool: index as u8, first, count };
        self.check_quarantine(pages)?;
        Ok(pages)
    }

    /// # Errors
    /// `Quarantined`.
    pub fn check_quarantine(&self, pages: Pages) -> Result<(), IommuError> {
        if self.pool(pages).quarantined.iter().any(|set| set.any(pages)) {
            return Err(IommuError::Quarantined);
        }
        Ok(())
    }

    /// The physical address of the first of `pages`.
    #[must_use]
    pub fn phys(&self, pages: Pages) -> Phys {
        self.pool(pages).spec.base.plus(u64::from(pages.first) * u64::from(PAGE))
    }

    /// Notes that a controller sees `pages`.
    ///
    /// # Errors
    /// `AlreadyMapped` when one does already.
    pub fn map_bus(&mut self, pages: Pages) -> Result<(), IommuError> {
        map(&mut self.pool_mut(pages).bus, pages)
    }

    /// Notes that no controller sees `pages` any more.
    pub fn unmap_bus(&mut self, pages: Pages) {
        self.pool_mut(pages).bus.remove(pages);
    }

    /// Notes that the peer sees `pages`.
    ///
    /// # Errors
    /// `AlreadyMapped` when it does already.
    pub fn map_peer(&mut self, pages: Pages) -> Result<(), IommuError> {
        map(&mut self.pool_mut(pages).peer, pages)
    }

    /// Whether the peer sees one of `pages`, or may as far as it has said.
    #[must_use]
    pub fn is_at_peer(&self, pages: Pages) -> bool {
        self.pool(pages).peer.any(pages)
    }

    /// Notes that the peer does not see `pages` any more.
    pub fn unmap_peer(&mut self, pages: Pages) {
        self.pool_mut(pages).peer.remove(pages);
    }

    /// Takes `pages` out of use.
    pub fn quarantine(&mut self, pages: Pages, missing: Missing) {
        self.pool_mut(pages).quarantined[place(missing)].add(pages);
        count!(QUARANTINES, Quarantine::Begun);
    }

    /// Takes everything back into use that waited for `reset`.
    pub fn release_quarantine(&mut self, reset: Missing) {
        for pool in self.0.iter_mut().flatten() {
            pool.quarantined[place(reset)] = Set::default();
        }
    }

    /// Pages out of use.
    #[must_use]
    pub fn quarantined(&self) -> u16 {
        let sets = self.0.iter().flatten().flat_map(|pool| &pool.quarantined);
        sets.map(Set::count).sum()
    }

    fn pool(&self, pages: Pages) -> &Pool {
        self.0[usize::from(pages.pool)].as_ref().expect("pages come from `check`")
    }

    fn pool_mut(&mut self, pages: Pages) -> &mut Pool {
        self.0[usize::from(pages.pool)].as_mut().expect("pages come from `check`")
    }
}

fn map(set: &mut Set, pages: Pages) -> Result<(), IommuError> {
    if set.any(pages) {
        return Err(IommuError::AlreadyMapped);
    }
    set.add(pages);
    Ok(())
}

const fn place(missing: Missing) -> usize {
    match missing {
        Missing::Peer => 0,
        Missing::Controller(number) => 1 + number,
    }
}

#[cfg(test)]
mod tests {
    use super::{Missing, Pools};
    use crate::PoolSpec;
    use abi::{Generation, TaskId};
    use addr::Phys;
    use iommu_api::IommuError;

    const OWNER: TaskId = TaskId::new(3, Generation(5));

    fn pools() -> Pools {
        Pools::new(&[
            PoolSpec { id: 7, base: Phys(0x4400_0000), pages: 64, owner: 3 },
            PoolSpec { id: 8, base: Phys(0x4408_0000), pages: 256, owner: 6 },
        ])
    }

    #[test]
    fn pages_must_be_the_callers_and_inside_the_pool() {
        let pools = pools();
        let check = |pool, first, count| pools.check(OWNER, pool, first, count).map(|_| ());
        assert_eq!(check(7, 0, 64), Ok(()));
        assert_eq!(check(7, 0, 0), Err(IommuError::BadPages));
        assert_eq!(check(7, 63, 2), Err(IommuError::BadPages));
        assert_eq!(check(7, u16::MAX, 2), Err(IommuError::BadPages));
        assert_eq!(check(8, 0, 1), Err(IommuError::NotPoolOwner));
        assert_eq!(check(9, 0, 1), Err(IommuError::NotPoolOwner));
    }

    #[test]
    fn a_page_is_mapped_once_on_each_side() {
        let mut pools = pools();
        let pages = pools.check(OWNER, 7, 4, 4).unwrap();
        let overlap = pools.check(OWNER, 7, 7, 1).unwrap();
        assert_eq!(pools.phys(overlap), Phys(0x4400_7000));
        pools.map_bus(pages).unwrap();
        assert_eq!(pools.map_bus(overlap), Err(IommuError::AlreadyMapped));
        pools.map_peer(overlap).unwrap();
        assert_eq!(pools.map_peer(pages), Err(IommuError::AlreadyMapped));
        pools.unmap_bus(pages);
        pools.map_bus(overlap).unwrap();
    }

    #[test]
    fn quarantined_pages_are_refused_until_who_was_missing_was_reset() {
        let mut pools = pools();
        let pages = pools.check(OWNER, 7, 31, 2).unwrap();
        pools.quarantine(pages, Missing::Peer);
        pools.quarantine(pages, Missing::Controller(1));
        assert_eq!(pools.quarantined(), 4);
        assert_eq!(pools.check(OWNER, 7, 32, 1), Err(IommuError::Quarantined));
        pools.release_quarantine(Missing::Peer);
        assert_eq!(pools.check(OWNER, 7, 32, 1), Err(IommuError::Quarantined));
        pools.release_quarantine(Missing::Controller(1));
        assert!(pools.check(OWNER, 7, 32, 1).is_ok());
    }
}
