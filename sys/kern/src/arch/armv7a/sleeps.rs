//! When the core slept, for whoever looks in from outside.
//!
//! That a stream costs this core nothing (DESIGN rule 7) is shown by what is
//! written here: it slept from before the first packet until after the last,
//! with no timer set. `KERNEL_SLEEPS` is found by name; nothing reads it back.

use super::cp15;
use super::epitaph::Global;
use crate::platform::Irq;

/// Sleeps that are kept: after a stream its session is taken down with a few
/// dozen.
const KEPT: usize = 64;

/// What is kept in place of an interrupt that went away again: the number of a
/// software-generated one, which nobody sends here.
const NONE: u32 = 0;

/// One sleep. Times are counts of the generic timer.
#[derive(Copy, Clone)]
#[repr(C)]
struct Sleep {
    from: u64,
    /// 0 while it lasts.
    until: u64,
    /// 1 when it had an end that the timer was set for.
    timed: u32,
    /// The interrupt that ended it.
    irq: u32,
}

#[repr(C)]
struct Sleeps {
    /// Sleeps begun since start; sleep `n` is at `n % KEPT`.
    begun: u32,
    sleeps: [Sleep; KEPT],
}

#[unsafe(no_mangle)]
#[used]
static KERNEL_SLEEPS: Global<Sleeps> = Global::new(Sleeps {
    begun: 0,
    sleeps: [Sleep { from: 0, until: 0, timed: 0, irq: NONE }; KEPT],
});

/// # Safety
/// No other reference of it may live.
unsafe fn log() -> &'static mut Sleeps {
    // SAFETY: the caller's promise.
    unsafe { &mut *KERNEL_SLEEPS.0.get() }
}

/// Sleeps until an interrupt is pending, with the timer set or not.
pub(super) fn sleep(timed: bool) {
    let from = cp15::cntpct();
    // SAFETY: nothing interrupts the kernel, and this ends before it sleeps:
    // what looks in meanwhile sees that it does.
    unsafe {
        let log = log();
        let place = log.begun as usize % KEPT;
        log.sleeps[place] = Sleep { from, until: 0, timed: timed.into(), irq: NONE };
        log.begun = log.begun.wrapping_add(1);
    }
    cp15::wfi();
    let until = cp15::cntpct();
    // SAFETY: as above.
    unsafe { latest().until = until };
}

/// Notes which interrupt ended the sleep.
pub(super) fn ended_by(irq: Irq) {
    // SAFETY: nothing interrupts the kernel.
    unsafe { latest().irq = irq.0 };
}

/// # Safety
/// As [`log`], after a sleep.
unsafe fn latest() -> &'static mut Sleep {
    // SAFETY: the caller's promise.
    let log = unsafe { log() };
    &mut log.sleeps[log.begun.wrapping_sub(1) as usize % KEPT]
}
