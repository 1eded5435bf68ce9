//! What client, poker and server say to each other.

/// Answer nothing.
pub const EMPTY: u16 = 0;
/// Answer what was sent.
pub const ECHO: u16 = 1;
/// Read the lease, then answer nothing.
pub const READ_LEASE: u16 = 2;
/// Answer, then hint the client: from the poker, which the client sleeps over.
pub const HINT_CLIENT: u16 = 3;
/// Answer when the last interrupt came or the last hint was given: a counter's
/// value, 8 bytes.
pub const WHEN: u16 = 4;

/// Bytes that [`READ_LEASE`] reads.
pub const LEASE: usize = 256;
