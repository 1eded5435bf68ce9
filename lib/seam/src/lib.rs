//! Where a task's code meets the machine when the machine is a simulator.
//!
//! On a board a task reaches its machine with an SVC instruction, a volatile
//! access or a barrier. On a host it does so through the [`Machine`] that the
//! simulator installed on this thread. `userlib`, `mmio`, `dma`, `ringbuf`,
//! `counters` and `scarce` are the only users; task code never names this crate.
//!
//! A call may not return: the simulator can preempt the calling task inside it
//! and later kill that task, which resets its coroutine without unwinding.
//! Callers must therefore hold nothing across a call that has to be dropped.

mod bench;

pub use bench::{Bench, OnBench};

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// The registers of a system call: r4 to r11 of the board's ABI. r11 carries
/// the number on entry (Hubris reference, "Syscalls by architecture: ARM").
pub type Registers = [usize; 8];

/// Width of a register access, in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Half = 2,
    /// 32 bits.
    Word = 4,
}

/// What a barrier orders.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// Earlier DMA writes before later DMA writes and register accesses (`dsb st`).
    Publish,
    /// Earlier DMA and register reads before later DMA reads (`dmb`).
    Acquire,
}

/// What a program on the DSP core asks of its monitor; see `dsp-abi` for the
/// numbers. Six words in, four words out.
pub type MonitorCall = [u32; 6];

/// The simulated machine as the code that runs on it sees it.
///
/// Every method is a point where virtual time passes and where the running
/// task can be preempted or killed.
pub trait Machine {
    /// A system call of the running task.
    ///
    /// # Safety
    /// Registers that the call's ABI declares to be pointers must describe
    /// memory the caller may give away for the length of the call; the kernel
    /// checks them against the task's regions but cannot check lifetimes.
    unsafe fn syscall(&self, registers: &mut Registers);

    /// Reads a device register at physical address `address`.
    fn mmio_read(&self, address: u64, width: Width) -> u32;

    /// Writes a device register at physical address `address`.
    fn mmio_write(&self, address: u64, width: Width, value: u32);

    /// Reads DMA memory at physical address `address`.
    fn dma_read(&self, address: u64, into: &mut [u8]);

    /// Writes DMA memory at physical address `address`.
    fn dma_write(&self, address: u64, from: &[u8]);

    /// Orders accesses of the running core.
    fn barrier(&self, kind: Barrier);

    /// `count` pages of DMA memory from `first` come into use. Takes no time. A
    /// machine that does not know whose pages are whose does nothing.
    fn hand_out(&self, first: u64, count: u32) {
        let _ = (first, count);
    }

    /// `count` pages of DMA memory from `first` are in use no more. Takes no
    /// time. As [`Self::hand_out`].
    fn take_back(&self, first: u64, count: u32) {
        let _ = (first, count);
    }

    /// Virtual time of the running core, in nanoseconds. Takes no time: it is for
    /// traces. A machine without a clock says 0.
    fn now(&self) -> u64 {
        0
    }

    /// Whether the running task shall find nothing left of what it is about to
    /// take, although there is; `what` says what (`scarce::Scarce`). Takes no
    /// time. A machine on which nothing is made to fail says no.
    fn spent(&self, what: u32) -> bool {
        let _ = what;
        false
    }

    /// A request of the DSP program to its monitor; the answer, four words.
    fn monitor(&self, call: MonitorCall) -> [u32; 4];

    /// Reads the DSP program's address space (its peer view), or faults it.
    fn peer_read(&self, address: u64, into: &mut [u8]);

    /// Writes the DSP program's address space (its peer view), or faults it.
    fn peer_write(&self, address: u64, from: &[u8]);

    /// Index of the task that the slot `name` of the running task names.
    /// `None` when `app.toml` gives it no such slot.
    fn task_slot(&self, name: &str) -> Option<u16>;

    /// Notification bits that `app.toml` lets the running task post to `target`.
    fn notify_mask(&self, target: u16) -> u32;

    /// The running task's own instance of a static (`ringbuf!`, `counters!`)
    /// that is identified by its address; made by `init` at first use. It
    /// outlives restarts of the task.
    fn instance(
        &self,
        key: usize,
        name: &'static str,
        init: &dyn Fn() -> Rc<dyn Any>,
    ) -> Rc<dyn Any>;
}

thread_local! {
    static MACHINE: Cell<Option<*const dyn Machine>> = const { Cell::new(None) };
}

/// Takes the machine off the thread when dropped.
#[derive(Debug)]
pub struct Installed<'m> {
    previous: Option<*const dyn Machine>,
    machine: std::marker::PhantomData<&'m dyn Machine>,
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        MACHINE.set(self.previous);
    }
}

/// Puts `machine` under the code that runs on this thread until the returned
/// guard is dropped. The guard must be dropped, not forgotten: it is what ends
/// the loan of `machine`.
#[must_use]
pub fn install<'m>(machine: &'m (dyn Machine + 'm)) -> Installed<'m> {
    // SAFETY: only the lifetime changes. The pointer is read through `with`
    // alone, and the guard takes it off the thread before `'m` ends; leaking
    // the guard would break this.
    let machine: *const (dyn Machine + 'static) =
        unsafe { std::mem::transmute::<*const (dyn Machine + 'm), _>(machine) };
    Installed { previous: MACHINE.replace(Some(machine)), machine: std::marker::PhantomData }
}

/// Runs `f` on the installed machine.
///
/// # Panics
/// When no simulator runs on this thread: task code was called from outside.
pub fn with<R>(f: impl FnOnce(&dyn Machine) -> R) -> R {
    let machine = MACHINE.get().expect("task code called outside a simulation");
    // SAFETY: `install` keeps the pointee alive while the pointer is set.
    f(unsafe { &*machine })
}

/// Whether a simulator runs on this thread.
#[must_use]
pub fn installed() -> bool {
    MACHINE.get().is_some()
}

/// The time of the running core; see [`Machine::now`]. Outside a simulation, as in
/// a unit test, time stands still.
#[must_use]
pub fn now() -> u64 {
    if installed() { with(|machine| machine.now()) } else { 0 }
}

thread_local! {
    static OUTSIDE: RefCell<HashMap<usize, Rc<dyn Any>>> = RefCell::new(HashMap::new());
}

/// The instance of a static that belongs to the running task; see
/// [`Machine::instance`]. Outside a simulation, as in a unit test, each thread
/// has one.
pub fn instance(key: usize, name: &'static str, init: &dyn Fn() -> Rc<dyn Any>) -> Rc<dyn Any> {
    if installed() {
        return with(|machine| machine.instance(key, name, init));
    }
    of_thread(key, init)
}

/// This thread's own instance.
fn of_thread(key: usize, init: &dyn Fn() -> Rc<dyn Any>) -> Rc<dyn Any> {
    if let Some(found) = OUTSIDE.with_borrow(|instances| instances.get(&key).cloned()) {
        return found;
    }
    let made = init();
    OUTSIDE.with_borrow_mut(|instances| instances.insert(key, made.clone()));
    made
}
