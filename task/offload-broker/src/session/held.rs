//! What a session holds.

use addr::{Bus, Peer};
use iommu_api::{GrantHandle, WindowHandle};
use usb_audio_api::{StreamDescription, StreamHandle};
use usb_types::{Direction, EndpointAddress};
use xhci_api::{Placement, SidebandHandle};

use crate::buffers::Pages;
use crate::ops::Server;

/// Where the peer sees the parts of the window.
#[derive(Copy, Clone, Debug, Default)]
pub struct PeerPlaces {
    /// The event ring.
    pub event: Option<Peer>,
    /// The data ring's shadow.
    pub data: Option<Peer>,
    /// The sync ring's shadow.
    pub sync: Option<Peer>,
    /// The transfer buffer.
    pub buffer: Option<Peer>,
}

impl PeerPlaces {
    /// Whether the peer sees anything.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.event.is_some() || self.data.is_some() || self.sync.is_some() || self.buffer.is_some()
    }
}

/// What a session has taken and not yet given back.
#[derive(Copy, Clone, Debug, Default)]
pub struct Held {
    /// The open stream.
    pub stream: Option<StreamHandle>,
    /// What `usb_audio` says of it; stays known after it is closed.
    pub description: Option<StreamDescription>,
    /// The slot's sideband.
    pub sideband: Option<SidebandHandle>,
    /// DCI of the data endpoint in it.
    pub data: Option<u8>,
    /// DCI of the sync endpoint in it.
    pub sync: Option<u8>,
    /// The session has a vote.
    pub vote: bool,
    /// The interrupter.
    pub interrupter: Option<u8>,
    /// The window.
    pub window: Option<WindowHandle>,
    /// The rings in it.
    pub rings: Option<Placement>,
    /// What the peer sees of it.
    pub peer: PeerPlaces,
    /// The transfer buffer's pages.
    pub buffer: Option<Pages>,
    /// Where the controller sees them.
    pub buffer_bus: Option<Bus>,
    /// The right to map them for the peer.
    pub buffer_grant: Option<GrantHandle>,
    /// The gate may be open.
    pub gate: bool,
    /// The endpoints may be running.
    pub running: bool,
    /// The endpoints are set up for the rings, the interrupter may be on.
    pub armed: bool,
    /// The driver died with the endpoints set up, or the mapper with a buffer:
    /// the controller may run the ones and reach the other until it was reset.
    pub adrift: bool,
}

impl Held {
    /// A server died: what it gave is void, and need not be given back.
    pub fn lost(&mut self, server: Server) {
        match server {
            Server::Xhci => {
                self.adrift |= self.armed;
                (self.gate, self.running, self.armed) = (false, false, false);
                (self.sideband, self.rings, self.interrupter) = (None, None, None);
                (self.data, self.sync) = (None, None);
            }
            Server::Iommu => {
                // Until its next life begins, the SMMU lets through what it did.
                self.adrift |= self.buffer.is_some();
                (self.window, self.peer) = (None, PeerPlaces::default());
                (self.buffer_bus, self.buffer_grant) = (None, None);
            }
            Server::UsbAudio => self.stream = None,
            // The vote is the broker's own; the hold behind it is forgotten there.
            Server::UsbCore => {}
        }
    }
}

/// Device context index of an endpoint (xHCI 4.5.1).
#[must_use]
pub const fn dci(address: EndpointAddress) -> u8 {
    address.number() * 2
        + match address.direction() {
            Direction::Out => 0,
            Direction::In => 1,
        }
}
