//! The media pool: a command and its PCM, written from outside (a loader, a
//! test, the simulator), and the player's answer.
//!
//! Page 0 is the command, page 1 the player's answer, PCM starts at page 2.
//! Whoever writes a command fills the page, makes the checksum right, raises
//! `sequence` last and rings [`crate::bell::PLAYER`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// "SOTT" in a little-endian word.
pub const MAGIC: u32 = 0x5454_4F53;
/// Version of this layout.
pub const VERSION: u32 = 1;
/// Offset of the first PCM byte in the pool.
pub const PCM: u32 = 2 * addr::PAGE;
/// Page of the player's answer.
pub const ANSWER_PAGE: u16 = 1;

/// Which way the sound shall take.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Path {
    /// Through the application core: leases to `usb_audio`.
    Player = 1,
    /// Through the DSP.
    Offload = 2,
}

/// What is to be played.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Command {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u32,
    /// Raised with each command; 0 = none yet.
    pub sequence: u32,
    /// A [`Path`].
    pub path: u32,
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: u32,
    /// Bytes per sample, as in a WAV file (1 unsigned, 2, 3 and 4 signed).
    pub sample_bytes: u32,
    /// Frames of PCM.
    pub frames: u32,
    /// Transfer buffer that the DSP shall ask for, in microseconds of sound.
    pub buffer_us: u32,
    /// XOR of all words before this one, then of [`MAGIC`] again.
    pub checksum: u32,
}

impl Command {
    /// The checksum that this command should carry.
    #[must_use]
    pub fn expected_checksum(&self) -> u32 {
        let words = [
            self.magic,
            self.version,
            self.sequence,
            self.path,
            self.rate,
            self.channels,
            self.sample_bytes,
            self.frames,
            self.buffer_us,
        ];
        words.iter().fold(MAGIC, |sum, word| sum ^ word)
    }
}

/// How far the player is with the command.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PlayerState {
    /// No command taken yet.
    Idle = 0,
    /// At work.
    Playing = 1,
    /// Played to the end.
    Done = 2,
    /// Refused or broken off; `code` says why.
    Failed = 3,
}

/// The player's answer.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Answer {
    /// Sequence of the command it is about.
    pub sequence: u32,
    /// A [`PlayerState`].
    pub state: u32,
    /// For [`PlayerState::Failed`], the refusing server's code.
    pub code: u32,
    /// For [`PlayerState::Failed`], the refusing server's task index.
    pub server: u32,
    /// Frames delivered.
    pub frames: u32,
    /// Underruns seen on the way.
    pub underruns: u32,
}
