//! The translation tables that the kernel makes at start, made here to be
//! checked.
//!
//! [`tables`] makes both. What it says is read back out of the words, by the
//! manual, in [`walk`]; [`check`] holds that against app.toml.

mod check;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use check::check;
pub use check::{Finding, Who};

use crate::layout::{self, Area, Places, Region};
use kern::REGIONS_PER_TASK;
use std::fmt;
use tables::{KernelMemory, Plan, Span, Tables};

/// Most tasks of an image.
const TASKS: usize = 32;
/// Words that the tables of any image fit into: first levels, and second levels
/// for both ends of every region and for the kernel.
const MOST_WORDS: usize = 4096 + TASKS * 2048 + (1 + TASKS * REGIONS_PER_TASK * 2) * 256;

/// The tables of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Where they are.
    pub base: u32,
    /// All of them.
    pub words: Vec<u32>,
    tables: Tables,
    tasks: usize,
}

impl Translation {
    /// The tables for tasks with these regions, around a kernel with this memory.
    pub(crate) fn make<'r>(
        kernel: &KernelMemory,
        places: &Places,
        tasks: impl ExactSizeIterator<Item = &'r [Region]>,
    ) -> Self {
        let base = kernel.tables.base;
        let mut words = vec![0; MOST_WORDS];
        let plan = Plan { kernel: *kernel, flash: span(places.flash), ram: span(places.ram) };
        let count = tasks.len();
        let tasks = tasks.map(|regions| {
            regions
                .iter()
                .map(|&Region { area, attributes }| tables::Region { span: span(area), attributes })
        });
        let tables = tables::build(&mut words, base, &plan, tasks);
        words.truncate(tables.words);
        Self { base, words, tables, tasks: count }
    }
}

/// How many words of tables an image of these tasks has, wherever its kernel
/// becomes.
pub(crate) fn words<'r>(
    places: &Places,
    tasks: impl ExactSizeIterator<Item = &'r [Region]>,
) -> usize {
    let somewhere = Span { base: layout::KERNEL, size: layout::PAGE };
    let kernel =
        KernelMemory { text: somewhere, constants: somewhere, tables: somewhere, data: somewhere };
    Translation::make(&kernel, places, tasks).words.len()
}

pub(crate) fn span(area: Area) -> Span {
    Span { base: area.base, size: area.size }
}

pub(crate) fn area(span: Span) -> Area {
    Area { base: span.base, size: span.size }
}

/// What may be done with some memory.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Read it.
    pub read: bool,
    /// Write it.
    pub write: bool,
    /// Execute it.
    pub execute: bool,
}

impl Rights {
    pub(crate) const NONE: Self = Self { read: false, write: false, execute: false };
    pub(crate) const READ: Self = Self { read: true, ..Self::NONE };
    pub(crate) const READ_WRITE: Self = Self { write: true, ..Self::READ };
    pub(crate) const READ_EXECUTE: Self = Self { execute: true, ..Self::READ };

    /// Whether nothing is allowed that `other` forbids.
    fn within(self, other: Self) -> bool {
        self.read <= other.read && self.write <= other.write && self.execute <= other.execute
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |has, mark| if has { mark } else { '-' };
        let Self { read, write, execute } = *self;
        write!(f, "{}{}{}", mark(read, 'r'), mark(write, 'w'), mark(execute, 'x'))
    }
}
