//! Client side of the IOMMU mapper.
//!
//! One SMMU domain per controller, one peer space per DSP. A session's window
//! has four parts in each of the two; see [`Part`] for who maps what where.
//! The owner of a pool places its pages in the controller's half and grants
//! them to the broker, which maps them in the peer's half.

#![no_std]

use addr::{Bus, Peer};
use idol_derive::{Count, IdolError};
use packed::Packed;

handles::handle! {
    /// A session's window.
    pub struct WindowHandle
}

handles::handle! {
    /// The right of one task to have another's pages mapped for the peer.
    pub struct GrantHandle
}

handles::handle! {
    /// An operation of `iommu` under way.
    pub struct TicketHandle
}

/// What the mapped side may do with the pages.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum Access {
    /// Read them.
    Read,
    /// Read and write them.
    ReadWrite,
}

/// The parts of a window. The controller sees the real rings, the peer the
/// shadow rings, at places of the same part; event ring and buffer are the same
/// pages on both sides.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum Part {
    /// The event ring, one page (peer: read only).
    EventRing,
    /// The data endpoint's transfer ring, one page: real for the controller
    /// (read only), shadow for the peer.
    DataRing,
    /// The same for the sync endpoint.
    SyncRing,
    /// The transfer buffer, one page and more.
    Buffer,
}

/// What `attach` tells a controller's driver.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct Attached {
    /// The controller's StreamID.
    pub stream: u32,
    /// Where its MSIs must be written, as the controller sees it: the SETSPI
    /// register of the GICv2m frame.
    pub doorbell: Bus,
}

/// [`IommuEvent`]; that is its name where a debugger looks for it alone.
pub type Event = IommuEvent;

/// News from `iommu`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum IommuEvent {
    /// No more news.
    None,
    /// A ticket of the caller's is ready for `result`.
    TicketDone(TicketHandle),
    /// The controller touched what it may not, in or right after a part of this
    /// window. The fault interrupt stays masked until the window is closed.
    WindowFault {
        /// Whose window; the opener gets this.
        window: WindowHandle,
        /// What it touched.
        at: Bus,
        /// Whether it wrote.
        write: bool,
    },
    /// The controller touched what belongs to no window: its driver gets this
    /// and must quiesce it.
    ControllerFault {
        /// What it touched.
        at: Bus,
        /// Whether it wrote.
        write: bool,
    },
}

/// [`IommuStatus`]; that is its name where a debugger looks for it alone.
pub type Status = IommuStatus;

/// What `iommu` holds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Packed)]
pub struct IommuStatus {
    /// Windows open.
    pub windows: u16,
    /// Grants that stand.
    pub grants: u16,
    /// Pages that a controller sees inside windows.
    pub bus_pages: u16,
    /// Pages that the peer sees.
    pub peer_pages: u16,
    /// Pages out of use because an unmap was not confirmed.
    pub quarantined: u16,
    /// Faults recorded.
    pub faults: u32,
}

/// Why `iommu` refuses.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Count, IdolError)]
#[repr(u32)]
pub enum IommuError {
    /// The operation is under way: wait for the hint.
    NotYet = 1,
    /// The handle is of an earlier life of `iommu`: open anew.
    StaleServer,
    /// What the handle named is gone: drop it.
    Stale,
    /// The handle is another task's: a defect of the caller.
    NotOwner,
    /// The image gives the caller no controller: a defect of the image.
    NoController,
    /// `map` or `place` before `attach`.
    NotAttached,
    /// No such controller.
    BadController,
    /// The pool is not the caller's: a defect of the caller.
    NotPoolOwner,
    /// Pages outside the pool, or none at all.
    BadPages,
    /// Some page is already mapped for that side.
    AlreadyMapped,
    /// Nothing of the caller's is mapped there.
    NotMapped,
    /// The part is longer than its place in the window.
    PartTooLong,
    /// The address space of that kind has no room left.
    NoAddresses,
    /// No table page left.
    NoTables,
    /// All windows are taken.
    NoWindows,
    /// All grants are taken.
    NoGrants,
    /// The caller has too many operations under way.
    NoTickets,
    /// The window still has mapped parts, or the pages are still with the peer:
    /// take them back first.
    StillMapped,
    /// The grant is for another task.
    NotGrantee,
    /// Some page is quarantined.
    Quarantined,
    /// The SMMU did not finish a command in time: the machine is broken.
    SmmuTimeout,
    /// `iommu` died during the call; all mappings are void.
    #[idol(server_death)]
    ServerDied,
}

include!(concat!(env!("OUT_DIR"), "/client_stub.rs"));
