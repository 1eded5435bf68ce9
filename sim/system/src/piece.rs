//! The built-in piece: what is played when no WAV is given.
//!
//! Four bars of a round arpeggio, a bell-like voice over a bass, synthesised
//! here so that the project ships no recording. Stereo, 16 bits.

use judge::sound::Sound;
use std::f64::consts::TAU;

/// Semitones above A3 of the arpeggio, one bar a row: vi, IV, I, V of C major.
const BARS: [[i32; 8]; 4] = [
    [0, 3, 7, 12, 15, 12, 7, 3],
    [-4, 0, 3, 8, 12, 8, 3, 0],
    [3, 7, 10, 15, 19, 15, 10, 7],
    [-2, 2, 5, 10, 14, 10, 5, 2],
];
/// Seconds that a note lasts before the next begins.
const STEP: f64 = 0.14;
/// Seconds of the whole piece: four bars of eight steps, and the last note's end.
pub const SECONDS: f64 = 5.0;

/// The piece at `rate` frames per second, `frames` frames of it (it repeats).
#[must_use]
pub fn piece(rate: u32, frames: u32) -> Sound {
    let period = (SECONDS * f64::from(rate)) as u32;
    let mut pcm = Vec::with_capacity(frames as usize * 4);
    let one_round: Vec<[i16; 2]> =
        (0..period.min(frames)).map(|frame| at(f64::from(frame) / f64::from(rate))).collect();
    for frame in 0..frames {
        for sample in one_round[(frame % period) as usize] {
            pcm.extend_from_slice(&sample.to_le_bytes());
        }
    }
    Sound { rate, channels: 2, sample_bytes: 2, pcm }
}

/// Both channels at `time` seconds.
fn at(time: f64) -> [i16; 2] {
    let (mut left, mut right) = (0.0, 0.0);
    for (bar, notes) in BARS.iter().enumerate() {
        let bar_start = bar as f64 * 8.0 * STEP;
        let bass = voice(time - bar_start, frequency(notes[0] - 12), 1.1, 0.30);
        left += bass;
        right += bass;
        for (step, &note) in notes.iter().enumerate() {
            let sound =
                voice(time - bar_start - step as f64 * STEP, frequency(note + 12), 0.45, 0.22);
            // Notes wander from left to right and back within a bar.
            let pan = 0.5 + 0.35 * (TAU * step as f64 / 8.0).sin();
            left += sound * (1.0 - pan);
            right += sound * pan;
        }
    }
    [left, right].map(|sum| (sum.clamp(-1.0, 1.0) * 30_000.0) as i16)
}

fn frequency(semitones: i32) -> f64 {
    220.0 * (f64::from(semitones) / 12.0).exp2()
}

/// A struck tone `age` seconds after it was struck: silent before, and fading.
fn voice(age: f64, frequency: f64, decay: f64, volume: f64) -> f64 {
    if !(0.0..6.0 * decay).contains(&age) {
        return 0.0;
    }
    let envelope = (age / 0.004).min(1.0) * (-age / decay).exp();
    let phase = TAU * frequency * age;
    volume * envelope * (phase.sin() + 0.35 * (2.0 * phase).sin() + 0.12 * (3.01 * phase).sin())
}

#[cfg(test)]
mod tests {
    use super::{SECONDS, piece};

    #[test]
    fn the_piece_has_the_frames_asked_for_and_is_no_silence() {
        let sound = piece(48_000, 12_345);
        assert_eq!(sound.frames(), 12_345);
        assert!(sound.pcm.iter().any(|&byte| byte != 0));
    }

    #[test]
    fn the_piece_repeats_after_its_seconds() {
        let period = (SECONDS * 8000.0) as usize;
        let sound = piece(8000, 2 * period as u32);
        let (first, second) = sound.pcm.split_at(period * 4);
        assert!(first == second);
    }
}
