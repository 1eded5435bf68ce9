//! Traces of the Linux allocator and its interval check, run against ours.

use addr::Peer;
use iova::{Allocator, Refused, Release, service_interval};
use serde::Deserialize;
use usb_types::Speed;

#[derive(Deserialize)]
struct Vectors {
    allocator: Vec<Sequence>,
    service_interval: Vec<Interval>,
}

#[derive(Deserialize)]
struct Sequence {
    name: String,
    base: u64,
    size: u64,
    trace: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    op: String,
    size: u64,
    iova: u64,
    bump: u64,
    left: u64,
}

#[derive(Deserialize)]
struct Interval {
    speed: String,
    us: u32,
    result: i32,
}

type Linux = Allocator<Peer, 1024>;

/// Sequences in which Linux shows a defect; `random_400` depends on all of them.
const DEFECTS: [&str; 4] = ["buf_run_overshoot", "bad_size", "region_overrun", "random_400"];

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("data/iova_vectors.json")).unwrap()
}

fn sequence(name: &str) -> Sequence {
    vectors().allocator.into_iter().find(|sequence| sequence.name == name).unwrap()
}

fn allocator(sequence: &Sequence) -> Linux {
    Linux::new(Peer(sequence.base), (sequence.size / 4096) as u32, 0)
}

/// Does `step`; an address of 0 stands for a refusal, as in the traces.
fn step(allocator: &mut Linux, step: &Step) -> u64 {
    if step.op == "get" {
        allocator.allocate(step.size).map_or(0, |at| at.0)
    } else {
        allocator.release(Peer(step.iova), step.size);
        step.iova
    }
}

#[test]
fn without_guards_the_traces_of_linux_are_reproduced_i4_i5_i6_i10() {
    let mut seen = 0;
    for sequence in vectors().allocator {
        if DEFECTS.contains(&sequence.name.as_str()) {
            continue;
        }
        seen += 1;
        let mut ours = allocator(&sequence);
        for (n, theirs) in sequence.trace.iter().enumerate() {
            let at = step(&mut ours, theirs);
            assert_eq!(
                (at, ours.bump().0, ours.left()),
                (theirs.iova, theirs.bump, theirs.left),
                "{} step {n}",
                sequence.name
            );
        }
    }
    assert_eq!(seen, 11);
}

#[test]
fn a_run_is_found_after_an_overshoot_i7() {
    let sequence = sequence("buf_run_overshoot");
    let mut ours = allocator(&sequence);
    let (last, before) = sequence.trace.split_last().unwrap();
    for theirs in before {
        assert_eq!(step(&mut ours, theirs), theirs.iova);
    }
    // 4 + 2 + 6 pages are free and 8 are asked for: 2 + 6.
    assert_eq!(step(&mut ours, last), sequence.base + 4 * 4096);
    assert_eq!(ours.bump().0, before.last().unwrap().bump);
}

/// D-18: size 0 is refused.
#[test]
fn no_extent_is_empty_or_unaligned_i9() {
    let sequence = sequence("bad_size");
    let mut ours = allocator(&sequence);
    for theirs in &sequence.trace {
        let why = if theirs.size == 0 { Refused::Empty } else { Refused::Unaligned };
        assert_eq!(ours.allocate(theirs.size), Err(why));
    }
    assert_eq!((ours.bump().0, ours.left()), (sequence.base, sequence.size));
}

/// D-18: nothing is given out past the region's end.
#[test]
fn fragments_never_push_an_extent_out_of_the_region_i8_d18() {
    let sequence = sequence("region_overrun");
    let mut ours = allocator(&sequence);
    let end = sequence.base + sequence.size;
    let mut given = vec![];
    for theirs in &sequence.trace {
        let at = step(&mut ours, theirs);
        if theirs.op == "get" {
            assert!(at >= sequence.base && at + theirs.size <= end);
            given.push(at);
        }
        assert!(ours.bump().0 <= end);
    }
    // The hole that Linux cannot use serves both.
    assert_eq!(given[2..], [sequence.base, sequence.base + 8192]);
    assert_eq!(ours.allocate(4096), Err(Refused::Exhausted));
}

#[test]
fn random_400_stays_in_its_region_and_never_overlaps() {
    let sequence = sequence("random_400");
    let mut ours = allocator(&sequence);
    // The trace releases by its own addresses; ours differ, so follow by order.
    let mut live: Vec<(u64, u64, u64)> = vec![];
    for theirs in &sequence.trace {
        if theirs.op == "get" {
            if let Ok(at) = ours.allocate(theirs.size) {
                assert!(live.iter().all(|&(_, a, len)| a + len <= at.0 || at.0 + theirs.size <= a));
                live.push((theirs.iova, at.0, theirs.size));
            }
        } else if let Some(n) = live.iter().position(|&(iova, _, _)| iova == theirs.iova) {
            let (_, at, size) = live.swap_remove(n);
            assert_eq!(ours.release(Peer(at), size), Release::Freed);
        }
    }
}

#[test]
fn service_intervals_are_those_of_linux_b9() {
    let vectors = vectors();
    assert_eq!(vectors.service_interval.len(), 130);
    for case in vectors.service_interval {
        let speed = match case.speed.as_str() {
            "low" => Speed::Low,
            "full" => Speed::Full,
            "high" => Speed::High,
            "super" => Speed::Super,
            "super_plus" => Speed::SuperPlus,
            other => panic!("speed {other}"),
        };
        let ours = service_interval(speed, case.us).map_or(-22, i32::from);
        assert_eq!(ours, case.result, "{} {} us", case.speed, case.us);
    }
}
