//! Runs with faults: that they are what they are said to be.

use explore::case::{parse_point, point_text};
use explore::{Case, Failure, Finding, Scenario, Search, Sinks, Stage, Strike, What, file};
use fabric::points::Reached;
use fabric::{IntId, Point, Site};
use std::path::Path;

fn stage() -> Stage {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Stage::load(&root).expect("the images keep every rule")
}

fn plain(scenario: Scenario, seed: u64) -> Case {
    Case { scenario, seed, strikes: Vec::new() }
}

#[test]
fn every_scenario_without_faults_is_as_it_should_be() {
    for scenario in Scenario::ALL {
        for seed in 0..4 {
            let ran = stage().play(&plain(scenario, seed), false);
            assert_eq!(ran.findings, [], "{}, seed {seed}", scenario.name());
        }
    }
}

#[test]
fn two_runs_of_a_case_are_the_same_and_meet_the_same_points() {
    let stage = stage();
    for scenario in Scenario::ALL {
        let case = plain(scenario, 3);
        let (one, other) = (stage.play(&case, true), stage.play(&case, true));
        assert_eq!(one.hash, other.hash, "{}", scenario.name());
        assert_eq!(one.points, other.points, "{}", scenario.name());
        assert_eq!(one.hash, stage.play(&case, false).hash, "writing points down changes nothing");
    }
}

#[test]
fn a_recorded_point_is_met_again_and_its_fault_strikes_at_the_same_time() {
    let stage = stage();
    let case = plain(Scenario::Stream, 5);
    let points = stage.play(&case, true).points;
    for reached in points.iter().step_by(points.len() / 40) {
        let strike = Strike { at: reached.point, what: What::Silence(20) };
        let ran = stage.play(&Case { strikes: vec![strike], ..case.clone() }, false);
        let struck: Vec<_> = ran.struck.iter().map(|(at, planned)| (*at, planned.point)).collect();
        assert_eq!(struck, [(reached.at, reached.point)]);
    }
}

#[test]
fn every_kind_of_point_is_recorded() {
    let points = stage().play(&plain(Scenario::Feedback, 1), true).points;
    let kinds: [fn(Site) -> bool; 12] = [
        |site| matches!(site, Site::Send(_)),
        |site| matches!(site, Site::Reply(_)),
        |site| matches!(site, Site::Call(_)),
        |site| matches!(site, Site::Register(_)),
        |site| matches!(site, Site::Memory(_)),
        |site| matches!(site, Site::Barrier(_)),
        |site| matches!(site, Site::Monitor),
        |site| matches!(site, Site::Peer),
        |site| matches!(site, Site::Command(_)),
        |site| matches!(site, Site::Control(_)),
        |site| matches!(site, Site::Packet(_)),
        |site| matches!(site, Site::Tick),
    ];
    for (n, kind) in kinds.iter().enumerate() {
        assert!(points.iter().any(|reached| kind(reached.point.site)), "kind {n}");
    }
    let lines = points.iter().filter(|r| matches!(r.point.site, Site::Edge(_))).count();
    assert!(lines > 20, "{lines} edges");
}

#[test]
fn a_point_in_words_is_read_back() {
    let description = stage().description(Scenario::Stream);
    let sites = [
        Site::Send(3),
        Site::Reply(1),
        Site::Call(7),
        Site::Register(3),
        Site::Memory(1),
        Site::Barrier(2),
        Site::Allocation(4),
        Site::Monitor,
        Site::Peer,
        Site::Command(0),
        Site::Control(1),
        Site::Packet(0),
        Site::Tick,
        Site::Edge(IntId(81)),
    ];
    for (n, site) in (1..).zip(sites) {
        let point = Point { site, nth: n };
        assert_eq!(parse_point(description, &point_text(description, point)), Ok(point));
    }
    for bad in ["", "xhci send", "xhci send 0", "nobody send 3", "line999 edge 1", "xhci sing 2"] {
        assert!(parse_point(description, bad).is_err(), "{bad}");
    }
}

#[test]
fn a_case_as_a_file_is_read_back_and_a_wrong_one_is_refused_in_words() {
    let stage = stage();
    let point = |site, nth| Point { site, nth };
    let whats = [
        What::Kill,
        What::Refuse,
        What::Code(19),
        What::Drop,
        What::Delay(30),
        What::Double(2_000),
        What::Unplug(1),
        What::Replug(0, 150),
        What::EndProgram,
        What::Silence(700),
        What::Suspend,
        What::Hibernate,
        What::Resume,
        What::Reset(1),
        What::Take(0),
        What::Signal(1),
        What::ControllerError(0),
        What::HostError(1),
        What::LeaveBus(5, 1),
    ];
    let strikes =
        (1..).zip(whats).map(|(n, what)| Strike { at: point(Site::Command(0), n), what }).collect();
    let case = Case { scenario: Scenario::TwoDevices, seed: 77, strikes };
    let failure = Failure { case: case.clone(), findings: vec![Finding::Down] };
    let text = file::write(stage, &failure);
    assert_eq!(file::read(stage, &text), Ok(case));
    for (from, to, says) in [
        ("two-devices", "three-devices", "no scenario"),
        ("kill", "kiss", "no fault"),
        ("code 19", "code 999", "no fault"),
        ("command 1\"", "command one\"", "no point"),
        ("seed = 77", "seeds = 77", "unknown field"),
    ] {
        let error = file::read(stage, &text.replacen(from, to, 1)).expect_err(to);
        assert!(error.contains(says), "{to}: {error}");
    }
}

#[test]
fn what_a_run_tells_begins_with_the_plug_and_has_the_fault_in_it() {
    let strike = Strike { at: Point { site: Site::Command(0), nth: 2 }, what: What::Code(4) };
    let case = Case { strikes: vec![strike], ..plain(Scenario::Stream, 2) };
    let (ran, story) = stage().tell(&case, explore::Sinks::default());
    assert_eq!(ran.findings, []);
    assert!(story.is_sorted_by_key(|&(at, _)| at));
    let texts: Vec<&str> = story.iter().map(|(_, text)| text.as_str()).collect();
    assert!(texts[0].contains("plugged in"), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("FAULT code 4")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("packets")), "{texts:?}");
}

/// What the search found once, in the shape that it shrank to. Points move when
/// code does, so each also has a test where its mistake was made.
#[test]
fn what_was_found_once_is_not_found_again() {
    let found: [(Scenario, &[(&str, &str)]); 13] = [
        // A report lost with the link; news of a server's next life thrown away.
        (Scenario::Stream, &[("dsp_link reply 23", "kill")]),
        (Scenario::Stream, &[("usb_audio reply 9", "kill")]),
        // Interrupts that are lost, in either direction.
        (Scenario::Stream, &[("line80 edge 13", "drop")]),
        (Scenario::Stream, &[("line80 edge 26", "drop")]),
        (Scenario::Stream, &[("line81 edge 1", "drop")]),
        (Scenario::Stream, &[("line98 edge 3", "drop")]),
        (Scenario::Stream, &[("line100 edge 4", "drop")]),
        // A half-written register; memory given back while the mapper was down.
        (Scenario::Stream, &[("iommu register 9", "kill")]),
        (Scenario::Stream, &[("iommu register 82", "kill"), ("iommu memory 2", "kill")]),
        // A controller that keeps what it was told to let go of, and one that is
        // kept from what it wanted to read.
        (Scenario::Stream, &[("controller0 command 10", "code 32")]),
        (Scenario::Feedback, &[("iommu reply 38", "kill")]),
        // A bell that a restarted mapper rang in vain, and never again.
        (Scenario::Stream, &[("iommu call 15", "kill"), ("line100 edge 3", "drop")]),
        // The judge's: a stranger that the program's end left half-way.
        (Scenario::Stranger, &[("line97 edge 11", "end-program")]),
    ];
    let stage = stage();
    for (scenario, faults) in found {
        let strikes = faults.iter().map(|(at, what)| Strike {
            at: parse_point(stage.description(scenario), at).expect("a point"),
            what: What::parse(what).expect("a fault"),
        });
        let case = Case { strikes: strikes.collect(), ..plain(scenario, 0) };
        let ran = stage.play(&case, false);
        assert_eq!(ran.findings, [], "{faults:?}");
        assert_eq!(ran.struck.len(), faults.len(), "{faults:?}");
    }
}

/// A grant that could not be revoked at once, because no ticket was free, was
/// forgotten. The broker dies while its session is mapped, and each thing in turn is
/// refused that the mapper gives out from the session's first on: the last of them are
/// tickets for revocations.
#[test]
fn a_grant_of_a_broker_that_died_is_revoked_when_there_is_a_ticket() {
    let stage = stage();
    let strike = |at: &str, what| Strike {
        at: parse_point(stage.description(Scenario::Stream), at).expect("a point"),
        what,
    };
    let refused = (16..).take_while(|nth| {
        let refuse = strike(&format!("iommu allocation {nth}"), What::Refuse);
        let strikes = vec![strike("offload_broker send 67", What::Kill), refuse];
        let ran = stage.play(&Case { strikes, ..plain(Scenario::Stream, 0) }, false);
        assert_eq!(ran.findings, [], "iommu allocation {nth}");
        ran.struck.len() == 2
    });
    let refused = refused.count();
    assert!(refused > 6, "{refused} things");
}

#[test]
fn an_interface_that_is_taken_ends_the_stream_of_a_run() {
    let stage = stage();
    let at = parse_point(stage.description(Scenario::Stream), "controller0 packet 10");
    let strikes = vec![Strike { at: at.expect("a point"), what: What::Take(0) }];
    let (ran, story) =
        stage.tell(&Case { strikes, ..plain(Scenario::Stream, 2) }, Sinks::default());
    assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), 1));
    let ended = story.iter().any(|(_, text)| text.starts_with("the player gives up"));
    assert!(ended, "{story:?}");
}

/// The judge's: one session's target goes back while the other one of its slot stops.
#[test]
fn two_streams_of_a_device_that_end_at_once_may_each_be_where_they_are() {
    let stage = stage();
    let strike = |at: &str, what: &str| Strike {
        at: parse_point(stage.description(Scenario::Duplex), at).expect("a point"),
        what: What::parse(what).expect("a fault"),
    };
    let strikes = vec![strike("usb_core call 172", "kill"), strike("line81 edge 1", "silence 700")];
    let ran = stage.play(&Case { strikes, ..plain(Scenario::Duplex, 5) }, false);
    assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), 2));
}

/// A controller that is given up while a control transfer runs: its data may come
/// until the reset.
#[test]
fn a_page_of_a_transfer_is_not_free_before_the_controller_has_stopped() {
    let stage = stage();
    let at =
        parse_point(stage.description(Scenario::Sleeping), "iommu allocation 11").expect("a point");
    let what = What::parse("refuse").expect("a fault");
    let strikes = vec![Strike { at, what }];
    let case = Case { strikes, ..plain(Scenario::Sleeping, 100_679_320_159_239) };
    let ran = stage.play(&case, false);
    assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), 1));
}

/// Each can be drawn, is written as it is read, and strikes once.
#[test]
fn faults_of_controllers_and_devices_strike_where_they_are_told_to() {
    let stage = stage();
    let scenarios = [(Scenario::Stream, 0), (Scenario::Sleeping, 1), (Scenario::Duplex, 2)];
    for (scenario, seed) in scenarios {
        let points = stage.play(&plain(scenario, seed), true).points;
        let at = points[points.len() / 2].point;
        for text in [
            "reset 0",
            "signal 0",
            "controller-error",
            "host-error",
            "leave-bus 5",
            "leave-bus 1500",
        ] {
            let what = What::parse(text).expect("a fault");
            assert_eq!(what.to_string(), text);
            let case = Case { strikes: vec![Strike { at, what }], ..plain(scenario, seed) };
            let ran = stage.play(&case, false);
            let name = scenario.name();
            assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), 1), "{name}, {text}");
        }
    }
}

/// R21: what strikes one controller is no business of the other, with which each of
/// these runs is judged as well.
#[test]
fn faults_of_either_controller_leave_the_sound_at_the_other_alone() {
    let (stage, scenario) = (stage(), Scenario::TwoControllers);
    for seed in 0..2 {
        // While both stream.
        let points = stage.play(&plain(scenario, seed), true).points;
        let second = Site::Packet(1 - seed as u8);
        let packets: Vec<_> = points.iter().filter(|r| r.point.site == second).collect();
        let at = packets[packets.len() / 2].point;
        for text in [
            "controller-error",
            "controller-error 1",
            "host-error",
            "host-error 1",
            "leave-bus 5",
            "leave-bus 1500 1",
            "unplug 0",
            "unplug 1",
            "replug 0 150",
            "replug 1 2",
            "reset 0",
            "reset 1",
        ] {
            let what = What::parse(text).expect("a fault");
            assert_eq!(what.to_string(), text);
            let case = Case { strikes: vec![Strike { at, what }], ..plain(scenario, seed) };
            let ran = stage.play(&case, false);
            assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), 1), "seed {seed}, {text}");
        }
        for driver in ["xhci", "xhci1"] {
            let of = |r: &&Reached| point_text(stage.description(scenario), r.point);
            let name = format!("{driver} send");
            let sends: Vec<_> = points.iter().filter(|r| of(r).starts_with(&name)).collect();
            for at in [sends.len() / 2, sends.len() - 1].map(|n| sends[n].point) {
                let strikes = vec![Strike { at, what: What::Kill }];
                let ran = stage.play(&Case { strikes, ..plain(scenario, seed) }, false);
                assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), 1), "{driver}");
            }
        }
    }
}

/// A hub that is pulled takes its headset along, and a place or a controller that a
/// scenario lacks is struck by nothing.
#[test]
fn a_hub_is_a_place_of_its_own() {
    let (stage, scenario) = (stage(), Scenario::Hub);
    let points = stage.play(&plain(scenario, 1), true).points;
    let at = points[points.len() / 2].point;
    for (text, pulled) in [("unplug 1", 1), ("replug 1 150", 1), ("unplug 2", 0)] {
        let strikes = vec![Strike { at, what: What::parse(text).expect("a fault") }];
        let ran = stage.play(&Case { strikes, ..plain(scenario, 1) }, false);
        assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), pulled), "{text}");
    }
    let strikes = vec![Strike { at, what: What::HostError(1) }];
    let ran = stage.play(&Case { strikes, ..plain(scenario, 1) }, false);
    assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), 0));
}

/// The judge's: a headset that is put back before it was plugged in is there when the
/// player is told to play, which is to the newest.
#[test]
fn a_headset_that_comes_before_its_time_may_be_the_one_that_is_played_to() {
    let (stage, scenario) = (stage(), Scenario::TwoControllers);
    let faults = [("xhci1 barrier 1", "replug 1 2"), ("xhci1 register 177", "kill")];
    let strikes = faults.map(|(at, what)| Strike {
        at: parse_point(stage.description(scenario), at).expect("a point"),
        what: What::parse(what).expect("a fault"),
    });
    let ran = stage.play(&Case { strikes: strikes.to_vec(), ..plain(scenario, 0) }, false);
    assert_eq!((ran.findings, ran.struck.len()), (Vec::new(), 2));
}

#[test]
fn what_is_found_does_not_depend_on_the_number_of_threads() {
    let tally = |threads| {
        let scenarios = [Scenario::Stream, Scenario::Toggle];
        let mut progress = |_, _| true;
        let mut search = Search {
            stage: stage(),
            scenarios: &scenarios,
            seed: 9,
            threads,
            progress: &mut progress,
        };
        let tally = search.by_chance(60);
        (tally.runs, tally.planned, tally.struck, tally.failed)
    };
    let one = tally(1);
    assert_eq!(one.0, 60);
    assert_eq!(one, tally(3));
}
