//! Makes a bootable image out of app.toml.
//!
//! Every task is built at its own addresses, within the sizes that app.toml
//! allows it; then the kernel, with the descriptors and tables that follow from
//! app.toml and from what the tasks became; then one ELF file of all of them.
//! `core` is built along: nobody ships one for the target.
//!
//! Not here: how an image is run.

mod archive;
mod cargo;
mod core1;
mod elf;
mod error;
mod files;
mod kernel;
mod layout;
mod map;
mod stack;
mod task;
mod translation;

pub use error::Error;
pub use layout::{Area, PAGE};
pub use stack::{Gap, StackBound};
pub use translation::{Finding, Rights, Translation, Who};

use app::App;
use core1::DspProgram;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// Where an image begins in memory: with the kernel's vectors, of which the
/// first leads to its start.
pub const LOAD: u32 = layout::KERNEL;

/// Where the project is and where things go.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The workspace.
    pub workspace: PathBuf,
    /// What is built: `<output>/dist/<image>/final.elf` and what leads there.
    pub output: PathBuf,
    /// The compiler; the source of `core` comes with it.
    pub rustc: PathBuf,
}

/// What one part of an image takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The task, or `kernel`.
    pub name: String,
    /// Bytes of code.
    pub text: u32,
    /// Bytes of constants.
    pub constants: u32,
    /// Bytes of RAM: data and stack.
    pub ram: u32,
    /// Bytes of code and constants that app.toml allows; none for the kernel.
    pub flash_limit: Option<u32>,
    /// Bytes of RAM that app.toml allows; none for the kernel.
    pub ram_limit: Option<u32>,
    /// Its stack. Kernel and monitor have some too, of which no bound is known:
    /// interrupts come on top of whatever they do.
    pub stack: Option<Stack>,
}

/// A stack, and how much of it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its bytes.
    pub bytes: u32,
    /// Most that its program needs.
    pub bound: StackBound,
}

impl Stack {
    /// The stack of `bytes` that the program in `file` has.
    fn of(name: &str, bytes: u32, file: &[u8]) -> Result<Self, Error> {
        let bound = stack::bound(file).ok_or_else(|| Error::NotElf(name.to_owned()))?;
        Self { bytes, bound }.check(name)
    }

    /// Refuses it when its program can run over it.
    fn check(self, name: &str) -> Result<Self, Error> {
        if self.bound.bytes > self.bytes {
            return Err(Error::StackTooSmall(name.to_owned(), self.bound.bytes, self.bytes));
        }
        Ok(self)
    }
}

/// An image that was built.
#[derive(Clone, Debug)]
pub struct Image {
    /// The ELF file to boot.
    pub elf: PathBuf,
    /// The same as plain memory, zeros and all, from [`LOAD`] on. It starts at
    /// its first word, in A32 state.
    pub bin: PathBuf,
    /// The map: whose each piece of memory is.
    pub map: PathBuf,
    /// Its archive, for debuggers.
    pub archive: PathBuf,
    /// The checked description it was made from.
    pub app: App,
    /// The kernel, the tasks in order of importance, and what core 1 runs.
    pub usage: Vec<Usage>,
    /// The number by which the image knows itself.
    pub id: u64,
    /// Bytes that are loaded.
    pub bytes: u32,
    /// The translation tables that the kernel makes.
    pub translation: Translation,
}

/// Builds the image that the app.toml at `description` describes; `progress`
/// hears what is built next.
///
/// # Errors
/// When the description breaks a rule, something does not compile, or something
/// does not fit.
pub fn build(
    description: &Path,
    folders: &Folders,
    progress: impl FnMut(&str),
) -> Result<Image, Error> {
    build_with(DspProgram::Own, description, folders, progress)
}

/// Builds the same image with another DSP program: the one that tries
/// everything (`test/hostile`). Tasks and monitor are those of [`build`].
///
/// # Errors
/// As [`build`]; and when the image has no DSP.
pub fn build_hostile(
    description: &Path,
    folders: &Folders,
    progress: impl FnMut(&str),
) -> Result<Image, Error> {
    build_with(DspProgram::Hostile, description, folders, progress)
}

fn build_with(
    dsp: DspProgram,
    description: &Path,
    folders: &Folders,
    mut progress: impl FnMut(&str),
) -> Result<Image, Error> {
    let app = App::load(description).map_err(Error::Description)?;
    kernel::check_features(&app)?;
    if dsp == DspProgram::Hostile {
        core1::require(&app)?;
    }
    let places = layout::places(&app);
    // The tasks are the same whatever core 1 runs, and are built once.
    let tasks_work = folders.output.join("build").join(&app.name);
    let (work, dist) = match dsp {
        DspProgram::Own => (tasks_work.clone(), app.name.clone()),
        DspProgram::Hostile => (tasks_work.join("hostile"), format!("{}-hostile", app.name)),
    };
    let dist = folders.output.join("dist").join(dist);
    for folder in [&tasks_work, &work, &dist] {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    }

    let mut digest = Xxh3::new();
    let mut usage = Vec::new();
    let mut tasks = Vec::new();
    for (index, task) in app.indexed() {
        progress(&task.name);
        let built = task::build(&app, index, &places, &tasks_work, folders)?;
        usage.push(built.usage(task));
        digest.update(&built.elf.contents());
        tasks.push(built);
    }

    progress("core 1");
    let core1 = core1::build(&app, dsp, &places, &work, folders)?;
    if let Some(core1) = &core1 {
        usage.extend(core1.usage());
        digest.update(&core1.contents());
    }

    progress("kernel");
    let start_core1 = core1.as_ref().map(core1::Core1::entry);
    let tables = kernel::tables(&app, &places, &tasks, start_core1);
    digest.update(tables.as_bytes());
    let id = digest.digest();
    let kernel = kernel::build(&app, &tables, id, &work, folders)?;
    usage.insert(0, kernel::usage(&kernel));
    let regions = || tasks.iter().map(|task| task.regions.as_slice());
    let translation = Translation::make(&kernel.memory, &places, regions());
    let findings = translation::check(&translation, &app, &places, &kernel.memory, regions());
    Error::tables(findings)?;

    let parts = std::iter::once(&kernel.elf).chain(tasks.iter().map(|task| &task.elf));
    let parts = parts.flat_map(|part| &part.segments);
    let segments: Vec<_> = parts.chain(core1.iter().flat_map(|core1| core1.segments())).collect();
    let bytes = segments.iter().map(|segment| segment.bytes.len() as u32).sum();
    let whole = elf::join(kernel.elf.entry, &segments);
    let memory = elf::flat(&segments);
    let elf = files::write(dist.join("final.elf"), &whole)?;
    let bin = files::write(dist.join("final.bin"), &memory)?;
    let parts = map::Parts {
        app: &app,
        places: &places,
        kernel: &kernel,
        tasks: &tasks,
        core1: core1.as_ref(),
    };
    let heading = format!(
        "{}, image {id:016x}\nfinal.elf starts at {:#010x}\n\
         final.bin has {} bytes, lies at and starts at {LOAD:#010x}",
        app.name,
        kernel.elf.entry,
        memory.len()
    );
    let map = files::write(dist.join("map.txt"), map::text(&heading, &parts.rows()).as_bytes())?;
    progress("archive");
    let archive = archive::Parts {
        app: &app,
        description,
        tasks_work: &tasks_work,
        work: &work,
        core1: if core1.is_some() { &dsp.binaries() } else { &[] },
        image: &whole,
        memory: &memory,
    };
    let archive = archive.write(&dist, folders)?;
    Ok(Image { elf, bin, map, archive, app, usage, id, bytes, translation })
}

/// Builds the image that tries core 1 of the app.toml at `description` without
/// a kernel or tasks.
///
/// # Errors
/// As [`build`].
pub fn build_core1_test(
    description: &Path,
    folders: &Folders,
    mut progress: impl FnMut(&str),
) -> Result<PathBuf, Error> {
    let app = App::load(description).map_err(Error::Description)?;
    let places = layout::places(&app);
    let work = folders.output.join("build").join(&app.name);
    let dist = folders.output.join("dist").join("core1-test");
    for folder in [&work, &dist] {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    }
    progress("core 1");
    let core1 = core1::build(&app, DspProgram::Own, &places, &work, folders)?;
    let core1 = core1.ok_or_else(|| Error::NoDsp(app.name.clone()))?;
    progress("core1-test");
    let test = core1::build_test(&app, &core1, &work, folders)?;
    let segments: Vec<_> = test.segments.iter().chain(core1.segments()).collect();
    files::write(dist.join("final.elf"), &elf::join(test.entry, &segments))
}
