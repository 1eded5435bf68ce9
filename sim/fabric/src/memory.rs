//! RAM, seen by two cores and by devices.
//!
//! *Store buffers.* What a core writes sits in its store buffer and reaches RAM
//! after a random while, each word on its own, in no order but that of two
//! writes to the same place; a barrier drains all. The core itself sees its own
//! writes at once; the other core and the devices see only RAM. So code that
//! forgets a barrier between data and flag, or between flag and doorbell, is
//! caught by some seed.
//!
//! *Owners.* Each page has an owner tag, which says which streams may reach it.
//! A page that is given back is poisoned, and reaching it is a violation. Of a
//! page that was handed out it is known which lines were zeroed since, because
//! the DSP may not see what others left in it.
//!
//! RAM starts out as garbage: whoever wants zeros writes them.

use crate::interrupts::{CORES, Core};
use crate::{StreamId, Time};
use addr::{PAGE, Phys};
use rng::Rng;
use std::collections::{BTreeSet, VecDeque};

/// Stores that a core's buffer holds before the oldest has to go.
const DEPTH: usize = 96;
/// Longest piece that one store can be: a cache line. Longer writes are cut at
/// lines, shorter ones (up to a TRB) at words, because their words race.
const LINE: usize = 64;
/// Writes up to this length are cut into words.
const WORDWISE: usize = 16;
/// Bytes of a TRB; its last word hands it over.
const TRB: usize = 16;
/// A store leaves its buffer within this time as a rule.
const USUAL_DELAY_NS: u32 = 3_000;
/// One store in [`LATE_ONE_IN`] takes up to this time.
const LATE_DELAY_NS: u32 = 40_000;
const LATE_ONE_IN: u32 = 24;
const _: () = assert!(PAGE as usize / LINE == u64::BITS as usize);
/// What RAM that nobody wrote holds.
const GARBAGE: u8 = 0xC3;
/// What a page holds after it was given back.
pub const POISON: u8 = 0xA5;

/// Who may reach a page.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Memory of the cores alone: no device has any business there.
    #[default]
    Cores,
    /// A translation or queue page of the SMMU: only its walker reads it and
    /// only its event queue writes it.
    Tables,
    /// A page for the DMA of one stream.
    Stream(StreamId),
    /// A page in a pool whose pages any controller may be given.
    AnyStream,
    /// A page that was given back.
    Nobody,
}

/// An access reached outside RAM.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OutsideRam(pub Phys);

/// What happened to a page of translation tables that somebody wrote: the words
/// as they were and are.
#[derive(Copy, Clone, Debug)]
pub(crate) struct TableWrite {
    pub(crate) at: Phys,
    pub(crate) old: u64,
    pub(crate) new: u64,
}

#[derive(Copy, Clone)]
struct Store {
    at: u32,
    len: u8,
    due: Time,
    data: [u8; LINE],
}

struct StoreBuffer {
    /// In program order; that is what forwards the newest write to its own core
    /// and keeps two writes to one place in order.
    stores: Vec<Store>,
    /// The earliest `due` of them, [`Time::NEVER`] when there is none.
    next_due: Time,
}

impl StoreBuffer {
    /// Loses what was written to a run of whole pages.
    fn drop_stores(&mut self, from: usize, to: usize) {
        self.stores.retain(|store| !(from..to).contains(&(store.at as usize)));
        self.next_due = self.stores.iter().map(|store| store.due).min().unwrap_or(Time::NEVER);
    }
}

/// RAM with its observers.
pub struct Memory {
    base: Phys,
    ram: Vec<u8>,
    owners: Vec<Owner>,
    /// Per page, how often it was handed out.
    lives: Vec<u32>,
    /// Per page, a bit for each line that was zeroed since the page was handed
    /// out. Pages that never were count as zeroed.
    scrubbed: Vec<u64>,
    /// Per page, translations that the SMMU may still use although the tables
    /// have them no more.
    stale: Vec<u8>,
    /// The last page that a core wrote while one of those existed.
    reused: Option<Phys>,
    /// Quarters of lines of which the last word was seen before the others that were
    /// written with it: what hands a TRB over, before the TRB.
    torn: BTreeSet<usize>,
    buffers: [StoreBuffer; CORES],
    rng: Rng,
    /// Descriptor words that changed in pages of [`Owner::Tables`], for the
    /// SMMU to look at; drained by the fabric after each access.
    table_writes: VecDeque<TableWrite>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("base", &self.base)
            .field("bytes", &self.ram.len())
            .finish_non_exhaustive()
    }
}

impl Memory {
    /// `pages` pages of RAM from `base`.
    #[must_use]
    pub(crate) fn new(base: Phys, pages: u32, rng: Rng) -> Self {
        let buffer = || StoreBuffer { stores: Vec::with_capacity(DEPTH), next_due: Time::NEVER };
        Self {
            base,
            ram: vec![GARBAGE; pages as usize * PAGE as usize],
            owners: vec![Owner::Cores; pages as usize],
            lives: vec![0; pages as usize],
            scrubbed: vec![u64::MAX; pages as usize],
            stale: vec![0; pages as usize],
            reused: None,
            torn: BTreeSet::new(),
            buffers: [buffer(), buffer()],
            rng,
            table_writes: VecDeque::with_capacity(DEPTH),
        }
    }

    /// Whether `len` bytes from `at` are all RAM.
    #[must_use]
    pub fn contains(&self, at: Phys, len: usize) -> bool {
        self.place(at, len).is_ok()
    }

    /// Who owns the page at `at`; `None` outside RAM.
    #[must_use]
    pub fn owner(&self, at: Phys) -> Option<Owner> {
        let offset = at.offset_from(self.base)?;
        self.owners.get(usize::try_from(offset / u64::from(PAGE)).ok()?).copied()
    }

    /// Gives `count` pages from `first` to `owner`; [`Owner::Nobody`] poisons
    /// them, past all store buffers.
    ///
    /// # Panics
    /// When they are not RAM: boards lay out their memory themselves.
    pub fn give(&mut self, first: Phys, count: u32, owner: Owner) {
        let len = count as usize * PAGE as usize;
        let start = self.place(first, len).expect("pages outside RAM");
        assert!(first.is_aligned(u64::from(PAGE)), "pages start at page boundaries");
        self.owners[start / PAGE as usize..][..count as usize].fill(owner);
        if owner == Owner::Nobody {
            for buffer in &mut self.buffers {
                buffer.drop_stores(start, start + len);
            }
            self.ram[start..start + len].fill(POISON);
        }
    }

    /// Gives `count` pages from `first` to `owner`, who has to zero what the
    /// DSP is to see.
    ///
    /// # Panics
    /// As [`Self::give`].
    pub(crate) fn hand_out(&mut self, first: Phys, count: u32, owner: Owner) {
        self.give(first, count, owner);
        let page = self.place(first, 1).expect("pages outside RAM") / PAGE as usize;
        self.scrubbed[page..][..count as usize].fill(0);
        self.lives[page..][..count as usize].iter_mut().for_each(|life| *life += 1);
    }

    /// How often the page at `at` was handed out.
    pub(crate) fn life(&self, at: Phys) -> u32 {
        self.place(at, 1).map_or(0, |start| self.lives[start / PAGE as usize])
    }

    /// Whether all of the page at `at` was zeroed since it was handed out, if it
    /// ever was.
    pub(crate) fn is_scrubbed(&self, at: Phys) -> bool {
        self.place(at, 1).is_ok_and(|start| self.scrubbed[start / PAGE as usize] == u64::MAX)
    }

    /// Whether `core` wrote into these pages and the stores did not arrive yet.
    pub(crate) fn has_stores(&self, core: Core, first: Phys, count: u32) -> bool {
        let len = count as usize * PAGE as usize;
        let Ok(start) = self.place(first, len) else { return false };
        let mut stores = self.buffers[core as usize].stores.iter();
        stores.any(|store| (start..start + len).contains(&(store.at as usize)))
    }

    /// What RAM holds, as a device or a judge sees it, without any effect.
    ///
    /// # Errors
    /// When it is not RAM.
    pub fn peek(&self, at: Phys, into: &mut [u8]) -> Result<(), OutsideRam> {
        let start = self.place(at, into.len())?;
        into.copy_from_slice(&self.ram[start..start + into.len()]);
        Ok(())
    }

    /// Puts bytes into RAM before the machine starts (a loader's work).
    ///
    /// # Errors
    /// When it is not RAM.
    pub fn load(&mut self, at: Phys, from: &[u8]) -> Result<(), OutsideRam> {
        let start = self.place(at, from.len())?;
        self.ram[start..start + from.len()].copy_from_slice(from);
        Ok(())
    }

    /// The aligned 64-bit word at `at`, as a table walker reads it.
    pub(crate) fn word64(&self, at: Phys) -> Result<u64, OutsideRam> {
        let start = self.place(at, 8)?;
        Ok(u64::from_le_bytes(self.ram[start..start + 8].try_into().expect("eight bytes")))
    }

    /// Lets what is due at `now` out of all store buffers.
    pub(crate) fn settle(&mut self, now: Time) {
        for core in 0..CORES {
            while self.buffers[core].next_due <= now {
                self.drain_next(core);
            }
        }
    }

    /// Reads as `core`: RAM under its own stores.
    pub(crate) fn core_read(
        &mut self,
        now: Time,
        core: Core,
        at: Phys,
        into: &mut [u8],
    ) -> Result<(), OutsideRam> {
        let start = self.place(at, into.len())?;
        self.settle(now);
        into.copy_from_slice(&self.ram[start..start + into.len()]);
        for store in &self.buffers[core as usize].stores {
            overlay(store, start, into);
        }
        Ok(())
    }

    /// Writes as `core`, into its store buffer.
    pub(crate) fn core_write(
        &mut self,
        now: Time,
        core: Core,
        at: Phys,
        from: &[u8],
    ) -> Result<(), OutsideRam> {
        let start = self.place(at, from.len())?;
        self.settle(now);
        let grain = if from.len() <= WORDWISE { 4 } else { LINE };
        let (mut start, mut from) = (start, from);
        while !from.is_empty() {
            let step = (grain - start % grain).min(from.len());
            self.push(now, core, start, &from[..step]);
            start += step;
            from = &from[step..];
        }
        Ok(())
    }

    /// Drains the store buffer of `core`.
    pub(crate) fn barrier(&mut self, core: Core) {
        while !self.buffers[core as usize].stores.is_empty() {
            self.drain_next(core as usize);
        }
    }

    /// Reads as a device: RAM alone.
    pub(crate) fn device_read(
        &mut self,
        now: Time,
        at: Phys,
        into: &mut [u8],
    ) -> Result<(), OutsideRam> {
        let start = self.place(at, into.len())?;
        self.settle(now);
        into.copy_from_slice(&self.ram[start..start + into.len()]);
        Ok(())
    }

    /// Writes as a device: RAM at once.
    pub(crate) fn device_write(
        &mut self,
        now: Time,
        at: Phys,
        from: &[u8],
    ) -> Result<(), OutsideRam> {
        let start = self.place(at, from.len())?;
        self.settle(now);
        self.ram[start..start + from.len()].copy_from_slice(from);
        Ok(())
    }

    /// The next change of a translation table that the SMMU has not looked at.
    pub(crate) fn next_table_write(&mut self) -> Option<TableWrite> {
        self.table_writes.pop_front()
    }

    /// Counts (or, with `gone`, no longer counts) a translation to the page at
    /// `at` that the SMMU may use although the tables have it no more.
    pub(crate) fn note_stale(&mut self, at: Phys, gone: bool) {
        if let Ok(start) = self.place(at, 1) {
            let count = &mut self.stale[start / PAGE as usize];
            *count = if gone { count.saturating_sub(1) } else { count.saturating_add(1) };
        }
    }

    /// Whether the last word of the TRB at `at` was visible before the others that
    /// were written with it.
    #[must_use]
    pub fn is_torn(&self, at: Phys) -> bool {
        self.place(at, TRB).is_ok_and(|start| self.torn.contains(&start))
    }

    /// A page that a core wrote although the SMMU may still let a device reach it.
    pub(crate) fn take_reused(&mut self) -> Option<Phys> {
        self.reused.take()
    }

    fn push(&mut self, now: Time, core: Core, at: usize, bytes: &[u8]) {
        let core = core as usize;
        if self.buffers[core].stores.len() == DEPTH {
            self.drain_next(core);
        }
        let longest = if self.rng.one_in(LATE_ONE_IN) { LATE_DELAY_NS } else { USUAL_DELAY_NS };
        let mut due = now + Time::ns(u64::from(self.rng.below(longest)) + 1);
        for earlier in &self.buffers[core].stores {
            let (a, b) = (earlier.at as usize, earlier.at as usize + usize::from(earlier.len));
            if a < at + bytes.len() && at < b {
                // Same place: in order. Ties drain in program order.
                due = due.max(earlier.due);
            }
        }
        let mut store = Store { at: at as u32, len: bytes.len() as u8, due, data: [0; LINE] };
        store.data[..bytes.len()].copy_from_slice(bytes);
        let buffer = &mut self.buffers[core];
        buffer.stores.push(store);
        buffer.next_due = buffer.next_due.min(due);
    }

    /// Lets the store that is due first go to RAM.
    fn drain_next(&mut self, core: usize) {
        let buffer = &mut self.buffers[core];
        let due = buffer.next_due;
        let index = buffer
            .stores
            .iter()
            .position(|store| store.due == due)
            .expect("the earliest due time is that of a store");
        let store = buffer.stores.remove(index);
        buffer.next_due = buffer.stores.iter().map(|store| store.due).min().unwrap_or(Time::NEVER);
        let (start, len) = (store.at as usize, usize::from(store.len));
        let page = start / PAGE as usize;
        if self.stale[page] > 0 {
            self.reused = Some(self.base.plus(page as u64 * u64::from(PAGE)));
        }
        if len == 4 && start % TRB == TRB - len {
            let body = start + len - TRB..start;
            let earlier = self.buffers[core].stores[..index].iter();
            let late = earlier.filter(|s| (s.at as usize) < body.end);
            if late.into_iter().any(|s| s.at as usize + usize::from(s.len) > body.start) {
                self.torn.insert(body.start);
            } else {
                self.torn.remove(&body.start);
            }
        } else if len >= TRB {
            // Not a walk over all that there are: this is on the way of every store.
            for slot in (start.next_multiple_of(TRB)..start + len).step_by(TRB) {
                self.torn.remove(&slot);
            }
        }
        if self.scrubbed[page] != u64::MAX && len == LINE && store.data == [0; LINE] {
            self.scrubbed[page] |= 1 << (start % PAGE as usize / LINE);
        }
        if self.owners[page] == Owner::Tables {
            self.write_table(start, &store.data[..len]);
        } else {
            self.ram[start..start + len].copy_from_slice(&store.data[..len]);
        }
    }

    fn write_table(&mut self, start: usize, bytes: &[u8]) {
        let (first, last) = (start / 8, (start + bytes.len() - 1) / 8);
        for word in first..=last {
            let (low, high) = ((word * 8).max(start), (word * 8 + 8).min(start + bytes.len()));
            let old = self.word_at(word * 8);
            self.ram[low..high].copy_from_slice(&bytes[low - start..high - start]);
            let new = self.word_at(word * 8);
            if old != new {
                let at = self.base.plus(word as u64 * 8);
                self.table_writes.push_back(TableWrite { at, old, new });
            }
        }
    }

    fn word_at(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.ram[offset..offset + 8].try_into().expect("eight bytes"))
    }

    fn place(&self, at: Phys, len: usize) -> Result<usize, OutsideRam> {
        at.offset_from(self.base)
            .and_then(|offset| usize::try_from(offset).ok())
            .filter(|&offset| offset.checked_add(len).is_some_and(|end| end <= self.ram.len()))
            .ok_or(OutsideRam(at))
    }
}

/// Lays the part of `store` that falls into the window from `start` over `into`.
fn overlay(store: &Store, start: usize, into: &mut [u8]) {
    let (from, to) = (store.at as usize, store.at as usize + usize::from(store.len));
    let (low, high) = (from.max(start), to.min(start + into.len()));
    if low < high {
        into[low - start..high - start].copy_from_slice(&store.data[low - from..high - from]);
    }
}
