//! Commands that look into a system: into a dump, or into a board that runs.
//!
//! Names, options, words and columns are Humility's, so that who knows one knows
//! the other; the crate `view` does the reading. Here is where to look, and what
//! is said when that cannot be.

mod counters;
mod manifest;
mod memory;
mod readvar;
mod registers;
mod ringbuf;
mod simulated;
mod story;
mod tasks;

pub(crate) use counters::Counters;
pub(crate) use manifest::Manifest;
pub(crate) use memory::{Map, Stackmargin};
pub(crate) use readvar::Readvar;
pub(crate) use registers::Registers;
pub(crate) use ringbuf::Ringbuf;
pub(crate) use story::{Story, of_board};
pub(crate) use tasks::Tasks;

use crate::style::BAD;
use crate::{BAD_INPUT, MISSING};
use ::view::System;
use anstream::eprintln;
use archive::Archive;
use dump::Dump;
use simulated::Simulated;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where to look.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The image's archive
    /// [default: target/sotto/dist/sotto/build-sotto.zip]
    #[arg(long, short, value_name = "ZIP")]
    archive: Option<PathBuf>,
    /// A dump; the archive is in it. Or what `sim --dump` wrote
    /// [default: the board that runs is looked into]
    #[arg(long, short, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// Where the monitor of the board listens that runs
    /// [default: target/sotto/monitor, where `run --monitor` has it]
    #[arg(long, value_name = "SOCKET", conflicts_with = "dump")]
    qmp: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// A message for the user, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn bad(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: BAD_INPUT }
    }

    fn missing(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: MISSING }
    }
}

impl From<::view::Error> for Failure {
    fn from(error: ::view::Error) -> Self {
        Self::bad(error.to_string())
    }
}

/// Tells the user what went wrong, if something did.
fn conclude(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { message, code }) => {
            eprintln!("{BAD}✗{BAD:#} {message}");
            ExitCode::from(code)
        }
    }
}

impl Target {
    /// Shows what `show` makes of the system.
    fn look(&self, show: impl FnOnce(&System<'_>) -> Result<(), Failure>) -> ExitCode {
        conclude(self.dump().and_then(|dump| show(&System::of(&dump))))
    }

    /// Shows what `show` makes of the archive alone.
    fn look_up(&self, show: impl FnOnce(&Archive) -> Result<(), Failure>) -> ExitCode {
        conclude(match (&self.archive, &self.dump) {
            (None, Some(_)) => self.dump().and_then(|dump| show(&dump.archive)),
            _ => self.archive().and_then(|archive| show(&archive)),
        })
    }

    /// Shows what `show` makes of a simulation, if `--dump` names one, or else what
    /// `of_board` makes of a board.
    fn look_either(
        &self,
        show: impl FnOnce(&Simulated) -> Result<(), Failure>,
        of_board: impl FnOnce(&System<'_>) -> Result<(), Failure>,
    ) -> ExitCode {
        match self.dump.as_deref().map(simulated::open).transpose() {
            Ok(Some(Some(simulated))) => conclude(show(&simulated)),
            Ok(_) => self.look(of_board),
            Err(failure) => conclude(Err(failure)),
        }
    }

    /// What there is to look into.
    fn dump(&self) -> Result<Dump, Failure> {
        let Some(path) = &self.dump else {
            let archive = self.archive()?;
            let taken = crate::dump::take_live(self.qmp.as_deref(), archive);
            return match taken {
                Ok(taken) => Ok(taken.dump),
                Err((code, message)) => Err(Failure { message, code }),
            };
        };
        if simulated::open(path)?.is_some() {
            return Err(Failure::bad(format!(
                "{} is a simulation's: it has tasks, ringbuf and counters alone",
                path.display()
            )));
        }
        let dump = Dump::open(path)
            .map_err(|error| Failure::bad(format!("{}: {error}", path.display())))?;
        if let Some(archive) = &self.archive {
            let (its, other) = (dump.archive.image_id(), open(archive)?.image_id());
            if its != other {
                return Err(Failure::bad(format!(
                    "{} is a dump of image {its}; {} is the archive of image {other}",
                    path.display(),
                    archive.display()
                )));
            }
        }
        Ok(dump)
    }

    fn archive(&self) -> Result<Archive, Failure> {
        let newest = crate::dump::archive_of("sotto");
        match &self.archive {
            Some(path) => open(path),
            None if newest.exists() => open(&newest),
            None => Err(Failure::missing(format!(
                "there is no {}: `cargo xtask dist` makes it, or name another with --archive ZIP",
                newest.display()
            ))),
        }
    }
}

fn open(path: &Path) -> Result<Archive, Failure> {
    Archive::open(path).map_err(|error| Failure::bad(format!("{}: {error}", path.display())))
}

/// Whether `wanted`, if anything, is part of one of the names.
fn is_wanted(wanted: Option<&str>, names: [&str; 2]) -> bool {
    wanted.is_none_or(|wanted| names.iter().any(|name| name.contains(wanted)))
}
