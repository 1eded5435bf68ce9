//! What a command in the media pool asks for, checked.
//!
//! The command comes from outside (a loader, a test): it is copied once and
//! each thing that can be wrong with it has a code of its own.

use dsp_abi::media::{Command, MAGIC, PCM, Path, VERSION};
use usb_audio_api::{SampleFormat, StreamFormat};

/// A command that makes sense.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its sequence number.
    pub sequence: u32,
    /// Which way the sound shall take.
    pub path: Path,
    /// What the PCM looks like.
    pub format: StreamFormat,
    /// Bytes of one frame.
    pub frame_bytes: u32,
    /// Frames to play.
    pub frames: u32,
    /// Transfer buffer for the DSP, in microseconds of sound.
    pub buffer_us: u32,
}

/// What is wrong with a command. The player's answer carries it as the code,
/// with the player itself as the server.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BadCommand {
    /// Another layout than this image knows.
    Version = 1,
    /// The checksum is wrong: the command is damaged or half written.
    Checksum,
    /// No such path.
    Path,
    /// A sample width that is none of 1 to 4 bytes.
    SampleBytes,
    /// Channels that are none of 1 or 2.
    Channels,
    /// A rate of 0.
    Rate,
    /// Nothing to play.
    NoFrames,
    /// More frames than the media pool holds.
    TooLong,
}

impl Order {
    /// Checks a copy of a command against a media pool of `pool_bytes`. `None`
    /// when there is no command at all: an empty page, or one already `taken`.
    ///
    /// # Errors
    /// See [`BadCommand`]; the writer mends the command and raises its sequence.
    pub fn check(
        command: &Command,
        taken: u32,
        pool_bytes: u32,
    ) -> Option<Result<Self, BadCommand>> {
        if command.magic != MAGIC || command.sequence == 0 || command.sequence == taken {
            return None;
        }
        Some(Self::parse(command, pool_bytes))
    }

    fn parse(command: &Command, pool_bytes: u32) -> Result<Self, BadCommand> {
        if command.version != VERSION {
            return Err(BadCommand::Version);
        }
        if command.checksum != command.expected_checksum() {
            return Err(BadCommand::Checksum);
        }
        let path = match command.path {
            path if path == Path::Player as u32 => Path::Player,
            path if path == Path::Offload as u32 => Path::Offload,
            _ => return Err(BadCommand::Path),
        };
        let sample = match command.sample_bytes {
            1 => SampleFormat::U8,
            2 => SampleFormat::S16Le,
            3 => SampleFormat::S24In3Le,
            4 => SampleFormat::S32Le,
            _ => return Err(BadCommand::SampleBytes),
        };
        let channels = match command.channels {
            1 => 1,
            2 => 2,
            _ => return Err(BadCommand::Channels),
        };
        if command.rate == 0 {
            return Err(BadCommand::Rate);
        }
        if command.frames == 0 {
            return Err(BadCommand::NoFrames);
        }
        let frame_bytes = command.sample_bytes * u32::from(channels);
        let room = pool_bytes.saturating_sub(PCM) / frame_bytes;
        if command.frames > room {
            return Err(BadCommand::TooLong);
        }
        Ok(Self {
            sequence: command.sequence,
            path,
            format: StreamFormat { sample, channels, rate: command.rate, interval_us: None },
            frame_bytes,
            frames: command.frames,
            buffer_us: command.buffer_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BadCommand, Order};
    use dsp_abi::media::{Command, MAGIC, PCM, Path, VERSION};

    const POOL: u32 = PCM + 4000;

    fn command(change: impl FnOnce(&mut Command)) -> Command {
        let mut command = Command {
            magic: MAGIC,
            version: VERSION,
            sequence: 1,
            path: Path::Offload as u32,
            rate: 48_000,
            channels: 2,
            sample_bytes: 2,
            frames: 1000,
            buffer_us: 16_000,
            checksum: 0,
        };
        change(&mut command);
        command.checksum = command.expected_checksum();
        command
    }

    #[test]
    fn a_good_command_is_taken_once() {
        let command = command(|_| ());
        let order = Order::check(&command, 0, POOL).expect("there is one").expect("it is good");
        assert_eq!((order.path, order.frame_bytes, order.frames), (Path::Offload, 4, 1000));
        assert_eq!(Order::check(&command, 1, POOL), None);
        assert_eq!(Order::check(&Command::default(), 0, POOL), None);
    }

    #[test]
    fn each_wrong_thing_has_its_code() {
        let refused = |change: fn(&mut Command)| {
            Order::check(&command(change), 0, POOL).expect("there is one").expect_err("it is bad")
        };
        assert_eq!(refused(|c| c.version = 2), BadCommand::Version);
        assert_eq!(refused(|c| c.path = 3), BadCommand::Path);
        assert_eq!(refused(|c| c.sample_bytes = 5), BadCommand::SampleBytes);
        assert_eq!(refused(|c| c.sample_bytes = 0), BadCommand::SampleBytes);
        assert_eq!(refused(|c| c.channels = 6), BadCommand::Channels);
        assert_eq!(refused(|c| c.rate = 0), BadCommand::Rate);
        assert_eq!(refused(|c| c.frames = 0), BadCommand::NoFrames);
        assert_eq!(refused(|c| c.frames = 1001), BadCommand::TooLong);
        let mut damaged = command(|_| ());
        damaged.frames ^= 1;
        assert_eq!(Order::check(&damaged, 0, POOL), Some(Err(BadCommand::Checksum)));
    }
}
