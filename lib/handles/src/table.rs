//! A table of objects that clients hold handles to.
//!
//! Fixed capacity, no allocation. The free places are given out in turn, so a
//! place is taken again only after all others were, and its sequence number
//! comes round after 65535 times that.

use crate::{Epoch, Handle, HandleError, Raw};
use abi::TaskId;
use core::marker::PhantomData;
use scarce::{Scarce, spent};

/// Every place of the table is taken; the server's capacity, not the client's
/// fault.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Full;

/// What is known of a place whatever is in it. What is looked up and changed
/// here is the same for all tables, and is there once (not inlined), however
/// many kinds of objects a server has.
#[derive(Copy, Clone, Debug, Hash)]
struct Place {
    /// The number the next occupant gets, or the present one has.
    seq: u16,
    /// Whose the present one is.
    owner: Option<TaskId>,
}

/// Up to `N` objects of type `T`, each owned by one incarnation of a client
/// and named by handles of type `H`.
#[derive(Clone, Debug, Hash)]
pub struct Table<T, H, const N: usize> {
    epoch: Epoch,
    /// Where the search for a free place begins.
    next: usize,
    places: [Place; N],
    /// Something where the place has an owner.
    values: [Option<T>; N],
    kind: PhantomData<fn() -> H>,
}

impl<T, H: Handle, const N: usize> Table<T, H, N> {
    /// An empty table of a server in its life `epoch`.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        const { assert!(N > 0 && N <= 1 << 16, "a handle's index has 16 bits") };
        Self {
            epoch,
            next: 0,
            places: [Place { seq: 1, owner: None }; N],
            values: core::array::from_fn(|_| None),
            kind: PhantomData,
        }
    }

    /// Takes `value` in for `owner`.
    ///
    /// # Errors
    /// [`Full`] when all `N` places are taken.
    pub fn insert(&mut self, owner: TaskId, value: T) -> Result<H, Full> {
        if spent(Scarce::Place) { Err(Full) } else { self.put(owner, value) }
    }

    /// As [`Table::insert`], for whoever made sure that there is a place.
    ///
    /// # Errors
    /// [`Full`] all the same.
    pub fn put(&mut self, owner: TaskId, value: T) -> Result<H, Full> {
        let index = free(&self.places, self.next).ok_or(Full)?;
        self.next = (index + 1) % N;
        self.places[index].owner = Some(owner);
        self.values[index] = Some(value);
        Ok(self.handle(index))
    }

    /// The object that `handle` names, for its owner `caller`.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn get(&self, handle: H, caller: TaskId) -> Result<&T, HandleError> {
        let index = owned(&self.places, self.epoch, handle.raw(), caller)?;
        self.values[index].as_ref().ok_or(HandleError::Stale)
    }

    /// As [`Table::get`], to change the object.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn get_mut(&mut self, handle: H, caller: TaskId) -> Result<&mut T, HandleError> {
        let index = owned(&self.places, self.epoch, handle.raw(), caller)?;
        self.values[index].as_mut().ok_or(HandleError::Stale)
    }

    /// The object that `handle` names and its owner, whoever asks: for the
    /// server itself, and for operations that others than the owner may call.
    ///
    /// # Errors
    /// [`HandleError::StaleServer`] or [`HandleError::Stale`].
    pub fn find(&self, handle: H) -> Result<(TaskId, &T), HandleError> {
        let (index, owner) = named(&self.places, self.epoch, handle.raw())?;
        self.values[index].as_ref().map(|value| (owner, value)).ok_or(HandleError::Stale)
    }

    /// As [`Table::find`], to change the object.
    ///
    /// # Errors
    /// [`HandleError::StaleServer`] or [`HandleError::Stale`].
    pub fn find_mut(&mut self, handle: H) -> Result<(TaskId, &mut T), HandleError> {
        let (index, owner) = named(&self.places, self.epoch, handle.raw())?;
        self.values[index].as_mut().map(|value| (owner, value)).ok_or(HandleError::Stale)
    }

    /// Gives the object back; the handle and its copies are stale from here on.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn remove(&mut self, handle: H, caller: TaskId) -> Result<T, HandleError> {
        let index = owned(&self.places, self.epoch, handle.raw(), caller)?;
        self.vacate(index).ok_or(HandleError::Stale)
    }

    /// As [`Table::remove`], whoever owns the object.
    ///
    /// # Errors
    /// [`HandleError::StaleServer`] or [`HandleError::Stale`].
    pub fn take(&mut self, handle: H) -> Result<T, HandleError> {
        let (index, _) = named(&self.places, self.epoch, handle.raw())?;
        self.vacate(index).ok_or(HandleError::Stale)
    }

    /// Every object with its handle and its owner.
    pub fn iter(&self) -> impl Iterator<Item = (H, TaskId, &T)> {
        let epoch = self.epoch;
        let both = self.places.iter().zip(&self.values).enumerate();
        both.filter_map(move |(index, (place, value))| {
            Some((handle(index, place.seq, epoch), place.owner?, value.as_ref()?))
        })
    }

    /// As [`Table::iter`], to change the objects.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (H, TaskId, &mut T)> {
        let epoch = self.epoch;
        let both = self.places.iter().zip(&mut self.values).enumerate();
        both.filter_map(move |(index, (place, value))| {
            Some((handle(index, place.seq, epoch), place.owner?, value.as_mut()?))
        })
    }

    /// Drops each object for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(H, TaskId, &mut T) -> bool) {
        for index in 0..N {
            let handle = self.handle(index);
            let (Some(owner), Some(value)) = (self.places[index].owner, &mut self.values[index])
            else {
                continue;
            };
            if !keep(handle, owner, value) {
                self.vacate(index);
            }
        }
    }

    /// Takes out one object of the incarnation `owner`, which died; call until
    /// there is none. One at a time, so that the server can take each object
    /// down with all of its state at hand.
    pub fn take_owned(&mut self, owner: TaskId) -> Option<(H, T)> {
        let index = self.places.iter().position(|place| place.owner == Some(owner))?;
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
        self.places.iter().filter(|place| place.owner.is_some()).count()
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

    fn handle(&self, index: usize) -> H {
        handle(index, self.places[index].seq, self.epoch)
    }

    /// Empties a place and moves its number on, past 0: a handle of zeros, as
    /// cleared memory holds it, names nothing.
    fn vacate(&mut self, index: usize) -> Option<T> {
        let place = &mut self.places[index];
        place.owner.take()?;
        place.seq = place.seq.checked_add(1).unwrap_or(1);
        self.values[index].take()
    }
}

/// The first free place from `next` on, and round.
#[inline(never)]
fn free(places: &[Place], next: usize) -> Option<usize> {
    let mut order = (next..places.len()).chain(0..next);
    order.find(|&index| places[index].owner.is_none())
}

/// The place that a handle names, and whose it is.
#[inline(never)]
fn named(places: &[Place], epoch: Epoch, raw: Raw) -> Result<(usize, TaskId), HandleError> {
    if raw.epoch != epoch.0 {
        return Err(HandleError::StaleServer);
    }
    let index = usize::from(raw.index);
    match places.get(index) {
        Some(Place { seq, owner: Some(owner) }) if *seq == raw.seq => Ok((index, *owner)),
        _ => Err(HandleError::Stale),
    }
}

/// As [`named`], for its owner `caller`.
#[inline(never)]
fn owned(places: &[Place], epoch: Epoch, raw: Raw, caller: TaskId) -> Result<usize, HandleError> {
    match named(places, epoch, raw)? {
        (index, owner) if owner == caller => Ok(index),
        _ => Err(HandleError::NotOwner),
    }
}

fn handle<H: Handle>(index: usize, seq: u16, epoch: Epoch) -> H {
    // `new` keeps N within 16 bits.
    H::from_raw(Raw { index: index as u16, seq, epoch: epoch.0 })
}
