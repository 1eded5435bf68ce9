//! The DSP core's monitor on the simulated board.
//!
//! The monitor itself is `dsp/monitor`, the code that runs on a board. Here is
//! what it stands on: memory, interrupts and time of the [`Fabric`], a walk of
//! the peer's tables in place of an MMU (`space`), and orders to the simulated
//! core in place of a context switch. It takes no time.

mod space;

use addr::{Peer, Phys};
use dsp_abi::bell;
use dsp_abi::monitor::Call;
use fabric::{Core, DeviceId, Event, Fabric, IntId, Time, Width};
use host::{BusError, Core1Death, Core1Order, MonitorAnswer};
use monitor::{Answer, Line, Platform};
use space::Space;
use std::collections::VecDeque;

pub use monitor::{CONTROLLERS, Controller, Span};

/// The monitor is up this long after power-on at the earliest and the latest:
/// either side can be first.
const BOOT_US: (u32, u32) = (10, 3_000);

/// What the monitor's events are about.
const BOOT: u32 = 0;
const ALARM: u32 = 1;
const FED: u32 = 2;

/// Where the shared pages are.
#[derive(Clone, Debug)]
pub struct Places {
    /// What the monitor has to know.
    pub monitor: monitor::Places,
    /// The media pool.
    pub media: Span,
    /// The recording pool.
    pub recording: Span,
    /// The monitor's own number for events.
    pub device: DeviceId,
}

/// What the monitor touches besides memory: registers of the controllers.
pub trait Controllers {
    /// The DSP core reads a controller's register.
    fn read(&mut self, at: Phys) -> u32;

    /// The DSP core writes a controller's register.
    fn write(&mut self, at: Phys, value: u32);

    /// The rest of the board.
    fn fabric(&mut self) -> &mut Fabric;
}

/// The monitor, and what the program has of it.
#[derive(Debug)]
pub struct Monitor {
    inner: monitor::Monitor,
    core: DspCore,
}

/// The core that the monitor runs on.
#[derive(Debug)]
struct DspCore {
    device: DeviceId,
    space: Space,
    orders: VecDeque<Core1Order>,
    /// When the monitor wants to be woken, and the earliest event that does it.
    alarm: Time,
    scheduled: Time,
    /// The program is not run in this time (a fault that scenarios inject).
    starved: Option<(Time, Time)>,
    /// It would have run in that time, and does at its end.
    hungry: bool,
    /// It has a life that can end.
    started: bool,
}

/// The core with the board around it: the monitor's platform.
struct Ground<'a, B> {
    core: &'a mut DspCore,
    board: &'a mut B,
}

impl Monitor {
    /// A monitor before power-on.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        Self {
            inner: monitor::Monitor::new(places.monitor),
            core: DspCore {
                device: places.device,
                space: Space::new(places.monitor.windows, places.media, places.recording),
                orders: VecDeque::new(),
                alarm: Time::NEVER,
                scheduled: Time::NEVER,
                starved: None,
                hungry: false,
                started: false,
            },
        }
    }

    /// Power-on: the monitor will be up in a while.
    pub fn power_on(&mut self, fabric: &mut Fabric) {
        let delay = fabric.rng.range(BOOT_US.0, BOOT_US.1);
        let at = fabric.now() + Time::us(u64::from(delay));
        fabric.events.schedule(at, self.core.device, BOOT);
    }

    /// Keeps the program from running between two points of time.
    pub fn starve(&mut self, fabric: &mut Fabric, from: Time, until: Time) {
        self.core.starved = Some((from, until));
        fabric.events.schedule(until, self.core.device, FED);
    }

    /// Ends the program where it is, as a fault of its own would.
    pub fn kill_program(&mut self, board: &mut impl Controllers) {
        if std::mem::take(&mut self.core.started) {
            self.core.orders.push_back(Core1Order::Halt);
            self.program_died(board, Core1Death::Illegal);
        }
    }

    /// The next thing that the core shall do.
    pub fn take_order(&mut self) -> Option<Core1Order> {
        self.core.orders.pop_front()
    }

    /// Whether [`Self::take_order`] has something.
    #[must_use]
    pub fn has_order(&self) -> bool {
        !self.core.orders.is_empty()
    }

    /// One of the monitor's own events is due.
    pub fn wake(&mut self, board: &mut impl Controllers, event: Event) {
        let ground = &mut Ground { core: &mut self.core, board };
        match event.token {
            BOOT => self.inner.begin(ground),
            FED => {
                if std::mem::take(&mut ground.core.hungry) {
                    ground.core.orders.push_back(Core1Order::Wake);
                }
            }
            // Put off meanwhile: there is another event for what is due later.
            _ if event.at != ground.core.scheduled => {}
            _ => {
                ground.core.scheduled = Time::NEVER;
                if ground.core.alarm <= event.at {
                    ground.core.alarm = Time::NEVER;
                    self.inner.tick(ground);
                }
                ground.schedule();
            }
        }
    }

    /// Takes the interrupts that are routed to the DSP core.
    pub fn interrupts(&mut self, board: &mut impl Controllers) {
        let ground = &mut Ground { core: &mut self.core, board };
        while let Some(line) = ground.board.fabric().interrupts.take(Core::Dsp) {
            self.inner.interrupt(ground, Line(line.0));
        }
    }

    /// The program reads its space.
    ///
    /// # Errors
    /// Where its tables have no readable page.
    pub fn read(&mut self, fabric: &mut Fabric, at: Peer, into: &mut [u8]) -> Result<(), BusError> {
        self.core.space.read(fabric, at, into)
    }

    /// The program writes its space.
    ///
    /// # Errors
    /// Where its tables have no writable page.
    pub fn write(&mut self, fabric: &mut Fabric, at: Peer, from: &[u8]) -> Result<(), BusError> {
        self.core.space.write(fabric, at, from)
    }

    /// The program calls.
    pub fn call(&mut self, board: &mut impl Controllers, call: [u32; 6]) -> MonitorAnswer {
        let ground = &mut Ground { core: &mut self.core, board };
        if call[0] == Call::Wait as u32 && ground.starved() {
            ground.core.hungry = true;
            return MonitorAnswer::Wait;
        }
        match self.inner.call(ground, call) {
            Answer::Return(words) => MonitorAnswer::Return(words),
            Answer::Wait => MonitorAnswer::Wait,
        }
    }

    /// The program ended.
    pub fn program_died(&mut self, board: &mut impl Controllers, _why: Core1Death) {
        let ground = &mut Ground { core: &mut self.core, board };
        ground.core.hungry = false;
        self.inner.program_died(ground);
    }
}

impl<B: Controllers> Ground<'_, B> {
    fn starved(&mut self) -> bool {
        let now = self.board.fabric().now();
        self.core.starved.is_some_and(|(from, until)| (from..until).contains(&now))
    }

    /// Has an event come at the alarm or before, which then asks for the next.
    fn schedule(&mut self) {
        let (at, device) = (self.core.alarm, self.core.device);
        if at < self.core.scheduled {
            self.core.scheduled = at;
            self.board.fabric().events.schedule(at, device, ALARM);
        }
    }
}

impl<B: Controllers> Platform for Ground<'_, B> {
    fn now(&mut self) -> monitor::Time {
        monitor::Time(self.board.fabric().now().0)
    }

    fn read(&mut self, at: Phys, into: &mut [u8]) {
        self.board.fabric().core_read(Core::Dsp, at, into).expect("shared pages are RAM");
    }

    fn write(&mut self, at: Phys, from: &[u8]) {
        self.board.fabric().core_write(Core::Dsp, at, from).expect("shared pages are RAM");
    }

    fn publish(&mut self) {
        self.board.fabric().barrier(Core::Dsp);
    }

    /// A core's reads are in order here; only its stores can be late.
    fn acquire(&mut self) {}

    fn read_register(&mut self, at: Phys) -> u32 {
        self.board.read(at)
    }

    fn write_register(&mut self, at: Phys, value: u32) {
        self.board.write(at, value);
    }

    fn ring(&mut self, bell: Line) {
        let setspi = u64::from(bell::SETSPI);
        self.board.fabric().frame_write(setspi, Width::Word, u32::from(bell.0));
    }

    fn listen(&mut self, line: Line) {
        let interrupts = &mut self.board.fabric().interrupts;
        interrupts.route(IntId(line.0), Core::Dsp);
        interrupts.clear(IntId(line.0));
        interrupts.set_enabled(IntId(line.0), true);
    }

    fn ignore(&mut self, line: Line) {
        self.board.fabric().interrupts.set_enabled(IntId(line.0), false);
    }

    fn wake_at(&mut self, at: Option<monitor::Time>) {
        self.core.alarm = at.map_or(Time::NEVER, |at| Time(at.0));
        self.schedule();
    }

    fn translate(&mut self, at: Peer) -> Option<Phys> {
        self.core.space.translate(self.board.fabric(), at, false)
    }

    fn forget_translations(&mut self) {
        self.core.space.forget_translations();
    }

    fn read_own(&mut self, at: Peer, into: &mut [u8]) {
        into.copy_from_slice(&self.core.space.own(at)[..into.len()]);
    }

    fn write_own(&mut self, at: Peer, from: &[u8]) {
        self.core.space.own(at)[..from.len()].copy_from_slice(from);
    }

    fn start_program(&mut self) {
        self.core.space.forget();
        self.core.started = true;
        self.core.orders.push_back(Core1Order::Start);
    }

    fn wake_program(&mut self) {
        if self.starved() {
            self.core.hungry = true;
        } else {
            self.core.orders.push_back(Core1Order::Wake);
        }
    }
}
