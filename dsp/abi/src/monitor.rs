//! Calls of the DSP program to its monitor, and the program's address space.
//!
//! A call has a number and up to five arguments, six words in all, and answers
//! four words: a [`Status`] first.

use crate::SESSIONS;
use addr::Peer;

/// What a call asks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Call {
    /// Wait until an event bit is set or the time (ns, low word, high word) has
    /// come; all ones = no time. Answers the bits, which are thereby taken.
    Wait = 0,
    /// The time in ns: low word, high word.
    Now = 1,
    /// Send the datagram of `arg1` bytes that stands at [`MAIL_OUT`]. The QRTR
    /// source node and port are checked.
    MailSend = 2,
    /// Take the next datagram to [`MAIL_IN`]; answers its length, 0 for none.
    MailReceive = 3,
    /// Publish TRBs: session, ring (0 data, 1 sync), first index, count.
    Publish = 4,
    /// Ring the doorbell: session, ring.
    Doorbell = 5,
    /// Move the event ring's dequeue pointer: session, index of the first
    /// event not yet consumed. Clears EHB.
    Dequeue = 6,
    /// Which session has the event ring at peer address `arg1`: how the program
    /// finds the session number for a QMI response.
    FindSession = 7,
}

impl TryFrom<u32> for Call {
    type Error = ();

    fn try_from(number: u32) -> Result<Self, ()> {
        Ok(match number {
            0 => Self::Wait,
            1 => Self::Now,
            2 => Self::MailSend,
            3 => Self::MailReceive,
            4 => Self::Publish,
            5 => Self::Doorbell,
            6 => Self::Dequeue,
            7 => Self::FindSession,
            _ => return Err(()),
        })
    }
}

/// First word of every answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such call.
    BadCall = 1,
    /// The session's gate is closed: stop using it.
    Closed = 2,
    /// The gate refuses; the second word is its code. The session is reported.
    Refused = 3,
    /// The mailbox is full; try again after [`EVENT_MAIL`].
    MailFull = 4,
    /// A datagram that is too long or carries a foreign source.
    BadDatagram = 5,
}

/// Event bit: datagrams came, or a full mailbox has room again.
pub const EVENT_MAIL: u32 = 1 << 0;
/// Event bit: the time of [`Call::Wait`] has come.
pub const EVENT_TIME: u32 = 1 << 1;
/// Event bit: some session's gate opened or closed.
pub const EVENT_GATE: u32 = 1 << 2;

/// Event bit: the interrupter of session `n` rang.
#[must_use]
pub const fn event_ring(n: usize) -> u32 {
    1 << (8 + n)
}

const _: () = assert!(8 + SESSIONS <= 32);

/// End of the part of the peer's space that `iommu` maps (from address 0).
pub const PEER_END: Peer = Peer(16 << 20);
/// Where the program writes a datagram to be sent: its own memory.
pub const MAIL_OUT: Peer = Peer(0x0180_0000);
/// Where the monitor puts a received datagram: the program's memory.
pub const MAIL_IN: Peer = Peer(0x0180_0800);
/// Where the media pool appears, read-only.
pub const MEDIA: Peer = Peer(0x0200_0000);
/// Where the recording pool appears: what the program records goes there.
pub const RECORDING: Peer = Peer(0x0600_0000);
/// Bytes of the recording pool that the program counts on: 5.4 s of 48 kHz, mono,
/// 16 bits.
pub const RECORDING_BYTES: u32 = 128 * addr::PAGE;
