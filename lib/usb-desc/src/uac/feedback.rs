//! Explicit feedback: how many frames per frame the device wants (A15).
//!
//! USB 2.0 section 5.12.4.2: at full speed three bytes, 10.14; at high speed
//! four bytes, 16.16. Devices exist that put the point elsewhere, so the first
//! value that comes near the nominal rate under a shift fixes that shift. A
//! value that is off by more than an eighth is not followed, and the shift is
//! looked for again.

use usb_types::Speed;

use crate::standard::unit_us;

/// Frames per bus unit (1 ms at full speed, 125 us above), in 1/65536.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FramesPerUnit(pub u32);

impl FramesPerUnit {
    /// What `rate` frames per second are, rounded to the nearest.
    #[must_use]
    pub const fn nominal(rate: u32, speed: Speed) -> Self {
        let units = 1_000_000 / unit_us(speed) as u64;
        Self((((rate as u64) << 16) + units / 2).div_euclid(units) as u32)
    }
}

/// Why a feedback value is not followed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FeedbackError {
    /// Neither three nor four bytes.
    Length,
    /// The value 0: the device has none yet.
    Zero,
    /// Too far from the nominal rate.
    Range,
}

/// Reads the feedback values of one stream.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    nominal: u32,
    /// Where the device puts the point, as a shift to the left.
    shift: Option<i8>,
}

/// Most places that the point may be off, either way: beyond it no device has
/// been seen, and 8 keeps every shift of a 28-bit value inside 64 bits.
const MAX_SHIFT: i8 = 8;

impl Feedback {
    /// A reader for a stream of `rate` frames per second.
    #[must_use]
    pub const fn new(rate: u32, speed: Speed) -> Self {
        Self { nominal: FramesPerUnit::nominal(rate, speed).0, shift: None }
    }

    /// Reads a packet of the feedback endpoint.
    ///
    /// # Errors
    /// Why the value is not to be followed: go on as before.
    pub fn read(&mut self, packet: &[u8]) -> Result<FramesPerUnit, FeedbackError> {
        let raw = match *packet {
            [a, b, c] => u32::from_le_bytes([a, b, c, 0]),
            // The top four bits of a 16.16 value mean 4096 frames or more per
            // microframe; devices leave dirt there.
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d & 0x0f]),
            _ => return Err(FeedbackError::Length),
        };
        if raw == 0 {
            return Err(FeedbackError::Zero);
        }
        let shift = match self.shift {
            Some(shift) => shift,
            None => self.find_shift(raw).ok_or(FeedbackError::Range)?,
        };
        let value = shifted(raw, shift);
        let tolerance = u64::from(self.nominal / 8);
        let nominal = u64::from(self.nominal);
        if (nominal - tolerance..=nominal + tolerance).contains(&value) {
            self.shift = Some(shift);
            Ok(FramesPerUnit(value as u32))
        } else {
            self.shift = None;
            Err(FeedbackError::Range)
        }
    }

    /// The shift that brings `raw` into three quarters to one and a half of
    /// nominal: the bounds are a factor of two apart, so it is the only one.
    fn find_shift(&self, raw: u32) -> Option<i8> {
        let nominal = u64::from(self.nominal);
        let near = nominal - nominal / 4..nominal + nominal / 2;
        (-MAX_SHIFT..=MAX_SHIFT).find(|&shift| near.contains(&shifted(raw, shift)))
    }
}

fn shifted(raw: u32, shift: i8) -> u64 {
    let raw = u64::from(raw);
    if shift < 0 { raw >> shift.unsigned_abs() } else { raw << shift }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u32 = 1 << 16;

    /// A15: 10.14 in three bytes at full speed.
    #[test]
    fn a15_full_speed_values_have_fourteen_fraction_bits() {
        let mut feedback = Feedback::new(48_000, Speed::Full);
        let raw = (48u32 << 14) + (1 << 13);
        let packet = raw.to_le_bytes();
        assert_eq!(feedback.read(&packet[..3]), Ok(FramesPerUnit(48 * ONE + ONE / 2)));
    }

    /// A15: 16.16 in four bytes at high speed, dirt in the top bits ignored.
    #[test]
    fn a15_high_speed_values_have_sixteen_fraction_bits() {
        let mut feedback = Feedback::new(48_000, Speed::High);
        let packet = ((6 * ONE + 100) | 0xa000_0000).to_le_bytes();
        assert_eq!(feedback.read(&packet), Ok(FramesPerUnit(6 * ONE + 100)));
    }

    /// A15: the shift is found from the first value and kept.
    #[test]
    fn a15_a_point_elsewhere_is_found_and_kept() {
        let mut feedback = Feedback::new(48_000, Speed::Full);
        for places in [-6i32, -3, 0, 1, 2, 8] {
            feedback.shift = None;
            let raw = if places < 0 { (48 * ONE) << -places } else { (48 * ONE) >> places };
            assert_eq!(feedback.read(&raw.to_le_bytes()), Ok(FramesPerUnit(48 * ONE)), "{places}");
            assert_eq!(feedback.shift, Some(places as i8));
        }
        assert_eq!(feedback.read(&(48 * ONE).to_le_bytes()), Err(FeedbackError::Range));
        assert_eq!(feedback.read(&(48 * ONE).to_le_bytes()), Ok(FramesPerUnit(48 * ONE)));
    }

    /// A15: the range check.
    #[test]
    fn a15_a_value_off_by_more_than_an_eighth_is_not_followed() {
        let mut feedback = Feedback::new(48_000, Speed::High);
        for (value, expect) in [
            (6 * ONE, true),
            (6 * ONE + 6 * ONE / 8, true),
            (6 * ONE + 6 * ONE / 8 + 1, false),
            (6 * ONE - 6 * ONE / 8, true),
            (6 * ONE - 6 * ONE / 8 - 1, false),
        ] {
            assert_eq!(feedback.read(&value.to_le_bytes()).is_ok(), expect, "{value}");
        }
    }

    #[test]
    fn a_packet_of_another_length_or_a_zero_is_no_value() {
        let mut feedback = Feedback::new(48_000, Speed::Full);
        assert_eq!(feedback.read(&[]), Err(FeedbackError::Length));
        assert_eq!(feedback.read(&[0; 5]), Err(FeedbackError::Length));
        assert_eq!(feedback.read(&[0; 3]), Err(FeedbackError::Zero));
    }

    #[test]
    fn nominal_is_rounded_to_the_nearest() {
        assert_eq!(FramesPerUnit::nominal(48_000, Speed::Full), FramesPerUnit(48 * ONE));
        assert_eq!(FramesPerUnit::nominal(44_100, Speed::High), FramesPerUnit(361_267));
    }
}
