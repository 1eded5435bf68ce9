//! Facts about real devices, reproduced.
//!
//! `data/uac1_streams.txt` holds what decoders independent of this crate say
//! about the UAC1 streams of each dump; the streams found here have to be
//! exactly those. What is not UAC1 has to be refused by its code.

use crate::dump::{Dump, dumps};
use usb_desc::uac::{Alternate, Audio, Rates, feedback_interval_us};
use usb_desc::{Config, Device, Issue, Rule, Synchronisation};
use usb_types::{Direction, Speed};

const FACTS: &str = include_str!("data/uac1_streams.txt");

fn facts() -> impl Iterator<Item = Vec<&'static str>> {
    FACTS.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

fn speed_of(dump: &Dump) -> Speed {
    match facts().find(|fact| fact[0] == dump.name).map_or("high", |fact| fact[1]) {
        "full" => Speed::Full,
        "high" => Speed::High,
        "super" => Speed::Super,
        other => panic!("speed {other}"),
    }
}

fn parse<'a>(bytes: &'a [u8], speed: Speed) -> (Config<'a>, Audio, Vec<Issue>) {
    let config = Config::parse(bytes, speed).unwrap();
    let mut issues = Vec::new();
    let audio = Audio::parse(&config, &mut |issue| issues.push(issue));
    (config, audio, issues)
}

fn line(name: &str, config: &Config<'_>, alternate: &Alternate) -> String {
    let rates = match &alternate.rates {
        Rates::Discrete(rates) => {
            rates.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
        Rates::Continuous { min, max } => format!("{min}-{max}"),
    };
    let direction = match alternate.direction() {
        Direction::Out => "out",
        Direction::In => "in",
    };
    let sync = match alternate.data.synchronisation() {
        Synchronisation::None => "none",
        Synchronisation::Asynchronous => "async",
        Synchronisation::Adaptive => "adaptive",
        Synchronisation::Synchronous => "sync",
    };
    let (feedback, feedback_us) = match &alternate.sync {
        Some(sync) => (
            format!("{:#04x}", sync.address.0),
            feedback_interval_us(sync, config.speed()).to_string(),
        ),
        None => ("-".to_owned(), "-".to_owned()),
    };
    let speed = match config.speed() {
        Speed::Full => "full",
        Speed::High => "high",
        _ => "super",
    };
    format!(
        "{name} {speed} {} {} {} {direction} {} {} {} {rates} {:#04x} {sync} {} {feedback} {feedback_us} {} {}",
        config.header().value,
        alternate.interface.number().0,
        alternate.interface.alternate().0,
        alternate.channels,
        alternate.subslot,
        alternate.bits,
        alternate.data.address.0,
        alternate.interval_us(config.speed()),
        alternate.terminal,
        alternate.delay,
    )
}

#[test]
fn uac1_streams_are_the_ones_independent_decoders_found() {
    let mut found = Vec::new();
    for dump in dumps("") {
        for bytes in &dump.configurations {
            let (config, audio, _) = parse(bytes, speed_of(&dump));
            for alternate in audio.alternates.iter() {
                found.push(line(&dump.name, &config, alternate));
            }
        }
    }
    let expected: Vec<String> = facts().map(|fact| fact.join(" ")).collect();
    assert_eq!(expected.len(), 108);
    assert_eq!(found, expected);
}

/// What the dumps break; the ones not named break nothing.
const BROKEN: &[(&str, &[Rule])] = &[
    ("0414_a002_0005_usb-audio", &[Rule::Uac2NotSupported]),
    ("06f8_b000_0100_hercules-dj-console", &[Rule::SharedEndpoint; 2]),
    ("0926_0202_0100_usbpre2", &[Rule::SharedEndpoint; 2]),
    (
        "0926_0202_0100_usbpre2_b",
        &[Rule::SharedEndpoint, Rule::SharedEndpoint, Rule::Uac2NotSupported],
    ),
    ("0926_0208_0100_device", &[Rule::SharedEndpoint; 2]),
    ("0d8c_0004_0102_yggdrasil-gen-5", &[Rule::Uac2NotSupported]),
    ("0d9a_00df_0119_rtx-as", &[Rule::Uac2NotSupported; 2]),
    ("103d_0100_0101_scratchamp", &[Rule::AudioTotalLength]),
    ("103d_0101_0100_scratchamp", &[Rule::AudioTotalLength]),
    ("1397_0507_0112_umc202hd-192k", &[Rule::Uac2NotSupported; 2]),
    ("1397_0509_0112_umc404hd-192k", &[Rule::Uac2NotSupported; 2]),
    ("1397_050b_0102_wing", &[Rule::Uac2NotSupported; 2]),
    ("17ef_30f7_0043_thinkpad-usb-c-dock-audio", &[Rule::Uac2NotSupported]),
    ("1c75_af20_0201_af16rig-audio", &[Rule::Uac2NotSupported]),
    ("30be_0101_0102_schiit-hel", &[Rule::Uac2NotSupported]),
    ("cafe_4066_0100_pico-6ch-microphone-16k-16", &[Rule::Uac2NotSupported]),
    ("f055_0001_0100_synthetic-badd-headphone-sync-16", &[Rule::BaddNotSupported]),
    ("f055_0002_0100_synthetic-badd-headset-async-24", &[Rule::BaddNotSupported]),
    ("f055_0003_0100_synthetic-badd-bad-mps", &[Rule::BaddNotSupported]),
];

#[test]
fn each_dump_breaks_the_rules_it_is_known_to_break_and_no_other() {
    for dump in dumps("") {
        let mut found = Vec::new();
        for bytes in &dump.configurations {
            let (_, _, issues) = parse(bytes, speed_of(&dump));
            found.extend(issues.iter().map(|issue| issue.rule));
        }
        let row = BROKEN.iter().find(|(name, _)| *name == dump.name);
        assert_eq!(found, row.map_or(&[][..], |row| row.1), "{}", dump.name);
    }
}

/// D-7: what has no revision that could be told is not offered.
#[test]
fn a_function_of_another_version_is_refused_and_none_of_its_streams_appear() {
    for dump in dumps("") {
        let only_others = !facts().any(|fact| fact[0] == dump.name);
        for bytes in dump.configurations.iter().filter(|_| only_others) {
            let (_, audio, _) = parse(bytes, Speed::High);
            assert!(audio.streams.is_empty(), "{}", dump.name);
        }
    }
}

/// Every device descriptor of the dumps is read; `idVendor` and `idProduct`
/// are what the file name says.
#[test]
fn device_descriptors_are_the_ones_the_names_say() {
    for dump in dumps("") {
        let device = Device::parse(dump.device.as_deref().unwrap()).unwrap();
        let found = format!("{:04x}_{:04x}_{:04x}", device.vendor, device.product, device.release);
        assert!(dump.name.starts_with(&found), "{} {found}", dump.name);
    }
}

/// QEMU's usb-audio (7.2: protocol byte 4 in interface 0, bcdUSB 1.00).
const QEMU: &str = "
    09027100020104c032 090400000001010405 09240100012b000101 0c24020101010002030000060d24
    0602010201000200020007 0924030301030002080904010000010200090904010101010200 0a
    0724010100010 00b24020102021001 80bb00 0905010dc000010000 07250100000000";

fn qemu(protocol: u8) -> Vec<u8> {
    let digits: Vec<u8> = QEMU.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let mut bytes: Vec<u8> = digits.chunks(2).map(pair).collect();
    bytes[16] = protocol;
    bytes
}

#[test]
fn qemus_device_is_audio_1_0_whatever_its_protocol_byte_says() {
    for (protocol, broken) in [(0x04, &[Rule::AudioProtocol][..]), (0x00, &[])] {
        let bytes = qemu(protocol);
        let (config, audio, issues) = parse(&bytes, Speed::Full);
        assert_eq!(issues.iter().map(|issue| issue.rule).collect::<Vec<_>>(), broken);
        let found: Vec<String> =
            audio.alternates.iter().map(|alternate| line("qemu", &config, alternate)).collect();
        assert_eq!(found, ["qemu full 1 1 1 out 2 2 16 48000 0x01 sync 1000 - - 1 0"]);
        let stream = &audio.streams[0];
        assert_eq!((stream.pcm, stream.control.0), (0, 0));
        let controls = stream.controls[0];
        assert_eq!((controls.unit, controls.mute, controls.volume), (2, 1, 0b110));
        assert!(!audio.alternates[0].controls.sampling_frequency);
        assert_eq!(audio.alternates[0].interface.wire, [9, 4, 1, 1, 1, 1, 2, 0, 10]);
        assert_eq!(audio.alternates[0].data.qmi(), [9, 5, 1, 13, 0xc0, 0, 1, 0, 0]);
    }
}

/// A2: alternates with one terminal and endpoint are one stream; playback and
/// capture count their pcm indices each on their own.
#[test]
fn a2_alternates_are_grouped_by_terminal_and_endpoint() {
    let find = |name: &str| {
        let dump = dumps("").into_iter().find(|dump| dump.name.starts_with(name)).unwrap();
        let (_, audio, _) = parse(&dump.configurations[0], speed_of(&dump));
        let streams = audio.streams.iter().zip(0..).map(|(stream, place)| {
            (stream.pcm, stream.direction, stream.terminal, audio.alternates_of(place).count())
        });
        streams.collect::<Vec<_>>()
    };
    assert_eq!(
        find("041e_3247"),
        [(0, Direction::Out, 17, 2), (0, Direction::In, 22, 1)],
        "two alternates of 48 and 96 kHz are one playback stream"
    );
}

/// Feature units: what lies between the USB end and the speaker, not the rest.
#[test]
fn a_playback_stream_has_the_controls_its_sound_passes() {
    for (name, expected) in
        [("041e_3247", &[(1u8, 1u16, 0b110u16)][..]), ("046d_0a38", &[(5, 1, 0b110)])]
    {
        let dump = dumps("").into_iter().find(|dump| dump.name.starts_with(name)).unwrap();
        let (_, audio, _) = parse(&dump.configurations[0], speed_of(&dump));
        let (_, playback) = audio.stream(0, Direction::Out).unwrap();
        let found: Vec<_> =
            playback.controls.iter().map(|unit| (unit.unit, unit.mute, unit.volume)).collect();
        assert_eq!(found, expected, "{name}");
    }
}
