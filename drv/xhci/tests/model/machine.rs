//! The machine: jefe, iommu, xhci and two clients around a simulated board.

use addr::{PAGE, Phys};
use dsp_abi::bell;
use fabric::{Core, IntId, Layout, Owner, Time};
use host::{Access, Host, Image, Irq, Outcome, Span, Task, TaskIndex};
use std::cell::RefCell;
use std::rc::Rc;
use system::board::{Board, Map, Parts, Script};
use system::monitor::{Monitor, Places};
use usb_model::headset::{Model, headset};
use xhc::{Personality, RootPort};

pub(crate) const MAPPER: u16 = 1;
pub(crate) const XHCI: u16 = 2;
pub(crate) const CORE: u16 = 3;
pub(crate) const BROKER: u16 = 4;
/// Notification bits of the clients: hints, and deaths of neighbours.
pub(crate) const HINT: u32 = 1 << 0;
pub(crate) const IOMMU_HINT: u32 = 1 << 1;
pub(crate) const PEER_CHANGED: u32 = 1 << 2;

const RAM: Phys = Phys(0x4400_0000);
const PAGES: u32 = 0x150;
/// The controller's StreamID.
const STREAM: u16 = 0x10;
const DMA_XHCI: (u8, Phys, u16) = (0, Phys(0x4400_0000), 64);
const DMA_RING: (u8, Phys, u16) = (1, Phys(0x4404_0000), 64);
const DMA_MEDIA: (u8, Phys, u16) = (2, Phys(0x4408_0000), 64);
const TABLES: (u8, Phys, u16) = (3, Phys(0x440C_0000), 128);
const GATE: (u8, Phys, u16) = (4, Phys(0x4414_0000), 2);
const ANSWERS: (u8, Phys, u16) = (5, Phys(0x4414_2000), 1);
const MAILBOX: Phys = Phys(0x4414_3000);
const MEDIA: Phys = Phys(0x4414_8000);
const FRAME: Phys = Phys(0x0802_0000);
const SMMU: (Phys, u32) = (Phys(0x0905_0000), 0x2_0000);
const ECAM: Phys = Phys(0x3F00_0000);
const FUNCTION: Phys = Phys(0x3F01_0000);
const BAR: (Phys, u32) = (Phys(0x1000_0000), 0x4000);

/// Something that a test does to the machine while it runs.
pub(crate) type Deed = Box<dyn FnMut(&mut Parts)>;

/// Deeds, with their times.
#[derive(Default)]
pub(crate) struct Plan(Vec<(Time, Option<Deed>)>);

impl Plan {
    pub(crate) fn at(mut self, at: Time, deed: impl FnMut(&mut Parts) + 'static) -> Self {
        self.0.push((at, Some(Box::new(deed))));
        self
    }
}

impl Script for Plan {
    fn power_on(&mut self, parts: &mut Parts) {
        for (token, (at, _)) in self.0.iter().enumerate() {
            parts.schedule(*at, token as u32);
        }
    }

    fn wake(&mut self, parts: &mut Parts, _: &mut Monitor, token: u32) {
        if let Some(mut deed) = self.0[token as usize].1.take() {
            deed(parts);
        }
    }
}

/// What the clients say: each line that a client wrote, in order.
pub(crate) type Diary = Rc<RefCell<Vec<String>>>;

pub(crate) struct Machine {
    pub(crate) host: Host<Board<Plan>>,
    pub(crate) diary: Diary,
    /// How often the test killed each task.
    kills: [u64; 5],
}

fn span((_, base, pages): (u8, Phys, u16), access: Access) -> Span {
    Span { base, len: u64::from(pages) * u64::from(PAGE), access }
}

fn device(base: Phys, len: u32) -> Span {
    Span { base, len: len.into(), access: Access::Device }
}

fn pool((id, base, pages): (u8, Phys, u16)) -> dma::Pool {
    dma::Pool::simulated(id, base, pages)
}

fn jefe_task() -> Task {
    let all = (1 << XHCI | 1 << CORE | 1 << BROKER | 1 << 1) & !1;
    let neighbours: &'static [u32] =
        vec![0, all & !(1 << 1), all & !(1 << XHCI), 1 << XHCI, 1 << 1 | 1 << XHCI].leak();
    let mut task = Task::new("jefe", move || {
        jefe::main(&jefe::Config {
            neighbours,
            fault: 1,
            backoff: jefe::Backoff { first: 10, longest: 1000, quiet: 1000 },
            keep: |_| {},
        })
    });
    for (index, bit) in [(1, 1 << 2), (XHCI, 1 << 3), (CORE, PEER_CHANGED), (BROKER, PEER_CHANGED)]
    {
        task = task.notifies(index, bit);
    }
    task
}

fn iommu_task() -> Task {
    let pools: &'static [iommu::PoolSpec] = vec![
        iommu::PoolSpec { id: 0, base: DMA_XHCI.1, pages: DMA_XHCI.2, owner: XHCI },
        iommu::PoolSpec { id: 1, base: DMA_RING.1, pages: DMA_RING.2, owner: XHCI },
        iommu::PoolSpec { id: 2, base: DMA_MEDIA.1, pages: DMA_MEDIA.2, owner: BROKER },
    ]
    .leak();
    Task::new("iommu", move || {
        iommu::main(&iommu::Config {
            smmu: mmio::Registers::simulated(SMMU.0, SMMU.1),
            bells: mmio::Registers::simulated(FRAME, PAGE),
            tables: pool(TABLES),
            answers: pool(ANSWERS),
            pools,
            controllers: &[iommu::ControllerSpec { stream: STREAM, driver: XHCI }],
            fault: 1,
            tlb: 2,
            peer_changed: 4,
            clients: &[XHCI, BROKER],
        })
    })
    .slot("jefe", 0)
    .irq(Irq(106), 1)
    .irq(Irq(109), 1)
    .irq(Irq(u32::from(bell::TLB_TO_APP)), 2)
    .notifies(XHCI, 4)
    .notifies(BROKER, IOMMU_HINT)
    .memory(device(SMMU.0, SMMU.1))
    .memory(device(FRAME, PAGE))
    .memory(span(TABLES, Access::Dma))
    .memory(span(ANSWERS, Access::DmaRead))
    .memory(span(DMA_XHCI, Access::Dma))
    .memory(span(DMA_RING, Access::Dma))
    .memory(span(DMA_MEDIA, Access::Dma))
}

fn xhci_task(hubs: bool) -> Task {
    Task::new("xhci", move || {
        xhci::main(&xhci::Config {
            controller: 0,
            function: mmio::Registers::simulated(FUNCTION, PAGE),
            bar: mmio::Registers::simulated(BAR.0, BAR.1),
            bells: mmio::Registers::simulated(FRAME, PAGE),
            dma_xhci: pool(DMA_XHCI),
            dma_ring: pool(DMA_RING),
            gate: pool(GATE),
            answers: pool(ANSWERS),
            primary_vector: bell::CONTROLLER0_PRIMARY,
            dsp_vectors: bell::CONTROLLER0_DSP,
            irq: 1,
            gate_bell: 2,
            iommu: 4,
            peer_changed: 8,
            usb_core: CORE,
            offload_broker: BROKER,
            hubs,
        })
    })
    .slot("jefe", 0)
    .slot("iommu", 1)
    .irq(Irq(u32::from(bell::CONTROLLER0_PRIMARY)), 1)
    .irq(Irq(u32::from(bell::GATE0_TO_APP)), 2)
    .notifies(CORE, HINT)
    .notifies(BROKER, HINT)
    .memory(device(FUNCTION, PAGE))
    .memory(device(BAR.0, BAR.1))
    .memory(device(FRAME, PAGE))
    .memory(span(DMA_XHCI, Access::Dma))
    .memory(span(DMA_RING, Access::Dma))
    .memory(span(GATE, Access::Dma))
    .memory(span(ANSWERS, Access::DmaRead))
}

impl Machine {
    /// A machine with this controller, these clients and this plan, whose DSP
    /// has no program.
    pub(crate) fn new(
        personality: Personality,
        seed: u64,
        plan: Plan,
        core: impl Fn(&Diary) + 'static,
        broker: impl Fn(&Diary) + 'static,
    ) -> Self {
        Self::with_program(personality, seed, plan, core, broker, crate::program::idle)
    }

    /// A machine whose driver serves no hubs.
    pub(crate) fn without_hubs(
        personality: Personality,
        plan: Plan,
        core: impl Fn(&Diary) + 'static,
    ) -> Self {
        let idle = crate::devices::idle;
        Self::build(personality, 0, plan, core, idle, crate::program::idle, false)
    }

    /// A machine whose DSP runs `program`.
    pub(crate) fn with_program(
        personality: Personality,
        seed: u64,
        plan: Plan,
        core: impl Fn(&Diary) + 'static,
        broker: impl Fn(&Diary) + 'static,
        program: impl Fn() + 'static,
    ) -> Self {
        Self::build(personality, seed, plan, core, broker, program, true)
    }

    fn build(
        personality: Personality,
        seed: u64,
        plan: Plan,
        core: impl Fn(&Diary) + 'static,
        broker: impl Fn(&Diary) + 'static,
        program: impl Fn() + 'static,
        hubs: bool,
    ) -> Self {
        let diary = Diary::default();
        let (of_core, of_broker) = (diary.clone(), diary.clone());
        let core = Task::new("core", move || core(&of_core)).slot("xhci", XHCI);
        let broker = Task::new("broker", move || broker(&of_broker))
            .slot("xhci", XHCI)
            .slot("iommu", 1)
            .memory(span(DMA_MEDIA, Access::Dma));
        let image = Image::new(vec![jefe_task(), iommu_task(), xhci_task(hubs), core, broker])
            .core1(program);
        let span = |base, bytes| monitor::Span { base, bytes };
        let controller = monitor::Controller {
            gate: GATE.1,
            registers: span(BAR.0, BAR.1.into()),
            rings: span(DMA_RING.1, u64::from(DMA_RING.2) * u64::from(PAGE)),
        };
        let places = Places {
            monitor: monitor::Places {
                controllers: [Some(controller), None],
                answers: ANSWERS.1,
                windows: TABLES.1,
                mailbox: MAILBOX,
            },
            media: span(MEDIA, u64::from(PAGE)),
            recording: span(MEDIA, 0),
            device: fabric::DeviceId(0),
        };
        let map = Map { msi_frame: FRAME, smmu: SMMU, ecam: ECAM };
        let layout = Layout { ram: RAM, ..Layout::virt(PAGES) };
        let mut board = Board::new(layout, map, places, vec![personality], plan, seed);
        let own = Owner::Stream(fabric::StreamId(STREAM));
        for ((_, base, pages), owner) in [(DMA_XHCI, own), (DMA_RING, Owner::AnyStream)] {
            board.parts.manage(base, pages.into(), owner);
        }
        board.parts.give(DMA_MEDIA.1, DMA_MEDIA.2.into(), Owner::AnyStream);
        board.parts.manage(TABLES.1, TABLES.2.into(), Owner::Tables);
        board.parts.give(TABLES.1, 5, Owner::Cores);
        let zeros = [0; PAGE as usize];
        for page in [GATE.1, GATE.1.plus(0x1000), ANSWERS.1, MAILBOX, MAILBOX.plus(0x1000), MEDIA] {
            board.parts.fabric.memory.load(page, &zeros).expect("it is RAM");
        }
        if let Ok(path) = std::env::var("XHCI_TRACE") {
            let file = std::fs::File::create(path).expect("the trace's file");
            board.parts.fabric.trace.set_sink(Box::new(file));
        }
        board.power_on();
        Self { host: Host::new(image, board), diary, kills: [0; 5] }
    }

    /// Runs for `ms` milliseconds from the start.
    pub(crate) fn run(&mut self, ms: u64) {
        let outcome = self.host.run_until(host::Time(ms * 1_000_000));
        assert!(
            matches!(outcome, Outcome::Time | Outcome::Idle),
            "{outcome:?}, after {:?}",
            self.diary.borrow()
        );
    }

    /// No model saw a rule broken, no task faulted.
    pub(crate) fn check(&self) {
        self.check_models();
        for (n, task) in self.host.stats().tasks.iter().enumerate() {
            assert_eq!(task.faults, 0, "task {n}: {:?}", self.diary.borrow());
        }
    }

    /// No model saw a rule broken, and nobody reached for what is not mapped.
    pub(crate) fn check_models(&self) {
        self.check_rules();
        let board = self.host.board();
        assert_eq!(board.parts.fabric.smmu.faults(), 0, "after {:?}", self.diary.borrow());
    }

    /// No model saw a rule broken, and no server died of itself.
    pub(crate) fn check_rules(&self) {
        let board = self.host.board();
        let violations = &board.parts.fabric.violations;
        let seen: Vec<_> = violations.kept().iter().take(4).collect();
        assert_eq!(violations.total(), 0, "{seen:?}, after {:?}", self.diary.borrow());
        let stats = self.host.stats();
        for task in [0, MAPPER, XHCI] {
            let (died, killed) =
                (stats.tasks[usize::from(task)].faults, self.kills[usize::from(task)]);
            assert!(died <= killed, "task {task}, after {:?}", self.diary.borrow());
        }
    }

    pub(crate) fn said(&self, line: &str) -> bool {
        self.diary.borrow().iter().any(|said| said == line)
    }

    /// Kills a task so many points from now.
    pub(crate) fn kill_after(&mut self, points: u64, task: u16) {
        self.kills[usize::from(task)] += 1;
        let at = self.host.points() + points;
        self.host.kill_at(at, Some(TaskIndex(task as u8)));
    }

    pub(crate) fn kill(&mut self, task: u16) {
        self.kills[usize::from(task)] += 1;
        self.host.kill(TaskIndex(task as u8));
    }
}

/// A monitor that does not answer any more, not even after its next look.
pub(crate) fn deaf(parts: &mut Parts) {
    let primary = std::mem::offset_of!(dsp_abi::control::GatePage, primary) as u64;
    let Parts { fabric, .. } = parts;
    fabric.memory.load(GATE.1.plus(primary), &[0; 4]).expect("the gate page is RAM");
    let line = IntId(bell::GATE_TO_DSP);
    fabric.raise(line);
    fabric.interrupts.route(line, Core::Dsp);
}

/// Its bell is cut, once it is deaf.
pub(crate) fn cut(parts: &mut Parts) {
    parts.fabric.interrupts.set_enabled(IntId(bell::GATE_TO_DSP), false);
}

/// A headset for the first USB 2 port of the controller.
pub(crate) fn plug(
    personality: &Personality,
    model: Model,
    seed: u64,
) -> impl FnMut(&mut Parts) + use<> {
    let port = port(personality);
    move |parts| parts.plug_at(0, port.into(), headset(model, seed))
}

/// The first USB 2 port.
pub(crate) fn port(personality: &Personality) -> RootPort {
    personality.usb2_port(0).expect("a USB 2 port")
}

/// QEMU's controller, then seeded ones.
pub(crate) fn personalities(count: u64) -> impl Iterator<Item = (u64, Personality)> {
    (0..count).map(|seed| match seed {
        0 => (seed, Personality::qemu()),
        _ => (seed, Personality::seeded(seed)),
    })
}
