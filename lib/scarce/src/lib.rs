//! What there is only so much of, and whether it is to be spent before its time.
//!
//! Whoever gives out places, pages or addresses asks [`spent`] when there is still
//! one, and refuses as if there were none when the answer is yes. On a board it is
//! never yes and costs nothing; in the simulator it is a fault like any other, so
//! that each refusal is met at each point, and not only by who fills a pool.
//!
//! Not asked where a caller has made sure of its room before: there a refusal
//! cannot be.

#![no_std]
#![forbid(unsafe_code)]

/// What there is only so much of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Scarce {
    /// A place in a table of objects.
    Place = 1,
    /// A ticket for an operation.
    Ticket = 2,
    /// An extent of device addresses.
    Addresses = 3,
    /// Pages of a pool.
    Pages = 4,
    /// A page for translation tables.
    Table = 5,
    /// A device slot with its contexts.
    Slot = 6,
    /// An interrupter.
    Interrupter = 7,
}

/// Whether the running task shall find nothing left of `what`, although there is.
#[cfg(not(target_os = "none"))]
#[must_use]
pub fn spent(what: Scarce) -> bool {
    seam::installed() && seam::with(|machine| machine.spent(what as u32))
}

/// Whether the running task shall find nothing left of `what`, although there is:
/// on a board never.
#[cfg(target_os = "none")]
#[must_use]
pub const fn spent(_: Scarce) -> bool {
    false
}
