//! The archive of an image, for debuggers.
//!
//! Made of what the image was made of; nothing of it is loaded.

use crate::{Error, Folders, files};
use app::App;
use archive::Contents;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What an image was made of.
pub(crate) struct Parts<'p> {
    pub(crate) app: &'p App,
    /// Its app.toml.
    pub(crate) description: &'p Path,
    /// The folder with its linked tasks, each under its name.
    pub(crate) tasks_work: &'p Path,
    /// The same for the rest.
    pub(crate) work: &'p Path,
    /// What core 1 runs, by name.
    pub(crate) core1: &'p [&'p str],
    /// What is loaded.
    pub(crate) image: &'p [u8],
    /// The same as plain memory.
    pub(crate) memory: &'p [u8],
}

/// A linked part: its name and its ELF file.
type Linked<'n> = (&'n str, Vec<u8>);

impl Parts<'_> {
    /// Writes the archive into the folder `dist`; where it is.
    pub(crate) fn write(&self, dist: &Path, folders: &Folders) -> Result<PathBuf, Error> {
        let app = self.app;
        let chip = self.description.parent().unwrap_or(Path::new("")).join(&app.chip);
        let tasks = linked(self.tasks_work, app.tasks.iter().map(|task| task.name.as_str()))?;
        let core1 = linked(self.work, self.core1.iter().copied())?;
        let git_rev = git_rev(&folders.workspace);
        let contents = Contents {
            app: &app.text,
            chip: &text(&chip.join("chip.toml"))?,
            memory: &text(&chip.join("memory.toml"))?,
            kernel: &bytes(&self.work.join("kernel"))?,
            tasks: tasks.iter().map(|(name, elf)| (*name, elf.as_slice())).collect(),
            core1: core1.iter().map(|(name, elf)| (*name, elf.as_slice())).collect(),
            image: self.image,
            binary: Some(self.memory),
            git_rev: git_rev.as_deref(),
            name: &app.name,
        };
        let path = dist.join(format!("build-{}.zip", app.name));
        let whole = contents.write().map_err(|error| Error::file(&path, error))?;
        files::write(path, &whole)
    }
}

fn linked<'n>(
    folder: &Path,
    names: impl Iterator<Item = &'n str>,
) -> Result<Vec<Linked<'n>>, Error> {
    names.map(|name| Ok((name, bytes(&folder.join(name))?))).collect()
}

fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::file(path, error))
}

fn text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::file(path, error))
}

/// The commit in the folder `workspace`, with a mark when files differ from it;
/// none when the project came without its history.
fn git_rev(workspace: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        // Looking changes nothing, not even what git remembers of files' times.
        let mut command = Command::new("git");
        command.arg("--no-optional-locks").args(arguments).current_dir(workspace);
        let output = command.output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}
