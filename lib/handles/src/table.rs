//! A table of objects that clients hold handles to.
//!
//! Fixed capacity, no allocation. The free places are given out in turn, so a
//! place is taken again only after all others were, and its sequence number
//! comes round after 65535 times that.

use crate::{Epoch, Handle, HandleError, Raw};
use abi::TaskId;
use core::marker::PhantomData;

/// Every place of the table is taken; the server's capacity, not the client's
/// fault.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Debug)]
struct Slot<T> {
    /// The number the next occupant gets, or the present one has.
    seq: u16,
    entry: Option<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    owner: TaskId,
    value: T,
}

/// Up to `N` objects of type `T`, each owned by one incarnation of a client
/// and named by handles of type `H`.
#[derive(Debug)]
pub struct Table<T, H, const N: usize> {
    epoch: Epoch,
    /// Where the search for a free place begins.
    next: usize,
    slots: [Slot<T>; N],
    kind: PhantomData<fn() -> H>,
}

impl<T, H: Handle, const N: usize> Table<T, H, N> {
    /// An empty table of a server in its life `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch) -> Self {
        const { assert!(N > 0 && N <= 1 << 16, "a handle's index has 16 bits") };
        Self {
            epoch,
            next: 0,
            slots: [const { Slot { seq: 1, entry: None } }; N],
            kind: PhantomData,
        }
    }

    /// Takes `value` in for `owner`.
    ///
    /// # Errors
    /// [`Full`] when all `N` places are taken.
    pub fn insert(&mut self, owner: TaskId, value: T) -> Result<H, Full> {
        let index = (self.next..N)
            .chain(0..self.next)
            .find(|&index| self.slots[index].entry.is_none())
            .ok_or(Full)?;
        self.next = (index + 1) % N;
        self.slots[index].entry = Some(Entry { owner, value });
        Ok(self.handle(index))
    }

    /// The object that `handle` names, for its owner `caller`.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn get(&self, handle: H, caller: TaskId) -> Result<&T, HandleError> {
        let entry = self.entry(handle)?;
        if entry.owner == caller { Ok(&entry.value) } else { Err(HandleError::NotOwner) }
    }

    /// As [`Table::get`], to change the object.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn get_mut(&mut self, handle: H, caller: TaskId) -> Result<&mut T, HandleError> {
        let index = self.index(handle)?;
        match &mut self.slots[index].entry {
            Some(entry) if entry.owner == caller => Ok(&mut entry.value),
            Some(_) => Err(HandleError::NotOwner),
            None => Err(HandleError::Stale),
        }
    }

    /// The object that `handle` names and its owner, whoever asks: for the
    /// server itself, and for operations that others than the owner may call.
    ///
    /// # Errors
    /// [`HandleError::StaleServer`] or [`HandleError::Stale`].
    pub fn find(&self, handle: H) -> Result<(TaskId, &T), HandleError> {
        self.entry(handle).map(|entry| (entry.owner, &entry.value))
    }

    /// As [`Table::find`], to change the object.
    ///
    /// # Errors
    /// [`HandleError::StaleServer`] or [`HandleError::Stale`].
    pub fn find_mut(&mut self, handle: H) -> Result<(TaskId, &mut T), HandleError> {
        let index = self.index(handle)?;
        let entry = self.slots[index].entry.as_mut().ok_or(HandleError::Stale)?;
        Ok((entry.owner, &mut entry.value))
    }

    /// Gives the object back; the handle and its copies are stale from here on.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn remove(&mut self, handle: H, caller: TaskId) -> Result<T, HandleError> {
        self.get(handle, caller)?;
        self.take(handle)
    }

    /// As [`Table::remove`], whoever owns the object.
    ///
    /// # Errors
    /// [`HandleError::StaleServer`] or [`HandleError::Stale`].
    pub fn take(&mut self, handle: H) -> Result<T, HandleError> {
        let index = self.index(handle)?;
        self.vacate(index).ok_or(HandleError::Stale)
    }

    /// Every object with its handle and its owner.
    pub fn iter(&self) -> impl Iterator<Item = (H, TaskId, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let entry = slot.entry.as_ref()?;
            Some((self.handle(index), entry.owner, &entry.value))
        })
    }

    /// As [`Table::iter`], to change the objects.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (H, TaskId, &mut T)> {
        let epoch = self.epoch;
        self.slots.iter_mut().enumerate().filter_map(move |(index, slot)| {
            let seq = slot.seq;
            let entry = slot.entry.as_mut()?;
            Some((handle(index, seq, epoch), entry.owner, &mut entry.value))
        })
    }

    /// Drops each object for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(H, TaskId, &mut T) -> bool) {
        for index in 0..N {
            let handle = self.handle(index);
            let stays = match &mut self.slots[index].entry {
                Some(entry) => keep(handle, entry.owner, &mut entry.value),
                None => continue,
            };
            if !stays {
                self.vacate(index);
            }
        }
    }

    /// Takes out one object of the incarnation `owner`, which died; call until
    /// there is none. One at a time, so that the server can take each object
    /// down with all of its state at hand.
    pub fn take_owned(&mut self, owner: TaskId) -> Option<(H, T)> {
        let index = self
            .slots
            .iter()
            .position(|slot| slot.entry.as_ref().is_some_and(|entry| entry.owner == owner))?;
        let handle = self.handle(index);
        self.vacate(index).map(|value| (handle, value))
    }

    /// Drops all objects of the incarnation `owner`, which died; how many.
    pub fn drop_owner(&mut self, owner: TaskId) -> usize {
        core::iter::from_fn(|| self.take_owned(owner)).count()
    }

    /// Objects in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.entry.is_some()).count()
    }

    /// Whether no object is in the table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The life of the server that this table belongs to.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn entry(&self, handle: H) -> Result<&Entry<T>, HandleError> {
        let index = self.index(handle)?;
        self.slots[index].entry.as_ref().ok_or(HandleError::Stale)
    }

    /// The place a handle names, if its epoch and sequence number are right.
    fn index(&self, handle: H) -> Result<usize, HandleError> {
        let raw = handle.raw();
        if raw.epoch != self.epoch.0 {
            return Err(HandleError::StaleServer);
        }
        let index = usize::from(raw.index);
        match self.slots.get(index) {
            Some(slot) if slot.seq == raw.seq => Ok(index),
            _ => Err(HandleError::Stale),
        }
    }

    fn handle(&self, index: usize) -> H {
        handle(index, self.slots[index].seq, self.epoch)
    }

    /// Empties a place and moves its number on, past 0: a handle of zeros, as
    /// cleared memory holds it, names nothing.
    fn vacate(&mut self, index: usize) -> Option<T> {
        let slot = &mut self.slots[index];
        let entry = slot.entry.take()?;
        slot.seq = slot.seq.checked_add(1).unwrap_or(1);
        Some(entry.value)
    }
}

fn handle<H: Handle>(index: usize, seq: u16, epoch: Epoch) -> H {
    // `new` keeps N within 16 bits.
    H::from_raw(Raw { index: index as u16, seq, epoch: epoch.0 })
}
