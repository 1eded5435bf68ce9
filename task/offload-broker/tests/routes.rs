//! The backend: which device, which limits, what the DSP is told, and what
//! becomes of a route.

mod world;

use abi::{Generation, TaskId};
use dsp_abi::port::{self, Ending, Kind};
use handles::{Handle, Raw};
use offload_broker::backend::Target;
use offload_broker::ops::Input;
use offload_broker::refusal::Dialect;
use offload_broker_api::{BrokerError, RouteEnding, RouteHandle, RouteRequest, RouteState};
use qmi::Token;
use usb_types::Direction;
use world::{OTHER, PORT_SERVICE, World};

const PLAYER: TaskId = TaskId::new(7, Generation(0));
const REQUEST: RouteRequest = RouteRequest {
    direction: Direction::Out,
    rate: 44100,
    format: 2,
    channels: 2,
    frames: 1000,
    buffer_us: 10_000,
};

fn world() -> World {
    let mut world = World::new(Dialect::Precise);
    world.input(Input::PortUp(PORT_SERVICE));
    world
}

fn target(world: &World, request: RouteRequest) -> Result<Target, BrokerError> {
    world.broker.backend.target(&request, world.broker.cards())
}

fn start(world: &mut World) -> (RouteHandle, port::Message) {
    let target = target(world, REQUEST).expect("a device and a DSP");
    let (route, to, message) =
        world.broker.backend.start(PLAYER, &REQUEST, &target).expect("a route");
    assert_eq!(to, PORT_SERVICE);
    (route, message)
}

fn state(world: &mut World, route: RouteHandle) -> Result<RouteState, BrokerError> {
    world.broker.backend.state(route, PLAYER)
}

fn tell(world: &mut World, message: port::Message, kind: Kind, ending: Ending) {
    let message = port::Message {
        kind: kind as u32,
        result: ending as u32,
        played: 900,
        underruns: 2,
        ..message
    };
    world.input(Input::PortMessage(PORT_SERVICE, message));
}

/// D-26: of two devices one leaves, and the other is offered.
#[test]
fn s5_s7_the_newest_device_with_playback_and_its_last_stream_are_taken() {
    let mut world = world();
    world.plug(3);
    world.plug(2);
    let stream = target(&world, REQUEST).expect("a device").stream;
    assert_eq!((stream.card, stream.pcm, stream.direction), (2, 1, Direction::Out));
    world.unplug(2);
    assert_eq!(target(&world, REQUEST).expect("a device").stream.card, 3);
    world.unplug(3);
    world.unplug(1);
    assert_eq!(target(&world, REQUEST), Err(BrokerError::NoDevice));
}

/// The same for a recording; what a device cannot do it is not asked for.
#[test]
fn a_recording_is_made_by_the_newest_device_that_has_a_microphone() {
    let mut world = world();
    let record = RouteRequest { direction: Direction::In, ..REQUEST };
    let target = target(&world, record).expect("a device");
    assert_eq!((target.stream.card, target.stream.pcm), (1, 0));
    let (_, _, start) = world.broker.backend.start(PLAYER, &record, &target).expect("a route");
    assert_eq!(start.token, Token::new(1, 0, 1).0);
    world.unplug(1);
    assert_eq!(self::target(&world, record), Err(BrokerError::NoDevice));
}

#[test]
fn s8_the_backends_limits_each_have_their_code() {
    let world = world();
    for rate in [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192_000] {
        assert!(target(&world, RouteRequest { rate, ..REQUEST }).is_ok(), "{rate}");
    }
    for rate in [0, 12000, 64000, 384_000] {
        let refused = target(&world, RouteRequest { rate, ..REQUEST });
        assert_eq!(refused, Err(BrokerError::RateUnsupported), "{rate}");
    }
    for format in 0..=20 {
        let answer = target(&world, RouteRequest { format, ..REQUEST });
        match format {
            2..=17 => assert!(answer.is_ok(), "{format}"),
            _ => assert_eq!(answer, Err(BrokerError::FormatUnsupported), "{format}"),
        }
    }
    for channels in [0, 3, 255] {
        let refused = target(&world, RouteRequest { channels, ..REQUEST });
        assert_eq!(refused, Err(BrokerError::ChannelsUnsupported), "{channels}");
    }
    let refused = target(&world, RouteRequest { frames: 0, ..REQUEST });
    assert_eq!(refused, Err(BrokerError::NoFrames));
}

#[test]
fn without_a_dsp_there_is_no_route() {
    let mut world = World::new(Dialect::Precise);
    assert_eq!(target(&world, REQUEST), Err(BrokerError::NoDsp));
    world.input(Input::PortUp(PORT_SERVICE));
    assert!(target(&world, REQUEST).is_ok());
    world.input(Input::PortDown(PORT_SERVICE));
    assert_eq!(target(&world, REQUEST), Err(BrokerError::NoDsp));
}

/// S9: what the DSP needs to ask for the stream.
#[test]
fn s9_the_start_names_stream_format_interval_and_buffer() {
    let mut world = world();
    let (_, message) = start(&mut world);
    assert_eq!((message.kind, message.token), (Kind::Start as u32, Token::new(1, 1, 0).0));
    assert_eq!((message.rate, message.format, message.channels), (44100, 2, 2));
    assert_eq!((message.frames, message.interval_us), (1000, 1000));
    assert_eq!(message.buffer_bytes, 1764, "10 ms of 44.1 kHz, stereo, 16 bits");
    let (_, second) = start(&mut world);
    assert_ne!(message.cookie, second.cookie);
}

#[test]
fn a_route_goes_from_start_to_end_and_its_end_is_told_once() {
    let mut world = world();
    let (route, message) = start(&mut world);
    assert_eq!(state(&mut world, route), Ok(RouteState::Starting));
    tell(&mut world, message, Kind::Started, Ending::Played);
    assert_eq!((state(&mut world, route), world.hints), (Ok(RouteState::Running), 1));
    tell(&mut world, message, Kind::Done, Ending::Played);
    let played = RouteState::Played { frames: 900, underruns: 2 };
    assert_eq!((state(&mut world, route), world.hints), (Ok(played), 2));
    assert_eq!(state(&mut world, route), Err(BrokerError::Stale));
}

#[test]
fn every_early_end_is_told_apart() {
    let endings = [
        (Ending::Stopped, RouteEnding::Stopped),
        (Ending::Refused, RouteEnding::Refused),
        (Ending::Revoked, RouteEnding::Revoked),
        (Ending::Suspended, RouteEnding::Suspended),
        (Ending::BadStart, RouteEnding::BadStart),
        (Ending::Busy, RouteEnding::DspBusy),
    ];
    for (ending, why) in endings {
        let mut world = world();
        let (route, message) = start(&mut world);
        tell(&mut world, message, Kind::Done, ending);
        assert_eq!(state(&mut world, route), Ok(RouteState::Ended { why, frames: 900 }));
    }
    for gone in [Input::NodeGone(PORT_SERVICE.node), Input::PortDown(PORT_SERVICE)] {
        let mut world = world();
        let (route, _) = start(&mut world);
        world.input(gone);
        let ended = RouteState::Ended { why: RouteEnding::DspGone, frames: 0 };
        assert_eq!((world.hints, state(&mut world, route)), (1, Ok(ended)));
    }
}

/// The link died and is there again: whatever was on its way is lost.
#[test]
fn a_port_service_that_is_there_again_hears_all_again_and_is_asked_what_became_of_it() {
    let mut world = world();
    let (routes, messages): (Vec<_>, Vec<_>) = (0..4).map(|_| start(&mut world)).unzip();
    let kinds = |world: &mut World| -> Vec<_> {
        world.input(Input::PortUp(PORT_SERVICE));
        let said = std::mem::take(&mut world.port);
        said.iter().map(|(_, message)| (message.kind, message.cookie)).collect()
    };
    let said = |kind: Kind, n: usize| (kind as u32, messages[n].cookie);
    tell(&mut world, messages[1], Kind::Started, Ending::Played);
    tell(&mut world, messages[2], Kind::Done, Ending::Played);
    world.broker.backend.stop(routes[3], PLAYER).expect("its route");
    let expected =
        [said(Kind::Start, 0), said(Kind::Ask, 1), said(Kind::Start, 3), said(Kind::Stop, 3)];
    assert_eq!(kinds(&mut world), expected);
    tell(&mut world, messages[1], Kind::Done, Ending::Forgotten);
    let gone = RouteState::Ended { why: RouteEnding::DspGone, frames: 900 };
    assert_eq!(state(&mut world, routes[1]), Ok(gone));
    world.input(Input::NodeGone(PORT_SERVICE.node));
    assert_eq!(kinds(&mut world), [], "a DSP that was gone knows of none");
}

#[test]
fn stop_names_the_route_and_is_nothing_for_one_that_is_over() {
    let mut world = world();
    let (route, message) = start(&mut world);
    let (to, stop) = world.broker.backend.stop(route, PLAYER).expect("its route").expect("lives");
    assert_eq!((to, stop.kind, stop.cookie), (PORT_SERVICE, Kind::Stop as u32, message.cookie));
    tell(&mut world, message, Kind::Done, Ending::Played);
    assert_eq!(world.broker.backend.stop(route, PLAYER), Ok(None));
}

#[test]
fn a_route_is_its_owners_alone() {
    let mut world = world();
    let (route, _) = start(&mut world);
    let stranger = TaskId::new(8, Generation(0));
    assert_eq!(world.broker.backend.state(route, stranger), Err(BrokerError::NotOwner));
    assert_eq!(world.broker.backend.stop(route, stranger), Err(BrokerError::NotOwner));
    let reborn = TaskId::new(7, Generation(1));
    assert_eq!(world.broker.backend.state(route, reborn), Err(BrokerError::NotOwner));
}

/// R18: a route of the broker's earlier life is not mistaken for one of this.
#[test]
fn a_route_of_an_earlier_life_is_told_apart() {
    let mut world = world();
    let raw = start(&mut world).0.raw();
    let earlier = RouteHandle::from_raw(Raw { epoch: raw.epoch.wrapping_sub(1), ..raw });
    assert_eq!(state(&mut world, earlier), Err(BrokerError::StaleServer));
    assert_eq!(world.broker.backend.stop(earlier, PLAYER), Err(BrokerError::StaleServer));
}

#[test]
fn what_the_dsp_says_of_no_route_changes_nothing() {
    let mut world = world();
    let (route, message) = start(&mut world);
    let strange = port::Message { cookie: message.cookie + 1, ..message };
    tell(&mut world, strange, Kind::Done, Ending::Played);
    tell(&mut world, message, Kind::Start, Ending::Played);
    let done = port::Message { kind: Kind::Done as u32, ..message };
    world.input(Input::PortMessage(OTHER, done));
    assert_eq!((state(&mut world, route), world.hints), (Ok(RouteState::Starting), 0));
}

#[test]
fn the_fifth_route_is_refused_and_an_aborted_one_leaves_its_place() {
    let mut world = world();
    let routes: Vec<_> = (0..4).map(|_| start(&mut world).0).collect();
    let fifth = target(&world, REQUEST).expect("a device");
    let refused = world.broker.backend.start(PLAYER, &REQUEST, &fifth).err();
    assert_eq!(refused, Some(BrokerError::NoRoutes));
    world.broker.backend.abort(routes[2]);
    start(&mut world);
}

/// Death of the player: the stream plays on, and its card's number stays until
/// the DSP is done with it.
#[test]
fn a_dead_owners_route_keeps_its_card_until_the_dsp_is_done() {
    let mut world = world();
    let (_, message) = start(&mut world);
    world.broker.backend.owner_died(PLAYER);
    world.unplug(1);
    assert!(world.forgotten.is_empty());
    tell(&mut world, message, Kind::Done, Ending::Revoked);
    assert_eq!((world.forgotten.clone(), world.hints), (vec![1], 0));
}
