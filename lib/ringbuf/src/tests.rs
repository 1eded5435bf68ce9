//! What a ring keeps and what it folds together.

use crate::{Count, Ringbuf, StaticCell};
use counters::AtomicU32;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert_eq};

#[derive(Copy, Clone, Debug, PartialEq)]
enum Event {
    Nothing,
    Opened(u8),
}

#[derive(Debug, Default)]
struct EventCounts {
    opened: AtomicU32,
}

impl Count for Event {
    type Counters = EventCounts;
    const NEW_COUNTERS: EventCounts = EventCounts { opened: AtomicU32::new(0) };

    fn count(&self, counters: &EventCounts) {
        if let Self::Opened(_) = self {
            counters.opened.increment();
        }
    }
}

ringbuf!(Event, 4, Event::Nothing);
ringbuf!(NARROW, Event, 1, Event::Nothing);
counted_ringbuf!(COUNTED, Event, 2, Event::Nothing);

fn seen<const N: usize>(ring: &StaticCell<Ringbuf<Event, N>>) -> Vec<(u32, Event)> {
    ring.with(|ring| ring.iter().map(|entry| (entry.count, entry.payload)).collect())
}

/// R27: what floods the log takes one place in it.
#[test]
fn equal_events_in_a_row_from_one_line_are_one_entry() {
    for n in [1, 1, 1, 2, 1] {
        ringbuf_entry!(Event::Opened(n));
    }
    assert_eq!(
        seen(&__RINGBUF),
        [(3, Event::Opened(1)), (1, Event::Opened(2)), (1, Event::Opened(1))]
    );
}

#[test]
fn equal_events_from_two_lines_are_two_entries() {
    ringbuf_entry!(Event::Opened(7));
    ringbuf_entry!(Event::Opened(7));
    assert_eq!(seen(&__RINGBUF), [(1, Event::Opened(7)), (1, Event::Opened(7))]);
}

#[test]
fn a_ring_of_one_keeps_the_last() {
    for n in 0..3 {
        ringbuf_entry!(NARROW, Event::Opened(n));
    }
    assert_eq!(seen(&NARROW), [(1, Event::Opened(2))]);
    NARROW.with(|ring| assert_eq!(ring.buffer[0].generation, 3));
}

#[test]
fn a_counted_ring_counts_what_it_no_longer_holds() {
    for n in 0..9 {
        ringbuf_entry!(COUNTED, Event::Opened(n));
    }
    assert_eq!(seen(&COUNTED.ringbuf), [(1, Event::Opened(7)), (1, Event::Opened(8))]);
    assert_eq!(COUNTED.counters.instance().opened.get(), 9);
}

#[test]
fn generations_skip_zero_which_means_empty() {
    let mut ring = Ringbuf::<u32, 1>::new(0);
    for n in 0..=u32::from(u16::MAX) {
        ring.record(0, 1, n);
    }
    assert_eq!(ring.buffer[0].generation, 1);
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A ring holds the tail of the run-length encoded history, each run with the
    /// time at which it began.
    #[test]
    fn a_ring_is_the_tail_of_the_history(events in vec((0..3u16, 0..3u8), 0..40)) {
        let mut ring = Ringbuf::<u8, 5>::new(0);
        let mut runs: Vec<(u16, u8, u32, u64)> = Vec::new();
        for (time, (line, payload)) in (0..).zip(events) {
            ring.record(time, line, payload);
            match runs.last_mut() {
                Some(run) if (run.0, run.1) == (line, payload) => run.2 += 1,
                _ => runs.push((line, payload, 1, time)),
            }
        }
        let kept: Vec<_> = ring.iter().map(|e| (e.line, e.payload, e.count, e.time)).collect();
        prop_assert_eq!(&kept[..], &runs[runs.len().saturating_sub(5)..]);
    }
}
