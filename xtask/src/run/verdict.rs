//! What a run on the board came to: the simulator's report, and what only a
//! board can tell.

use app::App;
use dsp_abi::media::PlayerState;
use image::{Image, Usage};
use judge::capture::{self, Moment, Record};
use judge::report::{Asked, Excused, Report, Row};
use judge::sound::Sound;
use judge::{Heard, Packet};
use program::playing::SPACING;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::hash::Hasher;
use system::run::explain;
use xxhash_rust::xxh3::Xxh3;

use super::drive::Seen;
use super::evidence::{COUNT_NS, Count, Pace, Rest, Sleep};
use super::{Wish, freeze};
use crate::Bad;

/// Most milliseconds to the first packet, beyond the waits that USB demands.
const BOOT_MS: f64 = 40.0;
/// Complaints of QEMU's that are shown word for word.
const SHOWN: usize = 5;
/// Nanoseconds of an instruction when they are counted.
pub(crate) const INSTRUCTION_NS: u64 = 8;

/// A run's report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BoardReport {
    #[serde(flatten)]
    pub(crate) common: Report,
    /// Whether time was the host's.
    realtime: bool,
    /// From the machine's start to the first packet.
    boot_to_first_packet_ms: f64,
    /// The waits that USB demands: their sum, and each.
    usb_waits_ms: Map<String, Value>,
    /// Wake-ups of core 0 between first and last packet.
    core0_wakeups_while_streaming: u64,
    /// Those by the bell that has to be rung to freeze it.
    #[serde(skip)]
    by_the_bell: u64,
    /// 0 when it slept throughout, else at most so many; not known in real time.
    instructions_core0_while_streaming: Option<u64>,
    /// Bytes that are loaded.
    image_bytes: u32,
    /// Bytes of RAM of the kernel, the tasks and core 1.
    ram_bytes: u32,
    /// How long core 0 was frozen in mid-stream; 0 when it was not.
    frozen_ms: f64,
    /// How long it should have been.
    #[serde(skip)]
    to_be_frozen_ms: f64,
}

/// What of an image a verdict says or rests on.
#[derive(Copy, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) app: &'a App,
    pub(crate) usage: &'a [Usage],
    pub(crate) bytes: u32,
}

impl<'a> From<&'a Image> for Facts<'a> {
    fn from(image: &'a Image) -> Self {
        Self { app: &image.app, usage: &image.usage, bytes: image.bytes }
    }
}

/// What a run is judged by.
pub(crate) struct Evidence<'a> {
    pub(crate) image: Facts<'a>,
    pub(crate) sound: &'a Sound,
    pub(crate) wish: Wish,
    pub(crate) seen: &'a Seen,
    /// QEMU's capture of the wire, and the WAV of what the headset played.
    pub(crate) capture: &'a [u8],
    pub(crate) wav: &'a [u8],
    /// Whether the headset played something before, which is not judged.
    pub(crate) later: bool,
    /// Wall time.
    pub(crate) seconds: f64,
}

/// Judges a run.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Result<BoardReport, Bad> {
    let Evidence { image, sound, seen, wish, .. } = *evidence;
    let Wish { realtime, freeze_ms, woken, .. } = wish;
    let records = capture::read(evidence.capture)
        .map_err(|error| Bad(format!("what QEMU captured cannot be read: {error}")))?;
    // QEMU writes no header while there is nothing to play.
    let heard = Sound::read_wav(evidence.wav).map(|heard| heard.pcm).unwrap_or_default();
    let (records, heard) = match evidence.later {
        true => (latest(&records), latest_of(&sound.pcm, &heard)),
        false => (&records[..], &heard[..]),
    };
    let isochronous = || records.iter().filter(|record| record.is_isochronous_out());
    let sent = isochronous().filter(|record| record.moment == Moment::Submitted);
    // The capture has no frames in it; that packets were on time the board tells.
    let wire = sent.zip(0..).map(|(record, n)| Packet { interval: n, data: record.data });
    let lost = isochronous()
        .filter(|record| matches!(record.moment, Moment::Ended(status) if status != 0));
    let heard = Heard { pcm: heard, gaps: 0, dropped: lost.count() as u32 };
    let verdict = judge::judge(&sound.pcm, sound.frame_bytes(), wire, heard);

    let pace = seen.stream.pace(verdict.packets, SPACING);
    let rest = pace.as_ref().map(|pace| seen.sleeps.within(&pace.playing)).unwrap_or_default();
    let by_the_bell = rest.by.iter().filter(|&&irq| irq == freeze::BELL).count() as u64;
    let first = pace.as_ref().map_or(Count::default(), |pace| pace.playing.start);
    let mut report = Report {
        asked: asked(sound, freeze_ms),
        bit_exact: false,
        wire_exact: false,
        heard_exact: false,
        frames_played: 0,
        packets: 0,
        gaps: 0,
        crowded: 0,
        underruns: seen.answer.underruns,
        app_core_wakeups_while_streaming: rest.wake_ups,
        // Without an instruction there was no system call.
        app_core_syscalls_while_streaming: (rest.awake == 0).then_some(0),
        app_core_timer_while_streaming: rest.timed,
        iommu_faults: seen.iommu_faults.into(),
        model_violations: seen.complaints,
        violations: seen.first_complaints.iter().take(SHOWN).cloned().collect(),
        task_faults: seen.restarts.into(),
        leaks: seen.leaks,
        double_releases: seen.double_releases,
        refused: refused(evidence),
        realtime_factor: sound.seconds() / evidence.seconds,
        first_packet_ms: first.ms(),
        virtual_ms: seen.sleeps.kept.last().map_or(0.0, |sleep| sleep.from.ms()),
        seed: None,
        trace_hash: format!("{:016x}", hash(evidence, records)),
        excused: Excused { wake_ups: freeze_ms.is_some() || woken, pace: realtime },
    };
    report.take_verdict(&verdict);
    let Pace { late, early, .. } =
        pace.unwrap_or(Pace { playing: first..first, late: 0, early: 0 });
    report.gaps = report.gaps.max(late);
    report.crowded = report.crowded.max(early);
    Ok(BoardReport {
        boot_to_first_packet_ms: first.ms(),
        usb_waits_ms: usb_waits(&seen.pauses),
        core0_wakeups_while_streaming: rest.wake_ups,
        by_the_bell,
        instructions_core0_while_streaming: instructions(&rest, realtime),
        image_bytes: image.bytes,
        ram_bytes: image.usage.iter().map(|usage| usage.ram).sum(),
        frozen_ms: seen.frozen.map_or(0.0, Count::ms),
        to_be_frozen_ms: freeze_ms.unwrap_or_default().into(),
        common: report,
        realtime,
    })
}

/// The records since the headset's stream was last set up (USB 2.0 9.4.10).
fn latest<'r, 'c>(records: &'r [Record<'c>]) -> &'r [Record<'c>] {
    const SET_INTERFACE: [u8; 2] = [0x01, 0x0B];
    let sets_up = |record: &Record<'_>| {
        record.setup.is_some_and(|setup| setup[..2] == SET_INTERFACE && setup[2] != 0)
    };
    &records[records.iter().rposition(sets_up).unwrap_or_default()..]
}

/// What was heard from where `sound` was heard last; all of it when it never was.
fn latest_of<'h>(sound: &[u8], heard: &'h [u8]) -> &'h [u8] {
    let at = heard.windows(sound.len().max(1)).rposition(|heard| heard == sound);
    &heard[at.unwrap_or_default()..]
}

fn asked(sound: &Sound, freeze_ms: Option<u32>) -> Asked {
    Asked {
        device: "qemu".to_owned(),
        path: "offload".to_owned(),
        fault: freeze_ms.map(|ms| format!("freeze-core0={}", ms / 1000)),
        rate: sound.rate,
        channels: sound.channels,
        bits: sound.sample_bytes * 8,
        frames: sound.frames(),
    }
}

/// Why the player did not play to the end.
fn refused(evidence: &Evidence<'_>) -> Option<String> {
    let Seen { sequence, answer, broken_off, .. } = evidence.seen;
    if broken_off.is_some() {
        return broken_off.clone();
    }
    if answer.sequence != sequence.0 {
        return Some("the player took no command".to_owned());
    }
    if answer.state == PlayerState::Failed as u32 {
        let server = evidence.image.app.tasks.get(answer.server as usize);
        let name = server.map_or("?", |task| task.name.as_str());
        return Some(explain(name, answer.code));
    }
    (answer.state != PlayerState::Done as u32).then(|| "the player never came to an end".to_owned())
}

/// Instructions that core 0 can have executed in the time that it was awake.
fn instructions(rest: &Rest, realtime: bool) -> Option<u64> {
    match rest.awake {
        0 => Some(0),
        _ if realtime => None,
        counts => Some(counts * COUNT_NS / INSTRUCTION_NS),
    }
}

fn usb_waits(pauses: &[(&'static str, u64)]) -> Map<String, Value> {
    let mut waits = Map::new();
    waits.insert("total".to_owned(), pauses.iter().map(|(_, ms)| ms).sum::<u64>().into());
    waits.extend(pauses.iter().map(|&(name, ms)| (name.to_owned(), ms.into())));
    waits
}

/// Hash of the wire, of what was heard, of how often the stream interrupted core
/// 1, and of core 0's sleeps in their order: two runs with one hash did the same.
///
/// Left out are the host's stamps in the capture, and when what happened: QEMU
/// sets the controller's timer for the next packet from the moment at which its
/// main loop came to this one, which a host can delay. From there on packets go
/// out at another place in their millisecond, less than a microframe away (90 µs
/// in 1 run of 29 of a minute each), and so does all that follows from them.
fn hash(evidence: &Evidence<'_>, records: &[Record<'_>]) -> u64 {
    let mut hash = Xxh3::new();
    for record in records {
        hash.write(format!("{:?} {:?}", record.moment, record.setup).as_bytes());
        hash.write_u8(record.endpoint);
        hash.write(record.data);
    }
    hash.write(evidence.wav);
    let Seen { stream, sleeps, .. } = evidence.seen;
    hash.write_u32(stream.count);
    hash.write_u32(sleeps.begun);
    for Sleep { timed, irq, until, .. } in &sleeps.kept {
        hash.write(format!("{timed} {irq:?} {}", until.is_some()).as_bytes());
    }
    hash.finish()
}

impl BoardReport {
    /// Whether all is as it should be: what exit code 0 means.
    pub(crate) fn is_right(&self) -> bool {
        self.common.is_right() && self.boots_in_time() && self.froze()
    }

    fn usb_waits_total(&self) -> f64 {
        self.usb_waits_ms["total"].as_f64().unwrap_or_default()
    }

    /// Real time is the host's to be late with.
    fn boots_in_time(&self) -> bool {
        self.realtime || self.boot_to_first_packet_ms <= self.usb_waits_total() + BOOT_MS
    }

    /// Whether it was frozen for as long as it should be, if it should, and woke
    /// by nothing else than that.
    fn froze(&self) -> bool {
        let bells = if self.to_be_frozen_ms > 0.0 { self.by_the_bell } else { 0 };
        self.frozen_ms + f64::from(SPACING) >= self.to_be_frozen_ms
            && self.core0_wakeups_while_streaming == bells
    }

    /// What the table has beside the simulator's rows.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let waits: Vec<String> = self
            .usb_waits_ms
            .iter()
            .filter(|(name, _)| *name != "total")
            .map(|(name, ms)| format!("{} {ms}", name.replace('_', " ")))
            .collect();
        let awake = self
            .instructions_core0_while_streaming
            .map_or_else(|| "unknown".to_owned(), |count| count.to_string());
        let mut rows = vec![
            Row {
                what: "boot to first packet",
                value: format!(
                    "{:.1} ms, {} of them waits of USB's",
                    self.boot_to_first_packet_ms,
                    self.usb_waits_total()
                ),
                right: (!self.realtime).then(|| self.boots_in_time()),
            },
            Row { what: "waits of USB's, in ms", value: waits.join(", "), right: None },
            Row {
                what: "instructions of core 0",
                value: format!("{awake} while streaming"),
                right: None,
            },
            Row {
                what: "image",
                value: format!("{} bytes, {} bytes of RAM", self.image_bytes, self.ram_bytes),
                right: None,
            },
        ];
        if self.to_be_frozen_ms > 0.0 {
            rows.push(Row {
                what: "core 0 frozen for",
                value: format!(
                    "{:.0} ms of the stream, then woken {} times",
                    self.frozen_ms, self.core0_wakeups_while_streaming
                ),
                right: Some(self.froze()),
            });
        }
        rows
    }

    /// The JSON object.
    pub(crate) fn json(&self) -> Value {
        json!(self)
    }
}

#[cfg(test)]
mod tests;
