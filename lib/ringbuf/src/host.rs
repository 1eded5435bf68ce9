//! Rings on a host: one per simulated task.
//!
//! The static that `ringbuf!` declares is a key and the empty ring; the rings
//! that are written live with the simulated machine (or, in a unit test, with
//! the thread).

use crate::{Payload, Ringbuf};
use std::any::Any;
use std::cell::RefCell;
use std::fmt::{Debug, Formatter, Result};
use std::rc::Rc;

/// What `ringbuf!` declares. On a board this type has the layout that
/// debuggers know.
#[derive(Debug)]
pub struct StaticCell<T> {
    name: &'static str,
    initial: T,
}

/// One task's ring, of whatever type: what the simulator's report finds among
/// the task's instances and prints with `{:?}`, oldest entry first.
pub struct Instance {
    ring: Box<dyn Any>,
    print: fn(&dyn Any, &mut Formatter<'_>) -> Result,
}

impl Debug for Instance {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        (self.print)(&*self.ring, f)
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
        self.with(|ring| ring.record(line, payload));
    }

    /// Runs `f` on the running task's own ring.
    ///
    /// # Panics
    /// When the machine mixes up its instances, or `f` traces into this ring.
    pub fn with<R>(&self, f: impl FnOnce(&mut Ringbuf<T, N>) -> R) -> R {
        let instance = seam::instance(std::ptr::from_ref(self).addr(), self.name, &|| {
            Rc::new(Instance { ring: Box::new(RefCell::new(self.initial)), print: print::<T, N> })
        });
        let instance = instance.downcast_ref::<Instance>().expect("a key has one kind of instance");
        let ring: &RefCell<Ringbuf<T, N>> =
            instance.ring.downcast_ref().expect("a static has one type of ring");
        f(&mut ring.borrow_mut())
    }
}

fn print<T: Payload, const N: usize>(ring: &dyn Any, f: &mut Formatter<'_>) -> Result {
    let Some(ring) = ring.downcast_ref::<RefCell<Ringbuf<T, N>>>() else { return Ok(()) };
    for entry in ring.borrow().iter() {
        write!(
            f,
            "{:>5} {:>5} {:>6} {:?}",
            entry.line, entry.generation, entry.count, entry.payload
        )?;
        writeln!(f)?;
    }
    Ok(())
}
