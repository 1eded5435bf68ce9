//! The controller fails in mid-stream, without a word and with one.

use crate::world::{World, sound};
use dsp_abi::bell;
use dsp_abi::media::Path;
use fabric::{IntId, Rng, Time};
use offload_broker_api::RouteEnding;
use xhc::Death;

/// Lets the controller die in mid-stream; with a word it raises its primary
/// interrupt after that.
fn dies_in_mid_stream(death: Death, word: bool) {
    for seed in 0..8 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, u64::from(rng.range(0, 400)));
        {
            let board = &mut *world.scene.machine.board_mut();
            board.parts.controllers[0].kill(&mut board.parts.fabric, death);
            if word {
                board.parts.fabric.raise(IntId(bell::CONTROLLER0_PRIMARY));
            }
        }
        // Without one the monitor finds the stream standing still.
        let (server, code) = world.failure(sequence, Time::ms(1_500));
        let revoked = player::ROUTE_ENDED + RouteEnding::Revoked as u32;
        assert_eq!((server, code), ("offload_broker", revoked), "seed {seed}, {death:?}");
        world.assert_at_rest(&format!("{death:?}"));
        world.play(&sound(150), Path::Offload, &format!("after {death:?}"));
        world.assert_at_rest("at the end");
        world.assert_nobody_died(&format!("{death:?}"));
    }
}

#[test]
fn a_controller_that_dies_without_a_word_is_found_out_and_started_over() {
    for death in [Death::ControllerError, Death::HostError] {
        dies_in_mid_stream(death, false);
    }
}

#[test]
fn a_controller_that_dies_with_a_word_is_started_over_at_once() {
    for death in [Death::ControllerError, Death::HostError] {
        dies_in_mid_stream(death, true);
    }
}

/// Kills the controller while nobody wants anything of it, before a headset is plugged
/// in or after.
fn dies_unseen(seed: u64, death: Death) -> World {
    let mut world = World::new(seed);
    if seed.is_multiple_of(2) {
        world.plug();
        world.scene.run_for(Time::ms(400));
    }
    world.scene.run_for(Time::ms(100));
    {
        let board = &mut *world.scene.machine.board_mut();
        board.parts.controllers[0].kill(&mut board.parts.fabric, death);
    }
    if seed % 2 == 1 {
        world.plug();
    }
    world.scene.run_for(Time::ms(400));
    world
}

#[test]
fn a_controller_that_died_unseen_is_found_out_by_who_wants_to_play() {
    for (seed, death) in (0..8).zip([Death::ControllerError, Death::HostError].repeat(4)) {
        let mut world = dies_unseen(seed, death);
        world.play(&sound(80), Path::Offload, &format!("after {death:?}"));
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a controller that died unseen");
    }
}

/// On the host's path nobody asks for a device that is not there.
#[test]
fn a_controller_that_died_unseen_is_found_out_by_who_wakes_the_system_up() {
    for (seed, death) in (0..8).zip([Death::ControllerError, Death::HostError].repeat(4)) {
        let mut world = dies_unseen(seed, death);
        world.scene.ring(bell::RESUME);
        world.scene.run_for(Time::ms(1_000));
        world.play(&sound(80), Path::Player, &format!("after {death:?}"));
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a controller that died unseen");
    }
}

/// Nothing is taken from a controller that nobody can say has stopped; one that was
/// kept from memory has, and may never come back.
#[test]
fn a_controller_that_is_gone_for_good_when_the_mapper_dies_keeps_no_session() {
    for seed in 0..8 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, u64::from(rng.range(0, 400)));
        {
            let board = &mut *world.scene.machine.board_mut();
            board.parts.controllers[0].kill(&mut board.parts.fabric, Death::Gone);
            if seed % 2 == 1 {
                board.parts.fabric.raise(IntId(bell::CONTROLLER0_PRIMARY));
            }
        }
        let mapper = world.scene.machine.task_named("iommu").expect("there is one");
        world.scene.machine.kill(mapper);
        world.failure(sequence, Time::ms(1_500));
        world.scene.run_for(Time::ms(15_000));
        world.accept_mapper_death();
        world.assert_at_rest("gone for good");
    }
}
