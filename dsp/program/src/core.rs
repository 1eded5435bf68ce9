//! The core under the program: its monitor, and its view of memory.
//!
//! On a board a monitor call is a supervisor call and memory is memory; on a
//! host both go to the simulator. Tests put a core of their own here.

use addr::Peer;
use dsp_abi::monitor::{Call, Status};
use trb::{RingMemory, TRB_BYTES};
use zerocopy::IntoBytes;

/// What the program runs on.
pub trait Core {
    /// A call of the monitor; four words come back, a [`Status`] first.
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4];

    /// Reads the program's address space.
    fn read(&self, at: Peer, into: &mut [u8]);

    /// Writes the program's address space.
    fn write(&self, at: Peer, from: &[u8]);
}

/// Why the monitor did not do what was asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The session's gate is closed: it is over.
    Closed,
    /// The gate found something wrong with what we asked for.
    Refused(u32),
    /// The mailbox is full.
    MailFull,
    /// The monitor does not know the call, or the datagram.
    Nonsense,
}

/// The words behind the status, or what the status says.
pub(crate) fn answer(words: [u32; 4]) -> Result<[u32; 3], Denied> {
    let [status, rest @ ..] = words;
    match status {
        status if status == Status::Ok as u32 => Ok(rest),
        status if status == Status::Closed as u32 => Err(Denied::Closed),
        status if status == Status::Refused as u32 => Err(Denied::Refused(rest[0])),
        status if status == Status::MailFull as u32 => Err(Denied::MailFull),
        _ => Err(Denied::Nonsense),
    }
}

/// The core that the program runs on in the simulator.
#[cfg(not(target_os = "none"))]
#[derive(Debug, Default)]
pub struct Simulated;

#[cfg(not(target_os = "none"))]
impl Core for Simulated {
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4] {
        let [a, b, c, d, e] = arguments;
        seam::with(|machine| machine.monitor([call as u32, a, b, c, d, e]))
    }

    fn read(&self, at: Peer, into: &mut [u8]) {
        seam::with(|machine| machine.peer_read(at.0, into));
    }

    fn write(&self, at: Peer, from: &[u8]) {
        seam::with(|machine| machine.peer_write(at.0, from));
    }
}

/// A page of TRBs in the program's space. The program shares it with its
/// monitor, which has barriers of its own, and reads what a controller wrote
/// only after its monitor told it to, so it needs none here.
#[derive(Debug)]
pub(crate) struct RingPage<'c, C> {
    pub(crate) core: &'c C,
    pub(crate) at: Peer,
}

impl<C> RingPage<'_, C> {
    fn place(&self, at: u16) -> Peer {
        self.at.plus(u64::from(at) * u64::from(TRB_BYTES))
    }
}

impl<C: Core> RingMemory for RingPage<'_, C> {
    fn body(&self, at: u16) -> [u32; 3] {
        let mut words = [0_u32; 3];
        self.core.read(self.place(at), words.as_mut_bytes());
        words
    }

    fn control(&self, at: u16) -> u32 {
        let mut word = [0; 4];
        self.core.read(self.place(at).plus(12), &mut word);
        u32::from_le_bytes(word)
    }

    fn set_body(&self, at: u16, words: [u32; 3]) {
        self.core.write(self.place(at), words.as_bytes());
    }

    fn set_control(&self, at: u16, word: u32) {
        self.core.write(self.place(at).plus(12), &word.to_le_bytes());
    }

    fn publish(&self) {}

    fn acquire(&self) {}
}
