//! The microphone of a headset, and the record of what it heard.
//!
//! What it hears is decided by the frame on the bus alone: every sample of
//! virtual time has a value of its own. So a packet that nobody asked for is
//! lost sound, and whoever recorded what is on record here missed nothing.

use super::controls::{Feature, Gain, UNITY};
use super::layout;
use crate::bus::{Endpoint, Interface, Microframe};
use fabric::Time;

/// One take: from the first packet that was asked for in a streaming setting to
/// the end of that setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Frames per second.
    pub rate: u32,
    /// When its first packet was sent.
    pub first: Time,
    /// What it heard while it was asked, as mono S16 at unity.
    pub pcm: Vec<u8>,
    /// Frames of the bus, between its first packet and its last, in which it was
    /// not asked.
    pub missed: u64,
}

/// The record of a microphone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// The takes, oldest first.
    pub takes: Vec<Take>,
}

/// A microphone.
#[derive(Debug)]
pub(super) struct Microphone {
    layout: layout::Microphone,
    feature: Feature,
    /// Its interface is in its streaming setting.
    recording: bool,
    rate: Option<u32>,
    /// The frame of the bus of the packet before, in the take under way.
    last: Option<u64>,
    spoken: Spoken,
}

impl Microphone {
    pub(super) fn new(layout: layout::Microphone) -> Self {
        Self {
            layout,
            feature: Feature::microphone(layout.unit),
            recording: false,
            rate: None,
            last: None,
            spoken: Spoken::default(),
        }
    }

    pub(super) fn interface(&self) -> Interface {
        self.layout.interface
    }

    pub(super) fn feature(&mut self) -> &mut Feature {
        &mut self.feature
    }

    pub(super) fn spoken(&self) -> &Spoken {
        &self.spoken
    }

    /// Whether `endpoint` is its own, and in force.
    pub(super) fn has(&self, endpoint: Endpoint) -> bool {
        self.recording && endpoint == self.layout.endpoint
    }

    pub(super) fn rate(&self) -> Option<u32> {
        self.rate
    }

    /// Sets the rate; whether there is such a one.
    pub(super) fn set_rate(&mut self, rate: u32) -> bool {
        let known = layout::CAPTURE_RATES.contains(&rate);
        if known {
            (self.rate, self.last) = (Some(rate), None);
        }
        known
    }

    /// Selects the streaming setting, or the one that rests.
    pub(super) fn select(&mut self, recording: bool) {
        (self.recording, self.last) = (recording, None);
    }

    /// Back to what it is after power-on, but for the record.
    pub(super) fn unconfigure(&mut self) {
        self.feature.power_on();
        self.select(false);
        self.rate = None;
    }

    /// A packet is asked for: what was heard in this frame of the bus.
    pub(super) fn packet(&mut self, at: Microframe, into: &mut [u8]) -> Option<usize> {
        let rate = self.rate?;
        let frame = at.frame();
        let until = |frame: u64| frame * u64::from(rate) / 1000;
        let heard: Vec<i16> = (until(frame)..until(frame + 1)).map(sample).collect();
        match (self.last.replace(frame), self.spoken.takes.last_mut()) {
            (Some(last), Some(take)) => take.missed += frame - last - 1,
            _ => {
                let take = Take { rate, first: at.starts(), pcm: Vec::new(), missed: 0 };
                self.spoken.takes.push(take);
            }
        }
        if let Some(take) = self.spoken.takes.last_mut() {
            take.pcm.extend(heard.iter().flat_map(|sample| sample.to_le_bytes()));
        }
        let gain = self.feature.gain();
        let sent = heard.iter().flat_map(|&sample| amplified(sample, gain).to_le_bytes());
        let mut len = 0;
        for (place, byte) in into.iter_mut().zip(sent) {
            *place = byte;
            len += 1;
        }
        Some(len)
    }
}

/// What there is to be heard at sample `n` since virtual time zero.
fn sample(n: u64) -> i16 {
    let mixed = (n ^ n >> 7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // The upper half never is silence for long.
    (mixed >> 48) as i16
}

fn amplified(sample: i16, gain: Gain) -> i16 {
    if gain.muted {
        return 0;
    }
    let scaled = i64::from(sample) * i64::from(gain.factor[0]) / i64::from(UNITY);
    scaled.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[cfg(test)]
mod tests {
    use super::super::layout;
    use super::Microphone;
    use crate::bus::{Microframe, Setup};

    fn ready() -> Microphone {
        let layout = layout::Layout::new(super::super::Model::Capture).microphone;
        let mut microphone = Microphone::new(layout.expect("it has one"));
        microphone.select(true);
        assert!(microphone.set_rate(44_100));
        microphone
    }

    fn unmute(microphone: &mut Microphone) {
        let setup = Setup { kind: 0x21, request: 1, value: 0x0100, index: 0x0600, length: 1 };
        microphone.feature().set(setup, &[0]).expect("it has a mute");
    }

    #[test]
    fn it_starts_muted_and_hears_all_the_same() {
        let mut microphone = ready();
        let mut packet = [1; 98];
        assert_eq!(microphone.packet(Microframe(80), &mut packet), Some(88));
        assert!(packet[..88].iter().all(|&byte| byte == 0));
        unmute(&mut microphone);
        assert_eq!(microphone.packet(Microframe(88), &mut packet), Some(88));
        let take = &microphone.spoken().takes[0];
        assert_eq!(packet[..88], take.pcm[88..176]);
        assert!(take.pcm.chunks(64).all(|piece| piece.iter().any(|&byte| byte != 0)));
        assert_eq!((take.rate, take.missed), (44_100, 0));
    }

    #[test]
    fn what_nobody_asks_for_is_missed_and_another_setting_is_another_take() {
        let mut microphone = ready();
        let mut packet = [0; 98];
        microphone.packet(Microframe(80), &mut packet);
        microphone.packet(Microframe(8 * 14), &mut packet);
        assert_eq!(microphone.spoken().takes[0].missed, 3);
        microphone.select(false);
        microphone.select(true);
        microphone.packet(Microframe(8 * 30), &mut packet);
        let missed: Vec<u64> = microphone.spoken().takes.iter().map(|take| take.missed).collect();
        assert_eq!(missed, [3, 0]);
    }

    #[test]
    fn without_a_rate_it_says_nothing() {
        let mut microphone = ready();
        microphone.unconfigure();
        microphone.select(true);
        assert_eq!(microphone.packet(Microframe(80), &mut [0; 98]), None);
        assert!(!microphone.set_rate(12_345));
    }
}
