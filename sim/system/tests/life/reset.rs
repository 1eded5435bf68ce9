//! The headset is reset while it plays (U15), by somebody who may.

use crate::world::{LIMIT, World, sound};
use dsp_abi::media::Path;
use fabric::{Rng, Time};
use offload_broker_api::RouteEnding;
use system::auditor::{USB_AUDIO, USB_CORE};
use usb_audio_api::{MAX_CARDS, UsbAudio};
use usb_core_api::{TicketHandle, UsbCore, UsbCoreError};

/// Asks for the reset of the headset that is there.
pub(super) fn start_reset(world: &mut World) -> TicketHandle {
    let asked = world.scene.visit(LIMIT, || {
        let audio = UsbAudio::from(USB_AUDIO.get_task_id());
        let present = |card| audio.card(card).ok().filter(|info| info.present);
        let card = (0..MAX_CARDS).find_map(present).expect("there is a headset");
        UsbCore::from(USB_CORE.get_task_id()).start_reset(card.device)
    });
    asked.expect("the servers answer").expect("it may be reset")
}

/// Waits until the reset is over. Until then the headset refuses everybody.
pub(super) fn until_over(world: &mut World, ticket: TicketHandle) {
    let until = world.scene.now() + LIMIT;
    while world.scene.now() < until {
        let ask = move || UsbCore::from(USB_CORE.get_task_id()).result(ticket);
        match world.scene.visit(LIMIT, ask).expect("the core answers") {
            Err(UsbCoreError::NotYet) => world.scene.run_for(Time::ms(5)),
            over => return assert_eq!(over, Ok(()), "seed {}", world.seed),
        }
    }
    panic!("seed {}: the reset never ends", world.seed);
}

/// R33: its session ends in order; on the same slot the next one is armed.
#[test]
fn a_headset_that_is_reset_while_it_plays_ends_the_stream_and_the_next_one_is_exact() {
    for seed in 0..8 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, u64::from(rng.range(0, 400)));
        let ticket = start_reset(&mut world);
        let revoked = player::ROUTE_ENDED + RouteEnding::Revoked as u32;
        let failure = world.failure(sequence, Time::ms(1_500));
        assert_eq!(failure, ("offload_broker", revoked), "seed {seed}");
        until_over(&mut world, ticket);
        world.play(&sound(150), Path::Offload, "after the reset");
        world.play(&sound(80), Path::Player, "by the host's path");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a reset");
    }
}

#[test]
fn a_reset_ends_a_stream_on_the_hosts_path_and_the_next_one_is_exact() {
    for seed in 0..8 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Player, u64::from(rng.range(0, 400)));
        let ticket = start_reset(&mut world);
        let (server, _) = world.failure(sequence, Time::ms(1_500));
        assert_eq!(server, "usb_audio", "seed {seed}");
        until_over(&mut world, ticket);
        world.play(&sound(80), Path::Player, "after the reset");
        world.play(&sound(80), Path::Offload, "by the DSP");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a reset");
    }
}

/// R33: at any moment of enable, stream and disable.
#[test]
fn a_headset_that_is_reset_at_any_moment_of_a_command_leaves_nothing_behind() {
    for seed in 0..24 {
        let mut world = World::with_headset(seed);
        world.scene.run_for(Time::ms(700));
        let mut rng = Rng::new(seed ^ 0x5E7);
        let sequence = world.scene.order(&sound(120), Path::Offload);
        world.scene.run_for(Time::us(rng.range(0, 250_000).into()));
        let ticket = start_reset(&mut world);
        assert!(world.scene.wait(sequence, LIMIT).is_some(), "seed {seed}: no answer");
        until_over(&mut world, ticket);
        world.play(&sound(80), Path::Offload, "after the reset");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a reset");
    }
}
