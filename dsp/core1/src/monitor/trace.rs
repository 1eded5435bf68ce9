//! What the monitor did, for whoever looks in with a debugger.

use monitor::Line;

/// Something that happened. A line is an interrupt's number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Trace {
    None,
    ProgramStarted,
    ProgramDied,
    /// From here on it comes to this core: a bell, or a session of the program.
    LineOpened(Line),
    /// From here on it comes no more: the session is over.
    LineClosed(Line),
    /// A bell was rung at the application core.
    Rang(Line),
}

ringbuf::ringbuf!(Trace, 32, Trace::None);

/// Adds to the trace. Not worth its code in each place.
#[inline(never)]
pub(super) fn note(event: Trace) {
    ringbuf::ringbuf_entry!(event);
}
