//! Typed trace rings that a debugger reads.
//!
//! `ringbuf!(Event, 16, Event::None)` declares the ring of a module,
//! `ringbuf_entry!(Event::Opened(3))` adds to it. An entry equal to the one
//! before it, from the same line, only raises that entry's count, so a loop
//! does not wash out what led to it. Rings stay across a restart of the task:
//! they tell why it died. Nothing is formatted here; the names come out of the
//! debug information (Humility's `ringbuf`) or, in the simulator, from `Debug`.
//!
//! Each entry carries the time of the first event it stands for, so that the
//! rings of all tasks can be read as one account (`cargo xtask story`). Time is
//! the board's counter itself, read without a system call: a tick of the kernel
//! is a millisecond, in which a session is set up, and asking the kernel would
//! make a trace a point at which other tasks run.
//!
//! `counted_ringbuf!` also counts each variant for ever (crate `counters`).

#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(not(target_os = "none"), forbid(unsafe_code))]

#[cfg(target_os = "none")]
mod board;
#[cfg(not(target_os = "none"))]
mod host;

#[cfg(target_os = "none")]
pub use board::StaticCell;
#[cfg(not(target_os = "none"))]
pub use host::{Entries, Instance, StaticCell};

pub use counters::Count;

/// What can be traced: a small plain value.
pub trait Payload: Copy + PartialEq + core::fmt::Debug + 'static {}

impl<T: Copy + PartialEq + core::fmt::Debug + 'static> Payload for T {}

/// One place of a ring.
#[derive(Copy, Clone, Debug)]
pub struct RingbufEntry<T> {
    /// Source line of the macro call.
    pub line: u16,
    /// How often this place was written; 0 = never.
    pub generation: u16,
    /// How many equal events in a row this stands for.
    pub count: u32,
    /// When the first of them was, in counts of the clock that all tasks share:
    /// the board's counter, or nanoseconds of a simulator's time.
    pub time: u64,
    /// The event.
    pub payload: T,
}

impl<T: Payload> RingbufEntry<T> {
    fn is(&self, line: u16, payload: T) -> bool {
        self.line == line && self.payload == payload
    }
}

/// A ring of the last `N` distinct events.
#[derive(Copy, Clone, Debug)]
pub struct Ringbuf<T, const N: usize> {
    /// The place written last.
    pub last: Option<u32>,
    /// The places, in no order but the generations'.
    pub buffer: [RingbufEntry<T>; N],
}

impl<T: Payload, const N: usize> Ringbuf<T, N> {
    /// An empty ring; `init` only fills the memory.
    #[must_use]
    pub const fn new(init: T) -> Self {
        const { assert!(N > 0 && N <= u32::MAX as usize, "a ring has places") };
        Self {
            last: None,
            buffer: [RingbufEntry { line: 0, generation: 0, count: 0, time: 0, payload: init }; N],
        }
    }

    /// Adds an event of that time.
    pub fn record(&mut self, time: u64, line: u16, payload: T) {
        let repeats = self.latest().is_some_and(|latest| latest.is(line, payload));
        self.write(time, line, payload, repeats);
    }

    /// The entry written last.
    fn latest(&self) -> Option<RingbufEntry<T>> {
        self.last.map(|last| self.buffer[last as usize])
    }

    /// Raises the latest entry's count, or takes the next place. Runs no code
    /// of the payload's type, and a task that is killed half-way leaves a ring
    /// that still reads: at worst one entry is lost.
    fn write(&mut self, time: u64, line: u16, payload: T, repeats: bool) {
        let next = match self.last {
            Some(last) if repeats => {
                let entry = &mut self.buffer[last as usize];
                entry.count = entry.count.saturating_add(1);
                return;
            }
            Some(last) => (last as usize + 1) % N,
            None => 0,
        };
        let entry = &mut self.buffer[next];
        let generation = entry.generation.checked_add(1).unwrap_or(1);
        *entry = RingbufEntry { line, generation, count: 1, time, payload };
        self.last = Some(next as u32);
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &RingbufEntry<T>> {
        self.places().map(|(_, entry)| entry)
    }

    /// The entries with their places, oldest first.
    pub fn places(&self) -> impl Iterator<Item = (usize, &RingbufEntry<T>)> {
        let first = self.last.map_or(0, |last| last as usize + 1);
        let places = (0..N).map(move |step| (first + step) % N);
        places.map(|place| (place, &self.buffer[place])).filter(|(_, e)| e.generation != 0)
    }
}

/// A ring whose events are counted as well.
#[derive(Debug)]
pub struct CountedRingbuf<T: Count + Payload, const N: usize> {
    /// The ring.
    pub ringbuf: StaticCell<Ringbuf<T, N>>,
    /// The counters.
    #[cfg(target_os = "none")]
    pub counters: T::Counters,
    /// The counters' key.
    #[cfg(not(target_os = "none"))]
    pub counters: counters::Static<T>,
}

impl<T: Count + Payload, const N: usize> CountedRingbuf<T, N> {
    /// An empty ring with its counters at zero.
    #[must_use]
    pub const fn new(name: &'static str, init: T) -> Self {
        Self {
            ringbuf: StaticCell::new(name, Ringbuf::new(init)),
            #[cfg(target_os = "none")]
            counters: T::NEW_COUNTERS,
            #[cfg(not(target_os = "none"))]
            counters: counters::Static::new(name),
        }
    }
}

/// What [`ringbuf_entry!`] adds to: a ring, counted or not.
pub trait Record<T> {
    /// Adds an event to the running task's ring.
    fn record_entry(&self, line: u32, payload: T);
}

impl<T: Payload + Sync, const N: usize> Record<T> for StaticCell<Ringbuf<T, N>> {
    fn record_entry(&self, line: u32, payload: T) {
        // A file of this project ends long before line 65536.
        self.record(line as u16, payload);
    }
}

impl<T: Count + Payload + Sync, const N: usize> Record<T> for CountedRingbuf<T, N> {
    fn record_entry(&self, line: u32, payload: T) {
        #[cfg(target_os = "none")]
        payload.count(&self.counters);
        #[cfg(not(target_os = "none"))]
        self.counters.count(&payload);
        self.ringbuf.record_entry(line, payload);
    }
}

/// Declares the ring of this module: `ringbuf!(Event, 16, Event::None)`, or
/// `ringbuf!(NAME, Event, 16, Event::None)` when there are several.
#[macro_export]
macro_rules! ringbuf {
    ($Event:ty, $n:expr, $init:expr $(,)?) => {
        $crate::ringbuf!(__RINGBUF, $Event, $n, $init);
    };
    ($name:ident, $Event:ty, $n:expr, $init:expr $(,)?) => {
        static $name: $crate::StaticCell<$crate::Ringbuf<$Event, { $n }>> = $crate::StaticCell::new(
            concat!(module_path!(), "::", stringify!($name)),
            $crate::Ringbuf::new($init),
        );
    };
}

/// As [`ringbuf!`], and each variant of the event is counted: the event type
/// derives `Count`.
#[macro_export]
macro_rules! counted_ringbuf {
    ($Event:ty, $n:expr, $init:expr $(,)?) => {
        $crate::counted_ringbuf!(__RINGBUF, $Event, $n, $init);
    };
    ($name:ident, $Event:ty, $n:expr, $init:expr $(,)?) => {
        static $name: $crate::CountedRingbuf<$Event, { $n }> =
            $crate::CountedRingbuf::new(concat!(module_path!(), "::", stringify!($name)), $init);
    };
}

/// Adds an event: `ringbuf_entry!(event)` or `ringbuf_entry!(NAME, event)`.
#[macro_export]
macro_rules! ringbuf_entry {
    ($event:expr) => {
        $crate::ringbuf_entry!(__RINGBUF, $event)
    };
    ($name:expr, $event:expr) => {
        $crate::Record::record_entry(&$name, line!(), $event)
    };
}

#[cfg(test)]
mod tests;
