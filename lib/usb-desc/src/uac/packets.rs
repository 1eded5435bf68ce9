//! How many frames go into which packet (A17).
//!
//! A rate is rarely a whole number of frames per packet: 44.1 kHz at full
//! speed is nine packets of 44 and one of 45. [`Sizing`] says what an alternate
//! allows, [`Pacer`] counts frames out so that no fraction is ever lost, either
//! at the nominal rate or at the one that feedback asks for.

use usb_types::Speed;

use crate::standard::unit_us;
use crate::uac::feedback::FramesPerUnit;
use crate::uac::stream::Alternate;

/// Packet sizes of an alternate at one rate.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// Frames per second.
    pub rate: u32,
    /// Packets per second.
    pub packets: u32,
    /// log2 of bus units per packet.
    pub interval: u8,
    /// Most frames in a packet: one and a half times nominal, rounded up, for
    /// a device whose clock is off; less when the endpoint carries less.
    pub max_frames: u16,
    /// Bytes of a frame.
    pub frame_bytes: u16,
}

impl Sizing {
    /// The sizes of `alternate` at `rate`; `None` when its packets cannot
    /// carry the rate, or the rate is 0.
    #[must_use]
    pub fn new(alternate: &Alternate, speed: Speed, rate: u32) -> Option<Self> {
        let interval = alternate.data_interval(speed);
        let packets = 1_000_000 / (unit_us(speed) << interval);
        let frame_bytes = alternate.frame_bytes();
        let room = alternate.data.interval_bytes().checked_div(frame_bytes.into())?;
        if rate == 0 || rate.div_ceil(packets) > room {
            return None;
        }
        let generous = rate.checked_mul(3)?.div_ceil(packets.checked_mul(2)?);
        let max_frames = u16::try_from(generous.min(room)).ok()?;
        Some(Self { rate, packets, interval, max_frames, frame_bytes })
    }

    /// Most bytes in a packet.
    #[must_use]
    pub fn max_bytes(&self) -> u32 {
        u32::from(self.max_frames) * u32::from(self.frame_bytes)
    }
}

/// Says packet by packet how many frames to send.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Pacer {
    sizing: Sizing,
    /// Frames per packet are `step / scale`.
    step: u32,
    scale: u32,
    /// What the packets so far owe, in `1 / scale` frames; below `scale`
    /// unless `max_frames` cut a packet short.
    owed: u32,
}

/// One frame in the unit of [`FramesPerUnit`].
const ONE: u32 = 1 << 16;

impl Pacer {
    /// A pacer at the nominal rate.
    #[must_use]
    pub const fn new(sizing: Sizing) -> Self {
        Self { sizing, step: sizing.rate, scale: sizing.packets, owed: 0 }
    }

    /// Frames of the next packet.
    pub fn next_frames(&mut self) -> u16 {
        self.owed = self.owed.saturating_add(self.step);
        let due = (self.owed / self.scale).min(self.sizing.max_frames.into());
        self.owed -= due * self.scale;
        // What a packet cannot carry is not saved up: a device that asks for
        // more than its packets hold does not get a burst later.
        self.owed = self.owed.min(self.scale.saturating_sub(1));
        due as u16
    }

    /// Follows the device's clock from the next packet on.
    pub fn follow(&mut self, asked: FramesPerUnit) {
        let FramesPerUnit(per_unit) = asked;
        if self.scale != ONE {
            self.owed = (u64::from(self.owed) * u64::from(ONE) / u64::from(self.scale)) as u32;
            self.scale = ONE;
        }
        self.step = per_unit << self.sizing.interval;
    }

    /// What an alternate allows at this rate.
    #[must_use]
    pub const fn sizing(&self) -> &Sizing {
        &self.sizing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizing(rate: u32, packets: u32, interval: u8, max_frames: u16) -> Sizing {
        Sizing { rate, packets, interval, max_frames, frame_bytes: 4 }
    }

    #[test]
    fn a_44_1_khz_stream_is_nine_packets_of_44_and_one_of_45() {
        let mut pacer = Pacer::new(sizing(44_100, 1000, 0, 67));
        for _ in 0..3 {
            let ten: Vec<u16> = (0..10).map(|_| pacer.next_frames()).collect();
            assert_eq!(ten, [44, 44, 44, 44, 44, 44, 44, 44, 44, 45]);
        }
    }

    #[test]
    fn no_fraction_is_lost_at_any_rate() {
        for rate in [8000, 11_025, 22_050, 44_100, 48_000, 88_200, 96_000, 4990] {
            for packets in [1000, 2000, 4000, 8000] {
                let mut pacer = Pacer::new(sizing(rate, packets, 0, 200));
                let sum: u32 = (0..packets * 3).map(|_| u32::from(pacer.next_frames())).sum();
                assert_eq!(sum, rate * 3, "{rate} at {packets}");
            }
        }
    }

    #[test]
    fn following_feedback_keeps_the_fraction_and_sends_what_is_asked() {
        let mut pacer = Pacer::new(sizing(44_100, 1000, 0, 67));
        (0..5).for_each(|_| assert_eq!(pacer.next_frames(), 44));
        pacer.follow(FramesPerUnit(44 * ONE + ONE / 10 + 1));
        assert_eq!((0..5).map(|_| pacer.next_frames()).max(), Some(45));
        pacer.follow(FramesPerUnit(45 * ONE));
        let sum: u32 = (0..100).map(|_| u32::from(pacer.next_frames())).sum();
        assert_eq!(sum, 4500);
    }

    #[test]
    fn a_packet_of_eight_microframes_sums_eight_values() {
        let mut pacer = Pacer::new(sizing(48_000, 1000, 3, 72));
        pacer.follow(FramesPerUnit(6 * ONE + ONE / 16));
        let sum: u32 = (0..1000).map(|_| u32::from(pacer.next_frames())).sum();
        assert_eq!(sum, 48_500);
    }

    #[test]
    fn what_a_packet_cannot_carry_is_not_saved_up() {
        let mut pacer = Pacer::new(sizing(48_000, 1000, 0, 48));
        pacer.follow(FramesPerUnit(50 * ONE));
        (0..100).for_each(|_| assert_eq!(pacer.next_frames(), 48));
        pacer.follow(FramesPerUnit(47 * ONE));
        let after: u32 = (0..10).map(|_| u32::from(pacer.next_frames())).sum();
        assert!(after <= 471, "{after}");
    }
}
