//! Files that are there whole or not at all.

use crate::Error;
use std::path::{Path, PathBuf};

/// Writes `path`; nobody finds half of it.
pub(crate) fn write(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, Error> {
    let mut unfinished = path.clone().into_os_string();
    unfinished.push(".part");
    std::fs::write(&unfinished, bytes)
        .and_then(|()| std::fs::rename(&unfinished, &path))
        .map_err(|error| Error::file(&path, error))?;
    Ok(path)
}

/// Writes `path` only when that says something new, so that nothing is built
/// again for nothing.
pub(crate) fn write_if_changed(path: &Path, text: &str) -> Result<(), Error> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    write(path.to_owned(), text.as_bytes()).map(|_| ())
}
