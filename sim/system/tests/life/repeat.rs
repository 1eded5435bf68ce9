//! One sound after another.

use crate::world::{World, sound};
use dsp_abi::media::Path;

#[test]
fn ten_sounds_one_after_another_are_all_exact_and_leave_nothing_behind() {
    for seed in 0..6 {
        let mut world = World::with_headset(seed);
        for n in 0..10 {
            // Both ways in turn, each a little longer than the one before.
            let path = if (n + seed) % 3 == 2 { Path::Player } else { Path::Offload };
            world.play(&sound(60 + 7 * n as u32), path, &format!("sound {n} by {path:?}"));
            world.assert_at_rest(&format!("after sound {n}"));
        }
        let audit = world.scene.audit().expect("all servers are up");
        assert!(audit.broker.begun >= 6, "{:?}", audit.broker);
        world.assert_nobody_died("ten sounds");
    }
}

#[test]
fn a_headset_that_comes_and_goes_finds_its_place_each_time() {
    for seed in 0..6 {
        let mut world = World::new(seed);
        // More often than there are slots for devices, cards or sessions.
        for n in 0..40 {
            world.plug();
            if n % 8 == 0 {
                world.play(&sound(40), Path::Offload, &format!("headset {n}"));
            } else {
                world.scene.run_for(fabric::Time::ms(700));
            }
            world.scene.unplug(world.port);
            world.scene.run_for(fabric::Time::ms(150));
        }
        world.assert_at_rest("after 40 headsets");
        world.plug();
        world.play(&sound(40), Path::Offload, "the last headset");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("coming and going");
    }
}
