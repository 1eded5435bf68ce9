//! Client side of the xHCI driver.
//!
//! `usb_core` drives ports, slots and endpoints; the broker drives sidebands, of
//! which a slot can have several. Section numbers are those of the xHCI
//! specification 1.2, X-numbers those of `docs/deviations.md`.

#![no_std]

use addr::Bus;
use idol_derive::{Count, IdolError};
use iommu_api::{GrantHandle, WindowHandle};
use packed::Packed;
use usb_types::{Setup, Speed};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

handles::handle! {
    /// A device slot, and the one device that it stands for.
    pub struct SlotHandle
}

handles::handle! {
    /// A sideband: one session with a peer on a slot.
    pub struct SidebandHandle
}

handles::handle! {
    /// An operation of `xhci` under way.
    pub struct TicketHandle
}

/// Most endpoints that one `start_configure` can add.
pub const MAX_ADD: usize = 8;

/// Milliseconds that the owner of a session has to take it down once it heard
/// [`Event::Revoked`]; then the driver takes it down itself.
pub const REVOKE_MS: u32 = 2000;

/// What a controller is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct ControllerInfo {
    /// Root ports, numbered from 1.
    pub ports: u8,
    /// Slots enabled.
    pub slots: u8,
    /// Interrupters that exist and the image allows, the primary included.
    pub interrupters: u16,
    /// HCIVERSION, e.g. 0x0110.
    pub version: u16,
    /// False from a controller error until it was initialised again.
    pub alive: bool,
}

/// The state of a root port.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct PortStatus {
    /// A device is there (CCS).
    pub connected: bool,
    /// The port is enabled (PED).
    pub enabled: bool,
    /// PORTSC.PLS.
    pub link_state: u8,
    /// The device's speed, meaningful while connected and, on a USB 2 port, enabled.
    pub speed: Option<Speed>,
    /// Whether the port speaks USB 3.
    pub usb3: bool,
    /// PORTSC bits 23:17: CSC, PEC, WRC, OCC, PRC, PLC, CEC from bit 0 up.
    pub changes: u8,
}

/// [`PortStatus::changes`]: connect status.
pub const CHANGE_CONNECT: u8 = 1 << 0;
/// [`PortStatus::link_state`]: suspended.
pub const LINK_SUSPENDED: u8 = 3;
/// [`PortStatus::link_state`]: the device signals resume.
pub const LINK_RESUME: u8 = 15;
/// [`PortStatus::changes`]: link state.
pub const CHANGE_LINK: u8 = 1 << 5;
/// [`PortStatus::changes`]: reset ended.
pub const CHANGE_RESET: u8 = 1 << 4;

/// An endpoint to be configured (fields of the endpoint context, 6.2.3).
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct EndpointSpec {
    /// Device context index, 2 to 31.
    pub dci: u8,
    /// EP Type: 1 isoch OUT, 2 bulk OUT, 3 interrupt OUT, 5 isoch IN, 6 bulk
    /// IN, 7 interrupt IN.
    pub kind: u8,
    /// Interval as a power of two of 125 us.
    pub interval: u8,
    /// Max Burst Size.
    pub max_burst: u8,
    /// Mult.
    pub mult: u8,
    /// Zero.
    pub reserved: u8,
    /// Max Packet Size, bits 10:0 of wMaxPacketSize.
    pub max_packet: u16,
    /// Max ESIT Payload, bytes per service interval.
    pub esit_payload: u32,
}

/// How an operation ended well.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum Completed {
    /// Nothing more to say.
    Done,
    /// The slot that was enabled.
    Slot {
        /// Its handle.
        slot: SlotHandle,
        /// Its number as the controller knows it, which a peer is told.
        number: u8,
    },
    /// A control transfer moved this many bytes; take IN data with `take_data`.
    Transferred(u16),
}

/// [`XhciEvent`]; that is its name where a debugger looks for it alone.
pub type Event = XhciEvent;

/// News from `xhci`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum XhciEvent {
    /// No more news.
    None,
    /// A port has change bits set (to `usb_core`).
    PortChanged {
        /// Port number, from 1.
        port: u8,
    },
    /// A ticket of the caller's is ready for `result`.
    TicketDone(TicketHandle),
    /// Packets of a host-path isochronous endpoint completed, or a hub's status pipe
    /// has something to say (to `usb_core`).
    IsochProgress {
        /// Slot of the endpoint.
        slot: SlotHandle,
        /// The endpoint.
        dci: u8,
    },
    /// The session must end: its owner takes it down (to the broker; X13).
    Revoked {
        /// The session's sideband.
        sideband: SidebandHandle,
        /// Why.
        reason: RevokeReason,
    },
    /// The controller failed; every slot is gone.
    ControllerDied,
    /// The controller was initialised; ports are to be scanned anew.
    ControllerReady,
    /// The controller does not come up, and is kept from memory: it reaches nothing of
    /// what was mapped for it (to the broker).
    ControllerSafe,
}

/// Why a session is revoked.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum RevokeReason {
    /// The slot is being given up: the device is gone.
    SlotDisabled,
    /// The device is being reset.
    DeviceReset,
    /// The device is being suspended.
    DeviceSuspended,
    /// The controller failed.
    ControllerDied,
    /// The endpoint is being configured away.
    EndpointDropped,
}

/// The kinds of sideband (X1, R30).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum SidebandKind {
    /// A peer drives rings in memory.
    Vendor,
    /// Hardware of xHCI 1.2 section 7.9: always refused.
    Audio,
}

/// What interrupter is wanted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct InterrupterRequest {
    /// A certain number, or 0 for the lowest free one.
    pub number: u16,
    /// Segments of the event ring; 1 is the only size a window has room for.
    pub segments: u8,
    /// Moderation interval in ns, 0 for none.
    pub moderation_ns: u32,
}

/// A ring placed in a window.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct PlacedRing {
    /// Where the controller sees the ring it uses.
    pub bus: Bus,
    /// The right to map the peer's page: the event ring itself, or the shadow.
    pub grant: GrantHandle,
}

/// An entry of the controller's gate page, and the opening of it that arming
/// makes: what the monitor says about the session names both
/// (`dsp_abi::control::Notice`).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct GateOpening {
    /// Index of the entry.
    pub entry: u8,
    /// Its generation once the sideband is armed. Each further arming of the
    /// same placement counts one up.
    pub generation: u32,
}

/// Where `place` put things.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct Placement {
    /// The event ring.
    pub event: PlacedRing,
    /// The ring of the endpoint that was added first.
    pub data: PlacedRing,
    /// The other endpoint's ring.
    pub sync: Option<PlacedRing>,
    /// How the monitor will call the session.
    pub gate: GateOpening,
}

/// How a host-path isochronous endpoint is doing. Counts wrap.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct IsochStatus {
    /// Packets queued and not completed.
    pub queued: u8,
    /// Packets for which there is room.
    pub room: u8,
    /// Packets completed.
    pub completed: u32,
    /// Packets completed with an error or missed.
    pub errors: u32,
    /// Times that the ring ran dry.
    pub underruns: u32,
}

/// How far a sideband is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum SidebandPhase {
    /// Registered; endpoints and interrupter come and go.
    Reserved,
    /// Its pages are placed.
    Placed,
    /// Armed: the peer drives it.
    Armed,
    /// The gate is closed.
    GateClosed,
    /// Endpoints stopped, event ring drained.
    Halted,
}

/// The state of a sideband.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct SidebandStatus {
    /// How far it is.
    pub phase: SidebandPhase,
    /// Its endpoints' DCI bits.
    pub endpoints: u32,
    /// Its interrupter.
    pub interrupter: Option<u16>,
    /// Whether the device is still there.
    pub device_present: bool,
}

/// [`XhciStatus`]; that is its name where a debugger looks for it alone.
pub type Status = XhciStatus;

/// What the driver holds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Packed)]
pub struct XhciStatus {
    /// Slots in use.
    pub slots: u8,
    /// Sidebands registered.
    pub sidebands: u8,
    /// Secondary interrupters in use.
    pub interrupters: u8,
    /// Endpoints that belong to a sideband.
    pub endpoints: u8,
    /// Slots whose device is suspended, or on its way there or back.
    pub suspended: u8,
    /// Pages of `dma_ring` in use by sidebands.
    pub ring_pages: u16,
    /// Commands that ended by their deadline.
    pub command_timeouts: u32,
    /// Controller failures.
    pub deaths: u32,
}

/// Why `xhci` refuses, or how an operation failed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count, IdolError)]
#[repr(u32)]
pub enum XhciError {
    /// The operation is under way: wait for the hint.
    NotYet = 1,
    /// The handle is of an earlier life of `xhci`: start over.
    StaleServer,
    /// What the handle named is gone: drop it.
    Stale,
    /// The handle is another task's: a defect of the caller.
    NotOwner,
    /// The operation is not for the caller: a defect of the caller.
    NotAllowed,
    /// The caller has too many operations under way: end some.
    NoTickets,
    /// The controller is being initialised: wait for `ControllerReady`.
    NotReady,
    /// The controller failed: wait for `ControllerReady`.
    ControllerDead,
    /// No such port.
    BadPort,
    /// The image's driver knows no hubs (feature `hubs`).
    HubsUnsupported,
    /// The slot's device is no hub, or `start_configure_hub` was not done for it.
    NotAHub,
    /// A route string has no room for one more hub (6.2.2).
    TooDeep,
    /// The port has no device.
    NotConnected,
    /// An operation of that kind is under way on the same object.
    Busy,
    /// No free slot (completion code 9, or the image's limit).
    NoSlots,
    /// The slot is not in a state for this (11, 19).
    SlotState,
    /// No such endpoint, or it is not configured (12).
    NoEndpoint,
    /// Endpoint values that the specification forbids (17, or found by us).
    BadEndpoint,
    /// The endpoint is not running.
    NotRunning,
    /// The endpoint belongs to a sideband, or is being taken away.
    EndpointBusy,
    /// The endpoint does not belong to this sideband.
    EndpointNotOwned,
    /// No page left for a context.
    NoContextMemory,
    /// No page left for a ring.
    NoRingMemory,
    /// No bounce page left for data.
    NoBounceMemory,
    /// Not enough bandwidth (8, 35): the old configuration stands.
    Bandwidth,
    /// The controller ran out of resources (7).
    Resource,
    /// The device stalled (6).
    Stall,
    /// The device did not answer (4), also behind a transaction translator (36).
    Transaction,
    /// The device sent too much (3).
    Babble,
    /// The data did not fit the setup packet.
    DataLength,
    /// A transfer ended with a code not named here.
    TransferFailed,
    /// A command ended with a code not named here.
    CommandFailed,
    /// The controller did not finish in time and was made to stop.
    TimedOut,
    /// The exit latency is too large for the endpoint (29).
    ExitLatency,
    /// The device is gone.
    DeviceGone,
    /// The device is suspended, or on its way there or back: resume it first.
    Suspended,
    /// That kind of sideband is not supported (xHCI 7.9).
    KindUnsupported,
    /// All sidebands of the image are in use.
    NoSidebands,
    /// The sideband has a data and a sync endpoint already.
    SidebandFull,
    /// The sideband has its interrupter already.
    InterrupterExists,
    /// The sideband has no interrupter.
    NoInterrupter,
    /// That interrupter is taken (R32).
    InterrupterTaken,
    /// No such interrupter on this controller or in this image.
    InterrupterRange,
    /// All interrupters are taken.
    InterruptersExhausted,
    /// An event ring of so many segments is not to be had.
    Segments,
    /// The sideband has no endpoint.
    NoEndpoints,
    /// The step does not follow from where the sideband is.
    WrongPhase,
    /// The peer still has the pages.
    StillMapped,
    /// `iommu` refused; its counters say why.
    MapFailed,
    /// The monitor did not confirm in time.
    GateTimeout,
    /// `xhci` died during the call; every handle is void.
    #[idol(server_death)]
    ServerDied,
}

include!(concat!(env!("OUT_DIR"), "/client_stub.rs"));
