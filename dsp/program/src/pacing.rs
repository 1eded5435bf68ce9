//! How many frames go into the next packet.
//!
//! A synchronous or adaptive endpoint gets the exact rate, spread evenly: at
//! 44.1 kHz and a packet a millisecond nine packets of 44 frames and one of 45.
//! An asynchronous one says through its feedback endpoint how much it wants
//! (USB 2.0 section 5.12.4.2): 10.14 in three bytes at full speed, 16.16 in
//! four at high speed, per frame or microframe. Values are the device's and so
//! hostile: what lies too far from the nominal rate is refused and counted.

/// Packets per second, from speed and interval.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Packets per second: 1000, or 8000 >> interval exponent.
    pub packets: u32,
    /// Units of the feedback value per packet: frames or microframes.
    pub units: u32,
    /// Whether the device is at full speed.
    pub full_speed: bool,
}

impl Cadence {
    /// The cadence of an endpoint with this bInterval.
    #[must_use]
    pub fn new(full_speed: bool, interval: u8) -> Self {
        if full_speed {
            // One packet a frame whatever bInterval says (A8).
            return Self { packets: 1000, units: 1, full_speed };
        }
        let exponent = match interval {
            1..=4 => interval - 1,
            _ => 0,
        };
        Self { packets: 8000 >> exponent, units: 1 << exponent, full_speed }
    }

    /// Nanoseconds from packet to packet.
    #[must_use]
    pub const fn period_ns(&self) -> u64 {
        1_000_000_000 / self.packets as u64
    }
}

/// Frames per packet, one packet after another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Pacing {
    cadence: Cadence,
    rate: u32,
    /// The device's wish in frames per unit, 16.16; `None` = exact rate.
    wish: Option<u32>,
    /// What was left over: of `rate` in packets-ths, or of the wish in 2^-16.
    rest: u32,
    /// Most frames that a packet may carry.
    most: u32,
    /// Feedback values that were refused.
    refused: u32,
}

impl Pacing {
    /// Pacing of `rate` frames per second with at most `most` frames a packet.
    #[must_use]
    pub fn new(cadence: Cadence, rate: u32, most: u32) -> Self {
        Self { cadence, rate, wish: None, rest: 0, most, refused: 0 }
    }

    /// Frames of the next packet.
    pub fn frames(&mut self) -> u32 {
        let frames = match self.wish {
            None => {
                self.rest += self.rate;
                let frames = self.rest / self.cadence.packets;
                self.rest %= self.cadence.packets;
                frames
            }
            Some(wish) => {
                let sum = u64::from(self.rest) + u64::from(wish) * u64::from(self.cadence.units);
                self.rest = sum as u32 & 0xFFFF;
                (sum >> 16) as u32
            }
        };
        frames.min(self.most)
    }

    /// Takes a feedback packet. Zeros and empty packets mean "no new value".
    pub fn feedback(&mut self, packet: &[u8]) {
        let value = match *packet {
            // 10.14, moved up to 16.16.
            [a, b, c] => u32::from_le_bytes([a, b, c, 0]) << 2,
            [a, b, c, d] => {
                let value = u32::from_le_bytes([a, b, c, d]);
                // Full-speed devices that send four bytes send 10.14 in them.
                if self.cadence.full_speed { value << 2 } else { value }
            }
            _ => 0,
        };
        if value == 0 {
            return;
        }
        match self.plausible(value) {
            Some(value) => {
                if self.wish.is_none() {
                    // The fraction counts packets-ths so far, and 2^-16 from now on.
                    self.rest =
                        ((u64::from(self.rest) << 16) / u64::from(self.cadence.packets)) as u32;
                }
                self.wish = Some(value);
            }
            None => self.refused = self.refused.wrapping_add(1),
        }
    }

    /// The nominal rate, in frames per second.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Feedback values refused so far.
    #[must_use]
    pub const fn refused(&self) -> u32 {
        self.refused
    }

    /// The value, shifted to where devices that scale it wrongly mean it to be
    /// (A15); `None` when no shift brings it to within an eighth of nominal.
    fn plausible(&self, value: u32) -> Option<u32> {
        let units = u64::from(self.cadence.packets) * u64::from(self.cadence.units);
        let nominal = ((u64::from(self.rate) << 16) / units) as u32;
        let low = nominal - nominal / 8;
        let high = nominal + nominal / 8;
        let fits = |value: &u32| (low..=high).contains(value);
        (0..=3)
            .flat_map(|shift| [value.checked_shl(shift), value.checked_shr(shift)])
            .flatten()
            .find(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cadence, Pacing};
    use proptest::prelude::*;

    const FULL: Cadence = Cadence { packets: 1000, units: 1, full_speed: true };

    #[test]
    fn forty_four_one_is_nine_times_44_and_once_45() {
        let mut pacing = Pacing::new(FULL, 44_100, 45);
        let ten: [u32; 10] = core::array::from_fn(|_| pacing.frames());
        assert_eq!(ten.iter().filter(|&&frames| frames == 44).count(), 9);
        assert_eq!(ten.iter().sum::<u32>(), 441);
    }

    #[test]
    fn high_speed_packets_follow_the_interval() {
        let cadence = Cadence::new(false, 4);
        assert_eq!((cadence.packets, cadence.units, cadence.period_ns()), (1000, 8, 1_000_000));
        assert_eq!(Cadence::new(false, 1).packets, 8000);
        assert_eq!(Cadence::new(true, 4).packets, 1000);
    }

    #[test]
    fn feedback_in_ten_fourteen_is_followed() {
        let mut pacing = Pacing::new(FULL, 48_000, 50);
        // 48.5 frames per frame.
        let value = (48 << 14) + (1 << 13);
        pacing.feedback(&u32::to_le_bytes(value)[..3]);
        assert_eq!((0..1000).map(|_| pacing.frames()).sum::<u32>(), 48_500);
    }

    #[test]
    fn feedback_in_sixteen_sixteen_counts_microframes() {
        let mut pacing = Pacing::new(Cadence::new(false, 4), 48_000, 60);
        pacing.feedback(&u32::to_le_bytes((6 << 16) + (1 << 12)));
        assert_eq!((0..1000).map(|_| pacing.frames()).sum::<u32>(), 48_500);
    }

    #[test]
    fn silence_of_the_endpoint_changes_nothing_and_nonsense_is_counted() {
        let mut pacing = Pacing::new(FULL, 48_000, 50);
        pacing.feedback(&[]);
        pacing.feedback(&[0, 0, 0]);
        assert_eq!(pacing.refused(), 0);
        pacing.feedback(&[1, 0, 0]);
        pacing.feedback(&[0xFF, 0xFF, 0xFF]);
        assert_eq!(pacing.refused(), 2);
        assert_eq!(pacing.frames(), 48);
    }

    #[test]
    fn a_value_shifted_by_the_device_is_shifted_back() {
        let mut pacing = Pacing::new(FULL, 48_000, 50);
        pacing.feedback(&u32::to_le_bytes(48 << 16)[..3]);
        assert_eq!((pacing.refused(), pacing.frames()), (0, 48));
    }

    proptest! {
        #[test]
        fn the_exact_rate_is_met_to_the_frame(rate in 8_000_u32..=192_000, packets in 1_u32..3000) {
            let mut pacing = Pacing::new(FULL, rate, u32::MAX);
            let sum: u64 = (0..packets).map(|_| u64::from(pacing.frames())).sum();
            prop_assert_eq!(sum, u64::from(rate) * u64::from(packets) / 1000);
        }

        #[test]
        fn no_feedback_makes_a_packet_longer_than_allowed(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..50),
        ) {
            let mut pacing = Pacing::new(FULL, 48_000, 49);
            for packet in packets {
                pacing.feedback(&packet);
                prop_assert!(pacing.frames() <= 49);
            }
        }
    }
}
