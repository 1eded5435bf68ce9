//! The kernel as the vectors see it: what each exception makes it do, and who
//! runs then.

use core::mem::MaybeUninit;

use super::context::{ReturnState, SavedState};
use super::epitaph::Global;
use super::image::image;
use super::mmu::AddressSpaces;
use super::platform::Board;
use super::{cp15, faults, gic, sleeps, timer};
use crate::kernel::Kernel;
use crate::platform::{Irq, Platform};
use crate::task::{Task, TaskIndex};

/// The task that runs, or ran last; Humility reads it by this name.
#[unsafe(no_mangle)]
#[used]
static CURRENT_TASK_PTR: Global<*const Task> = Global::new(core::ptr::null());

/// Milliseconds since start when the kernel last had nothing to do or served its
/// timer; Humility's name.
#[unsafe(no_mangle)]
#[used]
static TICKS: Global<u64> = Global::new(0);

/// Everything that the kernel changes.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) kernel: Kernel,
    pub(super) board: Board,
    pub(super) spaces: AddressSpaces,
    /// Whose address space is under the processor.
    running: TaskIndex,
}

static MACHINE: Global<MaybeUninit<Machine>> = Global::new(MaybeUninit::uninit());

/// # Safety
/// After [`begin`], from an exception's entry alone: no other reference may
/// live, and entries do not nest.
#[inline(always)]
unsafe fn machine() -> &'static mut Machine {
    // SAFETY: `begin` made it; the caller promises the rest.
    unsafe { (*MACHINE.0.get()).assume_init_mut() }
}

/// Begins with `kernel`, whose tasks have not begun, in the supervisor's
/// address space; the return state of who runs first.
///
/// # Safety
/// Once, at boot, with `spaces` under the processor.
pub(super) unsafe fn begin(
    kernel: Kernel,
    board: Board,
    spaces: AddressSpaces,
) -> *mut ReturnState {
    let machine = Machine { kernel, board, spaces, running: TaskIndex::SUPERVISOR };
    // SAFETY: nothing else has a reference yet.
    let machine = unsafe { (*MACHINE.0.get()).write(machine) };
    for index in 0..image().descriptors.len() as u8 {
        if image().start & 1 << index != 0 {
            machine.kernel.boot(&mut machine.board, TaskIndex(index));
        }
    }
    note_running(machine.kernel.task(machine.running));
    gic::enable(timer::IRQ);
    machine.board.timer.begin_slice();
    machine.resume(machine.kernel.current())
}

impl Machine {
    /// The return state of `next`, or of who can run next when nobody can now.
    #[inline(always)]
    fn resume(&mut self, next: Option<TaskIndex>) -> *mut ReturnState {
        let next = match next {
            Some(next) => next,
            None => self.idle(),
        };
        let task = self.kernel.task_mut(next);
        if next != self.running {
            self.spaces.switch_to(next);
            self.running = next;
            note_running(task);
            clear_exclusive();
        }
        task.save_mut().return_state()
    }

    /// Sleeps until a task can run. Interrupts stay masked: what ends WFI is
    /// taken here.
    #[cold]
    #[inline(never)]
    fn idle(&mut self) -> TaskIndex {
        loop {
            if let Some(next) = self.kernel.current() {
                self.board.timer.begin_slice();
                return next;
            }
            self.board.timer.end_slice();
            note_time(&self.board);
            sleeps::sleep(self.board.timer.is_set());
            if let Some(irq) = self.take_interrupt() {
                sleeps::ended_by(irq);
            }
        }
    }

    #[inline(always)]
    fn take_interrupt(&mut self) -> Option<Irq> {
        // None: it went away again, or another core took it.
        let taken = gic::take()?;
        let irq = taken.irq();
        if irq == timer::IRQ {
            self.timer_interrupt();
        } else {
            self.kernel.interrupt(&mut self.board, irq);
        }
        taken.end();
        Some(irq)
    }

    /// The kernel's deadline has come, or a slice ended.
    #[cold]
    fn timer_interrupt(&mut self) {
        note_time(&self.board);
        self.kernel.tick(&mut self.board);
        self.board.timer.begin_slice();
        cp15::yield_hint();
    }
}

/// Writes down the time for whoever looks at memory later.
fn note_time(board: &Board) {
    // SAFETY: only the debugger reads it.
    unsafe { TICKS.0.get().write_volatile(board.now().0) };
}

#[inline(always)]
fn note_running(task: &Task) {
    // SAFETY: a word that only the debugger reads.
    unsafe { CURRENT_TASK_PTR.0.get().write_volatile(task) };
}

/// Forgets an exclusive access that the previous task began (ARM ARM A3.4.5).
#[inline(always)]
fn clear_exclusive() {
    // SAFETY: touches no memory.
    unsafe { core::arch::asm!("clrex", options(nomem, nostack, preserves_flags)) };
}

/// SVC.
#[unsafe(no_mangle)]
extern "C" fn sotto_syscall() -> *mut ReturnState {
    // SAFETY: an exception's entry.
    let machine = unsafe { machine() };
    let next = machine.kernel.syscall(&mut machine.board, machine.running);
    machine.resume(next)
}

/// IRQ while a task runs.
#[unsafe(no_mangle)]
extern "C" fn sotto_interrupt() -> *mut ReturnState {
    // SAFETY: an exception's entry.
    let machine = unsafe { machine() };
    machine.take_interrupt();
    let next = machine.kernel.current();
    machine.resume(next)
}

/// A trapped instruction of a task.
#[unsafe(no_mangle)]
extern "C" fn sotto_fault(kind: u32) -> *mut ReturnState {
    // SAFETY: an exception's entry.
    let machine = unsafe { machine() };
    let running = machine.running;
    let descriptor = &image().descriptors[running.get()];
    let save: &mut SavedState = machine.kernel.task_mut(running).save_mut();
    let fault = faults::describe(kind, save, descriptor);
    machine.kernel.fault(&mut machine.board, running, fault);
    let next = machine.kernel.current();
    machine.resume(next)
}

/// A trapped instruction of the kernel itself.
#[unsafe(no_mangle)]
extern "C" fn sotto_kernel_fault(kind: u32, near: u32) -> ! {
    panic!("exception {kind} near {near:#x}, address {:#x}", cp15::dfar());
}
