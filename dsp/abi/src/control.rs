//! The control pages: gate (written by `xhci`), windows (written by `iommu`),
//! answers (written by the monitor).
//!
//! Requests are levels, not events: a writer brings its page up to date, then
//! raises `sequence` and rings. The monitor brings itself into line with the
//! whole page and copies `sequence` into its answer. A lost bell therefore
//! costs time, never consistency, and a request can be repeated harmlessly.

use crate::SESSIONS;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One ring of a session, as the gate needs to know it.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct GateRing {
    /// Device context index (doorbell target); 0 = no such ring.
    pub dci: u32,
    /// Whether the endpoint is IN (1) or OUT (0).
    pub is_in: u32,
    /// Physical address of the real transfer ring, one page.
    pub real: u32,
    /// Physical address of the shadow ring that the program writes, one page.
    pub shadow: u32,
    /// Bus address of the real ring: what a Link TRB must hold.
    pub bus: u32,
    /// Most bytes one transfer descriptor may move.
    pub max_payload: u32,
}

/// One session of the gate.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct GateEntry {
    /// 1 = the program may use this session; 0 = it may not.
    pub open: u32,
    /// Index of the session's window in the window page.
    pub window: u32,
    /// Counts openings of this entry, so that an answer names the right one.
    pub generation: u32,
    /// Slot whose doorbell register belongs to the session.
    pub slot: u32,
    /// Interrupter number, the only one the TRBs may target.
    pub interrupter: u32,
    /// INTID that the interrupter's vector raises at the DSP core.
    pub vector: u32,
    /// Physical address of the event ring, one page.
    pub event_ring: u32,
    /// Bus address of the event ring.
    pub event_bus: u32,
    /// Physical address of the interrupter's ERDP register.
    pub erdp: u32,
    /// Physical address of the slot's doorbell register.
    pub doorbell: u32,
    /// Data ring, then sync (feedback) ring.
    pub rings: [GateRing; 2],
}

/// The gate page of one controller: written by its driver, read by the monitor.
#[derive(Copy, Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GatePage {
    /// Raised after each change of the page.
    pub sequence: u32,
    /// The driver's restart count; a new one voids all that the old one opened.
    pub epoch: u32,
    /// The sessions.
    pub entries: [GateEntry; SESSIONS],
    /// Where the primary interrupter's dequeue pointer register is, while the
    /// controller runs, else 0: the monitor looks there for events that the
    /// driver was not told of.
    pub primary: u32,
}

/// An extent of a window; `len` 0 means that it is not mapped.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct WindowExtent {
    /// First bus address.
    pub bus: u32,
    /// First peer address.
    pub peer: u32,
    /// Bytes, a multiple of the page.
    pub len: u32,
}

/// What a session's buffers may be.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct WindowEntry {
    /// 1 = in use.
    pub valid: u32,
    /// Transfer buffer: the only place that the session's TRBs may point at.
    pub buffer: WindowExtent,
}

/// The window page: written by `iommu`, read by the monitor. It stands in page 0
/// of the `tables` pool; the peer's second-level tables follow in pages 1 to 4
/// (16 tables of 1 KiB, covering peer addresses 0 to 16 MiB; ARM ARM B3.5.1
/// short descriptors, small pages).
#[derive(Copy, Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WindowPage {
    /// Raised after each change of the page or of the peer's tables that needs
    /// old translations forgotten.
    pub sequence: u32,
    /// `iommu`'s restart count.
    pub epoch: u32,
    /// The windows.
    pub windows: [WindowEntry; SESSIONS],
}

/// Page of the `tables` pool where the peer's second-level tables start.
pub const PEER_TABLES_PAGE: u16 = 1;
/// Pages that those tables take.
pub const PEER_TABLES_PAGES: u16 = 4;

/// Why the monitor rang about a session.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum NoticeKind {
    /// Nothing to say.
    None = 0,
    /// The program stopped taking events off its ring for a whole watch period.
    Stalled = 1,
    /// The program tried something that the gate refuses.
    Refused = 2,
    /// The program faulted and was restarted.
    Restarted = 3,
    /// The driver's entry names what no session can have; it is not opened.
    BadGate = 4,
}

impl TryFrom<u32> for NoticeKind {
    type Error = ();

    fn try_from(word: u32) -> Result<Self, ()> {
        Ok(match word {
            0 => Self::None,
            1 => Self::Stalled,
            2 => Self::Refused,
            3 => Self::Restarted,
            4 => Self::BadGate,
            _ => return Err(()),
        })
    }
}

/// What the monitor says about one session. The rest is in memory before
/// `count` is raised, and the bell comes after that; who reads takes `count`
/// first and again last, and leaves a record that changed meanwhile to the next
/// bell.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Notice {
    /// A [`NoticeKind`].
    pub kind: u32,
    /// Generation of the gate entry it is about.
    pub generation: u32,
    /// Raised with each notice of this session.
    pub count: u32,
    /// The gate's refusal code for [`NoticeKind::Refused`], the monitor's code
    /// for [`NoticeKind::BadGate`].
    pub detail: u32,
}

/// The answer page: written by the monitor; read by `xhci`, `iommu` and the broker.
#[derive(Copy, Clone, Debug, Default, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AnswerPage {
    /// The monitor's restart count (not the program's); 0 = not up yet.
    pub monitor_epoch: u32,
    /// The program's restart count.
    pub program_epoch: u32,
    /// [`WindowPage::sequence`] up to which old translations are forgotten.
    pub window_done: u32,
    /// [`GatePage::sequence`] that is in force, per controller.
    pub gate_done: [u32; 2],
    /// Notices about controller 0's sessions, then controller 1's.
    pub notices: [[Notice; SESSIONS]; 2],
    /// Calls of the program that were refused, whoever was told of them.
    pub refusals: u32,
}

const _: () = assert!(size_of::<GatePage>() <= addr::PAGE as usize);
const _: () = assert!(size_of::<WindowPage>() <= addr::PAGE as usize);
const _: () = assert!(size_of::<AnswerPage>() <= addr::PAGE as usize);
