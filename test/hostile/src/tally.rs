//! What was answered, by what was tried.

use dsp_abi::monitor::Status;
use gate::Refusal;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Places for statuses and for the gate's codes, the last for all that are none.
const STATUSES: usize = 7;
const CODES: usize = 17;

/// What is tried.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Attempt {
    /// Nothing, for want of a session to try it with.
    WithoutSession = 1,
    /// A TRB whose buffer is not the session's.
    ForeignBuffer,
    /// A TRB for another interrupter.
    ForeignInterrupter,
    /// A TRB of a type that a transfer ring never holds, or not there.
    ForeignType,
    /// A TRB with its data in it.
    ImmediateData,
    /// A chain that goes on behind what is published.
    ChainWithoutEnd,
    /// A TRB with the consumer's cycle bit.
    ForeignCycle,
    /// More bytes than the endpoint moves.
    TooMuch,
    /// A Link that leads elsewhere.
    LinkElsewhere,
    /// A wrong TRB behind right ones.
    WrongBehindRight,
    /// Places where the ring does not go on.
    PlacesElsewhere,
    /// No TRB, or more than a ring has.
    Counts,
    /// A ring that the session does not have.
    NoRing,
    /// A session that is none of the program's.
    ForeignSession,
    /// A dequeue pointer outside the event ring.
    DequeueOutside,
    /// A call that there is not.
    NoSuchCall,
    /// A datagram that is too long.
    LongDatagram,
    /// A datagram from another node.
    ForeignSource,
    /// A search for what is no event ring.
    NoEventRing,
    /// A call that may be made.
    AllowedCall,
    /// A dequeue pointer inside the event ring.
    DequeueInside,
    /// A datagram that may be sent.
    Datagram,
}

/// An attempt that had another end than it must have.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Surprise {
    /// An [`Attempt`].
    pub attempt: u32,
    /// The [`Status`] that it must have had.
    pub status: u32,
    /// The gate's code that it must have had; 0 = any.
    pub code: u32,
    /// What it was answered.
    pub answer: [u32; 4],
}

/// What one life of the program was answered.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Tally {
    /// Calls by the status of their answer.
    statuses: [u32; STATUSES],
    /// Refused calls by the gate's code.
    codes: [u32; CODES],
    /// Attempts that the gate would have refused, had it not been closed.
    pub closed: u32,
    /// Datagrams that went out.
    pub sent: u32,
    /// Datagrams that found no room.
    pub full: u32,
    /// Accesses anywhere that were let through.
    pub reached: u32,
    /// Calls of the program's own that the gate refused: what it goes on with after its
    /// attempts stands in rings that they wrote to.
    pub own: u32,
    /// Attempts that had another end than they must have.
    pub surprises: u32,
    /// The first of them.
    pub first: Surprise,
}

impl Tally {
    /// Attempts that were answered.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.statuses.iter().sum()
    }

    /// Answers of this status.
    #[must_use]
    pub const fn answered(&self, status: Status) -> u32 {
        self.statuses[status as usize]
    }

    /// Refusals with this code of the gate.
    #[must_use]
    pub const fn refused(&self, code: Refusal) -> u32 {
        self.codes[code as usize]
    }

    /// Calls that the monitor has to have counted: all that were answered but what
    /// happens to the best of programs.
    #[must_use]
    pub fn wrong(&self) -> u32 {
        let fine = [Status::Ok, Status::Closed, Status::MailFull];
        let wrong = self.total() - fine.map(|status| self.answered(status)).iter().sum::<u32>();
        wrong + self.own
    }

    /// Takes the answer to an attempt that must have been answered `status`, and
    /// if a code is given with that.
    pub(crate) fn note(
        &mut self,
        attempt: Attempt,
        answer: [u32; 4],
        status: Status,
        code: Option<Refusal>,
    ) {
        let place = |number: u32, places: usize| (number as usize).min(places - 1);
        self.statuses[place(answer[0], STATUSES)] += 1;
        if answer[0] == Status::Refused as u32 {
            self.codes[place(answer[1], CODES)] += 1;
        }
        if answer[0] == Status::Closed as u32 && status == Status::Refused {
            self.closed += 1;
            return;
        }
        let code = code.map_or(0, |code| code as u32);
        if answer[0] != status as u32 || (code != 0 && answer[1] != code) {
            self.surprised(Surprise {
                attempt: attempt as u32,
                status: status as u32,
                code,
                answer,
            });
        }
    }

    pub(crate) fn surprised(&mut self, surprise: Surprise) {
        if self.surprises == 0 {
            self.first = surprise;
        }
        self.surprises += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, CODES, STATUSES, Surprise, Tally};
    use dsp_abi::monitor::Status;
    use gate::Refusal;

    #[test]
    fn answers_are_counted_and_the_first_that_surprises_is_kept() {
        let mut tally = Tally::default();
        let refused = [Status::Refused as u32, Refusal::Buffer as u32, 0, 0];
        tally.note(Attempt::ForeignBuffer, refused, Status::Refused, Some(Refusal::Buffer));
        tally.note(Attempt::TooMuch, refused, Status::Refused, None);
        assert_eq!((tally.surprises, tally.refused(Refusal::Buffer)), (0, 2));
        tally.note(Attempt::ForeignCycle, refused, Status::Refused, Some(Refusal::Cycle));
        tally.note(Attempt::NoSuchCall, [0; 4], Status::BadCall, None);
        let first = Surprise {
            attempt: Attempt::ForeignCycle as u32,
            status: Status::Refused as u32,
            code: Refusal::Cycle as u32,
            answer: refused,
        };
        assert_eq!((tally.surprises, tally.first), (2, first));
        assert_eq!((tally.total(), tally.wrong()), (4, 3));
    }

    #[test]
    fn a_gate_that_was_closed_meanwhile_is_no_surprise() {
        let mut tally = Tally::default();
        let closed = [Status::Closed as u32, 0, 0, 0];
        tally.note(Attempt::ForeignBuffer, closed, Status::Refused, Some(Refusal::Buffer));
        assert_eq!((tally.surprises, tally.closed, tally.wrong()), (0, 1, 0));
        tally.note(Attempt::AllowedCall, closed, Status::Ok, None);
        assert_eq!(tally.surprises, 1);
    }

    #[test]
    fn every_status_and_every_code_has_a_place_and_so_has_nonsense() {
        assert!((Status::BadDatagram as usize) < STATUSES - 1);
        assert!((Refusal::Dequeue as usize) < CODES - 1);
        let mut tally = Tally::default();
        tally.note(Attempt::NoRing, [u32::MAX; 4], Status::Ok, None);
        assert_eq!((tally.total(), tally.wrong(), tally.surprises), (1, 1, 1));
    }
}
