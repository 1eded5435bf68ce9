//! The judge: was what went over the wire, and what the headset heard, the WAV?
//!
//! It knows the sound that was asked for and the two records, and nothing of
//! drivers: the wire's from the packets, with the frame number in which each
//! was sent, and the headset's, which plays at its own clock from its own
//! buffer. A stream is right when the packets are consecutive and hold the
//! sound bit for bit, and the headset played it without a gap. The last packet
//! may be filled up with silence, because some devices take whole packets only.
//!
//! The simulator and boards are judged alike. Beside the judge are what both
//! need: sounds in and out of WAVs, captures of the wire, the report.

pub mod capture;
pub mod report;
pub mod sound;

use std::fmt;

/// An isochronous OUT packet as the wire had it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Service interval in which it was sent, counted from the machine's start.
    pub interval: u64,
    /// What it held.
    pub data: &'a [u8],
}

/// Microframes from packet to packet: a millisecond for every headset here, by
/// bInterval 1 at full speed and 4 at high speed. Taken from the stream itself,
/// it would excuse a stream at the wrong pace.
const PACE: u64 = 8;

impl<'a> Packet<'a> {
    /// The packet that went out in this microframe.
    #[must_use]
    pub const fn sent(microframe: u64, data: &'a [u8]) -> Self {
        Self { interval: microframe / PACE, data }
    }
}

/// What the headset made of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Everything it played, silence in gaps included.
    pub pcm: &'a [u8],
    /// Times that its buffer was empty between the first and the last frame.
    pub gaps: u32,
    /// Packets that it had to drop.
    pub dropped: u32,
}

/// What the judge found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The wire held the sound, bit for bit.
    pub wire_exact: bool,
    /// The headset played the sound, bit for bit.
    pub heard_exact: bool,
    /// Frames of the sound that the headset played right, from the first on.
    pub frames_played: u32,
    /// Service intervals between first and last packet without one.
    pub wire_gaps: u32,
    /// Gaps in the headset.
    pub heard_gaps: u32,
    /// Service intervals with more than one packet, or out of order.
    pub crowded: u32,
    /// Packets on the wire.
    pub packets: u32,
    /// First byte of the sound that the wire had wrong.
    pub first_difference: Option<usize>,
}

impl Verdict {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.wire_exact && self.heard_exact && self.gaps() == 0 && self.crowded == 0
    }

    /// Gaps, of which one on the wire and what the headset made of it are one.
    #[must_use]
    pub fn gaps(&self) -> u32 {
        self.wire_gaps.max(self.heard_gaps)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packets, gaps, frames) = (self.packets, self.gaps(), self.frames_played);
        write!(f, "{packets} packets, {gaps} gaps, {frames} frames")
    }
}

/// Judges the two records against the sound, given as it shall be on the wire
/// in frames of `frame_bytes`.
#[must_use]
pub fn judge<'a>(
    sound: &[u8],
    frame_bytes: usize,
    wire: impl Iterator<Item = Packet<'a>>,
    heard: Heard<'_>,
) -> Verdict {
    let mut verdict = Verdict { heard_gaps: heard.gaps, ..Verdict::default() };
    let mut at = 0;
    let mut previous: Option<u64> = None;
    let mut padding = false;
    for packet in wire {
        verdict.packets += 1;
        if let Some(previous) = previous {
            match packet.interval.checked_sub(previous) {
                None | Some(0) => verdict.crowded += 1,
                Some(step) => verdict.wire_gaps += (step - 1) as u32,
            }
        }
        previous = Some(packet.interval);
        if verdict.first_difference.is_some() {
            continue;
        }
        let expected = &sound[at..(at + packet.data.len()).min(sound.len())];
        let (held, rest) = packet.data.split_at(expected.len());
        let wrong = held.iter().zip(expected).position(|(held, expected)| held != expected);
        if let Some(wrong) = wrong {
            verdict.first_difference = Some(at + wrong);
        } else if !rest.is_empty()
            && (padding || expected.is_empty() || rest.iter().any(|&b| b != 0))
        {
            // Silence behind the end is right once, within the last packet.
            verdict.first_difference = Some(sound.len());
        }
        padding |= !rest.is_empty();
        at += expected.len();
    }
    if verdict.first_difference.is_none() && at < sound.len() {
        verdict.first_difference = Some(at);
    }
    verdict.wire_exact = verdict.first_difference.is_none();

    let same = heard.pcm.iter().zip(sound).take_while(|(heard, sound)| heard == sound).count();
    verdict.frames_played = (same / frame_bytes) as u32;
    verdict.heard_exact = same == sound.len()
        && heard.dropped == 0
        && heard.pcm[same..].iter().all(|&byte| byte == 0);
    verdict
}

#[cfg(test)]
mod tests {
    use super::{Heard, Packet, Verdict, judge};

    const SOUND: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    fn heard(pcm: &[u8]) -> Heard<'_> {
        Heard { pcm, gaps: 0, dropped: 0 }
    }

    fn packets(cuts: &[(u64, std::ops::Range<usize>)]) -> Vec<Packet<'static>> {
        cuts.iter()
            .map(|(interval, range)| {
                let data: &'static [u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0];
                Packet { interval: *interval, data: &data[range.clone()] }
            })
            .collect()
    }

    fn of(cuts: &[(u64, std::ops::Range<usize>)]) -> Verdict {
        judge(&SOUND, 2, packets(cuts).into_iter(), heard(&SOUND))
    }

    #[test]
    fn the_sound_in_consecutive_packets_is_right_and_so_is_a_padded_last_one() {
        assert!(of(&[(7, 0..4), (8, 4..8), (9, 8..12)]).is_right());
        assert!(of(&[(7, 0..4), (8, 4..8), (9, 8..14)]).is_right());
        assert_eq!(of(&[(7, 0..12)]).frames_played, 6);
    }

    #[test]
    fn a_missing_interval_is_a_gap_even_when_all_data_came() {
        let verdict = of(&[(7, 0..4), (9, 4..12)]);
        assert!(verdict.wire_exact && !verdict.is_right());
        assert_eq!(verdict.gaps(), 1);
    }

    #[test]
    fn two_packets_in_an_interval_are_not_right() {
        assert_eq!(of(&[(7, 0..4), (7, 4..12)]).crowded, 1);
    }

    #[test]
    fn a_dropped_a_doubled_and_a_shortened_stream_are_not_exact() {
        assert_eq!(of(&[(7, 0..4), (8, 8..12)]).first_difference, Some(4));
        assert_eq!(of(&[(7, 0..4), (8, 0..4), (9, 4..12)]).first_difference, Some(4));
        assert_eq!(of(&[(7, 0..4), (8, 4..8)]).first_difference, Some(8));
        assert_eq!(of(&[]).first_difference, Some(0));
    }

    #[test]
    fn a_packet_of_silence_behind_the_end_is_one_too_many() {
        assert!(!of(&[(7, 0..12), (8, 12..14)]).wire_exact);
    }

    #[test]
    fn a_flipped_bit_is_found_where_it_is() {
        let mut data = SOUND;
        data[9] ^= 0x10;
        let wire = [Packet { interval: 0, data: &data }];
        let verdict = judge(&SOUND, 2, wire.into_iter(), heard(&data));
        assert_eq!((verdict.first_difference, verdict.frames_played), (Some(9), 4));
        assert!(!verdict.heard_exact);
    }

    #[test]
    fn the_headset_must_have_played_all_of_it_without_gap_or_drop() {
        let wire = || packets(&[(0, 0..12)]).into_iter();
        assert!(!judge(&SOUND, 2, wire(), heard(&SOUND[..10])).heard_exact);
        assert!(!judge(&SOUND, 2, wire(), Heard { dropped: 1, ..heard(&SOUND) }).heard_exact);
        assert!(!judge(&SOUND, 2, wire(), Heard { gaps: 1, ..heard(&SOUND) }).is_right());
        let mut louder = SOUND.to_vec();
        louder.extend([0, 0, 0, 9]);
        assert!(!judge(&SOUND, 2, wire(), heard(&louder)).heard_exact);
    }
}
