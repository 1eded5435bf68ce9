//! What the board's own logs show: that core 0 slept, and that no packet was late.
//!
//! Core 1 notes when each interrupt of a stream came, and there is one for every
//! so many packets; core 0 notes when it slept. Both read the same counter. What
//! a headset played shows neither: it has no gaps where there was nothing to
//! play.

use qemu::Memory;
use std::ops::Range;

use super::places::Static;

/// Counts of the generic timer in a millisecond (CNTFRQ of the board).
pub(crate) const PER_MS: u64 = 62_500;
/// Nanoseconds of a count.
pub(crate) const COUNT_NS: u64 = 1_000_000 / PER_MS;

/// A time of the generic timer, in counts since the machine was switched on.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count(pub(crate) u64);

impl Count {
    pub(crate) fn ms(self) -> f64 {
        self.0 as f64 / PER_MS as f64
    }
}

/// A sleep of core 0.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sleep {
    pub(crate) from: Count,
    /// None while it lasts.
    pub(crate) until: Option<Count>,
    /// Whether the timer was set.
    pub(crate) timed: bool,
    /// The interrupt that ended it, if one was there.
    pub(crate) irq: Option<u32>,
}

/// The latest sleeps of core 0, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sleeps {
    /// Sleeps since start.
    pub(crate) begun: u32,
    pub(crate) kept: Vec<Sleep>,
}

/// Bytes of the log before its sleeps, and of a sleep.
const LOG_HEAD: usize = 8;
const SLEEP: usize = 24;

impl Sleeps {
    pub(crate) fn read(memory: &Memory, at: Static) -> Result<Self, qemu::Error> {
        Ok(Self::parse(&bytes(memory, at)?))
    }

    fn parse(log: &[u8]) -> Self {
        let (head, sleeps) = log.split_at(LOG_HEAD.min(log.len()));
        let begun = word(head, 0);
        let places: Vec<&[u8]> = sleeps.chunks_exact(SLEEP).collect();
        let kept = (begun as usize).min(places.len());
        let sleep = |n: usize| {
            let place = places[n % places.len()];
            let until = Count(long(place, 8));
            Sleep {
                from: Count(long(place, 0)),
                until: (until != Count(0)).then_some(until),
                timed: word(place, 16) != 0,
                irq: Some(word(place, 20)).filter(|&irq| irq != 0),
            }
        };
        let first = begun as usize - kept;
        Self { begun, kept: (first..begun as usize).map(sleep).collect() }
    }

    /// Whether core 0 sleeps, and nothing is to wake it.
    pub(crate) fn at_rest(&self) -> bool {
        self.kept.last().is_some_and(|sleep| sleep.until.is_none() && !sleep.timed)
    }

    /// What core 0 did between two times.
    pub(crate) fn within(&self, span: &Range<Count>) -> Rest {
        let mut rest = Rest { awake: span.end.0.saturating_sub(span.start.0), ..Rest::default() };
        for sleep in &self.kept {
            let until = sleep.until.unwrap_or(Count(u64::MAX));
            let overlap = until.min(span.end).0.saturating_sub(sleep.from.max(span.start).0);
            rest.awake -= overlap.min(rest.awake);
            rest.timed |= overlap > 0 && sleep.timed;
            if sleep.until.is_some() && span.contains(&until) {
                rest.wake_ups += 1;
                rest.by.extend(sleep.irq);
            }
        }
        rest
    }
}

/// What core 0 did in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Times that it woke.
    pub(crate) wake_ups: u64,
    /// By which interrupts.
    pub(crate) by: Vec<u32>,
    /// Counts that it did not sleep.
    pub(crate) awake: u64,
    /// Whether a timer was set.
    pub(crate) timed: bool,
}

/// What came on a stream's line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Interrupts.
    pub(crate) count: u32,
    /// The longest time between two.
    pub(crate) longest: Count,
    pub(crate) first: Count,
    /// The last ones, number `n` at `n` modulo their number.
    last: Vec<Count>,
}

/// Bytes of a stream's log, and where its last times are.
const STREAM: usize = 56;
const LAST: usize = 24;

impl Stream {
    /// The stream that had most.
    pub(crate) fn read(memory: &Memory, at: Static) -> Result<Self, qemu::Error> {
        let log = bytes(memory, at)?;
        let streams = log.chunks_exact(STREAM).map(Self::parse);
        Ok(streams.max_by_key(|stream| stream.count).unwrap_or_default())
    }

    fn parse(log: &[u8]) -> Self {
        Self {
            count: word(log, 0),
            longest: Count(long(log, 8)),
            first: Count(long(log, 16)),
            last: log[LAST..].chunks_exact(8).map(|time| Count(long(time, 0))).collect(),
        }
    }

    /// What core 1 notes of interrupts at these milliseconds.
    #[cfg(test)]
    pub(crate) fn of(ms: &[u64]) -> Self {
        let mut stream = Self { last: vec![Count(0); 4], ..Self::default() };
        for &ms in ms {
            // Noted a little after it came.
            let at = Count(ms * PER_MS + 321);
            if let Some(before) = stream.count.checked_sub(1).and_then(|n| stream.time(n)) {
                stream.longest = stream.longest.max(Count(at.0 - before.0));
            } else {
                stream.first = at;
            }
            stream.last[stream.count as usize % 4] = at;
            stream.count += 1;
        }
        stream
    }

    /// The time of interrupt `n`, if it is one of the last.
    pub(crate) fn time(&self, n: u32) -> Option<Count> {
        let kept = self.count.saturating_sub(self.last.len() as u32)..self.count;
        kept.contains(&n).then(|| self.last[n as usize % self.last.len()])
    }

    /// What its times say of `packets` packets, one a millisecond, of which each
    /// `spacing`th and the last were told of; none when it never began.
    pub(crate) fn pace(&self, packets: u32, spacing: u32) -> Option<Pace> {
        let reports = packets.div_ceil(spacing);
        // The dry ring is told of after the last packet.
        let dry = u32::from(self.count == reports + 1);
        let last = self.time(self.count.checked_sub(1 + dry)?)?;
        let first_report = packets.min(spacing);
        let elapsed = whole_ms(last.0 - self.first.0);
        let slip = elapsed as i64 - i64::from(packets - first_report);
        let longest = whole_ms(self.longest.0).saturating_sub(u64::from(spacing)) as i64;
        Some(Pace {
            playing: Count(self.first.0.saturating_sub(u64::from(first_report) * PER_MS))..last,
            late: slip.max(longest).max(0) as u32,
            early: (-slip).max(0) as u32,
        })
    }
}

/// How a stream went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From the frame of the first packet to the end of the last.
    pub(crate) playing: Range<Count>,
    /// Frames between without a packet.
    pub(crate) late: u32,
    /// Packets more than frames.
    pub(crate) early: u32,
}

/// The nearest whole milliseconds: an interrupt is noted a few microseconds
/// after its packet.
const fn whole_ms(counts: u64) -> u64 {
    (counts + PER_MS / 2) / PER_MS
}

fn bytes(memory: &Memory, at: Static) -> Result<Vec<u8>, qemu::Error> {
    let mut bytes = vec![0; at.size];
    memory.read(at.at, &mut bytes)?;
    Ok(bytes)
}

/// The word at `at`; 0 beyond the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::{Count, PER_MS, Sleep, Sleeps, Stream};

    /// The kernel's log of these sleeps, in room for three.
    fn log(sleeps: &[(u64, u64, u32, u32)]) -> Vec<u8> {
        let mut log = vec![0; 8 + 3 * 24];
        log[..4].copy_from_slice(&(sleeps.len() as u32).to_le_bytes());
        for (n, &(from, until, timed, irq)) in sleeps.iter().enumerate() {
            let place = &mut log[8 + n % 3 * 24..][..24];
            place[..8].copy_from_slice(&from.to_le_bytes());
            place[8..16].copy_from_slice(&until.to_le_bytes());
            place[16..20].copy_from_slice(&timed.to_le_bytes());
            place[20..].copy_from_slice(&irq.to_le_bytes());
        }
        log
    }

    #[test]
    fn the_latest_sleeps_are_read_oldest_first() {
        let sleeps =
            Sleeps::parse(&log(&[(1, 2, 1, 30), (3, 4, 0, 80), (5, 6, 1, 0), (7, 0, 0, 0)]));
        let from: Vec<u64> = sleeps.kept.iter().map(|sleep| sleep.from.0).collect();
        assert_eq!((sleeps.begun, from), (4, vec![3, 5, 7]));
        assert_eq!(sleeps.kept[0].irq, Some(80));
        let latest = Sleep { from: Count(7), until: None, timed: false, irq: None };
        assert_eq!(sleeps.kept[2], latest);
        assert!(sleeps.at_rest());
        assert!(!Sleeps::parse(&log(&[(1, 0, 1, 0)])).at_rest(), "the timer will wake it");
        assert!(!Sleeps::parse(&log(&[(1, 2, 0, 0)])).at_rest(), "it is awake");
        assert!(!Sleeps::parse(&[]).at_rest());
    }

    #[test]
    fn a_core_that_slept_throughout_was_awake_for_nothing() {
        let sleeps = Sleeps::parse(&log(&[(5, 10, 1, 30), (12, 90, 0, 97)]));
        let rest = sleeps.within(&(Count(20)..Count(80)));
        assert_eq!((rest.wake_ups, rest.awake, rest.timed), (0, 0, false));
        let still = Sleeps::parse(&log(&[(12, 0, 0, 0)])).within(&(Count(20)..Count(80)));
        assert_eq!((still.wake_ups, still.awake), (0, 0));
    }

    #[test]
    fn each_wake_up_each_timer_and_all_time_awake_are_seen() {
        let sleeps = Sleeps::parse(&log(&[(5, 30, 0, 80), (34, 50, 1, 30), (53, 90, 0, 97)]));
        let rest = sleeps.within(&(Count(20)..Count(80)));
        assert_eq!((rest.wake_ups, rest.awake, rest.timed), (2, 7, true));
        assert_eq!(rest.by, [80, 30]);
    }

    #[test]
    fn what_the_log_has_lost_counts_as_awake() {
        let sleeps =
            Sleeps::parse(&log(&[(0, 5, 0, 80), (6, 10, 0, 80), (11, 15, 0, 80), (16, 30, 0, 80)]));
        assert_eq!(sleeps.within(&(Count(0)..Count(30))).awake, 6 + 1 + 1);
    }

    #[test]
    fn packets_on_time_are_neither_late_nor_early() {
        // 20 packets from 100 ms on: told of after 8, 16 and 20, then dry.
        for times in [&[108, 116, 120, 121][..], &[108, 116, 120]] {
            let pace = Stream::of(times).pace(20, 8).expect("it played");
            assert_eq!((pace.late, pace.early), (0, 0), "{times:?}");
            assert_eq!(pace.playing.start.0 / PER_MS, 100);
            assert_eq!(pace.playing.end.0 / PER_MS, 120);
        }
        let short = Stream::of(&[103]).pace(3, 8).expect("it played");
        assert_eq!((short.late, short.early), (0, 0));
        assert_eq!(Stream::of(&[]).pace(0, 8), None);
    }

    #[test]
    fn a_packet_that_was_late_is_seen_even_when_others_made_up_for_it() {
        let late = |times: &[u64]| {
            let pace = Stream::of(times).pace(40, 8).expect("it played");
            (pace.late, pace.early)
        };
        assert_eq!(late(&[108, 116, 124, 132, 140, 141]), (0, 0));
        assert_eq!(late(&[108, 119, 127, 135, 143, 144]), (3, 0));
        assert_eq!(late(&[108, 118, 124, 132, 140, 141]), (2, 0));
        assert_eq!(late(&[108, 114, 122, 130, 138, 139]), (0, 2));
    }
}
