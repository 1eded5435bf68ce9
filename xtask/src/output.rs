//! Files that commands write.

use crate::Bad;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// A file that appears under its name only when it is complete. What is there
/// already and no file, such as a pipe, is written to as it is.
pub(crate) struct Output {
    pub(crate) path: PathBuf,
    /// Where it is written; `path` itself for what is no file.
    partial: PathBuf,
}

/// Two outputs of one name would overwrite each other.
pub(crate) fn each_its_own<const N: usize>(outputs: [Option<&Output>; N]) -> Result<(), Bad> {
    let files: Vec<&Output> = outputs.into_iter().flatten().filter(|o| o.is_file()).collect();
    let twice = |n: usize| files[..n].iter().any(|earlier| earlier.path == files[n].path);
    match (0..files.len()).find(|&n| twice(n)) {
        Some(n) => Err(Bad(format!("{} is to be two things at once", files[n].path.display()))),
        None => Ok(()),
    }
}

impl Output {
    pub(crate) fn new(path: PathBuf) -> Result<Self, Bad> {
        match fs::metadata(&path) {
            Ok(there) if there.is_dir() => {
                return Err(Bad(format!("{} cannot be written: it is a folder", path.display())));
            }
            Ok(there) if !there.is_file() => return Ok(Self { partial: path.clone(), path }),
            _ => {}
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let output = Self { path, partial };
        if let Some(folder) = output.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| output.failed(&error))?;
        }
        output.create()?;
        Ok(output)
    }

    fn is_file(&self) -> bool {
        self.partial != self.path
    }

    pub(crate) fn create(&self) -> Result<File, Bad> {
        File::create(&self.partial).map_err(|error| self.failed(&error))
    }

    pub(crate) fn writer(&self) -> Result<Box<dyn Write>, Bad> {
        Ok(Box::new(BufWriter::with_capacity(1 << 20, self.create()?)))
    }

    pub(crate) fn complete(self) -> Result<(), Bad> {
        if self.is_file() {
            fs::rename(&self.partial, &self.path).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    pub(crate) fn failed(&self, error: &std::io::Error) -> Bad {
        Bad(format!("{} cannot be written: {error}", self.path.display()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_file() {
            // Gone already when the output is complete.
            let _ = fs::remove_file(&self.partial);
        }
    }
}
