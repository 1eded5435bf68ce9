//! Handles, tickets and the tables that check them.
//!
//! A server names what it lends out (an endpoint, an interrupter, a stream, an
//! operation under way) by a *handle*: a place in a table, the number of times
//! that place was given out, and the server's epoch (its restart count, asked
//! from `jefe` at start). Check and change are one message in the handler of
//! the owner, so a handle is looked up where it is used and nowhere else; one
//! that outlived its object is answered and never touches what took its place.
//!
//! This crate knows nothing of IPC: the caller's [`TaskId`] comes in, an error
//! value goes out, and the server turns that into a code of its own interface.

#![no_std]

mod table;
mod tickets;

pub use table::{Full, Table};
pub use tickets::{Cancelled, Outcome, TicketRefused, Tickets};

#[doc(no_inline)]
pub use abi::TaskId;

/// A server's restart count. Handles of another epoch are stale.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// The three parts that every handle type has.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The place in the server's table.
    pub index: u16,
    /// Which occupant of the place; never 0.
    pub seq: u16,
    /// Which life of the server.
    pub epoch: u32,
}

/// What [`handle!`] declares; a table is made for one kind of handle.
pub trait Handle: Copy {
    /// The handle with these parts.
    fn from_raw(raw: Raw) -> Self;

    /// The handle's parts.
    fn raw(self) -> Raw;
}

/// Why a handle does not name what its holder thinks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum HandleError {
    /// An earlier life of the server gave it out: open anew.
    StaleServer,
    /// What it named is gone: drop it.
    Stale,
    /// What it names belongs to someone else, or to an earlier life of the
    /// caller: the caller is at fault.
    NotOwner,
}

/// Declares handle types.
///
/// Each is eight bytes (`index: u16, seq: u16, epoch: u32`) and travels by
/// packed as well as by zerocopy. The crate that uses the macro needs `packed`
/// and `zerocopy` among its dependencies.
///
/// ```
/// handles::handle! {
///     /// An endpoint that its holder may queue transfers on.
///     pub struct EndpointHandle
/// }
/// ```
#[macro_export]
macro_rules! handle {
    ($($(#[$doc:meta])* $vis:vis struct $name:ident);+ $(;)?) => {$(
        $(#[$doc])*
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, packed::Packed, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(C)]
        $vis struct $name {
            index: u16,
            seq: u16,
            epoch: u32,
        }

        impl $crate::Handle for $name {
            fn from_raw(raw: $crate::Raw) -> Self {
                Self { index: raw.index, seq: raw.seq, epoch: raw.epoch }
            }

            fn raw(self) -> $crate::Raw {
                $crate::Raw { index: self.index, seq: self.seq, epoch: self.epoch }
            }
        }
    )+};
}
