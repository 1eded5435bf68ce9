//! The simulated board: models at their addresses, and both cores' view of them.
//!
//! Glue and nothing else. [`Parts`] are the models and the addresses at which
//! they answer, for both cores alike; [`Board`] brings the host's clock to the
//! fabric's, interrupts to the core that they are routed to, and events to the
//! model that asked for them. What happens to the machine from outside, such as
//! plugging a headset in, is a [`Script`] with events of its own, so that each
//! deed has its exact point of virtual time.

use crate::monitor::{Controllers, Monitor, Places};
use crate::words;
use abi::{Sysnum, TaskId};
use addr::{PAGE, Peer, Phys};
use fabric::{
    Core, Device, DeviceId, Fabric, Fault, IntId, Layout, Owner, Record, Site, StreamId, Time,
    Width,
};
use host::{
    Act, Barrier, BusError, By, Core1Death, Core1Order, Fate, Irq, MonitorAnswer, MonitorCall,
};
use usb_model::UsbDevice;
use xhc::{PciAddress, Personality, Place, Xhc};

/// Controller `n` is the device after that many.
const FIRST_CONTROLLER: u8 = 1;
/// Whom a fault wakes that is the script's to see to ([`fabric::Fault::Wake`]).
pub const SCRIPT: DeviceId = DeviceId(u8::MAX);
/// Functions are on bus 0, controllers from this device on.
const FIRST_SLOT: u8 = 2;
/// Bytes of an ECAM window of 16 buses.
const ECAM: u64 = 16 << 20;
/// GICv2m: MSI_TYPER, and what it says on QEMU's board (64 SPIs from 80 on).
const FRAME_TYPER: u64 = 0x08;
const FRAME_COVERS: u32 = 0x0050_0040;

/// Where things stand that are no controller's registers.
#[derive(Copy, Clone, Debug)]
pub struct Map {
    /// The GICv2m frame.
    pub msi_frame: Phys,
    /// The SMMU's registers, and their bytes.
    pub smmu: (Phys, u32),
    /// The ECAM window.
    pub ecam: Phys,
}

/// The models.
#[derive(Debug)]
pub struct Parts {
    /// Memory, SMMU, interrupts, time, trace.
    pub fabric: Fabric,
    /// The controllers, by number.
    pub controllers: Vec<Xhc>,
    map: Map,
    /// Runs of pages whose owners say what of them is in use, and whose a page
    /// in use is.
    pools: Vec<(Phys, u32, Owner)>,
}

/// What answers at an address.
enum Target {
    Frame(u64),
    Smmu(u32),
    Config(usize, u32),
    Controller(usize, u32),
}

/// Where controller `n` is on the bus.
const fn place(n: usize) -> PciAddress {
    PciAddress { bus: 0, device: FIRST_SLOT + n as u8, function: 0 }
}

impl Parts {
    /// Wakes the script with `token` at `at`.
    pub fn schedule(&mut self, at: Time, token: u32) {
        self.fabric.events.schedule(at, SCRIPT, token);
    }

    /// Plugs `device` in at `place` of controller `n`.
    pub fn plug_at(&mut self, n: usize, place: Place, device: Box<dyn UsbDevice>) {
        self.controllers[n].plug_at(&mut self.fabric, place, device);
    }

    /// Pulls what is plugged in at `place` of controller `n`.
    pub fn unplug_at(&mut self, n: usize, place: Place) -> Option<Box<dyn UsbDevice>> {
        self.controllers[n].unplug_at(&mut self.fabric, place)
    }

    /// Says who may reach pages, besides the cores.
    pub fn give(&mut self, first: Phys, pages: u32, owner: Owner) {
        self.fabric.memory.give(first, pages, owner);
    }

    /// From now on tasks say which of these pages are in use; those belong to
    /// `owner`, the others to nobody.
    pub fn manage(&mut self, first: Phys, pages: u32, owner: Owner) {
        self.fabric.memory.give(first, pages, Owner::Nobody);
        self.pools.push((first, pages, owner));
    }

    /// Whose pages from `first` on are when they are in use.
    fn pool_owner(&self, first: Phys) -> Option<Owner> {
        let inside = |&&(base, pages, _): &&(Phys, u32, Owner)| {
            first.offset_from(base).is_some_and(|at| at < u64::from(pages) * u64::from(PAGE))
        };
        self.pools.iter().find(inside).map(|&(_, _, owner)| owner)
    }

    fn target(&self, at: Phys) -> Result<Target, BusError> {
        let inside = |base: Phys, len: u64| at.offset_from(base).filter(|&offset| offset < len);
        if let Some(offset) = inside(self.map.msi_frame, u64::from(PAGE)) {
            return Ok(Target::Frame(offset));
        }
        if let Some(offset) = inside(self.map.smmu.0, u64::from(self.map.smmu.1)) {
            return Ok(Target::Smmu(offset as u32));
        }
        if let Some(offset) = inside(self.map.ecam, ECAM) {
            let n = (0..self.controllers.len())
                .find(|&n| offset / u64::from(PAGE) == u64::from(place(n).ecam_offset() / PAGE));
            return n.map(|n| Target::Config(n, offset as u32 % PAGE)).ok_or(BusError);
        }
        for (n, controller) in self.controllers.iter().enumerate() {
            if let Some(offset) = controller.bar().and_then(|bar| inside(bar, xhc::BAR_SIZE)) {
                return Ok(Target::Controller(n, offset as u32));
            }
        }
        Err(BusError)
    }

    fn read(&mut self, core: Core, at: Phys, width: Width) -> Result<u32, BusError> {
        let value = match self.target(at)? {
            Target::Frame(FRAME_TYPER) => FRAME_COVERS,
            Target::Frame(_) => 0,
            Target::Smmu(offset) => self.fabric.smmu_read(offset, width),
            Target::Config(n, offset) => {
                self.controllers[n].config().read(&mut self.fabric, offset, width)
            }
            Target::Controller(n, offset) => {
                self.controllers[n].read(&mut self.fabric, offset, width)
            }
        };
        self.fabric.record(Record::Mmio { core, write: false, address: at, value });
        Ok(value)
    }

    fn write(&mut self, core: Core, at: Phys, width: Width, value: u32) -> Result<(), BusError> {
        let target = self.target(at)?;
        self.fabric.record(Record::Mmio { core, write: true, address: at, value });
        match target {
            Target::Frame(offset) => self.fabric.frame_write(offset, width, value),
            Target::Smmu(offset) => self.fabric.smmu_write(offset, width, value),
            Target::Config(n, offset) => {
                self.controllers[n].config().write(&mut self.fabric, offset, width, value);
            }
            Target::Controller(n, offset) => {
                self.controllers[n].write(&mut self.fabric, offset, width, value);
            }
        }
        Ok(())
    }
}

impl Controllers for Parts {
    fn read(&mut self, at: Phys) -> u32 {
        // As on a bus that has nobody there any more.
        self.read(Core::Dsp, at, Width::Word).unwrap_or(u32::MAX)
    }

    fn write(&mut self, at: Phys, value: u32) {
        // A gate entry that names no register is a mistake of the driver's that
        // a board would answer with an abort of the monitor.
        self.write(Core::Dsp, at, Width::Word, value)
            .unwrap_or_else(|BusError| panic!("the monitor writes to nothing at {at:?}"));
    }

    fn fabric(&mut self) -> &mut Fabric {
        &mut self.fabric
    }
}

/// What happens to the machine from outside.
pub trait Script: 'static {
    /// The machine is switched on.
    fn power_on(&mut self, parts: &mut Parts);

    /// Something that the script scheduled is due.
    fn wake(&mut self, parts: &mut Parts, monitor: &mut Monitor, token: u32);
}

/// What the application core did so far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Interrupts and timer ticks that it took.
    pub wakeups: u64,
    /// System calls of its tasks.
    pub syscalls: u64,
}

/// The board.
#[derive(Debug)]
pub struct Board<S> {
    /// The models.
    pub parts: Parts,
    /// The DSP's monitor.
    pub monitor: Monitor,
    /// What happens from outside.
    pub script: S,
    monitor_device: DeviceId,
    activity: Activity,
    /// The activity at the first and at the latest packet with data.
    streaming: Option<(Activity, Activity)>,
    /// Packets of each wire's log that were looked at.
    seen: Vec<usize>,
}

impl<S: Script> Board<S> {
    /// A board with a controller per personality, switched off.
    #[must_use]
    pub fn new(
        layout: Layout,
        map: Map,
        places: Places,
        personalities: Vec<Personality>,
        script: S,
        seed: u64,
    ) -> Self {
        let controllers: Vec<Xhc> = personalities
            .into_iter()
            .enumerate()
            .map(|(n, personality)| {
                let device = DeviceId(FIRST_CONTROLLER + n as u8);
                Xhc::new(personality, device, n as u8, StreamId(place(n).requester()))
            })
            .collect();
        Self {
            seen: vec![0; controllers.len()],
            parts: Parts { fabric: Fabric::new(layout, seed), controllers, map, pools: Vec::new() },
            monitor_device: places.device,
            monitor: Monitor::new(&places),
            script,
            activity: Activity::default(),
            streaming: None,
        }
    }

    /// Switches it on.
    pub fn power_on(&mut self) {
        self.monitor.power_on(&mut self.parts.fabric);
        self.script.power_on(&mut self.parts);
    }

    /// Isochronous OUT packets that went over the wires so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.seen.iter().map(|&seen| seen as u64).sum()
    }

    /// What the application core had done by the first and by the last packet
    /// with data.
    #[must_use]
    pub fn streaming(&self) -> (Activity, Activity) {
        self.streaming.unwrap_or_default()
    }

    /// The fabric's clock comes up to a core's, which may be ahead of it.
    fn advance(&mut self, now: host::Time) {
        let span = words::time(now).since(self.parts.fabric.now());
        self.parts.fabric.spend(span);
    }

    /// What follows from any access or event.
    fn settle(&mut self) {
        if self.parts.fabric.interrupts.any(Core::Dsp) {
            self.monitor.interrupts(&mut self.parts);
        }
    }

    /// Notices packets that went out.
    fn look_at_wires(&mut self) {
        for (controller, seen) in self.parts.controllers.iter().zip(&mut self.seen) {
            let packets = controller.wire().log().packets();
            if packets.len() != *seen {
                if packets[*seen..].iter().any(|packet| packet.len != 0) {
                    let first = self.streaming.map_or(self.activity, |(first, _)| first);
                    self.streaming = Some((first, self.activity));
                }
                *seen = packets.len();
            }
        }
    }
}

const fn core(by: By) -> Core {
    match by.core {
        host::Core::Application => Core::App,
        host::Core::Dsp => Core::Dsp,
    }
}

/// Where something can go wrong with `act`, and what is known of it besides.
fn site(by: By, act: Act) -> (Site, u32) {
    let Some(task) = by.task else {
        return match act {
            Act::Monitor(number) => (Site::Monitor, number),
            _ => (Site::Peer, 0),
        };
    };
    let task = task.0;
    match act {
        Act::Call(number, first) => match Sysnum::try_from(number) {
            Ok(Sysnum::Send) => (Site::Send(task), TaskId((first >> 16) as u16).index() as u32),
            Ok(Sysnum::Reply | Sysnum::ReplyRecv) => (Site::Reply(task), 0),
            _ => (Site::Call(task), number),
        },
        Act::Register => (Site::Register(task), 0),
        Act::Memory => (Site::Memory(task), 0),
        Act::Barrier => (Site::Barrier(task), 0),
        Act::Monitor(number) => (Site::Monitor, number),
    }
}

const fn line(irq: Irq) -> IntId {
    IntId(irq.0 as u16)
}

impl<S: Script> host::Board for Board<S> {
    fn mmio_read(&mut self, by: By, at: Phys, width: Width) -> Result<u32, BusError> {
        self.advance(by.now);
        let value = self.parts.read(core(by), at, width);
        self.settle();
        value
    }

    fn mmio_write(&mut self, by: By, at: Phys, width: Width, value: u32) -> Result<(), BusError> {
        self.advance(by.now);
        let done = self.parts.write(core(by), at, width, value);
        self.settle();
        done
    }

    fn dma_read(&mut self, by: By, at: Phys, into: &mut [u8]) -> Result<(), BusError> {
        self.advance(by.now);
        self.parts.fabric.core_read(core(by), at, into).map_err(|_| BusError)
    }

    fn dma_write(&mut self, by: By, at: Phys, from: &[u8]) -> Result<(), BusError> {
        self.advance(by.now);
        self.parts.fabric.core_write(core(by), at, from).map_err(|_| BusError)
    }

    fn barrier(&mut self, by: By, kind: Barrier) {
        self.advance(by.now);
        // A core's reads are in order here; only its stores can be late.
        if kind == Barrier::Publish {
            self.parts.fabric.barrier(core(by));
        }
    }

    fn reached(&mut self, by: By, act: Act) -> Fate {
        let fabric = &mut self.parts.fabric;
        let due = fabric.events.next_at();
        let (site, detail) = site(by, act);
        match fabric.reach_at(words::time(by.now), site, detail) {
            Some(Fault::Kill) => Fate::Dies,
            _ if fabric.events.next_at() < due => Fate::Waits,
            _ => Fate::GoesOn,
        }
    }

    fn spent(&mut self, by: By, what: u32) -> bool {
        let task = by.task.map_or(0, |task| task.0);
        let fault = self.parts.fabric.reach_at(words::time(by.now), Site::Allocation(task), what);
        fault == Some(Fault::Refuse)
    }

    fn hand_out(&mut self, by: By, first: Phys, count: u32) {
        self.advance(by.now);
        if let Some(owner) = self.parts.pool_owner(first) {
            self.parts.fabric.hand_out(first, count, owner);
        }
    }

    fn take_back(&mut self, by: By, first: Phys, count: u32) {
        self.advance(by.now);
        if self.parts.pool_owner(first).is_some() {
            self.parts.fabric.take_back(core(by), first, count);
        }
    }

    fn peer_read(&mut self, by: By, at: Peer, into: &mut [u8]) -> Result<(), BusError> {
        self.advance(by.now);
        self.monitor.read(&mut self.parts.fabric, at, into)
    }

    fn peer_write(&mut self, by: By, at: Peer, from: &[u8]) -> Result<(), BusError> {
        self.advance(by.now);
        self.monitor.write(&mut self.parts.fabric, at, from)
    }

    fn monitor(&mut self, by: By, call: MonitorCall) -> MonitorAnswer {
        self.advance(by.now);
        let answer = self.monitor.call(&mut self.parts, call);
        let words = match answer {
            MonitorAnswer::Return(words) => words,
            // No status is that.
            MonitorAnswer::Wait | MonitorAnswer::Fault => [u32::MAX, 0, 0, 0],
        };
        self.parts.fabric.record(Record::Monitor { call, answer: words });
        self.settle();
        answer
    }

    fn take_core1_order(&mut self) -> Option<Core1Order> {
        self.monitor.take_order()
    }

    fn core1_died(&mut self, now: host::Time, why: Core1Death) {
        self.advance(now);
        self.monitor.program_died(&mut self.parts, why);
        self.settle();
    }

    fn next_event(&mut self) -> Option<host::Time> {
        let at = self.parts.fabric.events.next_at();
        (at != Time::NEVER).then_some(host::Time(at.0))
    }

    fn run_events(&mut self, now: host::Time) {
        loop {
            while let Some(event) = self.parts.fabric.next_due(words::time(now)) {
                if event.device == self.monitor_device {
                    self.monitor.wake(&mut self.parts, event);
                } else if event.device == SCRIPT {
                    self.script.wake(&mut self.parts, &mut self.monitor, event.token);
                } else {
                    let n = usize::from(event.device.0 - FIRST_CONTROLLER);
                    self.parts.controllers[n].wake(&mut self.parts.fabric, event.token);
                    self.look_at_wires();
                }
                self.settle();
            }
            // An edge of the fabric's own is no device's event; whoever takes it
            // may have others.
            self.settle();
            if self.parts.fabric.events.next_at() > words::time(now) {
                return;
            }
        }
    }

    fn wants_attention(&mut self) -> bool {
        self.monitor.has_order() || self.parts.fabric.interrupts.any(Core::App)
    }

    fn take_irq(&mut self) -> Option<Irq> {
        self.parts.fabric.interrupts.take(Core::App).map(|line| Irq(u32::from(line.0)))
    }

    fn irq_enable(&mut self, irq: Irq) {
        self.parts.fabric.interrupts.set_enabled(line(irq), true);
    }

    fn irq_disable(&mut self, irq: Irq) {
        self.parts.fabric.interrupts.set_enabled(line(irq), false);
    }

    fn irq_clear_pending(&mut self, irq: Irq) {
        self.parts.fabric.interrupts.clear(line(irq));
    }

    fn irq_pend(&mut self, irq: Irq) {
        self.parts.fabric.interrupts.raise(line(irq));
    }

    fn irq_is_enabled(&self, irq: Irq) -> bool {
        self.parts.fabric.interrupts.is_enabled(line(irq))
    }

    fn irq_is_pending(&self, irq: Irq) -> bool {
        self.parts.fabric.interrupts.is_pending(line(irq))
    }

    fn random(&mut self) -> u64 {
        self.parts.fabric.rng.bits()
    }

    fn trace(&mut self, now: host::Time, record: host::Record) {
        match record {
            host::Record::Call { .. } => self.activity.syscalls += 1,
            host::Record::Interrupt { .. } | host::Record::Tick => self.activity.wakeups += 1,
            _ => {}
        }
        if let host::Record::Tick = record {
            self.parts.fabric.reach_at(words::time(now), Site::Tick, 0);
        }
        self.parts.fabric.trace.record(words::time(now), words::record(record));
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Map, Parts, Script, place};
    use crate::monitor::{Controller, Monitor, Places, Span};
    use addr::Phys;
    use dsp_abi::bell;
    use fabric::{DeviceId, IntId, Layout, Time, Width};
    use host::{Board as _, BusError, By, Core, Core1Order, Irq};
    use xhc::Personality;

    const FRAME: Phys = Phys(0x0802_0000);
    const ECAM: Phys = Phys(0x3F00_0000);
    const BAR: u32 = 0x1000_0000;

    /// Writes down when it was woken with what.
    #[derive(Default)]
    struct Diary(Vec<(Time, u32)>);

    impl Script for Diary {
        fn power_on(&mut self, parts: &mut Parts) {
            parts.schedule(Time::ms(1), 7);
            parts.schedule(Time::ms(4), 8);
        }

        fn wake(&mut self, parts: &mut Parts, _: &mut Monitor, token: u32) {
            self.0.push((parts.fabric.now(), token));
            parts.fabric.raise(IntId(bell::PLAYER));
        }
    }

    fn board() -> Board<Diary> {
        let ram = Phys(0x4000_0000);
        let page = |n: u64| ram.plus(n * 4096);
        let registers = Span { base: Phys(u64::from(BAR)), bytes: xhc::BAR_SIZE };
        let rings = Span { base: page(11), bytes: 4096 };
        let places = Places {
            monitor: monitor::Places {
                controllers: [Some(Controller { gate: page(0), registers, rings }), None],
                answers: page(1),
                windows: page(2),
                mailbox: page(8),
            },
            media: Span { base: page(10), bytes: 4096 },
            recording: Span { base: page(10), bytes: 0 },
            device: DeviceId(0),
        };
        let map = Map { msi_frame: FRAME, smmu: (Phys(0x0905_0000), 0x2_0000), ecam: ECAM };
        let mut board = Board::new(
            Layout::virt(16),
            map,
            places,
            vec![Personality::qemu()],
            Diary::default(),
            1,
        );
        let clear = vec![0; 16 * 4096];
        board.parts.fabric.memory.load(ram, &clear).expect("it is RAM");
        board.power_on();
        board
    }

    fn app(now: u64) -> By {
        By { core: Core::Application, task: None, now: host::Time(now) }
    }

    #[test]
    fn what_a_script_schedules_happens_at_its_time_and_wakes_the_core() {
        let mut board = board();
        board.run_events(host::Time::from_millis(5));
        assert_eq!(board.script.0, [(Time::ms(1), 7), (Time::ms(4), 8)]);
        assert!(!board.wants_attention() || board.monitor.has_order(), "the bell is not enabled");
        board.irq_enable(Irq(u32::from(bell::PLAYER)));
        assert_eq!(board.take_irq(), Some(Irq(u32::from(bell::PLAYER))));
        assert_eq!(board.take_irq(), None, "two edges merge");
    }

    #[test]
    fn the_monitor_comes_up_by_itself_and_starts_the_program() {
        let mut board = board();
        while board.take_core1_order() != Some(Core1Order::Start) {
            let next = board.next_event().expect("the monitor boots");
            assert!(next <= host::Time::from_millis(4));
            board.run_events(next);
        }
    }

    #[test]
    fn a_bell_of_the_dsp_core_is_no_business_of_the_application_core() {
        let mut board = board();
        board.run_events(host::Time::from_millis(5));
        while board.take_core1_order().is_some() {}
        let line = Irq(u32::from(bell::GATE_TO_DSP));
        let word = u32::from(bell::GATE_TO_DSP);
        let setspi = FRAME.plus(u64::from(bell::SETSPI));
        assert_eq!(board.mmio_write(app(6_000_000), setspi, Width::Word, word), Ok(()));
        assert_eq!(board.take_irq(), None);
        assert!(!board.irq_is_pending(line), "the monitor took it");
    }

    #[test]
    fn a_controller_answers_at_its_bar_once_it_has_one() {
        let mut board = board();
        let config = ECAM.plus(u64::from(place(0).ecam_offset()));
        let bar = Phys(u64::from(BAR));
        assert_eq!(board.mmio_read(app(1), bar, Width::Word), Err(BusError));
        board.mmio_write(app(2), config.plus(0x10), Width::Word, BAR).expect("BAR0 is there");
        board.mmio_write(app(3), config.plus(0x14), Width::Word, 0).expect("BAR0 is 64 bits wide");
        board.mmio_write(app(4), config.plus(0x04), Width::Word, 6).expect("COMMAND is there");
        assert_eq!(board.mmio_read(app(5), bar, Width::Word), Ok(0x0100_0040));
    }

    #[test]
    fn where_nothing_stands_nothing_answers() {
        let mut board = board();
        let no_function = ECAM.plus(u64::from(place(1).ecam_offset()));
        for at in [Phys(0), Phys(0x0900_0000), no_function, Phys(u64::MAX - 3)] {
            assert_eq!(board.mmio_read(app(1), at, Width::Word), Err(BusError));
            assert_eq!(board.mmio_write(app(1), at, Width::Word, 0), Err(BusError));
        }
        assert_eq!(board.dma_read(app(1), Phys(0x3000_0000), &mut [0]), Err(BusError));
    }

    #[test]
    fn time_never_runs_backwards_when_the_cores_clocks_differ() {
        let mut board = board();
        let typer = FRAME.plus(super::FRAME_TYPER);
        for now in [500, 200, 700] {
            assert_eq!(board.mmio_read(app(now), typer, Width::Word), Ok(0x0050_0040));
        }
        assert_eq!(board.parts.fabric.now(), Time(700));
    }
}
