//! The copy of the sources that the defects are seeded in.

use super::patch::PatchFile;
use crate::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The dependency that a crate gets in which a defect is seeded.
const DEPENDENCY: &str = "mutants = { workspace = true }\n";
const DEPENDENCIES: &str = "[dependencies]\n";

/// Brings the copy at `tree` into line with the sources and `patches`. Files that
/// are as they should be are not touched, so that what was built of them stays.
pub(crate) fn bring_about(tree: &Path, patches: &[PatchFile]) -> Result<(), String> {
    let mut changed = BTreeMap::new();
    for patch in patches {
        patch.apply(&mut changed, |path| fs::read_to_string(root().join(path)))?;
    }
    depend(&mut changed)?;
    let sources = sources()?;
    for path in &sources {
        let told = |error: io::Error| format!("{}: {error}", path.display());
        let content = match changed.get(path) {
            Some(text) => text.clone().into_bytes(),
            None => fs::read(root().join(path)).map_err(told)?,
        };
        write(&tree.join(path), &content).map_err(told)?;
    }
    remove_others(tree, tree, &sources).map_err(|error| format!("{}: {error}", tree.display()))
}

/// Has every crate of which a source is changed depend on the switch.
fn depend(changed: &mut BTreeMap<PathBuf, String>) -> Result<(), String> {
    let mut manifests = BTreeSet::new();
    for path in changed.keys() {
        let manifest = path.ancestors().skip(1).map(|folder| folder.join("Cargo.toml"));
        let manifest = manifest.into_iter().find(|manifest| root().join(manifest).exists());
        manifests.insert(manifest.ok_or_else(|| format!("{} is no crate's", path.display()))?);
    }
    for path in manifests {
        let text = fs::read_to_string(root().join(&path));
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        let text = match text.split_once(DEPENDENCIES) {
            Some((head, rest)) => format!("{head}{DEPENDENCIES}{DEPENDENCY}{rest}"),
            None => format!("{text}\n{DEPENDENCIES}{DEPENDENCY}"),
        };
        changed.insert(path, text);
    }
    Ok(())
}

/// The project's files: those that Git knows or would take.
fn sources() -> Result<BTreeSet<PathBuf>, String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("git, which knows the project's files: {error}"))?;
    if !listed.status.success() {
        return Err(String::from_utf8_lossy(&listed.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&listed.stdout);
    let paths = text.split_terminator('\0').map(PathBuf::from);
    // One that was removed and not yet forgotten is listed as well.
    Ok(paths.filter(|path| root().join(path).is_file()).collect())
}

/// Writes a file unless it is as it should be.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
}

/// Removes what is no source any more.
fn remove_others(tree: &Path, folder: &Path, sources: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(tree, &path, sources)?;
        } else if path.strip_prefix(tree).is_ok_and(|name| !sources.contains(name)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
