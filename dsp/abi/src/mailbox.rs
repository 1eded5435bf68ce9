//! The mailbox: two rings of datagrams, one page of each written by each side.
//!
//! Page 0 is written by `dsp_link`: the ring of datagrams to the DSP, its head,
//! and how far `dsp_link` has read the other ring. Page 1 is the mirror image,
//! written by the monitor. Heads and tails count datagrams and wrap at 2^32;
//! a ring is empty when head = tail and full when head - tail = [`SLOTS`].
//! A datagram is a QRTR frame (header and payload).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Datagrams in one ring.
pub const SLOTS: u32 = 7;
/// Bytes of one datagram at most: a QRTR header of 32 and the longest message
/// of the service, 7 + 202, with room for the name service's packets.
pub const DATAGRAM: usize = 504;
/// Bytes of one slot: a length word, a reserved word, the datagram.
pub const SLOT: usize = 512;
/// Offset of slot 0 in a page; the header comes before it.
pub const FIRST_SLOT: u32 = 512;
/// Page of the pool that `dsp_link` writes.
pub const APP_PAGE: u16 = 0;
/// Page of the pool that the monitor writes.
pub const DSP_PAGE: u16 = 1;

/// What stands at the start of each side's page.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// Datagrams that this side has written.
    pub head: u32,
    /// Datagrams of the other side's ring that this side has read.
    pub tail: u32,
    /// This side's restart count, 0 = not up. A change voids both rings: both
    /// sides start again with head = tail = 0 once each has seen the other's.
    pub epoch: u32,
    /// The other side's epoch that this side has seen.
    pub seen: u32,
}

/// Offset in its page of slot `n % SLOTS`.
#[must_use]
pub const fn slot(n: u32) -> u32 {
    FIRST_SLOT + (n % SLOTS) * SLOT as u32
}

const _: () = assert!(FIRST_SLOT as usize + SLOTS as usize * SLOT <= addr::PAGE as usize);

/// QRTR node number of the application core.
pub const APP_NODE: u32 = 1;
/// QRTR node number of the DSP.
pub const DSP_NODE: u32 = 5;
