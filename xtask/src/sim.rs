//! `cargo xtask sim`: plays a sound on a simulated board, and judges it.

mod look;
mod options;
mod scenario;
mod seeds;

use crate::output::{Output, each_its_own};
use crate::style::{BAD, DIM, GOOD};
use crate::{BAD_INPUT, Bad, WRONG, root};
use anstream::{eprintln, println};
use dsp_abi::bell;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use judge::report::{Report, Table};
use judge::sound::Sound;
pub(crate) use look::FORMAT;
pub(crate) use options::{DeviceName, FaultName, PathName, Plan};
pub(crate) use scenario::load as load_scenario;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use system::image::Description;
use system::run::{Finished, Setup, run};

/// `cargo xtask sim`
#[derive(Debug, clap::Args)]
#[command(after_help = "Faults and what they must lead to:\n  \
    drop-packet    a gap on the wire, exit code 1\n  \
    duplicate      two packets in an interval, exit code 1\n  \
    flip-bit       a wrong bit on the wire, exit code 1\n  \
    late           an interval without a packet, exit code 1\n  \
    volume-change  the application core wakes, the sound stays exact, exit code 0\n  \
    starve-dsp     50 ms without the DSP program: nobody notices, exit code 0;\n                 \
    starve-dsp=600 is beyond the monitor's watch: underruns\n                 \
    and one notice, exit code 1")]
pub(crate) struct Sim {
    /// The sound: a WAV of PCM, 8, 16, 24 or 32 bits, mono or stereo
    /// [default: a few seconds of a built-in piece]
    #[arg(long, value_name = "FILE")]
    wav: Option<PathBuf>,
    /// What the headset heard, as a WAV [default: target/sim/out.wav]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The headset
    #[arg(long, value_enum, default_value_t = DeviceName::Sync)]
    device: DeviceName,
    /// The way: over the DSP, or over the application core
    #[arg(long, value_enum, default_value_t = PathName::Offload)]
    path: PathName,
    /// What decides all that a real machine leaves open
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Run N seeds, from --seed on, on all cores
    #[arg(long, value_name = "N", conflicts_with_all = ["pcap", "trace", "out"])]
    seeds: Option<u64>,
    /// Write every USB packet, as usbmon sees them (link type 220)
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Write every system call, register access, TRB, event and packet
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write what a debugger would see, for `tasks`, `ringbuf` and `counters --dump`
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    dump: Option<PathBuf>,
    /// See it so many milliseconds after power-on, and not at the end
    #[arg(long, value_name = "MS", requires = "dump", conflicts_with = "scenario")]
    look_at: Option<u32>,
    /// Play a run that `explore` found, step by step
    #[arg(long, value_name = "FILE", conflicts_with_all = ["wav", "out", "device", "path", "seed", "seeds", "fault"])]
    scenario: Option<PathBuf>,
    /// Suspend the system so many milliseconds after power-on
    #[arg(long, value_name = "MS", conflicts_with = "scenario")]
    suspend_at: Option<u32>,
    /// Suspend it with every device, those that stream as well
    #[arg(long, value_name = "MS", conflicts_with = "scenario")]
    hibernate_at: Option<u32>,
    /// Resume it
    #[arg(long, value_name = "MS", conflicts_with = "scenario")]
    resume_at: Option<u32>,
    /// Inject a fault, to see that it is noticed
    #[arg(long, value_name = "KIND")]
    fault: Option<FaultName>,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

impl Sim {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        match self.try_run() {
            Ok(code) => code,
            Err(Bad(message)) => {
                eprintln!("{BAD}✗{BAD:#} {message}");
                ExitCode::from(BAD_INPUT)
            }
        }
    }

    fn try_run(&self) -> Result<ExitCode, Bad> {
        if let Some(file) = &self.scenario {
            return scenario::replay(self, file);
        }
        let description = Description::load(&root().join("app.toml")).map_err(Bad)?;
        let plan = Plan::new(description, self.wav.as_deref(), self.device)?;
        match self.seeds {
            Some(seeds) => seeds::run_all(description, &plan, self, seeds),
            None => self.run_one(description, &plan),
        }
    }

    /// The bells that are rung, and when.
    pub(crate) fn rings(&self) -> Vec<(u32, u16)> {
        let at = [
            (self.suspend_at, bell::SUSPEND),
            (self.hibernate_at, bell::HIBERNATE),
            (self.resume_at, bell::RESUME),
        ];
        at.into_iter().filter_map(|(ms, bell)| Some((ms?, bell))).collect()
    }

    fn run_one(&self, description: &'static Description, plan: &Plan) -> Result<ExitCode, Bad> {
        // Files are opened before anything is simulated, and only what is
        // complete stands under its name.
        let out =
            Output::new(self.out.clone().unwrap_or_else(|| root().join("target/sim/out.wav")))?;
        let pcap = self.pcap.clone().map(Output::new).transpose()?;
        let trace = self.trace.clone().map(Output::new).transpose()?;
        let dump = self.dump.clone().map(Output::new).transpose()?;
        each_its_own([Some(&out), pcap.as_ref(), trace.as_ref(), dump.as_ref()])?;
        let bar = progress_bar(plan.expected_packets());
        let mut progress = |packets: u64| bar.set_position(packets);
        let Finished { report, written, heard, look, .. } = run(Setup {
            description,
            sound: &plan.sound,
            device: self.device.name(),
            path: self.path.into(),
            seed: self.seed,
            fault: self.fault.map(|fault| (fault.0, fault.to_string())),
            pcap: pcap.as_ref().map(Output::writer).transpose()?,
            trace: trace.as_ref().map(Output::writer).transpose()?,
            progress: Some(&mut progress),
            look_at_ms: self.look_at,
            rings: self.rings(),
        });
        bar.finish_and_clear();
        written.map_err(|error| Bad(format!("the trace or capture cannot be written: {error}")))?;
        let heard = Sound { pcm: heard, ..plan.sound.clone() };
        heard.write_wav(BufWriter::new(out.create()?)).map_err(|error| out.failed(&error))?;
        if let Some(output) = &dump {
            let text = look::json(description, &look).to_string();
            output.writer()?.write_all(text.as_bytes()).map_err(|error| output.failed(&error))?;
        }
        for output in [Some(out), pcap, trace, dump].into_iter().flatten() {
            output.complete()?;
        }
        self.show(&report);
        Ok(verdict(report.is_right()))
    }

    fn show(&self, report: &Report) {
        let colour = std::io::stdout().is_terminal();
        println!("{}", Table { report, more: &[], colour });
        if report.is_right() {
            println!("{GOOD}all is as it should be{GOOD:#}");
        } else {
            println!("{BAD}not all is as it should be{BAD:#}");
        }
        if !self.json {
            let out = self.out.clone().unwrap_or_else(|| PathBuf::from("target/sim/out.wav"));
            println!("{DIM}what the headset heard: {}{DIM:#}", out.display());
            return;
        }
        println!("{}", serde_json::to_string(report).expect("a report is plain data"));
    }
}

pub(crate) fn verdict(right: bool) -> ExitCode {
    if right { ExitCode::SUCCESS } else { ExitCode::from(WRONG) }
}

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn progress_bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("  playing {bar:40} {percent:>3} %  {eta} left");
    bar.set_style(style.expect("the template is ours"));
    bar
}

/// Reads a WAV, or says why not and what would do.
fn read_wav(path: &Path) -> Result<Sound, Bad> {
    let file = File::open(path)
        .map_err(|error| Bad(format!("{} cannot be read: {error}", path.display())))?;
    Sound::read_wav(std::io::BufReader::new(file)).map_err(|error| {
        Bad(format!("{}: {error}; supported is {}", path.display(), judge::sound::SUPPORTED))
    })
}
