//! The programs of an image, each read when it is first asked for.

use crate::object::Object;
use crate::types::Variable;
use crate::{Error, Value, decode};
use addr::Virt;
use archive::Archive;
use dump::Memory;
use std::cell::OnceCell;

/// Which program of an image.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The kernel.
    Kernel,
    /// A task, by its index.
    Task(usize),
    /// What core 1 runs: the parts in the archive's order.
    Core1(usize),
}

/// The programs of an image.
#[derive(Debug)]
pub struct Programs<'a> {
    kernel: Lazy<'a>,
    tasks: Vec<Lazy<'a>>,
    core1: Vec<Lazy<'a>>,
}

#[derive(Debug)]
struct Lazy<'a> {
    name: &'a str,
    elf: &'a [u8],
    object: OnceCell<Result<Object<'a>, Error>>,
}

impl<'a> Lazy<'a> {
    const fn new(name: &'a str, elf: &'a [u8]) -> Self {
        Self { name, elf, object: OnceCell::new() }
    }

    fn get(&self) -> Result<&Object<'a>, Error> {
        self.object.get_or_init(|| Object::read(self.name, self.elf)).as_ref().map_err(Clone::clone)
    }
}

/// A variable in the program that has it.
#[derive(Copy, Clone, Debug)]
pub struct Found<'p, 'a> {
    /// The program.
    pub program: &'p Object<'a>,
    /// The variable.
    pub variable: &'p Variable,
}

impl Found<'_, '_> {
    /// Bytes of the variable.
    #[must_use]
    pub fn size(&self) -> usize {
        self.program.types().size(self.variable.of).unwrap_or(0)
    }

    /// Its value in `memory`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn value(&self, memory: &Memory) -> Result<Value, Error> {
        let (at, size) = (self.variable.at, self.size());
        let bytes = memory.read(at, size).ok_or(Error::NotThere(at, size))?;
        Ok(decode(self.program.types(), self.variable.of, bytes, memory))
    }
}

impl<'a> Programs<'a> {
    /// The programs of `archive`.
    #[must_use]
    pub fn of(archive: &'a Archive) -> Self {
        let lazy = |part: archive::Task<'a>| Lazy::new(part.name, part.elf);
        Self {
            kernel: Lazy::new("kernel", archive.kernel()),
            tasks: archive.tasks().map(lazy).collect(),
            core1: archive.core1().map(lazy).collect(),
        }
    }

    /// One of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, which: Which) -> Result<&Object<'a>, Error> {
        let lazy = match which {
            Which::Kernel => Some(&self.kernel),
            Which::Task(index) => self.tasks.get(index),
            Which::Core1(part) => self.core1.get(part),
        };
        let none = || Error::Unknown("task", format!("{which:?}"), self.task_names());
        lazy.ok_or_else(none)?.get()
    }

    /// All of them: the kernel, the tasks, and what core 1 runs.
    pub fn all(&self) -> impl Iterator<Item = Which> {
        let tasks = (0..self.tasks.len()).map(Which::Task);
        let core1 = (0..self.core1.len()).map(Which::Core1);
        std::iter::once(Which::Kernel).chain(tasks).chain(core1)
    }

    /// Name of task `index`.
    #[must_use]
    pub fn task_name(&self, index: usize) -> Option<&'a str> {
        self.tasks.get(index).map(|task| task.name)
    }

    /// Names of the tasks, by index.
    #[must_use]
    pub fn task_names(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.name.to_owned()).collect()
    }

    /// The program whose code is at `at`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn at(&self, at: Virt) -> Result<Option<Which>, Error> {
        for which in self.all() {
            if self.get(which)?.has_code(at) {
                return Ok(Some(which));
            }
        }
        Ok(None)
    }

    /// Every variable that `wanted` wants, program by program.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn variables<'p>(
        &'p self,
        wanted: impl Fn(&Object<'a>, &Variable) -> bool,
    ) -> Result<Vec<Found<'p, 'a>>, Error> {
        let mut found = Vec::new();
        for which in self.all() {
            let program = self.get(which)?;
            let variables = program.types().variables().iter();
            let wanted = variables.filter(|variable| wanted(program, variable));
            found.extend(wanted.map(|variable| Found { program, variable }));
        }
        Ok(found)
    }

    /// Variable `name` of the kernel.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of_kernel(&self, name: &str) -> Result<Found<'_, 'a>, Error> {
        let program = self.get(Which::Kernel)?;
        let variable = program.types().variable(name);
        let variable =
            variable.ok_or_else(|| Error::Lacks("kernel".into(), format!("variable `{name}`")))?;
        Ok(Found { program, variable })
    }
}
