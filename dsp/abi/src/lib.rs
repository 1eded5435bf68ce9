//! What the DSP and the application core share: pages, bells, calls, datagrams.
//!
//! Every shared page has one writer. Words are little-endian, because both
//! cores are. A reader copies a record once and checks the copy; the DSP
//! program's words are hostile, the monitor's are not.

#![no_std]

pub mod bell;
pub mod control;
pub mod mailbox;
pub mod media;
pub mod monitor;
pub mod port;

/// Sessions that can be live at once: gate entries, windows and the DSP's
/// event bits have this many places. More is refused by the broker.
pub const SESSIONS: usize = 8;
