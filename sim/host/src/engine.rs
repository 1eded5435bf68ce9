//! The loop that decides who goes on.

use std::cell::{Ref, RefMut};
use std::panic::resume_unwind;
use std::ptr;

use abi::{PANIC_MESSAGE_MAX_LEN, TaskState};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use kern::{Kernel, KernelPanic, TaskDesc, TaskIndex};

use crate::board::{Board, Core1Order};
use crate::hub::{Core1State, Hub, Instance, Kill, Running};
use crate::image::Image;
use crate::panic::{self, End};
use crate::places::{self, Place};
use crate::record::Record;
use crate::stats::Stats;
use crate::time::Time;

/// Why a run came back.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The time that was asked for is reached.
    Time,
    /// What was asked for is so.
    Condition,
    /// Nothing can happen any more: both cores wait, no event is due and no
    /// timer is set.
    Idle,
    /// A task (or the DSP's program, when none is named) reaches points for
    /// ever and never waits.
    Hang(Option<TaskIndex>),
    /// The kernel cannot go on.
    KernelPanic(KernelPanic),
    /// The supervisor reset the machine.
    Reset,
}

type Foreign = Box<dyn std::any::Any + Send>;
type Strand = Coroutine<(), (), Foreign, DefaultStack>;

/// A coroutine's home.
struct Home {
    place: Option<Place>,
    strand: Option<Strand>,
    descriptor: &'static TaskDesc,
}

impl Home {
    fn new() -> Self {
        let place = places::take();
        Self { descriptor: place.descriptor, place: Some(place), strand: None }
    }

    /// Ends the coroutine, wherever it is, and takes its stack back.
    fn clear(&mut self) {
        if let Some(mut strand) = self.strand.take() {
            // SAFETY: nothing on the stack needs its destructor for the memory
            // safety of anything outside it: task code owns no shared thing,
            // `Hub` holds no borrow over a suspension, and what the code
            // allocated is leaked. A guard kept over a suspension would break
            // this.
            unsafe { strand.force_reset() };
            let stack = strand.into_stack();
            self.place = Some(Place { stack, descriptor: self.descriptor });
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.clear();
        if let Some(place) = self.place.take() {
            places::put(place);
        }
    }
}

/// A simulated machine.
pub struct Host<B: Board> {
    // Before `hub`: the coroutines point to it.
    homes: Vec<Home>,
    // Boxed, because the coroutines point to it.
    hub: Box<Hub<B>>,
    now: Time,
    asleep: bool,
}

impl<B: Board> Host<B> {
    /// A machine with `image` on `board`, at its start: nothing has run.
    ///
    /// # Panics
    /// When the image breaks a rule of the kernel's.
    #[must_use]
    pub fn new(image: Image, board: B) -> Self {
        panic::install_hook();
        image.check();
        let homes: Vec<Home> = (0..=image.tasks.len()).map(|_| Home::new()).collect();
        let tasks = image.tasks.iter().zip(&homes).enumerate().map(|(index, (task, home))| {
            let send = task.slots.iter().fold(0, |all, &(_, slot)| all | 1 << slot);
            kern::Task::new(TaskIndex(index as u8), home.descriptor, send)
        });
        let kernel = Kernel::new(places::table(tasks.collect()));
        let hub = Box::new(Hub::new(image, board, kernel));
        for (index, task) in hub.image.tasks.iter().enumerate() {
            if task.start {
                hub.enter(|kernel, platform| kernel.boot(platform, TaskIndex(index as u8)));
            }
        }
        Self { homes, hub, now: Time::START, asleep: true }
    }

    /// Runs until virtual time reaches `until`.
    pub fn run_until(&mut self, until: Time) -> Outcome {
        self.run(until, |_| true)
    }

    /// Runs while `go_on` says so, which is asked whenever the machine stops to
    /// let something happen, but not past `until`.
    pub fn run_while(&mut self, until: Time, go_on: impl FnMut(&mut B) -> bool) -> Outcome {
        self.run(until, go_on)
    }

    /// Lets time pass to `until`, if nothing can happen before.
    pub fn pass(&mut self, until: Time) {
        if self.next_core().is_none() && self.next_event().is_none_or(|event| event > until) {
            self.now = self.now.max(until);
        }
    }

    /// What is around the cores.
    #[must_use]
    pub fn board(&self) -> Ref<'_, B> {
        self.hub.board.borrow()
    }

    /// What is around the cores, to change it.
    pub fn board_mut(&mut self) -> RefMut<'_, B> {
        self.hub.board.borrow_mut()
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> Ref<'_, Kernel> {
        self.hub.kernel.borrow()
    }

    /// What the machine did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.hub.stats.borrow().clone()
    }

    /// Virtual time: how far the machine has come.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Points that the tasks reached so far.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.hub.points()
    }

    /// At the first point from number `point` on, kills `task`, or whoever
    /// reaches it when none is given. The supervisor is never killed. The
    /// victim faults with `Injected(KERNEL)`, before the point has its effect.
    pub fn kill_at(&mut self, point: u64, task: Option<TaskIndex>) {
        self.hub.kill.set(Some(Kill { point, task }));
    }

    /// Kills `task` now, as [`kill_at`](Self::kill_at) would.
    ///
    /// # Panics
    /// When it is the supervisor.
    pub fn kill(&mut self, task: TaskIndex) {
        assert_ne!(task, TaskIndex::SUPERVISOR, "the supervisor cannot be killed");
        self.hub.kill_task(task);
    }

    /// Whether a task has its timer set.
    #[must_use]
    pub fn any_timer_armed(&self) -> bool {
        self.hub.timer.get().is_some()
    }

    /// What task `task` is up to.
    #[must_use]
    pub fn task_state(&self, task: TaskIndex) -> TaskState {
        self.kernel().task(task).state()
    }

    /// Name of task `task`.
    #[must_use]
    pub fn task_name(&self, task: TaskIndex) -> &str {
        &self.hub.image.tasks[task.get()].name
    }

    /// The task of that name.
    #[must_use]
    pub fn task_named(&self, name: &str) -> Option<TaskIndex> {
        let index = self.hub.image.tasks.iter().position(|task| task.name == name)?;
        Some(TaskIndex(index as u8))
    }

    /// The ring buffers and counters of task `task`, or of the DSP's program.
    #[must_use]
    pub fn instances(&self, task: Option<TaskIndex>) -> Vec<Instance> {
        self.hub.instances(task.map_or(Running::Core1, Running::Task))
    }

    /// Ends the simulation and gives the board back.
    #[must_use]
    pub fn into_board(self) -> B {
        let Self { homes, hub, .. } = self;
        drop(homes);
        let Hub { board, .. } = *hub;
        board.into_inner()
    }

    fn run(&mut self, until: Time, mut go_on: impl FnMut(&mut B) -> bool) -> Outcome {
        let hub: *const Hub<B> = &raw const *self.hub;
        // SAFETY: the box is neither moved out of nor dropped while `self` is
        // borrowed, and all access to it is shared.
        let _installed = seam::install(unsafe { &*hub });
        loop {
            if let Some(end) = self.hub.end.take() {
                return end;
            }
            self.attend();
            if !go_on(&mut self.hub.board.borrow_mut()) {
                return Outcome::Condition;
            }
            let core = self.next_core();
            match (self.next_event(), core) {
                (None, None) => return Outcome::Idle,
                (Some(event), core) if core.is_none_or(|(_, clock)| event <= clock) => {
                    if event > until {
                        self.now = self.now.max(until);
                        return Outcome::Time;
                    }
                    self.world(event);
                }
                (event, Some((core, clock))) => {
                    if clock >= until {
                        self.now = self.now.max(until);
                        return Outcome::Time;
                    }
                    self.go_on(core, clock, event.map_or(until, |event| event.min(until)));
                }
                (Some(_), None) => unreachable!("an event without a core is taken above"),
            }
        }
    }

    /// When something happens that is no core's doing.
    fn next_event(&mut self) -> Option<Time> {
        let event = self.hub.board.borrow_mut().next_event();
        match (event, self.hub.timer.get()) {
            (Some(event), Some(timer)) => Some(event.min(timer)),
            (event, timer) => event.or(timer),
        }
    }

    /// The core whose turn it is, and its clock: the one that is behind. When
    /// they are level a real machine leaves it open.
    fn next_core(&mut self) -> Option<(Running, Time)> {
        let task = self.hub.kernel.borrow().current();
        let core0 = task.map(|task| (Running::Task(task), self.hub.clock0.get()));
        let core1 = (self.hub.core1.get() == Core1State::Running)
            .then(|| (Running::Core1, self.hub.clock1.get()));
        match (core0, core1) {
            (Some(zero), Some(one)) => {
                let first = zero.1 < one.1
                    || zero.1 == one.1 && self.hub.board.borrow_mut().random() & 1 == 0;
                Some(if first { zero } else { one })
            }
            (zero, one) => zero.or(one),
        }
    }

    /// Takes the interrupts and orders that wait.
    fn attend(&mut self) {
        loop {
            let (irq, order) = {
                let mut board = self.hub.board.borrow_mut();
                if !board.wants_attention() {
                    break;
                }
                (board.take_irq(), board.take_core1_order())
            };
            if irq.is_none() && order.is_none() {
                break;
            }
            if let Some(irq) = irq {
                self.wake_core0();
                self.hub.stats.borrow_mut().interrupts += 1;
                self.hub.enter(|kernel, platform| {
                    platform.board.trace(self.hub.clock(), Record::Interrupt { irq });
                    kernel.interrupt(platform, irq);
                });
            }
            match order {
                Some(Core1Order::Start) => {
                    self.end_core1();
                    self.start_core1();
                }
                Some(Core1Order::Wake) if self.hub.core1.get() == Core1State::Waiting => {
                    self.hub.core1.set(Core1State::Running);
                    self.hub.clock1.set(self.hub.clock1.get().max(self.now));
                }
                Some(Core1Order::Halt) => self.end_core1(),
                Some(Core1Order::Wake) | None => {}
            }
        }
        if self.hub.kernel.borrow().current().is_none() {
            self.asleep = true;
            self.hub.busy.set(0);
        } else if self.asleep {
            self.wake_core0();
        }
    }

    /// Core 0 takes an interrupt or starts to run.
    fn wake_core0(&mut self) {
        if self.hub.kernel.borrow().current().is_none() || self.asleep {
            self.hub.clock0.set(self.hub.clock0.get().max(self.now));
            if self.asleep {
                self.hub.stats.borrow_mut().wakeups += 1;
            }
            self.asleep = false;
        }
        self.hub.clock0.set(self.hub.clock0.get().plus(self.hub.image.costs.interrupt));
    }

    fn start_core1(&mut self) {
        if self.hub.image.core1.is_some() {
            self.hub.core1.set(Core1State::Running);
            self.hub.clock1.set(self.hub.clock1.get().max(self.now));
            self.begin(Running::Core1);
        }
    }

    fn end_core1(&mut self) {
        self.hub.core1.set(Core1State::Off);
        self.homes[self.hub.position(Running::Core1)].clear();
    }

    /// The world goes on to `event`.
    fn world(&mut self, event: Time) {
        self.now = self.now.max(event);
        {
            let mut board = self.hub.board.borrow_mut();
            board.run_events(event);
            assert!(
                board.next_event().is_none_or(|next| next > event),
                "the board leaves an event undone"
            );
        }
        if self.hub.timer.get().is_some_and(|timer| timer <= event) {
            self.wake_core0();
            self.hub.stats.borrow_mut().ticks += 1;
            self.hub.enter(|kernel, platform| {
                platform.board.trace(self.hub.clock(), Record::Tick);
                kernel.tick(platform);
            });
        }
    }

    /// Lets a coroutine go on until its clock reaches `until`, the other core
    /// is behind it, or it stops by itself.
    fn go_on(&mut self, core: Running, clock: Time, until: Time) {
        let other = match core {
            Running::Task(task) => {
                if self.hub.take_begun(task) {
                    self.begin(core);
                }
                let runs = self.hub.core1.get() == Core1State::Running;
                runs.then(|| self.hub.clock1.get())
            }
            Running::Core1 => {
                let runs = self.hub.kernel.borrow().current().is_some();
                runs.then(|| self.hub.clock0.get())
            }
        };
        let horizon = other.map_or(until, |other| until.min(other)).max(clock.plus(1));
        self.hub.horizon.set(horizon);
        self.hub.running.set(core);
        let strand = self.homes[self.hub.position(core)].strand.as_mut();
        let strand = strand.expect("who can run has begun");
        if let CoroutineResult::Return(foreign) = strand.resume(()) {
            resume_unwind(foreign);
        }
        let clock = match core {
            Running::Task(_) => self.hub.clock0.get(),
            Running::Core1 => self.hub.clock1.get(),
        };
        // Core clocks run ahead of each other by less than a point's cost.
        self.now = self.now.max(clock);
    }

    /// Makes the coroutine of a new incarnation.
    fn begin(&mut self, who: Running) {
        let home = &mut self.homes[self.hub.position(who)];
        home.clear();
        let place = home.place.take().expect("a cleared home has its stack");
        let hub: *const Hub<B> = ptr::from_ref(&*self.hub);
        home.strand = Some(Coroutine::with_stack(place.stack, move |yielder, ()| {
            // SAFETY: `Host` drops or clears its homes before its hub, which it
            // never moves; every access is shared.
            let hub = unsafe { &*hub };
            hub.yielders[hub.position(who)].set(yielder);
            let entry = match who {
                Running::Task(task) => &hub.image.tasks[task.get()].entry,
                Running::Core1 => hub.image.core1.as_ref().expect("only a program is started"),
            };
            let mut text = [0; PANIC_MESSAGE_MAX_LEN];
            let len = match panic::run(|| entry()) {
                End::Foreign(payload) => return payload,
                End::Returned => copy("main returned", &mut text),
                End::Panicked(message) => copy(&message, &mut text),
            };
            hub.die(&text[..len])
        }));
    }
}

impl<B: Board> std::fmt::Debug for Host<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for (index, task) in self.hub.image.tasks.iter().enumerate() {
            map.entry(&task.name, &self.task_state(TaskIndex(index as u8)));
        }
        map.finish()
    }
}

fn copy(text: &str, into: &mut [u8]) -> usize {
    let len = text.len().min(into.len());
    into[..len].copy_from_slice(&text.as_bytes()[..len]);
    len
}
