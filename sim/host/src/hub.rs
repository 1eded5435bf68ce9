//! The machine as the code in the coroutines sees it.
//!
//! Everything here runs on the stack of a task or of the DSP's program. Where
//! that code must stop for a while, or for good, the coroutine is suspended and
//! the engine goes on; nothing is borrowed over a suspension, because a task
//! that is killed there never comes back to end the loan.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use abi::{FaultInfo, FaultSource, Sysnum, TaskState};
use corosensei::Yielder;
use kern::arch::{SavedRegisters, SavedState};
use kern::{Kernel, KernelPanic, TaskIndex};
use seam::Registers;

use crate::board::{Act, Board, BusError, By, Core, Core1Death, Fate};
use crate::engine::Outcome;
use crate::image::{Access, Image};
use crate::places;
use crate::platform::HostPlatform;
use crate::record::Record;
use crate::stats::Stats;
use crate::time::Time;

/// The static of a task (`ringbuf!`, `counters!`) with its present value.
#[derive(Clone)]
pub struct Instance {
    /// Identifies the static.
    pub key: usize,
    /// Its name.
    pub name: &'static str,
    /// Its value, of a type that whoever declared it knows.
    pub value: Rc<dyn Any>,
}

/// Which coroutine runs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    Task(TaskIndex),
    Core1,
}

/// What the DSP's program is doing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Core1State {
    Off,
    Running,
    Waiting,
}

/// A death that was ordered.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Kill {
    pub(crate) point: u64,
    pub(crate) task: Option<TaskIndex>,
}

/// The kernel; its task table is used again when it goes.
pub(crate) struct KernelCell(RefCell<Kernel>);

impl Deref for KernelCell {
    type Target = RefCell<Kernel>;

    fn deref(&self) -> &RefCell<Kernel> {
        &self.0
    }
}

impl Drop for KernelCell {
    fn drop(&mut self) {
        places::put_table(self.0.get_mut().take_tasks());
    }
}

pub(crate) struct Hub<B: Board> {
    pub(crate) image: Image,
    pub(crate) board: RefCell<B>,
    pub(crate) kernel: KernelCell,
    pub(crate) stats: RefCell<Stats>,
    pub(crate) running: Cell<Running>,
    pub(crate) clock0: Cell<Time>,
    pub(crate) clock1: Cell<Time>,
    pub(crate) core1: Cell<Core1State>,
    /// Where the running core must stop to let something else happen.
    pub(crate) horizon: Cell<Time>,
    /// When the kernel wants its timer.
    pub(crate) timer: Cell<Option<Time>>,
    pub(crate) kill: Cell<Option<Kill>>,
    /// Why the run cannot go on.
    pub(crate) end: Cell<Option<Outcome>>,
    /// Tasks whose coroutine has to be made anew.
    begun: Cell<u32>,
    /// Points of each coroutine since it last waited; the DSP's is the last.
    pub(crate) spin: Vec<Cell<u64>>,
    /// Points on core 0 since it last was idle.
    pub(crate) busy: Cell<u64>,
    points: Cell<u64>,
    /// How each coroutine suspends itself.
    pub(crate) yielders: Vec<Cell<*const Yielder<(), ()>>>,
    pub(crate) instances: RefCell<Vec<Vec<Instance>>>,
}

impl<B: Board> Hub<B> {
    pub(crate) fn new(image: Image, board: B, kernel: Kernel) -> Self {
        let coroutines = image.tasks.len() + 1;
        let mut stats = Stats::default();
        stats.tasks.resize(image.tasks.len(), Default::default());
        Self {
            image,
            board: RefCell::new(board),
            kernel: KernelCell(RefCell::new(kernel)),
            stats: RefCell::new(stats),
            running: Cell::new(Running::Task(TaskIndex::SUPERVISOR)),
            clock0: Cell::new(Time::START),
            clock1: Cell::new(Time::START),
            core1: Cell::new(Core1State::Off),
            horizon: Cell::new(Time::START),
            timer: Cell::new(None),
            kill: Cell::new(None),
            end: Cell::new(None),
            begun: Cell::new(0),
            spin: vec![Cell::new(0); coroutines],
            busy: Cell::new(0),
            points: Cell::new(0),
            yielders: vec![Cell::new(std::ptr::null()); coroutines],
            instances: RefCell::new(vec![Vec::new(); coroutines]),
        }
    }

    /// Position of a coroutine in the tables: the tasks, then the DSP's.
    pub(crate) fn position(&self, of: Running) -> usize {
        match of {
            Running::Task(task) => task.get(),
            Running::Core1 => self.image.tasks.len(),
        }
    }

    /// Core 0's clock.
    pub(crate) fn clock(&self) -> Time {
        self.clock0.get()
    }

    pub(crate) fn points(&self) -> u64 {
        self.points.get()
    }

    pub(crate) fn instances(&self, of: Running) -> Vec<Instance> {
        self.instances.borrow()[self.position(of)].clone()
    }

    pub(crate) fn set_timer(&self, at: Option<Time>) {
        self.timer.set(at);
        if let Some(at) = at {
            self.lower_horizon(at);
        }
    }

    pub(crate) fn notify_mask_of(&self, from: TaskIndex, to: u16) -> u32 {
        let notifies = &self.image.tasks[from.get()].notifies;
        notifies.iter().filter(|&&(index, _)| index == to).fold(0, |all, &(_, bits)| all | bits)
    }

    pub(crate) fn begin(&self, task: TaskIndex) {
        self.begun.set(self.begun.get() | task.bit());
        self.spin[task.get()].set(0);
        self.stats.borrow_mut().task(task).incarnations += 1;
    }

    /// Whether `task` began a new incarnation since this was last asked.
    pub(crate) fn take_begun(&self, task: TaskIndex) -> bool {
        let begun = self.begun.get();
        self.begun.set(begun & !task.bit());
        begun & task.bit() != 0
    }

    pub(crate) fn set_reset(&self) {
        self.end.set(Some(Outcome::Reset));
    }

    pub(crate) fn set_kernel_panic(&self, why: KernelPanic) {
        self.end.set(Some(Outcome::KernelPanic(why)));
    }

    /// Enters the kernel on core 0.
    pub(crate) fn enter<R>(
        &self,
        call: impl FnOnce(&mut Kernel, &mut HostPlatform<'_, B>) -> R,
    ) -> R {
        let mut kernel = self.kernel.borrow_mut();
        let mut board = self.board.borrow_mut();
        call(&mut kernel, &mut HostPlatform { hub: self, board: &mut board })
    }

    fn lower_horizon(&self, to: Time) {
        self.horizon.set(self.horizon.get().min(to));
    }

    pub(crate) fn by(&self) -> By {
        match self.running.get() {
            Running::Task(task) => {
                By { core: Core::Application, task: Some(task), now: self.clock0.get() }
            }
            Running::Core1 => By { core: Core::Dsp, task: None, now: self.clock1.get() },
        }
    }

    /// Lets the engine go on. Comes back when it is this coroutine's turn; of a
    /// dead one it never is.
    pub(crate) fn suspend(&self) {
        let yielder = self.yielders[self.position(self.running.get())].get();
        // SAFETY: the root of the running coroutine put its yielder there, it
        // lives on that coroutine's stack, and we are on that stack. Running
        // task code outside its coroutine would break this.
        unsafe { (*yielder).suspend(()) };
    }

    fn suspend_for_ever(&self) -> ! {
        loop {
            self.suspend();
        }
    }

    /// Reaches a point: time passes, what is due happens, and the coroutine
    /// goes on when nothing else has to come first.
    pub(crate) fn point(&self, cost: u64, act: Act) {
        let running = self.running.get();
        let jitter = self.board.borrow_mut().random() % (self.image.costs.jitter + 1);
        let clock = match running {
            Running::Task(_) => &self.clock0,
            Running::Core1 => &self.clock1,
        };
        clock.set(clock.get().plus(cost + jitter));
        self.count(running);
        while clock.get() >= self.horizon.get() {
            self.suspend();
        }
        let by = self.by();
        let fate = self.board.borrow_mut().reached(by, act);
        match (fate, running) {
            (Fate::Dies, Running::Task(task)) if task != TaskIndex::SUPERVISOR => {
                self.kill_task(task);
                self.wait_for_turn(task);
            }
            (Fate::GoesOn, _) => {}
            _ => {
                self.settle();
                while clock.get() >= self.horizon.get() {
                    self.suspend();
                }
            }
        }
    }

    fn count(&self, running: Running) {
        let spin = &self.spin[self.position(running)];
        spin.set(spin.get() + 1);
        let mut hangs = spin.get() > self.image.limits.spin;
        match running {
            Running::Core1 => self.stats.borrow_mut().core1_points += 1,
            Running::Task(task) => {
                self.points.set(self.points.get() + 1);
                self.busy.set(self.busy.get() + 1);
                hangs |= self.busy.get() > self.image.limits.busy;
                {
                    let mut stats = self.stats.borrow_mut();
                    stats.points += 1;
                    stats.task(task).points += 1;
                }
                self.kill_if_due(task);
            }
        }
        if hangs {
            self.end.set(Some(Outcome::Hang(match running {
                Running::Task(task) => Some(task),
                Running::Core1 => None,
            })));
            self.suspend_for_ever();
        }
    }

    fn kill_if_due(&self, running: TaskIndex) {
        let Some(kill) = self.kill.get() else { return };
        let victim = kill.task.unwrap_or(running);
        if self.points.get() < kill.point || victim == TaskIndex::SUPERVISOR {
            return;
        }
        self.kill.set(None);
        self.kill_task(victim);
        self.wait_for_turn(running);
    }

    /// Faults `task` as if a cosmic ray had hit it.
    pub(crate) fn kill_task(&self, task: TaskIndex) {
        let by = abi::TaskId::KERNEL;
        self.enter(|kernel, platform| kernel.fault(platform, task, FaultInfo::Injected(by)));
    }

    /// After an entry to the kernel: suspends while `task` is not who runs.
    fn wait_for_turn(&self, task: TaskIndex) {
        while self.kernel.borrow().current() != Some(task) {
            self.suspend();
        }
    }

    /// After something that may have changed the world: lets the engine look if
    /// it has to.
    pub(crate) fn settle(&self) {
        let (event, attention) = {
            let mut board = self.board.borrow_mut();
            (board.next_event(), board.wants_attention())
        };
        if let Some(event) = event {
            self.lower_horizon(event);
        }
        if attention {
            self.suspend();
        }
    }

    /// Faults the running coroutine for an access.
    pub(crate) fn refuse(&self, fault: FaultInfo, death: Core1Death) -> ! {
        match self.running.get() {
            Running::Task(task) => {
                self.enter(|kernel, platform| kernel.fault(platform, task, fault));
            }
            Running::Core1 => self.end_core1(death),
        }
        self.suspend_for_ever()
    }

    /// The DSP's program has ended.
    pub(crate) fn end_core1(&self, why: Core1Death) {
        self.core1.set(Core1State::Off);
        self.board.borrow_mut().core1_died(self.clock1.get(), why);
    }

    /// Refuses an access that the image does not give the running task.
    pub(crate) fn check_access(&self, at: u64, len: usize, allowed: impl Fn(Access) -> bool) {
        let inside = match self.running.get() {
            Running::Core1 => false,
            Running::Task(task) => self.image.tasks[task.get()].memory.iter().any(|span| {
                let offset = at.wrapping_sub(span.base.0);
                allowed(span.access) && offset < span.len && len as u64 <= span.len - offset
            }),
        };
        if !inside {
            let address = Some(at as u32);
            self.refuse(
                FaultInfo::MemoryAccess { address, source: FaultSource::User },
                Core1Death::Illegal,
            );
        }
    }

    /// Makes an access, and faults who made it when the bus does.
    pub(crate) fn access<R>(
        &self,
        at: u64,
        access: impl FnOnce(&mut B, By) -> Result<R, BusError>,
    ) -> R {
        let by = self.by();
        let result = access(&mut self.board.borrow_mut(), by);
        match result {
            Ok(value) => {
                self.settle();
                value
            }
            Err(BusError) => {
                let address = Some(at as u32);
                self.refuse(
                    FaultInfo::BusError { address, source: FaultSource::User },
                    Core1Death::Memory,
                )
            }
        }
    }

    pub(crate) fn dma_cost(&self, bytes: usize) -> u64 {
        self.image.costs.dma * (bytes as u64).div_ceil(64).max(1)
    }

    /// A system call of `task`, up to its return.
    pub(crate) fn kernel_call(&self, task: TaskIndex, registers: &mut Registers) {
        let save = SavedState::from_registers(*registers);
        let number = save.number();
        self.point(self.image.costs.syscall, Act::Call(number, save.argument(0) as u32));
        {
            let mut stats = self.stats.borrow_mut();
            stats.syscalls += 1;
            stats.task(task).syscalls += 1;
        }
        let goes_on = self.enter(|kernel, platform| {
            platform.board.trace(self.clock(), Record::call(task, &save));
            *kernel.task_mut(task).save_mut() = save;
            kernel.syscall(platform, task);
            matches!(kernel.task(task).state(), TaskState::Healthy(abi::SchedState::Runnable))
        });
        if !goes_on {
            self.spin[task.get()].set(0);
        }
        self.settle();
        self.wait_for_turn(task);
        self.enter(|kernel, platform| {
            let save = kernel.task(task).save();
            *registers = save.registers();
            platform.board.trace(self.clock(), Record::result(task, number, save));
        });
    }

    /// Ends the running coroutine's task or program with PANIC.
    pub(crate) fn die(&self, text: &[u8]) -> ! {
        match self.running.get() {
            Running::Task(task) => {
                let mut registers = [0; 8];
                registers[0] = text.as_ptr().expose_provenance();
                registers[1] = text.len();
                registers[7] = Sysnum::Panic as usize;
                self.kernel_call(task, &mut registers);
            }
            Running::Core1 => {
                self.end_core1(Core1Death::Panic(String::from_utf8_lossy(text).into_owned()));
            }
        }
        self.suspend_for_ever()
    }

    /// Refuses what only the DSP's program can do.
    pub(crate) fn check_core1(&self) {
        if let Running::Task(_) = self.running.get() {
            self.refuse(FaultInfo::IllegalInstruction, Core1Death::Illegal);
        }
    }
}
