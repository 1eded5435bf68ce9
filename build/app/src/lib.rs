//! app.toml: the image's description, read and checked.
//!
//! One file says which tasks there are, how important each is, who may SEND and
//! POST to whom, which memory and which registers each may touch. [`App::load`]
//! reads it together with its chip's files and either hands back a description
//! that keeps every rule, or the list of what breaks one, each with file, line,
//! column, what is wrong and what would be right.
//!
//! The keys that Humility reads (`target`, `name`, `board`, `chip`, `kernel`,
//! `tasks.*` with `notifications` and `interrupts`) mean what they mean there.
//! What the keys are is written down in `docs/app-toml.md`.

mod check;
mod graph;
mod inherit;
mod model;
mod raw;
mod refusal;

pub use graph::{Edge, Graph};
pub use model::{
    App, Bit, Controller, Dialect, Interrupt, Intid, Memory, MonitorAccess, Notify, Owner, Panics,
    Peripheral, Pool, PoolId, Slot, Task, TaskIndex,
};
pub use refusal::{Refusal, Refusals, Rule};

use refusal::Source;
use std::path::Path;

impl App {
    /// Reads and checks the description at `path`; its `chip` is a folder
    /// relative to it.
    ///
    /// # Errors
    /// Everything that breaks a rule.
    pub fn load(path: &Path) -> Result<Self, Refusals> {
        let source = Source::read(path)?.whole()?;
        let file: raw::File = source.parse()?;
        let folder = path.parent().unwrap_or(Path::new("")).join(file.chip.get_ref());
        let span = file.chip.span();
        let chip = source.beside(&folder.join("chip.toml"), span.clone())?;
        let memory = source.beside(&folder.join("memory.toml"), span)?;
        check::check(&source, file, &chip.parse()?, &memory.parse()?)
    }
}
