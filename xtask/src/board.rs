//! What the commands for boards share: building an image and running it in
//! QEMU.

use crate::setup::Need;
use crate::style::{BAD, DIM};
use crate::{MISSING, WRONG, root, setup};
use anstream::eprintln;
use image::{Error, Folders, Image};
use qemu::{Clock, Machine};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// One instruction is 16 ns, which is what the board's counter counts in; time
/// without anything to do passes at once.
pub(crate) const COUNTED: Clock = Clock::Counted { shift: 4 };

/// How long a run may take on a loaded machine. The longest takes a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Builds the image that `description` describes.
pub(crate) fn build(description: &Path) -> Result<Image, ExitCode> {
    image::build(description, &folders()?, progress).map_err(|error| refused(&error))
}

/// Builds the image that `description` describes from the sources in `workspace`
/// into `output`.
pub(crate) fn build_in(
    description: &Path,
    workspace: &Path,
    output: &Path,
) -> Result<Image, ExitCode> {
    let (workspace, output) = (workspace.to_owned(), output.to_owned());
    let folders = Folders { workspace, output, ..folders()? };
    image::build(description, &folders, progress).map_err(|error| refused(&error))
}

/// Builds the same image with the DSP program that tries everything.
pub(crate) fn build_hostile(description: &Path) -> Result<Image, ExitCode> {
    image::build_hostile(description, &folders()?, progress).map_err(|error| refused(&error))
}

/// Builds the image that tries core 1 of the image that `description` describes.
pub(crate) fn build_core1_test(description: &Path) -> Result<PathBuf, ExitCode> {
    image::build_core1_test(description, &folders()?, progress).map_err(|error| refused(&error))
}

/// Where images are built, and with what compiler, which is installed if need be.
fn folders() -> Result<Folders, ExitCode> {
    let rustc = setup::board_compiler()?;
    Ok(Folders { workspace: root(), output: output(), rustc })
}

/// Where images are built.
pub(crate) fn output() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), Into::into);
    target.join("sotto")
}

/// Where the monitor of a board listens that `run --monitor` started.
pub(crate) fn monitor() -> PathBuf {
    output().join("monitor")
}

fn progress(part: &str) {
    eprintln!("{DIM}building {part}{DIM:#}");
}

fn refused(error: &Error) -> ExitCode {
    eprintln!("{BAD}✗{BAD:#} {error}");
    ExitCode::from(match error {
        Error::NoCargo(_) => MISSING,
        _ => WRONG,
    })
}

/// What a run said and how it ended.
pub(crate) struct Run {
    /// The serial port.
    pub(crate) said: String,
    /// Whether the image ended it, and well.
    pub(crate) ended_well: bool,
}

/// Runs the image `elf` until it ends itself.
pub(crate) fn run(elf: &Path) -> Result<Run, ExitCode> {
    setup::ensure(&[Need::Emulator])?;
    let ended = Machine::new(elf, COUNTED).semihosting().start().and_then(|m| m.wait(PATIENCE));
    let ended = ended.map_err(|error| failed(&error))?;
    let ended_well = ended.status.is_some_and(|status| status.success());
    Ok(Run { said: ended.said, ended_well })
}

/// Says why a machine did not run, and what that means to whoever started us.
pub(crate) fn failed(error: &qemu::Error) -> ExitCode {
    eprintln!("{BAD}✗{BAD:#} {error}");
    ExitCode::from(match error {
        qemu::Error::Missing => MISSING,
        _ => WRONG,
    })
}
