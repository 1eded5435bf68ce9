//! Memory that a device or another core also sees: pools, ordered accesses,
//! barriers.
//!
//! A [`Pool`] is the right to a run of physical pages that `app.toml` names.
//! All access goes through it by page and offset, never by pointer, so that
//! the other side's writes are never seen as Rust references. Nothing orders
//! two accesses but [`publish`] and [`acquire`]: a producer writes its data,
//! calls `publish`, writes the flag or the cycle bit, calls `publish`, rings;
//! a consumer reads the flag, calls `acquire`, reads the data.

#![cfg_attr(target_os = "none", no_std)]

use addr::PAGE;

pub use addr::Phys;

/// A place in a pool: bytes from its first page.
pub type Offset = u32;

/// A run of physical pages, named in `app.toml`, that devices or another core see.
#[derive(Debug, Hash)]
pub struct Pool {
    id: u8,
    base: Phys,
    pages: u16,
}

impl Pool {
    /// The pool number `id` of the image: `pages` pages from `base`.
    ///
    /// # Safety
    /// On a board the caller promises that `app.toml` gives the running task
    /// this run of pages, mapped uncached, and that no Rust reference into it
    /// exists. On a host nothing can go wrong: the simulator checks each access.
    #[must_use]
    pub const unsafe fn new(id: u8, base: Phys, pages: u16) -> Self {
        Self { id, base, pages }
    }

    /// As [`Pool::new`], on a host, where nothing can go wrong: the simulator
    /// knows which pages the running task may touch, and faults it for all
    /// others.
    #[cfg(not(target_os = "none"))]
    #[must_use]
    pub const fn simulated(id: u8, base: Phys, pages: u16) -> Self {
        Self { id, base, pages }
    }

    /// The pool's number in the image; what `iommu` knows it by.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// Pages in the pool.
    #[must_use]
    pub const fn pages(&self) -> u16 {
        self.pages
    }

    /// The physical address of a place in the pool.
    #[must_use]
    pub fn phys(&self, at: Offset) -> Phys {
        self.at(at, 0)
    }

    /// Copies memory out of the pool.
    pub fn read(&self, at: Offset, into: &mut [u8]) {
        access::read(self.at(at, into.len()), into);
    }

    /// Copies memory into the pool.
    pub fn write(&self, at: Offset, from: &[u8]) {
        access::write(self.at(at, from.len()), from);
    }

    /// Reads one little-endian word in one access.
    #[must_use]
    pub fn read32(&self, at: Offset) -> u32 {
        assert!(at.is_multiple_of(4), "word access unaligned");
        let mut word = [0; 4];
        access::read(self.at(at, 4), &mut word);
        u32::from_le_bytes(word)
    }

    /// Writes one little-endian word in one access.
    pub fn write32(&self, at: Offset, value: u32) {
        assert!(at.is_multiple_of(4), "word access unaligned");
        access::write(self.at(at, 4), &value.to_le_bytes());
    }

    /// Pages from `first` on come into use: they are some device's or the other
    /// core's from now on, with whatever is in them. Costs nothing on a board;
    /// the simulator holds whoever reaches a page against it.
    pub fn hand_out(&self, first: u16, count: u16) {
        access::hand_out(self.pages_at(first, count), count);
    }

    /// Pages from `first` on are nobody's any more: who reaches them before
    /// they are handed out again breaks a rule, and what was in them is lost.
    pub fn take_back(&self, first: u16, count: u16) {
        access::take_back(self.pages_at(first, count), count);
    }

    /// Writes zeros over `len` bytes that no device and no other core looks at
    /// yet.
    pub fn zero(&self, at: Offset, len: u32) {
        access::zero(self.at(at, len as usize), len as usize);
    }

    fn pages_at(&self, first: u16, count: u16) -> Phys {
        self.at(Offset::from(first) * PAGE, usize::from(count) * PAGE as usize)
    }

    fn at(&self, at: Offset, len: usize) -> Phys {
        let end = u64::from(at) + len as u64;
        assert!(end <= u64::from(self.pages) * u64::from(PAGE), "access outside the pool");
        self.base.plus(u64::from(at))
    }
}

/// The [`Pool`] that a task's build names as `image::pools::…`: number, first
/// page, pages. For the few lines that make a task's crate a binary.
#[macro_export]
macro_rules! pool {
    ($pool:expr) => {
        // SAFETY: app.toml gives the task this pool, each pool once, and the
        // kernel maps it uncached; a task has no other way to its memory.
        unsafe { $crate::Pool::new($pool.0, $crate::Phys($pool.1), $pool.2) }
    };
}

/// Orders earlier writes to any pool before later writes to any pool and before
/// later register accesses.
pub fn publish() {
    access::publish();
}

/// Orders earlier reads of any pool or register before later reads of any pool.
pub fn acquire() {
    access::acquire();
}

#[cfg(not(target_os = "none"))]
mod access {
    use addr::Phys;
    use seam::Barrier;

    pub(crate) fn read(at: Phys, into: &mut [u8]) {
        seam::with(|machine| machine.dma_read(at.0, into));
    }

    pub(crate) fn write(at: Phys, from: &[u8]) {
        seam::with(|machine| machine.dma_write(at.0, from));
    }

    pub(crate) fn zero(at: Phys, len: usize) {
        const ZEROS: [u8; 256] = [0; 256];
        for done in (0..len).step_by(ZEROS.len()) {
            write(at.plus(done as u64), &ZEROS[..ZEROS.len().min(len - done)]);
        }
    }

    // An allocator can be tested without a machine.
    pub(crate) fn hand_out(first: Phys, count: u16) {
        if seam::installed() {
            seam::with(|machine| machine.hand_out(first.0, count.into()));
        }
    }

    pub(crate) fn take_back(first: Phys, count: u16) {
        if seam::installed() {
            seam::with(|machine| machine.take_back(first.0, count.into()));
        }
    }

    pub(crate) fn publish() {
        seam::with(|machine| machine.barrier(Barrier::Publish));
    }

    pub(crate) fn acquire() {
        seam::with(|machine| machine.barrier(Barrier::Acquire));
    }
}

#[cfg(target_os = "none")]
mod access {
    use addr::Phys;
    use core::arch::asm;
    use core::ptr;

    pub(crate) fn read(at: Phys, into: &mut [u8]) {
        let mut source: *const u8 = ptr::with_exposed_provenance(at.0 as usize);
        let mut into = into;
        // Whole aligned words are read in one access: flags and TRB words are
        // words, and a device must never see or show half of one.
        while !into.is_empty() {
            if source.addr() % 4 == 0 && into.len() >= 4 {
                // SAFETY: `Pool::new` promised mapped pages that only copies
                // reach, and `Pool::at` checked the bounds.
                let word = unsafe { source.cast::<u32>().read_volatile() };
                into[..4].copy_from_slice(&word.to_ne_bytes());
                into = &mut into[4..];
                source = source.wrapping_add(4);
            } else {
                // SAFETY: as above.
                into[0] = unsafe { source.read_volatile() };
                into = &mut into[1..];
                source = source.wrapping_add(1);
            }
        }
    }

    pub(crate) fn write(at: Phys, from: &[u8]) {
        let mut target: *mut u8 = ptr::with_exposed_provenance_mut(at.0 as usize);
        let mut from = from;
        while !from.is_empty() {
            if target.addr() % 4 == 0 && from.len() >= 4 {
                let word = u32::from_ne_bytes([from[0], from[1], from[2], from[3]]);
                // SAFETY: as in `read`.
                unsafe { target.cast::<u32>().write_volatile(word) };
                from = &from[4..];
                target = target.wrapping_add(4);
            } else {
                // SAFETY: as in `read`.
                unsafe { target.write_volatile(from[0]) };
                from = &from[1..];
                target = target.wrapping_add(1);
            }
        }
    }

    pub(crate) fn zero(at: Phys, len: usize) {
        let target: *mut u8 = ptr::with_exposed_provenance_mut(at.0 as usize);
        // SAFETY: as in `read`. It may be put off no further than the barrier
        // that comes before whoever else looks.
        unsafe { target.write_bytes(0, len) };
    }

    pub(crate) const fn hand_out(_: Phys, _: u16) {}

    pub(crate) const fn take_back(_: Phys, _: u16) {}

    pub(crate) fn publish() {
        // SAFETY: a barrier changes no register and no memory.
        unsafe { asm!("dsb st", options(nostack, preserves_flags)) };
    }

    pub(crate) fn acquire() {
        // SAFETY: as above.
        unsafe { asm!("dmb", options(nostack, preserves_flags)) };
    }
}
