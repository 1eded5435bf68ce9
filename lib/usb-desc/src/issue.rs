//! What can be wrong with a descriptor: one rule, one code, one place.
//!
//! Every rule this crate checks is a value of [`Rule`]; a breach is an
//! [`Issue`]: the rule, the offset of the descriptor inside the blob, and the
//! number that broke it. Nothing here is an error of the program: the device
//! wrote these bytes.

use core::fmt;

/// What the parser did about a broken rule.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The claim is wrong but harms nothing; all is used as found.
    Noted,
    /// A field was replaced; what is reported carries the new value.
    Fixed,
    /// This descriptor, alternate setting or function is left out.
    Skipped,
    /// Nothing after this point could be read.
    Stopped,
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $effect:ident, $meaning:literal;)*) => {
        /// A rule that descriptors have to keep.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Rule {
            /// All rules, in the order of the enum.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable name of the rule, for tools.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What a breach is, in words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What the parser does about a breach.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self { $(Self::$name => Effect::$effect,)* }
            }
        }
    };
}

rules! {
    /// There is at least one byte.
    Empty = "empty", Stopped, "no bytes at all";
    /// A descriptor of the expected type stands here.
    WrongType = "wrong_type", Stopped, "another descriptor type than the expected one";
    /// `bLength` covers the fields the type must have.
    TooShort = "too_short", Skipped, "the descriptor is shorter than its type needs";
    /// `bLength` counts at least itself and the type.
    LengthZero = "length_zero", Stopped, "bLength is below 2, nothing after it can be found";
    /// A descriptor ends inside the blob.
    RunsPastEnd = "runs_past_end", Stopped, "the descriptor reaches past the end";
    /// As many bytes arrived as `wTotalLength` says.
    TotalLengthShort = "total_length_short", Noted, "fewer bytes arrived than wTotalLength says";
    /// No more bytes arrived than `wTotalLength` says.
    TotalLengthExcess = "total_length_excess", Noted, "bytes after wTotalLength are not read";
    /// `wTotalLength` covers the configuration descriptor itself.
    TotalLengthHeader = "total_length_header", Stopped, "wTotalLength is below the header's own 9 bytes";
    /// A configuration has an interface.
    NoInterface = "no_interface", Stopped, "the configuration holds no interface descriptor";
    /// As many interfaces as `bNumInterfaces` says.
    InterfaceCount = "interface_count", Noted, "another number of interfaces than bNumInterfaces says";
    /// `bInterfaceNumber` is below `bNumInterfaces` (and `MAX_INTERFACES`).
    BadInterfaceNumber = "bad_interface_number", Skipped, "bInterfaceNumber is out of range";
    /// `bAlternateSetting` is below `MAX_SETTINGS`.
    BadAlternateSetting = "bad_alternate_setting", Skipped, "bAlternateSetting is beyond what is supported";
    /// An interface describes each alternate setting once.
    DuplicateAlternate = "duplicate_alternate", Skipped, "this alternate setting was described before";
    /// As many endpoints as `bNumEndpoints` says.
    EndpointCount = "endpoint_count", Noted, "another number of endpoints than bNumEndpoints says";
    /// An endpoint follows an interface.
    EndpointOrphan = "endpoint_orphan", Skipped, "an endpoint before any interface";
    /// Endpoint zero has no descriptor.
    EndpointZero = "endpoint_zero", Skipped, "an endpoint descriptor with endpoint number 0";
    /// Bits 6:4 of `bEndpointAddress` are zero.
    EndpointReservedBits = "endpoint_reserved_bits", Fixed, "reserved address bits were set, cleared";
    /// One address, one endpoint in an alternate setting.
    DuplicateEndpoint = "duplicate_endpoint", Skipped, "this address occurs twice in one alternate setting";
    /// One address, one interface. Both are kept: they clash only when both
    /// settings are selected, and whoever selects the second one is refused.
    SharedEndpoint = "shared_endpoint", Noted, "another interface has an endpoint of this address";
    /// `bInterval` is in the range of its transfer type and speed.
    IntervalRange = "interval_range", Fixed, "bInterval is out of range, replaced";
    /// `wMaxPacketSize` is at most what the speed allows.
    PacketSize = "packet_size", Fixed, "wMaxPacketSize is above what the speed allows, clamped";
    /// Bits 12:11 of `wMaxPacketSize` are 0 to 2, and 15:13 zero.
    PacketBits = "packet_bits", Fixed, "reserved bits of wMaxPacketSize were set, cleared";
    /// A SuperSpeed endpoint has a companion, no other has one.
    Companion = "companion", Noted, "a companion descriptor is missing or out of place";
    /// `bMaxPacketSize0` is a size the speed allows.
    PacketSize0 = "packet_size_0", Skipped, "bMaxPacketSize0 is not a size of endpoint zero";
    /// A device has a configuration.
    NoConfiguration = "no_configuration", Noted, "bNumConfigurations is 0";
    /// A hub has 1 to 15 ports with their bitmaps (15 is what a route string can name).
    HubPorts = "hub_ports", Skipped, "the number of ports is 0 or not addressable";

    /// The protocol byte of an audio interface is one of 00, 20, 30.
    AudioProtocol = "audio_protocol", Noted, "unknown protocol byte, taken for UAC1";
    /// The audio function is UAC1 (2.0 comes later).
    Uac2NotSupported = "uac2_not_supported", Skipped, "a USB Audio Class 2.0 function";
    /// The audio function is UAC1 (3.0 comes later).
    Uac3NotSupported = "uac3_not_supported", Skipped, "a USB Audio Class 3.0 function";
    /// The audio function is UAC1 (BADD comes later).
    BaddNotSupported = "badd_not_supported", Skipped, "a UAC3 Basic Audio Device Definition function";
    /// An audio control interface starts with its header.
    AudioHeaderMissing = "audio_header_missing", Skipped, "no class-specific header in the audio control interface";
    /// The header's `wTotalLength` is the sum of the class descriptors.
    AudioTotalLength = "audio_total_length", Noted, "the audio header's wTotalLength is not the sum of its descriptors";
    /// Units and terminals have the fields of their subtype.
    UnitShort = "unit_short", Skipped, "a unit or terminal is shorter than its subtype needs";
    /// Unit and terminal ids are not 0 and not used twice.
    UnitId = "unit_id", Noted, "the id of a unit or terminal is 0 or used twice";
    /// A unit's sources are other units and terminals of its function.
    UnitSource = "unit_source", Noted, "a source id is the unit's own or names nothing";
    /// A terminal type has a class in its high byte.
    TerminalType = "terminal_type", Noted, "wTerminalType is in no class of terminal types";
    /// An input terminal has a channel, and no more than a packet can carry.
    TerminalChannels = "terminal_channels", Noted, "bNrChannels of an input terminal is 0 or beyond any packet";
    /// A feature unit has `bControlSize` of at least 1.
    FeatureControlSize = "feature_control_size", Skipped, "bControlSize is 0";
    /// At most `MAX_STREAM_CONTROLS` feature units on the way of a stream.
    TooManyControls = "too_many_controls", Skipped, "more feature units on the way of a stream than are kept";
    /// At most `MAX_FUNCTIONS` audio functions.
    TooManyFunctions = "too_many_functions", Skipped, "more audio functions than are kept";
    /// An audio streaming interface belongs to a control interface.
    StreamingUnclaimed = "streaming_unclaimed", Skipped, "no audio control header names this streaming interface";
    /// `bTerminalLink` names a terminal.
    TerminalUnknown = "terminal_unknown", Noted, "bTerminalLink names no terminal";
    /// An alternate setting with endpoints has AS_GENERAL.
    GeneralMissing = "general_missing", Skipped, "no AS_GENERAL descriptor, or one too short";
    /// An alternate setting with endpoints has FORMAT_TYPE.
    FormatMissing = "format_missing", Skipped, "no FORMAT_TYPE descriptor";
    /// FORMAT_TYPE covers the rates it announces.
    FormatShort = "format_short", Skipped, "FORMAT_TYPE is shorter than its rates need";
    /// `bFormatType` is I or III.
    FormatType = "format_type", Skipped, "a format type other than I and III";
    /// `bNrChannels` is at least 1.
    ChannelsZero = "channels_zero", Skipped, "bNrChannels is 0";
    /// `bSubframeSize` is 1 to 4.
    SubslotSize = "subslot_size", Skipped, "no sample format has this subslot size";
    /// `bBitResolution` fits the subslot.
    BitResolution = "bit_resolution", Noted, "bBitResolution does not fit the subslot";
    /// A rate is not 0.
    RateZero = "rate_zero", Noted, "a rate of 0 was left out";
    /// There is a rate.
    RatesAllZero = "rates_all_zero", Skipped, "no rate but 0";
    /// The lower bound of a continuous range is not above the upper one.
    RateRange = "rate_range", Skipped, "the bounds of the rate range are swapped";
    /// At most `MAX_RATES` rates.
    TooManyRates = "too_many_rates", Noted, "more rates than are kept, the first ones are used";
    /// The first endpoint of a streaming alternate is isochronous.
    DataNotIsochronous = "data_not_isochronous", Skipped, "the data endpoint is not isochronous";
    /// The data endpoint can carry a packet.
    DataPacketZero = "data_packet_zero", Skipped, "the data endpoint's wMaxPacketSize is 0";
    /// The data endpoint can carry a frame.
    DataPacketSmall = "data_packet_small", Skipped, "the data endpoint's packets hold no whole frame";
    /// The second endpoint fits the first one's synchronisation.
    SyncEndpoint = "sync_endpoint", Skipped, "the second endpoint is no valid synchronisation endpoint";
    /// Feedback is explicit (implicit feedback comes later).
    ImplicitFeedback = "implicit_feedback_not_supported", Skipped, "the stream needs implicit feedback";
    /// At most `MAX_ALTERNATES` streaming alternates.
    TooManyAlternates = "too_many_alternates", Skipped, "more streaming alternates than are kept";
    /// At most `MAX_STREAMS` streams.
    TooManyStreams = "too_many_streams", Skipped, "more streams than are kept";
}

/// A broken rule, where, and by which value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The rule.
    pub rule: Rule,
    /// Offset of the descriptor that broke it, from the start of the blob.
    pub offset: usize,
    /// The value that broke it.
    pub value: u32,
}

impl Issue {
    /// A breach of `rule` by `value` in the descriptor at `offset`.
    #[must_use]
    pub const fn new(rule: Rule, offset: usize, value: u32) -> Self {
        Self { rule, offset, value }
    }
}

impl Default for Issue {
    fn default() -> Self {
        Self::new(Rule::Empty, 0, 0)
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (value {:#x} at offset {})", self.rule.meaning(), self.value, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::Rule;

    /// Rule 10 (R32 of the review list): each cause has a code of its own.
    #[test]
    fn each_rule_has_a_code_of_its_own() {
        for (index, rule) in Rule::ALL.iter().enumerate() {
            for other in Rule::ALL.iter().skip(index + 1) {
                assert_ne!(rule.code(), other.code());
                assert_ne!(rule.meaning(), other.meaning());
            }
        }
    }
}
