//! The monitor as the vectors see it: what each exception makes it do, and how
//! the program goes on.

use super::board::{self, Board, Program};
use super::context::Context;
use super::epitaph::Global;
use super::trace::{Trace, note};
use super::{cp15, gic, image, streams, timer};
use core::mem::MaybeUninit;
use monitor::{Answer, Monitor};

/// Everything that the monitor changes.
struct Machine {
    monitor: Monitor,
    board: Board,
}

static MACHINE: Global<MaybeUninit<Machine>> = Global::new(MaybeUninit::uninit());

/// # Safety
/// After [`begin`], from an exception's entry alone: no other reference may
/// live, and entries do not nest.
unsafe fn machine() -> &'static mut Machine {
    // SAFETY: `begin` made it; the caller promises the rest.
    unsafe { (*MACHINE.get()).assume_init_mut() }
}

/// Brings the monitor up; where the program goes on.
///
/// # Safety
/// Once, at boot, with the MMU and the interrupt controller set up.
pub(super) unsafe fn begin(board: Board) -> *const Context {
    let machine = Machine { monitor: Monitor::new(image::PLACES), board };
    // SAFETY: nothing else has a reference yet.
    let machine = unsafe { (*MACHINE.get()).write(machine) };
    board::enable_timer();
    machine.monitor.begin(&mut machine.board);
    machine.go_on()
}

impl Machine {
    /// Sleeps until the program can run; its registers.
    fn go_on(&mut self) -> *const Context {
        loop {
            match self.board.program {
                Program::Runs => return core::ptr::from_ref(self.board.context()),
                Program::Woken => self.call(),
                Program::Waits | Program::Ended => {
                    cp15::wfi();
                    self.take_interrupt();
                }
            }
        }
    }

    /// Makes the call that stands in the program's registers.
    fn call(&mut self) {
        self.board.program = Program::Waits;
        let call = self.board.context().call();
        if let Answer::Return(words) = self.monitor.call(&mut self.board, call) {
            self.board.context().answer(words);
            self.board.program = Program::Runs;
        }
    }

    fn take_interrupt(&mut self) {
        // None: it went away again.
        let Some(taken) = gic::take() else { return };
        if taken.line() == timer::IRQ {
            self.monitor.tick(&mut self.board);
        } else {
            streams::note(taken.line());
            self.monitor.interrupt(&mut self.board, taken.line());
        }
        taken.end();
    }
}

/// SVC.
#[unsafe(no_mangle)]
extern "C" fn core1_call() -> *const Context {
    // SAFETY: an exception's entry.
    let machine = unsafe { machine() };
    machine.call();
    machine.go_on()
}

/// IRQ while the program runs.
#[unsafe(no_mangle)]
extern "C" fn core1_interrupt() -> *const Context {
    // SAFETY: an exception's entry.
    let machine = unsafe { machine() };
    machine.take_interrupt();
    machine.go_on()
}

/// A trapped instruction of the program: it ends.
#[unsafe(no_mangle)]
extern "C" fn core1_fault() -> *const Context {
    // SAFETY: an exception's entry.
    let machine = unsafe { machine() };
    note(Trace::ProgramDied);
    machine.board.program = Program::Ended;
    machine.monitor.program_died(&mut machine.board);
    machine.go_on()
}

/// A trapped instruction of the monitor itself.
#[unsafe(no_mangle)]
extern "C" fn core1_own_fault(kind: u32, near: u32) -> ! {
    panic!("exception {kind} near {near:#x}, address {:#x}", cp15::dfar());
}
