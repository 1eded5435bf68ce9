//! Tasks die, at rest and in mid-stream (rule 9).

use crate::world::{World, sound};
use dsp_abi::media::{Path, PlayerState};
use fabric::{Rng, Time};

/// The tasks that may die; the supervisor may not.
const MORTALS: [&str; 8] =
    ["iommu", "dsp_link", "xhci", "usb_core", "usb_audio", "offload_broker", "player", "power"];

#[test]
fn any_task_dies_while_nothing_plays_and_the_next_sound_is_exact() {
    for victim in MORTALS {
        for seed in 0..6 {
            let mut world = World::with_headset(seed);
            let mut rng = Rng::new(seed);
            world.scene.run_for(Time::ms(700 + u64::from(rng.range(0, 50))));
            world.scene.kill(victim);
            recover(&mut world, victim);
            world.play(&sound(100), Path::Offload, &format!("{victim} died"));
            world.assert_at_rest(&format!("{victim} died"));
        }
    }
}

#[test]
fn any_task_dies_after_a_sound_and_the_next_one_is_exact() {
    for victim in MORTALS {
        for seed in 0..6 {
            let mut world = World::with_headset(seed);
            world.play(&sound(60), Path::Offload, "the first sound");
            world.scene.kill(victim);
            recover(&mut world, victim);
            world.play(&sound(60), Path::Offload, &format!("{victim} died"));
            world.play(&sound(60), Path::Player, &format!("{victim} died"));
            world.assert_at_rest(&format!("{victim} died"));
        }
    }
}

/// Time to come back. Until the new mapper has attached its driver again, the
/// SMMU stops whatever the controller does.
fn recover(world: &mut World, victim: &str) {
    world.scene.run_for(Time::ms(1_500));
    if victim == "iommu" {
        world.accept_mapper_death();
    }
}

/// Kills a task in mid-stream and lets the stream come to its end.
fn stream_plays_on(victim: &str) {
    for seed in 0..12 {
        let mut world = World::with_headset(seed);
        world.scene.run_for(Time::ms(700));
        let mut rng = Rng::new(seed);
        let sound_played = sound(400);
        let mark = world.scene.mark(world.port);
        let why = format!("{victim} died in mid-stream");
        let sequence = world.begin(&sound_played, Path::Offload, u64::from(rng.range(0, 250)));
        world.scene.kill(victim);
        world.scene.run_for(Time::ms(1_500));
        let verdict = world.scene.judge(world.port, mark, &sound_played);
        assert!(verdict.is_right(), "seed {seed}, {why}: {verdict:?}");
        let answer = world.scene.answer(sequence);
        let answer = answer.unwrap_or_else(|| panic!("seed {seed}, {why}: no answer"));
        if victim == "player" {
            // It can no longer know; the one who wrote the command is told so.
            assert_eq!(answer.code, player::INTERRUPTED, "seed {seed}, {why}");
        } else {
            assert_eq!(answer.state, PlayerState::Done as u32, "seed {seed}, {why}: {answer:?}");
        }
        world.assert_at_rest(&why);
        world.play(&sound(80), Path::Offload, &format!("after {why}"));
        world.assert_at_rest("at the end");
    }
}

#[test]
fn a_stream_plays_on_when_the_player_dies() {
    stream_plays_on("player");
}

#[test]
fn a_stream_plays_on_when_the_audio_class_dies() {
    stream_plays_on("usb_audio");
}

#[test]
fn a_stream_plays_on_when_the_link_dies() {
    stream_plays_on("dsp_link");
}

#[test]
fn a_stream_plays_on_when_the_one_who_suspends_dies() {
    stream_plays_on("power");
}
