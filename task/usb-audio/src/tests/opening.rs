//! Opening, refusing, describing; mute and volume.

use super::*;

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

/// A peer records: the microphone is unmuted and brought to 0 dB, whatever the
/// card's playback was set to, and nothing is left to ring out at its end. The
/// host path has no capture and says so.
#[test]
fn a_capture_stream_is_opened_for_a_peer_and_for_nobody_else() {
    let (mut bench, _) = Bench::with(Model { capture: true, ..Model::default() });
    let info = bench.engine.op_card(0).unwrap();
    assert_eq!((info.playback, info.capture), (0, 1));
    assert_eq!(bench.start(BROKER, Drive::Peer), Err(UsbAudioError::NoStream));
    let capture = StreamId { direction: Direction::In, ..STREAM };
    assert_eq!(bench.engine.op_find(&mut bench.world, capture, CD), Ok(1));
    let host = bench.engine.op_open(&mut bench.world, PLAYER, capture, CD, Drive::Host);
    assert_eq!(host, Err(UsbAudioError::CaptureUnsupported));
    let volume_of_playback = bench.engine.op_volume(&mut bench.world, BROKER, 0, -256);
    assert_eq!(volume_of_playback, Err(UsbAudioError::NoControl));
    assert!(bench.world.told.is_empty());

    let ticket = bench.engine.op_open(&mut bench.world, BROKER, capture, CD, Drive::Peer).unwrap();
    bench.settle();
    let Ok(Completed::Stream(stream)) = bench.result(BROKER, ticket) else { panic!() };
    let told = &bench.world.told;
    assert_eq!(told[0], Told::Interface(1, 1));
    let rate = Told::Set { value: 0x0100, index: 0x82, data: vec![0x44, 0xAC, 0] };
    assert_eq!(told[1], rate);
    assert!(told.contains(&volume(1, 0)) && told.contains(&volume(2, 0)));
    assert_eq!(told.last(), Some(&mute(false)));
    let description = bench.engine.op_describe(BROKER, stream).unwrap();
    assert_eq!(description.data_address, EndpointAddress(0x82));
    assert_eq!((description.sync_address, description.tail_ms), (None, 0));
    assert_eq!(bench.close(BROKER, stream), Ok(Completed::Done));
    bench.assert_at_rest();
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
        (UsbCoreError::Resetting, UsbAudioError::Resetting),
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
