//! The buffer and the clock behind a headset's loudspeakers.
//!
//! What arrives is appended to the record at once; a play position follows at
//! the pace of the device's clock, applies the gain, and is what counts as
//! heard: the rest is cut off when the stream is closed. A device clocked by
//! the bus plays the packet of one frame in the next one, and silence in a
//! frame for which none came. One with a crystal of its own starts
//! [`PREFILL_MS`] after the first packet and plays frame by frame. Silence
//! becomes a gap when music follows it; at the end of a stream it does not.

use super::controls::{Gain, UNITY};
use super::heard::{Format, GAP_TIMES, Heard, Stream};
use crate::bus::Microframe;
use fabric::Time;

/// What an asynchronous device lets gather before it plays.
const PREFILL_MS: u64 = 8;
/// What its buffer holds: as far above the prefill as the prefill is above nothing.
const CAPACITY_MS: u64 = 2 * PREFILL_MS;
/// Packets that a device clocked by the bus holds: the one that plays, the one
/// that just came, and a single one too many.
const QUEUE: usize = 3;
/// Bytes of record that fit before it has to grow: two seconds of stereo S16.
const ROOM: usize = 2 * 48_000 * 4;
/// A buffer that is off its target is steered back within this many frames of the bus.
const STEERING: f64 = 128.0;

/// Who says when the next sample is due.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// The start of frames on the bus.
    Bus,
    /// A crystal, off by that much.
    Own { ppm: i32 },
}

#[derive(Debug)]
struct Open {
    format: Format,
    clock: Clock,
    /// Up to here in the record everything was heard.
    played: usize,
    /// When playback began; nothing was played before.
    started: Option<Time>,
    /// Bus: frames of audio in each queued packet.
    queue: [u16; QUEUE],
    queued: usize,
    /// Bus: the frame of the bus that plays next.
    next: u64,
    /// Bus: frames that passed in silence since the queue ran empty.
    silent: u64,
    /// Own: frames of audio since playback began, silence included.
    consumed: u64,
    /// Own: when the buffer ran dry.
    dry: Option<Time>,
    last: Option<u64>,
}

/// The loudspeakers of a headset, and the record of what came out of them.
#[derive(Debug)]
pub(super) struct Sink {
    heard: Heard,
    open: Option<Open>,
}

impl Sink {
    pub(super) fn new() -> Self {
        let pcm = Vec::with_capacity(ROOM);
        Self { heard: Heard { pcm, ..Heard::default() }, open: None }
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    pub(super) fn closed(&self) -> bool {
        self.open.is_none()
    }

    /// A packet came that cannot be played.
    pub(super) fn refuse(&mut self) {
        self.heard.ignored_packets += 1;
    }

    pub(super) fn open(&mut self, now: Time, format: Format, clock: Clock) {
        let offset = self.heard.pcm.len();
        self.heard.streams.push(Stream { offset, format, opened: now, first: None, last: None });
        self.open = Some(Open {
            format,
            clock,
            played: offset,
            started: None,
            queue: [0; QUEUE],
            queued: 0,
            next: 0,
            silent: 0,
            consumed: 0,
            dry: None,
            last: None,
        });
    }

    /// Ends the stream: what was not played by now never is.
    pub(super) fn close(&mut self, now: Time, gain: Gain) {
        self.advance(Microframe::at(now), gain);
        if let Some(open) = self.open.take() {
            let left = self.heard.pcm.len() - open.played;
            self.heard.cut_frames += (left / open.format.frame()) as u64;
            self.heard.pcm.truncate(open.played);
        }
    }

    /// A packet of the stream.
    pub(super) fn packet(&mut self, at: Microframe, data: &[u8], gain: Gain) {
        self.advance(at, gain);
        let Some(open) = &mut self.open else {
            self.heard.ignored_packets += 1;
            return;
        };
        let (now, bytes) = (at.starts(), open.format.frame());
        let frames = data.len() / bytes;
        if !open.explains(data.len()) {
            self.heard.odd_packets += 1;
        }
        if let Some(last) = open.last {
            self.heard.empty_intervals += at.frame().saturating_sub(last + 1);
        }
        open.last = Some(at.frame());
        let stream = self.heard.streams.last_mut().expect("an open stream is on record");
        stream.first.get_or_insert(now);
        stream.last = Some(now);
        if frames == 0 {
            return;
        }
        let full = match open.clock {
            Clock::Bus => open.queued == QUEUE,
            Clock::Own { .. } => {
                let held = (self.heard.pcm.len() - open.played) / bytes;
                held as u64 + frames as u64 > open.audio_frames(Time::ms(CAPACITY_MS))
            }
        };
        if full {
            self.heard.overflows += 1;
            self.heard.overflow_frames += frames as u64;
            return;
        }
        match open.clock {
            Clock::Bus => open.arrive_on_bus_clock(&mut self.heard, at.frame()),
            Clock::Own { .. } => open.arrive_on_own_clock(&mut self.heard, now),
        }
        self.heard.pcm.extend_from_slice(&data[..frames * bytes]);
        if open.clock == Clock::Bus {
            open.queue[open.queued] = frames as u16;
            open.queued += 1;
        }
        self.heard.packets += 1;
    }

    /// Plays up to `at`; the answer is what is left in the buffer, in frames.
    pub(super) fn advance(&mut self, at: Microframe, gain: Gain) -> u64 {
        let Some(open) = &mut self.open else { return 0 };
        if open.started.is_none() {
            return 0;
        }
        let from = open.played;
        match open.clock {
            Clock::Bus => open.play_on_bus_clock(at.frame()),
            Clock::Own { .. } => open.play_on_own_clock(at.starts(), self.heard.pcm.len()),
        }
        let frame = open.format.frame();
        if gain.muted {
            self.heard.muted_frames += ((open.played - from) / frame) as u64;
        }
        apply(gain, open.format, &mut self.heard.pcm[from..open.played]);
        ((self.heard.pcm.len() - open.played) / frame) as u64
    }

    /// Frames of audio per frame of the bus that the device wants, when its
    /// buffer holds `fill` frames.
    pub(super) fn regulated_rate(&self, fill: u64) -> f64 {
        let Some(open) = &self.open else { return 0.0 };
        let Clock::Own { ppm } = open.clock else { return f64::from(open.format.rate) / 1000.0 };
        let own = f64::from(open.format.rate) * (1.0 + f64::from(ppm) / 1e6) / 1000.0;
        // Before it plays, its buffer is meant to fill.
        if open.consumed == 0 {
            return own;
        }
        let target = own * PREFILL_MS as f64;
        own + (target - fill as f64) / STEERING
    }
}

impl Open {
    /// Whether a packet of `len` bytes is one that this rate can lead to.
    fn explains(&self, len: usize) -> bool {
        let bytes = self.format.frame();
        let frames = (len / bytes) as u32;
        let (floor, ceiling) = (self.format.rate / 1000, self.format.rate.div_ceil(1000));
        // A device that steers its host gets a frame more or less.
        let slack = u32::from(self.clock != Clock::Bus);
        len.is_multiple_of(bytes) && (floor - slack..=ceiling + slack).contains(&frames)
    }

    /// Frames of audio in `span` of the bus' time, by the device's clock.
    fn audio_frames(&self, span: Time) -> u64 {
        let ppm = match self.clock {
            Clock::Bus => 0,
            Clock::Own { ppm } => ppm,
        };
        let scaled = u128::from(self.format.rate) * (1_000_000 + i128::from(ppm)) as u128;
        (u128::from(span.0) * scaled / 1_000_000_000_000_000) as u64
    }

    fn play_on_bus_clock(&mut self, frame: u64) {
        while self.next < frame {
            if self.queued == 0 {
                self.silent += frame - self.next;
                self.next = frame;
                return;
            }
            self.played += usize::from(self.queue[0]) * self.format.frame();
            self.queue.copy_within(1.., 0);
            self.queued -= 1;
            self.next += 1;
        }
    }

    fn arrive_on_bus_clock(&mut self, heard: &mut Heard, frame: u64) {
        if self.started.is_none() {
            self.started = Some(Microframe(frame * 8).starts());
            self.next = frame + 1;
            return;
        }
        if self.queued == 0 && self.next <= frame {
            // The frame that runs is silent as well: this packet plays in the next.
            self.silent += frame + 1 - self.next;
            self.next = frame + 1;
        }
        if self.silent > 0 {
            let first = self.next - self.silent;
            let rate = u64::from(self.format.rate);
            let frames = self.next * rate / 1000 - first * rate / 1000;
            self.gap(heard, Microframe(first * 8).starts(), frames);
            self.played = heard.pcm.len();
            self.silent = 0;
        }
    }

    fn play_on_own_clock(&mut self, now: Time, end: usize) {
        let started = self.started.expect("only a started stream plays");
        let due = self.audio_frames(now.since(started)).saturating_sub(self.consumed);
        let held = ((end - self.played) / self.format.frame()) as u64;
        let take = due.min(held);
        self.played += take as usize * self.format.frame();
        self.consumed += take;
        if due > held {
            self.dry.get_or_insert(now);
        }
    }

    fn arrive_on_own_clock(&mut self, heard: &mut Heard, now: Time) {
        let Some(started) = self.started else {
            self.started = Some(now + Time::ms(PREFILL_MS));
            return;
        };
        if let Some(dry) = self.dry.take() {
            let missed = self.audio_frames(now.since(started)).saturating_sub(self.consumed);
            self.consumed += missed;
            self.gap(heard, dry, missed + self.audio_frames(Time::ms(PREFILL_MS)));
            self.played += missed as usize * self.format.frame();
        }
    }

    fn gap(&self, heard: &mut Heard, since: Time, frames: u64) {
        heard.gaps += 1;
        heard.gap_frames += frames;
        if heard.gap_times.len() < GAP_TIMES {
            heard.gap_times.push(since);
        }
        heard.pcm.resize(heard.pcm.len() + frames as usize * self.format.frame(), 0);
    }
}

/// Multiplies the samples of `pcm`, whole frames, little-endian.
fn apply(gain: Gain, format: Format, pcm: &mut [u8]) {
    if gain.is_unity() {
        return;
    }
    if gain.muted {
        pcm.fill(0);
        return;
    }
    let bytes = usize::from(format.bytes);
    for frame in pcm.chunks_exact_mut(format.frame()) {
        for (sample, factor) in frame.chunks_exact_mut(bytes).zip(gain.factor) {
            let mut wide = [0; 4];
            wide[4 - bytes..].copy_from_slice(sample);
            let value = i64::from(i32::from_le_bytes(wide));
            let scaled = (value * i64::from(factor)) / i64::from(UNITY);
            let clamped = scaled.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
            sample.copy_from_slice(&clamped.to_le_bytes()[4 - bytes..]);
        }
    }
}
