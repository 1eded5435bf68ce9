//! Time: the generic timer of core 1 (ARM ARM B8), without a tick.

use super::cp15;
use monitor::{Line, Time};

/// The physical timer's interrupt; each core has its own.
pub(super) const IRQ: Line = Line(30);

/// CNTP_CTL: enabled, interrupt not masked.
const CTL_ON: u32 = 1;
const CTL_OFF: u32 = 0;
/// CNTKCTL.PL0PCTEN: the program may read the counter, which dates the events of
/// its ring buffer and tells nothing that its monitor would not; it sets no
/// timer.
const COUNTER_FOR_THE_PROGRAM: u32 = 1;
const NANOSECONDS: u64 = 1_000_000_000;

/// The timer, off at first.
#[derive(Debug)]
pub(super) struct Timer {
    /// Counts in a second.
    frequency: u64,
}

impl Timer {
    pub(super) fn start() -> Self {
        // SAFETY: who may read the counter affects no memory, and a timer that
        // is off raises nothing.
        unsafe {
            cp15::set_cntkctl(COUNTER_FOR_THE_PROGRAM);
            cp15::set_cntp_ctl(CTL_OFF);
        }
        Self { frequency: u64::from(cp15::cntfrq()) }
    }

    pub(super) fn now(&self) -> Time {
        let count = cp15::cntpct();
        let (seconds, rest) = (count / self.frequency, count % self.frequency);
        Time(seconds * NANOSECONDS + rest * NANOSECONDS / self.frequency)
    }

    /// Has the interrupt come at `at`, or no more.
    pub(super) fn set(&self, at: Option<Time>) {
        // SAFETY: the interrupt that comes of it is the monitor's own.
        unsafe {
            match at {
                Some(at) => {
                    cp15::set_cntp_cval(self.count(at));
                    cp15::set_cntp_ctl(CTL_ON);
                }
                None => cp15::set_cntp_ctl(CTL_OFF),
            }
        }
    }

    /// The first count at which it is `at`: 64 bits of nanoseconds are less
    /// than 64 bits of counts for any frequency up to 1 GHz, which the
    /// architecture's highest is (B8.1.1).
    const fn count(&self, at: Time) -> u64 {
        let (seconds, rest) = (at.0 / NANOSECONDS, at.0 % NANOSECONDS);
        seconds * self.frequency + (rest * self.frequency).div_ceil(NANOSECONDS)
    }
}
