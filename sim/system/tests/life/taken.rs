//! An interface of the headset is taken from its driver from outside (U16, R13):
//! what usbfs does on Linux, where it deadlocks against a stream's end.

use crate::world::{LIMIT, World, sound};
use dsp_abi::media::{Path, PlayerState};
use fabric::{Rng, Time};
use system::auditor::{USB_AUDIO, USB_CORE};
use usb_audio_api::{MAX_CARDS, UsbAudio};
use usb_core_api::{DeviceHandle, TicketHandle, UsbCore, UsbCoreError};

/// The streaming interface of playback, of every headset here.
const STREAMING: u8 = 1;

fn core() -> UsbCore {
    UsbCore::from(USB_CORE.get_task_id())
}

/// Asks for the streaming interface of the headset that is there.
fn start_take(world: &mut World) -> (DeviceHandle, TicketHandle) {
    let asked = world.scene.visit(LIMIT, || {
        let audio = UsbAudio::from(USB_AUDIO.get_task_id());
        let present = |card| audio.card(card).ok().filter(|info| info.present);
        let card = (0..MAX_CARDS).find_map(present).expect("there is a headset");
        core().start_take_interface(card.device, STREAMING).map(|ticket| (card.device, ticket))
    });
    asked.expect("the servers answer").expect("it may be taken")
}

/// Waits until it is ours.
fn until_taken(world: &mut World, ticket: TicketHandle) {
    let until = world.scene.now() + LIMIT;
    while world.scene.now() < until {
        let asked = world.scene.visit(LIMIT, move || core().result(ticket));
        match asked.expect("the core answers") {
            Err(UsbCoreError::NotYet) => world.scene.run_for(Time::ms(5)),
            over => return assert_eq!(over, Ok(()), "seed {}", world.seed),
        }
    }
    panic!("seed {}: it is never let go of", world.seed);
}

/// Nobody streams now, and nobody can: there is no headset to play to. Then it is
/// given back, and who waited for one has it.
fn give_back(world: &mut World, device: DeviceHandle) {
    world.assert_at_rest("while it is taken");
    let (mark, waiting) = (world.scene.mark(world.port), sound(60));
    let sequence = world.scene.order(&waiting, Path::Player);
    assert_eq!(world.scene.wait(sequence, Time::ms(300)), None, "seed {}", world.seed);
    let released = world.scene.visit(LIMIT, move || core().release_interface(device, STREAMING));
    assert_eq!(released, Some(Ok(())), "seed {}", world.seed);
    let answer = world.scene.wait(sequence, LIMIT);
    world.assert_exact(mark, &waiting, answer, "what waited for the headset");
}

/// R13: the session's end waits for nobody who waits for it.
#[test]
fn u16_an_interface_that_is_taken_ends_its_stream_in_order_and_the_next_one_is_exact() {
    for path in [Path::Offload, Path::Player] {
        for seed in 0..8 {
            let mut world = World::with_headset(seed);
            let mut rng = Rng::new(seed);
            let sequence = world.begin(&sound(2_000), path, u64::from(rng.range(0, 400)));
            let (device, ticket) = start_take(&mut world);
            let answer = world.scene.wait(sequence, LIMIT).expect("the player is told");
            assert_eq!(answer.state, PlayerState::Failed as u32, "seed {seed}: {answer:?}");
            until_taken(&mut world, ticket);
            give_back(&mut world, device);
            world.play(&sound(150), Path::Offload, "after it was given back");
            world.play(&sound(80), Path::Player, "by the host's path");
            world.assert_at_rest("at the end");
            world.assert_nobody_died("an interface that was taken");
        }
    }
}

/// R13: at any moment of enable, stream and disable.
#[test]
fn r13_u16_an_interface_that_is_taken_at_any_moment_of_a_command_leaves_nothing_behind() {
    for seed in 0..48 {
        let mut world = World::with_headset(seed);
        world.scene.run_for(Time::ms(700));
        let mut rng = Rng::new(seed ^ 0x7A6E);
        let path = if seed % 3 == 0 { Path::Player } else { Path::Offload };
        let sequence = world.scene.order(&sound(120), path);
        world.scene.run_for(Time::us(rng.range(0, 250_000).into()));
        let (device, ticket) = start_take(&mut world);
        assert!(world.scene.wait(sequence, LIMIT).is_some(), "seed {seed}: no answer");
        until_taken(&mut world, ticket);
        give_back(&mut world, device);
        world.play(&sound(80), Path::Offload, "after it was given back");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("an interface that was taken");
    }
}
