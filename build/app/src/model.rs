//! The image as the rest of the build sees it: checked, in order, resolved.

use abi::Priority;
use addr::Phys;
use std::path::PathBuf;

/// A task's number: its rank of importance, 0 the supervisor.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskIndex(pub u16);

/// A pool's number: what `dma::Pool` and `iommu` know it by.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u8);

/// One notification of one task: 0 to 30.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bit(pub u8);

impl Bit {
    /// The bit in a notification word.
    #[must_use]
    pub const fn mask(self) -> u32 {
        1 << self.0
    }
}

/// An interrupt as the GIC numbers it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Intid(pub u16);

/// How the QMI service answers what it refuses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As a DSP has always seen it from the Linux implementation.
    Upstream,
    /// With the status that fits.
    Precise,
}

/// What a task leaves behind that gives up (a panic of its own, a check that
/// failed).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Panics {
    /// A message. The tasks carry the texts, and the code that formats them.
    Messages,
    /// The place: it stops where it gave up, with an instruction that no task
    /// may execute. The debugger knows the line. A quarter smaller.
    Places,
}

/// Who writes a pool.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A task.
    Task(TaskIndex),
    /// The DSP's monitor.
    Monitor,
}

/// What the DSP's monitor may do with a pool that a task owns.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MonitorAccess {
    /// Nothing.
    None,
    /// Read it.
    Read,
    /// Read it, and write the pages that are the monitor's by the layout.
    Write,
}

/// A block of device registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peripheral {
    /// Its name in the chip's file.
    pub name: String,
    /// Where it is.
    pub address: Phys,
    /// Bytes.
    pub size: u32,
    /// Its interrupts.
    pub interrupts: Vec<(String, Intid)>,
}

/// A stretch of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `ram` or `flash`.
    pub kind: String,
    /// Where it is.
    pub address: Phys,
    /// Bytes.
    pub size: u64,
}

/// A run of pages that devices or the DSP core also see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// Its name.
    pub name: String,
    /// Its first page.
    pub base: Phys,
    /// Its length.
    pub pages: u32,
    /// Who writes it.
    pub owner: Owner,
    /// Tasks that may read it.
    pub readers: Vec<TaskIndex>,
    /// What the DSP's monitor may do with it.
    pub monitor: MonitorAccess,
    /// Whether it is zero before anything but the kernel runs.
    pub zeroed: bool,
}

/// A name under which a task knows a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The name in the client's source.
    pub name: String,
    /// The server.
    pub task: TaskIndex,
}

/// A hint that a server may give a client.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The client.
    pub client: TaskIndex,
    /// The client's bit.
    pub bit: Bit,
}

/// An interrupt and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// `<peripheral>.<interrupt>`, as the file says.
    pub name: String,
    /// Its number.
    pub intid: Intid,
    /// The notification of its task.
    pub bit: Bit,
}

/// A USB controller, the task that drives it, and what that needs. All of it has
/// the controller's number in its name, but the pools of the first one.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Controller<'a> {
    /// Its number in the image, from 0.
    pub number: u8,
    /// Its StreamID: the RID of its function.
    pub stream: u16,
    /// Its driver.
    pub driver: TaskIndex,
    /// Its registers: `xhci0`.
    pub registers: &'a Peripheral,
    /// Its function's configuration space: `xhci0_ecam`.
    pub function: &'a Peripheral,
    /// Contexts, command ring, primary event ring, bounce pages: `dma_xhci`.
    pub contexts: &'a Pool,
    /// Transfer, shadow and secondary event rings: `dma_ring`.
    pub rings: &'a Pool,
    /// What the monitor lets through to it: `gate`.
    pub gate: &'a Pool,
    /// What its primary interrupter raises.
    pub primary: Intid,
    /// The first of those that its others raise at the DSP.
    pub dsp_first: Intid,
}

/// The crate that drives a controller.
pub(crate) const DRIVER: &str = "xhci";

/// What belongs to controller `number` and is called `name` when there is one.
pub(crate) fn of_controller(name: &str, number: u8) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}{number}") }
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// The crate it is made of.
    pub krate: String,
    /// The crate's features.
    pub features: Vec<String>,
    /// Its importance.
    pub priority: Priority,
    /// Bytes of stack.
    pub stack: u32,
    /// Most bytes of code and constants.
    pub flash: u32,
    /// Most bytes of RAM, the stack among them.
    pub ram: u32,
    /// Whether it runs from the start, or waits for the supervisor's word.
    pub start: bool,
    /// The servers it may SEND to; everybody has `jefe`.
    pub slots: Vec<Slot>,
    /// Its notifications, by bit.
    pub notifications: Vec<String>,
    /// The hints that it may give.
    pub notifies: Vec<Notify>,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
    /// The registers it may touch.
    pub uses: Vec<Peripheral>,
    /// Values for the task alone.
    pub config: toml::Table,
}

impl Task {
    /// The mask of the notification called `name`.
    #[must_use]
    pub fn notification(&self, name: &str) -> Option<u32> {
        let position = self.notifications.iter().position(|known| known == name)?;
        Some(1 << position)
    }

    /// The task in the slot called `name`.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<TaskIndex> {
        self.slots.iter().find(|slot| slot.name == name).map(|slot| slot.task)
    }

    /// The registers called `name` that the task may touch.
    #[must_use]
    pub fn peripheral(&self, name: &str) -> Option<&Peripheral> {
        self.uses.iter().find(|peripheral| peripheral.name == name)
    }
}

/// The image.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// What was read: app.toml, whole with what it inherits.
    pub text: String,
    /// Its name.
    pub name: String,
    /// The compiler's target.
    pub target: String,
    /// The core, as the compiler calls it; any of the target if not said.
    pub cpu: Option<String>,
    /// The board.
    pub board: String,
    /// The chip's folder.
    pub chip: PathBuf,
    /// The kernel's crate.
    pub kernel: String,
    /// The kernel's features.
    pub kernel_features: Vec<String>,
    /// How QMI refusals look.
    pub dialect: Dialect,
    /// What a task leaves behind that gives up.
    pub panics: Panics,
    /// The chip's memory.
    pub memory: Vec<Memory>,
    /// The chip's registers.
    pub peripherals: Vec<Peripheral>,
    /// The pools, by number.
    pub pools: Vec<Pool>,
    /// The tasks, most important first.
    pub tasks: Vec<Task>,
}

impl App {
    /// The number of the task called `name`.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<TaskIndex> {
        // The rules keep the number of tasks far below 2^16.
        self.tasks.iter().position(|task| task.name == name).map(|index| TaskIndex(index as u16))
    }

    /// The task with this number.
    ///
    /// # Panics
    /// When the number is not this image's.
    #[must_use]
    pub fn task(&self, index: TaskIndex) -> &Task {
        &self.tasks[usize::from(index.0)]
    }

    /// Every task with its number.
    pub fn indexed(&self) -> impl Iterator<Item = (TaskIndex, &Task)> {
        self.tasks.iter().enumerate().map(|(index, task)| (TaskIndex(index as u16), task))
    }

    /// The pool called `name`.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// The chip's registers called `name`, whoever may touch them.
    #[must_use]
    pub fn peripheral(&self, name: &str) -> Option<&Peripheral> {
        self.peripherals.iter().find(|peripheral| peripheral.name == name)
    }

    /// The tasks that `task` may SEND to, as a set of bits by number.
    #[must_use]
    pub fn send_mask(&self, task: TaskIndex) -> u32 {
        self.task(task).slots.iter().fold(0, |mask, slot| mask | 1 << slot.task.0)
    }

    /// The bits that `from` may POST to `to`.
    #[must_use]
    pub fn post_bits(&self, from: TaskIndex, to: TaskIndex) -> u32 {
        let notifies = self.task(from).notifies.iter().filter(|notify| notify.client == to);
        notifies.fold(0, |mask, notify| mask | notify.bit.mask())
    }

    /// [`App::post_bits`] for all pairs: row = from, column = to.
    #[must_use]
    pub fn post_table(&self) -> Vec<Vec<u32>> {
        let row = |from| self.indexed().map(|(to, _)| self.post_bits(from, to)).collect();
        self.indexed().map(|(from, _)| row(from)).collect()
    }

    /// The tasks that share an edge of the graph with `task`, the supervisor
    /// not counted: its death ends everything.
    #[must_use]
    pub fn neighbours(&self, task: TaskIndex) -> Vec<TaskIndex> {
        let edge = |client: TaskIndex, server: TaskIndex| {
            self.task(client).slots.iter().any(|slot| slot.task == server)
        };
        self.indexed()
            .map(|(other, _)| other)
            .filter(|&other| other != task && other.0 != 0 && task.0 != 0)
            .filter(|&other| edge(task, other) || edge(other, task))
            .collect()
    }

    /// The pools whose pages `iommu` may map, with their owners. Tables, gate,
    /// mailbox and media stay out of every controller's and the DSP's reach.
    pub fn dma_pools(&self) -> impl Iterator<Item = (&Pool, TaskIndex)> {
        let dma = self.pools.iter().filter(|pool| pool.name.starts_with("dma_"));
        dma.filter_map(|pool| match pool.owner {
            Owner::Task(owner) => Some((pool, owner)),
            Owner::Monitor => None,
        })
    }

    /// The controllers, in the order of their numbers, which begin with 0 and
    /// leave none out.
    #[must_use]
    pub fn controllers(&self) -> Vec<Controller<'_>> {
        let drivers = self.indexed().filter(|(_, task)| task.krate == DRIVER);
        // The rules see to it that each has all of it.
        let mut controllers: Vec<_> =
            drivers.filter_map(|(driver, task)| self.controller(driver, task)).collect();
        controllers.sort_by_key(|controller| controller.number);
        controllers
    }

    fn controller(&self, driver: TaskIndex, task: &Task) -> Option<Controller<'_>> {
        let value = |key: &str| task.config.get(key)?.as_integer();
        let number = u8::try_from(value("controller")?).ok()?;
        let pool = |name: &str| self.pool(&of_controller(name, number));
        let registers = self.peripheral(&format!("xhci{number}"))?;
        let interrupt = |name: &str| {
            let found = registers.interrupts.iter().find(|(known, _)| known == name)?;
            Some(found.1)
        };
        Some(Controller {
            number,
            stream: u16::try_from(value("stream")?).ok()?,
            driver,
            registers,
            function: self.peripheral(&format!("xhci{number}_ecam"))?,
            contexts: pool("dma_xhci")?,
            rings: pool("dma_ring")?,
            gate: pool("gate")?,
            primary: interrupt("primary")?,
            dsp_first: interrupt("dsp_first")?,
        })
    }
}
