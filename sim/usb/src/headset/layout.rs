//! The descriptors of the headsets, and what can be selected.

use super::Model;
use super::heard::Format;
use crate::bus::{Endpoint, Interface, Speed};
use crate::descriptor::{Builder, Descriptors};

/// The playback interface of every headset.
pub(super) const PLAYBACK: Interface = Interface(1);
/// Its data endpoint.
pub(super) const OUTPUT: Endpoint = Endpoint::output(1);
/// The feedback endpoint of those that have one.
const FEEDBACK: Endpoint = Endpoint::input(1);
/// Microframes between two feedback values: 8 ms, bRefresh 3.
pub(super) const FEEDBACK_PERIOD: u64 = 64;
/// The one packet size that QEMU's device takes.
pub(super) const QEMU_PACKET: usize = 192;
/// Rates of the microphone.
pub(super) const CAPTURE_RATES: [u32; 2] = [44_100, 48_000];
/// Bytes of one of its samples: mono S16.
pub(super) const CAPTURE_BYTES: u8 = 2;

const RATES: &[u32] = &[8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000];

/// A playback setting.
#[derive(Copy, Clone, Debug)]
pub(super) struct Playback {
    pub(super) alternate: u8,
    pub(super) channels: u8,
    pub(super) bytes: u8,
    pub(super) rates: &'static [u32],
    pub(super) rate_control: bool,
}

/// A microphone.
#[derive(Copy, Clone, Debug)]
pub(super) struct Microphone {
    pub(super) interface: Interface,
    pub(super) endpoint: Endpoint,
    pub(super) unit: u8,
}

const MICROPHONE: Microphone =
    Microphone { interface: Interface(2), endpoint: Endpoint::input(2), unit: 6 };

/// What a model looks like from outside.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) descriptors: Descriptors,
    playback: Vec<Playback>,
    pub(super) output_unit: u8,
    pub(super) feedback: Option<Endpoint>,
    pub(super) microphone: Option<Microphone>,
}

impl Layout {
    pub(super) fn new(model: Model) -> Self {
        match model {
            Model::Qemu => qemu(),
            Model::Sync => strict(Speed::Full, None, None, 0x0001, "Sotto Sync"),
            Model::Capture => strict(Speed::Full, None, Some(MICROPHONE), 0x0003, "Sotto Duplex"),
            Model::Async(speed) => {
                let product = if speed == Speed::High { 0x0012 } else { 0x0002 };
                strict(speed, Some(FEEDBACK), None, product, "Sotto Async")
            }
        }
    }

    pub(super) fn playback(&self, alternate: u8) -> Option<Playback> {
        self.playback.iter().copied().find(|playback| playback.alternate == alternate)
    }
}

/// Synchronous, asynchronous (USB 2.0, table 9-13).
const SYNCHRONOUS: u8 = 0x0D;
const ASYNCHRONOUS: u8 = 0x05;
const NO_CONTROL: u8 = 0;
const RATE_CONTROL: u8 = 1;

fn strict(
    speed: Speed,
    feedback: Option<Endpoint>,
    microphone: Option<Microphone>,
    product: u8,
    name: &'static str,
) -> Layout {
    const UNIT: u8 = 2;
    let high = speed == Speed::High;
    let playback: Vec<Playback> =
        [(1, 2, 2), (2, 1, 2), (3, 2, 3), (4, 1, 3), (5, 2, 4), (6, 1, 4)]
            .map(|(alternate, channels, bytes)| Playback {
                alternate,
                channels,
                bytes,
                rates: RATES,
                rate_control: true,
            })
            .to_vec();

    let mut control = Builder::new(if microphone.is_some() { 3 } else { 2 }, 100)
        .audio_interface(0, 0, 0, 1)
        .control_header(if microphone.is_some() { &[1, 2] } else { &[1] })
        // Stream -> feature unit -> headphones.
        .raw(&[0x24, 2, 1, 0x01, 0x01, 0, 2, 3, 0, 0, 0])
        .raw(&[0x24, 6, UNIT, 1, 1, 1, 2, 2, 0])
        .raw(&[0x24, 3, 3, 0x02, 0x03, 0, UNIT, 0]);
    if let Some(microphone) = microphone {
        // It has a button, too.
        control = control.wakes();
        control = control
            .raw(&[0x24, 2, 4, 0x01, 0x02, 0, 1, 0, 0, 0, 0])
            .raw(&[0x24, 6, microphone.unit, 4, 1, 1, 2, 0])
            .raw(&[0x24, 3, 5, 0x01, 0x01, 0, microphone.unit, 0]);
    }

    let mut stream = control.audio_interface(PLAYBACK.0, 0, 0, 2);
    for setting in &playback {
        let format = Format { rate: 96_000, channels: setting.channels, bytes: setting.bytes };
        // A frame more than the fastest rate needs: what feedback may ask for.
        let packet = ((96 + 1) * format.frame()) as u16;
        let [low, top] = packet.to_le_bytes();
        let interval = if high { 4 } else { 1 };
        let (attributes, sync) = match feedback {
            Some(endpoint) => (ASYNCHRONOUS, endpoint.0),
            None => (SYNCHRONOUS, 0),
        };
        stream = stream
            .audio_interface(PLAYBACK.0, setting.alternate, 1 + u8::from(feedback.is_some()), 2)
            .raw(&[0x24, 1, 1, 1, 1, 0])
            .format(setting.channels, setting.bytes, setting.bytes * 8, setting.rates)
            .raw(&[5, OUTPUT.0, attributes, low, top, interval, 0, sync])
            .raw(&[0x25, 1, RATE_CONTROL, 0, 0, 0]);
        if let Some(endpoint) = feedback {
            // bRefresh 3 is 8 ms at full speed; at high speed bInterval 7 is.
            let (size, interval, refresh) = if high { (4, 7, 0) } else { (3, 1, 3) };
            stream = stream.raw(&[5, endpoint.0, 0x11, size, 0, interval, refresh, 0]);
        }
    }
    if let Some(microphone) = microphone {
        stream = stream
            .audio_interface(microphone.interface.0, 0, 0, 2)
            .audio_interface(microphone.interface.0, 1, 1, 2)
            .raw(&[0x24, 1, 5, 1, 1, 0])
            .format(1, CAPTURE_BYTES, 16, &CAPTURE_RATES)
            .raw(&[5, microphone.endpoint.0, ASYNCHRONOUS, 98, 0, 1, 0, 0])
            .raw(&[0x25, 1, RATE_CONTROL, 0, 0, 0]);
    }

    let device = [
        18,
        1,
        0x00,
        if high { 2 } else { 1 },
        0,
        0,
        0,
        64,
        0x55,
        0xF0,
        product,
        0,
        0,
        1,
        1,
        2,
        3,
        1,
    ];
    let device = if high { device } else { with_usb_version(device, 0x10, 0x01) };
    Layout {
        descriptors: Descriptors {
            speed,
            device,
            configuration: stream.finish(),
            strings: vec!["Sotto", name, "0001"],
            qualifier: high,
        },
        playback,
        output_unit: UNIT,
        feedback,
        microphone,
    }
}

fn with_usb_version(mut device: [u8; 18], minor: u8, major: u8) -> [u8; 18] {
    (device[2], device[3]) = (minor, major);
    device
}

/// QEMU's usb-audio, 46f4:0002.
fn qemu() -> Layout {
    let configuration = vec![
        0x09, 0x02, 0x71, 0x00, 0x02, 0x01, 0x04, 0xC0, 0x32, // configuration
        0x09, 0x04, 0x00, 0x00, 0x00, 0x01, 0x01, 0x04, 0x05, // AudioControl
        0x09, 0x24, 0x01, 0x00, 0x01, 0x2B, 0x00, 0x01, 0x01, // header
        0x0C, 0x24, 0x02, 0x01, 0x01, 0x01, 0x00, 0x02, 0x03, 0x00, 0x00, 0x06, // input
        0x0D, 0x24, 0x06, 0x02, 0x01, 0x02, 0x01, 0x00, 0x02, 0x00, 0x02, 0x00,
        0x07, // feature
        0x09, 0x24, 0x03, 0x03, 0x01, 0x03, 0x00, 0x02, 0x08, // output
        0x09, 0x04, 0x01, 0x00, 0x00, 0x01, 0x02, 0x00, 0x09, // streaming, alternate 0
        0x09, 0x04, 0x01, 0x01, 0x01, 0x01, 0x02, 0x00, 0x0A, // alternate 1
        0x07, 0x24, 0x01, 0x01, 0x00, 0x01, 0x00, // general
        0x0B, 0x24, 0x02, 0x01, 0x02, 0x02, 0x10, 0x01, 0x80, 0xBB, 0x00, // format
        0x09, 0x05, 0x01, 0x0D, 0xC0, 0x00, 0x01, 0x00, 0x00, // endpoint
        0x07, 0x25, 0x01, NO_CONTROL, 0x00, 0x00, 0x00, // its class part
    ];
    Layout {
        descriptors: Descriptors {
            speed: Speed::Full,
            device: [
                0x12, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x40, 0xF4, 0x46, 0x02, 0x00, 0x00, 0x00,
                0x01, 0x02, 0x03, 0x01,
            ],
            configuration,
            strings: vec!["QEMU", "QEMU USB Audio", "1-0000:00:02.0-1"],
            qualifier: false,
        },
        playback: vec![Playback {
            alternate: 1,
            channels: 2,
            bytes: 2,
            rates: &[48_000],
            rate_control: false,
        }],
        output_unit: 2,
        feedback: None,
        microphone: None,
    }
}
