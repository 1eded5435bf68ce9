//! Every way in which a stream can be refused, and what the peer reads of it.
//!
//! One code per cause (DESIGN rule 10; R18, R32). The `precise` dialect sends
//! the code itself as internal status and the service's own status words; the
//! `upstream` dialect sends what a DSP has always seen of the Linux service:
//! status 0 or 1, and a negative errno (D-24 says why that is poor; it is what
//! is out there).

use iommu_api::IommuError;
use qmi::Status;
use usb_audio_api::UsbAudioError;
use usb_core_api::UsbCoreError;
use xhci_api::XhciError;

use crate::ops::Op;

/// How the broker talks to its peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As the Linux service does, its silences included.
    Upstream,
    /// With a code for each cause.
    Precise,
}

/// Why a stream was not enabled or disabled. The number is the `precise`
/// dialect's internal status and does not change: those of causes that are gone
/// (11, one stream per device; 29, no capture) are not used again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
#[repr(u32)]
pub enum Refusal {
    /// The message is malformed: mend the client.
    BadMessage = 1,
    /// Format, rate, channels or buffer size is missing (B2): mend the client.
    MissingField = 2,
    /// No such audio format (B5): mend the client.
    BadFormat = 3,
    /// A direction that is neither playback nor capture (B6): mend the client.
    BadDirection = 4,
    /// A card number beyond the last (B4): mend the client.
    BadCard = 5,
    /// No card of that number (B6): wait for a device.
    NoDevice = 6,
    /// The card has no such stream (B6): ask for another.
    NoStream = 7,
    /// The card's device is gone (B6): let go of it.
    ShuttingDown = 8,
    /// The device is suspended or on its way (B8): ask again after resume.
    Suspended = 9,
    /// The stream is in use (B8): ask again later.
    BusyStream = 10,
    /// The service interval is none (B9), or not one of the device's.
    BadInterval = 12,
    /// No alternate of the stream carries that format, rate or channels.
    FormatUnsupported = 13,
    /// The device lost the stream's endpoint.
    NoEndpoint = 14,
    /// The endpoint belongs to someone else.
    EndpointBusy = 15,
    /// The interrupter that the image names is taken (R32).
    InterrupterTaken = 16,
    /// No such interrupter, or none left.
    InterrupterRange = 17,
    /// No page left for a ring: end a stream.
    NoMemoryRing = 18,
    /// No run of pages left for the buffer: ask for less, or end a stream.
    NoMemoryBuffer = 19,
    /// A window or its addresses ran out: end a stream.
    IovaExhausted = 20,
    /// The mapper refused; its counters say why.
    MapFailed = 21,
    /// The device refused a request.
    ControlFailed = 22,
    /// Not enough bandwidth on the bus: end a stream.
    Bandwidth = 23,
    /// A step did not end in time.
    TimedOut = 24,
    /// The device went, or was reset, on the way.
    Revoked = 25,
    /// Disable of a stream that is not enabled (B11): nothing to do.
    NotEnabled = 26,
    /// Another client has live sessions (D-11): wait for its end.
    ForeignClient = 27,
    /// All sessions of the image are in use: end one.
    NoSessions = 28,
    /// The stream's kind of synchronisation is not supported.
    SyncUnsupported = 30,
    /// A server had no place for another operation or object: ask again.
    NoResources = 31,
    /// The controller failed: wait for its devices to come back.
    ControllerFailed = 32,
    /// The monitor did not confirm the gate: reset the DSP.
    GateFailed = 33,
    /// A server died on the way: ask again.
    ServerDied = 34,
    /// A server found the broker breaking its rules: a defect of the broker.
    BrokerDefect = 35,
    /// The gate refused something that was tried with the stream before it was
    /// granted: mend the client.
    Misbehaved = 36,
}

/// Negative Linux error numbers, as they travel in `internal_status`.
mod errno {
    pub(super) const EIO: u32 = 5_u32.wrapping_neg();
    pub(super) const ENOMEM: u32 = 12_u32.wrapping_neg();
    pub(super) const EBUSY: u32 = 16_u32.wrapping_neg();
    pub(super) const ENODEV: u32 = 19_u32.wrapping_neg();
    pub(super) const EINVAL: u32 = 22_u32.wrapping_neg();
    pub(super) const ENOSPC: u32 = 28_u32.wrapping_neg();
    pub(super) const ETIMEDOUT: u32 = 110_u32.wrapping_neg();
}

impl Refusal {
    /// The word for the wire's status, where the peer understands more than
    /// success and failure.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::BadMessage
            | Self::MissingField
            | Self::BadFormat
            | Self::BadDirection
            | Self::BadCard
            | Self::BadInterval => Status::INVALID_PARAMETER,
            Self::NoDevice | Self::NoStream => Status::NOT_FOUND,
            Self::NoMemoryRing | Self::NoMemoryBuffer | Self::IovaExhausted => Status::NO_MEMORY,
            _ => Status::FAILURE,
        }
    }

    /// The negative errno with which the Linux service answers the same cause,
    /// or would if it told it apart.
    #[must_use]
    pub const fn errno(self) -> u32 {
        use errno::{EBUSY, EINVAL, EIO, ENODEV, ENOMEM, ENOSPC, ETIMEDOUT};
        match self {
            Self::BadMessage
            | Self::MissingField
            | Self::BadFormat
            | Self::BadCard
            | Self::BadInterval
            | Self::FormatUnsupported
            | Self::SyncUnsupported
            | Self::NotEnabled => EINVAL,
            Self::BadDirection
            | Self::NoDevice
            | Self::NoStream
            | Self::ShuttingDown
            | Self::NoEndpoint
            | Self::EndpointBusy
            | Self::Revoked
            | Self::Misbehaved
            | Self::ControllerFailed
            | Self::ServerDied
            | Self::BrokerDefect => ENODEV,
            Self::Suspended | Self::BusyStream | Self::ForeignClient => EBUSY,
            Self::InterrupterTaken
            | Self::InterrupterRange
            | Self::NoMemoryRing
            | Self::NoMemoryBuffer
            | Self::IovaExhausted
            | Self::MapFailed
            | Self::NoSessions
            | Self::NoResources => ENOMEM,
            Self::ControlFailed => EIO,
            Self::Bandwidth => ENOSPC,
            Self::TimedOut | Self::GateFailed => ETIMEDOUT,
        }
    }

    /// Status and internal status for the wire.
    #[must_use]
    pub const fn on_wire(self, dialect: Dialect) -> (Status, u32) {
        match dialect {
            Dialect::Upstream => (Status::FAILURE, self.errno()),
            Dialect::Precise => (self.status(), self as u32),
        }
    }
}

/// How a server refused a step of a session.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `usb_audio` did.
    Audio(UsbAudioError),
    /// `usb_core` did.
    Core(UsbCoreError),
    /// `xhci` did.
    Xhci(XhciError),
    /// `iommu` did.
    Iommu(IommuError),
    /// The broker's own deadline for the step passed.
    Deadline,
    /// The broker's buffer pages are all in use.
    NoBuffer,
}

impl Failure {
    /// What the peer is told when this stood in the way of its stream.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Audio(error) => audio(error),
            Self::Core(error) => core(error),
            Self::Xhci(error) => xhci(error),
            Self::Iommu(error) => iommu(error),
            Self::Deadline => Refusal::TimedOut,
            Self::NoBuffer => Refusal::NoMemoryBuffer,
        }
    }

    /// Whether, as the answer to `op` giving something back, it means that there
    /// is nothing left to give back: the object or its server is gone, or the
    /// driver took that step itself (an arming that failed, a revocation whose
    /// deadline passed).
    #[must_use]
    pub const fn nothing_left(self, op: Op) -> bool {
        match self {
            // The handle of a closed stream is void at once, whatever the
            // device makes of it.
            Self::Audio(_) => true,
            Self::Core(_) => true,
            Self::Xhci(XhciError::WrongPhase) => {
                matches!(op, Op::CloseGate(_) | Op::Halt(_) | Op::Disarm(_) | Op::Displace(_))
            }
            Self::Xhci(error) => matches!(
                error,
                XhciError::StaleServer
                    | XhciError::Stale
                    | XhciError::ServerDied
                    | XhciError::EndpointNotOwned
                    | XhciError::NoInterrupter
            ),
            Self::Iommu(error) => matches!(
                error,
                IommuError::StaleServer
                    | IommuError::Stale
                    | IommuError::ServerDied
                    | IommuError::NotMapped
            ),
            Self::Deadline | Self::NoBuffer => false,
        }
    }

    /// Whether the server was only too busy to begin: asked again in a moment
    /// it may do it.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        matches!(
            self,
            Self::Audio(UsbAudioError::NoTickets)
                | Self::Xhci(XhciError::Busy | XhciError::NoTickets)
                | Self::Iommu(IommuError::NoTickets)
        )
    }

    /// Whether it shows that the server died.
    #[must_use]
    pub const fn is_death(self) -> bool {
        matches!(
            self,
            Self::Audio(UsbAudioError::ServerDied | UsbAudioError::StaleServer)
                | Self::Core(UsbCoreError::ServerDied | UsbCoreError::StaleServer)
                | Self::Xhci(XhciError::ServerDied | XhciError::StaleServer)
                | Self::Iommu(IommuError::ServerDied | IommuError::StaleServer)
        )
    }
}

const fn audio(error: UsbAudioError) -> Refusal {
    use UsbAudioError as E;
    match error {
        E::NoCard => Refusal::NoDevice,
        E::DeviceGone | E::Resetting => Refusal::ShuttingDown,
        E::InterfaceTaken => Refusal::EndpointBusy,
        E::NoStream => Refusal::NoStream,
        E::StreamBusy => Refusal::BusyStream,
        E::NoFormat | E::NoChannels | E::NoRate | E::RateExceedsPacket => {
            Refusal::FormatUnsupported
        }
        E::BadInterval => Refusal::BadInterval,
        E::SyncUnsupported => Refusal::SyncUnsupported,
        E::ControlFailed => Refusal::ControlFailed,
        E::Bandwidth => Refusal::Bandwidth,
        E::NoResources | E::NoStreams | E::NoTickets => Refusal::NoResources,
        E::Suspended => Refusal::Suspended,
        E::TimedOut => Refusal::TimedOut,
        E::StaleServer | E::CoreDied | E::ServerDied => Refusal::ServerDied,
        E::Stale => Refusal::Revoked,
        E::NotYet
        | E::NotOwner
        | E::NotAllowed
        // Of the host path, which a peer's stream does not take.
        | E::CaptureUnsupported
        | E::WrongDrive
        | E::PartialFrame
        | E::NoControl
        | E::CardPresent => Refusal::BrokerDefect,
    }
}

const fn core(error: UsbCoreError) -> Refusal {
    use UsbCoreError as E;
    match error {
        E::DeviceGone | E::Stale | E::Resetting => Refusal::Revoked,
        E::Suspended => Refusal::Suspended,
        E::StaleServer | E::ServerDied => Refusal::ServerDied,
        E::NoTickets | E::NoResources => Refusal::NoResources,
        E::Bandwidth => Refusal::Bandwidth,
        E::NoEndpoint | E::NoInterface | E::NoAlternate => Refusal::NoEndpoint,
        E::EndpointBusy | E::InterfaceBusy | E::Busy => Refusal::EndpointBusy,
        E::Stall | E::Transaction | E::TransferFailed => Refusal::ControlFailed,
        E::TimedOut => Refusal::TimedOut,
        E::ControllerDead => Refusal::ControllerFailed,
        E::NotYet
        | E::NotAllowed
        | E::NotOwner
        | E::AlreadyHeld
        | E::NotHeld
        | E::NotClaimed
        | E::BadRequest => Refusal::BrokerDefect,
    }
}

const fn xhci(error: XhciError) -> Refusal {
    use XhciError as E;
    match error {
        E::StaleServer | E::ServerDied => Refusal::ServerDied,
        E::Stale | E::DeviceGone | E::NotConnected => Refusal::Revoked,
        E::NotReady | E::ControllerDead => Refusal::ControllerFailed,
        E::NoSidebands | E::NoTickets | E::Resource | E::NoSlots | E::NoBounceMemory => {
            Refusal::NoResources
        }
        E::NoEndpoint | E::BadEndpoint | E::NotRunning | E::NoEndpoints => Refusal::NoEndpoint,
        E::EndpointBusy | E::EndpointNotOwned | E::Busy => Refusal::EndpointBusy,
        E::InterrupterTaken => Refusal::InterrupterTaken,
        E::InterrupterRange | E::InterruptersExhausted => Refusal::InterrupterRange,
        E::NoRingMemory | E::NoContextMemory | E::Segments => Refusal::NoMemoryRing,
        E::MapFailed | E::StillMapped => Refusal::MapFailed,
        E::Suspended => Refusal::Suspended,
        E::Bandwidth | E::ExitLatency => Refusal::Bandwidth,
        E::TimedOut => Refusal::TimedOut,
        E::GateTimeout => Refusal::GateFailed,
        E::Stall
        | E::Transaction
        | E::Babble
        | E::DataLength
        | E::TransferFailed
        | E::CommandFailed
        | E::SlotState => Refusal::ControlFailed,
        E::NotYet
        | E::NotOwner
        | E::NotAllowed
        | E::BadPort
        | E::HubsUnsupported
        | E::NotAHub
        | E::TooDeep
        | E::KindUnsupported
        | E::SidebandFull
        | E::InterrupterExists
        | E::NoInterrupter
        | E::WrongPhase => Refusal::BrokerDefect,
    }
}

const fn iommu(error: IommuError) -> Refusal {
    use IommuError as E;
    match error {
        E::StaleServer | E::ServerDied => Refusal::ServerDied,
        E::Stale => Refusal::Revoked,
        E::NoAddresses | E::NoWindows | E::PartTooLong => Refusal::IovaExhausted,
        E::NoGrants | E::NoTickets => Refusal::NoResources,
        E::NoTables
        | E::AlreadyMapped
        | E::NotMapped
        | E::NotAttached
        | E::StillMapped
        | E::Quarantined
        | E::SmmuTimeout => Refusal::MapFailed,
        E::NotYet
        | E::NotOwner
        | E::NoController
        | E::BadController
        | E::NotPoolOwner
        | E::BadPages
        | E::NotGrantee => Refusal::BrokerDefect,
    }
}
