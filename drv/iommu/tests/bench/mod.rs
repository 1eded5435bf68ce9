//! The mapper on a bench: the SMMU model, memory, a monitor that answers.

#![allow(dead_code, reason = "each test file uses a part of the bench")]

use std::cell::{Cell, RefCell};

use abi::{Generation, TaskId};
use addr::{Bus, Phys};
use dma::Pool;
use dsp_abi::bell;
use dsp_abi::control::{AnswerPage, WindowPage};
use fabric::{Core, Fabric, IntId, Layout, Owner, StreamId, Time, Width};
use handles::Epoch;
use iommu::mapper::Mapper;
use iommu::{Config, ControllerSpec, PoolSpec};
use iommu_api::{Access, Part, WindowHandle};
use mmio::Registers;
use seam::{Barrier, Bench, OnBench};
use zerocopy::FromBytes;

const RAM: Phys = Phys(0x4000_0000);
pub(crate) const TABLES: Phys = RAM;
const TABLE_PAGES: u16 = 128;
const ANSWERS: Phys = RAM.plus(0x8_0000);
/// Pool 1, of `xhci`.
pub(crate) const RINGS: Phys = RAM.plus(0x10_0000);
/// Pool 2, of the broker.
pub(crate) const MEDIA: Phys = RAM.plus(0x18_0000);
const SMMU: u64 = 0x0905_0000;
const CMDQ_CONS: u64 = 0x9C;
const FRAME: u64 = 0x0802_0000;

/// StreamID of controller 0.
pub(crate) const STREAM: StreamId = StreamId(0x10);
/// StreamID of controller 1.
pub(crate) const STREAM1: StreamId = StreamId(0x18);
/// Driver of controller 0, owner of pool 1.
pub(crate) const XHCI: TaskId = TaskId::new(3, Generation(0));
/// Driver of controller 1.
pub(crate) const XHCI1: TaskId = TaskId::new(4, Generation(0));
/// Owner of pool 2.
pub(crate) const BROKER: TaskId = TaskId::new(6, Generation(0));
/// A task with nothing.
pub(crate) const STRANGER: TaskId = TaskId::new(7, Generation(0));

/// What goes wrong on the way between driver and SMMU.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Nothing.
    None,
    /// Each SYNC is replaced by a command that waits for nothing.
    NoSync,
    /// Each TLB invalidation is replaced by one of another page.
    WrongPage,
    /// No barrier has any effect.
    NoBarriers,
}

#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) fabric: RefCell<Fabric>,
    pub(crate) sabotage: Cell<Sabotage>,
    /// How much a monitor there is: 0 = none, else its life's number.
    pub(crate) monitor: Cell<u32>,
    /// What a controller writes to whenever the mapper looks how far its commands are.
    pub(crate) busy: Cell<Option<(StreamId, Bus)>>,
}

impl Board {
    pub(crate) fn new(seed: u64) -> Self {
        let mut fabric = Fabric::new(Layout::virt(1024), seed);
        fabric.memory.give(TABLES, TABLE_PAGES.into(), Owner::Tables);
        fabric.memory.give(RINGS, 100, Owner::AnyStream);
        fabric.memory.give(MEDIA, 64, Owner::AnyStream);
        fabric.memory.load(ANSWERS, &[0; 4096]).unwrap();
        fabric.interrupts.route(IntId(bell::TLB_TO_DSP), Core::Dsp);
        fabric.interrupts.set_enabled(IntId(bell::TLB_TO_DSP), true);
        let board = Self {
            fabric: RefCell::new(fabric),
            sabotage: Cell::new(Sabotage::None),
            monitor: Cell::new(0),
            busy: Cell::new(None),
        };
        board.start_monitor(1);
        board
    }

    /// A life of the monitor begins: it has no translation, and says so.
    pub(crate) fn start_monitor(&self, life: u32) {
        self.monitor.set(life);
        self.write_answer(life, self.window_page().sequence);
    }

    /// The monitor looks at its bell, unless it is stuck.
    pub(crate) fn run_monitor(&self) {
        let rung = self.fabric.borrow_mut().interrupts.take(Core::Dsp).is_some();
        if rung && self.monitor.get() != 0 {
            self.write_answer(self.monitor.get(), self.window_page().sequence);
        }
    }

    fn write_answer(&self, epoch: u32, done: u32) {
        let mut fabric = self.fabric.borrow_mut();
        let done_at = std::mem::offset_of!(AnswerPage, window_done) as u64;
        fabric.core_write(Core::Dsp, ANSWERS.plus(done_at), &done.to_le_bytes()).unwrap();
        fabric.barrier(Core::Dsp);
        fabric.core_write(Core::Dsp, ANSWERS, &epoch.to_le_bytes()).unwrap();
        fabric.barrier(Core::Dsp);
    }

    pub(crate) fn window_page(&self) -> WindowPage {
        let mut bytes = [0; size_of::<WindowPage>()];
        self.fabric.borrow().memory.peek(TABLES, &mut bytes).unwrap();
        WindowPage::read_from_bytes(&bytes).unwrap()
    }

    /// The small-page descriptor that the monitor finds for a peer address.
    pub(crate) fn peer_descriptor(&self, at: addr::Peer) -> u32 {
        let mut word = [0; 4];
        let entry = TABLES.plus(4096 + at.0 / 4096 * 4);
        self.fabric.borrow().memory.peek(entry, &mut word).unwrap();
        u32::from_le_bytes(word)
    }

    pub(crate) fn device_read(&self, stream: StreamId, at: Bus) -> bool {
        self.fabric.borrow_mut().dma_read(stream, at, &mut [0; 8]).is_ok()
    }

    pub(crate) fn device_write(&self, stream: StreamId, at: Bus) -> bool {
        self.fabric.borrow_mut().dma_write(stream, at, &[7; 8]).is_ok()
    }

    /// A task scrubs a page, which is then free for other uses.
    pub(crate) fn scrub(&self, page: Phys) {
        let mut fabric = self.fabric.borrow_mut();
        fabric.core_write(Core::App, page, &[0; 4096]).unwrap();
        fabric.barrier(Core::App);
    }

    pub(crate) fn violations(&self) -> u64 {
        self.fabric.borrow().violations.total()
    }

    pub(crate) fn assert_clean(&self) {
        let fabric = self.fabric.borrow();
        assert_eq!(fabric.violations.total(), 0, "{:?}", fabric.violations.kept());
    }

    /// Whether the SMMU's event line rang; taking it.
    pub(crate) fn fault_rang(&self) -> bool {
        let mut fabric = self.fabric.borrow_mut();
        let rang = fabric.interrupts.is_pending(IntId(106));
        fabric.interrupts.clear(IntId(106));
        fabric.interrupts.clear(IntId(109));
        rang
    }
}

/// The board as the task's code sees it.
#[derive(Debug)]
pub(crate) struct OfTask<'b>(pub(crate) &'b Board);

impl Bench for OfTask<'_> {
    fn mmio_read(&self, address: u64, width: Width) -> u32 {
        if address == SMMU + CMDQ_CONS
            && let Some((stream, at)) = self.0.busy.get()
        {
            self.0.device_write(stream, at);
        }
        let mut fabric = self.0.fabric.borrow_mut();
        fabric.spend(Time::ns(100));
        match address.checked_sub(SMMU) {
            Some(offset) if offset < 0x2_0000 => fabric.smmu_read(offset as u32, width),
            _ => panic!("read of {address:#x}"),
        }
    }

    fn mmio_write(&self, address: u64, width: Width, value: u32) {
        let mut fabric = self.0.fabric.borrow_mut();
        fabric.spend(Time::ns(100));
        match address.checked_sub(SMMU) {
            Some(offset) if offset < 0x2_0000 => fabric.smmu_write(offset as u32, width, value),
            _ => fabric.frame_write(address - FRAME, width, value),
        }
    }

    fn dma_read(&self, address: u64, into: &mut [u8]) {
        let mut fabric = self.0.fabric.borrow_mut();
        fabric.spend(Time::ns(20));
        fabric.core_read(Core::App, Phys(address), into).unwrap();
    }

    fn dma_write(&self, address: u64, from: &[u8]) {
        let mut bytes = from.to_vec();
        let command_queue = TABLES.0 + 12 * 4096;
        if (command_queue..command_queue + 4096).contains(&address) {
            match (self.0.sabotage.get(), from[0]) {
                (Sabotage::NoSync, 0x46) => {
                    bytes.fill(0);
                    bytes[0] = 0x03;
                    bytes[4] = 0xFF;
                }
                (Sabotage::WrongPage, 0x12) => bytes[11] ^= 0x40,
                _ => {}
            }
        }
        let mut fabric = self.0.fabric.borrow_mut();
        fabric.spend(Time::ns(20));
        fabric.core_write(Core::App, Phys(address), &bytes).unwrap();
    }

    fn barrier(&self, kind: Barrier) {
        let mut fabric = self.0.fabric.borrow_mut();
        fabric.spend(Time::ns(20));
        if kind == Barrier::Publish && self.0.sabotage.get() != Sabotage::NoBarriers {
            fabric.barrier(Core::App);
        }
    }
}

const POOLS: &[PoolSpec] = &[
    PoolSpec { id: 1, base: RINGS, pages: 100, owner: 3 },
    PoolSpec { id: 2, base: MEDIA, pages: 64, owner: 6 },
];
const CONTROLLERS: &[ControllerSpec] = &[
    ControllerSpec { stream: STREAM.0, driver: 3 },
    ControllerSpec { stream: STREAM1.0, driver: 4 },
];

pub(crate) fn config() -> Config {
    config_with(TABLE_PAGES)
}

/// The same with a pool for tables of so many pages.
fn config_with(table_pages: u16) -> Config {
    Config {
        smmu: Registers::simulated(Phys(SMMU), 0x2_0000),
        bells: Registers::simulated(Phys(FRAME), 0x1000),
        tables: Pool::simulated(9, TABLES, table_pages),
        answers: Pool::simulated(10, ANSWERS, 1),
        pools: POOLS,
        controllers: CONTROLLERS,
        fault: 1,
        tlb: 2,
        peer_changed: 4,
        clients: &[3, 4, 6],
    }
}

/// Runs `f` with a mapper that has just started on a new board.
pub(crate) fn on_board(seed: u64, f: impl FnOnce(&Board, &mut Mapper<'_>)) {
    on_board_with(TABLE_PAGES, seed, f);
}

/// The same with a pool for tables of so many pages.
pub(crate) fn on_board_with(table_pages: u16, seed: u64, f: impl FnOnce(&Board, &mut Mapper<'_>)) {
    let board = Board::new(seed);
    let machine = OnBench(OfTask(&board));
    let _installed = seam::install(&machine);
    let config = config_with(table_pages);
    let mut mapper = Mapper::take_over(&config, Epoch(0), 0).unwrap();
    board.run_monitor();
    mapper.confirmed();
    f(&board, &mut mapper);
}

/// As [`on_board`], with controller 0 attached.
pub(crate) fn attached(seed: u64, f: impl FnOnce(&Board, &mut Mapper<'_>)) {
    on_board(seed, |board, mapper| {
        mapper.attach(XHCI).unwrap();
        f(board, mapper);
    });
}

/// A session with everything placed and mapped.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Session {
    pub(crate) window: WindowHandle,
    pub(crate) event: Bus,
    pub(crate) ring: Bus,
    pub(crate) buffer: Bus,
    pub(crate) grants: [iommu_api::GrantHandle; 3],
    pub(crate) peer: [addr::Peer; 3],
}

/// Opens the session whose pages start at page 8n of each pool: event ring,
/// data ring, shadow in pool 1; a buffer of two pages in pool 2.
pub(crate) fn session(mapper: &mut Mapper<'_>, n: u16) -> Session {
    let first = n * 8;
    let window = mapper.open_window(BROKER, 0).unwrap();
    let event =
        mapper.place(XHCI, window, Part::EventRing, (1, first, 1), Access::ReadWrite).unwrap();
    let ring = mapper.place(XHCI, window, Part::DataRing, (1, first + 1, 1), Access::Read).unwrap();
    let buffer = mapper.place(BROKER, window, Part::Buffer, (2, first, 2), Access::Read).unwrap();
    let grants = [
        mapper.grant(XHCI, (1, first, 1), 6).unwrap(),
        mapper.grant(XHCI, (1, first + 2, 1), 6).unwrap(),
        mapper.grant(BROKER, (2, first, 2), 6).unwrap(),
    ];
    let parts = [Part::EventRing, Part::DataRing, Part::Buffer];
    let mut peer = [addr::Peer(0); 3];
    for ((at, part), grant) in peer.iter_mut().zip(parts).zip(grants) {
        *at = mapper.map_peer(BROKER, window, part, grant, Access::ReadWrite).unwrap();
    }
    Session { window, event, ring, buffer, grants, peer }
}

/// Takes a session down in the order of the design, the monitor answering.
pub(crate) fn close(board: &Board, mapper: &mut Mapper<'_>, session: &Session) {
    let ticket = mapper.start_unmap_peer(BROKER, session.window, 0).unwrap();
    board.run_monitor();
    mapper.confirmed();
    mapper.result(BROKER, ticket).unwrap();
    mapper.displace(XHCI, session.window, Part::EventRing).unwrap();
    mapper.displace(XHCI, session.window, Part::DataRing).unwrap();
    mapper.displace(BROKER, session.window, Part::Buffer).unwrap();
    mapper.release(XHCI, session.grants[0]).unwrap();
    mapper.release(XHCI, session.grants[1]).unwrap();
    mapper.release(BROKER, session.grants[2]).unwrap();
    mapper.close_window(BROKER, session.window).unwrap();
}
