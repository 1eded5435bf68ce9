//! What the program may do with one session, as the gate pages say.

use crate::phys;
use crate::places::{CONTROLLERS, Controller};
use crate::platform::{Line, Time};
use core::ops::Range;
use dsp_abi::control::{GateEntry, WindowEntry};
use dsp_abi::{SESSIONS, bell};

/// A stalled session is looked for this often.
pub const WATCH: Time = Time::ms(250);

/// An open session.
#[derive(Copy, Clone, Debug, Hash)]
pub(crate) struct Session {
    pub(crate) entry: GateEntry,
    pub(crate) rings: [gate::Ring; 2],
    /// Something was published, or events were consumed, since the last watch.
    pub(crate) progressed: bool,
    /// Whether anything was ever published.
    pub(crate) started: bool,
    /// Whether the stall was already reported.
    pub(crate) reported: bool,
    /// Whether a refusal was already reported.
    pub(crate) refused: bool,
    /// Its program died: nobody is left to be watched.
    pub(crate) lost: bool,
}

impl Session {
    pub(crate) fn new(entry: &GateEntry, window: &WindowEntry) -> Self {
        let ring = |n: usize| gate::Ring::new(&entry.rings[n], entry.interrupter as u16, window);
        Self {
            entry: *entry,
            rings: [ring(0), ring(1)],
            progressed: false,
            started: false,
            reported: false,
            refused: false,
            lost: false,
        }
    }

    /// The line of the session's interrupter. [`fault`] saw that it is one.
    pub(crate) const fn line(&self) -> Line {
        Line(self.entry.vector as u16)
    }

    /// Whether the stream has stood still since the last look, and that was not
    /// said yet. Of a session that is to be taken down anyway it is not said:
    /// it would be written over the reason.
    pub(crate) fn watch(&mut self) -> bool {
        let ends = self.refused || self.lost;
        let stalled = self.started && !self.progressed && !self.reported && !ends;
        self.progressed = false;
        self.reported |= stalled;
        stalled
    }
}

/// What is wrong with a gate entry: the driver that wrote it is not trusted
/// with more than its own controller.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EntryFault {
    /// The vector is not one of those that this controller raises at the DSP.
    Vector = 1,
    /// The doorbell is no register of this controller.
    Doorbell,
    /// The dequeue pointer is no register of this controller.
    Dequeue,
    /// A ring or its shadow is no page of this controller's pool of rings.
    Ring,
    /// The interrupter cannot be the target of a TRB, or is the primary one.
    Interrupter,
    /// There is no such window.
    Window,
}

/// Registers are words; ERDP is two.
const WORD: u64 = 4;
/// Interrupters that a TRB can name: ten bits (xHCI 6.4.1).
const INTERRUPTERS: u32 = 1 << 10;

/// The vectors that each controller raises at the DSP.
const VECTORS: [Range<u16>; CONTROLLERS] =
    [bell::CONTROLLER0_DSP..bell::CONTROLLER1_PRIMARY, bell::CONTROLLER1_DSP..bell::MAIL_TO_DSP];

/// What is wrong with `entry` of the gate page of controller `n`, which is
/// `controller`.
pub(crate) fn fault(n: usize, controller: &Controller, entry: &GateEntry) -> Option<EntryFault> {
    let register = |at: u32, bytes: u64| {
        u64::from(at).is_multiple_of(bytes) && controller.registers.holds(phys(at), bytes)
    };
    let rings = entry.rings.iter().filter(|ring| ring.dci != 0);
    let mut pages = rings.flat_map(|ring| [ring.real, ring.shadow]);
    let vector = u16::try_from(entry.vector).ok();
    if !vector.is_some_and(|vector| VECTORS[n].contains(&vector)) {
        Some(EntryFault::Vector)
    } else if !register(entry.doorbell, WORD) {
        Some(EntryFault::Doorbell)
    } else if !register(entry.erdp, 2 * WORD) {
        Some(EntryFault::Dequeue)
    } else if pages.any(|page| !controller.rings.holds_page(phys(page))) {
        Some(EntryFault::Ring)
    } else if !(1..INTERRUPTERS).contains(&entry.interrupter) {
        Some(EntryFault::Interrupter)
    } else if entry.window as usize >= SESSIONS {
        Some(EntryFault::Window)
    } else {
        None
    }
}
