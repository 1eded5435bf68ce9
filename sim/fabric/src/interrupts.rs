//! The interrupt distributor, as far as models and kernel need one.
//!
//! Edge-triggered lines only (GICv2: MSIs, bells and the SMMU's wires all are):
//! a raise sets pending, taking clears it, and a second raise before that is
//! merged. A raise of a disabled line stays pending. No priorities: the kernel
//! takes the lowest number first.

use crate::points::{Fault, Points, Site};
use crate::{DeviceId, Events, Time};
use seam::Width;

/// A core of the board.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Core {
    /// The application core.
    App = 0,
    /// The DSP core.
    Dsp = 1,
}

/// Cores on the board.
pub const CORES: usize = 2;

/// An interrupt of the distributor (GIC INTID; SPIs start at 32).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntId(pub u16);

impl IntId {
    /// Whether the distributor implements the line of that number.
    #[must_use]
    pub const fn exists(number: u16) -> bool {
        (number as usize) < INTIDS
    }
}

/// INTIDs that the distributor implements (QEMU `virt`: GICD_TYPER says 288).
pub const INTIDS: usize = 288;
const WORDS: usize = INTIDS.div_ceil(64);

/// Events of the fabric's own: an edge that comes late, on the line that is the
/// event's token.
pub(crate) const LATE_EDGES: DeviceId = DeviceId(u8::MAX - 1);

/// Offset of SETSPI_NS in a GICv2m frame.
pub const SETSPI: u64 = 0x40;

/// The distributor.
#[derive(Clone, Debug, Default)]
pub struct Interrupts {
    pending: [u64; WORDS],
    enabled: [u64; WORDS],
    /// Bit set = routed to the DSP core.
    dsp: [u64; WORDS],
    /// Raises of each line, for scenarios that count them.
    raised: u64,
}

impl Interrupts {
    /// An edge on line `id`, if nothing goes wrong with it on its way.
    pub(crate) fn edge(&mut self, now: Time, id: IntId, points: &mut Points, events: &mut Events) {
        match points.reach(now, Site::Edge(id), 0, events) {
            Some(Fault::Drop) => return,
            Some(Fault::Delay(span)) => {
                events.schedule(now + span, LATE_EDGES, u32::from(id.0));
                return;
            }
            Some(Fault::Double(span)) => {
                events.schedule(now + span, LATE_EDGES, u32::from(id.0));
            }
            _ => {}
        }
        self.raise(id);
    }

    /// An edge on line `id`.
    ///
    /// # Panics
    /// When there is no such line: models check what guests may choose.
    pub fn raise(&mut self, id: IntId) {
        let (word, bit) = place(id);
        self.pending[word] |= bit;
        self.raised += 1;
    }

    /// Whether the distributor has a line of that number that a message may raise.
    #[must_use]
    pub fn is_spi(number: u32) -> bool {
        (32..INTIDS as u32).contains(&number)
    }

    /// Lets line `id` through, or holds it back. Pending stays as it is.
    pub fn set_enabled(&mut self, id: IntId, enabled: bool) {
        let (word, bit) = place(id);
        if enabled {
            self.enabled[word] |= bit;
        } else {
            self.enabled[word] &= !bit;
        }
    }

    /// Whether line `id` is let through.
    #[must_use]
    pub fn is_enabled(&self, id: IntId) -> bool {
        let (word, bit) = place(id);
        self.enabled[word] & bit != 0
    }

    /// Whether an edge on line `id` waits to be taken.
    #[must_use]
    pub fn is_pending(&self, id: IntId) -> bool {
        let (word, bit) = place(id);
        self.pending[word] & bit != 0
    }

    /// Forgets an edge that waits on line `id`.
    pub fn clear(&mut self, id: IntId) {
        let (word, bit) = place(id);
        self.pending[word] &= !bit;
    }

    /// Sends line `id` to `core`. Lines start at the application core.
    pub fn route(&mut self, id: IntId, core: Core) {
        let (word, bit) = place(id);
        match core {
            Core::App => self.dsp[word] &= !bit,
            Core::Dsp => self.dsp[word] |= bit,
        }
    }

    /// Whether [`Self::take`] would give `core` something.
    #[must_use]
    pub fn any(&self, core: Core) -> bool {
        (0..WORDS).any(|word| self.ready(word, core) != 0)
    }

    /// Takes the lowest line that is pending, enabled and routed to `core`.
    pub fn take(&mut self, core: Core) -> Option<IntId> {
        for word in 0..WORDS {
            let ready = self.ready(word, core);
            if ready != 0 {
                let bit = ready.trailing_zeros();
                self.pending[word] &= !(1 << bit);
                return Some(IntId((word as u32 * 64 + bit) as u16));
            }
        }
        None
    }

    /// Edges since the start.
    #[must_use]
    pub const fn raised(&self) -> u64 {
        self.raised
    }

    /// The line that a write into the GICv2m frame raises, from a core or from a
    /// device: the one that is written to SETSPI_NS. Anything else, and a number
    /// that is no SPI, is ignored by the frame.
    #[must_use]
    pub fn spi_written(offset: u64, width: Width, value: u32) -> Option<IntId> {
        let number = value & 0x3FF;
        let raises = offset == SETSPI && width == Width::Word && Self::is_spi(number);
        raises.then_some(IntId(number as u16))
    }

    fn ready(&self, word: usize, core: Core) -> u64 {
        let routed = match core {
            Core::App => !self.dsp[word],
            Core::Dsp => self.dsp[word],
        };
        self.pending[word] & self.enabled[word] & routed
    }
}

fn place(id: IntId) -> (usize, u64) {
    let number = usize::from(id.0);
    assert!(number < INTIDS, "no such interrupt line");
    (number / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::{Core, IntId, Interrupts, SETSPI};
    use crate::points::{Fault, Point, Points, Site};
    use crate::{Events, Time};
    use seam::Width;

    #[test]
    fn an_edge_waits_until_enabled_goes_to_its_core_and_is_taken_once() {
        let mut interrupts = Interrupts::default();
        interrupts.route(IntId(81), Core::Dsp);
        interrupts.raise(IntId(81));
        interrupts.raise(IntId(81));
        assert!(!interrupts.any(Core::Dsp));
        interrupts.set_enabled(IntId(81), true);
        assert_eq!(interrupts.take(Core::App), None);
        assert_eq!(interrupts.take(Core::Dsp), Some(IntId(81)));
        assert_eq!(interrupts.take(Core::Dsp), None);
    }

    #[test]
    fn the_frame_raises_spis_and_nothing_else() {
        assert_eq!(Interrupts::spi_written(SETSPI, Width::Word, 80), Some(IntId(80)));
        assert_eq!(Interrupts::spi_written(SETSPI, Width::Word, 16), None);
        assert_eq!(Interrupts::spi_written(SETSPI, Width::Byte, 82), None);
        assert_eq!(Interrupts::spi_written(SETSPI + 4, Width::Word, 82), None);
    }

    #[test]
    fn an_edge_can_be_lost_come_late_or_come_twice() {
        let (line, late) = (IntId(81), Time::us(50));
        for (fault, now, then) in [
            (Fault::Drop, false, None),
            (Fault::Delay(late), false, Some(late)),
            (Fault::Double(late), true, Some(late)),
        ] {
            let mut interrupts = Interrupts::default();
            let (mut points, mut events) = (Points::default(), Events::default());
            points.plan(Point { site: Site::Edge(line), nth: 1 }, fault);
            interrupts.edge(Time::ZERO, line, &mut points, &mut events);
            assert_eq!(interrupts.is_pending(line), now, "{fault:?}");
            let event = events.pop_due(Time::NEVER).map(|event| (event.at, event.token));
            assert_eq!(event, then.map(|at| (at, 81)), "{fault:?}");
            interrupts.edge(Time::ZERO, line, &mut points, &mut events);
            assert!(interrupts.is_pending(line), "the next edge is as it should be");
        }
    }
}
