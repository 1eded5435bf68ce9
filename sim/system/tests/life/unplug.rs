//! The headset is pulled, at any moment of a stream's life.

use crate::world::{LIMIT, REST, World, sound};
use dsp_abi::media::Path;
use fabric::{Rng, Time};
use offload_broker_api::RouteEnding;

#[test]
fn a_headset_pulled_while_it_plays_fails_the_command_and_the_next_one_is_exact() {
    for seed in 0..24 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, u64::from(rng.range(0, 400)));
        world.scene.unplug(world.port);
        let (server, code) = world.failure(sequence, Time::ms(1_000));
        assert_eq!(
            (server, code),
            ("offload_broker", player::ROUTE_ENDED + RouteEnding::Revoked as u32),
            "seed {seed}"
        );
        world.assert_at_rest("after the headset was pulled");
        world.plug();
        world.play(&sound(150), Path::Offload, "the headset is back");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("pulled in mid-stream");
    }
}

/// R2, R13: unplug (U14) waits for nobody, and ends in bounded time.
#[test]
fn a_headset_pulled_at_any_moment_of_enable_stream_and_disable_leaves_nothing_behind() {
    for seed in 0..60 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed ^ 0xDEAD);
        // From before the enumeration to after the end.
        let sequence = world.scene.order(&sound(120), Path::Offload);
        let at = Time::us(u64::from(rng.range(0, 900_000)));
        world.scene.run_for(at);
        world.scene.unplug(world.port);
        let answer = world.scene.wait(sequence, REST);
        let begun = world.scene.packets() != 0;
        if answer.is_none() {
            assert!(!begun, "seed {seed}, pulled at {at:?}: a stream ended and nobody was told");
        }
        world.assert_at_rest(&format!("pulled at {at:?}"));
        world.plug();
        if answer.is_none() {
            // The command waited for a headset; here one is.
            let mark = world.scene.mark(world.port);
            let answer = world.scene.wait(sequence, LIMIT);
            world.assert_exact(mark, &sound(120), answer, "the command that waited");
        }
        world.play(&sound(80), Path::Offload, &format!("replugged after {at:?}"));
        world.assert_at_rest("at the end");
        world.assert_nobody_died("pulled at any moment");
    }
}

#[test]
fn a_headset_pulled_while_the_application_core_plays_fails_the_command_and_the_next_is_exact() {
    for seed in 0..16 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Player, u64::from(rng.range(0, 300)));
        world.scene.unplug(world.port);
        let (server, code) = world.failure(sequence, Time::ms(1_000));
        assert_eq!(
            (server, code),
            ("usb_audio", usb_audio_api::UsbAudioError::DeviceGone as u32),
            "seed {seed}"
        );
        world.assert_at_rest("after the headset was pulled");
        world.plug();
        world.play(&sound(100), Path::Player, "the headset is back");
        world.play(&sound(100), Path::Offload, "and the other way");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("pulled in mid-stream");
    }
}
