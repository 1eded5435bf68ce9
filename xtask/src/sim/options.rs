//! What the user asked for, checked against what the headset offers.

use crate::Bad;
use crate::sim::read_wav;
use clap::ValueEnum;
use judge::sound::Sound;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use system::image::Description;
use system::offer::{self, Format};
use system::piece::{SECONDS, piece};
use system::run::{self, Fault};

/// The headset models.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceName {
    /// Full speed, synchronous
    Sync,
    /// Full speed, its own clock, explicit feedback
    Async,
    /// High speed, its own clock, explicit feedback
    AsyncHs,
    /// Full speed, synchronous, with a microphone
    Capture,
    /// QEMU's usb-audio
    Qemu,
}

impl DeviceName {
    /// The simulator's name for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
            Self::AsyncHs => "async-hs",
            Self::Capture => "capture",
            Self::Qemu => "qemu",
        }
    }
}

/// The ways.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PathName {
    /// Over the DSP, while the application core sleeps
    Offload,
    /// Over the application core
    Player,
}

impl From<PathName> for run::Path {
    fn from(name: PathName) -> Self {
        match name {
            PathName::Offload => Self::Offload,
            PathName::Player => Self::Player,
        }
    }
}

/// A fault by its name.
#[derive(Copy, Clone, Debug)]
pub(crate) struct FaultName(pub(crate) Fault);

/// Milliseconds of `starve-dsp`: well below the monitor's watch period.
const STARVE_MS: u32 = 50;

impl FromStr for FaultName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let (kind, value) = name.split_once('=').map_or((name, None), |(k, v)| (k, Some(v)));
        let fault = match (kind, value) {
            ("drop-packet", None) => Fault::DropPacket,
            ("duplicate", None) => Fault::Duplicate,
            ("flip-bit", None) => Fault::FlipBit,
            ("late", None) => Fault::Late,
            ("volume-change", None) => Fault::VolumeChange,
            ("starve-dsp", None) => Fault::StarveDsp(STARVE_MS),
            ("starve-dsp", Some(ms)) => Fault::StarveDsp(
                ms.parse().map_err(|_| format!("'{ms}' is no number of milliseconds"))?,
            ),
            _ => {
                return Err("one of drop-packet, duplicate, flip-bit, late, volume-change, \
                            starve-dsp, starve-dsp=MILLISECONDS"
                    .to_owned());
            }
        };
        Ok(Self(fault))
    }
}

impl fmt::Display for FaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::DropPacket => f.write_str("drop-packet"),
            Fault::Duplicate => f.write_str("duplicate"),
            Fault::FlipBit => f.write_str("flip-bit"),
            Fault::Late => f.write_str("late"),
            Fault::VolumeChange => f.write_str("volume-change"),
            Fault::StarveDsp(ms) => write!(f, "starve-dsp={ms}"),
        }
    }
}

/// What will be run.
pub(crate) struct Plan {
    /// The sound in a format that the headset has.
    pub(crate) sound: Sound,
}

impl Plan {
    /// Reads and checks the sound.
    pub(crate) fn new(
        description: &Description,
        wav: Option<&Path>,
        device: DeviceName,
    ) -> Result<Self, Bad> {
        let sound = match wav {
            Some(file) => read_wav(file)?.widened(),
            None => piece(48_000, (SECONDS * 48_000.0) as u32),
        };
        let source = wav.map_or_else(|| "the piece".to_owned(), |file| file.display().to_string());
        let (_, model) = run::model(device.name()).expect("every name has its model");
        let offered = offer::of(model);
        let wanted =
            Format { rate: sound.rate, channels: sound.channels, bytes: sound.sample_bytes };
        if !offered.contains(&wanted) {
            return Err(Bad(format!(
                "{source} is {wanted}, which headset '{}' does not offer; it offers\n{}",
                device.name(),
                offer::list(&offered)
            )));
        }
        let room = description.room();
        if sound.pcm.len() > room {
            return Err(Bad(format!(
                "{source} is too long: {} bytes of PCM, and the media pool holds {room}",
                sound.pcm.len()
            )));
        }
        Ok(Self { sound })
    }

    /// Packets that will go out, for the progress bar.
    pub(crate) fn expected_packets(&self) -> u64 {
        (self.sound.seconds() * 1000.0) as u64
    }
}
