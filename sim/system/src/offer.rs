//! What a headset offers, read from its own descriptors.
//!
//! A user who asks for what the headset has not is told what it has, before
//! anything is simulated.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use usb_desc::Config;
use usb_desc::uac::{Audio, Rates};
use usb_model::headset::{Model, headset};
use usb_model::{Answer, Setup};

/// A format.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Format {
    /// Samples per frame.
    pub channels: u8,
    /// Bytes per sample.
    pub bytes: u8,
    /// Frames per second.
    pub rate: u32,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bits, {} Hz", channels(self.channels), 8 * self.bytes, self.rate)
    }
}

/// The playback formats of a headset, each once.
///
/// # Panics
/// When the model's descriptors are no good, which its tests rule out.
#[must_use]
pub fn of(model: Model) -> Vec<Format> {
    let mut device = headset(model, 0);
    let speed = match device.speed() {
        usb_model::Speed::Low => usb_types::Speed::Low,
        usb_model::Speed::Full => usb_types::Speed::Full,
        usb_model::Speed::High => usb_types::Speed::High,
        usb_model::Speed::Super => usb_types::Speed::Super,
    };
    // GET_DESCRIPTOR(configuration 0) of the default address.
    device.reset(fabric::Time::ZERO);
    let setup = Setup::from_bytes([0x80, 6, 0, 2, 0, 0, 0xFF, 0xFF]);
    assert_eq!(device.setup(fabric::Time::ZERO, setup), Answer::Ack, "a setup is taken");
    let mut blob = Vec::new();
    let mut packet = [0; 512];
    while let Answer::Data(len) = device.control_in(&mut packet) {
        blob.extend_from_slice(&packet[..len]);
        let total = blob.get(2..4).map_or(4, |b| usize::from(b[0]) | usize::from(b[1]) << 8);
        if blob.len() >= total {
            break;
        }
    }
    let config = Config::parse(&blob, speed).expect("a headset's configuration is whole");
    let audio = Audio::parse(&config, &mut |_| ());
    let mut formats = Vec::new();
    for alternate in audio.alternates.iter() {
        if alternate.direction() != usb_types::Direction::Out {
            continue;
        }
        let (channels, bytes) = (alternate.channels, alternate.subslot);
        match &alternate.rates {
            Rates::Discrete(rates) => {
                formats.extend(rates.iter().map(|&rate| Format { channels, bytes, rate }));
            }
            Rates::Continuous { min, max } => {
                let common =
                    [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000];
                let inside = common.into_iter().filter(|rate| (*min..=*max).contains(rate));
                formats.extend(inside.map(|rate| Format { channels, bytes, rate }));
            }
        }
    }
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// The formats as lines for a person.
#[must_use]
pub fn list(formats: &[Format]) -> String {
    let mut rates: BTreeMap<(u8, u8), Vec<String>> = BTreeMap::new();
    for format in formats {
        let key = (format.channels, format.bytes);
        rates.entry(key).or_default().push(format.rate.to_string());
    }
    let mut text = String::new();
    for ((count, bytes), rates) in rates {
        let bits = 8 * bytes;
        writeln!(text, "  {:<6} {bits:>2} bits: {} Hz", channels(count), rates.join(", "))
            .expect("a string takes everything");
    }
    text.truncate(text.trim_end().len());
    text
}

fn channels(count: u8) -> &'static str {
    if count == 1 { "mono" } else { "stereo" }
}

#[cfg(test)]
mod tests {
    use super::{Format, list, of};
    use crate::run::DEVICES;

    #[test]
    fn every_headset_has_stereo_of_16_bits_at_48_khz() {
        for (name, model) in DEVICES {
            let wanted = Format { channels: 2, bytes: 2, rate: 48_000 };
            assert!(of(model).contains(&wanted), "{name}");
        }
    }

    #[test]
    fn the_list_has_a_line_per_layout() {
        let format = |channels, rate| Format { channels, bytes: 2, rate };
        let text = list(&[format(1, 8_000), format(2, 44_100), format(2, 48_000)]);
        assert_eq!(text, "  mono   16 bits: 8000 Hz\n  stereo 16 bits: 44100, 48000 Hz");
    }
}
