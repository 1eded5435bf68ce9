//! Time: the generic timer of this core (ARM ARM B8), without a tick.
//!
//! The compare value is the earlier of the kernel's next deadline and, while a
//! task runs on a board with slices, the slice's end. When neither is there the
//! timer is off.

use super::cp15;
use super::epitaph::Global;
use crate::platform::Irq;
use crate::task::Timestamp;

/// The physical timer's interrupt.
pub(super) const IRQ: Irq = Irq(30);

/// CNTP_CTL: enabled, interrupt not masked.
const CTL_ON: u32 = 1;
const CTL_OFF: u32 = 0;
/// CNTKCTL.PL0PCTEN: unprivileged code may read the counter. It dates the events
/// in the tasks' ring buffers.
const COUNTER_FOR_TASKS: u32 = 1;

/// Counts in a millisecond; Humility's name.
#[unsafe(no_mangle)]
#[used]
static CLOCK_FREQ_KHZ: Global<u32> = Global::new(0);

/// What the timer is set for.
#[derive(Debug)]
pub(super) struct Timer {
    /// Counts in a second.
    frequency: u64,
    deadline: Option<u64>,
    slice_end: Option<u64>,
    slices: bool,
}

impl Timer {
    /// A timer that is off.
    pub(super) fn start(slices: bool) -> Self {
        // SAFETY: who may read the counter affects no memory, and a timer that
        // is off raises nothing.
        unsafe {
            cp15::set_cntkctl(COUNTER_FOR_TASKS);
            cp15::set_cntp_ctl(CTL_OFF);
        }
        let frequency = cp15::cntfrq();
        // SAFETY: only the debugger reads it.
        unsafe { CLOCK_FREQ_KHZ.0.get().write_volatile(frequency / 1000) };
        Self { frequency: u64::from(frequency), deadline: None, slice_end: None, slices }
    }

    pub(super) fn now(&self) -> Timestamp {
        // A 62.5 MHz counter reaches 2^54, past which this would wrap, in nine
        // years.
        Timestamp(cp15::cntpct() * 1000 / self.frequency)
    }

    pub(super) fn set_deadline(&mut self, deadline: Option<Timestamp>) {
        self.deadline = deadline.map(|deadline| self.counts(deadline.0));
        self.program();
    }

    /// Whether an interrupt of the timer's will come.
    pub(super) fn is_set(&self) -> bool {
        self.deadline.is_some() || self.slice_end.is_some()
    }

    /// Begins a slice if this board has them.
    pub(super) fn begin_slice(&mut self) {
        if self.slices {
            self.slice_end = Some(cp15::cntpct() + self.frequency / 1000);
            self.program();
        }
    }

    /// Nothing runs any more.
    pub(super) fn end_slice(&mut self) {
        if self.slice_end.take().is_some() {
            self.program();
        }
    }

    /// The first count at which `millis` have passed.
    fn counts(&self, millis: u64) -> u64 {
        millis.saturating_mul(self.frequency).div_ceil(1000)
    }

    fn program(&self) {
        let earliest = match (self.deadline, self.slice_end) {
            (Some(deadline), Some(end)) => Some(deadline.min(end)),
            (deadline, end) => deadline.or(end),
        };
        // SAFETY: the interrupt that comes of it is the kernel's own.
        unsafe {
            match earliest {
                Some(count) => {
                    cp15::set_cntp_cval(count);
                    cp15::set_cntp_ctl(CTL_ON);
                }
                None => cp15::set_cntp_ctl(CTL_OFF),
            }
        }
    }
}
