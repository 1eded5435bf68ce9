//! More than fits is an error value: one row per capacity.

use usb_desc::uac::{Audio, MAX_ALTERNATES, MAX_FUNCTIONS, MAX_RATES, MAX_STREAMS, Rates};
use usb_desc::{Config, Issue, Rule};
use usb_types::{Direction, Speed};

/// A streaming alternate of one 16-bit stereo format at `rates`.
fn alternate(interface: u8, alternate: u8, endpoint: u8, rates: &[u32]) -> Vec<u8> {
    let mut bytes = vec![9, 4, interface, alternate, 1, 1, 2, 0, 0];
    bytes.extend([7, 0x24, 1, 1, 0, 1, 0]);
    bytes.extend([8 + 3 * rates.len() as u8, 0x24, 2, 1, 2, 2, 16, rates.len() as u8]);
    rates.iter().for_each(|rate| bytes.extend(&rate.to_le_bytes()[..3]));
    bytes.extend([9, 5, endpoint, 9, 192, 0, 1, 0, 0]);
    bytes
}

/// A control interface that claims `streaming`, with `units` behind its header.
fn control(interface: u8, streaming: &[u8], units: &[u8]) -> Vec<u8> {
    let header = 8 + streaming.len() as u8;
    let total = header + units.len() as u8;
    let mut bytes = vec![9, 4, interface, 0, 0, 1, 1, 0, 0];
    bytes.extend([header, 0x24, 1, 0, 1, total, 0, streaming.len() as u8]);
    bytes.extend(streaming);
    bytes.extend(units);
    bytes
}

/// Input terminal 1 at the USB end.
const USB_IN: [u8; 12] = [12, 0x24, 2, 1, 1, 1, 0, 2, 3, 0, 0, 0];

fn parse(interfaces: u8, parts: &[Vec<u8>]) -> (Audio, Vec<Issue>) {
    let body = parts.concat();
    let [low, high] = (body.len() as u16 + 9).to_le_bytes();
    let mut blob = vec![9, 2, low, high, interfaces, 1, 0, 0x80, 50];
    blob.extend(body);
    let config = Config::parse(&blob, Speed::Full).unwrap();
    let mut issues = Vec::new();
    let audio = Audio::parse(&config, &mut |issue| issues.push(issue));
    (audio, issues)
}

fn rules(issues: &[Issue]) -> Vec<Rule> {
    issues.iter().map(|issue| issue.rule).collect()
}

#[test]
fn alternates_beyond_max_alternates_are_reported() {
    let mut parts = vec![control(0, &[1], &USB_IN)];
    parts.extend((1..=MAX_ALTERNATES as u8 + 2).map(|n| alternate(1, n, 1, &[48_000])));
    let (audio, issues) = parse(2, &parts);
    assert_eq!(audio.alternates.len(), MAX_ALTERNATES);
    assert_eq!(rules(&issues), [Rule::TooManyAlternates; 2]);
    assert_eq!(issues[0].value, MAX_ALTERNATES as u32 + 1);
}

#[test]
fn streams_beyond_max_streams_are_reported() {
    let streaming: Vec<u8> = (1..=MAX_STREAMS as u8 + 1).collect();
    let mut parts = vec![control(0, &streaming, &USB_IN)];
    parts.extend(streaming.iter().map(|&n| alternate(n, 1, n, &[48_000])));
    let (audio, issues) = parse(streaming.len() as u8 + 1, &parts);
    assert_eq!((audio.streams.len(), audio.alternates.len()), (MAX_STREAMS, MAX_STREAMS));
    assert_eq!(rules(&issues), [Rule::TooManyStreams]);
}

#[test]
fn rates_beyond_max_rates_are_reported_and_the_first_ones_kept() {
    let rates: Vec<u32> = (1..=MAX_RATES as u32 + 3).map(|n| n * 1000).collect();
    let parts = [control(0, &[1], &USB_IN), alternate(1, 1, 1, &rates)];
    let (audio, issues) = parse(2, &parts);
    let Rates::Discrete(kept) = &audio.alternates[0].rates else { panic!() };
    assert_eq!(kept.as_slice(), &rates[..MAX_RATES]);
    assert_eq!((rules(&issues), issues[0].value), (vec![Rule::TooManyRates], 3));
}

#[test]
fn functions_beyond_max_functions_are_reported() {
    let count = MAX_FUNCTIONS as u8 + 1;
    let parts: Vec<Vec<u8>> = (0..count).map(|n| control(n, &[], &[])).collect();
    let (_, issues) = parse(count, &parts);
    assert_eq!(rules(&issues), [Rule::TooManyFunctions]);
}

/// A feature unit for two channels, `id` fed by `source`.
fn feature(id: u8, source: u8) -> [u8; 10] {
    [10, 0x24, 6, id, source, 1, 1, 2, 2, 0]
}

fn speaker(id: u8, source: u8) -> [u8; 9] {
    [9, 0x24, 3, id, 1, 3, 0, source, 0]
}

#[test]
fn feature_units_beyond_max_stream_controls_are_reported() {
    let chain: Vec<u8> = (2..=6).flat_map(|id| feature(id, id - 1)).collect();
    let units = [&USB_IN[..], &chain, &speaker(9, 6)].concat();
    let (audio, issues) = parse(2, &[control(0, &[1], &units), alternate(1, 1, 1, &[48_000])]);
    assert_eq!(audio.streams[0].controls.len(), 4);
    assert_eq!(rules(&issues), [Rule::TooManyControls]);
}

/// Units that do not lead to a speaker, or are not reached from the stream's
/// terminal, have no say in its volume; a loop among them ends.
#[test]
fn only_units_between_the_stream_and_a_speaker_control_it() {
    let back_to_usb = [9, 0x24, 3, 8, 1, 1, 0, 4, 0];
    let microphone = [12, 0x24, 2, 7, 1, 2, 0, 2, 3, 0, 0, 0];
    let mixer = [10, 0x24, 4, 5, 3, 2, 6, 5, 2, 3];
    let units = [
        &USB_IN[..],
        &microphone,
        &feature(2, 1),
        &feature(4, 1),
        &feature(6, 7),
        &mixer,
        &speaker(9, 5),
        &back_to_usb,
    ]
    .concat();
    let (audio, _) = parse(2, &[control(0, &[1], &units), alternate(1, 1, 1, &[48_000])]);
    let found: Vec<u8> = audio.streams[0].controls.iter().map(|unit| unit.unit).collect();
    assert_eq!(found, [2]);
}

/// The same for a recording: what lies between a microphone and the stream.
#[test]
fn only_units_between_a_microphone_and_the_stream_control_a_recording() {
    let microphone = [12, 0x24, 2, 7, 1, 2, 0, 2, 3, 0, 0, 0];
    let to_usb = [9, 0x24, 3, 8, 1, 1, 0, 5, 0];
    // Microphone and playback are mixed into the stream; the playback's unit 2
    // is on a way that begins at USB.
    let mixer = [10, 0x24, 4, 5, 2, 2, 6, 2, 3, 0];
    let units =
        [&USB_IN[..], &microphone, &feature(2, 1), &feature(6, 7), &feature(4, 7), &mixer, &to_usb]
            .concat();
    let mut setting = alternate(1, 1, 0x81, &[48_000]);
    // bTerminalLink.
    setting[9 + 3] = 8;
    let (audio, _) = parse(2, &[control(0, &[1], &units), setting]);
    let (_, stream) = audio.stream(0, Direction::In).expect("a capture stream");
    let found: Vec<u8> = stream.controls.iter().map(|unit| unit.unit).collect();
    assert_eq!(found, [6]);
}

/// A2: each direction counts its pcm indices on its own, by terminal and
/// endpoint.
#[test]
fn a2_streams_of_one_direction_get_pcm_indices_in_order() {
    let parts = [
        control(0, &[1, 2, 3], &USB_IN),
        alternate(1, 1, 0x01, &[48_000]),
        alternate(1, 2, 0x01, &[44_100]),
        alternate(2, 1, 0x81, &[48_000]),
        alternate(3, 1, 0x02, &[48_000]),
    ];
    let (audio, issues) = parse(4, &parts);
    assert!(issues.is_empty(), "{issues:?}");
    let found: Vec<_> = audio.streams.iter().map(|stream| (stream.pcm, stream.direction)).collect();
    assert_eq!(found, [(0, Direction::Out), (0, Direction::In), (1, Direction::Out)]);
    assert_eq!(audio.stream(1, Direction::Out).unwrap().0, 2);
    assert!(audio.stream(1, Direction::In).is_none());
    assert_eq!((audio.count(Direction::Out), audio.count(Direction::In)), (2, 1));
}
