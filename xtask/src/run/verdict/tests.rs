//! A board on which all went well is right, and no other.

use super::{BoardReport, Evidence, Facts, SPACING, judge};
use crate::root;
use crate::run::Wish;
use crate::run::drive::{Seen, Sequence};
use crate::run::evidence::{Count, PER_MS, Sleep, Sleeps, Stream};
use crate::run::freeze::BELL;
use app::App;
use dsp_abi::media::{Answer, PlayerState};
use judge::report::{Leaks, Table};
use judge::sound::Sound;
use std::io::Cursor;
use std::sync::OnceLock;

const PACKETS: u32 = 42;
const PACKET: usize = 192;
/// When the first packet went out.
const BEGIN: u64 = 140;

fn app() -> &'static App {
    static APP: OnceLock<App> = OnceLock::new();
    let load = || App::load(&root().join("app.toml")).unwrap_or_else(|wrong| panic!("{wrong}"));
    APP.get_or_init(load)
}

fn sound() -> Sound {
    let pcm = (0..PACKETS as usize * PACKET).map(|n| (n * 31 % 251 + 1) as u8).collect();
    Sound { rate: 48_000, channels: 2, sample_bytes: 2, pcm }
}

fn capture(pcm: &[u8], status: i32) -> Vec<u8> {
    let mut file = 0xA1B2_C3D4_u32.to_le_bytes().to_vec();
    file.resize(20, 0);
    file.extend(220_u32.to_le_bytes());
    for packet in pcm.chunks(PACKET) {
        for (letter, data) in [(b'S', packet), (b'C', &[][..])] {
            let mut header = [0; 64];
            header[8..11].copy_from_slice(&[letter, 0, 1]);
            header[14] = b'-';
            header[28..32].copy_from_slice(&status.to_le_bytes());
            file.extend([0; 8]);
            let length = (header.len() + data.len()) as u32;
            file.extend([length; 2].iter().flat_map(|length| length.to_le_bytes()));
            file.extend(header);
            file.extend(data);
        }
    }
    file
}

/// The capture of a headset that played `before` as well, each after its stream
/// was set up.
fn capture_of_two(before: &[u8], pcm: &[u8]) -> Vec<u8> {
    let mut set_up = [0; 64];
    set_up[8..10].copy_from_slice(b"S\x02");
    set_up[40..43].copy_from_slice(&[0x01, 0x0B, 1]);
    let mut file = capture(&[], 0);
    for pcm in [before, pcm] {
        file.extend([0; 8]);
        file.extend([64, 0, 0, 0, 64, 0, 0, 0]);
        file.extend(set_up);
        file.extend(&capture(pcm, 0)[24..]);
    }
    file
}

fn wav(pcm: &[u8]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let heard = Sound { pcm: pcm.to_vec(), ..sound() };
    heard.write_wav(&mut file).expect("a vector takes everything");
    file.into_inner()
}

fn at(ms: u64) -> Count {
    Count(ms * PER_MS)
}

/// Something else that happened.
type Change = fn(&mut Board);

/// A board on which all went well.
struct Board {
    seen: Seen,
    capture: Vec<u8>,
    wav: Vec<u8>,
    realtime: bool,
    freeze_ms: Option<u32>,
    woken: bool,
    later: bool,
}

impl Board {
    fn good() -> Self {
        let reports: Vec<u64> = [8, 16, 24, 32, 40, 42, 43].map(|n| BEGIN + n).to_vec();
        let answer = Answer { sequence: 1, state: PlayerState::Done as u32, ..Answer::default() };
        let sleep = Sleep { from: at(BEGIN - 5), until: None, timed: false, irq: None };
        let seen = Seen {
            sequence: Sequence(1),
            answer,
            stream: Stream::of(&reports),
            sleeps: Sleeps { begun: 1, kept: vec![sleep] },
            leaks: Leaks::default(),
            double_releases: 0,
            pauses: vec![("debounce", 100), ("reset_recovery", 10), ("address", 2)],
            restarts: 0,
            iommu_faults: 0,
            frozen: None,
            broken_off: None,
            complaints: 0,
            first_complaints: Vec::new(),
            acts: Vec::new(),
        };
        let (capture, wav) = (capture(&sound().pcm, 0), wav(&sound().pcm));
        Self { seen, capture, wav, realtime: false, freeze_ms: None, woken: false, later: false }
    }

    fn report(&self) -> BoardReport {
        let evidence = Evidence {
            image: Facts { app: app(), usage: &[], bytes: 200_000 },
            sound: &sound(),
            wish: Wish {
                realtime: self.realtime,
                freeze_ms: self.freeze_ms,
                woken: self.woken,
                ..Wish::default()
            },
            seen: &self.seen,
            capture: &self.capture,
            wav: &self.wav,
            later: self.later,
            seconds: 1.0,
        };
        judge(&evidence).unwrap_or_else(|bad| panic!("{}", bad.0))
    }
}

fn is_right(change: impl FnOnce(&mut Board)) -> bool {
    let mut board = Board::good();
    change(&mut board);
    board.report().is_right()
}

#[test]
fn a_board_on_which_all_went_well_is_right_and_its_table_fits_80_columns() {
    let report = Board::good().report();
    assert!(report.is_right(), "{report:?}");
    assert_eq!(report.boot_to_first_packet_ms as u64, BEGIN);
    assert_eq!((report.common.packets, report.common.gaps), (PACKETS, 0));
    assert_eq!(report.instructions_core0_while_streaming, Some(0));
    let table = Table { report: &report.common, more: &report.rows(), colour: false };
    let table = table.to_string();
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let json = report.json();
    assert_eq!(json["usb_waits_ms"]["total"], 112);
    assert_eq!(json["core0_wakeups_while_streaming"], 0);
    assert_eq!(json["bit_exact"], true);
}

#[test]
fn each_thing_that_can_be_wrong_on_a_board_makes_the_run_wrong() {
    let wrongs: [(&str, Change); 14] = [
        ("the last packet is missing", |b| {
            b.capture = capture(&sound().pcm[..sound().pcm.len() - PACKET], 0);
        }),
        ("a packet failed", |b| b.capture = capture(&sound().pcm, -32)),
        ("the last frame was not heard", |b| b.wav = wav(&sound().pcm[4..])),
        ("nothing was heard", |b| b.wav = Vec::new()),
        ("a packet was late", |b| {
            b.seen.stream = Stream::of(&[8, 16, 25, 33, 41, 43, 44].map(|n| BEGIN + n));
        }),
        ("core 0 woke", |b| {
            let again = Sleep { from: at(BEGIN + 21), ..b.seen.sleeps.kept[0] };
            b.seen.sleeps.kept[0].until = Some(at(BEGIN + 20));
            b.seen.sleeps.kept.push(again);
        }),
        ("core 0 was still awake", |b| b.seen.sleeps.kept[0].from = at(BEGIN + 1)),
        ("a timer was set", |b| b.seen.sleeps.kept[0].timed = true),
        ("the first packet came late", |b| b.seen.pauses.truncate(1)),
        ("a task died", |b| b.seen.restarts = 1),
        ("the SMMU stopped something", |b| b.seen.iommu_faults = 1),
        ("QEMU complained", |b| b.seen.complaints = 1),
        ("the player gave up", |b| b.seen.answer.state = PlayerState::Failed as u32),
        ("the kernel died", |b| b.seen.broken_off = Some("the kernel died".to_owned())),
    ];
    for (what, wrong) in wrongs {
        assert!(!is_right(wrong), "{what}");
    }
    assert!(!is_right(|b| b.seen.leaks.holds = 1));
    assert!(!is_right(|b| b.seen.double_releases = 1));
    assert!(!is_right(|b| b.seen.answer = Answer::default()));
}

#[test]
fn in_real_time_a_late_packet_is_the_hosts_and_everything_else_is_ours() {
    let late = |b: &mut Board| {
        b.realtime = true;
        b.seen.stream = Stream::of(&[8, 16, 95, 103, 111, 113, 114].map(|n| BEGIN + n));
        b.seen.pauses.clear();
    };
    assert!(is_right(late));
    assert!(!is_right(|b| {
        late(b);
        b.wav = wav(&sound().pcm[4..]);
    }));
    // The host decides how soon core 0 falls asleep, and nobody may wake it.
    assert!(is_right(|b| {
        late(b);
        b.seen.sleeps.kept[0].from = at(BEGIN + 1);
    }));
    assert!(!is_right(|b| {
        late(b);
        b.seen.sleeps.kept[0].until = Some(at(BEGIN + 1));
    }));
}

#[test]
fn a_freeze_has_to_last_and_to_end_with_its_own_bell_alone() {
    let frozen = |irq: u32, ms: u64| {
        move |b: &mut Board| {
            b.freeze_ms = Some(20);
            b.seen.frozen = Some(at(ms));
            let again = Sleep { from: at(BEGIN + 33), ..b.seen.sleeps.kept[0] };
            b.seen.sleeps.kept[0].until = Some(at(BEGIN + 32));
            b.seen.sleeps.kept[0].irq = Some(irq);
            b.seen.sleeps.kept.push(again);
        }
    };
    assert!(is_right(frozen(BELL, 20)));
    assert!(!is_right(frozen(BELL + 1, 20)), "it woke by something else");
    assert!(!is_right(frozen(BELL, 20 - u64::from(SPACING) - 1)), "it was too short");
    assert!(!is_right(|b| b.freeze_ms = Some(20)), "it did not stay where it was put");
}

#[test]
fn who_is_woken_on_purpose_is_excused_and_nothing_else_is() {
    let woken = |b: &mut Board| {
        let again = Sleep { from: at(BEGIN + 21), ..b.seen.sleeps.kept[0] };
        b.seen.sleeps.kept[0].until = Some(at(BEGIN + 20));
        b.seen.sleeps.kept.push(again);
    };
    assert!(!is_right(woken));
    let on_purpose = |b: &mut Board| {
        woken(b);
        (b.woken, b.realtime) = (true, true);
    };
    let right = |change: Change| {
        let mut board = Board::good();
        on_purpose(&mut board);
        change(&mut board);
        board.report().common.is_right()
    };
    assert!(right(|_| ()));
    assert!(!right(|b| b.wav = wav(&sound().pcm[4..])));
    assert!(!right(|b| b.seen.answer.underruns = 1));
}

#[test]
fn of_a_later_stream_only_itself_is_judged() {
    let played = |before: &[u8], pcm: &[u8]| {
        let (capture, wav) = (capture_of_two(before, pcm), wav(&[before, pcm].concat()));
        move |b: &mut Board| (b.capture, b.wav, b.later) = (capture, wav, true)
    };
    let Sound { pcm, .. } = sound();
    let silence = [0; 3 * PACKET];
    for before in [&[][..], &silence, &pcm, &pcm[..5 * PACKET]] {
        assert!(is_right(played(before, &pcm)), "{} bytes before", before.len());
        assert!(!is_right(played(before, &pcm[..pcm.len() - 4])));
    }
    assert!(!is_right(played(&pcm, &silence)));
    assert!(!is_right(|b| {
        played(&silence, &pcm)(b);
        b.later = false;
    }));
}

#[test]
fn runs_that_did_the_same_a_microframe_apart_have_one_hash_and_others_another() {
    let hash = |change: fn(&mut Board)| {
        let mut board = Board::good();
        change(&mut board);
        board.report().common.trace_hash
    };
    let good = hash(|_| ());
    assert_eq!(good, hash(|b| b.seen.sleeps.kept[0].from.0 -= 5628));
    let others: [Change; 5] = [
        |b| b.seen.sleeps.kept[0].irq = Some(80),
        |b| b.seen.sleeps.kept[0].timed = true,
        |b| b.seen.stream.count += 1,
        |b| b.wav.push(0),
        |b| b.capture = capture(&sound().pcm, -32),
    ];
    for (n, other) in others.into_iter().enumerate() {
        assert_ne!(good, hash(other), "change {n}");
    }
}
