//! Virtual time.
//!
//! A type of this crate's own, because the host knows no model; whoever builds
//! a machine converts.

/// Nanoseconds since the machine's start.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The machine's start.
    pub const START: Self = Self(0);

    /// A point that is never reached.
    pub const NEVER: Self = Self(u64::MAX);

    /// `n` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// Whole milliseconds since the start: the kernel's unit.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// `ns` nanoseconds later.
    #[must_use]
    pub const fn plus(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}
