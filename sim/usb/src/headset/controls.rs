//! The feature unit: mute and volume (UAC 1.0, 5.2.2.4).
//!
//! Master mute, and a volume per channel in steps of 1/256 dB. A value between
//! two steps of the resolution is rounded down, one outside the range is
//! clamped, and 0x8000 is silence, as the standard says.

use super::{Model, request};
use crate::bus::Setup;
use crate::standard::Stall;

/// Control selectors (UAC 1.0, A.10.2), as the high byte of wValue.
const MUTE: u8 = 1;
const VOLUME: u8 = 2;

/// Channels with a volume of their own.
const CHANNELS: usize = 2;
/// The value that means silence (5.2.2.4.3.2).
const SILENCE: i16 = i16::MIN;
/// One decibel.
const DECIBEL: i16 = 256;

/// By what each channel's samples are multiplied.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Gain {
    pub(super) muted: bool,
    /// As 16.16, so that unity is exact.
    pub(super) factor: [u32; CHANNELS],
}

/// Unity as 16.16.
pub(super) const UNITY: u32 = 1 << 16;

impl Gain {
    pub(super) fn is_unity(self) -> bool {
        !self.muted && self.factor == [UNITY; CHANNELS]
    }
}

/// How a volume becomes a factor.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Scale {
    /// As the standard says: decibels, 0 is unity.
    Decibel,
    /// As QEMU's mixer does: the value's place in the range, in 255 steps, is
    /// the factor, so unity is at the maximum (+8 dB) and 0 dB is 240/255.
    Place,
}

/// A feature unit.
#[derive(Debug)]
pub(super) struct Feature {
    unit: u8,
    scale: Scale,
    minimum: i16,
    maximum: i16,
    resolution: i16,
    initial: (bool, i16),
    muted: bool,
    volume: [i16; CHANNELS],
    gain: Gain,
}

impl Feature {
    /// The unit in front of the loudspeakers.
    pub(super) fn output(model: Model, unit: u8) -> Self {
        match model {
            Model::Qemu => Self::new(unit, Scale::Place, (-32_767, 0x0800, 0x88), (false, 0)),
            Model::Sync | Model::Async(_) | Model::Capture => {
                let range = (-60 * DECIBEL, 6 * DECIBEL, DECIBEL / 2);
                Self::new(unit, Scale::Decibel, range, (true, -10 * DECIBEL))
            }
        }
    }

    /// The unit behind a microphone.
    pub(super) fn microphone(unit: u8) -> Self {
        let range = (-20 * DECIBEL, 20 * DECIBEL, DECIBEL);
        Self::new(unit, Scale::Decibel, range, (true, 0))
    }

    fn new(unit: u8, scale: Scale, range: (i16, i16, i16), initial: (bool, i16)) -> Self {
        let (minimum, maximum, resolution) = range;
        let gain = Gain { muted: false, factor: [UNITY; CHANNELS] };
        let (muted, volume) = (false, [0; CHANNELS]);
        let mut feature =
            Self { unit, scale, minimum, maximum, resolution, initial, muted, volume, gain };
        feature.power_on();
        feature
    }

    pub(super) fn unit(&self) -> u8 {
        self.unit
    }

    /// Back to the state it starts in.
    pub(super) fn power_on(&mut self) {
        (self.muted, self.volume) = (self.initial.0, [self.initial.1; CHANNELS]);
        self.refresh();
    }

    pub(super) fn gain(&self) -> Gain {
        self.gain
    }

    pub(super) fn get(&self, setup: Setup, into: &mut Vec<u8>) -> Result<(), Stall> {
        let [channel, selector] = setup.value.to_le_bytes();
        match (selector, channel, setup.request) {
            (MUTE, 0, request::GET_CUR) => into.push(u8::from(self.muted)),
            (VOLUME, 1 | 2, request) => {
                let value = match request {
                    request::GET_CUR => self.volume[usize::from(channel) - 1],
                    request::GET_MIN => self.minimum,
                    request::GET_MAX => self.maximum,
                    request::GET_RES => self.resolution,
                    _ => return Err(Stall),
                };
                into.extend_from_slice(&value.to_le_bytes());
            }
            _ => return Err(Stall),
        }
        Ok(())
    }

    pub(super) fn set(&mut self, setup: Setup, data: &[u8]) -> Result<(), Stall> {
        let [channel, selector] = setup.value.to_le_bytes();
        match (selector, channel, data) {
            (MUTE, 0, &[value @ (0 | 1)]) => self.muted = value == 1,
            (VOLUME, 1 | 2, &[low, high]) => {
                let asked = i16::from_le_bytes([low, high]);
                self.volume[usize::from(channel) - 1] = self.nearest(asked);
            }
            _ => return Err(Stall),
        }
        self.refresh();
        Ok(())
    }

    fn nearest(&self, asked: i16) -> i16 {
        if asked == SILENCE || self.scale == Scale::Place {
            return asked.min(self.maximum);
        }
        let clamped = asked.clamp(self.minimum, self.maximum);
        let steps = (i32::from(clamped) - i32::from(self.minimum)) / i32::from(self.resolution);
        (i32::from(self.minimum) + steps * i32::from(self.resolution)) as i16
    }

    fn refresh(&mut self) {
        self.gain =
            Gain { muted: self.muted, factor: self.volume.map(|volume| self.factor(volume)) };
    }

    fn factor(&self, volume: i16) -> u32 {
        match self.scale {
            _ if volume == SILENCE => 0,
            Scale::Decibel => {
                let decibels = f64::from(volume) / f64::from(DECIBEL);
                (10f64.powf(decibels / 20.0) * f64::from(UNITY)).round() as u32
            }
            Scale::Place => {
                let range = i64::from(self.maximum) - i64::from(self.minimum);
                let place = (i64::from(volume) - i64::from(self.minimum)).max(0);
                let step = (place * 255 + range / 2) / range;
                (step * i64::from(UNITY) / 255) as u32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DECIBEL, Feature, UNITY};
    use crate::bus::Setup;
    use crate::headset::Model;

    fn set(feature: &mut Feature, value: u16, data: &[u8]) -> bool {
        let length = data.len() as u16;
        let setup = Setup { kind: 0x21, request: 1, value, index: 0, length };
        feature.set(setup, data).is_ok()
    }

    #[test]
    fn zero_decibels_is_exactly_unity() {
        let mut feature = Feature::output(Model::Sync, 2);
        assert!(feature.gain().muted);
        assert!(!feature.gain().is_unity());
        assert!(set(&mut feature, 0x0100, &[0]));
        assert!(set(&mut feature, 0x0201, &[0, 0]));
        assert!(set(&mut feature, 0x0202, &[0, 0]));
        assert!(feature.gain().is_unity());
    }

    #[test]
    fn qemu_scales_zero_decibels_by_240_255_and_its_maximum_is_unity() {
        let mut feature = Feature::output(Model::Qemu, 2);
        assert_eq!(feature.gain().factor[0], 240 * UNITY / 255);
        assert!(set(&mut feature, 0x0201, &0x0800i16.to_le_bytes()));
        assert!(set(&mut feature, 0x0202, &0x0800i16.to_le_bytes()));
        assert!(feature.gain().is_unity());
    }

    #[test]
    fn a_volume_is_clamped_and_rounded_to_a_step() {
        let feature = Feature::output(Model::Sync, 2);
        assert_eq!(feature.nearest(100 * DECIBEL), 6 * DECIBEL);
        assert_eq!(feature.nearest(-100 * DECIBEL), -60 * DECIBEL);
        assert_eq!(feature.nearest(DECIBEL + 3), DECIBEL);
    }

    #[test]
    fn the_master_channel_has_no_volume_and_channels_no_mute() {
        let mut feature = Feature::output(Model::Sync, 2);
        assert!(!set(&mut feature, 0x0200, &[0, 0]));
        assert!(!set(&mut feature, 0x0101, &[0]));
        assert!(!set(&mut feature, 0x0100, &[2]));
    }
}
