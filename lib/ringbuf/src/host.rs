//! Rings on a host: one per simulated task.
//!
//! The static that `ringbuf!` declares is a key and the empty ring; the rings
//! that are written live with the simulated machine (or, in a unit test, with
//! the thread).

use crate::{Payload, Ringbuf, RingbufEntry};
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// What `ringbuf!` declares. On a board this type has the layout that
/// debuggers know.
#[derive(Debug)]
pub struct StaticCell<T> {
    name: &'static str,
    initial: T,
}

/// Entries with their places, each event as its `Debug` text.
pub type Entries = Vec<(usize, RingbufEntry<String>)>;

/// One task's ring, of whatever type: what the simulator's tables find among the
/// task's instances.
#[derive(Debug)]
pub struct Instance {
    ring: Box<dyn Any>,
    read: fn(&dyn Any) -> Entries,
}

impl Instance {
    /// Its entries, oldest first: the place of each, and what is there, the event
    /// as its `Debug` text.
    #[must_use]
    pub fn entries(&self) -> Entries {
        (self.read)(&*self.ring)
    }
}

impl<T: Payload, const N: usize> StaticCell<Ringbuf<T, N>> {
    /// The key of rings that start as `initial` and go by `name` in reports.
    #[must_use]
    pub const fn new(name: &'static str, initial: Ringbuf<T, N>) -> Self {
        Self { name, initial }
    }

    /// Adds an event to the running task's own ring.
    pub fn record(&self, line: u16, payload: T) {
        self.with(|ring| ring.record(seam::now(), line, payload));
    }

    /// Runs `f` on the running task's own ring.
    ///
    /// # Panics
    /// When the machine mixes up its instances, or `f` traces into this ring.
    pub fn with<R>(&self, f: impl FnOnce(&mut Ringbuf<T, N>) -> R) -> R {
        let instance = seam::instance(std::ptr::from_ref(self).addr(), self.name, &|| {
            Rc::new(Instance { ring: Box::new(RefCell::new(self.initial)), read: read::<T, N> })
        });
        let instance = instance.downcast_ref::<Instance>().expect("a key has one kind of instance");
        let ring: &RefCell<Ringbuf<T, N>> =
            instance.ring.downcast_ref().expect("a static has one type of ring");
        f(&mut ring.borrow_mut())
    }
}

fn read<T: Payload, const N: usize>(ring: &dyn Any) -> Entries {
    let Some(ring) = ring.downcast_ref::<RefCell<Ringbuf<T, N>>>() else { return Vec::new() };
    let ring = ring.borrow();
    let entry = |(index, entry): (usize, &RingbufEntry<T>)| {
        let &RingbufEntry { line, generation, count, time, payload } = entry;
        let payload = format!("{payload:?}");
        (index, RingbufEntry { line, generation, count, time, payload })
    };
    ring.places().map(entry).collect()
}
