//! The allocator of device addresses, and service intervals.
//!
//! Pure arithmetic that the IOMMU mapper and the offload broker share with the
//! tests: where in a region the next extent goes ([`Allocator`]), how long a
//! transfer buffer becomes ([`buffer_bytes`]), and what a service interval in
//! microseconds is in the bus's terms ([`service_interval`]). Nothing here maps
//! anything.
//!
//! Without guard pages the allocator answers as the one of the Linux driver
//! does, defects aside; see [`Allocator`].

#![no_std]

mod allocator;
mod interval;

pub use allocator::{Address, Allocator, Refused, Release};
pub use interval::{BadInterval, service_interval};

use addr::PAGE;

/// Longest transfer buffer, in pages. A longer one is cut to this without a
/// word, and the requester reads the length in the answer (I16).
pub const MAX_BUFFER_PAGES: u32 = 24;

/// The length that a transfer buffer gets for `requested` bytes: at least a
/// page, whole pages, at most [`MAX_BUFFER_PAGES`].
#[must_use]
pub const fn buffer_bytes(requested: u32) -> u32 {
    let pages = requested.div_ceil(PAGE);
    let pages = if pages == 0 { 1 } else { pages };
    (if pages > MAX_BUFFER_PAGES { MAX_BUFFER_PAGES } else { pages }) * PAGE
}

#[cfg(test)]
mod tests {
    use super::buffer_bytes;

    #[test]
    fn buffers_are_whole_pages_from_one_to_twenty_four_i16() {
        assert_eq!(buffer_bytes(0), 4096);
        assert_eq!(buffer_bytes(1), 4096);
        assert_eq!(buffer_bytes(4097), 8192);
        assert_eq!(buffer_bytes(24 * 4096), 24 * 4096);
        assert_eq!(buffer_bytes(24 * 4096 + 1), 24 * 4096);
        assert_eq!(buffer_bytes(u32::MAX), 24 * 4096);
    }
}
