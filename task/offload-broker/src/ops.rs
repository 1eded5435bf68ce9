//! What the broker's core is told, and what it wants done.
//!
//! The core is pure: [`Input`]s go in, [`Effect`]s come out. An operation of a
//! server is an [`Op`]; its end comes back as [`Input::Answer`], at once or
//! when a ticket is done. A session has one operation under way at most, and
//! its number tells a late answer from the one that is waited for.

use abi::TaskId;
use addr::{Bus, Peer};
use dsp_abi::port;
use dsp_link_api::Address;
use iommu_api::{Access, GrantHandle, Part, WindowHandle};
use offload_broker_api::SessionPhase;
use qmi::{StreamIndication, StreamRequest, StreamResponse, Txn};
use usb_audio_api::{CardInfo, StreamDescription, StreamFormat, StreamHandle, StreamId};
use usb_core_api::{DeviceHandle, DeviceInfo};
use xhci_api::{GateOpening, Placement, RevokeReason, SidebandHandle, SlotHandle};

use crate::buffers::Pages;
use crate::refusal::Failure;
use crate::session::SessionId;

/// An operation under way, by name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Of which session.
    pub session: SessionId,
    /// The how manieth of it.
    pub serial: u16,
}

/// An operation of a server that a session needs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Open the stream for a peer (`usb_audio`, ticket).
    Open(StreamId, StreamFormat),
    /// Describe the open stream (`usb_audio`).
    Describe(StreamHandle),
    /// Take the slot's sideband (`xhci`).
    Register(SlotHandle),
    /// Make an endpoint the sideband's (`xhci`).
    AddEndpoint(SidebandHandle, u8),
    /// Keep the device up (`usb_core`).
    Hold(DeviceHandle),
    /// Get an interrupter with its event ring (`xhci`).
    CreateInterrupter(SidebandHandle),
    /// Open a window (`iommu`).
    OpenWindow {
        /// On which controller.
        controller: u8,
    },
    /// Place the rings for the controller (`xhci`).
    Place(SidebandHandle, WindowHandle),
    /// Map granted pages for the peer (`iommu`).
    MapPeer(WindowHandle, Part, GrantHandle, Access),
    /// Place the buffer for the controller (`iommu`).
    PlaceBuffer(WindowHandle, Pages, Access),
    /// Grant the buffer to the broker itself (`iommu`).
    GrantBuffer(Pages),
    /// Hand the rings over (`xhci`, ticket).
    Arm(SidebandHandle),

    /// Close the gate (`xhci`, ticket).
    CloseGate(SidebandHandle),
    /// Stop the endpoints and drain the event ring (`xhci`, ticket).
    Halt(SidebandHandle),
    /// Close the stream: alternate 0 (`usb_audio`, ticket).
    Close(StreamHandle),
    /// Drop the endpoints, give target and interrupter back (`xhci`, ticket).
    Disarm(SidebandHandle),
    /// Take the window from the peer (`iommu`, ticket).
    UnmapPeer(WindowHandle),
    /// Take the rings from the controller, scrub and free them (`xhci`).
    Displace(SidebandHandle),
    /// Take the buffer from the controller (`iommu`).
    DisplaceBuffer(WindowHandle),
    /// End the buffer's grant (`iommu`).
    ReleaseBuffer(GrantHandle),
    /// Clear the buffer's pages (the broker itself).
    Scrub(Pages),
    /// Give the interrupter back (`xhci`).
    RemoveInterrupter(SidebandHandle),
    /// Give an endpoint back (`xhci`, ticket).
    RemoveEndpoint(SidebandHandle, u8),
    /// Give the sideband back (`xhci`).
    Unregister(SidebandHandle),
    /// Close the window (`iommu`).
    CloseWindow(WindowHandle),
    /// The device need not stay up for the broker (`usb_core`).
    Unhold(DeviceHandle),
}

/// What a server answered.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done; nothing to tell.
    Done,
    /// [`Op::Open`].
    Opened(StreamHandle),
    /// [`Op::Describe`].
    Described(StreamDescription),
    /// [`Op::Register`].
    Registered(SidebandHandle),
    /// [`Op::CreateInterrupter`].
    Interrupter(u16),
    /// [`Op::OpenWindow`].
    Window(WindowHandle),
    /// [`Op::Place`].
    Placed(Placement),
    /// [`Op::MapPeer`].
    Mapped(Peer),
    /// [`Op::PlaceBuffer`].
    BufferPlaced(Bus),
    /// [`Op::GrantBuffer`].
    BufferGranted(GrantHandle),
}

/// A server whose death ends what it gave.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// The IOMMU mapper: all mappings are void.
    Iommu,
    /// A controller's driver: rings, endpoints and interrupters are void.
    Xhci,
    /// The device tree: holds are void.
    UsbCore,
    /// The audio class: streams are void, though they play on.
    UsbAudio,
}

/// What the monitor says about a session.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The DSP did nothing for a whole watch period. It may come back.
    Stalled,
    /// The DSP tried what the gate refuses; with the gate's code.
    Refused(u32),
    /// The gate was not opened, because of what the driver's entry says; with the
    /// monitor's code.
    NotOpened(u32),
    /// The DSP's program died, and knows of nothing any more.
    Restarted,
}

/// What happened.
#[derive(Copy, Clone, Debug)]
pub enum Input {
    /// A card is there.
    CardAdded(u8, CardInfo, DeviceInfo),
    /// A card's device is gone.
    CardRemoved(u8),
    /// The peer asks.
    Request {
        /// Who.
        from: Address,
        /// Which exchange.
        txn: Txn,
        /// What.
        request: StreamRequest,
    },
    /// An operation ended.
    Answer(Ask, Result<Reply, Failure>),
    /// A controller's driver ends a session.
    Revoked {
        /// Which controller.
        controller: u8,
        /// The session's sideband there.
        sideband: SidebandHandle,
        /// Why.
        reason: RevokeReason,
    },
    /// A device that was suspended is in reach again.
    Resumed(DeviceHandle),
    /// The controller touched what it may not, in or behind a session's window.
    WindowFault(WindowHandle),
    /// The monitor says something about a session of a controller.
    Notice {
        /// Which controller.
        controller: u8,
        /// Which opening of which entry of its gate.
        opening: GateOpening,
        /// What.
        trouble: Trouble,
    },
    /// The peer's node is gone, or began anew (B18).
    NodeGone(u32),
    /// A port of the peer is gone (B19).
    ClientGone(Address),
    /// A server died; of drivers, all.
    ServerDied(Server),
    /// The driver of the controller of this number died, and no other.
    DriverDied(u8),
    /// The controller of this number was reset, or is kept from memory: what it or
    /// its driver's earlier life kept from being given back, it keeps no more.
    ControllerSafe(u8),
    /// The DSP offers its port service here.
    PortUp(Address),
    /// The port service at this address is gone.
    PortDown(Address),
    /// A record of the port service.
    PortMessage(Address, port::Message),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Copy, Clone, Debug)]
pub enum Effect {
    /// Do this, and answer.
    Ask(Ask, Op),
    /// Nobody waits for this any more: cancel its ticket.
    Cancel(Ask),
    /// Answer the peer.
    Respond(Address, Txn, StreamResponse),
    /// Tell the peer.
    Indicate(Address, StreamIndication),
    /// Send a record of the port service.
    Port(Address, port::Message),
    /// A route's owner has news.
    Hint(TaskId),
    /// A session is in this phase now; for the trace.
    Phase(SessionId, SessionPhase),
}
