//! What the monitor stands on: this core, the shared pages, the registers.

use super::context::Context;
use super::epitaph::Global;
use super::mmu::{self, FRAME, OWN};
use super::timer::{self, Timer};
use super::trace::{Trace, note};
use super::{cp15, gic, image, streams};
use addr::{PAGE, Peer, Phys};
use dma::Pool;
use dsp_abi::bell;
use dsp_abi::monitor::MAIL_OUT;
use mmio::Registers;
use monitor::{CONTROLLERS, Controller, Line, Platform, Time};

/// The program's registers while the monitor runs.
static CONTEXT: Global<Context> = Global::new(Context::EMPTY);

/// What the program does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// It goes on from its context.
    Runs,
    /// It waits in a call.
    Waits,
    /// Its call is to be made again.
    Woken,
    /// It ended.
    Ended,
}

/// Core 1 and what it sees.
#[derive(Debug)]
pub(super) struct Board {
    timer: Timer,
    /// From the first to the last of the shared pages. What the monitor names
    /// is mapped; what lies between and is not its own is not.
    shared: Pool,
    registers: [Option<Registers>; CONTROLLERS],
    frame: Registers,
    pub(super) program: Program,
}

impl Board {
    /// The board, with a program that never ran.
    ///
    /// # Safety
    /// Once, with the MMU on.
    pub(super) unsafe fn new() -> Self {
        let places = &image::PLACES;
        let (first, end) = shared();
        let pages = (end.0 - first.0) / u64::from(PAGE);
        let block = |base: Phys, bytes: u64| {
            // SAFETY: `mmu` maps these registers as device memory, and nobody
            // else on this core has them.
            unsafe { Registers::new(base, bytes as u32) }
        };
        Self {
            timer: Timer::start(),
            // SAFETY: `mmu` maps the shared pages that `places` names, which is
            // where the monitor reads and writes (its tests see to that), and
            // no reference to them exists.
            shared: unsafe { Pool::new(0, first, pages as u16) },
            registers: places
                .controllers
                .map(|controller| controller.map(|c| block(c.registers.base, c.registers.bytes))),
            frame: block(Phys(FRAME.into()), PAGE.into()),
            program: Program::Ended,
        }
    }

    /// The program's registers.
    pub(super) fn context(&mut self) -> &mut Context {
        // SAFETY: the vectors write it only while the program runs, and then no
        // code of the monitor does; `self`, of which there is one, stands for
        // the right to it.
        unsafe { &mut *CONTEXT.get() }
    }

    fn offset(&self, at: Phys) -> u32 {
        at.offset_from(self.shared.phys(0)).expect("a shared page") as u32
    }

    /// A controller's register.
    fn register(&self, at: Phys) -> (&Registers, u32) {
        let inside = |block: &&Registers| {
            at.offset_from(block.base()).is_some_and(|offset| offset < u64::from(block.len()))
        };
        let block = self.registers.iter().flatten().find(inside).expect("a controller's register");
        (block, (at.0 - block.base().0) as u32)
    }

    fn own(&mut self, at: Peer, len: usize) -> *mut u8 {
        let offset = at.offset_from(MAIL_OUT).expect("a place of the program's page") as usize;
        assert!(offset + len <= PAGE as usize, "the program's page is one page");
        OWN.get().cast::<u8>().wrapping_add(offset)
    }
}

/// The first of the shared pages, and the end of the last.
fn shared() -> (Phys, Phys) {
    let places = &image::PLACES;
    let page = u64::from(PAGE);
    let one = |at: Phys| (at, at.plus(page));
    let others =
        [one(places.answers), one(places.windows), (places.mailbox, places.mailbox.plus(2 * page))];
    let of = |controller: &Controller| {
        let rings = controller.rings;
        [one(controller.gate), (rings.base, rings.base.plus(rings.bytes))]
    };
    let controllers = places.controllers.iter().flatten().flat_map(of);
    controllers
        .chain(others)
        .fold(one(places.answers), |(first, end), (at, to)| (first.min(at), end.max(to)))
}

impl Platform for Board {
    fn now(&mut self) -> Time {
        self.timer.now()
    }

    fn read(&mut self, at: Phys, into: &mut [u8]) {
        self.shared.read(self.offset(at), into);
    }

    fn write(&mut self, at: Phys, from: &[u8]) {
        self.shared.write(self.offset(at), from);
    }

    fn publish(&mut self) {
        dma::publish();
    }

    fn acquire(&mut self) {
        dma::acquire();
    }

    fn read_register(&mut self, at: Phys) -> u32 {
        let (block, offset) = self.register(at);
        block.read32(offset)
    }

    fn write_register(&mut self, at: Phys, value: u32) {
        let (block, offset) = self.register(at);
        // What the program wrote and read before it called comes first.
        cp15::dsb();
        block.write32(offset, value);
    }

    fn ring(&mut self, bell: Line) {
        note(Trace::Rang(bell));
        self.frame.write32(bell::SETSPI, bell.0.into());
    }

    fn listen(&mut self, line: Line) {
        note(Trace::LineOpened(line));
        streams::begin(line);
        gic::listen(line);
    }

    fn ignore(&mut self, line: Line) {
        note(Trace::LineClosed(line));
        gic::ignore(line);
    }

    fn wake_at(&mut self, at: Option<Time>) {
        self.timer.set(at);
    }

    fn translate(&mut self, at: Peer) -> Option<Phys> {
        mmu::translate(at)
    }

    fn forget_translations(&mut self) {
        mmu::forget_translations();
    }

    fn read_own(&mut self, at: Peer, into: &mut [u8]) {
        let from = self.own(at, into.len());
        for (n, byte) in into.iter_mut().enumerate() {
            // SAFETY: inside the page, which only this and `write_own` reach
            // while the monitor runs.
            *byte = unsafe { from.wrapping_add(n).read_volatile() };
        }
    }

    fn write_own(&mut self, at: Peer, from: &[u8]) {
        let to = self.own(at, from.len());
        for (n, byte) in from.iter().enumerate() {
            // SAFETY: as in `read_own`.
            unsafe { to.wrapping_add(n).write_volatile(*byte) };
        }
    }

    /// Code and constants are as they were loaded, for nothing can write them;
    /// all that the program could write is zero, which is how it was loaded.
    fn start_program(&mut self) {
        let program = image::PROGRAM;
        let ram = core::ptr::with_exposed_provenance_mut::<u8>(program.ram.base.0 as usize);
        // SAFETY: the program's RAM and its page are mapped, and nothing of the
        // monitor is in them.
        unsafe {
            ram.write_bytes(0, program.ram.bytes as usize);
            OWN.get().cast::<u8>().write_bytes(0, PAGE as usize);
        }
        *self.context() = Context::beginning(program.entry, program.stack_top);
        self.program = Program::Runs;
        note(Trace::ProgramStarted);
    }

    fn wake_program(&mut self) {
        if self.program == Program::Waits {
            self.program = Program::Woken;
        }
    }
}

/// Lets the timer's interrupt through.
pub(super) fn enable_timer() {
    gic::enable(timer::IRQ);
}
