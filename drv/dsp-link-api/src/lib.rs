//! Client side of the DSP link.
//!
//! Services and datagrams are QRTR's; what is in a datagram is between its ends.

#![no_std]

use idol_derive::{Count, IdolError};
use packed::Packed;

/// Bytes of a datagram's payload at most.
pub const MAX_PAYLOAD: usize = 472;

/// A QRTR address.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Packed)]
pub struct Address {
    /// Node: a processor.
    pub node: u32,
    /// Port on it.
    pub port: u32,
}

/// [`LinkEvent`]; that is its name where a debugger looks for it alone.
pub type Event = LinkEvent;

/// News from the link.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum LinkEvent {
    /// No more news.
    None,
    /// A datagram; its bytes are in the lease.
    Datagram {
        /// Who sent it.
        from: Address,
        /// Which of the caller's ports it came to.
        port: u32,
        /// Bytes.
        length: u16,
    },
    /// The peer offers a service.
    ServerUp {
        /// QRTR service number.
        service: u32,
        /// Version and instance.
        instance: u32,
        /// Where.
        at: Address,
    },
    /// A service of the peer is gone.
    ServerDown {
        /// QRTR service number.
        service: u32,
        /// Where it was.
        at: Address,
    },
    /// A client port of the peer is gone (DEL_CLIENT).
    ClientGone(Address),
    /// A node is gone with all its ports (BYE), or its mailbox started anew.
    NodeGone {
        /// The node.
        node: u32,
    },
    /// A full mailbox has room again.
    Room,
}

/// [`LinkStatus`]; that is its name where a debugger looks for it alone.
pub type Status = LinkStatus;

/// What went through the link.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Packed)]
pub struct LinkStatus {
    /// Whether the peer's side of the mailbox is up.
    pub up: bool,
    /// Datagrams sent.
    pub sent: u32,
    /// Datagrams delivered to clients.
    pub received: u32,
    /// Datagrams that made no sense, or that nobody waited for.
    pub dropped: u32,
}

/// Why the link refuses.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count, IdolError)]
#[repr(u32)]
pub enum DspLinkError {
    /// The DSP's side is not up: wait for `ServerUp`.
    Down = 1,
    /// The mailbox is full: wait for `Room`.
    Full,
    /// The port is not the caller's: a defect of the caller.
    NotPortOwner,
    /// All ports are taken.
    NoPorts,
    /// No such node.
    NoNode,
    /// The lease is too short for the datagram; it was dropped and counted.
    Truncated,
    /// `dsp_link` died during the call; ports are void.
    #[idol(server_death)]
    ServerDied,
}

include!(concat!(env!("OUT_DIR"), "/client_stub.rs"));
