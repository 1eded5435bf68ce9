//! Client side of the offload broker.
//!
//! A route is what a client on the application core asks for; a session is what
//! the DSP gets. A session belongs to one device incarnation and has one vote.

#![no_std]

use idol_derive::{Count, IdolError};
use packed::Packed;
use usb_core_api::DeviceHandle;
use usb_types::Direction;

handles::handle! {
    /// A route.
    pub struct RouteHandle
}

/// What a route shall play out of the media pool, or record into the recording
/// pool.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct RouteRequest {
    /// OUT plays, IN records.
    pub direction: Direction,
    /// Frames per second.
    pub rate: u32,
    /// QMI audio format code.
    pub format: u8,
    /// Samples per frame.
    pub channels: u8,
    /// Frames to play or to record.
    pub frames: u32,
    /// Transfer buffer, in microseconds of sound.
    pub buffer_us: u32,
}

/// How a route is doing.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum RouteState {
    /// The DSP was told; its stream is not running yet.
    Starting,
    /// The DSP streams.
    Running,
    /// Played, or recorded, to the end.
    Played {
        /// Frames.
        frames: u32,
        /// Underruns or overruns that the DSP saw.
        underruns: u32,
    },
    /// Ended early.
    Ended {
        /// Why.
        why: RouteEnding,
        /// Frames played until then.
        frames: u32,
    },
}

/// Why a route ended early.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum RouteEnding {
    /// `stop_route`.
    Stopped,
    /// The broker refused the DSP's enable request; its counters say why.
    Refused,
    /// The session was revoked: the device went, was reset, or failed.
    Revoked,
    /// The DSP could make nothing of the start.
    BadStart,
    /// The DSP was busy.
    DspBusy,
    /// The DSP went away.
    DspGone,
    /// The DSP tried something that its gate refuses, and lost the session.
    Misbehaved,
    /// The device was suspended: ask again when the system is awake.
    Suspended,
}

/// The phases of a session (R10).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum SessionPhase {
    /// No session in this place.
    Free,
    /// A request was accepted; resources are being gathered.
    Reserved,
    /// Pages are mapped on both sides.
    Mapped,
    /// The handover is under way.
    Armed,
    /// The DSP drives the stream.
    Running,
    /// Being taken down.
    Draining,
}

/// One session.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct SessionInfo {
    /// Counts sessions; never reused.
    pub id: u32,
    /// How far it is.
    pub phase: SessionPhase,
    /// Its device.
    pub device: Option<DeviceHandle>,
    /// The QMI token.
    pub token: u32,
    /// The interrupter.
    pub interrupter: Option<u16>,
    /// Whether its vote is committed.
    pub vote: bool,
}

/// [`BrokerStatus`]; that is its name where a debugger looks for it alone.
pub type Status = BrokerStatus;

/// What the broker holds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Packed)]
pub struct BrokerStatus {
    /// Sessions that are not free.
    pub sessions: u8,
    /// Votes that stand.
    pub votes: u8,
    /// Sessions ever begun.
    pub begun: u32,
    /// Sessions ever ended.
    pub ended: u32,
    /// Requests refused.
    pub refused: u32,
    /// Votes that someone tried to release twice: always 0, or a defect.
    pub double_releases: u32,
    /// Sessions taken because the DSP tried what its gate refuses.
    pub misbehaved: u32,
    /// Times that the DSP let a session stall for a whole watch period.
    pub stalls: u32,
    /// Whether the QMI service is announced.
    pub announced: bool,
}

/// Why the broker refuses.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count, IdolError)]
#[repr(u32)]
pub enum BrokerError {
    /// The handle is of an earlier life of the broker: ask anew.
    StaleServer = 1,
    /// The route is over and its end was told: drop the handle.
    Stale,
    /// The route is another task's: a defect of the caller.
    NotOwner,
    /// All routes are in use.
    NoRoutes,
    /// No device with a stream of that direction is there (upstream EINVAL).
    NoDevice,
    /// The DSP does not offer its port service.
    NoDsp,
    /// The backend does not do that rate (S8; upstream EOPNOTSUPP).
    RateUnsupported,
    /// The backend does not do that format.
    FormatUnsupported,
    /// The backend does not do that number of channels.
    ChannelsUnsupported,
    /// The device offers no such format.
    DeviceFormat,
    /// Nothing to play or to record.
    NoFrames,
    /// The mailbox to the DSP is full: try again.
    LinkFull,
    /// No session in that place of the table.
    NoSession,
    /// The broker died during the call; routes are void.
    #[idol(server_death)]
    ServerDied,
}

include!(concat!(env!("OUT_DIR"), "/client_stub.rs"));
