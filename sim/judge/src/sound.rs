//! PCM in and out of WAV files.
//!
//! `hound` reads and writes the files; this module says what Sotto takes and
//! explains a refusal. PCM is kept as it lies in a WAV: little-endian, frames
//! interleaved, 8 bits unsigned, wider samples signed.

use std::fmt;
use std::io::{Read, Seek, Write};

/// A piece of PCM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame: 1 or 2.
    pub channels: u8,
    /// Bytes per sample: 1 to 4.
    pub sample_bytes: u8,
    /// The samples.
    pub pcm: Vec<u8>,
}

/// Why a WAV cannot be played.
#[derive(Debug, PartialEq, Eq)]
pub enum SoundError {
    /// Not a RIFF/WAVE file, or a broken one; the reader's words.
    NotWav(String),
    /// Samples are not integers.
    Float,
    /// Compressed, or of a format no one knows.
    Compressed,
    /// The file ends before its header says.
    Truncated {
        /// Frames that the header promises.
        promised: u32,
        /// Whole frames that are there.
        found: u32,
    },
    /// More channels than two.
    Channels(u16),
    /// A sample width that is none of 8, 16, 24, 32.
    Width(u16),
    /// No frames at all.
    Empty,
    /// The file could not be read; the operating system's words.
    Io(String),
}

impl fmt::Display for SoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWav(why) => write!(f, "not a WAV file ({why})"),
            Self::Float => f.write_str("its samples are floating point"),
            Self::Compressed => f.write_str("its samples are compressed"),
            Self::Truncated { promised, found } => write!(
                f,
                "it is truncated: the header promises {promised} frames, {found} are there"
            ),
            Self::Channels(n) => write!(f, "it has {n} channels"),
            Self::Width(bits) => write!(f, "its samples have {bits} bits"),
            Self::Empty => f.write_str("it holds no sound"),
            Self::Io(why) => write!(f, "it cannot be read: {why}"),
        }
    }
}

impl std::error::Error for SoundError {}

/// What a WAV must be, for messages.
pub const SUPPORTED: &str = "PCM of 8, 16, 24 or 32 bits, mono or stereo";

impl Sound {
    /// Frames of the piece.
    #[must_use]
    pub fn frames(&self) -> u32 {
        (self.pcm.len() / self.frame_bytes()) as u32
    }

    /// Bytes of one frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * usize::from(self.sample_bytes)
    }

    /// Seconds of the piece.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        f64::from(self.frames()) / f64::from(self.rate)
    }

    /// The same sound with samples of at least 16 bits: 8-bit samples, which no
    /// headset here has, times 256. Nothing is lost.
    #[must_use]
    pub fn widened(self) -> Self {
        if self.sample_bytes != 1 {
            return self;
        }
        let pcm = self.pcm.iter().flat_map(|byte| [0, byte ^ 0x80]).collect();
        Self { sample_bytes: 2, pcm, ..self }
    }

    /// Reads a WAV file.
    ///
    /// # Errors
    /// See [`SoundError`]; nothing half-read is returned.
    pub fn read_wav(reader: impl Read) -> Result<Self, SoundError> {
        let mut reader = hound::WavReader::new(reader).map_err(refusal)?;
        let spec = reader.spec();
        if spec.sample_format == hound::SampleFormat::Float {
            return Err(SoundError::Float);
        }
        if !matches!(spec.channels, 1 | 2) {
            return Err(SoundError::Channels(spec.channels));
        }
        if !matches!(spec.bits_per_sample, 8 | 16 | 24 | 32) {
            return Err(SoundError::Width(spec.bits_per_sample));
        }
        let sample_bytes = (spec.bits_per_sample / 8) as u8;
        let promised = reader.duration();
        let mut pcm = Vec::with_capacity(reader.len() as usize * usize::from(sample_bytes));
        let mut samples = 0_u32;
        for sample in reader.samples::<i32>() {
            match sample {
                Ok(sample) if sample_bytes == 1 => pcm.push((sample + 0x80) as u8),
                Ok(sample) => {
                    pcm.extend_from_slice(&sample.to_le_bytes()[..usize::from(sample_bytes)]);
                }
                Err(hound::Error::IoError(_) | hound::Error::FormatError(_)) => {
                    let found = samples / u32::from(spec.channels);
                    return Err(SoundError::Truncated { promised, found });
                }
                Err(other) => return Err(refusal(other)),
            }
            samples += 1;
        }
        if samples == 0 {
            return Err(SoundError::Empty);
        }
        Ok(Self { rate: spec.sample_rate, channels: spec.channels as u8, sample_bytes, pcm })
    }

    /// Writes a WAV file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write_wav(&self, writer: impl Write + Seek) -> std::io::Result<()> {
        let spec = hound::WavSpec {
            channels: u16::from(self.channels),
            sample_rate: self.rate,
            bits_per_sample: u16::from(self.sample_bytes) * 8,
            sample_format: hound::SampleFormat::Int,
        };
        let io = |error| match error {
            hound::Error::IoError(error) => error,
            other => std::io::Error::other(other),
        };
        let mut writer = hound::WavWriter::new(writer, spec).map_err(io)?;
        for sample in self.pcm.chunks_exact(usize::from(self.sample_bytes)) {
            writer.write_sample(signed(sample)).map_err(io)?;
        }
        writer.finalize().map_err(io)
    }
}

/// The sample as `hound` wants it: signed, sign-extended.
fn signed(sample: &[u8]) -> i32 {
    match *sample {
        [byte] => i32::from(byte) - 0x80,
        _ => {
            let mut word = [0; 4];
            word[4 - sample.len()..].copy_from_slice(sample);
            i32::from_le_bytes(word) >> (8 * (4 - sample.len()))
        }
    }
}

fn refusal(error: hound::Error) -> SoundError {
    match error {
        hound::Error::Unsupported => SoundError::Compressed,
        hound::Error::FormatError(why) => SoundError::NotWav(why.to_owned()),
        // `hound` reports an early end as an error of its own making; what the
        // operating system refuses carries its code.
        hound::Error::IoError(why) if why.raw_os_error().is_none() => {
            SoundError::NotWav("it ends within its header".to_owned())
        }
        hound::Error::IoError(why) => SoundError::Io(why.to_string()),
        other => SoundError::NotWav(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Sound, SoundError};
    use std::io::Cursor;

    fn wav(sound: &Sound) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        sound.write_wav(&mut file).expect("a vector takes everything");
        file.into_inner()
    }

    fn sound(channels: u8, sample_bytes: u8) -> Sound {
        let bytes = 12 * usize::from(channels) * usize::from(sample_bytes);
        let pcm = (0..bytes).map(|n| (n * 37 + 11) as u8).collect();
        Sound { rate: 48_000, channels, sample_bytes, pcm }
    }

    #[test]
    fn every_width_comes_back_bit_for_bit() {
        for channels in [1, 2] {
            for sample_bytes in [1, 2, 3, 4] {
                let sound = sound(channels, sample_bytes);
                assert_eq!(Sound::read_wav(Cursor::new(wav(&sound))), Ok(sound));
            }
        }
    }

    #[test]
    fn eight_bits_become_sixteen_without_loss() {
        let narrow = Sound { rate: 8000, channels: 1, sample_bytes: 1, pcm: vec![0, 0x80, 0xFF] };
        let wide = narrow.widened();
        let samples: Vec<i16> =
            wide.pcm.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        assert_eq!((wide.sample_bytes, samples), (2, vec![-32768, 0, 0x7F00]));
    }

    #[test]
    fn a_truncated_file_is_said_to_be_truncated() {
        let mut file = wav(&sound(2, 2));
        file.truncate(file.len() - 5);
        assert_eq!(
            Sound::read_wav(Cursor::new(file)),
            Err(SoundError::Truncated { promised: 12, found: 10 })
        );
    }

    #[test]
    fn what_is_no_wav_is_refused() {
        assert!(matches!(
            Sound::read_wav(Cursor::new(b"OggS and so on, long enough to look at")),
            Err(SoundError::NotWav(_))
        ));
        assert!(matches!(Sound::read_wav(Cursor::new([])), Err(SoundError::NotWav(_))));
    }

    #[test]
    fn float_and_compressed_are_refused_each_by_name() {
        let mut file = Cursor::new(Vec::new());
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::new(&mut file, spec).expect("a vector");
        writer.write_sample(0.5_f32).expect("a vector");
        writer.finalize().expect("a vector");
        assert_eq!(Sound::read_wav(Cursor::new(file.into_inner())), Err(SoundError::Float));

        let mut file = wav(&sound(1, 2));
        assert_eq!(file[20], 1, "the format tag of plain PCM");
        file[20] = 2;
        assert_eq!(Sound::read_wav(Cursor::new(file)), Err(SoundError::Compressed));
    }

    #[test]
    fn an_empty_file_and_too_many_channels_are_refused() {
        let none = Sound { pcm: Vec::new(), ..sound(2, 2) };
        assert_eq!(Sound::read_wav(Cursor::new(wav(&none))), Err(SoundError::Empty));
        let six = Sound { channels: 6, ..sound(2, 2) };
        assert_eq!(Sound::read_wav(Cursor::new(wav(&six))), Err(SoundError::Channels(6)));
    }
}
