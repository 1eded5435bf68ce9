//! Tasks die at any point of a command (rule 9).

use crate::world::{LIMIT, World, sound};
use dsp_abi::media::Path;
use fabric::{Rng, Time};
use std::ops::Range;

/// A request that died with the link is given up by the DSP after 5 s.
const PATIENCE: Time = Time::ms(8_000);

/// Points of a command's life. The same seed gives the same run, up to where
/// somebody is killed.
fn points(seed: u64, path: Path) -> u64 {
    let mut world = World::with_headset(seed);
    let sequence = world.scene.order(&sound(120), path);
    assert!(world.scene.wait(sequence, LIMIT).is_some(), "seed {seed}");
    world.scene.machine.points()
}

/// Kills `victim` somewhere in a command, lets the system come back, and plays.
fn killed_anywhere(victim: &str, path: Path, seeds: Range<u64>) {
    for seed in seeds {
        let last = points(seed, path);
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed ^ 0x0DEA_D000);
        let index = world.scene.machine.task_named(victim).expect("the image has it");
        let sequence = world.scene.order(&sound(120), path);
        // Who dies may make the last of its points a little earlier.
        let point = u64::from(rng.range(1, last as u32 - 100));
        world.scene.machine.kill_at(point, Some(index));
        let why = format!("{victim} died at point {point} of {last}");
        let answer = world.scene.wait(sequence, PATIENCE);
        assert!(answer.is_some(), "seed {seed}, {why}: the player is told nothing");
        world.scene.run_for(Time::ms(2_000));
        if victim == "iommu" {
            world.accept_mapper_death();
        }
        world.play(&sound(60), Path::Offload, &why);
        world.play(&sound(60), Path::Player, &why);
        world.assert_at_rest(&why);
    }
}

macro_rules! killed_anywhere {
    ($($name:ident, $host:ident: $victim:literal;)*) => {$(
        #[test]
        fn $name() {
            killed_anywhere($victim, Path::Offload, 0..120);
        }

        #[test]
        fn $host() {
            killed_anywhere($victim, Path::Player, 0..40);
        }
    )*};
}

killed_anywhere! {
    the_mapper_dies_anywhere_in_a_route, the_mapper_dies_anywhere_in_a_host_stream: "iommu";
    the_link_dies_anywhere_in_a_route, the_link_dies_anywhere_in_a_host_stream: "dsp_link";
    the_driver_dies_anywhere_in_a_route, the_driver_dies_anywhere_in_a_host_stream: "xhci";
    the_usb_core_dies_anywhere_in_a_route, the_usb_core_dies_anywhere_in_a_host_stream: "usb_core";
    the_audio_class_dies_anywhere_in_a_route, the_audio_class_dies_anywhere_in_a_host_stream:
        "usb_audio";
    the_broker_dies_anywhere_in_a_route, the_broker_dies_anywhere_in_a_host_stream:
        "offload_broker";
    the_player_dies_anywhere_in_a_route, the_player_dies_anywhere_in_a_host_stream: "player";
}

/// Everybody takes the names of those above and below at its first instructions;
/// who dies between two of those is missed by nobody.
#[test]
fn a_server_that_dies_while_its_neighbours_begin_is_met_again() {
    for victim in ["iommu", "dsp_link", "xhci", "usb_core", "usb_audio", "offload_broker"] {
        for point in (400..1_300).step_by(4) {
            let mut world = World::with_headset(2);
            let index = world.scene.machine.task_named(victim).expect("the image has it");
            let sequence = world.scene.order(&sound(40), Path::Offload);
            world.scene.machine.kill_at(point, Some(index));
            let answer = world.scene.wait(sequence, PATIENCE);
            assert!(answer.is_some(), "{victim} died at point {point}: the player is told nothing");
        }
    }
}
