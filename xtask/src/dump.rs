//! `cargo xtask dump`: the memory of a board as a file for debuggers.

use crate::style::{BAD, DIM, GOOD};
use crate::{BAD_INPUT, MISSING, WRONG, board};
use addr::Phys;
use anstream::{eprintln, println};
use archive::Archive;
use dump::{Board, Dump as Contents, Monitor, NoRemains, TakeError, Taken, remains, take};
use qemu::Qmp;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `cargo xtask dump`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The board is a QEMU started with -qmp unix:SOCKET,server=on,wait=off. It stands \
                  still for some milliseconds, and its clocks with it."
)]
pub(crate) struct Dump {
    /// The image that runs, by its name
    #[arg(default_value = "sotto")]
    app: String,
    /// Where the board's monitor listens
    /// [default: target/sotto/monitor, where `run --monitor` has it]
    #[arg(long, value_name = "SOCKET")]
    qmp: Option<PathBuf>,
    /// The image's archive [default: the one that dist made]
    #[arg(short, long, value_name = "ZIP")]
    archive: Option<PathBuf>,
    /// Only the task that died last, of which the supervisor kept what is left
    #[arg(long)]
    task: bool,
    /// The file to write [default: beside the archive that dist made]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Dump {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        match self.take() {
            Ok(()) => ExitCode::SUCCESS,
            Err((code, why)) => {
                eprintln!("{BAD}✗{BAD:#} {why}");
                ExitCode::from(code)
            }
        }
    }

    fn take(&self) -> Result<(), (u8, String)> {
        let archive = self.archive.clone().unwrap_or_else(|| archive_of(&self.app));
        let archive = open_archive(&archive)?;
        let (dump, told) = if self.task { self.of_task(archive)? } else { self.of_all(archive)? };
        let path = self.output.clone().unwrap_or_else(|| dump_of(&self.app));
        let bytes = dump.write();
        write(&path, &bytes).map_err(|error| (WRONG, format!("{}: {error}", path.display())))?;
        let mebibytes = bytes.len() as f64 / f64::from(1 << 20);
        println!("{GOOD}✓{GOOD:#} {} {DIM}{mebibytes:.1} MiB, {told}{DIM:#}", path.display());
        Ok(())
    }

    fn of_all(&self, archive: Archive) -> Result<(Contents, String), (u8, String)> {
        let Taken { dump, stood } = take_live(self.qmp.as_deref(), archive)?;
        let stood = stood.map_or("the board stood before".to_owned(), |stood| {
            format!("the board stood still for {} ms", stood.as_millis())
        });
        Ok((dump, stood))
    }

    fn of_task(&self, archive: Archive) -> Result<(Contents, String), (u8, String)> {
        let mut qmp = connect(self.qmp.as_deref())?;
        let mut monitor = Monitor::new(&mut qmp).map_err(|error| (WRONG, error.to_string()))?;
        let dump = fallen(&mut monitor, archive)?;
        let index = dump.task.map_or(0, |one| one.task.index());
        let name = dump.archive.tasks().nth(index).map(|task| task.name.to_owned());
        Ok((dump, name.unwrap_or_default()))
    }
}

/// Connects to the monitor of the board that listens at `socket`, or at the
/// usual one.
fn connect(socket: Option<&Path>) -> Result<Qmp, (u8, String)> {
    let socket = socket.map_or_else(board::monitor, Path::to_owned);
    Qmp::connect(&socket).map_err(|error| {
        let how = "cargo xtask run --monitor starts one";
        (MISSING, format!("no board at {}: {error}; {how}", socket.display()))
    })
}

/// Takes a dump of the board that listens at `socket`, or at the usual one.
pub(crate) fn take_live(socket: Option<&Path>, archive: Archive) -> Result<Taken, (u8, String)> {
    let mut qmp = connect(socket)?;
    let mut monitor = Monitor::new(&mut qmp).map_err(|error| (WRONG, error.to_string()))?;
    take(&mut monitor, archive).map_err(|error| match error {
        TakeError::Board(error) => (WRONG, error.to_string()),
        error => (BAD_INPUT, error.to_string()),
    })
}

/// The dump of the task that died last, which stands while it is looked at.
pub(crate) fn fallen(
    monitor: &mut Monitor<'_>,
    archive: Archive,
) -> Result<Contents, (u8, String)> {
    let board = |error: qemu::Error| (WRONG, error.to_string());
    let ran = monitor.stop().map_err(board)?;
    let dump = remains(archive, |at, bytes| monitor.read(Phys(at.0), bytes));
    if ran {
        monitor.resume().map_err(board)?;
    }
    dump.map_err(|error| match error {
        NoRemains::Board(_) => (WRONG, error.to_string()),
        _ => (BAD_INPUT, error.to_string()),
    })
}

/// The archive that `dist` makes of the image `app`.
pub(crate) fn archive_of(app: &str) -> PathBuf {
    board::output().join("dist").join(app).join(format!("build-{app}.zip"))
}

/// Where a dump of the image `app` goes.
pub(crate) fn dump_of(app: &str) -> PathBuf {
    board::output().join("dist").join(app).join(format!("{app}.dump"))
}

/// Opens an archive; the error has its exit code.
pub(crate) fn open_archive(path: &Path) -> Result<Archive, (u8, String)> {
    Archive::open(path).map_err(|error| match error {
        archive::Error::File(path, error) if error.kind() == std::io::ErrorKind::NotFound => {
            (MISSING, format!("no archive {}: cargo xtask dist makes it", path.display()))
        }
        error => (BAD_INPUT, error.to_string()),
    })
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("part");
    std::fs::write(&unfinished, bytes)?;
    std::fs::rename(&unfinished, path)
}
