//! A sound, an image, and what passes between them and QEMU: files.

use crate::setup::{self, Need};
use crate::style::BAD;
use crate::{BAD_INPUT, Bad, WRONG, board, root};
use anstream::eprintln;
use dsp_abi::media::{PCM, Path as MediaPath};
use image::Image;
use judge::sound::Sound;
use qemu::{Clock, Headset, Load, Machine};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use system::scene::command;
use tempfile::TempDir;
use zerocopy::IntoBytes;

use super::drive::Sequence;
use super::places::Places;
use super::verdict::INSTRUCTION_NS;

/// Instructions for time.
const COUNTED: Clock = Clock::Counted { shift: INSTRUCTION_NS.trailing_zeros() as u8 };
/// The USB 2 port of the first headset.
pub(crate) const PORT: u8 = 1;

/// What a headset is plugged into: a controller, and a USB 2 port of it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Socket {
    pub(crate) controller: u8,
    pub(crate) port: u8,
}

/// Why there is no verdict.
pub(crate) enum Stop {
    /// The user gave us something that makes no sense.
    Bad(Bad),
    /// Something went wrong with the machine.
    Machine(qemu::Error),
    /// It was said already.
    Said(ExitCode),
}

impl From<Bad> for Stop {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

impl From<qemu::Error> for Stop {
    fn from(error: qemu::Error) -> Self {
        Self::Machine(error)
    }
}

impl Stop {
    /// Says why, if that was not done; the command's exit code.
    pub(crate) fn say(self) -> ExitCode {
        match self {
            Self::Said(code) => code,
            Self::Machine(error) => board::failed(&error),
            Self::Bad(Bad(message)) => {
                eprintln!("{BAD}✗{BAD:#} {message}");
                ExitCode::from(BAD_INPUT)
            }
        }
    }
}

/// An image, and where in it things are.
pub(crate) struct Built {
    pub(crate) image: Image,
    pub(crate) places: Places,
}

impl Built {
    /// Builds it.
    pub(crate) fn new() -> Result<Self, Stop> {
        Self::by(board::build, "app.toml")
    }

    /// Builds the one with hubs.
    pub(crate) fn hubs() -> Result<Self, Stop> {
        Self::by(board::build, "app-hubs.toml")
    }

    /// Builds the one whose DSP program tries everything.
    pub(crate) fn hostile() -> Result<Self, Stop> {
        Self::by(board::build_hostile, "app.toml")
    }

    /// Builds the one with two controllers.
    pub(crate) fn with_two_controllers() -> Result<Self, Stop> {
        Self::by(board::build, "app-two.toml")
    }

    fn by(build: fn(&Path) -> Result<Image, ExitCode>, app: &str) -> Result<Self, Stop> {
        setup::ensure(&[Need::Emulator]).map_err(Stop::Said)?;
        let image = build(&root().join(app)).map_err(Stop::Said)?;
        let places = Places::of(&image).map_err(|what| {
            eprintln!("{BAD}✗{BAD:#} this image cannot be looked into: {what}");
            Stop::Said(ExitCode::from(WRONG))
        })?;
        Ok(Self { image, places })
    }
}

/// A folder for what QEMU reads and writes.
pub(crate) struct Stage {
    folder: TempDir,
}

impl Stage {
    /// One with a command for `sound` on it.
    pub(crate) fn new(sound: &Sound) -> Result<Self, Bad> {
        let folder = TempDir::with_prefix("sotto-")
            .map_err(|error| Bad(format!("no folder for temporary files: {error}")))?;
        let stage = Self { folder };
        let mut media = order(sound, Sequence(1));
        media.resize(PCM as usize, 0);
        media.extend(&sound.pcm);
        fs::write(stage.file("media"), media).map_err(|error| stage.failed(&error))?;
        Ok(stage)
    }

    /// A board with a headset for each of these ports, of which the first is
    /// plugged in.
    pub(crate) fn board(&self, built: &Built, realtime: bool, ports: &[u8]) -> Machine {
        let sockets = ports.iter().map(|&port| Socket { controller: 0, port });
        self.board_with(built, realtime, sockets)
    }

    /// A board with a headset for each of these sockets, of which the first is
    /// plugged in.
    pub(crate) fn board_with(
        &self,
        built: &Built,
        realtime: bool,
        sockets: impl IntoIterator<Item = Socket>,
    ) -> Machine {
        let clock = if realtime { Clock::Real } else { COUNTED };
        let load = Load { file: self.file("media"), at: built.places.media };
        let mut machine = Machine::new(&built.image.elf, clock).load(load);
        for (n, Socket { controller, port }) in sockets.into_iter().enumerate() {
            machine = machine.headset(Headset {
                wav: self.file(&wav(n)),
                pcap: Some(self.file(&pcap(n))),
                controller,
                port,
                plugged: n == 0,
            });
        }
        machine
    }

    /// What headset `n` played, as QEMU wrote it.
    pub(crate) fn wav(&self, n: usize) -> Result<Vec<u8>, Bad> {
        self.read(&wav(n))
    }

    /// The capture of headset `n`.
    pub(crate) fn pcap(&self, n: usize) -> Result<Vec<u8>, Bad> {
        self.read(&pcap(n))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Bad> {
        fs::read(self.file(name)).map_err(|error| self.failed(&error))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn failed(&self, error: &std::io::Error) -> Bad {
        let folder: &Path = self.folder.path();
        Bad(format!("{}: {error}", folder.display()))
    }
}

/// The command that has `sound`, which lies in the pool, played by the DSP.
pub(crate) fn order(sound: &Sound, sequence: Sequence) -> Vec<u8> {
    order_by(MediaPath::Offload, sound, sequence)
}

/// The command that has it played that way.
pub(crate) fn order_by(path: MediaPath, sound: &Sound, sequence: Sequence) -> Vec<u8> {
    command(sound, path, sequence.0).as_bytes().to_vec()
}

fn wav(n: usize) -> String {
    format!("{n}.wav")
}

fn pcap(n: usize) -> String {
    format!("{n}.pcap")
}
