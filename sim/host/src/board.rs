//! What is around the two cores, as the host sees it.

use addr::{Peer, Phys};
use kern::{Irq, TaskIndex};
use seam::{Barrier, MonitorCall, Width};

use crate::record::Record;
use crate::time::Time;

/// A processor core.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Core {
    /// The application core: the kernel and its tasks.
    Application,
    /// The DSP core: the program over the monitor.
    Dsp,
}

/// Who accesses, and when.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The core.
    pub core: Core,
    /// The task, on the application core.
    pub task: Option<TaskIndex>,
    /// The core's clock.
    pub now: Time,
}

/// What is done at a point.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A system call: its number, and its first argument.
    Call(u32, u32),
    /// A register access.
    Register,
    /// An access to DMA memory, or of the DSP's program to its own.
    Memory,
    /// A barrier.
    Barrier,
    /// A call of the DSP's program to its monitor: its number.
    Monitor(u32),
}

/// What becomes of who reaches a point.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    #[default]
    GoesOn,
    /// It goes on after the world did: something is due now that was not.
    Waits,
    /// The task dies, before its act has an effect.
    Dies,
}

/// Nothing answers at an address, or not that way: a fault of who accessed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BusError;

/// What becomes of the DSP program's call to its monitor.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MonitorAnswer {
    /// It goes on with this answer.
    Return([u32; 4]),
    /// It waits. At each [`Core1Order::Wake`] the call is made again.
    Wait,
    /// It is stopped for what it asked; [`Board::core1_died`] follows.
    Fault,
}

/// What the monitor wants of the DSP core.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Core1Order {
    /// Run the program from its beginning, whatever it was doing.
    Start,
    /// If it waits in a call, make the call again.
    Wake,
    /// Run it no more.
    Halt,
}

/// How the DSP's program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Core1Death {
    /// It panicked; the message.
    Panic(String),
    /// Its monitor answered [`MonitorAnswer::Fault`].
    Monitor,
    /// It touched memory of its space that is not there.
    Memory,
    /// It did what only a task or the monitor can do: a system call, a register
    /// or DMA access.
    Illegal,
}

/// What is around the two cores.
///
/// The host calls into it from whichever coroutine runs, one call at a time. A
/// method must not call back into task code. A panic in one ends the run: it is
/// a mistake of the model, not of the task.
pub trait Board: 'static {
    /// A register read that the task's image entry allows.
    ///
    /// # Errors
    /// When nothing answers there.
    fn mmio_read(&mut self, by: By, at: Phys, width: Width) -> Result<u32, BusError>;

    /// A register write that the task's image entry allows.
    ///
    /// # Errors
    /// When nothing answers there.
    fn mmio_write(&mut self, by: By, at: Phys, width: Width, value: u32) -> Result<(), BusError>;

    /// A read of DMA memory that the task's image entry allows.
    ///
    /// # Errors
    /// When there is no memory.
    fn dma_read(&mut self, by: By, at: Phys, into: &mut [u8]) -> Result<(), BusError>;

    /// A write of DMA memory that the task's image entry allows.
    ///
    /// # Errors
    /// When there is no memory.
    fn dma_write(&mut self, by: By, at: Phys, from: &[u8]) -> Result<(), BusError>;

    /// A barrier of the core.
    fn barrier(&mut self, by: By, kind: Barrier);

    /// A point is reached; its act has had no effect yet. The supervisor goes on
    /// whatever the answer is.
    fn reached(&mut self, by: By, act: Act) -> Fate {
        let _ = (by, act);
        Fate::GoesOn
    }

    /// Whether there is nothing left of what a task is about to take, although
    /// there is. `what` is as in [`seam::Machine::spent`].
    fn spent(&mut self, by: By, what: u32) -> bool {
        let _ = (by, what);
        false
    }

    /// A task says that `count` pages of its DMA memory come into use. A board
    /// that does not know whose pages are whose does nothing.
    fn hand_out(&mut self, by: By, first: Phys, count: u32) {
        let _ = (by, first, count);
    }

    /// A task says that `count` pages of its DMA memory are in use no more.
    fn take_back(&mut self, by: By, first: Phys, count: u32) {
        let _ = (by, first, count);
    }

    /// A read of the DSP program in its own space.
    ///
    /// # Errors
    /// When its tables have no readable page there.
    fn peer_read(&mut self, by: By, at: Peer, into: &mut [u8]) -> Result<(), BusError>;

    /// A write of the DSP program in its own space.
    ///
    /// # Errors
    /// When its tables have no writable page there.
    fn peer_write(&mut self, by: By, at: Peer, from: &[u8]) -> Result<(), BusError>;

    /// The DSP program calls its monitor.
    fn monitor(&mut self, by: By, call: MonitorCall) -> MonitorAnswer;

    /// The next thing the monitor wants of the DSP core, once.
    fn take_core1_order(&mut self) -> Option<Core1Order>;

    /// The DSP's program ended. The program stays ended until an order starts
    /// it again.
    fn core1_died(&mut self, now: Time, why: Core1Death);

    /// When the next event is due; `None` when nothing will ever happen by
    /// itself.
    fn next_event(&mut self) -> Option<Time>;

    /// Makes everything happen that is due at `now` or before. Afterwards
    /// [`next_event`](Self::next_event) is later than `now`.
    fn run_events(&mut self, now: Time);

    /// Whether [`take_irq`](Self::take_irq) or
    /// [`take_core1_order`](Self::take_core1_order) has something. Asked after
    /// every access.
    fn wants_attention(&mut self) -> bool;

    /// An enabled interrupt that is pending for core 0. The kernel disables it
    /// right after; an edge is thereby used up, a level stays pending.
    fn take_irq(&mut self) -> Option<Irq>;

    /// Lets `irq` interrupt core 0.
    fn irq_enable(&mut self, irq: Irq);

    /// Keeps `irq` from interrupting; it can still become pending.
    fn irq_disable(&mut self, irq: Irq);

    /// Makes `irq` not pending.
    fn irq_clear_pending(&mut self, irq: Irq);

    /// Makes `irq` pending.
    fn irq_pend(&mut self, irq: Irq);

    /// Whether `irq` may interrupt.
    fn irq_is_enabled(&self, irq: Irq) -> bool;

    /// Whether `irq` is pending.
    fn irq_is_pending(&self, irq: Irq) -> bool;

    /// A number that the seed decides, for what a real machine leaves open.
    fn random(&mut self) -> u64;

    /// Something the kernel or a task did, for the trace.
    fn trace(&mut self, now: Time, record: Record);
}
