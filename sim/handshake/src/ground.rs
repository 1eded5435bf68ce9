//! The machine under both cores: shared words, stores on their way, bells, and
//! what the DSP's core may hold of old translations.
//!
//! Both sides' code runs on it through the seams it has anyway: the tasks'
//! through `seam`, the monitor's through its `Platform`. Harsh where hardware is
//! free to be: what one operation of the application core stores, and the bells
//! that it rings, reach the DSP's core one after another at any points of what
//! that does meanwhile; a translation that the tables had is kept until the
//! monitor forgets all of them.

use crate::choice::Choice;
use crate::world::Sabotage;
use addr::{PAGE, Peer, Phys};
use dsp_abi::bell::{GATE_TO_DSP, MAIL_TO_APP, SETSPI, TLB_TO_DSP};
use dsp_abi::control::{PEER_TABLES_PAGE, PEER_TABLES_PAGES};
use iommu::layout::EMPTY_PAGE;
use monitor::{Line, Platform, Time};
use seam::{Barrier, Bench, OnBench, Width};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use trb::{CYCLE, TrbType};

/// The gate page of the one controller.
pub const GATE: Phys = Phys(0x4400_0000);
/// The monitor's answers.
pub const ANSWERS: Phys = Phys(0x4400_1000);
/// The mailbox, in which nothing is sent here.
pub const MAILBOX: Phys = Phys(0x4400_2000);
/// The pool of rings.
pub const RINGS: Phys = Phys(0x4401_0000);
/// Its pages: two sessions' worth.
pub const RING_PAGES: u16 = 6;
/// The pool of transfer buffers.
pub const MEDIA: Phys = Phys(0x4402_0000);
/// Its pages.
pub const MEDIA_PAGES: u16 = 2;
/// The pool of tables.
pub const TABLES: Phys = Phys(0x4410_0000);
/// Its pages.
pub const TABLE_PAGES: u16 = 40;
/// The controller's registers.
pub const REGISTERS: Phys = Phys(0x1000_0000);
/// The SMMU's registers.
pub const SMMU: Phys = Phys(0x0905_0000);
/// The GICv2m frame.
pub const FRAME: Phys = Phys(0x0802_0000);

/// What the program has in the place of a page that was taken from it by force.
const EMPTY: Phys = TABLES.plus(EMPTY_PAGE as u64 * PAGE as u64);
/// Page of `TABLES` that holds the SMMU's commands, which nobody reads again.
const COMMANDS: u64 = 12;
const CR0: u64 = 0x20;
const IRQ_CTRL: u64 = 0x50;
const CMDQ_PROD: u64 = 0x98;
const CMDQ_CONS: u64 = 0x9C;

/// Which use of a page: each time one is given out it is another.
pub type UseId = u8;

/// What a page is used for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Use {
    /// How often it was given out.
    pub id: UseId,
    /// Somebody has it.
    pub taken: bool,
}

/// Something that the application core did and the DSP's core does not know yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Store {
    /// Words, and the uses of the pages that they name if they are descriptors.
    Words(Vec<(u32, u32, UseId)>),
    Bell(Line),
}

/// A translation: page, and the use it was made for.
pub type Translation = (u32, UseId);

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ground {
    /// Milliseconds.
    pub now: u64,
    /// What the application core reads, by address; zeros are left out.
    app: BTreeMap<u32, u32>,
    /// What the DSP's core reads of the same.
    dsp: BTreeMap<u32, u32>,
    stores: Vec<Store>,
    /// Bells that rang and were not taken.
    bells: u16,
    /// What the tables of the program's space say, by page of that space.
    tables: BTreeMap<u16, Translation>,
    /// What the DSP's core may still hold of what they ever said.
    pub held: BTreeMap<u16, Translation>,
    /// Whether the DSP's core runs.
    pub up: bool,
    /// Pages of rings, then pages of buffers.
    uses: [Use; (RING_PAGES + MEDIA_PAGES) as usize],
    /// When the monitor wants to be woken.
    pub alarm: Option<u64>,
    smmu: BTreeMap<u16, u32>,
    /// What is wrong with it.
    pub sabotage: Sabotage,
}

impl Ground {
    /// Whether `line` waits to be taken.
    pub fn rang(&self, line: u16) -> bool {
        self.bells & bell(line) != 0
    }

    /// Takes or loses `line`.
    pub fn clear(&mut self, line: u16) {
        self.bells &= !bell(line);
    }

    /// `line` comes once more.
    pub fn ring(&mut self, line: u16) {
        self.bells |= bell(line);
    }

    /// Whether the application core's last operation is over.
    pub fn is_settled(&self) -> bool {
        self.stores.is_empty()
    }

    /// Everything up to the next bell reaches the DSP's core.
    pub fn arrive(&mut self) {
        let bells = |store: &Store| matches!(store, Store::Bell(_));
        let next = self.stores.iter().position(bells).map_or(self.stores.len(), |at| at + 1);
        self.deliver(next);
    }

    /// The use that a page of a pool is in; `None` of any other page.
    pub fn use_of(&self, page: u32) -> Option<Use> {
        Some(self.uses[use_index(page.into())?])
    }

    /// The DSP's core was reset: it holds nothing, and waits for nothing.
    pub fn reset_dsp(&mut self) {
        self.up = false;
        self.held.clear();
        if self.sabotage == Sabotage::ForgetsItsLife {
            set(&mut self.app, ANSWERS.low(), 0);
            set(&mut self.dsp, ANSWERS.low(), 0);
        }
        self.alarm = None;
    }

    /// Runs `f` as a task's code. After `limit` stores of it none is made any
    /// more: the task was killed there.
    pub fn run_task<R>(&mut self, limit: Option<usize>, f: impl FnOnce() -> R) -> R {
        self.run(limit.unwrap_or(usize::MAX), false, f)
    }

    /// Runs `f` as code that begins a task's life. What it stored before it reads
    /// an answer of the monitor's has arrived by then.
    pub fn begin_task<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.run(usize::MAX, true, f)
    }

    fn run<R>(&mut self, limit: usize, begins: bool, f: impl FnOnce() -> R) -> R {
        let ground = RefCell::new(std::mem::take(self));
        let task = Task { ground, left: Cell::new(limit), begins };
        let machine = OnBench(task);
        let installed = seam::install(&machine);
        let result = f();
        drop(installed);
        *self = machine.0.ground.into_inner();
        result
    }

    /// How many stores of the application core the other one does not know.
    pub fn stores(&self) -> usize {
        self.stores.len()
    }

    fn deliver(&mut self, count: usize) {
        for store in self.stores.drain(..count).collect::<Vec<_>>() {
            match store {
                Store::Bell(line) => self.ring(line.0),
                Store::Words(words) => {
                    for (at, value, of) in words {
                        set(&mut self.dsp, at, value);
                        if let Some(index) = table_index(at) {
                            let page = value & !(PAGE - 1);
                            // What leads to the page that is nobody's harms nobody.
                            if value == 0 || page == EMPTY.low() {
                                self.tables.remove(&index);
                            } else {
                                let translation = (page, of);
                                self.tables.insert(index, translation);
                                if self.up {
                                    self.held.insert(index, translation);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The DSP's core reads words from `at` to `end`: how much of what is on its
    /// way to there is in time is chosen.
    fn catch_up(&mut self, at: u32, end: u32, choice: &mut Choice<'_>) {
        let meant = |store: &Store| match store {
            Store::Words(words) => words.iter().any(|&(word, ..)| (at..end).contains(&word)),
            Store::Bell(_) => false,
        };
        let found: Vec<usize> =
            (0..self.stores.len()).filter(|&n| meant(&self.stores[n])).collect();
        let chosen = choice.among(found.len() + 1);
        if chosen > 0 {
            self.deliver(found[chosen - 1] + 1);
        }
    }
}

/// A task's view of the ground.
struct Task {
    ground: RefCell<Ground>,
    left: Cell<usize>,
    begins: bool,
}

impl Task {
    /// Whether the task lives to do one more thing that the other core can see.
    fn lives(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

impl Bench for Task {
    fn mmio_read(&self, address: u64, _: Width) -> u32 {
        let offset = address - SMMU.0;
        // The SMMU does at once what it is told.
        let offset = match offset {
            CMDQ_CONS => CMDQ_PROD,
            at if at == CR0 + 4 || at == IRQ_CTRL + 4 => at - 4,
            at => at,
        };
        self.ground.borrow().smmu.get(&(offset as u16)).copied().unwrap_or(0)
    }

    fn mmio_write(&self, address: u64, _: Width, value: u32) {
        let mut ground = self.ground.borrow_mut();
        if address == FRAME.0 + u64::from(SETSPI) {
            if self.lives() {
                ground.stores.push(Store::Bell(Line(value as u16)));
            }
        } else if [CR0, IRQ_CTRL, CMDQ_PROD].contains(&(address - SMMU.0)) {
            ground.smmu.insert((address - SMMU.0) as u16, value);
        }
    }

    fn dma_read(&self, address: u64, into: &mut [u8]) {
        let mut ground = self.ground.borrow_mut();
        if self.begins && address & !u64::from(PAGE - 1) == ANSWERS.0 {
            let all = ground.stores.len();
            ground.deliver(all);
        }
        read(&ground.app, address, into);
    }

    fn dma_write(&self, address: u64, from: &[u8]) {
        if use_index(address).is_some() || page_of_tables(address) == Some(COMMANDS) {
            return;
        }
        let mut ground = self.ground.borrow_mut();
        let mut changed = Vec::new();
        for (at, value) in (address as u32..).step_by(4).zip(words(from)) {
            if ground.app.get(&at).copied().unwrap_or(0) != value {
                let of = ground.use_of(value & !(PAGE - 1)).map_or(0, |of| of.id);
                changed.push((at, value, of));
            }
        }
        let shared = page_of_tables(address).is_none_or(|page| page <= LAST_SHARED);
        if changed.is_empty() || shared && !self.lives() {
            return;
        }
        for &(at, value, _) in &changed {
            set(&mut ground.app, at, value);
        }
        if shared {
            let at = match ground.sabotage {
                Sabotage::NoBarriers => 0,
                _ => ground.stores.len(),
            };
            ground.stores.insert(at, Store::Words(changed));
        }
    }

    fn barrier(&self, _: Barrier) {}

    fn hand_out(&self, first: u64, count: u32) {
        let mut ground = self.ground.borrow_mut();
        for page in 0..u64::from(count) {
            if let Some(index) = use_index(first + page * u64::from(PAGE)) {
                let it = &mut ground.uses[index];
                *it = Use { id: it.id + 1, taken: true };
            }
        }
    }

    fn take_back(&self, first: u64, count: u32) {
        let mut ground = self.ground.borrow_mut();
        for page in 0..u64::from(count) {
            if let Some(index) = use_index(first + page * u64::from(PAGE)) {
                ground.uses[index].taken = false;
            }
        }
    }
}

/// The monitor's view of the ground.
pub struct Dsp<'a, 'c> {
    /// The machine.
    pub ground: &'a mut Ground,
    /// How far the application core's stores have come.
    pub choice: &'a mut Choice<'c>,
    /// The page of a ring that was written to.
    pub published: Option<u32>,
}

impl Platform for Dsp<'_, '_> {
    fn now(&mut self) -> Time {
        Time::ms(self.ground.now)
    }

    fn read(&mut self, at: Phys, into: &mut [u8]) {
        if use_index(at.0).is_some() {
            // Whatever a program may have put into a shadow ring that passes.
            let no_op = [0, 0, 1 << 22, (TrbType::NoOp as u32) << 10 | CYCLE];
            for (bytes, word) in into.chunks_exact_mut(4).zip(no_op) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            return;
        }
        self.ground.catch_up(at.low(), at.low() + into.len() as u32, self.choice);
        read(&self.ground.dsp, at.0, into);
    }

    fn write(&mut self, at: Phys, from: &[u8]) {
        if use_index(at.0).is_some() {
            self.published = Some(at.low() & !(PAGE - 1));
            return;
        }
        let ahead = u32::from(self.ground.sabotage == Sabotage::AnswersAhead);
        let done = (ANSWERS.low() + 8)..(ANSWERS.low() + 16);
        for (at, value) in (at.low()..).step_by(4).zip(words(from)) {
            let value = if done.contains(&at) { value + ahead } else { value };
            set(&mut self.ground.app, at, value);
            set(&mut self.ground.dsp, at, value);
        }
    }

    fn publish(&mut self) {}

    fn acquire(&mut self) {}

    fn read_register(&mut self, _: Phys) -> u32 {
        0
    }

    fn write_register(&mut self, _: Phys, _: u32) {}

    fn ring(&mut self, bell: Line) {
        if bell.0 > MAIL_TO_APP {
            self.ground.ring(bell.0);
        }
    }

    fn listen(&mut self, line: Line) {
        if [GATE_TO_DSP, TLB_TO_DSP].contains(&line.0) {
            self.ground.clear(line.0);
        }
    }

    fn ignore(&mut self, _: Line) {}

    fn wake_at(&mut self, at: Option<Time>) {
        self.ground.alarm = at.map(|at| at.0.div_ceil(Time::ms(1).0));
    }

    fn translate(&mut self, _: Peer) -> Option<Phys> {
        None
    }

    fn forget_translations(&mut self) {
        if self.ground.sabotage != Sabotage::KeepsTranslations {
            self.ground.held = self.ground.tables.clone();
        }
    }

    fn read_own(&mut self, _: Peer, into: &mut [u8]) {
        into.fill(0);
    }

    fn write_own(&mut self, _: Peer, _: &[u8]) {}

    fn start_program(&mut self) {}

    fn wake_program(&mut self) {}
}

/// The last page of `TABLES` that the DSP's core reads.
const LAST_SHARED: u64 = (PEER_TABLES_PAGE + PEER_TABLES_PAGES) as u64 - 1;

fn page_of_tables(at: u64) -> Option<u64> {
    let page = at.checked_sub(TABLES.0)? / u64::from(PAGE);
    (page < u64::from(TABLE_PAGES)).then_some(page)
}

/// Which page of the program's space the descriptor at `at` is of.
fn table_index(at: u32) -> Option<u16> {
    let base = TABLES.low() + u32::from(PEER_TABLES_PAGE) * PAGE;
    let offset = at.checked_sub(base)?;
    (offset < u32::from(PEER_TABLES_PAGES) * PAGE).then_some((offset / 4) as u16)
}

fn use_index(at: u64) -> Option<usize> {
    let page = |pool: Phys, pages: u16| {
        let page = at.checked_sub(pool.0)? / u64::from(PAGE);
        (page < u64::from(pages)).then_some(page as usize)
    };
    let media = || Some(usize::from(RING_PAGES) + page(MEDIA, MEDIA_PAGES)?);
    page(RINGS, RING_PAGES).or_else(media)
}

const fn bell(line: u16) -> u16 {
    1 << (line - dsp_abi::bell::MAIL_TO_DSP)
}

fn set(words: &mut BTreeMap<u32, u32>, at: u32, value: u32) {
    if value == 0 {
        words.remove(&at);
    } else {
        words.insert(at, value);
    }
}

fn read(words: &BTreeMap<u32, u32>, at: u64, into: &mut [u8]) {
    for (bytes, at) in into.chunks_exact_mut(4).zip((at as u32..).step_by(4)) {
        bytes.copy_from_slice(&words.get(&at).copied().unwrap_or(0).to_le_bytes());
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}
