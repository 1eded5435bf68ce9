//! The port service: how the broker's backend tells the DSP to play.
//!
//! Framing is ours (upstream uses AFE parameters 0x102A5, 0x102AA, 0x102B7 and
//! 0x102A4 for the same facts). The DSP offers the service by QRTR; each
//! message is one datagram of one of these records.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// QRTR service number of the port service.
pub const SERVICE: u32 = 0x534F;
/// QRTR instance word: version 1, instance 0.
pub const INSTANCE: u32 = 1;

/// What a record is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Broker to DSP: play on the stream that the token names.
    Start = 1,
    /// Broker to DSP: stop playing on it.
    Stop = 2,
    /// DSP to broker: the stream was granted, and its first packet goes out two
    /// frames from now.
    Started = 3,
    /// DSP to broker: played to the end, or stopped, or refused.
    Done = 4,
    /// Broker to DSP: say again how it is; what was said may be lost. A
    /// [`Kind::Start`] that was said before asks the same.
    Ask = 5,
}

/// How a stream ended; in [`Message::result`] of [`Kind::Done`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Ending {
    /// All frames were handed to the controller and completed.
    Played = 0,
    /// [`Kind::Stop`] came first.
    Stopped = 1,
    /// The enable request was refused.
    Refused = 2,
    /// The session was taken away while it ran.
    Revoked = 3,
    /// The start itself makes no sense to the DSP (media header, format).
    BadStart = 4,
    /// It already plays as many streams as it can.
    Busy = 5,
    /// The DSP knows nothing of it: its program began anew since.
    Forgotten = 6,
    /// Its device was suspended.
    Suspended = 7,
}

/// A record of the port service.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Message {
    /// A [`Kind`].
    pub kind: u32,
    /// Chosen by the broker, echoed by the DSP.
    pub cookie: u32,
    /// Card, pcm and direction as in QMI: bits 31:16, 15:8, 7:0.
    pub token: u32,
    /// Frames per second.
    pub rate: u32,
    /// The QMI audio format code (0 to 17).
    pub format: u32,
    /// Samples per frame.
    pub channels: u32,
    /// Service interval to ask for, in microseconds.
    pub interval_us: u32,
    /// Frames to play from the start of the PCM in the media pool.
    pub frames: u32,
    /// Transfer buffer to ask for, in bytes.
    pub buffer_bytes: u32,
    /// For [`Kind::Done`], an [`Ending`].
    pub result: u32,
    /// For [`Kind::Done`], frames that the controller took.
    pub played: u32,
    /// For [`Kind::Done`], underruns.
    pub underruns: u32,
}
