//! `cargo xtask run`: plays a sound on the board in QEMU, and judges it.
//!
//! The image is the one that `dist` makes, with nothing in it for this. A loader
//! lays a command and the sound into the pool `media`; what became of it is read
//! out of the board's memory, of QEMU's capture of the wire, and of the WAV that
//! QEMU's headset wrote.

mod desk;
pub(crate) mod drive;
mod evidence;
mod freeze;
mod held;
mod kill;
mod mail;
mod places;
mod rings;
mod session;
pub(crate) mod stage;
pub(crate) mod stories;
pub(crate) mod verdict;

use crate::output::{Output, each_its_own};
use crate::sim::{DeviceName, Plan, progress_bar, verdict as exit_code};
use crate::style::{BAD, DIM, GOOD};
use crate::{Bad, board, root};
use anstream::println;
use drive::{Board, Sequence};
pub(crate) use evidence::COUNT_NS;
use judge::report::Table;
use judge::sound::Sound;
use stage::{Built, PORT, Stage, Stop};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use system::image::Description;
use system::piece::{SECONDS, piece};
use verdict::{BoardReport, Evidence};

/// `cargo xtask run`
#[derive(Debug, clap::Args)]
#[command(after_help = "Needs qemu-system-arm, and the source of `core` for the compiler.\n\
    Instructions are counted in place of time, so that two runs are the same run,\n\
    unless --realtime or --freeze-core0 is given.")]
pub(crate) struct Run {
    /// The sound: a WAV of 48 kHz, stereo, 16 bits
    /// [default: a few seconds of a built-in piece]
    #[arg(long, value_name = "IN")]
    wav: Option<PathBuf>,
    /// What the headset heard, as a WAV [default: target/run/out.wav]
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Write every USB packet, as usbmon sees them (link type 220)
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Run by the host's clock
    #[arg(long)]
    realtime: bool,
    /// Stop core 0 with interrupts masked for so long in mid-stream
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..3600))]
    freeze_core0: Option<u32>,
    /// Let `tasks`, `ringbuf`, `dump` and the like look in meanwhile, through
    /// target/sotto/monitor; with --realtime there is time for it
    #[arg(long)]
    monitor: bool,
    /// The headset is plugged into a hub, and the image is that of app-hubs.toml
    #[arg(long)]
    hub: bool,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// What a stream plays before core 0 is frozen, and after it is put back.
const AROUND_A_FREEZE: f64 = 1.0;

/// How a sound is to be played.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Wish {
    /// By the host's clock.
    realtime: bool,
    /// Core 0 is frozen for so long in mid-stream.
    freeze_ms: Option<u32>,
    /// A second monitor listens.
    monitor: bool,
    /// Core 0 is woken in mid-stream, by whoever rings.
    woken: bool,
    /// The headset is plugged into a hub.
    hub: bool,
}

/// What a run came to.
struct Played {
    report: BoardReport,
    /// What the headset wrote, and QEMU's capture of the wire.
    wav: Vec<u8>,
    capture: Vec<u8>,
}

/// Plays the built-in piece.
pub(crate) fn built_in() -> Result<BoardReport, ExitCode> {
    let sound = piece(48_000, (SECONDS * 48_000.0) as u32);
    show_progress(&sound, Wish::default()).map(|played| played.report).map_err(Stop::say)
}

/// Builds the image and plays `sound`, with a bar.
fn show_progress(sound: &Sound, wish: Wish) -> Result<Played, Stop> {
    let built = if wish.hub { Built::hubs()? } else { Built::new()? };
    let bar = progress_bar((sound.seconds() * 1000.0) as u64);
    let played = play(&built, sound, wish, &|packets| bar.set_position(packets));
    bar.finish_and_clear();
    played
}

/// Plays `sound` on the board.
fn play(built: &Built, sound: &Sound, wish: Wish, progress: &dyn Fn(u64)) -> Result<Played, Stop> {
    const COMMAND: Sequence = Sequence(1);
    let stage = Stage::new(sound)?;
    let began = Instant::now();
    let mut machine = stage.board(built, wish.realtime, &[PORT]);
    if wish.hub {
        machine = machine.hub(PORT);
    }
    if wish.monitor {
        machine = machine.monitor(&board::monitor());
    }
    let mut board = Board::start(machine, &built.places, progress)?;
    let mut frozen = None;
    let played = match wish.freeze_ms {
        Some(ms) => board.begin(COMMAND).and_then(|()| {
            frozen = board.freeze_for(COMMAND, ms)?;
            board.play(COMMAND)
        }),
        None => board.play(COMMAND),
    };
    // What came too late is part of the verdict; what else went wrong leaves none.
    let late = match played {
        Ok(()) => None,
        Err(error @ qemu::Error::Late(_)) => Some(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let mut seen = board.finish(COMMAND)?;
    seen.frozen = frozen;
    seen.broken_off = seen.broken_off.or(late);
    let (capture, wav) = (stage.pcap(0)?, stage.wav(0)?);
    let report = verdict::judge(&Evidence {
        image: (&built.image).into(),
        sound,
        wish,
        seen: &seen,
        capture: &capture,
        wav: &wav,
        later: false,
        seconds: began.elapsed().as_secs_f64(),
    })?;
    Ok(Played { report, wav, capture })
}

impl Run {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        self.try_run().unwrap_or_else(Stop::say)
    }

    fn try_run(&self) -> Result<ExitCode, Stop> {
        let description = Description::load(&root().join("app.toml")).map_err(Bad)?;
        let Plan { sound } = Plan::new(description, self.wav.as_deref(), DeviceName::Qemu)?;
        self.check_length(&sound)?;
        // Files are opened before anything is built, and only what is complete
        // stands under its name.
        let out = Output::new(self.out_path())?;
        let pcap = self.pcap.clone().map(Output::new).transpose()?;
        each_its_own([Some(&out), pcap.as_ref()])?;
        let freeze_ms = self.freeze_core0.map(|seconds| seconds * 1000);
        let wish = Wish {
            realtime: self.realtime,
            freeze_ms,
            monitor: self.monitor,
            hub: self.hub,
            ..Wish::default()
        };
        let Played { report, wav, capture } = show_progress(&sound, wish)?;
        for (output, bytes) in [(Some(out), wav), (pcap, capture)] {
            let Some(output) = output else { continue };
            output.writer()?.write_all(&bytes).map_err(|error| output.failed(&error))?;
            output.complete()?;
        }
        self.show(&report);
        Ok(exit_code(report.is_right()))
    }

    /// A freeze has to fit into the stream.
    fn check_length(&self, sound: &Sound) -> Result<(), Bad> {
        let needed = self.freeze_core0.map_or(0.0, |s| f64::from(s) + 2.0 * AROUND_A_FREEZE);
        if sound.seconds() >= needed {
            return Ok(());
        }
        Err(Bad(format!(
            "the sound has {:.1} s; to freeze core 0 in the middle of it, it needs {needed:.0} s",
            sound.seconds()
        )))
    }

    fn out_path(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| root().join("target/run/out.wav"))
    }

    fn show(&self, report: &BoardReport) {
        let colour = std::io::stdout().is_terminal();
        println!("{}", Table { report: &report.common, more: &report.rows(), colour });
        if report.is_right() {
            println!("{GOOD}all is as it should be{GOOD:#}");
        } else {
            println!("{BAD}not all is as it should be{BAD:#}");
        }
        if self.json {
            println!("{}", report.json());
        } else {
            let out = self.out.clone().unwrap_or_else(|| PathBuf::from("target/run/out.wav"));
            println!("{DIM}what the headset heard: {}{DIM:#}", out.display());
        }
    }
}
