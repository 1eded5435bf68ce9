//! A task: what the build says of it and what the kernel keeps of it.
//!
//! [`Task`], [`TaskDesc`], [`RegionDesc`] and the saved registers keep the names
//! and fields by which Humility finds them; a second type of one of these names
//! anywhere in the image would break that.

use abi::{Generation, Priority, RegionAttributes, SchedState, TaskId, TaskState};

use crate::arch::{Address, SavedRegisters, SavedState};

/// Regions a task can have. An MMU does not limit them; twelve hold RAM, text,
/// read-only data, and nine of pools and devices (the xHCI driver has seven).
/// The build refuses more.
pub const REGIONS_PER_TASK: usize = 12;

/// Which task: its position in the image, which is its rank of importance.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskIndex(pub u8);

impl TaskIndex {
    /// The task that faults are told to.
    pub const SUPERVISOR: Self = Self(0);

    /// As an array index.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// As a set of tasks.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self.0
    }

    /// The first of a set of tasks: the most important one.
    #[must_use]
    pub const fn first_of(set: u32) -> Option<Self> {
        if set == 0 { None } else { Some(Self(set.trailing_zeros() as u8)) }
    }
}

/// A set of notification bits.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationSet(pub u32);

/// Milliseconds since start.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

/// A run of addresses that a task may use.
#[derive(Copy, Clone, Debug)]
pub struct RegionDesc {
    /// First byte; 0 in an unused entry.
    pub base: Address,
    /// Bytes; 0 in an unused entry.
    pub size: Address,
    /// What the task may do there.
    pub attributes: RegionAttributes,
}

impl RegionDesc {
    /// The entry of a task that uses fewer regions than it could.
    pub const UNUSED: Self = Self { base: 0, size: 0, attributes: RegionAttributes::EMPTY };
}

/// What the build says of a task.
#[derive(Debug)]
pub struct TaskDesc {
    /// Where it starts.
    pub entry_point: Address,
    /// Its first stack pointer.
    pub initial_stack: Address,
    /// Its memory. The first is its RAM with the stack in it: almost every
    /// message is there, so that the first comparison of a check settles it.
    pub regions: [&'static RegionDesc; REGIONS_PER_TASK],
}

/// A task's one timer.
#[derive(Copy, Clone, Debug, Default)]
pub struct Timer {
    /// When it ends; `None` while it is not set.
    pub deadline: Option<Timestamp>,
    /// What is posted then.
    pub to_post: NotificationSet,
}

/// What the kernel keeps of a task.
#[derive(Debug)]
pub struct Task {
    /// Its registers while it does not run. While it waits in a system call
    /// they hold the call's arguments, which the kernel checked at the call.
    pub(crate) save: SavedState,
    /// What it is up to.
    pub(crate) state: TaskState,
    /// Which incarnation it is.
    pub(crate) generation: Generation,
    /// Its importance, which is its index; kept for debuggers.
    pub(crate) priority: Priority,
    /// What the build says of it.
    pub(crate) descriptor: &'static TaskDesc,
    /// Its first region if that is plain RAM, else of size 0: where almost
    /// every slice is that a system call names.
    pub(crate) ram_base: Address,
    /// See `ram_base`.
    pub(crate) ram_size: Address,
    /// Its timer.
    pub(crate) timer: Timer,
    /// Bits posted and not yet taken.
    pub(crate) notifications: NotificationSet,
    /// The tasks it may SEND to.
    pub(crate) send_mask: u32,
    /// The tasks that wait in SEND to it: those whose state is `InSend` of it.
    pub(crate) senders: u32,
}

impl Task {
    /// Task `index` before its first incarnation, held back. It may SEND to the
    /// tasks in `send_mask`.
    ///
    /// # Panics
    /// When the mask names a task that is not more important: the build has to
    /// refuse that, because such a SEND could close a circle of waiting.
    #[must_use]
    pub const fn new(index: TaskIndex, descriptor: &'static TaskDesc, send_mask: u32) -> Self {
        assert!(send_mask < index.bit(), "image lets a task SEND to one not more important");
        const PLAIN_RAM: RegionAttributes = RegionAttributes::READ.with(RegionAttributes::WRITE);
        let first = descriptor.regions[0];
        let is_plain = first.attributes.0 == PLAIN_RAM.0;
        Self {
            save: SavedState::EMPTY,
            state: TaskState::Healthy(SchedState::Stopped),
            generation: Generation(0),
            priority: Priority(index.0),
            descriptor,
            ram_base: first.base,
            ram_size: if is_plain { first.size } else { 0 },
            timer: Timer { deadline: None, to_post: NotificationSet(0) },
            notifications: NotificationSet(0),
            send_mask,
            senders: 0,
        }
    }

    /// What it is up to.
    #[must_use]
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Its present incarnation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Its importance.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Its timer.
    #[must_use]
    pub fn timer(&self) -> &Timer {
        &self.timer
    }

    /// What the build says of it.
    #[must_use]
    pub fn descriptor(&self) -> &'static TaskDesc {
        self.descriptor
    }

    /// Its saved registers.
    #[must_use]
    pub fn save(&self) -> &SavedState {
        &self.save
    }

    /// Its saved registers, for the architecture's entry and exit code.
    pub fn save_mut(&mut self) -> &mut SavedState {
        &mut self.save
    }

    /// The tasks that wait in SEND to it.
    #[must_use]
    pub fn senders(&self) -> u32 {
        self.senders
    }

    /// Bits posted and not yet taken.
    #[must_use]
    pub fn notifications(&self) -> NotificationSet {
        self.notifications
    }

    /// Whether it waits for the reply of task `server`.
    #[inline(always)]
    pub(crate) fn waits_for_reply_of(&self, server: TaskId) -> bool {
        matches!(self.state, TaskState::Healthy(SchedState::InReply(to)) if to == server)
    }

    /// Whether it waits for anything of task `other`.
    pub(crate) fn waits_for(&self, other: TaskId) -> bool {
        match self.state {
            TaskState::Healthy(SchedState::InSend(to) | SchedState::InReply(to)) => to == other,
            TaskState::Healthy(SchedState::InRecv(from)) => from == Some(other),
            _ => false,
        }
    }

    /// Whether it is faulted or held back: only a restart makes it run.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, TaskState::Faulted { .. } | TaskState::Healthy(SchedState::Stopped))
    }

    /// The incarnation that a dead code names: this one, or the next when this
    /// one will not run any more.
    pub(crate) fn live_generation(&self) -> Generation {
        if self.is_dead() { self.generation.next() } else { self.generation }
    }

    #[inline(always)]
    pub(crate) fn id(&self, index: TaskIndex) -> TaskId {
        TaskId::new(u16::from(index.0), self.generation)
    }
}
