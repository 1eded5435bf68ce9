//! What is no archive or no dump, or of another build, is refused in words, with
//! exit code 2, and nothing is left half-written.

use super::{bad, folder};
use crate::BAD_INPUT;
use crate::run::stage::Stop;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file that is refused: how it is made of a good one, and a word of what is
/// said.
type Case = (&'static str, fn(&[u8]) -> Vec<u8>, &'static str);

const DUMPS: [Case; 5] = [
    ("empty", |_| Vec::new(), "no dump"),
    ("text", |_| b"this is no dump".to_vec(), "no dump"),
    ("cut-off", |good| good[..good.len() / 2].to_vec(), "cut off"),
    ("headers-alone", |good| good[..100].to_vec(), "cut off"),
    ("other-memory", other_memory, "two builds"),
];

const ARCHIVES: [Case; 3] = [
    ("text", |_| b"this is no archive".to_vec(), "damaged"),
    ("cut-off", |good| good[..good.len() / 2].to_vec(), "damaged"),
    ("changed", changed, "damaged"),
];

/// The dump with another image's number in its memory.
fn other_memory(good: &[u8]) -> Vec<u8> {
    let id = dump::Dump::read(good).map(|dump| dump.archive.image_id().0.to_le_bytes());
    let Ok(id) = id else { return Vec::new() };
    let mut other = good.to_vec();
    for at in 0..other.len().saturating_sub(8) {
        if other[at..at + 8] == id {
            other[at] ^= 1;
        }
    }
    other
}

/// The archive with a few bytes of its kernel changed.
fn changed(good: &[u8]) -> Vec<u8> {
    let mut changed = good.to_vec();
    let middle = changed.len() / 2;
    for byte in &mut changed[middle..middle + 64] {
        *byte ^= 0x55;
    }
    changed
}

/// The archive of the image that the dump is of, and that of another image.
pub(super) struct Archives<'a> {
    pub(super) own: &'a Path,
    pub(super) other: &'a Path,
}

/// Tries each; what was not refused as it should is told in `wrong`.
pub(super) fn check(
    archives: &Archives<'_>,
    dump: &[u8],
    wrong: &mut Vec<String>,
) -> Result<(), Stop> {
    let write = |name: &str, bytes: &[u8]| -> Result<PathBuf, Stop> {
        let path = folder().join(name);
        std::fs::write(&path, bytes).map_err(bad)?;
        Ok(path)
    };
    for (name, damaged, word) in DUMPS {
        let path = write(&format!("{name}.bad"), &damaged(dump))?;
        for command in ["tasks", "ringbuf", "registers"] {
            refused(&[command, "--dump"], &path, &[], word, wrong)?;
        }
        let humility = ["--", "tasks"];
        refused(&["humility", "--dump"], &path, &humility, word, wrong)?;
    }
    let good = std::fs::read(archives.own).map_err(bad)?;
    let nothing = folder().join("nothing.dump");
    for (name, damaged, word) in ARCHIVES {
        let path = write(&format!("{name}.bad.zip"), &damaged(&good))?;
        refused(&["manifest", "--archive"], &path, &[], word, wrong)?;
        refused(&["map", "--archive"], &path, &[], word, wrong)?;
        let out = ["--output", &nothing.display().to_string()];
        refused(&["dump", "--archive"], &path, &out, word, wrong)?;
    }
    let left = [&nothing, &nothing.with_extension("part")].map(|path| path.exists());
    if left != [false, false] {
        wrong.push("something was written of what was refused".to_owned());
    }
    // A dump and an archive that are each good, of two builds.
    let path = write("good.dump", dump)?;
    let other = ["--archive", &archives.other.display().to_string()];
    refused(&["tasks", "--dump"], &path, &other, "is the archive of image", wrong)
}

/// Runs this program with these arguments, of which the file is one.
fn refused(
    command: &[&str],
    file: &Path,
    rest: &[&str],
    word: &str,
    wrong: &mut Vec<String>,
) -> Result<(), Stop> {
    let program = std::env::current_exe().map_err(bad)?;
    let output = Command::new(program).args(command).arg(file).args(rest).output().map_err(bad)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let right = output.status.code() == Some(BAD_INPUT.into()) && said.contains(word);
    if !right || said.contains("panicked") {
        wrong.push(format!(
            "{} {}: {:?} instead of exit code 2 and {word:?}: {said}",
            command.join(" "),
            file.display(),
            output.status.code()
        ));
    }
    Ok(())
}
