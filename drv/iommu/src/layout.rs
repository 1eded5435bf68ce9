//! Bases and limits of the address spaces, and of the `tables` pool.
//!
//! The places of rings and buffers are those that a DSP has come to expect of
//! the Linux implementation (`docs/deviations.md`, "Addresses"),
//! with two changes: each window has an event ring of its own, and every extent
//! has a guard page behind it.

use dsp_abi::SESSIONS;
use dsp_abi::control::{PEER_TABLES_PAGE, PEER_TABLES_PAGES};
use dsp_abi::monitor::PEER_END;

/// Guard pages behind each extent.
pub const GUARD_PAGES: u32 = 1;

/// Addresses from `base` up to `limit`, which is not one of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub base: u64,
    /// First address beyond.
    pub limit: u64,
}

impl Region {
    /// Its pages.
    #[must_use]
    pub const fn pages(&self) -> u32 {
        ((self.limit - self.base) / addr::PAGE as u64) as u32
    }
}

/// Where windows lie in an address space. Address 0 and its page are never valid.
#[derive(Copy, Clone, Debug)]
pub struct Space {
    /// Event ring of window 0; that of window n lies 2n pages higher.
    pub events: Region,
    /// Transfer rings, one page each.
    pub rings: Region,
    /// Transfer buffers.
    pub buffers: Region,
}

/// The map of the Linux implementation: one event ring at 0x1000 and room for
/// one per card up to the rings, which have a page of guard behind them.
pub const LINUX: Space = Space {
    events: Region { base: 0x1000, limit: 0x2_2000 },
    rings: Region { base: 0x2_2000, limit: 0x42_1000 },
    buffers: Region { base: 0x42_2000, limit: 0xFFFF_E000 },
};

/// The peer's space: the monitor's second-level tables end at `PEER_END`.
pub const PEER: Space =
    Space { buffers: Region { base: LINUX.buffers.base, limit: PEER_END.0 }, ..LINUX };

/// A controller's space below what its driver maps for itself.
pub const BUS: Space =
    Space { buffers: Region { base: LINUX.buffers.base, limit: OWN.base }, ..LINUX };

/// What a controller's driver maps for itself: contexts, command ring, primary
/// event ring, bounce pages.
pub const OWN: Region = Region { base: 0x8000_0000, limit: 0xC000_0000 };

/// Where a controller sees the GICv2m frame.
pub const DOORBELL: u64 = 0xF000_0000;

/// Input addresses of a domain have this many bits.
pub const INPUT_BITS: u32 = 32;

/// The event ring of window `number` in either space.
#[must_use]
pub const fn event_ring(number: usize) -> u64 {
    LINUX.events.base + number as u64 * 2 * addr::PAGE as u64
}

/// Page of the `tables` pool that holds the window page.
pub const WINDOW_PAGE: u16 = 0;
/// First page of the peer's second-level tables.
pub const PEER_TABLES: u16 = PEER_TABLES_PAGE;
/// First page of the stream table; the table is aligned to its size (IHI 0070
/// 6.3.26), so the pool has to be.
pub const STREAM_TABLE: u16 = 8;
/// log2 of the streams in it: bus 0 of the PCI hierarchy.
pub const STREAM_TABLE_LOG2: u32 = 8;
/// Pages of the stream table: 64 bytes a stream.
pub const STREAM_TABLE_PAGES: u16 = 4;
/// Page of the command queue.
pub const COMMAND_QUEUE: u16 = 12;
/// log2 of its commands: a page of 16-byte commands.
pub const COMMAND_QUEUE_LOG2: u32 = 8;
/// Page of the event queue.
pub const EVENT_QUEUE: u16 = 13;
/// log2 of its records: a page of 32-byte records.
pub const EVENT_QUEUE_LOG2: u32 = 7;
/// Page of the context descriptors, 64 bytes a controller.
pub const CONTEXTS: u16 = 14;
/// Page that the peer has in the place of one that was taken from it by force: it
/// reads as what the peer writes, and is nobody's.
pub const EMPTY_PAGE: u16 = 15;
/// First page that translation tables are made of.
pub const FIRST_TABLE: u16 = 16;
/// Pages that translation tables can be made of. A domain takes two levels for
/// each of window, own and doorbell area: 8 pages, and one more for each 2 MiB.
pub const MAX_TABLES: u16 = 112;

/// Controllers that one mapper serves.
pub const MAX_CONTROLLERS: usize = 2;

const _: () = assert!(event_ring(SESSIONS) <= LINUX.events.limit);
const _: () = assert!(PEER_TABLES + PEER_TABLES_PAGES <= STREAM_TABLE);
const _: () = assert!(STREAM_TABLE.is_multiple_of(STREAM_TABLE_PAGES));
const _: () = assert!(PEER_END.0 / addr::PAGE as u64 * 4 == PEER_TABLES_PAGES as u64 * 4096);

#[cfg(test)]
mod tests {
    use super::{BUS, DOORBELL, LINUX, OWN, PEER, event_ring};

    #[test]
    fn the_linux_map_is_that_of_the_facts() {
        assert_eq!(LINUX.rings.pages(), 1023);
        assert_eq!(LINUX.buffers.pages(), 1_047_516);
        assert_eq!(LINUX.rings.limit + 0x1000, LINUX.buffers.base);
        assert_eq!((event_ring(0), event_ring(3)), (0x1000, 0x7000));
    }

    #[test]
    fn areas_of_a_space_do_not_overlap() {
        for space in [PEER, BUS] {
            assert!(space.events.limit <= space.rings.base);
            assert!(space.rings.limit < space.buffers.base);
            assert!(space.buffers.base < space.buffers.limit);
        }
        const { assert!(BUS.buffers.limit <= OWN.base && OWN.limit <= DOORBELL) };
        const { assert!(DOORBELL < 1 << 32) };
    }
}
