//! What tasks noted in their ring buffers, read out of a board's memory.
//!
//! A ring is found by its task, and what is in it by the debug information of
//! the image's archive. Its times are counts of the counter that all logs of a
//! board have.

use archive::Archive;
use image::Image;
use qemu::Memory;
use view::{Entry, Found, Inline, Programs, Ring, Value, Which};

use super::evidence::Count;
use super::stage::Stop;
use crate::Bad;

/// The ring buffers of an image.
pub(crate) struct Rings {
    archive: Archive,
}

/// What a task noted.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) at: Count,
    pub(crate) what: Value,
}

impl Noted {
    /// Whether it is a note of this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.what.name() == Some(name)
    }

    /// What is at that position in it.
    pub(crate) fn part(&self, position: usize) -> Option<&Value> {
        self.what.at(position)
    }
}

/// A value in words.
pub(crate) fn words(value: &Value) -> String {
    Inline(value).to_string()
}

impl Rings {
    pub(crate) fn of(image: &Image) -> Result<Self, Stop> {
        let archive = Archive::open(&image.archive).map_err(|error| Bad(error.to_string()))?;
        Ok(Self { archive })
    }

    /// What is in the rings of `task`, oldest first.
    pub(crate) fn of_task(&self, memory: &Memory, task: &str) -> Result<Vec<Noted>, Stop> {
        let programs = Programs::of(&self.archive);
        let names = programs.task_names();
        let index = names.iter().position(|name| name == task);
        let index = index.ok_or_else(|| Bad(format!("the image has no task {task}")))?;
        let program = programs.get(Which::Task(index)).map_err(|error| lost(task, &error))?;
        let types = program.types();
        let rings = types.variables().iter();
        let mut noted = Vec::new();
        for variable in rings.filter(|variable| types.name(variable.of).contains("Ringbuf")) {
            let found = Found { program, variable };
            let mut bytes = vec![0; found.size()];
            memory.read(addr::Phys(variable.at.0), &mut bytes)?;
            let mut known = dump::Memory::default();
            known.insert(variable.at, bytes).map_err(|error| lost(task, &error))?;
            let value = found.value(&known).map_err(|error| lost(task, &error))?;
            let ring = Ring::of(task, &variable.name, &value);
            let ring = ring.ok_or_else(|| lost(task, &"no ring buffer"))?;
            noted.extend(ring.entries.into_iter().map(note));
        }
        noted.sort_by_key(|noted| noted.at);
        Ok(noted)
    }
}

fn note(Entry { time, payload, .. }: Entry) -> Noted {
    Noted { at: Count(time.unwrap_or_default()), what: payload }
}

fn lost(task: &str, why: &dyn std::fmt::Display) -> Bad {
    Bad(format!("the ring buffers of {task}: {why}"))
}
