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
    /// What a hub gets to reset a port (11.5.1.5).
    HubReset,
    /// One of the units in which a hub says when the power of its ports is good
    /// (11.23.2.1).
    HubPower,
}

counters!(PAUSES, Pause);

impl Pause {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 5] = [
        Self::Debounce,
        Self::ResetRecovery,
        Self::AddressRecovery,
        Self::HubReset,
        Self::HubPower,
    ];

    /// Its milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        match self {
            Self::Debounce => 100,
            Self::ResetRecovery => 10,
            Self::AddressRecovery | Self::HubPower => 2,
            Self::HubReset => 20,
        }
    }

    /// Its name for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debounce => "debounce",
            Self::ResetRecovery => "reset_recovery",
            Self::AddressRecovery => "address",
            Self::HubReset => "hub_reset",
            Self::HubPower => "hub_power",
        }
    }

    /// Notes that it is made.
    pub(crate) fn note(self) {
        count!(PAUSES, self);
    }
}
