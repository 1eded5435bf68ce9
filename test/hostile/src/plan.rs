//! What the program is told to try, and by whom.

use crate::Tally;
use addr::Peer;
use program::core::Core;
use qmi::Token;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Who tells the program what to try, and the core under it.
pub trait Master: Core {
    /// Any call of the monitor, also one that it does not have.
    fn raw(&self, call: [u32; 6]) -> [u32; 4];

    /// What it is to try next; each order is given once.
    fn order(&self) -> Option<Order>;

    /// What this life was answered so far; said after each attempt, because the
    /// next may be its end.
    fn report(&self, tally: &Tally);

    /// An order was carried out to its end.
    fn done(&self, order: &Order);
}

/// What the program does when it has nothing else to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It asks for this stream, which nobody told it to play, and plays so many
    /// frames of the media pool on it.
    Begin(Token, u32),
    /// Calls that must be refused, in every way there is: so many.
    Calls(u32),
    /// Datagrams as fast as they go: so many.
    Mail(u32),
    /// Calls that are allowed, bells among them, as fast as they go: so many.
    Busy(u32),
    /// Dequeue pointers that are inside its event ring, and nonsense: so many.
    Dequeue(u32),
    /// It takes no event any more, and never waits for one again.
    Starve,
    /// It reads a word there.
    Read(Peer),
    /// It writes a word there.
    Write(Peer),
}

/// A plan as words.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Order {
    /// Raised with each order; 0 = none yet.
    pub sequence: u32,
    /// Which plan, from 1 on in the order of [`Plan`].
    pub kind: u32,
    /// How many, or where, or which stream.
    pub argument: u32,
    /// Frames of [`Plan::Begin`].
    pub frames: u32,
    /// Names what is tried of all that could be.
    pub seed: u32,
}

impl Order {
    /// Order number `sequence` to carry out `plan`.
    #[must_use]
    pub const fn new(sequence: u32, plan: Plan, seed: u32) -> Self {
        let (kind, argument, frames) = match plan {
            Plan::Begin(token, frames) => (1, token.0, frames),
            Plan::Calls(count) => (2, count, 0),
            Plan::Mail(count) => (3, count, 0),
            Plan::Busy(count) => (4, count, 0),
            Plan::Dequeue(count) => (5, count, 0),
            Plan::Starve => (6, 0, 0),
            Plan::Read(at) => (7, at.low(), 0),
            Plan::Write(at) => (8, at.low(), 0),
        };
        Self { sequence, kind, argument, frames, seed }
    }

    /// The plan; none of an order that is none.
    #[must_use]
    pub const fn plan(&self) -> Option<Plan> {
        let at = Peer(self.argument as u64);
        Some(match self.kind {
            1 => Plan::Begin(Token(self.argument), self.frames),
            2 => Plan::Calls(self.argument),
            3 => Plan::Mail(self.argument),
            4 => Plan::Busy(self.argument),
            5 => Plan::Dequeue(self.argument),
            6 => Plan::Starve,
            7 => Plan::Read(at),
            8 => Plan::Write(at),
            _ => return None,
        })
    }
}

/// What a board's program has in its memory, as the static `HOSTILE_DESK`, for
/// its master: who writes an order there, its sequence last, and reads what
/// comes of it. All of it is zero at the start of each life, so that an order
/// dies with the life that it ends.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Desk {
    /// The order, written by the master; all else is the program's.
    pub order: Order,
    /// Sequence of the last order that was begun.
    pub begun: u32,
    /// Sequence of the last order that was carried out to its end.
    pub done: u32,
    /// What this life was answered so far.
    pub tally: Tally,
}

#[cfg(test)]
mod tests {
    use super::{Order, Plan};
    use addr::Peer;
    use qmi::Token;

    #[test]
    fn an_order_says_its_plan() {
        let at = Peer(0x4020_0000);
        let plans = [
            Plan::Begin(Token(0x1_0000), 48_000),
            Plan::Calls(3000),
            Plan::Mail(7),
            Plan::Busy(8),
            Plan::Dequeue(9),
            Plan::Starve,
            Plan::Read(at),
            Plan::Write(at),
        ];
        for plan in plans {
            assert_eq!(Order::new(1, plan, 0).plan(), Some(plan));
        }
        assert_eq!(Order::default().plan(), None);
        assert_eq!(Order { kind: 9, ..Order::default() }.plan(), None);
    }
}
