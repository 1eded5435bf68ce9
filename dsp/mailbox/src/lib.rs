//! The mailbox: one ring of datagrams each way, in pages that both sides see.
//!
//! Layout and rules are `dsp_abi::mailbox`'s, and the same for both sides: the
//! application core's `dsp_link` and the DSP's monitor run this code, each with
//! a [`Memory`] in which its own page comes first. A side writes its page only:
//! the outgoing ring, and how far it has read the incoming one. Everything on
//! the other page is hostile: it is copied once, and the copy is checked. What
//! makes no sense is counted and never followed; a head that claims more
//! datagrams than a ring holds closes the ring until it makes sense again.
//!
//! Not here: what is in a datagram, and the bells.

#![no_std]

use core::mem::offset_of;

use dsp_abi::mailbox::{DATAGRAM, Header, SLOTS, slot};
use zerocopy::{FromZeros, IntoBytes};

/// A place in the mailbox: bytes from the start of this side's page.
pub type Offset = u32;

/// This side's page.
const OURS: Offset = 0;
/// The other side's page.
const THEIRS: Offset = addr::PAGE;

/// Bytes in front of a datagram in its slot: length and a reserved word.
const SLOT_HEADER: u32 = 8;

/// The mailbox's two pages, as one side sees them: its own first.
pub trait Memory {
    /// Copies out of the memory.
    fn read(&mut self, at: Offset, into: &mut [u8]);
    /// Copies into the memory.
    fn write(&mut self, at: Offset, from: &[u8]);
    /// Orders earlier writes before later ones.
    fn publish(&mut self);
    /// Orders earlier reads before later ones.
    fn acquire(&mut self);
}

/// What looking at the other side's page showed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing new.
    None,
    /// The other side's present life was seen for the first time; both rings
    /// start anew.
    Seen,
    /// Both sides know each other: datagrams go.
    CameUp,
    /// The other side is gone or has begun a new life: all that was in the
    /// rings is void.
    Lost,
}

/// Why nothing was sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The other side is not up.
    Down,
    /// The ring is full.
    Full,
    /// More bytes than a slot holds.
    TooLong,
}

/// One look into the incoming ring.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing there.
    Empty,
    /// A datagram of this many bytes.
    Datagram(usize),
    /// A slot whose length cannot be; it was skipped.
    BadLength(u32),
    /// The other side's head is further ahead than its ring is long.
    BadHead(u32),
}

/// This side of the mailbox.
#[derive(Clone, Debug, Hash)]
pub struct Mailbox {
    ours: Header,
    /// Both sides have seen each other's present life.
    up: bool,
}

const HEAD: Offset = offset_of!(Header, head) as Offset;
const TAIL: Offset = offset_of!(Header, tail) as Offset;
const EPOCH: Offset = offset_of!(Header, epoch) as Offset;
const SEEN: Offset = offset_of!(Header, seen) as Offset;

impl Mailbox {
    /// Takes the mailbox over: nothing is in either ring, and the other side
    /// has to see life `epoch`, which is not 0, before anything goes.
    pub fn new(memory: &mut impl Memory, epoch: u32) -> Self {
        assert!(epoch != 0, "epoch 0 says that this side is not up");
        let mailbox = Self { ours: Header { epoch, ..Header::default() }, up: false };
        // The old life's head and tail must not be read as the new one's.
        set(memory, EPOCH, 0);
        set(memory, HEAD, 0);
        set(memory, TAIL, 0);
        set(memory, SEEN, 0);
        set(memory, EPOCH, epoch);
        mailbox
    }

    /// Looks at the other side's page. To be called on each bell until it says
    /// [`Change::None`], before anything is sent or received; after any other
    /// answer the bell must be rung, so that the other side looks as well.
    pub fn look(&mut self, memory: &mut impl Memory) -> Change {
        let theirs = theirs(memory);
        if theirs.epoch != self.ours.seen {
            // Once the other side reads that it was seen, it trusts head and tail.
            self.ours.head = 0;
            self.ours.tail = 0;
            self.ours.seen = theirs.epoch;
            set(memory, SEEN, 0);
            set(memory, HEAD, 0);
            set(memory, TAIL, 0);
            set(memory, SEEN, theirs.epoch);
            return if core::mem::take(&mut self.up) { Change::Lost } else { Change::Seen };
        }
        let up = theirs.epoch != 0 && theirs.seen == self.ours.epoch;
        match (core::mem::replace(&mut self.up, up), up) {
            (false, true) => {
                // What the other side wrote before it saw us is read after this.
                memory.acquire();
                Change::CameUp
            }
            (true, false) => Change::Lost,
            _ => Change::None,
        }
    }

    /// Whether datagrams can go either way.
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// Datagrams that can be sent now.
    pub fn room(&self, memory: &mut impl Memory) -> u32 {
        if self.up { SLOTS - self.unread(theirs(memory).tail) } else { 0 }
    }

    /// Puts a datagram into the outgoing ring. The bell is the caller's.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&mut self, memory: &mut impl Memory, datagram: &[u8]) -> Result<(), SendError> {
        if datagram.len() > DATAGRAM {
            return Err(SendError::TooLong);
        }
        if !self.up {
            return Err(SendError::Down);
        }
        if self.room(memory) == 0 {
            return Err(SendError::Full);
        }
        // The slot's old datagram was read out before the tail moved past it.
        memory.acquire();
        let at = OURS + slot(self.ours.head);
        // Not above DATAGRAM.
        let length = datagram.len() as u32;
        memory.write(at, [length, 0].as_bytes());
        memory.write(at + SLOT_HEADER, datagram);
        memory.publish();
        self.ours.head = self.ours.head.wrapping_add(1);
        set(memory, HEAD, self.ours.head);
        Ok(())
    }

    /// Copies the next datagram out of the incoming ring.
    pub fn receive(&mut self, memory: &mut impl Memory, into: &mut [u8; DATAGRAM]) -> Received {
        if !self.up {
            return Received::Empty;
        }
        let theirs = theirs(memory);
        let waiting = theirs.head.wrapping_sub(self.ours.tail);
        if waiting == 0 || theirs.epoch != self.ours.seen {
            return Received::Empty;
        }
        if waiting > SLOTS {
            return Received::BadHead(waiting);
        }
        memory.acquire();
        let at = THEIRS + slot(self.ours.tail);
        let mut length = 0_u32;
        memory.read(at, length.as_mut_bytes());
        let bytes = into.get_mut(..length as usize);
        let received = match bytes {
            Some(bytes) => {
                memory.read(at + SLOT_HEADER, bytes);
                Received::Datagram(length as usize)
            }
            None => Received::BadLength(length),
        };
        // The slot is the other side's again only after it was read.
        memory.acquire();
        self.ours.tail = self.ours.tail.wrapping_add(1);
        set(memory, TAIL, self.ours.tail);
        received
    }

    /// Whether something that can be received waits in the incoming ring.
    pub fn waiting(&self, memory: &mut impl Memory) -> bool {
        let theirs = theirs(memory);
        let waiting = theirs.head.wrapping_sub(self.ours.tail);
        self.up && theirs.epoch == self.ours.seen && (1..=SLOTS).contains(&waiting)
    }

    /// Whether the other side has still to read something of ours.
    pub fn is_unread(&self, memory: &mut impl Memory) -> bool {
        self.up && self.unread(theirs(memory).tail) > 0
    }

    /// Datagrams of ours that the other side has not read, if it says it has
    /// read up to `tail`. A tail that cannot be means a full ring: nothing of
    /// ours is overwritten on the word of one that lies.
    fn unread(&self, tail: u32) -> u32 {
        self.ours.head.wrapping_sub(tail).min(SLOTS)
    }

    /// This side's restart count.
    pub const fn epoch(&self) -> u32 {
        self.ours.epoch
    }
}

fn theirs(memory: &mut impl Memory) -> Header {
    let mut header = Header::new_zeroed();
    memory.read(THEIRS, header.as_mut_bytes());
    header
}

/// Writes one word of our header, ordered before all that comes after.
fn set(memory: &mut impl Memory, word: Offset, value: u32) {
    memory.write(OURS + word, &value.to_le_bytes());
    memory.publish();
}
