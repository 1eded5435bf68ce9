//! When streams' events came, for whoever looks in from outside.
//!
//! A session's interrupter raises its line once for each event that the program
//! asked for (every eighth packet) and once when the ring is dry: times that
//! are as far apart as those packets show that none was late, which what was
//! played cannot show. `CORE1_STREAMS` is found by name; nothing reads it back.

use super::cp15;
use super::epitaph::Global;
use dsp_abi::bell;
use monitor::Line;

/// The lines of all controllers' sessions, and one between that is none.
const FIRST: u16 = bell::CONTROLLER0_DSP;
const LINES: usize = (bell::MAIL_TO_DSP - FIRST) as usize;
/// Times that are kept: the last packet's, the dry ring's after it, and those
/// before them.
const KEPT: usize = 4;

/// What came on one line since its session was opened. Times are counts of the
/// generic timer.
#[derive(Copy, Clone)]
#[repr(C)]
struct Stream {
    /// Interrupts; number `n` is at `n % KEPT`.
    count: u32,
    /// The longest time between two.
    longest: u64,
    first: u64,
    last: [u64; KEPT],
}

const SILENT: Stream = Stream { count: 0, longest: 0, first: 0, last: [0; KEPT] };

#[unsafe(no_mangle)]
#[used]
static CORE1_STREAMS: Global<[Stream; LINES]> = Global::new([SILENT; LINES]);

/// The stream of `line`, if it can have one.
fn stream(line: Line) -> Option<&'static mut Stream> {
    // SAFETY: the monitor's only user of the static; the reference is not kept
    // beyond the two functions below, which do not call each other.
    let streams = unsafe { &mut *CORE1_STREAMS.get() };
    streams.get_mut(usize::from(line.0.checked_sub(FIRST)?))
}

/// A session with that line is opened.
pub(super) fn begin(line: Line) {
    if let Some(stream) = stream(line) {
        *stream = SILENT;
    }
}

/// An interrupt came on `line`.
pub(super) fn note(line: Line) {
    let Some(stream) = stream(line) else { return };
    let now = cp15::cntpct();
    if stream.count == 0 {
        stream.first = now;
    } else {
        let before = stream.last[stream.count.wrapping_sub(1) as usize % KEPT];
        stream.longest = stream.longest.max(now - before);
    }
    stream.last[stream.count as usize % KEPT] = now;
    stream.count = stream.count.wrapping_add(1);
}
