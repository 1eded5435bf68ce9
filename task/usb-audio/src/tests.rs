//! The audio class against a fake `usb_core`, operation by operation.

use abi::{Generation, TaskId};
use handles::{Epoch, Handle, Raw};
use usb_audio_api::{
    Completed, Drive, Event, SampleFormat, StreamFormat, StreamHandle, StreamId, TicketHandle,
    UsbAudioError,
};
use usb_core_api::{DeviceHandle, UsbCoreError};
use usb_types::{Direction, EndpointAddress};

use crate::engine::Engine;
use crate::fake::{Fake, Model, Told};

const BROKER: TaskId = TaskId::new(6, Generation(0));
const PLAYER: TaskId = TaskId::new(7, Generation(0));

const STREAM: StreamId = StreamId { card: 0, pcm: 0, direction: Direction::Out };
const CD: StreamFormat =
    StreamFormat { sample: SampleFormat::S16Le, channels: 2, rate: 44_100, interval_us: None };

/// SET_CUR of the endpoint's sampling frequency.
fn rate(hertz: u32) -> Told {
    Told::Set { value: 0x0100, index: 0x01, data: hertz.to_le_bytes()[..3].to_vec() }
}

fn mute(on: bool) -> Told {
    Told::Set { value: 0x0100, index: 0x0200, data: vec![on.into()] }
}

fn volume(channel: u16, volume: i16) -> Told {
    let data = volume.to_le_bytes().to_vec();
    Told::Set { value: 0x0200 | channel, index: 0x0200, data }
}

struct Bench {
    engine: Engine,
    world: Fake,
}

impl Bench {
    fn empty() -> Self {
        Self { engine: Engine::new(Epoch(1)), world: Fake::new() }
    }

    /// A bench with one device, card 0, known to both clients.
    fn with(model: Model) -> (Self, DeviceHandle) {
        let mut bench = Self::empty();
        let device = bench.world.plug(0, model);
        bench.settle();
        for client in [BROKER, PLAYER] {
            bench.news(client);
        }
        (bench, device)
    }

    fn new() -> Self {
        Self::with(Model::default()).0
    }

    /// Lets `usb_core` tell all it has.
    fn settle(&mut self) {
        self.engine.pull(&mut self.world);
        self.engine.hint(&mut self.world);
    }

    fn news(&mut self, client: TaskId) -> Vec<Event> {
        std::iter::from_fn(|| {
            let event = self.engine.op_pull(client).unwrap();
            (event != Event::None).then_some(event)
        })
        .collect()
    }

    fn start(&mut self, client: TaskId, drive: Drive) -> Result<TicketHandle, UsbAudioError> {
        self.engine.op_open(&mut self.world, client, STREAM, CD, drive)
    }

    fn result(&mut self, client: TaskId, ticket: TicketHandle) -> Result<Completed, UsbAudioError> {
        self.engine.op_result(client, ticket)
    }

    fn open(&mut self, client: TaskId, drive: Drive) -> Result<StreamHandle, UsbAudioError> {
        let ticket = self.start(client, drive)?;
        self.settle();
        match self.result(client, ticket)? {
            Completed::Stream(stream) => Ok(stream),
            other => panic!("{other:?}"),
        }
    }

    fn close(&mut self, client: TaskId, stream: StreamHandle) -> Result<Completed, UsbAudioError> {
        let ticket = self.engine.op_close(&mut self.world, client, stream)?;
        self.settle();
        self.result(client, ticket)
    }

    fn write(&mut self, stream: StreamHandle, pcm: &[u8]) -> Result<u16, UsbAudioError> {
        let copy = |into: &mut [u8]| {
            into.copy_from_slice(&pcm[..into.len()]);
            Ok(())
        };
        match self.engine.op_write(&mut self.world, PLAYER, stream, pcm.len(), copy) {
            Ok(frames) => Ok(frames),
            Err(idol_runtime::RequestError::Runtime(error)) => Err(error),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn progress(&mut self, device: DeviceHandle, endpoint: u8) {
        let endpoint = EndpointAddress(endpoint);
        self.world.events.push_back(usb_core_api::Event::IsochProgress { device, endpoint });
        self.settle();
    }

    /// Nothing is left of any operation.
    fn assert_at_rest(&self) {
        assert_eq!(self.engine.op_status().open, 0);
        assert!(self.engine.handles.is_empty());
        assert!(self.engine.tickets.is_empty());
        assert!(self.engine.jobs.iter().all(Option::is_none));
        assert!(self.engine.hosts.iter().all(Option::is_none));
        assert_eq!(self.world.under_way(), 0);
    }
}

#[test]
fn a_card_is_announced_with_its_streams_and_its_interfaces_claimed() {
    let mut bench = Bench::empty();
    assert_eq!(bench.news(BROKER), []);
    let device = bench.world.plug(0, Model::default());
    bench.settle();
    assert_eq!(bench.world.hints, [BROKER]);
    assert_eq!(bench.news(BROKER), [Event::CardAdded { card: 0 }]);
    let info = bench.engine.op_card(0).unwrap();
    assert_eq!((info.device, info.slot_number), (device, 3));
    assert_eq!((info.playback, info.capture, info.present), (1, 0, true));
    assert_eq!(bench.world.claimed, [(device, 0), (device, 1)]);
    assert_eq!(bench.engine.op_card(1), Err(UsbAudioError::NoCard));
}

#[test]
fn a_device_whose_interface_another_task_has_does_not_become_a_card() {
    let mut bench = Bench::empty();
    bench.world.claim_error = Some(UsbCoreError::InterfaceBusy);
    bench.world.plug(0, Model::default());
    bench.settle();
    assert_eq!(bench.engine.op_status().cards, 0);
    assert!(bench.world.claimed.is_empty(), "what was claimed is given back");
}

/// A19: interface before rate; then volumes, mutes last.
#[test]
fn a19_an_open_sets_interface_rate_volumes_and_mute_in_this_order() {
    let mut bench = Bench::new();
    let stream = bench.open(BROKER, Drive::Peer).unwrap();
    let get = |request, value| Told::Get { request, value, index: 0x0200 };
    assert_eq!(
        bench.world.told,
        [
            Told::Interface(1, 1),
            rate(44_100),
            Told::Get { request: 0x81, value: 0x0100, index: 0x01 },
            get(0x82, 0x0201),
            get(0x83, 0x0201),
            volume(1, 0),
            get(0x82, 0x0202),
            get(0x83, 0x0202),
            volume(2, 0),
            mute(false),
        ]
    );
    assert_eq!(bench.news(BROKER).len(), 0, "the result was fetched already");
    bench.world.told.clear();
    assert_eq!(bench.close(BROKER, stream), Ok(Completed::Done));
    assert_eq!(bench.world.told, [Told::Interface(1, 0)]);
    bench.assert_at_rest();
}

#[test]
fn an_endpoint_without_a_frequency_control_is_not_told_a_rate() {
    let (mut bench, _) = Bench::with(Model { frequency: false, ..Model::default() });
    bench.open(BROKER, Drive::Peer).unwrap();
    assert!(!bench.world.told.contains(&rate(44_100)));
}

#[test]
fn qemus_device_gets_its_maximum_and_no_other_device_more_than_zero() {
    let qemu = Model { vendor: 0x46f4, product: 2, range: (-32_767, 0x0800), ..Model::default() };
    for (model, expect) in [(qemu, 0x0800), (Model::default(), 0)] {
        let (mut bench, _) = Bench::with(model);
        bench.open(BROKER, Drive::Peer).unwrap();
        assert!(bench.world.told.contains(&volume(1, expect)));
        assert!(bench.world.told.contains(&volume(2, expect)));
    }
}

/// A18: one opener, whichever path; the code is busy, both ways.
#[test]
fn a18_a_second_opener_is_refused_on_either_path_until_the_device_is_at_rest() {
    for (first, second) in [(Drive::Peer, Drive::Host), (Drive::Host, Drive::Peer)] {
        let mut bench = Bench::new();
        let ticket = bench.start(BROKER, first).unwrap();
        assert_eq!(bench.start(PLAYER, second), Err(UsbAudioError::StreamBusy), "while it opens");
        bench.settle();
        let Ok(Completed::Stream(stream)) = bench.result(BROKER, ticket) else { panic!() };
        assert_eq!(bench.start(PLAYER, second), Err(UsbAudioError::StreamBusy));
        bench.world.stuck = true;
        let ticket = bench.engine.op_close(&mut bench.world, BROKER, stream).unwrap();
        assert_eq!(bench.engine.op_describe(BROKER, stream), Err(UsbAudioError::Stale));
        assert_eq!(bench.start(PLAYER, second), Err(UsbAudioError::StreamBusy), "while it closes");
        bench.world.stuck = false;
        bench.settle();
        assert_eq!(bench.result(BROKER, ticket), Ok(Completed::Done));
        let stream = bench.open(PLAYER, second).unwrap();
        bench.close(PLAYER, stream).unwrap();
        bench.assert_at_rest();
    }
}

/// A3, each refusal with its code, and nothing of it reaches the device.
#[test]
fn a3_each_format_that_is_refused_has_its_code() {
    let (mut bench, _) = Bench::with(Model { packet: 180, ..Model::default() });
    let cases = [
        (StreamFormat { sample: SampleFormat::S24In3Le, ..CD }, UsbAudioError::NoFormat),
        (StreamFormat { sample: SampleFormat::S24Le, ..CD }, UsbAudioError::NoFormat),
        (StreamFormat { sample: SampleFormat::S16Be, ..CD }, UsbAudioError::NoFormat),
        (StreamFormat { channels: 1, ..CD }, UsbAudioError::NoChannels),
        (StreamFormat { rate: 96_000, ..CD }, UsbAudioError::NoRate),
        (StreamFormat { rate: 48_000, ..CD }, UsbAudioError::RateExceedsPacket),
        (StreamFormat { interval_us: Some(1500), ..CD }, UsbAudioError::BadInterval),
        (StreamFormat { interval_us: Some(125), ..CD }, UsbAudioError::BadInterval),
    ];
    for (format, expect) in cases {
        let found = bench.engine.op_find(&mut bench.world, STREAM, format);
        assert_eq!(found, Err(expect), "{format:?}");
        let opened = bench.engine.op_open(&mut bench.world, BROKER, STREAM, format, Drive::Peer);
        assert_eq!(opened, Err(expect), "{format:?}");
    }
    assert_eq!(bench.engine.op_find(&mut bench.world, STREAM, CD), Ok(1));
    let streams = [
        (StreamId { card: 9, ..STREAM }, UsbAudioError::NoCard),
        (StreamId { card: 200, ..STREAM }, UsbAudioError::NoCard),
        (StreamId { pcm: 1, ..STREAM }, UsbAudioError::NoStream),
        (StreamId { direction: Direction::In, ..STREAM }, UsbAudioError::NoStream),
    ];
    for (stream, expect) in streams {
        let opened = bench.engine.op_open(&mut bench.world, BROKER, stream, CD, Drive::Peer);
        assert_eq!(opened, Err(expect));
    }
    assert!(bench.world.told.is_empty());
    bench.assert_at_rest();
}

#[test]
fn a_capture_only_device_is_a_card_whose_stream_cannot_be_opened_yet() {
    let (mut bench, _) = Bench::with(Model { capture: true, ..Model::default() });
    let info = bench.engine.op_card(0).unwrap();
    assert_eq!((info.playback, info.capture), (0, 1));
    assert_eq!(bench.start(BROKER, Drive::Peer), Err(UsbAudioError::NoStream));
    let capture = StreamId { direction: Direction::In, ..STREAM };
    let opened = bench.engine.op_open(&mut bench.world, BROKER, capture, CD, Drive::Peer);
    assert_eq!(opened, Err(UsbAudioError::CaptureUnsupported));
    let volume = bench.engine.op_volume(&mut bench.world, BROKER, 0, 0);
    assert_eq!(volume, Err(UsbAudioError::NoControl));
}

/// A10: a stream with implicit feedback is recognised and refused by its code.
#[test]
fn a10_a_stream_that_needs_implicit_feedback_is_refused_as_such() {
    let (mut bench, _) = Bench::with(Model { feedback: true, second: 0x21, ..Model::default() });
    assert_eq!(bench.engine.op_card(0).unwrap().playback, 0);
    assert_eq!(bench.start(BROKER, Drive::Peer), Err(UsbAudioError::SyncUnsupported));
}

#[test]
fn a_stall_on_the_rate_takes_the_interface_back_and_is_told() {
    let mut bench = Bench::new();
    bench.world.refusals.push((rate(44_100), UsbCoreError::Stall));
    assert_eq!(bench.open(BROKER, Drive::Peer), Err(UsbAudioError::ControlFailed));
    let told = [Told::Interface(1, 1), rate(44_100), Told::Interface(1, 0)];
    assert_eq!(bench.world.told, told);
    bench.assert_at_rest();
    bench.world.refusals.clear();
    assert!(bench.open(BROKER, Drive::Peer).is_ok());
}

#[test]
fn a_device_with_one_rate_may_stall_it() {
    let (mut bench, _) = Bench::with(Model { rates: vec![44_100], ..Model::default() });
    bench.world.refusals.push((rate(44_100), UsbCoreError::Stall));
    assert!(bench.open(BROKER, Drive::Peer).is_ok());
}

#[test]
fn a_device_that_says_it_runs_at_another_rate_is_refused() {
    for (says, fine) in [(44_100, true), (48_000, false), (0, true)] {
        let (mut bench, _) = Bench::with(Model { says: Some(says), ..Model::default() });
        let opened = bench.open(BROKER, Drive::Peer);
        if !fine {
            assert_eq!(opened, Err(UsbAudioError::ControlFailed));
            assert_eq!(bench.world.told.last(), Some(&Told::Interface(1, 0)));
        }
        assert_eq!(opened.is_ok(), fine, "{says}");
    }
    let mut bench = Bench::new();
    let check = Told::Get { request: 0x81, value: 0x0100, index: 0x01 };
    bench.world.refusals.push((check, UsbCoreError::Stall));
    assert!(bench.open(BROKER, Drive::Peer).is_ok(), "no answer is no contradiction");
}

/// Each error of the first step comes out as its own code.
#[test]
fn each_error_of_usb_core_has_its_code() {
    for (error, expect) in [
        (UsbCoreError::Bandwidth, UsbAudioError::Bandwidth),
        (UsbCoreError::NoResources, UsbAudioError::NoResources),
        (UsbCoreError::Suspended, UsbAudioError::Suspended),
        (UsbCoreError::Stall, UsbAudioError::ControlFailed),
        (UsbCoreError::Transaction, UsbAudioError::ControlFailed),
        (UsbCoreError::TimedOut, UsbAudioError::TimedOut),
        (UsbCoreError::EndpointBusy, UsbAudioError::StreamBusy),
    ] {
        let mut bench = Bench::new();
        bench.world.refusals.push((Told::Interface(1, 1), error));
        assert_eq!(bench.open(BROKER, Drive::Peer), Err(expect), "{error:?}");
        bench.assert_at_rest();
    }
}

/// Unplugged at each step of an open: one answer, nothing left.
#[test]
fn a_device_that_goes_at_any_step_of_an_open_leaves_nothing() {
    for steps in 0..10 {
        let (mut bench, device) = Bench::with(Model::default());
        bench.world.stuck = true;
        let ticket = bench.start(BROKER, Drive::Peer).unwrap();
        for _ in 0..steps {
            bench.world.stuck = false;
            let event = crate::world::World::news(&mut bench.world).unwrap();
            bench.world.stuck = true;
            bench.world.events.push_back(event);
            bench.settle();
        }
        bench.world.unplug(device);
        bench.settle();
        assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::DeviceGone), "step {steps}");
        assert_eq!(bench.news(BROKER), [Event::CardRemoved { card: 0 }]);
        // `usb_core` still tells of the request that was under way.
        bench.world.stuck = false;
        bench.settle();
        bench.assert_at_rest();
        assert_eq!(bench.start(BROKER, Drive::Peer), Err(UsbAudioError::DeviceGone));
    }
}

#[test]
fn a_stream_of_a_vanished_device_says_so_and_closes_at_once() {
    let (mut bench, device) = Bench::with(Model::default());
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.world.unplug(device);
    bench.settle();
    assert_eq!(bench.write(stream, &[0; 400]), Err(UsbAudioError::DeviceGone));
    assert_eq!(bench.engine.op_describe(PLAYER, stream), Err(UsbAudioError::DeviceGone));
    assert_eq!(bench.engine.op_forget(0), Err(UsbAudioError::StreamBusy));
    bench.world.told.clear();
    assert_eq!(bench.close(PLAYER, stream), Ok(Completed::Done));
    assert!(bench.world.told.is_empty());
    bench.assert_at_rest();
}

/// Issue 2, gate 4: a number is given out again only after the peer let go.
#[test]
fn a_card_number_is_reused_only_after_it_was_forgotten() {
    let (mut bench, device) = Bench::with(Model::default());
    assert_eq!(bench.engine.op_forget(0), Err(UsbAudioError::CardPresent));
    bench.world.unplug(device);
    bench.world.plug(1, Model::default());
    bench.settle();
    let news = [Event::CardRemoved { card: 0 }, Event::CardAdded { card: 1 }];
    assert_eq!(bench.news(BROKER), news);
    assert_eq!(bench.engine.op_card(0).map(|info| info.present), Ok(false));
    assert_eq!(bench.engine.op_forget(0), Ok(()));
    assert_eq!(bench.engine.op_forget(0), Err(UsbAudioError::NoCard));
    assert_eq!(bench.engine.op_status().cards, 1);
}

#[test]
fn a_broker_that_starts_anew_hears_of_vanished_cards_too() {
    let (mut bench, device) = Bench::with(Model::default());
    bench.world.unplug(device);
    bench.world.plug(1, Model::default());
    bench.settle();
    let again = TaskId::new(6, Generation(1));
    let news = [Event::CardRemoved { card: 0 }, Event::CardAdded { card: 1 }];
    assert_eq!(bench.news(again), news);
}

#[test]
fn a_cancelled_open_is_undone_when_it_ends() {
    let mut bench = Bench::new();
    bench.world.stuck = true;
    let ticket = bench.start(BROKER, Drive::Peer).unwrap();
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::NotYet));
    bench.engine.op_cancel(&mut bench.world, BROKER, ticket).unwrap();
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::Stale));
    assert_eq!(bench.start(PLAYER, Drive::Host), Err(UsbAudioError::StreamBusy));
    bench.world.stuck = false;
    bench.settle();
    assert_eq!(bench.world.told.last(), Some(&Told::Interface(1, 0)));
    bench.assert_at_rest();
}

#[test]
fn an_open_that_nobody_fetched_is_closed_when_it_is_cancelled() {
    let mut bench = Bench::new();
    let ticket = bench.start(BROKER, Drive::Peer).unwrap();
    bench.settle();
    assert_eq!(bench.news(BROKER), [Event::TicketDone(ticket)]);
    bench.engine.op_cancel(&mut bench.world, BROKER, ticket).unwrap();
    bench.settle();
    assert_eq!(bench.world.told.last(), Some(&Told::Interface(1, 0)));
    bench.assert_at_rest();
}

/// DESIGN rule 9: a client may die at any moment.
#[test]
fn what_a_dead_client_had_is_closed_whatever_it_was_doing() {
    for stage in 0..4 {
        let mut bench = Bench::new();
        bench.world.stuck = stage == 0;
        let ticket = bench.start(PLAYER, Drive::Host).unwrap();
        bench.settle();
        if stage >= 2
            && let Ok(Completed::Stream(stream)) = bench.result(PLAYER, ticket)
            && stage == 3
        {
            bench.world.stuck = true;
            bench.engine.op_close(&mut bench.world, PLAYER, stream).unwrap();
        }
        bench.engine.client_died(&mut bench.world, PLAYER);
        bench.world.stuck = false;
        bench.settle();
        assert_eq!(bench.world.told.last(), Some(&Told::Interface(1, 0)), "stage {stage}");
        bench.assert_at_rest();
        assert!(bench.open(BROKER, Drive::Peer).is_ok());
    }
}

/// The sideband of a dead broker is still in place: the close waits for it.
#[test]
fn a_close_is_tried_again_while_someone_else_has_the_endpoint() {
    let mut bench = Bench::new();
    let stream = bench.open(BROKER, Drive::Peer).unwrap();
    bench.world.refusals.push((Told::Interface(1, 0), UsbCoreError::EndpointBusy));
    let ticket = bench.engine.op_close(&mut bench.world, BROKER, stream).unwrap();
    bench.settle();
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::NotYet));
    let due = bench.engine.deadline(bench.world.now).unwrap();
    bench.world.refusals.clear();
    bench.world.now = due;
    bench.engine.tick(&mut bench.world);
    bench.settle();
    assert_eq!(bench.result(BROKER, ticket), Ok(Completed::Done));
    assert_eq!(bench.engine.deadline(bench.world.now), None, "no timer is left");
    bench.assert_at_rest();
}

#[test]
fn usb_cores_death_ends_everything_and_its_devices_come_again_as_new_cards() {
    let mut bench = Bench::new();
    bench.world.stuck = true;
    let ticket = bench.start(BROKER, Drive::Peer).unwrap();
    bench.engine.core_died(&mut bench.world);
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::CoreDied));
    bench.world.stuck = false;
    bench.world.plug(5, Model::default());
    bench.settle();
    let news = [Event::CardRemoved { card: 0 }, Event::CardAdded { card: 1 }];
    assert_eq!(bench.news(BROKER), news);
    bench.assert_at_rest();
}

/// S12: mute and volume work while a stream plays.
#[test]
fn volume_and_mute_are_set_while_a_stream_is_open_and_kept_for_the_next() {
    let mut bench = Bench::new();
    let stream = bench.open(BROKER, Drive::Peer).unwrap();
    bench.world.told.clear();
    let ticket = bench.engine.op_volume(&mut bench.world, PLAYER, 0, -5 * 256).unwrap();
    bench.settle();
    assert_eq!(bench.result(PLAYER, ticket), Ok(Completed::Done));
    let ticket = bench.engine.op_mute(&mut bench.world, PLAYER, 0, true).unwrap();
    bench.settle();
    assert_eq!(bench.result(PLAYER, ticket), Ok(Completed::Done));
    let set = |told: &&Told| matches!(told, Told::Set { .. });
    let told: Vec<&Told> = bench.world.told.iter().filter(set).collect();
    assert_eq!(told, [&volume(1, -5 * 256), &volume(2, -5 * 256), &mute(true)]);
    bench.close(BROKER, stream).unwrap();
    bench.world.told.clear();
    bench.open(BROKER, Drive::Peer).unwrap();
    assert!(bench.world.told.contains(&volume(2, -5 * 256)));
    assert!(bench.world.told.contains(&mute(true)));
}

#[test]
fn handles_are_checked_for_owner_and_epoch() {
    let mut bench = Bench::new();
    let stream = bench.open(BROKER, Drive::Peer).unwrap();
    assert_eq!(bench.engine.op_describe(PLAYER, stream), Err(UsbAudioError::NotOwner));
    let Raw { index, seq, .. } = stream.raw();
    let old = StreamHandle::from_raw(Raw { index, seq, epoch: 0 });
    assert_eq!(bench.engine.op_describe(BROKER, old), Err(UsbAudioError::StaleServer));
    let ticket = bench.start(PLAYER, Drive::Host);
    assert_eq!(ticket, Err(UsbAudioError::StreamBusy));
    assert_eq!(bench.write(stream, &[0; 4]), Err(UsbAudioError::NotOwner));
}

#[test]
fn a_peers_stream_takes_no_pcm() {
    let mut bench = Bench::new();
    let stream = bench.open(PLAYER, Drive::Peer).unwrap();
    assert_eq!(bench.write(stream, &[0; 4]), Err(UsbAudioError::WrongDrive));
    let drained = bench.engine.op_drain(&mut bench.world, PLAYER, stream);
    assert_eq!(drained, Err(UsbAudioError::WrongDrive));
}

#[test]
fn a_description_carries_the_wire_form_of_interface_and_endpoints() {
    let (mut bench, device) = Bench::with(Model { feedback: true, ..Model::default() });
    let stream = bench.open(BROKER, Drive::Peer).unwrap();
    let found = bench.engine.op_describe(BROKER, stream).unwrap();
    assert_eq!(found.device, device);
    assert_eq!(found.interface, [9, 4, 1, 1, 2, 1, 2, 0, 0]);
    assert_eq!(found.data_endpoint, [9, 5, 0x01, 5, 200, 0, 1, 0, 0]);
    assert_eq!(found.sync_endpoint, Some([9, 5, 0x81, 0x11, 3, 0, 1, 4, 0]));
    assert_eq!((found.data_address.0, found.sync_address.map(|a| a.0)), (0x01, Some(0x81)));
    assert_eq!((found.revision, found.delay, found.subslot), (0x0100, Some(2), 2));
    assert_eq!((found.interval_us, found.tail_ms), (1000, 27));
    assert_eq!(found.max_packet, 200, "one and a half times nominal is cut by the packet size");
    assert_eq!(bench.world.asked, 0, "a peer reads its feedback itself");
}

/// The host path: what was written comes out in packets of 44 and 45 frames,
/// bit for bit, whatever the pipe takes at a time.
#[test]
fn pcm_goes_out_bit_for_bit_in_packets_of_the_rate() {
    let (mut bench, device) = Bench::with(Model::default());
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.world.room = 7;
    let pcm: Vec<u8> = (0..4410u32).flat_map(u32::to_le_bytes).collect();
    let mut rest = &pcm[..];
    bench.news(PLAYER);
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(4096)];
        let frames = bench.write(stream, piece).unwrap();
        rest = &rest[usize::from(frames) * 4..];
        if usize::from(frames) * 4 < piece.len() {
            // Full: the pipe moves on until there is room, which is told.
            while bench.news(PLAYER) != [Event::Room(stream)] {
                bench.world.room += 5;
                bench.progress(device, 0x01);
            }
        }
    }
    let ticket = bench.engine.op_drain(&mut bench.world, PLAYER, stream).unwrap();
    assert_eq!(bench.write(stream, &[0; 4]), Err(UsbAudioError::NotYet), "no more after drain");
    bench.world.room = 1000;
    bench.progress(device, 0x01);
    assert_eq!(bench.result(PLAYER, ticket), Err(UsbAudioError::NotYet), "packets are queued");
    bench.world.queued = 0;
    bench.world.underruns = 1;
    bench.progress(device, 0x01);
    let due = bench.engine.deadline(bench.world.now).unwrap();
    assert_eq!(due, 27, "the device's tail");
    bench.world.now = due;
    bench.engine.tick(&mut bench.world);
    let played = Completed::Played { frames: 4410, underruns: 0 };
    assert_eq!(bench.result(PLAYER, ticket), Ok(played));
    assert_eq!(bench.engine.deadline(due), None);
    assert_eq!(bench.world.packets.concat(), pcm);
    let lengths: Vec<usize> = bench.world.packets.iter().map(Vec::len).collect();
    assert_eq!(lengths.len(), 100);
    assert!(
        lengths.chunks(10).all(|ten| ten == [176, 176, 176, 176, 176, 176, 176, 176, 176, 180])
    );
    bench.close(PLAYER, stream).unwrap();
    bench.assert_at_rest();
}

#[test]
fn an_underrun_in_the_middle_is_counted_and_the_one_at_the_end_is_not() {
    let (mut bench, device) = Bench::with(Model::default());
    bench.world.underruns = 5;
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.write(stream, &vec![0; 4096]).unwrap();
    bench.world.underruns += 1;
    bench.write(stream, &vec![0; 4096]).unwrap();
    let ticket = bench.engine.op_drain(&mut bench.world, PLAYER, stream).unwrap();
    bench.world.underruns += 1;
    bench.world.queued = 0;
    bench.progress(device, 0x01);
    bench.world.now += 100;
    bench.engine.tick(&mut bench.world);
    let played = Completed::Played { frames: 2048, underruns: 1 };
    assert_eq!(bench.result(PLAYER, ticket), Ok(played));
}

/// A15: the host path follows explicit feedback.
#[test]
fn a15_feedback_changes_how_much_goes_out() {
    let (mut bench, device) = Bench::with(Model { feedback: true, ..Model::default() });
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    assert_eq!(bench.world.asked, 1, "the endpoint is set going");
    bench.world.feedback.push_back((45u32 << 14).to_le_bytes()[..3].to_vec());
    bench.world.feedback.push_back(vec![0; 3]);
    bench.progress(device, 0x81);
    bench.write(stream, &vec![0; 4000]).unwrap();
    assert!(!bench.world.packets.is_empty());
    assert!(bench.world.packets.iter().all(|packet| packet.len() == 180));
}

#[test]
fn half_a_frame_is_refused() {
    let mut bench = Bench::new();
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    assert_eq!(bench.write(stream, &[0; 6]), Err(UsbAudioError::PartialFrame));
    assert_eq!(bench.write(stream, &[]), Ok(0));
}

/// R1: each capacity is a clean refusal, and comes back.
#[test]
fn streams_and_tickets_beyond_their_number_are_refused_by_their_codes() {
    let mut bench = Bench::empty();
    for index in 0..9 {
        bench.world.plug(index, Model::default());
    }
    bench.settle();
    bench.news(BROKER);
    let open = |bench: &mut Bench, client, card, drive| {
        let stream = StreamId { card, ..STREAM };
        bench.engine.op_open(&mut bench.world, client, stream, CD, drive)
    };
    let mut tickets = Vec::new();
    for card in 0..2 {
        tickets.push(open(&mut bench, PLAYER, card, Drive::Host).unwrap());
    }
    let third = open(&mut bench, PLAYER, 2, Drive::Host);
    assert_eq!(third, Err(UsbAudioError::NoStreams), "host streams");
    for card in 2..8 {
        open(&mut bench, BROKER, card, Drive::Peer).unwrap();
    }
    let ninth = open(&mut bench, BROKER, 8, Drive::Peer);
    assert_eq!(ninth, Err(UsbAudioError::NoStreams), "lanes");
    bench.settle();
    bench.engine.op_cancel(&mut bench.world, PLAYER, tickets[0]).unwrap();
    bench.settle();
    assert!(open(&mut bench, BROKER, 8, Drive::Peer).is_ok());
    bench.world.stuck = true;
    let mut refused = Ok(());
    for _ in 0..9 {
        if let Err(error) = bench.engine.op_volume(&mut bench.world, BROKER, 8, 0) {
            refused = Err(error);
        }
    }
    assert_eq!(refused, Err(UsbAudioError::NoTickets));
}

/// `usb_core` has no more tickets for us: the request waits for one of ours.
#[test]
fn a_job_without_a_ticket_below_goes_on_when_there_is_one() {
    let mut bench = Bench::empty();
    bench.world.tickets = 1;
    bench.world.plug(0, Model::default());
    bench.world.plug(1, Model::default());
    bench.settle();
    let other = StreamId { card: 1, ..STREAM };
    let first = bench.start(BROKER, Drive::Peer).unwrap();
    let second = bench.engine.op_open(&mut bench.world, BROKER, other, CD, Drive::Peer).unwrap();
    for _ in 0..40 {
        bench.settle();
    }
    assert!(bench.result(BROKER, first).is_ok());
    assert!(bench.result(BROKER, second).is_ok());
}
