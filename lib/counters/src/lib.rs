//! Event counters that a debugger reads.
//!
//! `counters!(Event)` declares one counter per variant of the enum `Event`,
//! `count!(Event::Underrun)` bumps one. They stay across a restart of the task
//! and nobody in the system reads them back: they are for the one who looks in
//! from outside (Humility's `counters`, or the simulator's report), so they
//! take no part in deciding anything.
//!
//! The enum derives `Count` (crate `idol-derive`). On a host each simulated
//! task has counters of its own, as on a board.

#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(not(target_os = "none"), forbid(unsafe_code))]

#[cfg(target_os = "none")]
mod board;
#[cfg(not(target_os = "none"))]
mod host;

#[cfg(target_os = "none")]
pub use board::AtomicU32;
#[cfg(not(target_os = "none"))]
pub use host::{AtomicU32, Instance, Static};

/// Derives [`Count`](trait@Count) for an enum.
pub use idol_derive::Count;

/// An event type whose occurrences are counted, one counter per variant.
pub trait Count {
    /// The counters: a struct with a field per variant, named like it.
    type Counters: core::fmt::Debug + 'static;

    /// All counters at zero.
    const NEW_COUNTERS: Self::Counters;

    /// Counts this event.
    fn count(&self, counters: &Self::Counters);
}

/// Declares the counters of this module: `counters!(Event)`, or
/// `counters!(NAME, Event)` when there are several.
#[macro_export]
macro_rules! counters {
    ($Event:ty) => {
        $crate::counters!(__COUNTERS, $Event);
    };
    ($name:ident, $Event:ty) => {
        $crate::__declare!($name, $Event);
    };
}

/// Counts an event: `count!(event)` or `count!(NAME, event)`.
#[macro_export]
macro_rules! count {
    ($event:expr) => {
        $crate::count!(__COUNTERS, $event)
    };
    ($name:ident, $event:expr) => {
        $crate::__count!($name, $event)
    };
}

/// The board's declaration: a plain static, so that the debugger finds the
/// struct under its own name.
#[cfg(target_os = "none")]
#[doc(hidden)]
#[macro_export]
macro_rules! __declare {
    ($name:ident, $Event:ty) => {
        #[used]
        static $name: <$Event as $crate::Count>::Counters = <$Event as $crate::Count>::NEW_COUNTERS;
    };
}

#[cfg(target_os = "none")]
#[doc(hidden)]
#[macro_export]
macro_rules! __count {
    ($name:ident, $event:expr) => {
        $crate::Count::count(&$event, &$name)
    };
}

/// The host's declaration: a key under which each task has its own.
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __declare {
    ($name:ident, $Event:ty) => {
        static $name: $crate::Static<$Event> =
            $crate::Static::new(concat!(module_path!(), "::", stringify!($name)));
    };
}

#[cfg(not(target_os = "none"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __count {
    ($name:ident, $event:expr) => {
        $name.count(&$event)
    };
}

#[cfg(test)]
mod tests {
    use super::{AtomicU32, Count};

    enum Event {
        Come,
        Gone,
    }

    #[derive(Debug)]
    #[allow(non_snake_case, reason = "fields are named like the variants")]
    struct EventCounts {
        Come: AtomicU32,
        Gone: AtomicU32,
    }

    impl Count for Event {
        type Counters = EventCounts;
        const NEW_COUNTERS: EventCounts =
            EventCounts { Come: AtomicU32::new(0), Gone: AtomicU32::new(0) };

        fn count(&self, counters: &EventCounts) {
            match self {
                Self::Come => counters.Come.increment(),
                Self::Gone => counters.Gone.increment(),
            }
        }
    }

    counters!(Event);
    counters!(OTHERS, Event);

    #[test]
    fn each_variant_and_each_set_counts_for_itself() {
        count!(Event::Come);
        count!(Event::Come);
        count!(OTHERS, Event::Gone);
        assert_eq!(format!("{:?}", __COUNTERS.instance()), "EventCounts { Come: 2, Gone: 0 }");
        assert_eq!(format!("{:?}", OTHERS.instance()), "EventCounts { Come: 0, Gone: 1 }");
    }

    #[test]
    fn another_thread_starts_at_zero() {
        count!(Event::Come);
        let there =
            std::thread::spawn(|| format!("{:?}", __COUNTERS.instance())).join().expect("ends");
        assert_eq!(there, "EventCounts { Come: 0, Gone: 0 }");
    }

    #[test]
    fn a_counter_wraps_rather_than_stops_the_task() {
        let counter = AtomicU32::new(u32::MAX);
        counter.increment();
        assert_eq!(counter.get(), 0);
    }
}
