//! Counters on a host: one set per simulated task.
//!
//! The static that `counters!` declares is only a key; the counters live with
//! the simulated machine (or, in a unit test, with the thread).

use crate::Count;
use std::any::Any;
use std::fmt::{Debug, Formatter, Result};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32 as Atomic, Ordering};

/// One counter. On a board this type has the layout that debuggers know.
#[derive(Default)]
pub struct AtomicU32 {
    v: Atomic,
}

impl AtomicU32 {
    /// A counter that stands at `value`.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self { v: Atomic::new(value) }
    }

    /// Counts one; wraps at 2^32.
    pub fn increment(&self) {
        self.v.fetch_add(1, Ordering::Relaxed);
    }

    /// Where the counter stands.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.v.load(Ordering::Relaxed)
    }
}

impl Debug for AtomicU32 {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.get().fmt(f)
    }
}

/// What `counters!` declares on a host.
#[derive(Debug)]
pub struct Static<E> {
    name: &'static str,
    event: PhantomData<fn(E)>,
}

/// One task's counters, of whatever type: what the simulator's report finds
/// among the task's instances and prints with `{:?}`.
pub struct Instance {
    counters: Rc<dyn Any>,
    print: fn(&dyn Any, &mut Formatter<'_>) -> Result,
}

impl Debug for Instance {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        (self.print)(&*self.counters, f)
    }
}

impl<E: Count> Static<E> {
    /// The key of the counters that go by `name` in reports.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, event: PhantomData }
    }

    /// Counts `event` in the running task's own counters.
    pub fn count(&self, event: &E) {
        event.count(&self.instance());
    }

    /// The running task's own counters.
    ///
    /// # Panics
    /// When the machine mixes up its instances.
    #[must_use]
    pub fn instance(&self) -> Rc<E::Counters> {
        let instance = seam::instance(std::ptr::from_ref(self).addr(), self.name, &|| {
            Rc::new(Instance {
                counters: Rc::new(E::NEW_COUNTERS),
                print: |counters, f| match counters.downcast_ref::<E::Counters>() {
                    Some(counters) => counters.fmt(f),
                    None => Ok(()),
                },
            })
        });
        let instance = instance.downcast::<Instance>().expect("a key has one kind of instance");
        instance.counters.clone().downcast().expect("a static has one type of counters")
    }
}
