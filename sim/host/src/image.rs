//! What runs: the tasks and the tables that the kernel holds about them.
//!
//! On a board the build makes this out of `app.toml`; here Rust code makes it,
//! from the same file or by hand in a test.

use std::rc::Rc;

use abi::MAX_TASKS;
use addr::Phys;
use kern::Irq;

/// What a task does, from its beginning.
pub type Entry = Rc<dyn Fn()>;

/// What a task may do in a [`Span`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Device registers, read and write.
    Device,
    /// DMA memory, read and write.
    Dma,
    /// DMA memory, read only.
    DmaRead,
}

/// A run of physical addresses that a task may use.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub base: Phys,
    /// Bytes.
    pub len: u64,
    /// How.
    pub access: Access,
}

/// A task of an image.
#[derive(Clone)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// What it does. On a board a task never returns; one that does panics.
    pub entry: Entry,
    /// Its task slots: the slot's name, and the index of the task in it. They
    /// are also whom it may SEND to.
    pub slots: Vec<(String, u16)>,
    /// Whom it may POST to: index and bits.
    pub notifies: Vec<(u16, u32)>,
    /// Its interrupts, with the notification bits each maps to.
    pub irqs: Vec<(Irq, u32)>,
    /// Its devices and pools.
    pub memory: Vec<Span>,
    /// Whether it runs at start; otherwise the supervisor has to start it.
    pub start: bool,
}

impl Task {
    /// A task that runs from the start and may use nothing.
    pub fn new(name: &str, entry: impl Fn() + 'static) -> Self {
        Self {
            name: name.into(),
            entry: Rc::new(entry),
            slots: Vec::new(),
            notifies: Vec::new(),
            irqs: Vec::new(),
            memory: Vec::new(),
            start: true,
        }
    }

    /// Adds a task slot `name` with task `index` in it.
    #[must_use]
    pub fn slot(mut self, name: &str, index: u16) -> Self {
        self.slots.push((name.into(), index));
        self
    }

    /// Lets it POST `bits` to task `index`.
    #[must_use]
    pub fn notifies(mut self, index: u16, bits: u32) -> Self {
        self.notifies.push((index, bits));
        self
    }

    /// Gives it interrupt `irq` as notification `bits`.
    #[must_use]
    pub fn irq(mut self, irq: Irq, bits: u32) -> Self {
        self.irqs.push((irq, bits));
        self
    }

    /// Gives it a span of addresses.
    #[must_use]
    pub fn memory(mut self, span: Span) -> Self {
        self.memory.push(span);
        self
    }

    /// Holds it back at start.
    #[must_use]
    pub fn held_back(mut self) -> Self {
        self.start = false;
        self
    }
}

/// What each kind of point costs, in nanoseconds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// A system call.
    pub syscall: u64,
    /// A register access.
    pub mmio: u64,
    /// A DMA access of up to 64 bytes, and each 64 bytes more.
    pub dma: u64,
    /// A barrier.
    pub barrier: u64,
    /// Taking an interrupt or the timer.
    pub interrupt: u64,
    /// A call of the DSP's program to its monitor.
    pub monitor: u64,
    /// Every point costs up to so much more; the seed decides.
    pub jitter: u64,
}

impl Default for Costs {
    /// A core of about 1 GHz that takes 2 to 3 cycles an instruction.
    fn default() -> Self {
        Self {
            syscall: 400,
            mmio: 150,
            dma: 40,
            barrier: 30,
            interrupt: 500,
            monitor: 400,
            jitter: 63,
        }
    }
}

/// What counts as a hang.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Points a task, or the DSP's program, may reach without ever waiting.
    pub spin: u64,
    /// Points all tasks together may reach without core 0 ever being idle.
    pub busy: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { spin: 1_000_000, busy: 20_000_000 }
    }
}

/// Everything that runs.
#[derive(Clone)]
pub struct Image {
    /// The tasks, most important first. Task 0 is the supervisor.
    pub tasks: Vec<Task>,
    /// The DSP's program, if there is a DSP. It runs when the board orders it.
    pub core1: Option<Entry>,
    /// The image's identity.
    pub id: u64,
    /// What points cost.
    pub costs: Costs,
    /// What counts as a hang.
    pub limits: Limits,
}

impl Image {
    /// An image of `tasks`, most important first.
    #[must_use]
    pub fn new(tasks: Vec<Task>) -> Self {
        Self { tasks, core1: None, id: 0, costs: Costs::default(), limits: Limits::default() }
    }

    /// Gives it a program for the DSP.
    #[must_use]
    pub fn core1(mut self, entry: impl Fn() + 'static) -> Self {
        self.core1 = Some(Rc::new(entry));
        self
    }

    /// # Panics
    /// When the image breaks a rule that the build of a real image checks.
    pub(crate) fn check(&self) {
        assert!((1..=MAX_TASKS).contains(&self.tasks.len()), "1 to 32 tasks");
        let mut owned: Vec<Irq> = Vec::new();
        for task in &self.tasks {
            let known = |index: u16| usize::from(index) < self.tasks.len();
            assert!(
                task.slots.iter().all(|&(_, index)| known(index)),
                "{}: a slot names a task that the image does not have",
                task.name
            );
            assert!(
                task.notifies.iter().all(|&(index, _)| known(index)),
                "{}: notifies a task that the image does not have",
                task.name
            );
            for &(irq, _) in &task.irqs {
                assert!(!owned.contains(&irq), "{}: {irq:?} has two owners", task.name);
                owned.push(irq);
            }
        }
    }
}
