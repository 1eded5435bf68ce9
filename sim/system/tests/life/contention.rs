//! Two who want the same stream, and more streams than there is room for.

use crate::world::{LIMIT, World, route, sound};
use dsp_abi::media::Path;
use fabric::Time;
use offload_broker_api::{RouteEnding, RouteState};
use system::auditor::USB_AUDIO;
use usb_audio_api::{Drive, SampleFormat, StreamFormat, StreamId, UsbAudio, UsbAudioError};
use usb_types::Direction;

/// Asks the audio class for the first card's stream, as another client would.
fn open_by_another(world: &mut World) -> Result<(), UsbAudioError> {
    let opened = world.scene.visit(Time::ms(500), || {
        let audio = UsbAudio::from(USB_AUDIO.get_task_id());
        let card = (0..usb_audio_api::MAX_CARDS).find(|&card| audio.card(card).is_ok());
        let stream = StreamId {
            card: card.expect("a headset is plugged in"),
            pcm: 0,
            direction: Direction::Out,
        };
        let format = StreamFormat {
            sample: SampleFormat::S16Le,
            channels: 2,
            rate: 48_000,
            interval_us: None,
        };
        let ticket = audio.start_open(stream, format, Drive::Host)?;
        loop {
            match audio.result(ticket) {
                Err(UsbAudioError::NotYet) => userlib::hl::sleep_for(1),
                Ok(_) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
    opened.expect("the audio class answers")
}

/// Asks the broker for a route to the newest headset, as another client would,
/// and waits for its end.
fn route_by_another(world: &mut World, frames: u32) -> RouteState {
    let started = world.start_route(route(Direction::Out, frames));
    world.end_route(started.expect("a headset and the DSP are there"), LIMIT)
}

#[test]
fn a18_a_host_opener_is_refused_while_the_dsp_streams_and_the_stream_is_unharmed() {
    for seed in 0..12 {
        let mut world = World::with_headset(seed);
        let music = sound(500);
        let mark = world.scene.mark(world.port);
        let sequence = world.begin(&music, Path::Offload, 100 + 5 * seed);
        assert_eq!(open_by_another(&mut world), Err(UsbAudioError::StreamBusy), "seed {seed}");
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &music, answer, "another opener came");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("contention");
    }
}

#[test]
fn a18_a_route_is_refused_while_the_host_plays_and_the_sound_is_unharmed() {
    for seed in 0..12 {
        let mut world = World::with_headset(seed);
        let music = sound(600);
        let mark = world.scene.mark(world.port);
        let sequence = world.begin(&music, Path::Player, 100 + 5 * seed);
        let ended = route_by_another(&mut world, 4_800);
        let refused = RouteState::Ended { why: RouteEnding::Refused, frames: 0 };
        assert_eq!(ended, refused, "seed {seed}");
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &music, answer, "a route was asked for");
        world.play(&sound(60), Path::Offload, "the stream is free again");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("contention");
    }
}

#[test]
fn a_second_route_to_the_same_stream_is_refused_and_the_first_is_unharmed() {
    for seed in 0..12 {
        let mut world = World::with_headset(seed);
        let music = sound(500);
        let mark = world.scene.mark(world.port);
        let sequence = world.begin(&music, Path::Offload, 100 + 5 * seed);
        let ended = route_by_another(&mut world, 4_800);
        let refused = RouteState::Ended { why: RouteEnding::Refused, frames: 0 };
        assert_eq!(ended, refused, "seed {seed}");
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &music, answer, "a second route was asked for");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("contention");
    }
}
