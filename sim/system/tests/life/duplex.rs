//! A headset that plays and records at once: two sessions of one device.

use crate::world::{LIMIT, World, roomy, route, sound};
use dsp_abi::media::Path;
use fabric::{Rng, Time};
use judge::sound::Sound;
use offload_broker_api::{RouteEnding, RouteHandle, RouteState};
use system::scene::Mark;
use usb_model::headset::Model;
use usb_types::Direction;

fn with_headset(seed: u64) -> World {
    let mut world = World::with(roomy(seed, 1), seed);
    world.scene.plug(world.port, Model::Capture, seed);
    world.scene.run_for(Time::ms(500));
    world
}

/// Asks for the recording of `ms` milliseconds.
fn record(world: &mut World, ms: u32) -> RouteHandle {
    world.start_route(route(Direction::In, 48 * ms)).expect("a microphone and the DSP are there")
}

/// The recording ended well, and is what the microphone heard, sample by sample.
#[track_caller]
fn assert_recorded(world: &mut World, route: RouteHandle, ms: u32, why: &str) {
    let seed = world.seed;
    let ended = world.end_route(route, LIMIT);
    let frames = 48 * ms;
    assert_eq!(ended, RouteState::Played { frames, underruns: 0 }, "seed {seed}, {why}");
    let bytes = 2 * frames as usize;
    let take = world.last_take().expect("the headset has a microphone");
    assert_eq!(take.missed, 0, "seed {seed}, {why}");
    let same = world.scene.recording(bytes) == take.pcm[..bytes];
    assert!(same, "seed {seed}, {why}: not what was heard");
}

/// Begins both, in the seed's order, and lets both run for a while.
fn begin(world: &mut World, music: &Sound, recorded_ms: u32) -> (Mark, u32, RouteHandle) {
    let mark = world.scene.mark(world.port);
    if world.seed.is_multiple_of(2) {
        let sequence = world.begin(music, Path::Offload, 30);
        let recording = record(world, recorded_ms);
        world.scene.run_for(Time::ms(100));
        (mark, sequence, recording)
    } else {
        let recording = record(world, recorded_ms);
        world.scene.run_for(Time::ms(100));
        let sequence = world.begin(music, Path::Offload, 30);
        (mark, sequence, recording)
    }
}

/// D-4: Linux has one event ring and one interrupter for everything. Here the
/// two are begun and ended in either order, and the other one never notices.
#[test]
fn d4_a_headset_plays_and_records_at_once_and_both_are_exact() {
    for seed in 0..16 {
        let mut world = with_headset(seed);
        let (playing_ms, recorded_ms) = if seed % 4 < 2 { (700, 350) } else { (400, 700) };
        let music = sound(playing_ms);
        let (mark, sequence, recording) = begin(&mut world, &music, recorded_ms);
        if playing_ms < recorded_ms {
            let answer = world.scene.wait(sequence, LIMIT);
            world.assert_exact(mark, &music, answer, "it ended while the other one went on");
            assert_recorded(&mut world, recording, recorded_ms, "it went on");
        } else {
            assert_recorded(&mut world, recording, recorded_ms, "it ended first");
            let answer = world.scene.wait(sequence, LIMIT);
            world.assert_exact(mark, &music, answer, "it went on");
        }
        world.assert_at_rest("at the end");
        world.assert_nobody_died("duplex");
    }
}

/// R24: nobody looks for anything while streams run (rule 7, with two sessions of
/// one device).
#[test]
fn the_application_core_sleeps_while_both_stream() {
    for seed in 0..8 {
        let mut world = with_headset(seed);
        let music = sound(900);
        let (mark, sequence, recording) = begin(&mut world, &music, 900);
        world.scene.run_for(Time::ms(100));
        let calls = |world: &World| -> u64 {
            world.scene.machine.stats().tasks.iter().map(|task| task.syscalls).sum()
        };
        let before = calls(&world);
        world.scene.run_for(Time::ms(400));
        assert_eq!(calls(&world), before, "seed {seed}");
        assert!(!world.scene.machine.any_timer_armed(), "seed {seed}");
        assert_recorded(&mut world, recording, 900, "after a rest");
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &music, answer, "after a rest");
        world.assert_at_rest("at the end");
    }
}

/// Both rings run dry. The two events go where the slot's target points, to one
/// of the two event rings; each stream counts its own all the same, and both go
/// on to their end.
#[test]
fn rings_that_run_dry_are_each_streams_own_trouble_whichever_ring_tells_of_it() {
    for seed in 0..12 {
        let mut world = with_headset(seed);
        let music = sound(900);
        let (_, sequence, recording) = begin(&mut world, &music, 700);
        world.scene.starve_program(Time::ms(300));
        let recorded = world.end_route(recording, LIMIT);
        let RouteState::Played { frames, underruns } = recorded else {
            panic!("seed {seed}: {recorded:?}");
        };
        assert_eq!((frames, underruns), (48 * 700, 1), "seed {seed}");
        let answer = world.scene.wait(sequence, LIMIT).expect("the player is told");
        assert_eq!((answer.frames, answer.underruns), (music.frames(), 1), "seed {seed}");
        world.assert_at_rest("at the end");
        world.play(&sound(100), Path::Offload, "after both ran dry");
        let recording = record(&mut world, 100);
        assert_recorded(&mut world, recording, 100, "after both ran dry");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("dry rings");
    }
}

#[test]
fn a_headset_pulled_while_it_plays_and_records_leaves_nothing_behind() {
    for seed in 0..16 {
        let mut world = with_headset(seed);
        let (_, sequence, recording) = begin(&mut world, &sound(2_000), 2_000);
        world.scene.unplug(world.port);
        let ended = world.end_route(recording, LIMIT);
        let RouteState::Ended { why: RouteEnding::Revoked, .. } = ended else {
            panic!("seed {seed}: {ended:?}");
        };
        let (server, code) = world.failure(sequence, Time::ms(1_000));
        let revoked = player::ROUTE_ENDED + RouteEnding::Revoked as u32;
        assert_eq!((server, code), ("offload_broker", revoked), "seed {seed}");
        world.assert_at_rest("pulled");
        world.assert_nobody_died("pulled");
    }
}

/// Rule 9: who dies while both run takes both down, or neither; afterwards both
/// can be had again.
fn dies_while_both_run(victim: &str, plays_on: bool) {
    for seed in 0..8 {
        let mut world = with_headset(seed);
        let music = sound(800);
        let (mark, sequence, recording) = begin(&mut world, &music, 600);
        world.scene.run_for(Time::us(Rng::new(seed).range(0, 50_000).into()));
        world.scene.kill(victim);
        if plays_on {
            assert_recorded(&mut world, recording, 600, victim);
            let answer = world.scene.wait(sequence, LIMIT);
            world.assert_exact(mark, &music, answer, victim);
        } else {
            // Told, or asked of a broker that does not know of it any more.
            assert!(world.scene.wait(sequence, LIMIT).is_some(), "seed {seed}, {victim}");
            world.scene.run_for(Time::ms(2_000));
        }
        if victim == "iommu" {
            world.accept_mapper_death();
        }
        let music = sound(300);
        let (mark, sequence, recording) = begin(&mut world, &music, 200);
        assert_recorded(&mut world, recording, 200, victim);
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &music, answer, victim);
        world.assert_at_rest(victim);
    }
}

#[test]
fn the_driver_dies_while_a_headset_plays_and_records() {
    dies_while_both_run("xhci", false);
}

#[test]
fn the_mapper_dies_while_a_headset_plays_and_records() {
    dies_while_both_run("iommu", false);
}

#[test]
fn the_usb_core_dies_while_a_headset_plays_and_records() {
    dies_while_both_run("usb_core", false);
}

#[test]
fn the_broker_dies_while_a_headset_plays_and_records() {
    dies_while_both_run("offload_broker", false);
}

#[test]
fn the_audio_class_dies_while_a_headset_plays_and_records() {
    dies_while_both_run("usb_audio", true);
}

#[test]
fn the_link_dies_while_a_headset_plays_and_records() {
    dies_while_both_run("dsp_link", true);
}
