//! Descriptors: what a mapping allows, and of what memory it is.

use abi::RegionAttributes;

/// Whom a mapping is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Privileged code alone, in every address space.
    Privileged,
    /// Unprivileged code too, and it alone executes there, in every address
    /// space.
    Unprivileged,
    /// The same, in the address space of one task.
    Task,
}

/// What a mapping allows, and of what memory it is; the value is that of the
/// descriptor of a small page (B3.5.1, B3.7, B3.8.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Mapping(u32);

impl Mapping {
    const XN: u32 = 1;
    const SMALL_PAGE: u32 = 1 << 1;
    const AP_PRIVILEGED: u32 = 0b01 << 4;
    const AP_ALL: u32 = 0b11 << 4;
    const READ_ONLY: u32 = 1 << 9;
    const SHAREABLE: u32 = 1 << 10;
    const NOT_GLOBAL: u32 = 1 << 11;
    const NORMAL_CACHED: u32 = 0b001 << 6 | 1 << 3 | 1 << 2 | Self::SHAREABLE;
    const NORMAL_UNCACHED: u32 = 0b001 << 6 | Self::SHAREABLE;
    const DEVICE: u32 = 1 << 2;

    /// What lets `who` do what `attributes` say. There is no way to forbid
    /// privileged code what unprivileged code may, but for executing it.
    #[must_use]
    pub const fn new(who: Who, attributes: RegionAttributes) -> Self {
        let mut bits = match who {
            Who::Privileged => Self::AP_PRIVILEGED,
            Who::Unprivileged => Self::AP_ALL,
            Who::Task => Self::AP_ALL | Self::NOT_GLOBAL,
        };
        if !attributes.contains(RegionAttributes::WRITE) {
            bits |= Self::READ_ONLY;
        }
        if !attributes.contains(RegionAttributes::EXECUTE) {
            bits |= Self::XN;
        }
        bits |= if attributes.contains(RegionAttributes::DEVICE) {
            Self::DEVICE
        } else if attributes.contains(RegionAttributes::DMA) {
            Self::NORMAL_UNCACHED
        } else {
            Self::NORMAL_CACHED
        };
        Self(bits)
    }

    /// The descriptor of the small page at `at`.
    pub(crate) const fn page(self, at: u32) -> u32 {
        at | Self::SMALL_PAGE | self.0
    }

    /// The descriptor of the section at `at`: the same bits at other places.
    pub(crate) const fn section(self, at: u32) -> u32 {
        const IS_SECTION: u32 = 1 << 1;
        let xn = (self.0 & 1) << 4;
        let bufferable_cacheable = self.0 & 0b1100;
        let ap = (self.0 >> 4 & 0b11) << 10;
        let tex = (self.0 >> 6 & 0b111) << 12;
        let read_only = (self.0 >> 9 & 1) << 15;
        let shareable = (self.0 >> 10 & 1) << 16;
        let not_global = (self.0 >> 11 & 1) << 17;
        at | IS_SECTION
            | xn
            | bufferable_cacheable
            | ap
            | tex
            | read_only
            | shareable
            | not_global
            | self.privileged_execute_never()
    }

    /// The first-level entry that points to the second-level table at `at`
    /// (domain 0). All pages of a table are of one kind.
    pub(crate) const fn table(self, at: u32) -> u32 {
        const IS_TABLE: u32 = 1;
        at | IS_TABLE | self.privileged_execute_never() << 2
    }

    /// PXN: privileged code executes nothing that unprivileged code may touch
    /// (B3.7.2). Bit 0 of a section, bit 2 of a pointer to a table.
    const fn privileged_execute_never(self) -> u32 {
        (self.0 & Self::AP_ALL == Self::AP_ALL) as u32
    }
}
