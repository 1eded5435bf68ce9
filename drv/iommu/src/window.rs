//! Windows: the parts of a session in the two address spaces.
//!
//! State and questions about it; what changes it is `mapper`.

use addr::{Bus, PAGE, Peer};
use dsp_abi::control::{WindowEntry, WindowExtent};
use iommu_api::{GrantHandle, Part};

use crate::layout::GUARD_PAGES;
use crate::peer::Sequence;
use crate::pools::Pages;

/// Parts of a window.
pub const PARTS: [Part; 4] = [Part::EventRing, Part::DataRing, Part::SyncRing, Part::Buffer];

/// A request to the monitor that something waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flush {
    /// Which one.
    pub sequence: Sequence,
    /// Kernel time, in ms, after which it counts as not confirmed.
    pub deadline: u64,
}

/// A part as the controller sees it.
#[derive(Copy, Clone, Debug, Hash)]
pub struct OnBus {
    /// Where.
    pub at: Bus,
    /// What.
    pub pages: Pages,
    /// Index of the task that placed it.
    pub placer: u16,
}

/// How far the peer is with a part.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// It has it.
    Mapped,
    /// It was taken away, and the monitor has not confirmed yet.
    Leaving(Flush),
    /// Its owner took it away, or died: the empty page has its place, and the
    /// monitor has not confirmed yet. Of the peer's program, which has other
    /// sessions, nobody could say that it misbehaves when it goes on for a moment.
    Replaced(Flush),
    /// The same, confirmed: the peer has the empty page there until the window's
    /// opener takes that from it.
    Empty,
    /// The empty page was taken away, and the monitor has not confirmed yet.
    Emptied(Flush),
    /// The monitor did not confirm in time: pages and addresses stay out of use
    /// until the DSP was reset.
    Lost,
}

/// A part as the peer sees it.
#[derive(Copy, Clone, Debug, Hash)]
pub struct AtPeer {
    /// Where.
    pub at: Peer,
    /// What.
    pub pages: Pages,
    /// By what right.
    pub grant: GrantHandle,
    /// How far.
    pub hold: Hold,
}

impl AtPeer {
    /// Whether the peer may still reach the pages in the ordinary course of things.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        matches!(self.hold, Hold::Mapped | Hold::Leaving(_) | Hold::Replaced(_))
    }

    /// The request to the monitor that it waits for.
    #[must_use]
    pub const fn flush(&self) -> Option<Flush> {
        match self.hold {
            Hold::Leaving(flush) | Hold::Replaced(flush) | Hold::Emptied(flush) => Some(flush),
            Hold::Mapped | Hold::Empty | Hold::Lost => None,
        }
    }

    fn is_lost(&self) -> bool {
        self.hold == Hold::Lost
    }
}

/// An access that was blocked.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// What the controller touched.
    pub at: Bus,
    /// Whether it wrote.
    pub write: bool,
    /// Whether who has to know was told.
    pub told: bool,
}

/// Who may still use a window.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// Its opener.
    Open,
    /// Nobody: its opener died, and it is being taken down.
    Orphan,
    /// Nobody: it was closed, but a part of it is lost at the peer.
    Closed,
}

/// A session's window.
#[derive(Copy, Clone, Debug, Hash)]
pub struct Window {
    /// Whose half of it is on the bus.
    pub controller: usize,
    /// Who may use it.
    pub life: Life,
    /// The parts on the bus, in the order of [`PARTS`].
    pub bus: [Option<OnBus>; PARTS.len()],
    /// The parts at the peer, in the order of [`PARTS`].
    pub peer: [Option<AtPeer>; PARTS.len()],
    /// The first fault in it.
    pub fault: Option<Blocked>,
}

impl Window {
    /// A window with nothing in it.
    #[must_use]
    pub const fn new(controller: usize) -> Self {
        Self {
            controller,
            life: Life::Open,
            bus: [None; PARTS.len()],
            peer: [None; PARTS.len()],
            fault: None,
        }
    }

    /// Whether nothing of it is mapped on the bus.
    #[must_use]
    pub fn is_off_bus(&self) -> bool {
        self.bus.iter().all(Option::is_none)
    }

    /// Whether the peer has let go of all of it, or is lost.
    #[must_use]
    pub fn is_off_peer(&self) -> bool {
        self.peer.iter().flatten().all(AtPeer::is_lost)
    }

    /// Whether a part of it is lost at the peer.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.peer.iter().flatten().any(AtPeer::is_lost)
    }

    /// Whether `at` lies in a part on the bus, or in the guard behind it.
    #[must_use]
    pub fn covers(&self, at: Bus) -> bool {
        self.bus.iter().flatten().any(|part| {
            let reach = part.pages.bytes() + u64::from(GUARD_PAGES * PAGE);
            at.offset_from(part.at).is_some_and(|offset| offset < reach)
        })
    }

    /// What the monitor may let TRBs point at: the buffer, while both sides have
    /// it.
    #[must_use]
    pub fn entry(&self) -> WindowEntry {
        let buffer = index(Part::Buffer);
        match (self.bus[buffer], self.peer[buffer]) {
            (Some(bus), Some(AtPeer { at, hold: Hold::Mapped, .. })) => WindowEntry {
                valid: 1,
                buffer: WindowExtent {
                    bus: bus.at.low(),
                    peer: at.low(),
                    len: bus.pages.bytes() as u32,
                },
            },
            _ => WindowEntry::default(),
        }
    }
}

/// The place of a part in a window's arrays.
#[must_use]
pub const fn index(part: Part) -> usize {
    part as usize
}

/// Pages that a part can have.
#[must_use]
pub const fn longest(part: Part) -> u16 {
    match part {
        Part::EventRing | Part::DataRing | Part::SyncRing => 1,
        Part::Buffer => iova::MAX_BUFFER_PAGES as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::{AtPeer, Hold, OnBus, PARTS, Window, index, longest};
    use crate::PoolSpec;
    use crate::pools::{Pages, Pools};
    use abi::{Generation, TaskId};
    use addr::{Bus, Peer, Phys};
    use handles::{Handle as _, Raw};
    use iommu_api::{GrantHandle, Part};

    fn pages(first: u16, count: u16) -> Pages {
        let spec = PoolSpec { id: 0, base: Phys(0x4400_0000), pages: 64, owner: 3 };
        Pools::new(&[spec]).check(TaskId::new(3, Generation(0)), 0, first, count).unwrap()
    }

    #[test]
    fn parts_are_indexed_in_their_order() {
        for (n, part) in PARTS.into_iter().enumerate() {
            assert_eq!(index(part), n);
        }
        assert_eq!((longest(Part::SyncRing), longest(Part::Buffer)), (1, 24));
    }

    #[test]
    fn a_window_covers_its_parts_and_the_guard_behind_each() {
        let mut window = Window::new(0);
        let at = Bus(0x42_2000);
        window.bus[index(Part::Buffer)] = Some(OnBus { at, pages: pages(0, 2), placer: 6 });
        assert!(window.covers(at));
        assert!(window.covers(at.plus(0x2FFF)));
        assert!(!window.covers(at.plus(0x3000)));
        assert!(!window.covers(Bus(at.0 - 1)));
    }

    #[test]
    fn the_monitor_sees_the_buffer_only_while_both_sides_have_it() {
        let mut window = Window::new(0);
        let grant = GrantHandle::from_raw(Raw { index: 0, seq: 1, epoch: 0 });
        let buffer = index(Part::Buffer);
        let at = Bus(0x42_2000);
        window.bus[buffer] = Some(OnBus { at, pages: pages(0, 2), placer: 6 });
        assert_eq!(window.entry().valid, 0);
        let held = AtPeer { at: Peer(0x42_5000), pages: pages(0, 2), grant, hold: Hold::Mapped };
        window.peer[buffer] = Some(held);
        assert_eq!((window.entry().valid, window.entry().buffer.len), (1, 0x2000));
        window.peer[buffer] = Some(AtPeer { hold: Hold::Lost, ..held });
        assert_eq!(window.entry().valid, 0);
        assert!(window.is_off_peer() && window.has_lost());
    }
}
