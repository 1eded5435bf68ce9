//! What the headsets do on their wire.

use super::{Model, headset};
use crate::bus::{Address, Answer, Endpoint, Microframe, Setup, Speed, UsbDevice};
use crate::pcap::Pcap;
use crate::wire::{Wire, WireFault, WireFaultKind};
use fabric::{Time, Trace};
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

const ALL: [Model; 5] = [
    Model::Sync,
    Model::Async(Speed::Full),
    Model::Async(Speed::High),
    Model::Capture,
    Model::Qemu,
];
const OUT: Endpoint = Endpoint::output(1);

fn input(device: &mut dyn UsbDevice, setup: Setup) -> Option<Vec<u8>> {
    assert_eq!(device.setup(Time::ZERO, setup), Answer::Ack);
    let mut data = Vec::new();
    while data.len() < usize::from(setup.length) {
        let mut packet = [0; 64];
        match device.control_in(&mut packet) {
            Answer::Data(len) => data.extend_from_slice(&packet[..len]),
            _ => return None,
        }
        if data.len() % 64 != 0 || data.is_empty() {
            break;
        }
    }
    (device.status(Time::ZERO) == Answer::Ack).then_some(data)
}

fn output(device: &mut dyn UsbDevice, now: Time, head: [u16; 4], data: &[u8]) -> bool {
    let [kind, request, value, index] = head;
    let (kind, request, length) = (kind as u8, request as u8, data.len() as u16);
    assert_eq!(device.setup(now, Setup { kind, request, value, index, length }), Answer::Ack);
    for packet in data.chunks(64) {
        if device.control_out(packet) != Answer::Ack {
            return false;
        }
    }
    device.status(now) == Answer::Ack
}

fn get(
    device: &mut dyn UsbDevice,
    kind: u8,
    request: u8,
    value: u16,
    index: u16,
) -> Option<Vec<u8>> {
    input(device, Setup { kind, request, value, index, length: 255 })
}

fn configure(device: &mut dyn UsbDevice) {
    device.reset(Time::ZERO);
    assert!(output(device, Time::ZERO, [0, 5, 4, 0], &[]));
    assert_eq!(device.address(), Address(4));
    assert!(output(device, Time::ZERO, [0, 9, 1, 0], &[]));
}

/// Ready to play stereo S16 at unity.
fn ready(model: Model, rate: u32) -> Box<dyn UsbDevice> {
    let mut device = headset(model, 3);
    configure(device.as_mut());
    let device_ref = device.as_mut();
    assert!(output(device_ref, Time::ZERO, [1, 11, 1, 1], &[]));
    let unity: i16 = if model == Model::Qemu { 0x0800 } else { 0 };
    if model != Model::Qemu {
        assert!(output(device_ref, Time::ZERO, [0x22, 1, 0x100, 1], &rate.to_le_bytes()[..3]));
    }
    assert!(output(device_ref, Time::ZERO, [0x21, 1, 0x100, 0x200], &[0]));
    for channel in [0x201, 0x202] {
        assert!(output(device_ref, Time::ZERO, [0x21, 1, channel, 0x200], &unity.to_le_bytes()));
    }
    device
}

fn close(device: &mut dyn UsbDevice, at: Time) {
    assert!(output(device, at, [1, 11, 0, 1], &[]));
}

fn music(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 37 % 251) as u8).collect()
}

/// Sends `data` from frame `first` on, in packets as 44.1 kHz or any other rate
/// needs; the answer is the frame after the last one.
fn play(device: &mut dyn UsbDevice, data: &[u8], rate: u64, first: u64) -> u64 {
    let (mut frame, mut sent) = (first, 0);
    while sent < data.len() {
        let n = frame - first;
        let frames = (n + 1) * rate / 1000 - n * rate / 1000;
        let end = data.len().min(sent + 4 * frames as usize);
        device.isoch_out(Microframe(frame * 8), OUT, &data[sent..end]);
        (sent, frame) = (end, frame + 1);
    }
    frame
}

#[test]
fn every_model_answers_with_consistent_descriptors() {
    for model in ALL {
        let mut device = headset(model, 1);
        configure(device.as_mut());
        let descriptor = get(device.as_mut(), 0x80, 6, 0x100, 0).unwrap();
        assert_eq!((descriptor.len(), descriptor[0], descriptor[1]), (18, 18, 1));
        let short = input(
            device.as_mut(),
            Setup { kind: 0x80, request: 6, value: 0x200, index: 0, length: 9 },
        );
        let short = short.unwrap();
        assert_eq!(short.len(), 9);
        let total = u16::from_le_bytes([short[2], short[3]]);
        let setup = Setup { kind: 0x80, request: 6, value: 0x200, index: 0, length: total };
        assert_eq!(input(device.as_mut(), setup).unwrap().len(), usize::from(total));
        assert_eq!(get(device.as_mut(), 0x80, 6, 0x300, 0x409).unwrap(), [4, 3, 9, 4]);
        assert!(get(device.as_mut(), 0x80, 6, 0x301, 0x409).is_some());
        assert!(get(device.as_mut(), 0x80, 6, 0x3F0, 0x409).is_none());
        let has_qualifier = get(device.as_mut(), 0x80, 6, 0x600, 0).is_some();
        assert_eq!(has_qualifier, device.speed() == Speed::High);
    }
}

#[test]
fn the_qemu_model_is_qemus_device_byte_for_byte() {
    let mut device = headset(Model::Qemu, 1);
    configure(device.as_mut());
    let configuration = get(device.as_mut(), 0x80, 6, 0x200, 0).unwrap();
    assert_eq!(configuration.len(), 113);
    assert_eq!(&configuration[..9], [9, 2, 0x71, 0, 2, 1, 4, 0xC0, 0x32]);
    assert_eq!(get(device.as_mut(), 0xA1, 0x81, 0x201, 0x200).unwrap(), [0, 0]);
    assert_eq!(get(device.as_mut(), 0xA1, 0x82, 0x201, 0x200).unwrap(), [0x01, 0x80]);
    assert_eq!(get(device.as_mut(), 0xA1, 0x83, 0x201, 0x200).unwrap(), [0x00, 0x08]);
    assert_eq!(get(device.as_mut(), 0xA1, 0x84, 0x201, 0x200).unwrap(), [0x88, 0x00]);
    // No master volume, no sampling frequency control.
    assert_eq!(get(device.as_mut(), 0xA1, 0x81, 0x200, 0x200), None);
    assert!(output(device.as_mut(), Time::ZERO, [1, 11, 1, 1], &[]));
    assert!(!output(device.as_mut(), Time::ZERO, [0x22, 1, 0x100, 1], &[0x80, 0xBB, 0]));
}

#[test]
fn standard_requests_in_the_wrong_state_are_stalled() {
    let mut device = headset(Model::Sync, 1);
    let device = device.as_mut();
    device.reset(Time::ZERO);
    assert!(!output(device, Time::ZERO, [0, 9, 1, 0], &[]), "configured at address 0");
    assert!(output(device, Time::ZERO, [0, 5, 4, 0], &[]));
    assert!(!output(device, Time::ZERO, [1, 11, 1, 1], &[]), "alternate before configuration");
    assert!(!output(device, Time::ZERO, [0, 9, 2, 0], &[]), "no such configuration");
    assert!(output(device, Time::ZERO, [0, 9, 1, 0], &[]));
    assert!(!output(device, Time::ZERO, [1, 11, 9, 1], &[]), "no such alternate");
    assert!(!output(device, Time::ZERO, [1, 11, 0, 7], &[]), "no such interface");
    assert!(!output(device, Time::ZERO, [0, 5, 9, 0], &[]), "address while configured");
    assert!(
        !output(device, Time::ZERO, [0x22, 1, 0x100, 1], &[0x80, 0xBB, 0]),
        "rate in alternate 0"
    );
    assert_eq!(get(device, 0x81, 10, 0, 1).unwrap(), [0]);
    assert!(output(device, Time::ZERO, [1, 11, 1, 1], &[]));
    assert_eq!(get(device, 0x81, 10, 0, 1).unwrap(), [1]);
    assert!(!output(device, Time::ZERO, [0x22, 1, 0x100, 1], &[0x39, 0x30, 0]), "12345 Hz");
    device.reset(Time::ZERO);
    assert_eq!(device.address(), Address(0));
}

#[test]
fn after_an_unmute_at_zero_decibels_every_rate_is_heard_exactly() {
    for (model, rate) in [
        (Model::Sync, 48_000),
        (Model::Sync, 44_100),
        (Model::Sync, 8_000),
        (Model::Sync, 96_000),
        (Model::Capture, 48_000),
        (Model::Qemu, 48_000),
    ] {
        let mut device = ready(model, rate);
        let data = music(4 * rate as usize / 10);
        let end = play(device.as_mut(), &data, u64::from(rate), 40);
        close(device.as_mut(), Time::ms(end + 3));
        let heard = device.heard().unwrap();
        assert_eq!(heard.pcm(), data, "{model:?} {rate}");
        assert_eq!(
            (heard.gaps, heard.overflows, heard.odd_packets, heard.cut_frames),
            (0, 0, 0, 0)
        );
    }
}

#[test]
fn a_headset_starts_muted_and_not_at_unity() {
    let mut device = headset(Model::Sync, 1);
    configure(device.as_mut());
    assert!(output(device.as_mut(), Time::ZERO, [1, 11, 1, 1], &[]));
    assert!(output(device.as_mut(), Time::ZERO, [0x22, 1, 0x100, 1], &[0x80, 0xBB, 0]));
    let data = music(192 * 10);
    play(device.as_mut(), &data, 48_000, 8);
    close(device.as_mut(), Time::ms(40));
    let heard = device.heard().unwrap();
    assert_eq!(heard.muted_frames, 480);
    assert!(heard.pcm().iter().all(|&byte| byte == 0));
}

#[test]
fn an_interval_without_data_is_silence_and_a_gap_once_more_follows() {
    let mut device = ready(Model::Sync, 48_000);
    let data = music(192 * 20);
    let resumed = play(device.as_mut(), &data[..192 * 10], 48_000, 8) + 3;
    play(device.as_mut(), &data[192 * 10..], 48_000, resumed);
    close(device.as_mut(), Time::ms(100));
    let heard = device.heard().unwrap();
    assert_eq!((heard.gaps, heard.gap_frames, heard.empty_intervals), (1, 3 * 48, 3));
    assert_eq!(heard.pcm().len(), data.len() + 3 * 192);
    assert_eq!(heard.pcm()[..192 * 10], data[..192 * 10]);
    assert!(heard.pcm()[192 * 10..192 * 13].iter().all(|&byte| byte == 0));
    assert_eq!(heard.pcm()[192 * 13..], data[192 * 10..]);
    assert_eq!(heard.gap_times(), [Time::ms(19)]);
}

#[test]
fn alternate_zero_at_once_cuts_the_tail() {
    let mut device = ready(Model::Sync, 48_000);
    let end = play(device.as_mut(), &music(192 * 10), 48_000, 8);
    close(device.as_mut(), Time::ms(end));
    assert_eq!(device.heard().unwrap().cut_frames, 48);
}

#[test]
fn data_in_alternate_zero_or_before_a_rate_is_ignored() {
    let mut device = headset(Model::Sync, 1);
    configure(device.as_mut());
    device.isoch_out(Microframe(80), OUT, &music(192));
    assert!(output(device.as_mut(), Time::ZERO, [1, 11, 1, 1], &[]));
    device.isoch_out(Microframe(88), OUT, &music(192));
    device.isoch_out(Microframe(96), OUT, &music(1000));
    let heard = device.heard().unwrap();
    assert_eq!((heard.ignored_packets, heard.packets, heard.pcm().len()), (3, 0, 0));
}

#[test]
fn an_asynchronous_headset_plays_without_gap_when_its_feedback_is_followed_and_only_then() {
    for speed in [Speed::Full, Speed::High] {
        for follow in [true, false] {
            let mut device = ready(Model::Async(speed), 48_000);
            let (mut value, mut owed, mut sent) = (48.0, 0.0, 0);
            let data = music(4 * 48 * 40_000);
            for frame in 10..30_010u64 {
                owed += value;
                let frames = owed as usize;
                owed -= frames as f64;
                device.isoch_out(Microframe(frame * 8), OUT, &data[sent..sent + 4 * frames]);
                sent += 4 * frames;
                let mut word = [0; 4];
                let len = device.isoch_in(Microframe(frame * 8 + 1), Endpoint::input(1), &mut word);
                if follow && len != Some(0) {
                    let raw = f64::from(u32::from_le_bytes(word));
                    value = match speed {
                        Speed::High => raw / 65_536.0 * 8.0,
                        _ => raw / 16_384.0,
                    };
                }
            }
            close(device.as_mut(), Time::ms(30_040));
            let heard = device.heard().unwrap();
            let harmed = heard.gaps + heard.overflows;
            assert_eq!(
                harmed == 0,
                follow,
                "{speed:?}: {} gaps {} overflows",
                heard.gaps,
                heard.overflows
            );
            if follow {
                assert_eq!(heard.pcm(), &data[..sent]);
            }
        }
    }
}

#[test]
fn other_volumes_scale_the_samples() {
    let mut device = ready(Model::Sync, 48_000);
    // -6 dB on the left, silence on the right.
    assert!(output(
        device.as_mut(),
        Time::ZERO,
        [0x21, 1, 0x201, 0x200],
        &(-6 * 256i16).to_le_bytes()
    ));
    assert!(output(device.as_mut(), Time::ZERO, [0x21, 1, 0x202, 0x200], &i16::MIN.to_le_bytes()));
    let data: Vec<u8> = [10_000i16, 10_000].map(i16::to_le_bytes).concat().repeat(48);
    device.isoch_out(Microframe(80), OUT, &data);
    close(device.as_mut(), Time::ms(20));
    let heard = device.heard().unwrap().pcm();
    assert_eq!(i16::from_le_bytes([heard[0], heard[1]]), 5011);
    assert_eq!(i16::from_le_bytes([heard[2], heard[3]]), 0);
}

#[test]
fn the_wire_harms_exactly_the_packet_it_was_told_to() {
    for (kind, packets, exact) in [
        (WireFaultKind::Drop, 9, false),
        (WireFaultKind::Duplicate, 11, false),
        (WireFaultKind::FlipBit, 10, false),
        (WireFaultKind::Late, 10, false),
    ] {
        let (mut wire, mut trace) = (Wire::new(0), Trace::default());
        let mut device = ready(Model::Sync, 48_000);
        wire.inject(WireFault { kind, packet: 4 });
        let data = music(1920);
        for (n, packet) in data.chunks(192).enumerate() {
            let at = Microframe(80 + 8 * n as u64);
            wire.isoch_out(&mut trace, at, device.as_mut(), OUT, packet);
        }
        close(device.as_mut(), Time::ms(40));
        assert_eq!(wire.log().packets().len(), packets, "{kind:?}");
        let (heard, sent) = (device.heard().unwrap(), wire.log().bytes());
        assert_eq!(heard.pcm() == data, exact, "{kind:?}");
        match kind {
            WireFaultKind::Drop => assert_eq!((heard.gaps, sent.len()), (1, 1920 - 192)),
            WireFaultKind::Duplicate => assert_eq!(heard.gaps, 0),
            WireFaultKind::FlipBit => {
                assert_eq!(sent.iter().zip(&data).filter(|(a, b)| a != b).count(), 1);
            }
            WireFaultKind::Late => {
                assert_eq!((heard.gaps, sent), (1, &data[..]));
                let packets = wire.log().packets();
                assert_eq!(packets[4].at, packets[5].at);
            }
        }
    }
}

#[test]
fn the_capture_has_a_submission_and_a_completion_per_packet() {
    #[derive(Clone, Default)]
    struct File(Rc<RefCell<Vec<u8>>>);
    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let file = File::default();
    let (mut wire, mut trace) = (Wire::new(0), Trace::default());
    wire.capture(Pcap::new(Box::new(file.clone()), 1).unwrap());
    let mut device = ready(Model::Sync, 48_000);
    let setup = Setup { kind: 0x80, request: 6, value: 0x100, index: 0, length: 18 };
    let status = crate::Status::Done;
    wire.control(&mut trace, Time::us(5), Time::us(9), Address(4), setup, &[7; 18], status);
    wire.isoch_out(&mut trace, Microframe(8_000), device.as_mut(), OUT, &music(192));
    wire.take_capture().unwrap().finish().unwrap();

    let bytes = file.0.borrow();
    assert_eq!(bytes[..4], [0xD4, 0xC3, 0xB2, 0xA1]);
    assert_eq!(bytes[20..24], 220u32.to_le_bytes());
    let mut records = Vec::new();
    let mut rest = &bytes[24..];
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        records.push(&rest[16..16 + length]);
        rest = &rest[16 + length..];
    }
    let kinds: Vec<(u8, u8, u8, usize)> =
        records.iter().map(|r| (r[8], r[9], r[10], r.len() - 64)).collect();
    assert_eq!(
        kinds,
        [(b'S', 2, 0x80, 0), (b'C', 2, 0x80, 18), (b'S', 0, 1, 192), (b'C', 0, 1, 0)]
    );
    assert_eq!(records[0][40..48], setup.to_bytes());
    assert_eq!(records[2][52..56], 1000u32.to_le_bytes());
    assert_eq!(records[2][16..24], 1u64.to_le_bytes());
    assert_eq!(&records[2][64..], music(192));
}

#[test]
fn unplugging_keeps_the_record_and_forgets_the_rest() {
    let mut device = ready(Model::Sync, 48_000);
    play(device.as_mut(), &music(1920), 48_000, 8);
    device.detach(Time::ms(20));
    assert_eq!(device.heard().unwrap().pcm(), music(1920));
    configure(device.as_mut());
    assert_eq!(get(device.as_mut(), 0xA1, 0x81, 0x100, 0x200).unwrap(), [1], "muted again");
}

#[test]
fn over_a_suspend_a_headset_keeps_its_settings_and_plays_on_as_another_stream() {
    for model in ALL {
        let mut device = ready(model, 48_000);
        let frame = play(device.as_mut(), &music(1920), 48_000, 8);
        device.suspend(Time::ms(40));
        let setup = Setup { kind: 0x80, request: 0, value: 0, index: 0, length: 2 };
        assert_eq!(device.setup(Time::ms(41), setup), Answer::Silent);
        device.resume(Time::ms(60));
        assert!(get(device.as_mut(), 0x80, 0, 0, 0).is_some());
        let frame = play(device.as_mut(), &music(1920), 48_000, frame + 60);
        close(device.as_mut(), Microframe((frame + 40) * 8).starts());
        let heard = device.heard().unwrap();
        assert_eq!(heard.ignored_packets, 0, "{model:?}");
        let last = heard.streams().len() - 1;
        let (_, played) = heard.stream(last).unwrap();
        assert_eq!(played[..1920], music(1920), "{model:?}");
    }
}

#[test]
fn only_a_headset_with_a_button_takes_the_feature_that_lets_it_wake_its_host() {
    for model in ALL {
        let mut device = headset(model, 1);
        configure(device.as_mut());
        let able = model == Model::Capture;
        assert_eq!(output(device.as_mut(), Time::ZERO, [0, 3, 1, 0], &[]), able, "{model:?}");
        assert!(!device.may_wake(), "it is awake");
        let status = get(device.as_mut(), 0x80, 0, 0, 0).unwrap();
        assert_eq!(status[0] & 2, u8::from(able) << 1);
        device.suspend(Time::ms(1));
        assert_eq!(device.may_wake(), able);
        device.resume(Time::ms(30));
        assert_eq!(output(device.as_mut(), Time::ms(50), [0, 1, 1, 0], &[]), able);
        device.suspend(Time::ms(60));
        assert!(!device.may_wake(), "it was told not to");
    }
}
