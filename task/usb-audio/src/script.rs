//! The requests that open a stream, or set mute and volume, one after another.
//!
//! Audio 1.0 sections 5.2.2.4 (feature unit) and 5.2.3.2 (endpoint). A script
//! is a pure state machine: it says what to ask next and is told the answer.
//! The order of an open is A19's: first the alternate setting, then the rate;
//! then volumes, and mutes last, so that nothing is heard at a volume that is
//! about to change.

use usb_audio_api::UsbAudioError;
use usb_core_api::UsbCoreError;
use usb_desc::uac::{Alternate, FeatureControls, Rates, codes};
use usb_desc::{AlternateNumber, InterfaceNumber, List};
use usb_types::{EndpointAddress, Setup};

/// Feature units that one script serves: those of all playback streams of a
/// card, of which real ones have one or two.
pub(crate) const MAX_UNITS: usize = 8;

/// bmRequestType: class request to an interface, host to device.
const TO_INTERFACE: u8 = 0x21;
/// bmRequestType: class request to an endpoint, host to device.
const TO_ENDPOINT: u8 = 0x22;
/// Bit of bmRequestType: device to host.
const IN: u8 = 0x80;

/// A volume of silence (Audio 1.0 section 5.2.2.4.3.2), not a number of decibels.
const SILENCE: i16 = i16::MIN;

/// A feature unit and the interface its requests go to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) control: InterfaceNumber,
    pub(crate) features: FeatureControls,
}

/// The feature units of a script.
pub(crate) type Units = List<Unit, MAX_UNITS>;

/// What a card's playback shall sound like.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    /// In 1/256 dB, quirks included.
    pub(crate) volume: i16,
    pub(crate) mute: bool,
}

/// Something to ask of `usb_core`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Switch an interface.
    SetInterface(InterfaceNumber, AlternateNumber),
    /// A control transfer with `setup.length` bytes of `data`.
    Write { setup: Setup, data: [u8; 3] },
    /// A control transfer that answers `setup.length` bytes.
    Read { setup: Setup },
}

/// How a request ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    Done,
    Data(&'a [u8]),
    Failed(UsbCoreError),
}

/// A control of a unit: the place in the list, and the channel (0: master).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct At {
    unit: usize,
    channel: u8,
}

const FIRST: At = At { unit: 0, channel: 0 };

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Step {
    Interface,
    Rate,
    CheckRate,
    /// Then follow the volumes from here on.
    Minimum(At),
    Maximum(At),
    Volume(At),
    Mute(At),
    End,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Rate {
    endpoint: EndpointAddress,
    hertz: u32,
    /// The device can do nothing else, so it need not obey.
    only_one: bool,
}

/// Requests in their order, and where they are.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Script {
    target: Option<(InterfaceNumber, AlternateNumber)>,
    rate: Option<Rate>,
    units: Units,
    volumes: bool,
    mutes: bool,
    step: Step,
    /// The volume range of the control in hand, as far as the device told.
    range: (Option<i16>, Option<i16>),
}

impl Script {
    /// Opens `alternate` at `hertz`, with mute and volume of `units` set.
    pub(crate) fn open(alternate: &Alternate, hertz: u32, units: Units) -> Self {
        let only_one = matches!(&alternate.rates, Rates::Discrete(rates) if rates.len() == 1);
        let interface = alternate.interface;
        Self {
            target: Some((interface.number(), interface.alternate())),
            rate: alternate.controls.sampling_frequency.then_some(Rate {
                endpoint: alternate.data.address,
                hertz,
                only_one,
            }),
            units,
            volumes: true,
            mutes: true,
            step: Step::Interface,
            range: (None, None),
        }
    }

    /// Puts an interface to rest.
    pub(crate) fn rest(interface: InterfaceNumber) -> Self {
        Self {
            target: Some((interface, AlternateNumber(0))),
            rate: None,
            units: Units::new(),
            volumes: false,
            mutes: false,
            step: Step::Interface,
            range: (None, None),
        }
    }

    /// Sets the volumes of `units`; `None` when there is none.
    pub(crate) fn volumes(units: Units) -> Option<Self> {
        Self::controls(units, true, false)
    }

    /// Sets the mutes of `units`; `None` when there is none.
    pub(crate) fn mutes(units: Units) -> Option<Self> {
        Self::controls(units, false, true)
    }

    fn controls(units: Units, volumes: bool, mutes: bool) -> Option<Self> {
        let mut script = Self {
            target: None,
            rate: None,
            units,
            volumes,
            mutes,
            step: Step::End,
            range: (None, None),
        };
        script.step = script.first_control();
        (script.step != Step::End).then_some(script)
    }

    /// What to ask now; `None` at the end. `level` is what the card shall
    /// sound like at this moment.
    pub(crate) fn next(&self, level: Level) -> Option<Request> {
        Some(match self.step {
            Step::Interface => {
                let (interface, alternate) = self.target?;
                Request::SetInterface(interface, alternate)
            }
            Step::Rate => {
                let rate = self.rate?;
                let [a, b, c, _] = rate.hertz.to_le_bytes();
                Request::Write { setup: frequency(rate.endpoint, codes::SET_CUR), data: [a, b, c] }
            }
            Step::CheckRate => {
                Request::Read { setup: frequency(self.rate?.endpoint, codes::GET_CUR) }
            }
            Step::Minimum(at) => Request::Read { setup: self.volume(at, codes::GET_MIN)? },
            Step::Maximum(at) => Request::Read { setup: self.volume(at, codes::GET_MAX)? },
            Step::Volume(at) => {
                let [a, b] = self.within_range(level.volume).to_le_bytes();
                Request::Write { setup: self.volume(at, codes::SET_CUR)?, data: [a, b, 0] }
            }
            Step::Mute(at) => {
                let setup = self.feature(at, codes::MUTE_CONTROL, codes::SET_CUR, 1)?;
                Request::Write { setup, data: [level.mute.into(), 0, 0] }
            }
            Step::End => return None,
        })
    }

    /// Takes the answer to the last request.
    ///
    /// A device that stalls a mute or a volume that it has described plays on
    /// without; so does one that stalls the only rate it has.
    pub(crate) fn answer(&mut self, answer: Answer<'_>) -> Result<(), UsbAudioError> {
        if let Answer::Failed(error) = answer
            && !(error == UsbCoreError::Stall && self.may_stall())
        {
            return Err(refusal(error));
        }
        let stalled = matches!(answer, Answer::Failed(_));
        self.step = match self.step {
            Step::Interface if self.rate.is_some() => Step::Rate,
            Step::Interface => self.first_control(),
            Step::Rate if stalled => self.first_control(),
            Step::Rate => Step::CheckRate,
            Step::CheckRate => {
                self.check_rate(answer)?;
                self.first_control()
            }
            Step::Minimum(at) => {
                self.range.0 = decibels(answer);
                Step::Maximum(at)
            }
            Step::Maximum(at) => {
                self.range.1 = decibels(answer);
                Step::Volume(at)
            }
            Step::Volume(at) => self.volume_from(at.after()),
            Step::Mute(at) => self.mute_from(at.after()),
            Step::End => Step::End,
        };
        Ok(())
    }

    fn may_stall(&self) -> bool {
        match self.step {
            Step::Interface | Step::End => false,
            Step::Rate => self.rate.is_some_and(|rate| rate.only_one),
            Step::CheckRate
            | Step::Minimum(_)
            | Step::Maximum(_)
            | Step::Volume(_)
            | Step::Mute(_) => true,
        }
    }

    /// A device that says it runs at another rate would play at the wrong
    /// pitch. One that stalls the question or says 0 has not said anything.
    fn check_rate(&self, answer: Answer<'_>) -> Result<(), UsbAudioError> {
        match (answer, self.rate) {
            (Answer::Data(&[a, b, c]), Some(rate)) => {
                let found = u32::from_le_bytes([a, b, c, 0]);
                let fine = found == 0 || found == rate.hertz;
                if fine { Ok(()) } else { Err(UsbAudioError::ControlFailed) }
            }
            _ => Ok(()),
        }
    }

    fn within_range(&self, volume: i16) -> i16 {
        match self.range {
            (Some(min), Some(max)) if min <= max => volume.clamp(min, max),
            _ => volume,
        }
    }

    fn first_control(&mut self) -> Step {
        self.volume_from(FIRST)
    }

    fn volume_from(&mut self, at: At) -> Step {
        self.range = (None, None);
        let found = if self.volumes { self.find(at, |features| features.volume) } else { None };
        match found {
            Some(at) => Step::Minimum(at),
            None => self.mute_from(FIRST),
        }
    }

    fn mute_from(&self, at: At) -> Step {
        let found = if self.mutes { self.find(at, |features| features.mute) } else { None };
        found.map_or(Step::End, Step::Mute)
    }

    /// The first control at or after `at` whose bit is in `mask`.
    fn find(&self, at: At, mask: impl Fn(&FeatureControls) -> u16) -> Option<At> {
        (at.unit..self.units.len())
            .flat_map(|unit| (0..16).map(move |channel| At { unit, channel }))
            .skip(at.channel.into())
            .find(|at| {
                let unit = self.units.get(at.unit);
                unit.is_some_and(|unit| mask(&unit.features) & 1 << at.channel != 0)
            })
    }

    fn volume(&self, at: At, request: u8) -> Option<Setup> {
        self.feature(at, codes::VOLUME_CONTROL, request, 2)
    }

    fn feature(&self, at: At, selector: u8, request: u8, length: u16) -> Option<Setup> {
        let unit = self.units.get(at.unit)?;
        Some(Setup {
            request_type: TO_INTERFACE | request & IN,
            request,
            value: u16::from_le_bytes([at.channel, selector]),
            index: u16::from_le_bytes([unit.control.0, unit.features.unit]),
            length,
        })
    }
}

impl At {
    fn after(self) -> Self {
        match self.channel {
            15.. => Self { unit: self.unit + 1, channel: 0 },
            channel => Self { unit: self.unit, channel: channel + 1 },
        }
    }
}

fn frequency(endpoint: EndpointAddress, request: u8) -> Setup {
    Setup {
        request_type: TO_ENDPOINT | request & IN,
        request,
        value: u16::from_le_bytes([0, codes::SAMPLING_FREQ_CONTROL]),
        index: endpoint.0.into(),
        length: 3,
    }
}

/// A volume, when the device told one.
fn decibels(answer: Answer<'_>) -> Option<i16> {
    match answer {
        Answer::Data(&[low, high]) => {
            Some(i16::from_le_bytes([low, high])).filter(|&volume| volume != SILENCE)
        }
        _ => None,
    }
}

/// What an error of `usb_core`'s means to whoever asked the audio class.
pub(crate) fn refusal(error: UsbCoreError) -> UsbAudioError {
    match error {
        UsbCoreError::DeviceGone | UsbCoreError::ControllerDead | UsbCoreError::Stale => {
            UsbAudioError::DeviceGone
        }
        UsbCoreError::Suspended => UsbAudioError::Suspended,
        UsbCoreError::Resetting => UsbAudioError::Resetting,
        UsbCoreError::Bandwidth => UsbAudioError::Bandwidth,
        UsbCoreError::NoResources | UsbCoreError::NoTickets => UsbAudioError::NoResources,
        // Someone else drives the endpoint or has the interface.
        UsbCoreError::EndpointBusy
        | UsbCoreError::InterfaceBusy
        | UsbCoreError::Busy
        | UsbCoreError::NotClaimed
        | UsbCoreError::NotAllowed
        | UsbCoreError::NotOwner => UsbAudioError::StreamBusy,
        UsbCoreError::TimedOut => UsbAudioError::TimedOut,
        UsbCoreError::ServerDied | UsbCoreError::StaleServer => UsbAudioError::CoreDied,
        UsbCoreError::NotYet => UsbAudioError::NotYet,
        UsbCoreError::Stall
        | UsbCoreError::Transaction
        | UsbCoreError::TransferFailed
        | UsbCoreError::BadRequest
        | UsbCoreError::NoInterface
        | UsbCoreError::NoAlternate
        | UsbCoreError::NoEndpoint
        | UsbCoreError::AlreadyHeld
        | UsbCoreError::NotHeld => UsbAudioError::ControlFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(mute: u16, volume: u16) -> Units {
        let mut units = Units::new();
        let features = FeatureControls { unit: 5, mute, volume };
        units.push(Unit { control: InterfaceNumber(0), features }).unwrap();
        units
    }

    fn setup(request: Option<Request>) -> (u8, u8, u16, u16) {
        match request {
            Some(Request::Write { setup, .. } | Request::Read { setup }) => {
                (setup.request_type, setup.request, setup.value, setup.index)
            }
            other => panic!("{other:?}"),
        }
    }

    const UNITY: Level = Level { volume: 0, mute: false };

    #[test]
    fn volumes_are_asked_for_their_range_and_set_before_any_mute() {
        let mut script = Script::controls(units(1, 0b110), true, true).unwrap();
        let mut seen = Vec::new();
        while let Some(request) = script.next(UNITY) {
            seen.push(setup(Some(request)));
            let answer = match request {
                Request::Read { .. } => Answer::Data(&[0, 0xf0]),
                _ => Answer::Done,
            };
            script.answer(answer).unwrap();
        }
        assert_eq!(
            seen,
            [
                (0xa1, 0x82, 0x0201, 0x0500),
                (0xa1, 0x83, 0x0201, 0x0500),
                (0x21, 0x01, 0x0201, 0x0500),
                (0xa1, 0x82, 0x0202, 0x0500),
                (0xa1, 0x83, 0x0202, 0x0500),
                (0x21, 0x01, 0x0202, 0x0500),
                (0x21, 0x01, 0x0100, 0x0500),
            ]
        );
    }

    #[test]
    fn a_volume_stays_in_the_range_the_device_told() {
        for (min, max, wanted, sent) in [
            ([0x00, 0xc4], [0x00, 0x06], 0, 0),
            ([0x00, 0xc4], [0x00, 0xf6], 0, -2560),
            ([0x00, 0xc4], [0x00, 0x06], -32768, -15360),
            ([0x01, 0x80], [0x00, 0x08], 0x0800, 0x0800),
            // A range that is upside down is none.
            ([0x00, 0x06], [0x00, 0xc4], -256, -256),
        ] {
            let mut script = Script::volumes(units(0, 1)).unwrap();
            script.answer(Answer::Data(&min)).unwrap();
            script.answer(Answer::Data(&max)).unwrap();
            let Some(Request::Write { data, .. }) =
                script.next(Level { volume: wanted, mute: false })
            else {
                panic!()
            };
            assert_eq!(i16::from_le_bytes([data[0], data[1]]), sent);
        }
    }

    #[test]
    fn a_stalled_volume_or_mute_is_passed_over_and_a_dead_device_is_not() {
        let mut script = Script::controls(units(1, 1), true, true).unwrap();
        for _ in 0..4 {
            assert!(script.next(UNITY).is_some());
            script.answer(Answer::Failed(UsbCoreError::Stall)).unwrap();
        }
        assert_eq!(script.next(UNITY), None);
        let mut script = Script::mutes(units(1, 1)).unwrap();
        let gone = script.answer(Answer::Failed(UsbCoreError::DeviceGone));
        assert_eq!(gone, Err(UsbAudioError::DeviceGone));
    }

    #[test]
    fn a_card_without_the_control_has_no_script() {
        assert!(Script::volumes(units(1, 0)).is_none());
        assert!(Script::mutes(units(0, 1)).is_none());
    }

    #[test]
    fn channel_fifteen_of_one_unit_is_followed_by_the_next_unit() {
        let mut list = units(0, 0x8000);
        let features = FeatureControls { unit: 6, mute: 0, volume: 1 };
        list.push(Unit { control: InterfaceNumber(3), features }).unwrap();
        let mut script = Script::volumes(list).unwrap();
        let mut indices = Vec::new();
        while let Some(request) = script.next(UNITY) {
            let (_, _, value, index) = setup(Some(request));
            indices.push((value & 0xff, index));
            script.answer(Answer::Done).unwrap();
        }
        indices.dedup();
        assert_eq!(indices, [(15, 0x0500), (0, 0x0603)]);
    }
}
