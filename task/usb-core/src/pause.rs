//! The waits that USB demands on the way to a configured device.
//!
//! How often each was made is counted, for whoever wants to know how much of
//! the time to the first packet no driver could have saved.

use counters::{Count, count, counters};

/// A wait that USB demands.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count)]
pub enum Pause {
    /// A connection must stay before it is believed (USB 2.0 7.1.7.3).
    Debounce,
    /// What a device gets after a reset before it must answer (7.1.7.5).
    ResetRecovery,
    /// What a device gets to take its address (9.2.6.3).
    AddressRecovery,
}

counters!(PAUSES, Pause);

impl Pause {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::Debounce, Self::ResetRecovery, Self::AddressRecovery];

    /// Its milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        match self {
            Self::Debounce => 100,
            Self::ResetRecovery => 10,
            Self::AddressRecovery => 2,
        }
    }

    /// Its name for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debounce => "debounce",
            Self::ResetRecovery => "reset_recovery",
            Self::AddressRecovery => "address",
        }
    }

    /// Notes that it is made.
    pub(crate) fn note(self) {
        count!(PAUSES, self);
    }
}
