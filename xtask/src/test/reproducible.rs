//! Whether an image is the same, byte for byte, wherever it is built.

use crate::{board, root};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use tempfile::TempDir;

/// What is no source: what was built. The history is copied along, if the project
/// came with it: the archive names the commit.
const NO_SOURCE: [&str; 1] = ["target"];
/// The copy's folder.
const SOURCES: &str = "sources";

/// Builds the image that ships here and in a copy of the sources elsewhere, and
/// compares what came out.
pub(crate) fn compare() -> Result<Result<String, String>, ExitCode> {
    let here = board::build(&root().join("app.toml"))?;
    let elsewhere = match sources_elsewhere() {
        Ok(elsewhere) => elsewhere,
        Err(error) => return Ok(Err(format!("a copy of the sources: {error}"))),
    };
    let (sources, output) = (elsewhere.path().join(SOURCES), elsewhere.path().join("built"));
    let there = board::build_in(&sources.join("app.toml"), &sources, &output)?;
    Ok(differences(&here.elf, &there.elf))
}

/// What differs in the folders of these two images.
fn differences(here: &Path, there: &Path) -> Result<String, String> {
    let (here, there) = (files_beside(here)?, files_beside(there)?);
    let names = |files: &BTreeMap<_, _>| files.keys().cloned().collect::<Vec<String>>();
    if names(&here) != names(&there) {
        return Err(format!("{:?} here, {:?} elsewhere", names(&here), names(&there)));
    }
    let differ: Vec<String> = here
        .iter()
        .filter_map(|(name, bytes)| {
            let other = &there[name];
            let at = bytes.iter().zip(other).position(|(here, there)| here != there);
            let at = at.or((bytes.len() != other.len()).then_some(bytes.len().min(other.len())));
            at.map(|at| format!("{name} is another elsewhere, from byte {at} on"))
        })
        .collect();
    if !differ.is_empty() {
        return Err(differ.join("\n"));
    }
    let bytes: usize = here.values().map(Vec::len).sum();
    Ok(format!("{} files, {bytes} bytes, the same in two folders", here.len()))
}

/// The files in the folder of `file`.
fn files_beside(file: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let folder = file.parent().unwrap_or(file);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, fs::read(&path).map_err(failed)?);
    }
    Ok(files)
}

/// A folder elsewhere with a copy of the sources.
fn sources_elsewhere() -> std::io::Result<TempDir> {
    let folder = TempDir::with_prefix("sotto-elsewhere-")?;
    copy(&root(), &folder.path().join(SOURCES), &NO_SOURCE)?;
    Ok(folder)
}

/// Copies a folder but for these entries.
fn copy(from: &Path, to: &Path, without: &[&str]) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if without.iter().any(|without| name == *without) {
            continue;
        }
        let to = to.join(&name);
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to, &[])?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{copy, differences};
    use std::fs;
    use tempfile::tempdir;

    #[test]
    fn a_byte_a_length_and_a_name_make_a_difference() {
        let (one, other) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
        let write = |folder: &tempfile::TempDir, name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).expect("room for a file");
        };
        let compare =
            || differences(&one.path().join("final.elf"), &other.path().join("final.elf"));
        write(&one, "final.elf", b"image");
        write(&other, "final.elf", b"image");
        assert_eq!(compare().expect("they are equal"), "1 files, 5 bytes, the same in two folders");
        write(&other, "final.elf", b"imagE");
        assert!(compare().expect_err("a byte").contains("from byte 4 on"));
        write(&other, "final.elf", b"images");
        assert!(compare().expect_err("a length").contains("from byte 5 on"));
        write(&other, "final.elf", b"image");
        write(&other, "map.txt", b"");
        assert!(compare().expect_err("a name").contains("map.txt"));
    }

    #[test]
    fn a_copy_has_all_but_what_is_left_out() {
        let (from, to) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
        for folder in ["target/debug", ".cargo", "drv/target"] {
            fs::create_dir_all(from.path().join(folder)).expect("room for a folder");
            fs::write(from.path().join(folder).join("file"), folder).expect("room for a file");
        }
        let to = to.path().join("there");
        copy(from.path(), &to, &["target"]).expect("room for a copy");
        assert!(!to.join("target").exists());
        assert!(to.join(".cargo/file").exists() && to.join("drv/target/file").exists());
    }
}
