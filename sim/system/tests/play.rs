//! The whole system plays: every headset, both ways, and what a fault leads to.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

use judge::capture::Moment;
use judge::report::Report;
use system::image::Description;
use system::piece::piece;
use system::run::{DEVICES, Fault, Path as Way, Setup, run};

fn play(device: &'static str, path: Way, rate: u32, ms: u32, seed: u64) -> Report {
    with(device, path, rate, ms, seed, None)
}

fn image() -> &'static Description {
    static IMAGE: OnceLock<&'static Description> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../app.toml");
        Description::load(&file).expect("the image keeps every rule")
    })
}

fn with(
    device: &'static str,
    path: Way,
    rate: u32,
    ms: u32,
    seed: u64,
    fault: Option<Fault>,
) -> Report {
    let name = |fault| match fault {
        Fault::VolumeChange => "volume-change".to_owned(),
        other => format!("{other:?}"),
    };
    let sound = piece(rate, (u64::from(rate) * u64::from(ms) / 1000) as u32);
    let fault = fault.map(|fault| (fault, name(fault)));
    let setup = Setup {
        description: image(),
        sound: &sound,
        device,
        path,
        seed,
        fault,
        pcap: None,
        trace: None,
        progress: None,
        look_at_ms: None,
        rings: Vec::new(),
    };
    run(setup).report
}

/// A file that is kept.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is read out of a capture is what a board's is judged by.
#[test]
fn a_capture_of_the_wire_holds_every_packet() {
    let file = Kept::default();
    let sound = piece(48_000, 4_800);
    let setup = Setup {
        description: image(),
        sound: &sound,
        device: "qemu",
        path: Way::Offload,
        seed: 3,
        fault: None,
        pcap: Some(Box::new(file.clone())),
        trace: None,
        progress: None,
        look_at_ms: None,
        rings: Vec::new(),
    };
    let finished = run(setup);
    assert!(finished.report.is_right(), "{:?}", finished.report);
    let file = file.0.borrow();
    let records = judge::capture::read(&file).expect("it is a capture");
    let packets: Vec<_> = records
        .iter()
        .filter(|record| record.is_isochronous_out() && record.moment == Moment::Submitted)
        .collect();
    assert_eq!(packets.len(), finished.report.packets as usize);
    let wire: Vec<u8> = packets.iter().flat_map(|packet| packet.data).copied().collect();
    assert_eq!(wire, sound.pcm);
    let set_configuration = [0, 9, 1, 0, 0, 0, 0, 0];
    assert!(records.iter().any(|record| record.setup == Some(set_configuration)));
}

/// What a look sees of the player's ring, and of the board's clock.
fn looked(look_at_ms: Option<u32>) -> (u64, Vec<String>) {
    let sound = piece(48_000, 96_000);
    let finished = run(Setup {
        description: image(),
        sound: &sound,
        device: "sync",
        path: Way::Offload,
        seed: 1,
        fault: None,
        pcap: None,
        trace: None,
        progress: None,
        look_at_ms,
        rings: Vec::new(),
    });
    assert!(finished.report.is_right(), "{:?}", finished.report);
    let look = finished.look;
    // Behind the image's tasks is the auditor, which asks what they hold at the end.
    let names = look.tasks.iter().map(|task| task.name.as_str());
    assert!(
        image()
            .app()
            .tasks
            .iter()
            .map(|task| task.name.as_str())
            .eq(names.take(image().app().tasks.len()))
    );
    assert!(look.counters.iter().any(|of| of.task == "usb_core" && of.name.contains("HOLDS")));
    let rings = look.rings.iter().filter(|ring| ring.task == "player");
    let events = rings.flat_map(|ring| &ring.entries);
    let names = events.map(|(_, entry)| entry.payload.split(' ').next().unwrap_or("").to_owned());
    (look.now, names.collect())
}

/// Looking in mid-stream changes nothing of the run, and sees what was until
/// then.
#[test]
fn a_simulation_is_looked_into_while_it_runs_and_when_it_is_over() {
    assert_eq!(looked(Some(1200)), (1200, vec!["Taken".into(), "Routed".into()]));
    let (now, events) = looked(None);
    assert!(now > 2000, "{now}");
    assert_eq!(events, ["Taken", "Routed", "Finished"]);
}

fn faulty(fault: Fault) -> Report {
    with("sync", Way::Offload, 48_000, 3000, 1, Some(fault))
}

/// R31: from power-on to the sound nobody loads or starts anything. DESIGN rule 7: a
/// report is right only when the application core neither
/// woke, nor ran, nor had a timer armed between first and last packet.
#[test]
fn every_headset_plays_through_the_dsp_bit_for_bit_while_the_core_sleeps() {
    for (device, _) in DEVICES {
        for rate in [44_100, 48_000] {
            if device == "qemu" && rate != 48_000 {
                continue;
            }
            for seed in 1..4 {
                let report = play(device, Way::Offload, rate, 1000, seed);
                assert!(report.is_right(), "{device}, {rate} Hz, seed {seed}: {report:?}");
            }
        }
    }
}

#[test]
fn every_headset_plays_over_the_application_core_bit_for_bit() {
    for (device, _) in DEVICES {
        let report = play(device, Way::Player, 48_000, 1000, 2);
        assert!(report.is_right(), "{device}: {report:?}");
        assert!(report.app_core_syscalls_while_streaming > Some(0), "{device}: it works for it");
    }
}

#[test]
fn sixty_seconds_of_48_and_of_44_1_khz_are_exact_and_leave_nothing_behind() {
    for (rate, packets) in [(48_000, 60_000), (44_100, 60_000)] {
        let report = play("sync", Way::Offload, rate, 60_000, 1);
        assert!(report.is_right(), "{rate} Hz: {report:?}");
        assert_eq!(report.packets, packets, "{rate} Hz: one per service interval");
        assert_eq!(report.frames_played, rate * 60);
        assert_eq!(report.leaks.total(), 0);
    }
}

#[test]
fn forty_seeds_are_forty_different_exact_runs() {
    let mut hashes = BTreeSet::new();
    for seed in 0..40 {
        let report = play("sync", Way::Offload, 48_000, 200, seed);
        assert!(report.is_right(), "seed {seed}: {report:?}");
        hashes.insert(report.trace_hash);
    }
    assert_eq!(hashes.len(), 40);
}

#[test]
fn a_fault_on_the_wire_is_found_and_called_by_its_name() {
    let dropped = faulty(Fault::DropPacket);
    assert_eq!((dropped.wire_exact, dropped.gaps, dropped.crowded), (false, 1, 0));
    let doubled = faulty(Fault::Duplicate);
    assert_eq!((doubled.wire_exact, doubled.gaps, doubled.crowded), (false, 0, 1));
    let flipped = faulty(Fault::FlipBit);
    assert_eq!((flipped.wire_exact, flipped.gaps, flipped.crowded), (false, 0, 0));
    let late = faulty(Fault::Late);
    assert_eq!((late.wire_exact, late.heard_exact, late.gaps), (true, false, 1));
    for report in [dropped, doubled, flipped, late] {
        assert!(!report.is_right() && !report.bit_exact, "{report:?}");
        // The harm is the wire's: the system itself did all as it should.
        assert_eq!(report.app_core_wakeups_while_streaming, 0);
        assert_eq!((report.model_violations, report.leaks.total()), (0, 0));
    }
}

#[test]
fn a_volume_change_wakes_the_core_and_the_sound_stays_exact() {
    let report = faulty(Fault::VolumeChange);
    assert!(report.is_right(), "{report:?}");
    assert!(report.app_core_wakeups_while_streaming > 0);
}

/// DESIGN rule 7: who watches rings the application core on trouble only, once.
#[test]
fn a_starved_dsp_is_no_trouble_below_the_watch_period_and_one_notice_beyond_it() {
    let short = faulty(Fault::StarveDsp(50));
    assert!(short.is_right(), "{short:?}");
    let long = faulty(Fault::StarveDsp(600));
    assert!(!long.is_right() && long.underruns > 0, "{long:?}");
    assert_eq!(long.app_core_wakeups_while_streaming, 1, "one notice");
    assert_eq!((long.model_violations, long.leaks.total()), (0, 0));
}
