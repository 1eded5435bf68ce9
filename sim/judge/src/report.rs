//! What a run came to, for programs (JSON) and for people (a table).

use crate::Verdict;
use serde::Serialize;
use std::fmt;

/// What is still held when everything should be given back.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Leaks {
    /// Votes of the broker.
    pub votes: u32,
    /// Holds at the USB core.
    pub holds: u32,
    /// Secondary interrupters.
    pub interrupters: u32,
    /// Endpoints that belong to a sideband.
    pub endpoints: u32,
    /// Pages that the DSP sees.
    pub peer_pages: u32,
    /// Pages that a controller sees inside session windows.
    pub bus_pages: u32,
    /// Pages out of use because an unmap was not confirmed.
    pub quarantined: u32,
}

impl Leaks {
    /// Everything together; 0 is right.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.votes
            + self.holds
            + self.interrupters
            + self.endpoints
            + self.peer_pages
            + self.bus_pages
            + self.quarantined
    }
}

/// What the run was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Name of the headset model.
    pub device: String,
    /// `offload` or `player`.
    pub path: String,
    /// The fault that was injected.
    pub fault: Option<String>,
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: u8,
    /// Bits per sample.
    pub bits: u8,
    /// Frames to play.
    pub frames: u32,
}

/// What a run may do and still be right.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Excused {
    /// The application core has work to do while the stream plays.
    pub wake_ups: bool,
    /// Packets go by the host's time: one that is late is the host's, and so is
    /// how soon a core that has nothing more to do falls asleep.
    pub pace: bool,
}

/// What the run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was asked.
    #[serde(flatten)]
    pub asked: Asked,
    /// The wire and the headset both had the sound bit for bit.
    pub bit_exact: bool,
    /// The wire had it.
    pub wire_exact: bool,
    /// The headset played it.
    pub heard_exact: bool,
    /// Frames that the headset played right, from the first on.
    pub frames_played: u32,
    /// Packets on the wire.
    pub packets: u32,
    /// Gaps on the wire or in the headset, whichever saw more.
    pub gaps: u32,
    /// Service intervals with more than one packet, or out of order.
    pub crowded: u32,
    /// Underruns that the driver of the stream saw.
    pub underruns: u32,
    /// Times that the application core woke between first and last packet.
    pub app_core_wakeups_while_streaming: u64,
    /// System calls there in that time; not known of a board's core that woke.
    pub app_core_syscalls_while_streaming: Option<u64>,
    /// Whether a timer was armed there in that time.
    pub app_core_timer_while_streaming: bool,
    /// Faults that the SMMU recorded.
    pub iommu_faults: u64,
    /// Violations that the models reported.
    pub model_violations: u64,
    /// The first few of them, in words.
    pub violations: Vec<String>,
    /// Faults of tasks.
    pub task_faults: u64,
    /// What is still held at the end.
    pub leaks: Leaks,
    /// Votes that someone tried to release twice.
    pub double_releases: u32,
    /// Why the player gave up, when it did.
    pub refused: Option<String>,
    /// Seconds of sound over seconds of wall time.
    pub realtime_factor: f64,
    /// Virtual time from the start to the first packet, in milliseconds.
    pub first_packet_ms: f64,
    /// Virtual time of the whole run, in milliseconds.
    pub virtual_ms: f64,
    /// The run's seed; a board has none.
    pub seed: Option<u64>,
    /// Hash of everything that happened, or that a board shows of it, in
    /// hexadecimal.
    pub trace_hash: String,
    /// What is not held against it.
    #[serde(skip)]
    pub excused: Excused,
}

impl Report {
    /// Whether all is as it should be: what exit code 0 means.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.bit_exact
            && (self.excused.pace || (self.gaps == 0 && self.crowded == 0))
            && self.underruns == 0
            && self.iommu_faults == 0
            && self.model_violations == 0
            && self.task_faults == 0
            && self.leaks.total() == 0
            && self.double_releases == 0
            && self.refused.is_none()
            && (self.excused.wake_ups || self.slept())
    }

    /// Whether the application core slept while the stream played.
    fn slept(&self) -> bool {
        self.app_core_wakeups_while_streaming == 0
            && (self.excused.pace || self.app_core_syscalls_while_streaming == Some(0))
            && !self.app_core_timer_while_streaming
    }

    /// Takes over what the judge found.
    pub fn take_verdict(&mut self, verdict: &Verdict) {
        self.wire_exact = verdict.wire_exact;
        self.heard_exact = verdict.heard_exact;
        self.bit_exact = verdict.wire_exact && verdict.heard_exact;
        self.frames_played = verdict.frames_played;
        self.packets = verdict.packets;
        self.gaps = verdict.gaps();
        self.crowded = verdict.crowded;
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is about, at most 26 characters.
    pub what: &'static str,
    /// How it is, at most 48 characters.
    pub value: String,
    /// Whether it is as it should be, where it should be in some way.
    pub right: Option<bool>,
}

/// The table, at most 80 columns; `colour` adds a tick or a cross in colour.
#[derive(Debug)]
pub struct Table<'a> {
    /// What to show.
    pub report: &'a Report,
    /// What else there is to say.
    pub more: &'a [Row],
    /// Whether to colour the marks.
    pub colour: bool,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in rows(self.report).iter().chain(self.more) {
            let mark = match row.right {
                None => " ",
                Some(true) => "✓",
                Some(false) => "✗",
            };
            let (start, end) = match (self.colour, row.right) {
                (true, Some(true)) => ("\x1b[32m", "\x1b[0m"),
                (true, Some(false)) => ("\x1b[1;31m", "\x1b[0m"),
                _ => ("", ""),
            };
            writeln!(f, "  {start}{mark}{end} {:<26} {}", row.what, row.value)?;
        }
        for violation in &self.report.violations {
            writeln!(f, "      {violation}")?;
        }
        Ok(())
    }
}

fn rows(report: &Report) -> Vec<Row> {
    let asked = &report.asked;
    let row = |what, value: String, right| Row { what, value, right };
    let zero = |what, value: u64| row(what, value.to_string(), Some(value == 0));
    let pace = |what, value: u32| {
        row(what, value.to_string(), (!report.excused.pace).then_some(value == 0))
    };
    let must_sleep = !report.excused.wake_ups;
    let mut rows = vec![
        row(
            "sound",
            format!(
                "{:.1} s, {} Hz, {} bits, {}",
                f64::from(asked.frames) / f64::from(asked.rate),
                asked.rate,
                asked.bits,
                if asked.channels == 1 { "mono" } else { "stereo" }
            ),
            None,
        ),
        row("way", format!("{} to headset '{}'", asked.path, asked.device), None),
    ];
    if let Some(fault) = &asked.fault {
        rows.push(row("injected fault", fault.clone(), None));
    }
    if let Some(why) = &report.refused {
        rows.push(row("refused", why.clone(), Some(false)));
    }
    rows.extend([
        row("on the wire", exact(report.wire_exact), Some(report.wire_exact)),
        row("in the headset", exact(report.heard_exact), Some(report.heard_exact)),
        row(
            "frames played",
            format!("{} of {}", report.frames_played, asked.frames),
            Some(report.frames_played == asked.frames),
        ),
        pace("gaps", report.gaps),
        pace("crowded intervals", report.crowded),
        zero("underruns", u64::from(report.underruns)),
        row(
            "application core",
            format!(
                "{} wake-ups, {} system calls while streaming",
                report.app_core_wakeups_while_streaming,
                report
                    .app_core_syscalls_while_streaming
                    .map_or_else(|| "unknown".to_owned(), |calls| calls.to_string())
            ),
            must_sleep.then_some(report.slept()),
        ),
        zero("SMMU faults", report.iommu_faults),
        zero("model violations", report.model_violations),
        zero("task faults", report.task_faults),
        zero("double releases", u64::from(report.double_releases)),
        row("left behind", leaks(&report.leaks), Some(report.leaks.total() == 0)),
        row(
            "first packet after",
            format!("{:.1} ms of {:.1} ms", report.first_packet_ms, report.virtual_ms),
            None,
        ),
        row("speed", format!("{:.0} times real time", report.realtime_factor), None),
        row("run", run(report), None),
    ]);
    rows
}

fn run(report: &Report) -> String {
    let seed = report.seed.map_or_else(String::new, |seed| format!("seed {seed}, "));
    format!("{seed}trace {}", report.trace_hash)
}

fn exact(right: bool) -> String {
    if right { "bit for bit" } else { "not what was asked for" }.to_owned()
}

fn leaks(leaks: &Leaks) -> String {
    let named = [
        ("votes", leaks.votes),
        ("holds", leaks.holds),
        ("interrupters", leaks.interrupters),
        ("endpoints", leaks.endpoints),
        ("DSP pages", leaks.peer_pages),
        ("bus pages", leaks.bus_pages),
        ("quarantined pages", leaks.quarantined),
    ];
    let held: Vec<String> = named
        .iter()
        .filter(|(_, count)| *count != 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    if held.is_empty() { "nothing".to_owned() } else { held.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Excused, Leaks, Report, Table};

    fn good() -> Report {
        Report {
            asked: Asked {
                device: "sync".into(),
                path: "offload".into(),
                fault: None,
                rate: 48_000,
                channels: 2,
                bits: 16,
                frames: 240_000,
            },
            bit_exact: true,
            wire_exact: true,
            heard_exact: true,
            frames_played: 240_000,
            packets: 5000,
            gaps: 0,
            crowded: 0,
            underruns: 0,
            app_core_wakeups_while_streaming: 0,
            app_core_syscalls_while_streaming: Some(0),
            app_core_timer_while_streaming: false,
            iommu_faults: 0,
            model_violations: 0,
            violations: Vec::new(),
            task_faults: 0,
            leaks: Leaks::default(),
            double_releases: 0,
            refused: None,
            realtime_factor: 432.1,
            first_packet_ms: 190.0,
            virtual_ms: 5230.0,
            seed: Some(1),
            trace_hash: "0123456789abcdef".into(),
            excused: Excused::default(),
        }
    }

    #[test]
    fn each_thing_that_can_be_wrong_makes_the_run_wrong() {
        assert!(good().is_right());
        let wrongs: [fn(&mut Report); 15] = [
            |r| r.bit_exact = false,
            |r| r.gaps = 1,
            |r| r.crowded = 1,
            |r| r.underruns = 1,
            |r| r.app_core_wakeups_while_streaming = 1,
            |r| r.app_core_syscalls_while_streaming = Some(1),
            |r| r.app_core_syscalls_while_streaming = None,
            |r| r.app_core_timer_while_streaming = true,
            |r| r.iommu_faults = 1,
            |r| r.model_violations = 1,
            |r| r.task_faults = 1,
            |r| r.leaks.holds = 1,
            |r| r.double_releases = 1,
            |r| r.leaks.quarantined = 1,
            |r| r.refused = Some("NoDevice".into()),
        ];
        for wrong in wrongs {
            let mut report = good();
            wrong(&mut report);
            assert!(!report.is_right(), "{report:?}");
        }
    }

    #[test]
    fn what_is_excused_is_not_held_against_a_run_and_nothing_else() {
        let mut awake = good();
        awake.app_core_wakeups_while_streaming = 5000;
        assert!(!awake.is_right());
        awake.excused.wake_ups = true;
        assert!(awake.is_right());
        awake.gaps = 1;
        assert!(!awake.is_right());
        awake.excused.pace = true;
        assert!(awake.is_right());
        awake.excused.wake_ups = false;
        awake.app_core_wakeups_while_streaming = 0;
        awake.app_core_syscalls_while_streaming = None;
        assert!(awake.is_right(), "it fell asleep late, and never woke");
        awake.app_core_wakeups_while_streaming = 1;
        assert!(!awake.is_right());
        awake.app_core_wakeups_while_streaming = 0;
        awake.bit_exact = false;
        assert!(!awake.is_right());
    }

    #[test]
    fn the_table_fits_80_columns_and_has_no_escapes_without_colour() {
        let report = good();
        let table = Table { report: &report, more: &[], colour: false }.to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(!table.contains('\x1b'));
    }
}
