//! Streams and the alternate settings that carry them.
//!
//! What every version of the class agrees on: an alternate setting has an
//! encoding, channels, rates, a data endpoint and maybe a feedback endpoint;
//! the alternates that share terminal and endpoint are one stream with a pcm
//! index (A2). How a version describes that is its own module's matter.

use usb_types::{Direction, EndpointAddress, Speed};

use crate::endpoint::Endpoint;
use crate::list::List;
use crate::standard::{Interface, InterfaceNumber, unit_us};
use crate::uac::Version;

/// Most discrete rates of an alternate. Real devices list up to twelve, the
/// rates there are; further ones are reported and not used.
pub const MAX_RATES: usize = 16;

/// Most feature units on the way of one stream. Headsets have one or two (a
/// source's own, then a master's).
pub const MAX_STREAM_CONTROLS: usize = 4;

/// Sample layouts that a USB device has (A7): the subslot decides.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// Unsigned 8 bits.
    U8,
    /// Signed 8 bits.
    S8,
    /// Signed 16 bits.
    S16Le,
    /// Signed 24 bits in three bytes.
    S24In3Le,
    /// Signed 32 bits; 24 bits in four bytes are this too.
    S32Le,
}

impl SampleFormat {
    /// The signed layout of a subslot of `bytes`; `None` when there is none.
    #[must_use]
    pub const fn of_subslot(bytes: u8) -> Option<Self> {
        match bytes {
            1 => Some(Self::S8),
            2 => Some(Self::S16Le),
            3 => Some(Self::S24In3Le),
            4 => Some(Self::S32Le),
            _ => None,
        }
    }
}

/// What the bytes of a stream are.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Integer samples.
    Pcm(SampleFormat),
    /// IEEE 754 samples.
    Float,
    /// A-law samples.
    ALaw,
    /// Mu-law samples.
    MuLaw,
    /// IEC 61937 frames (type III): a receiver, not a speaker, plays them.
    Iec61937,
    /// A format tag that says nothing.
    #[default]
    Undefined,
}

/// The rates of an alternate, in Hz.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Rates {
    /// These, in the device's order.
    Discrete(List<u32, MAX_RATES>),
    /// All from `min` to `max`.
    Continuous {
        /// Lowest.
        min: u32,
        /// Highest.
        max: u32,
    },
}

impl Rates {
    /// Whether `rate` is one of them.
    #[must_use]
    pub fn contain(&self, rate: u32) -> bool {
        match self {
            Self::Discrete(rates) => rates.contains(&rate),
            Self::Continuous { min, max } => (*min..=*max).contains(&rate),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self::Discrete(List::new())
    }
}

/// Attributes of the class-specific endpoint descriptor (Audio 1.0 4.6.1.2).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointControls {
    /// There is a sampling frequency control.
    pub sampling_frequency: bool,
    /// There is a pitch control.
    pub pitch: bool,
    /// Packets must be filled up to `wMaxPacketSize`.
    pub fill_max: bool,
}

/// An alternate setting that carries a stream.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Alternate {
    /// Index of its stream in [`Audio::streams`](crate::uac::Audio::streams).
    pub stream: u8,
    /// Which version of the class describes it.
    pub version: Version,
    /// Its interface descriptor: number, alternate, the nine bytes.
    pub interface: Interface,
    /// The terminal at the USB end.
    pub terminal: u8,
    /// `bDelay` in frames of one millisecond.
    pub delay: u8,
    /// What its bytes are.
    pub encoding: Encoding,
    /// Samples in a frame.
    pub channels: u8,
    /// Bytes of a sample.
    pub subslot: u8,
    /// Bits of a subslot that carry sound.
    pub bits: u8,
    /// Rates in Hz.
    pub rates: Rates,
    /// The data endpoint.
    pub data: Endpoint,
    /// The explicit feedback endpoint, when the stream has one.
    pub sync: Option<Endpoint>,
    /// Controls of the data endpoint.
    pub controls: EndpointControls,
}

impl Alternate {
    /// Which way it goes.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.data.address.direction()
    }

    /// Bytes of one frame: a sample of each channel.
    #[must_use]
    pub fn frame_bytes(&self) -> u16 {
        u16::from(self.channels) * u16::from(self.subslot)
    }

    /// log2 of bus units (see [`unit_us`]) between two data packets (A8): at
    /// full speed 0 whatever `bInterval` says, above `bInterval - 1` for 1 to
    /// 4, else 0.
    #[must_use]
    pub const fn data_interval(&self, speed: Speed) -> u8 {
        match (speed, self.data.interval) {
            (Speed::High | Speed::Super | Speed::SuperPlus, exponent @ 1..=4) => exponent - 1,
            _ => 0,
        }
    }

    /// Microseconds between two data packets.
    #[must_use]
    pub const fn interval_us(&self, speed: Speed) -> u32 {
        unit_us(speed) << self.data_interval(speed)
    }
}

/// A stream: what a pcm index names, in one direction.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// pcm index; a playback and a capture stream may share one.
    pub pcm: u8,
    /// Which way it goes.
    pub direction: Direction,
    /// The interface its alternates belong to.
    pub interface: InterfaceNumber,
    /// The control interface of its function.
    pub control: InterfaceNumber,
    /// The terminal at the USB end.
    pub terminal: u8,
    /// The data endpoint.
    pub endpoint: EndpointAddress,
    /// Feature units between the USB end and the speaker or microphone.
    pub controls: List<FeatureControls, MAX_STREAM_CONTROLS>,
}

impl Default for Stream {
    /// An unused place of a table.
    fn default() -> Self {
        Self {
            pcm: 0,
            direction: Direction::Out,
            interface: InterfaceNumber::default(),
            control: InterfaceNumber::default(),
            terminal: 0,
            endpoint: EndpointAddress(0),
            controls: List::new(),
        }
    }
}

/// The mute and volume controls of a feature unit.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureControls {
    /// Its unit id.
    pub unit: u8,
    /// Bit 0: a master mute; bit n: a mute of channel n.
    pub mute: u16,
    /// Bit 0: a master volume; bit n: a volume of channel n.
    pub volume: u16,
}
