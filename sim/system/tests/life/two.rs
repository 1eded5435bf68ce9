//! Two headsets at once.

use crate::world::{LIMIT, World, roomy, route, sound};
use dsp_abi::media::{Path, PlayerState};
use fabric::Time;
use offload_broker_api::RouteState;
use system::scene::Port;
use usb_model::Speed;
use usb_model::headset::Model;
use usb_types::Direction;

/// D-4: two devices, each with its own event ring and interrupter.
#[test]
fn two_headsets_play_at_once_and_both_are_exact() {
    for seed in 0..12 {
        let personality = roomy(seed, 2);
        let second = personality.usb2_port(1).expect("it has two");
        let mut world = World::with(personality, seed);
        let second = Port { controller: 0, port: second };
        world.scene.plug(world.port, Model::Sync, seed);
        let music = sound(800);
        let first_mark = world.scene.mark(world.port);
        let sequence = world.begin(&music, Path::Offload, 20);
        world.scene.plug(second, Model::Async(Speed::Full), seed + 1);
        world.scene.run_for(Time::ms(450));
        // The same PCM, to the newest headset, for another client.
        let second_mark = world.scene.mark(second);
        let frames = music.frames();
        let second_route = world.start_route(route(Direction::Out, frames));
        let second_route = second_route.expect("a headset and the DSP are there");
        let ended = world.end_route(second_route, LIMIT);
        assert_eq!(ended, RouteState::Played { frames, underruns: 0 }, "seed {seed}");
        let answer = world.scene.wait(sequence, LIMIT);
        assert!(
            answer.is_some_and(|a| a.state == PlayerState::Done as u32),
            "seed {seed}: {answer:?}"
        );
        world.scene.run_for(Time::ms(300));
        let verdict = world.scene.judge(second, second_mark, &music);
        assert!(verdict.is_right(), "seed {seed}, the second headset: {verdict:?}");
        world.assert_exact(first_mark, &music, answer, "the first headset");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("two headsets");
    }
}

/// D-26: one of two devices leaves, and the other plays on.
#[test]
fn a_headset_that_is_pulled_leaves_the_other_ones_stream_alone() {
    for seed in 0..12 {
        let personality = roomy(seed, 2);
        let second = personality.usb2_port(1).expect("it has two");
        let mut world = World::with(personality, seed);
        let second = Port { controller: 0, port: second };
        world.scene.plug(second, Model::Capture, seed + 1);
        world.scene.run_for(Time::ms(700));
        world.scene.plug(world.port, Model::Sync, seed);
        world.scene.run_for(Time::ms(700));
        let music = sound(500);
        let mark = world.scene.mark(world.port);
        let sequence = world.begin(&music, Path::Offload, 50 + 10 * seed);
        world.scene.unplug(second);
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &music, answer, "the other headset was pulled");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("one of two pulled");
    }
}
