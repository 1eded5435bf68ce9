//! The four kinds of address, and page arithmetic.
//!
//! One byte of memory can have four names here: what the bus fabric decodes
//! ([`Phys`]), what a controller puts on its bus and the SMMU translates
//! ([`Bus`]; the Linux code calls it `dma`), what the DSP core sees through its
//! own tables ([`Peer`]; the Linux code calls it `iova`), and what the
//! application core's tasks see ([`Virt`]). They are four types, so that none
//! can be passed for another; there is no conversion, only mapping.

#![no_std]

use packed::Packed;
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes in a page: the granule of every table in this system (SMMU
/// VMSAv8-64 with TG0 = 4 KiB, ARMv7 small pages, xHCI PAGESIZE = 1).
pub const PAGE: u32 = 4096;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Packed, Serialize, Deserialize,
            FromBytes, IntoBytes, Immutable, KnownLayout,
        )]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// This address moved up by `bytes`; `None` when that leaves 64 bits.
            #[must_use]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// This address moved up by `bytes`.
            ///
            /// # Panics
            /// When the sum leaves 64 bits: the caller made `bytes` up.
            #[must_use]
            pub const fn plus(self, bytes: u64) -> Self {
                match self.checked_add(bytes) {
                    Some(sum) => sum,
                    None => panic!("address arithmetic left 64 bits"),
                }
            }

            /// Bytes from `base` up to this address; `None` when it lies below.
            #[must_use]
            pub const fn offset_from(self, base: Self) -> Option<u64> {
                self.0.checked_sub(base.0)
            }

            /// The low word, as 32-bit register halves and descriptors want it.
            #[must_use]
            pub const fn low(self) -> u32 {
                self.0 as u32
            }

            /// The high word.
            #[must_use]
            pub const fn high(self) -> u32 {
                (self.0 >> 32) as u32
            }

            /// Whether the address is a multiple of `align`, a power of two.
            #[must_use]
            pub const fn is_aligned(self, align: u64) -> bool {
                self.0 & (align - 1) == 0
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
    };
}

address! {
    /// A physical address: what the fabric decodes after every translation.
    Phys
}
address! {
    /// What a controller puts on its bus; an SMMU domain turns it into [`Phys`].
    Bus
}
address! {
    /// What the DSP sees; its core's own tables turn it into [`Phys`].
    Peer
}
address! {
    /// What a task on the application core sees.
    Virt
}

/// Pages that `bytes` occupy when they start at a page boundary.
#[must_use]
pub const fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE as u64)
}

#[cfg(test)]
mod tests {
    use super::{Bus, pages};

    #[test]
    fn arithmetic_refuses_to_wrap() {
        assert_eq!(Bus(u64::MAX).checked_add(1), None);
        assert_eq!(Bus(0x1000).plus(0x20), Bus(0x1020));
        assert_eq!(Bus(0x1000).offset_from(Bus(0x2000)), None);
    }

    #[test]
    fn pages_round_up() {
        assert_eq!((pages(0), pages(1), pages(4096), pages(4097)), (0, 1, 1, 2));
    }
}
