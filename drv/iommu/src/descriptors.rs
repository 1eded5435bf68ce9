//! Encodings: stream table entry, context descriptor, table and page
//! descriptors, the peer's small pages.
//!
//! Pure functions; who writes them where, and in what order, is `domain` and
//! `peer`.

use addr::Phys;
use iommu_api::Access;

use crate::layout::INPUT_BITS;

/// A stream table entry that aborts every access: all zero (V = 0).
pub const STREAM_INVALID: u64 = 0;

/// The first double word of a stream table entry for stage 1 translation with
/// the context descriptor at `context`; all others are zero (IHI 0070 5.2).
#[must_use]
pub const fn stream_entry(context: Phys) -> u64 {
    const VALID: u64 = 1;
    const STAGE1: u64 = 0b101 << 1;
    context.0 | STAGE1 | VALID
}

/// The first double word of a context descriptor (IHI 0070 5.4).
#[must_use]
pub const fn context_descriptor(asid: u16) -> u64 {
    let t0sz = 64 - INPUT_BITS as u64;
    const EPD1: u64 = 1 << 30;
    const VALID: u64 = 1 << 31;
    const AARCH64: u64 = 1 << 41;
    // Faults are recorded, and reported to the device as aborts.
    const RECORD: u64 = 1 << 45;
    const ABORT: u64 = 1 << 46;
    // Walks past the caches (IR0, OR0, SH0 = 0), as the cores write tables.
    t0sz | EPD1 | VALID | AARCH64 | RECORD | ABORT | (asid as u64) << 48
}

/// Memory attributes 0 of a context descriptor: normal memory, not cached.
pub const ATTRIBUTES: u64 = 0x44;

/// A descriptor that translates nothing.
pub const INVALID: u64 = 0;

/// A descriptor that leads to the next table.
#[must_use]
pub const fn table(next: Phys) -> u64 {
    next.0 | 0b11
}

/// Where a valid table descriptor leads; `None` for an invalid one.
#[must_use]
pub const fn next_table(descriptor: u64) -> Option<Phys> {
    if descriptor & 0b11 == 0b11 { Some(Phys(descriptor & 0x0000_FFFF_FFFF_F000)) } else { None }
}

/// A page descriptor (Arm ARM D8.3): access flag set, inner shareable,
/// unprivileged, memory attributes 0, not global, so that an invalidation by
/// ASID reaches it and no other controller's access hits it.
#[must_use]
pub const fn page(to: Phys, access: Access) -> u64 {
    const PAGE: u64 = 0b11;
    const UNPRIVILEGED: u64 = 1 << 6;
    const READ_ONLY: u64 = 1 << 7;
    const INNER_SHAREABLE: u64 = 3 << 8;
    const ACCESSED: u64 = 1 << 10;
    const NOT_GLOBAL: u64 = 1 << 11;
    let common = to.0 | PAGE | UNPRIVILEGED | INNER_SHAREABLE | ACCESSED | NOT_GLOBAL;
    match access {
        Access::Read => common | READ_ONLY,
        Access::ReadWrite => common,
    }
}

/// A small page of the peer's tables (ARMv7-A ARM B3.5.1): normal memory, not
/// cached, shareable, never executed, not global.
///
/// # Panics
/// When the page is beyond 32 bits: the image gives no such pool to the peer.
#[must_use]
pub const fn small_page(to: Phys, access: Access) -> u32 {
    assert!(to.high() == 0, "the DSP core has 32-bit physical addresses");
    const SMALL: u32 = 0b11; // with XN, bit 0
    const FULL_ACCESS: u32 = 0b11 << 4;
    const READ_ONLY: u32 = 1 << 9;
    const NORMAL_UNCACHED: u32 = 0b001 << 6;
    const SHAREABLE: u32 = 1 << 10;
    const NOT_GLOBAL: u32 = 1 << 11;
    let common = to.low() | SMALL | FULL_ACCESS | NORMAL_UNCACHED | SHAREABLE | NOT_GLOBAL;
    match access {
        Access::Read => common | READ_ONLY,
        Access::ReadWrite => common,
    }
}

#[cfg(test)]
mod tests {
    use super::{context_descriptor, next_table, page, small_page, stream_entry, table};
    use addr::Phys;
    use iommu_api::Access;

    #[test]
    fn entries_have_the_bits_that_qemu_was_seen_to_need() {
        assert_eq!(stream_entry(Phys(0x4400_0040)), 0x4400_0040 | 5 << 1 | 1);
        let cd = context_descriptor(7);
        assert_eq!(cd as u32 & 0x3F, 32, "T0SZ");
        assert_eq!(cd >> 6 & 3, 0, "TG0 = 4 KiB");
        for (bit, set) in [(30, 1), (31, 1), (41, 1), (42, 0), (43, 0), (44, 0), (45, 1), (46, 1)] {
            assert_eq!(cd >> bit & 1, set, "bit {bit}");
        }
        assert_eq!(cd >> 48, 7);
    }

    #[test]
    fn descriptors_carry_address_and_rights() {
        assert_eq!(next_table(table(Phys(0x4400_1000))), Some(Phys(0x4400_1000)));
        assert_eq!(next_table(0), None);
        assert_eq!(page(Phys(0x4400_2000), Access::ReadWrite), 0x4400_2000 | 0xF43);
        assert_eq!(page(Phys(0x4400_2000), Access::Read), 0x4400_2000 | 0xFC3);
        assert_eq!(small_page(Phys(0x4400_3000), Access::ReadWrite) & 0x230, 0x30);
        assert_eq!(small_page(Phys(0x4400_3000), Access::Read) & 0x230, 0x230);
        assert_eq!(small_page(Phys(0x4400_3000), Access::Read) & 0xFFFF_F003, 0x4400_3003);
    }
}
