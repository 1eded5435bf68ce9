//! What generated IPC servers and clients run on.
//!
//! A server implements the trait that `build/idol` generated from its `.idol`
//! file and [`NotificationHandler`], and hands itself to [`dispatch`]. Its
//! clients use the generated client type. What is here is what both generated
//! sides share: the loop, leases as a server sees them, errors, and the way a
//! client survives the death of its server.
//!
//! Servers answer in order: one message is answered before the next is taken.
//! Whatever takes longer is a ticket (`lib/handles`), not a late reply.

#![no_std]

pub mod client;
mod dispatch;
mod error;
mod lease;
pub mod server;

pub use dispatch::{NotificationHandler, Server, dispatch};
pub use error::{CLikeError, ClientError, IdolError, RequestError, ServerDeath};
pub use lease::{AttributeRead, AttributeWrite, Attributes, Leased, LenLimit, R, RW, W};

// What generated code names, so that the crates that include it need not.
pub use num_traits::FromPrimitive;
pub use packed::largest;
pub use {packed, userlib, zerocopy};

/// A `bool` out of the byte it travels as.
#[must_use]
#[inline]
pub const fn bool_from_byte(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
