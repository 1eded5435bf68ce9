//! What the commands for boards share: building an image and running it in
//! QEMU.

use crate::style::{BAD, DIM};
use crate::{MISSING, WRONG, root};
use anstream::eprintln;
use image::{Error, Folders, Image};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The emulator.
const QEMU: &str = "qemu-system-arm";

/// The machine: what the image's chip says, and nothing else on it.
const MACHINE: [&str; 16] = [
    "-M",
    "virt,gic-version=2,highmem=off",
    "-cpu",
    "cortex-a15",
    "-smp",
    "2",
    "-m",
    "128",
    "-nodefaults",
    "-display",
    "none",
    "-serial",
    "stdio",
    "-monitor",
    "none",
    "-semihosting-config",
];

/// One instruction is 16 ns, which is what the board's counter counts in; time
/// without anything to do passes at once.
const COUNTED: [&str; 2] = ["-icount", "shift=4,sleep=off"];

/// How long a run may take on a loaded machine. The longest takes a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// Builds the image that `description` describes.
pub(crate) fn build(description: &Path) -> Result<Image, ExitCode> {
    image::build(description, &folders(), progress).map_err(|error| refused(&error))
}

/// Builds the image that tries core 1 of the image that `description` describes.
pub(crate) fn build_core1_test(description: &Path) -> Result<PathBuf, ExitCode> {
    image::build_core1_test(description, &folders(), progress).map_err(|error| refused(&error))
}

fn folders() -> Folders {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), Into::into);
    Folders { workspace: root(), output: target.join("sotto") }
}

fn progress(part: &str) {
    eprintln!("{DIM}building {part}{DIM:#}");
}

fn refused(error: &Error) -> ExitCode {
    eprintln!("{BAD}✗{BAD:#} {error}");
    ExitCode::from(match error {
        Error::NoCargo(_) | Error::NoSource => MISSING,
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
    let mut child = Command::new(QEMU)
        .args(MACHINE)
        .arg("enable=on,target=native")
        .args(COUNTED)
        .arg("-kernel")
        .arg(elf)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            eprintln!("{BAD}✗{BAD:#} {QEMU}: {error}\n  apt-get install qemu-system-arm");
            ExitCode::from(MISSING)
        })?;
    let mut stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        if let Some(stdout) = &mut stdout {
            // What was read until then is worth showing.
            let _ = stdout.read_to_string(&mut said);
        }
        said
    });
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => {
                // It may have ended this moment.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let said = reader.join().unwrap_or_default();
    Ok(Run { said, ended_well: status.is_some_and(|status| status.success()) })
}
