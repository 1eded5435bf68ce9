//! `cargo xtask humility`: runs Humility, with archive and dump of an image.
//!
//! Humility is the debugger of Hubris; it is not part of this project.

use crate::dump::{archive_of, dump_of, open_archive};
use crate::style::{BAD, DIM};
use crate::{BAD_INPUT, MISSING, WRONG};
use anstream::eprintln;
use archive::Archive;
use dump::Dump;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// `cargo xtask humility`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a dump Humility knows the archive alone: manifest, map, readvar -l, \
                  ringbuf -l, counters list, hiffy -l."
)]
pub(crate) struct Humility {
    /// The image, by its name
    #[arg(default_value = "sotto")]
    app: String,
    /// The dump to look at [default: the last one of the image as it is built]
    #[arg(short, long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// What Humility is to do
    #[arg(last = true, required = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

const INSTALL: &str = "cargo install --locked --no-default-features \\\n    \
     --git https://github.com/oxidecomputer/humility humility-bin";

impl Humility {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        match self.start() {
            Ok(code) => code,
            Err((code, why)) => {
                eprintln!("{BAD}✗{BAD:#} {why}");
                ExitCode::from(code)
            }
        }
    }

    fn start(&self) -> Result<ExitCode, (u8, String)> {
        let (option, file) = self.subject()?;
        eprintln!("{DIM}humility {option} {}{DIM:#}", file.display());
        let status = Command::new("humility").arg(option).arg(file).args(&self.arguments).status();
        match status {
            Ok(status) if status.success() => Ok(ExitCode::SUCCESS),
            Ok(_) => Ok(ExitCode::from(WRONG)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err((MISSING, format!("Humility is not installed:\n  {INSTALL}")))
            }
            Err(error) => Err((WRONG, format!("humility: {error}"))),
        }
    }

    /// What Humility is to look at: its option and the file.
    fn subject(&self) -> Result<(&'static str, PathBuf), (u8, String)> {
        if let Some(dump) = &self.dump {
            check(dump, None)?;
            return Ok(("-d", dump.clone()));
        }
        let path = archive_of(&self.app);
        let archive = open_archive(&path)?;
        let dump = dump_of(&self.app);
        if !dump.exists() {
            return Ok(("-a", path));
        }
        check(&dump, Some(&archive))?;
        Ok(("-d", dump))
    }
}

/// Refuses what is no dump, or one of another build than `archive`.
fn check(path: &Path, archive: Option<&Archive>) -> Result<(), (u8, String)> {
    let dump = Dump::open(path).map_err(|error| match error {
        dump::Error::File(..) => (BAD_INPUT, error.to_string()),
        error => (BAD_INPUT, format!("{}: {error}", path.display())),
    })?;
    let of = dump.archive.image_id();
    match archive.map(Archive::image_id).filter(|built| *built != of) {
        Some(built) => Err((
            BAD_INPUT,
            format!(
                "{} is of image {of}, another build than the archive's, {built}: take a new one, \
                 or name it with --dump",
                path.display()
            ),
        )),
        None => Ok(()),
    }
}
