//! Audio functions: which version, and which streams they have.
//!
//! The protocol byte of an audio interface decides which version of the class
//! describes it. Audio 1.0 is read by [`uac1`]; 2.0, 3.0 and BADD are
//! recognised and refused with a code each, so that nothing of theirs is
//! misread as 1.0. Whatever the version, the result is the same table of
//! streams and alternates ([`Audio`]); [`select`] finds the alternate for a
//! format, [`packets`] and [`feedback`] say how much to send when.
//!
//! Vendor quirks are not here: this is what the descriptors say.

pub mod codes;
pub mod feedback;
pub mod packets;
pub mod select;
mod stream;
mod sync;
mod uac1;
mod units;

use crate::config::{Body, Config, Setting};
use crate::issue::{Issue, Rule};
use crate::list::List;
use crate::standard::{Association, InterfaceNumber};
use usb_types::Direction;

pub use stream::{
    Alternate, Encoding, EndpointControls, FeatureControls, MAX_RATES, MAX_STREAM_CONTROLS, Rates,
    SampleFormat, Stream,
};
pub use sync::feedback_interval_us;

/// Most streaming alternates of a configuration. The largest real one seen
/// has 12 (16, 20, 24 bits, mono and stereo, both ways); more are reported
/// and left out.
pub const MAX_ALTERNATES: usize = 24;

/// Most streams of a configuration: interfaces with bandwidth of their own.
pub const MAX_STREAMS: usize = 8;

/// Most audio control interfaces of a configuration.
pub const MAX_FUNCTIONS: usize = 4;

/// A version of the audio class.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Audio 1.0.
    #[default]
    Uac1,
    /// Audio 2.0.
    Uac2,
    /// Audio 3.0, with descriptors of its own or as a BADD profile.
    Uac3,
}

impl Version {
    /// The version a protocol byte stands for. Audio 1.0 devices exist that
    /// put other numbers there (QEMU 7.2 has 0x04), so all the rest is 1.0.
    #[must_use]
    pub const fn of_protocol(protocol: u8) -> Self {
        match protocol {
            codes::PROTOCOL_2 => Self::Uac2,
            codes::PROTOCOL_3 => Self::Uac3,
            _ => Self::Uac1,
        }
    }

    /// Revision of the specification, BCD.
    #[must_use]
    pub const fn revision(self) -> u16 {
        match self {
            Self::Uac1 => 0x0100,
            Self::Uac2 => 0x0200,
            Self::Uac3 => 0x0300,
        }
    }
}

/// A control interface that this crate can read.
#[derive(Copy, Clone, Debug)]
struct Function<'a> {
    interface: InterfaceNumber,
    /// Bit n: streaming interface n belongs to this function.
    claims: u32,
    /// Its class-specific descriptors.
    body: Body<'a>,
}

/// The control interfaces of a configuration.
#[derive(Copy, Clone, Debug, Default)]
struct Functions<'a> {
    readable: [Option<Function<'a>>; MAX_FUNCTIONS],
    /// A control interface of another version was refused.
    refused: bool,
}

/// The streams of a configuration, and the alternates that carry them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audio {
    /// All streams, in the order of their first alternate.
    pub streams: List<Stream, MAX_STREAMS>,
    /// All alternates, in the device's order.
    pub alternates: List<Alternate, MAX_ALTERNATES>,
}

impl Audio {
    /// Reads the audio functions of `config`, reporting each broken rule, the
    /// ones of the standard descriptors included, to `report`.
    pub fn parse(config: &Config<'_>, report: &mut dyn FnMut(Issue)) -> Self {
        let mut functions = Functions::default();
        for setting in config.settings() {
            match setting {
                Ok(setting) if is_control(&setting) => {
                    functions.find(config, &setting, report);
                }
                Ok(_) => {}
                Err(issue) => report(issue),
            }
        }
        let mut audio = Self::default();
        for setting in config.settings().filter_map(Result::ok).filter(is_streaming) {
            audio.add(&setting, &functions, report);
        }
        audio
    }

    /// The stream with pcm index `pcm` in `direction`, and its place in
    /// [`streams`](Self::streams).
    #[must_use]
    pub fn stream(&self, pcm: u8, direction: Direction) -> Option<(u8, &Stream)> {
        let matching = |stream: &&Stream| stream.pcm == pcm && stream.direction == direction;
        (0..).zip(self.streams.iter()).find(|(_, stream)| matching(stream))
    }

    /// The alternates of the stream in place `stream`.
    pub fn alternates_of(&self, stream: u8) -> impl Iterator<Item = &Alternate> + Clone {
        self.alternates.iter().filter(move |alternate| alternate.stream == stream)
    }

    /// How many streams go in `direction`.
    #[must_use]
    pub fn count(&self, direction: Direction) -> u8 {
        self.streams.iter().filter(|stream| stream.direction == direction).count() as u8
    }

    /// Reads a streaming alternate and puts it into its stream.
    fn add(
        &mut self,
        setting: &Setting<'_>,
        functions: &Functions<'_>,
        report: &mut dyn FnMut(Issue),
    ) {
        let number = setting.interface.number();
        let claimed = functions.readable.iter().flatten().find(|f| f.claims & 1 << number.0 != 0);
        let version = Version::of_protocol(setting.interface.protocol());
        let function = match (version, claimed) {
            (Version::Uac1, Some(function)) => function,
            (Version::Uac1, None) => {
                return report(Issue::new(
                    Rule::StreamingUnclaimed,
                    setting.offset,
                    number.0.into(),
                ));
            }
            // The refusal of the control interface has said all. A 1.0 header
            // may claim this interface all the same: the one of a MIDI
            // function often names the first streaming interface there is.
            _ if functions.refused => return,
            _ => return report(unsupported(version, setting.offset)),
        };
        let Some(mut alternate) = uac1::alternate(setting, report) else {
            return;
        };
        if !units::has_terminal(function.body, alternate.terminal) {
            report(Issue::new(Rule::TerminalUnknown, setting.offset, alternate.terminal.into()));
        }
        let Some(stream) = self.stream_of(&alternate, function, setting.offset, report) else {
            return;
        };
        alternate.stream = stream;
        if self.alternates.push(alternate).is_err() {
            let number = setting.interface.alternate().0;
            report(Issue::new(Rule::TooManyAlternates, setting.offset, number.into()));
        }
    }

    /// The place of the stream that `alternate` belongs to (A2), made at need.
    fn stream_of(
        &mut self,
        alternate: &Alternate,
        function: &Function<'_>,
        offset: usize,
        report: &mut dyn FnMut(Issue),
    ) -> Option<u8> {
        let interface = alternate.interface.number();
        let same = |stream: &Stream| {
            stream.terminal == alternate.terminal
                && stream.endpoint == alternate.data.address
                && stream.interface == interface
        };
        if let Some((place, _)) = (0..).zip(self.streams.iter()).find(|(_, stream)| same(stream)) {
            return Some(place);
        }
        let direction = alternate.direction();
        let pcm = (0..=u8::MAX).find(|&pcm| self.stream(pcm, direction).is_none())?;
        let controls = units::controls(function.body, alternate.terminal, direction, report);
        let stream = Stream {
            pcm,
            direction,
            interface,
            control: function.interface,
            terminal: alternate.terminal,
            endpoint: alternate.data.address,
            controls,
        };
        let place = self.streams.len() as u8;
        if self.streams.push(stream).is_err() {
            report(Issue::new(Rule::TooManyStreams, offset, interface.0.into()));
            return None;
        }
        Some(place)
    }
}

fn is_control(setting: &Setting<'_>) -> bool {
    setting.interface.class() == codes::CLASS_AUDIO
        && setting.interface.subclass() == codes::SUBCLASS_CONTROL
        && setting.interface.alternate().0 == 0
}

/// A streaming alternate with an endpoint; the ones without are where a stream
/// rests, and carry nothing (A1).
fn is_streaming(setting: &Setting<'_>) -> bool {
    setting.interface.class() == codes::CLASS_AUDIO
        && setting.interface.subclass() == codes::SUBCLASS_STREAMING
        && !setting.endpoints.is_empty()
}

fn unsupported(version: Version, offset: usize) -> Issue {
    match version {
        Version::Uac3 => Issue::new(Rule::Uac3NotSupported, offset, codes::PROTOCOL_3.into()),
        _ => Issue::new(Rule::Uac2NotSupported, offset, codes::PROTOCOL_2.into()),
    }
}

impl<'a> Functions<'a> {
    /// Reads the control interface of `setting`.
    fn find(&mut self, config: &Config<'a>, setting: &Setting<'a>, report: &mut dyn FnMut(Issue)) {
        let interface = setting.interface.number();
        let protocol = setting.interface.protocol();
        let version = Version::of_protocol(protocol);
        if version != Version::Uac1 {
            self.refused = true;
            return report(match config.association(interface) {
                Some(association) if version == Version::Uac3 && is_badd(&association) => {
                    Issue::new(Rule::BaddNotSupported, setting.offset, association.subclass.into())
                }
                _ => unsupported(version, setting.offset),
            });
        }
        if protocol != codes::PROTOCOL_1 {
            report(Issue::new(Rule::AudioProtocol, setting.offset, protocol.into()));
        }
        let Some(claims) = uac1::header(setting, report) else {
            return;
        };
        units::check(setting.body, report);
        match self.readable.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(Function { interface, claims, body: setting.body }),
            None => report(Issue::new(Rule::TooManyFunctions, setting.offset, interface.0.into())),
        }
    }
}

fn is_badd(association: &Association) -> bool {
    (codes::BADD_FIRST..=codes::BADD_LAST).contains(&association.subclass)
}
