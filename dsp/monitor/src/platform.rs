//! What the monitor stands on: its core, the bus, and the program above it.
//!
//! On a board these are instructions and registers of core 1; in the simulator
//! they are models. Nothing here decides anything.

use addr::{Peer, Phys};
use core::ops::Add;

/// A point of time, or a span of it: nanoseconds of the DSP core's clock.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Later than anything that happens.
    pub const NEVER: Self = Self(u64::MAX);

    /// `n` milliseconds.
    #[must_use]
    pub const fn ms(n: u64) -> Self {
        Self(n * 1_000_000)
    }
}

impl Add for Time {
    type Output = Self;

    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// An interrupt line of the distributor, by its INTID: a bell or a vector.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line(pub u16);

/// What the monitor needs of its core, of the bus, and of whoever runs the
/// program. Memory is RAM that [`Places`](crate::Places) names, registers are
/// inside [`Controller::registers`](crate::Controller::registers).
pub trait Platform {
    /// The time.
    fn now(&mut self) -> Time;

    /// Copies out of memory that the other core or a controller may be writing.
    /// An aligned word is read in one access.
    fn read(&mut self, at: Phys, into: &mut [u8]);

    /// Copies into memory that the other core or a controller may be reading.
    /// An aligned word is written in one access.
    fn write(&mut self, at: Phys, from: &[u8]);

    /// Orders earlier writes before later ones and before registers.
    fn publish(&mut self);

    /// Orders earlier reads before later accesses.
    fn acquire(&mut self);

    /// Reads a controller's register.
    fn read_register(&mut self, at: Phys) -> u32;

    /// Writes a controller's register.
    fn write_register(&mut self, at: Phys, value: u32);

    /// Rings `bell` at the application core.
    fn ring(&mut self, bell: Line);

    /// From here on `line` comes to this core; an edge of before is forgotten.
    fn listen(&mut self, line: Line);

    /// From here on `line` comes no more.
    fn ignore(&mut self, line: Line);

    /// Calls [`Monitor::tick`](crate::Monitor::tick) at `at`, and not at the
    /// time that was set before. `None`: no time.
    fn wake_at(&mut self, at: Option<Time>);

    /// Where the program's space has `at`, if the program may read there. Only
    /// asked about what `iommu` maps.
    fn translate(&mut self, at: Peer) -> Option<Phys>;

    /// Forgets every translation of the program's space that an earlier state
    /// of `iommu`'s tables gave.
    fn forget_translations(&mut self);

    /// Copies out of the program's own page. The place is one of
    /// `dsp_abi::monitor`'s, and so is [`Self::write_own`]'s.
    fn read_own(&mut self, at: Peer, into: &mut [u8]);

    /// Copies into the program's own page.
    fn write_own(&mut self, at: Peer, from: &[u8]);

    /// Runs the program from its beginning, out of a pristine copy of itself.
    fn start_program(&mut self);

    /// The program's `Wait` has something to answer: the call is to be made
    /// again.
    fn wake_program(&mut self);
}
