//! Both cores, and what can happen next.

use crate::choice::{Choice, plans};
use crate::client::{Client, Phase};
use crate::driver::{Driver, News};
use crate::ground::{
    ANSWERS, Dsp, FRAME, GATE, Ground, MAILBOX, MEDIA, MEDIA_PAGES, REGISTERS, RING_PAGES, RINGS,
    SMMU, TABLE_PAGES, TABLES,
};
use abi::{Generation, TaskId};
use addr::PAGE;
use dma::Pool;
use dsp_abi::bell::{GATE_TO_DSP, GATE0_TO_APP, TLB_TO_APP, TLB_TO_DSP};
use dsp_abi::monitor::{Call, Status};
use handles::Epoch;
use iommu::mapper::Mapper;
use iommu::{ControllerSpec, PoolSpec};
use iommu_api::Access;
use mmio::Registers;
use monitor::{Answer, Line, Monitor, Span};
use offload_broker::ops::Server;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::LazyLock;

/// The pool of rings, by its number.
pub const RING_POOL: u8 = 1;
/// The pool of buffers.
pub const MEDIA_POOL: u8 = 2;
/// Index of the driver's task.
const XHCI: u16 = 3;
/// The broker.
pub const BROKER: TaskId = TaskId::new(BROKER_INDEX, Generation(0));
const BROKER_INDEX: u16 = 6;

const POOLS: &[PoolSpec] = &[
    PoolSpec { id: RING_POOL, base: RINGS, pages: RING_PAGES, owner: XHCI },
    PoolSpec { id: MEDIA_POOL, base: MEDIA, pages: MEDIA_PAGES, owner: BROKER_INDEX },
];
const CONTROLLERS: &[ControllerSpec] = &[ControllerSpec { stream: 0x10, driver: XHCI }];

static CONFIG: LazyLock<iommu::Config> = LazyLock::new(|| iommu::Config {
    smmu: Registers::simulated(SMMU, 0x2_0000),
    bells: Registers::simulated(FRAME, 0x1000),
    tables: Pool::simulated(9, TABLES, TABLE_PAGES),
    answers: Pool::simulated(10, ANSWERS, 1),
    pools: POOLS,
    controllers: CONTROLLERS,
    fault: 1,
    tlb: 2,
    peer_changed: 4,
    clients: &[XHCI, BROKER_INDEX],
});

/// The driver, in a life of its own.
pub const fn xhci(life: u32) -> TaskId {
    TaskId::new(XHCI, Generation(life as u8))
}

fn places() -> monitor::Places {
    let registers = Span { base: REGISTERS, bytes: 0x4000 };
    let rings = Span { base: RINGS, bytes: u64::from(RING_PAGES) * u64::from(PAGE) };
    monitor::Places {
        controllers: [Some(monitor::Controller { gate: GATE, registers, rings }), None],
        answers: ANSWERS,
        windows: TABLES,
        mailbox: MAILBOX,
    }
}

/// How much may go wrong, and for how long it goes on.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Sessions, one after another.
    pub sessions: u8,
    /// Deaths of `xhci` or `iommu`, between two stores or at rest.
    pub kills: u8,
    /// Deaths of the DSP's program.
    pub faints: u8,
    /// Bells that get lost, in either direction.
    pub losses: u8,
    /// Bells that come once more than they were rung.
    pub doubles: u8,
    /// Times that something is due, while the monitor has not done yet what it
    /// could.
    pub slow: u8,
    /// Resets of the DSP in the middle of anything.
    pub resets: u8,
}

/// A mistake that the search has to find: of the machine under the code, or of
/// what the code is told.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sabotage {
    /// None.
    #[default]
    None,
    /// The monitor's word to forget translations does nothing.
    KeepsTranslations,
    /// The last word that a task stores arrives first.
    NoBarriers,
    /// Pages of a gate that nobody confirmed closed are free.
    FreesUnconfirmed,
    /// A reset DSP comes up as if it had never been up.
    ForgetsItsLife,
    /// A monitor's answer is taken for the answer to what is asked next.
    AnswersAhead,
}

/// A task that can die.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Victim {
    /// The mapper.
    Iommu,
    /// The driver.
    Xhci,
}

/// Something that the monitor does.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// It comes up.
    Begin,
    /// It takes a bell.
    Bell(u16),
    /// Its time has come.
    Tick,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The broker goes on by one operation.
    Broker,
    /// A bell of the application core, and all that was stored before it, reaches
    /// the DSP's.
    Arrives,
    /// The monitor acts; how much of what the application core stores meanwhile
    /// it reads is in the plan.
    Monitor(Deed, Vec<u8>),
    /// The application core takes a bell.
    Bell(u16),
    /// Its timer goes off.
    Timer,
    /// Time passes, until something is due.
    Time,
    /// A task dies, in the middle of the broker's operation or at rest.
    Dies(Victim, Option<u8>),
    /// The DSP's program dies.
    Faints,
    /// A bell is lost.
    Lost(u16),
    /// A bell comes twice.
    Twice(u16),
    /// The DSP is reset.
    DspReset,
    /// DSP and controller are reset, after all is over but what they keep.
    Reset,
}

/// Both cores.
#[derive(Clone, Debug, Hash)]
#[expect(clippy::derived_hash_with_manual_eq, reason = "equality is that of what is hashed")]
pub struct World {
    ground: Ground,
    monitor: Monitor,
    mapper: Mapper<'static>,
    lives: (u32, u32),
    driver: Driver,
    client: Client,
    left: Bounds,
    sabotage: Sabotage,
    was_reset: bool,
}

const TO_DSP: [u16; 2] = [GATE_TO_DSP, TLB_TO_DSP];
const TO_APP: [u16; 2] = [GATE0_TO_APP, TLB_TO_APP];

impl World {
    /// Power-on: either side can be first.
    pub fn new(left: Bounds, sabotage: Sabotage) -> Self {
        let mut ground = Ground::default();
        ground.sabotage = sabotage;
        let (mapper, driver) = ground.run_task(None, || {
            let mapper = Mapper::take_over(&CONFIG, Epoch(0), 0).expect("the SMMU answers");
            (mapper, Driver::start(0, 0))
        });
        Self {
            ground,
            monitor: Monitor::new(places()),
            mapper,
            lives: (0, 0),
            driver,
            client: Client::new(left.sessions),
            left,
            sabotage,
            was_reset: false,
        }
    }

    /// Everything that can happen next.
    pub fn actions(&self, actions: &mut Vec<Action>) {
        let before = actions.len();
        let settled = self.ground.is_settled();
        if !settled {
            actions.push(Action::Arrives);
        } else if self.client.can_step(&self.driver) {
            actions.push(Action::Broker);
        }
        if !self.ground.up {
            self.monitor_acts(Deed::Begin, actions);
        }
        for line in TO_DSP.into_iter().filter(|&line| self.ground.up && self.ground.rang(line)) {
            self.monitor_acts(Deed::Bell(line), actions);
        }
        if self.ground.alarm.is_some_and(|at| at <= self.ground.now) {
            self.monitor_acts(Deed::Tick, actions);
        }
        for line in TO_APP.into_iter().filter(|&line| settled && self.ground.rang(line)) {
            actions.push(Action::Bell(line));
        }
        match self.due().filter(|_| settled) {
            Some(due) if due <= self.ground.now => actions.push(Action::Timer),
            Some(_) if self.may_pass() => actions.push(Action::Time),
            _ => {}
        }
        if actions.len() == before && !self.is_clean() && !self.was_reset {
            actions.push(Action::Reset);
        }
        self.faults(actions);
    }

    /// Whether anything can.
    pub fn can_go_on(&self) -> bool {
        let mut actions = Vec::new();
        self.actions(&mut actions);
        !actions.is_empty()
    }

    fn faults(&self, actions: &mut Vec<Action>) {
        if self.was_reset || !self.ground.is_settled() {
            return;
        }
        if self.left.kills > 0 && !self.client.is_over() {
            actions.extend([Victim::Iommu, Victim::Xhci].map(|it| Action::Dies(it, None)));
            let next = self.client.next_server().filter(|_| self.client.can_step(&self.driver));
            let victim = match next {
                Some(Server::Iommu) => Some(Victim::Iommu),
                Some(Server::Xhci) => Some(Victim::Xhci),
                _ => None,
            };
            if let Some(victim) = victim {
                let mut whole = self.clone();
                whole.broker(None);
                let stores = whole.ground.stores() - self.ground.stores();
                actions.extend((0..stores).map(|n| Action::Dies(victim, Some(n as u8))));
            }
        }
        if self.ground.up && !self.client.is_over() {
            if self.left.faints > 0 {
                actions.push(Action::Faints);
            }
            if self.left.resets > 0 {
                actions.push(Action::DspReset);
            }
        }
        for line in TO_DSP.into_iter().chain(TO_APP) {
            if self.left.losses > 0 && self.ground.rang(line) {
                actions.push(Action::Lost(line));
            }
            if self.left.doubles > 0 && !self.ground.rang(line) && self.ground.up {
                actions.push(Action::Twice(line));
            }
        }
    }

    fn monitor_acts(&self, deed: Deed, actions: &mut Vec<Action>) {
        let plans = plans(|choice| self.clone().monitor(deed, choice));
        actions.extend(plans.into_iter().map(|plan| Action::Monitor(deed, plan)));
    }

    /// Whether the monitor has something to do.
    fn is_behind(&self) -> bool {
        !self.ground.up
            || TO_DSP.into_iter().any(|line| self.ground.rang(line))
            || self.ground.alarm.is_some_and(|at| at <= self.ground.now)
    }

    /// Whether time may pass: the application core is never slow.
    fn may_pass(&self) -> bool {
        let done = !TO_APP.into_iter().any(|line| self.ground.rang(line));
        done && (!self.is_behind() || self.left.slow > 0 && !self.was_reset)
    }

    /// The next thing that a task waits for with a clock.
    fn due(&self) -> Option<u64> {
        let times = [self.driver.due(), self.mapper.next_deadline()];
        times.into_iter().flatten().min()
    }

    /// What `action` makes of it.
    pub fn after(&self, action: &Action) -> Self {
        let mut next = self.clone();
        match action {
            Action::Broker => next.broker(None),
            Action::Arrives => {
                next.ground.arrive();
                next.settle();
            }
            Action::Monitor(deed, plan) => next.monitor(*deed, &mut Choice::new(plan)),
            Action::Bell(line) => {
                next.ground.clear(*line);
                next.look(false);
            }
            Action::Timer => next.look(true),
            Action::Time => {
                next.left.slow -= u8::from(next.is_behind());
                let alarm = next.ground.alarm.filter(|&at| at > next.ground.now);
                let due = next.due().into_iter().chain(alarm).min();
                next.ground.now = due.unwrap_or(next.ground.now);
            }
            Action::Dies(victim, during) => {
                next.left.kills -= 1;
                if let Some(stores) = during {
                    next.broker(Some((*stores).into()));
                }
                next.kill(*victim);
            }
            Action::Faints => {
                next.left.faints -= 1;
                let mut choice = Choice::new(&[]);
                let (ground, choice) = (&mut next.ground, &mut choice);
                next.monitor.program_died(&mut Dsp { ground, choice, published: None });
                next.client.revoked();
                next.client.try_again();
            }
            Action::Lost(line) => {
                next.left.losses -= 1;
                next.ground.clear(*line);
            }
            Action::Twice(line) => {
                next.left.doubles -= 1;
                next.ground.ring(*line);
            }
            Action::DspReset => {
                next.left.resets -= 1;
                next.reset_dsp();
            }
            Action::Reset => {
                next.was_reset = true;
                next.reset_dsp();
                let Self { ground, driver, .. } = &mut next;
                let now = ground.now;
                ground.run_task(None, || driver.begin(now));
                next.client.try_again();
                next.settle();
            }
        }
        next
    }

    fn reset_dsp(&mut self) {
        self.ground.reset_dsp();
        self.monitor = Monitor::new(places());
        self.client.revoked();
        self.client.try_again();
    }

    fn broker(&mut self, limit: Option<usize>) {
        let Self { ground, mapper, driver, client, .. } = self;
        let now = ground.now;
        ground.run_task(limit, || client.step(driver, mapper, now));
        self.settle();
    }

    /// What a task reads after its stores, it reads when they have arrived.
    fn settle(&mut self) {
        if self.ground.is_settled() {
            self.look(false);
        }
    }

    fn monitor(&mut self, deed: Deed, choice: &mut Choice<'_>) {
        let Self { ground, monitor, .. } = self;
        let mut dsp = Dsp { ground, choice, published: None };
        match deed {
            Deed::Begin => {
                dsp.ground.up = true;
                monitor.begin(&mut dsp);
            }
            Deed::Bell(line) => {
                dsp.ground.clear(line);
                monitor.interrupt(&mut dsp, Line(line));
            }
            Deed::Tick => {
                dsp.ground.alarm = None;
                monitor.tick(&mut dsp);
            }
        }
    }

    /// The tasks look at what is new, and at what is due if the timer went off.
    fn look(&mut self, timer: bool) {
        let Self { ground, mapper, driver, client, .. } = self;
        let (now, sabotage) = (ground.now, self.sabotage);
        ground.run_task(None, || {
            if timer {
                mapper.expire(now);
            } else {
                mapper.confirmed();
            }
            client.look(mapper);
            if sabotage == Sabotage::FreesUnconfirmed {
                driver.forget_doubts();
            }
            for news in driver.look(mapper, now) {
                match news {
                    News::Answer(result) => client.xhci_answered(result),
                    News::Ready => client.controller_ready(),
                }
            }
        });
    }

    fn kill(&mut self, victim: Victim) {
        let Self { ground, mapper, driver, client, lives, .. } = self;
        let now = ground.now;
        ground.begin_task(|| match victim {
            Victim::Iommu => {
                lives.0 += 1;
                let taken = Mapper::take_over(&CONFIG, Epoch(lives.0), now);
                *mapper = taken.expect("the SMMU answers");
                driver.mapper_died(now);
                client.lost(Server::Iommu);
            }
            Victim::Xhci => {
                mapper.died(driver.task(), now);
                lives.1 += 1;
                *driver = Driver::start(lives.1, now);
                client.lost(Server::Xhci);
            }
        });
        self.settle();
    }

    // ---- what must hold ----

    /// The page of a ring that the program can have its monitor publish on, of
    /// session `n`.
    fn published(&self, n: u32) -> Option<u32> {
        let mut monitor = self.monitor.clone();
        let mut ground = self.ground.clone();
        let mut choice = Choice::new(&[]);
        let mut dsp = Dsp { ground: &mut ground, choice: &mut choice, published: None };
        let answer = monitor.call(&mut dsp, [Call::Publish as u32, n, 0, 0, 1, 0]);
        let done = matches!(answer, Answer::Return([status, ..]) if status == Status::Ok as u32);
        dsp.published.filter(|_| done && self.ground.up)
    }

    /// Whether no page can be used anew that program or monitor still reach.
    pub fn no_page_is_reused_while_reachable(&self) -> bool {
        self.translations_are_of_their_use() && self.gates_are_of_their_use()
    }

    /// What the DSP's core may hold of old translations leads to pages in the use
    /// that they were mapped for, or to pages that `iommu` lets nobody use.
    fn translations_are_of_their_use(&self) -> bool {
        self.ground.held.values().all(|&(page, of)| {
            let it = self.ground.use_of(page).expect("a page of a pool");
            it.id == of && it.taken || !self.can_be_mapped(page)
        })
    }

    /// Whether `iommu` would let its owner use `page`.
    fn can_be_mapped(&self, page: u32) -> bool {
        let (mut mapper, mut ground) = (self.mapper.clone(), self.ground.clone());
        let media = u64::from(page) >= MEDIA.0;
        let (pool, base, owner) = if media {
            (MEDIA_POOL, MEDIA, BROKER)
        } else {
            (RING_POOL, RINGS, self.driver.task())
        };
        let number = ((u64::from(page) - base.0) / u64::from(PAGE)) as u16;
        ground.run_task(None, || {
            if media {
                mapper.grant(owner, (pool, number, 1), owner.index() as u16).is_ok()
            } else {
                mapper.map(owner, pool, number, 1, Access::Read).is_ok()
            }
        })
    }

    /// What the monitor lets the program publish on is a ring in use by a session
    /// whose gate is open, or by nobody.
    fn gates_are_of_their_use(&self) -> bool {
        (0..2).filter_map(|n| self.published(n)).all(|page| {
            let it = self.ground.use_of(page).expect("a page of a pool");
            it.taken
        })
    }

    /// Whether nothing can be published on a gate that the driver knows closed.
    pub fn closed_gates_are_shut(&self) -> bool {
        let shut = |(n, page)| self.published(n) != Some(page);
        self.driver.closed().is_none_or(shut)
    }

    /// Whether nothing is left of any session, not even out of use.
    fn is_clean(&self) -> bool {
        let status = self.mapper.status();
        let mut driver = self.driver.clone();
        let mut ground = self.ground.clone();
        let free = ground.run_task(None, || driver.take_all());
        self.client.is_over()
            && status == iommu_api::Status::default()
            && free == usize::from(RING_PAGES)
    }

    /// Whether it may stay like this for good.
    pub fn is_at_rest(&self) -> bool {
        self.is_clean() && !self.client.waits()
    }

    /// Whether the session plays.
    pub fn plays(&self) -> bool {
        self.client.phase() == Phase::Running
    }
}

/// The search wants to know whether two worlds are the same only to repeat a path,
/// and tells them apart by what the hash sees.
impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        let print = |world: &Self| BuildHasherDefault::<DefaultHasher>::new().hash_one(world);
        print(self) == print(other)
    }
}
