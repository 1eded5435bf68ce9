//! Completion codes (6.4.5).

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// How a command or a transfer ended.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub enum CompletionCode {
            $($(#[$doc])* $name,)*
            /// A code that the specification reserves or leaves to vendors.
            Unknown(u8),
        }

        impl CompletionCode {
            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u8) -> Self {
                match number {
                    $($value => Self::$name,)*
                    _ => Self::Unknown(number),
                }
            }

            /// Its number.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$name => $value,)*
                    Self::Unknown(number) => number,
                }
            }
        }
    };
}

codes! {
    /// Not a result: a field that was never written.
    Invalid = 0,
    /// All well.
    Success = 1,
    /// Memory was too slow or out of reach.
    DataBuffer = 2,
    /// The device sent too much.
    Babble = 3,
    /// The device did not answer, or answered garbage.
    Transaction = 4,
    /// The TRB makes no sense to the controller.
    Trb = 5,
    /// The device refused.
    Stall = 6,
    /// The controller is out of something.
    Resource = 7,
    /// Not enough bandwidth on the primary domain.
    Bandwidth = 8,
    /// No free slot.
    NoSlots = 9,
    /// Streams are not what they were said to be.
    StreamType = 10,
    /// The slot is not enabled.
    SlotNotEnabled = 11,
    /// The endpoint is not enabled.
    EndpointNotEnabled = 12,
    /// The device sent less than asked for.
    ShortPacket = 13,
    /// An isochronous OUT ring was empty when its time came.
    RingUnderrun = 14,
    /// An isochronous IN ring was empty when its time came.
    RingOverrun = 15,
    /// A virtual function's event ring is full.
    VfRingFull = 16,
    /// A field of a context is out of range.
    Parameter = 17,
    /// An isochronous transfer did not fit its reservation.
    BandwidthOverrun = 18,
    /// The slot or endpoint is not in a state for the command.
    ContextState = 19,
    /// No ping response in time.
    NoPing = 20,
    /// The event ring is full; events are lost after this.
    EventRingFull = 21,
    /// The device cannot work with this controller.
    Incompatible = 22,
    /// One service interval or more went by unserved.
    MissedService = 23,
    /// The command ring stopped.
    CommandRingStopped = 24,
    /// The command was aborted.
    CommandAborted = 25,
    /// The endpoint was stopped.
    Stopped = 26,
    /// The endpoint was stopped; the length says nothing.
    StoppedLengthInvalid = 27,
    /// The endpoint was stopped after a short packet.
    StoppedShortPacket = 28,
    /// The exit latency is too large.
    ExitLatency = 29,
    /// The device sent more than an isochronous TD holds.
    IsochBufferOverrun = 31,
    /// An event was lost.
    EventLost = 32,
    /// The controller cannot say.
    Undefined = 33,
    /// No such stream.
    StreamId = 34,
    /// Not enough bandwidth on a secondary domain.
    SecondaryBandwidth = 35,
    /// A split transaction failed.
    SplitTransaction = 36,
}

impl CompletionCode {
    /// Whether it says that an endpoint was stopped (4.6.9).
    #[must_use]
    pub const fn is_stopped(self) -> bool {
        matches!(self, Self::Stopped | Self::StoppedLengthInvalid | Self::StoppedShortPacket)
    }

    /// Whether it says that a ring was empty when its endpoint was served, which
    /// is about no TRB (4.10.3.1).
    #[must_use]
    pub const fn is_dry_ring(self) -> bool {
        matches!(self, Self::RingUnderrun | Self::RingOverrun)
    }
}

#[cfg(test)]
mod tests {
    use super::CompletionCode;

    #[test]
    fn every_number_comes_back() {
        for number in 0..=255 {
            assert_eq!(CompletionCode::from_number(number).number(), number);
        }
    }

    #[test]
    fn code_30_is_reserved() {
        assert_eq!(CompletionCode::from_number(30), CompletionCode::Unknown(30));
    }
}
