//! Tickets: operations that depend on what is outside, under way.
//!
//! DSP, device and bus answer when they like, so an operation that needs them
//! is `start(args) -> Ticket`, a notification, `result(ticket)`. A server keeps
//! its tickets here: bounded per client, so that none can take all; cancelled
//! at will; gone with the incarnation that started them. What the server must
//! remember of the work (its deadline among it) is the table's `W`.

use crate::{Epoch, Handle, HandleError, Table};
use abi::TaskId;
use scarce::{Scarce, spent};

#[derive(Clone, Debug, Hash)]
enum State<W, R> {
    Pending(W),
    Done(R),
}

/// Up to `N` operations with their work `W` and result `R`, at most `EACH` of
/// one client, named by handles of type `H`.
#[derive(Clone, Debug, Hash)]
pub struct Tickets<W, R, H, const N: usize, const EACH: usize> {
    table: Table<State<W, R>, H, N>,
}

/// Why no ticket was given out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TicketRefused {
    /// The client has as many tickets as one client may: collect or cancel one.
    TooManyOfClient,
    /// The server has no place for another: try later.
    TooMany,
}

/// What a client gets for its ticket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// Not yet: wait for the notification.
    Pending,
    /// The result; the ticket is spent.
    Done(R),
}

/// What a cancelled ticket stood for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Cancelled<W, R> {
    /// Work that was under way: the server stops it or lets it run out.
    Pending(W),
    /// A result that nobody fetched: the server undoes what it granted.
    Done(R),
}

impl<W, R> From<State<W, R>> for Cancelled<W, R> {
    fn from(state: State<W, R>) -> Self {
        match state {
            State::Pending(work) => Self::Pending(work),
            State::Done(result) => Self::Done(result),
        }
    }
}

impl<W, R, H: Handle, const N: usize, const EACH: usize> Tickets<W, R, H, N, EACH> {
    /// No tickets, of a server in its life `epoch`.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        const { assert!(EACH > 0 && EACH <= N, "a client's share is part of the whole") };
        Self { table: Table::new(epoch) }
    }

    /// A ticket for `work` that `owner` asked for.
    ///
    /// # Errors
    /// See [`TicketRefused`].
    pub fn start(&mut self, owner: TaskId, work: W) -> Result<H, TicketRefused> {
        if self.table.iter().filter(|&(_, who, _)| who == owner).count() >= EACH {
            return Err(TicketRefused::TooManyOfClient);
        }
        self.table.put(owner, State::Pending(work)).map_err(|_| TicketRefused::TooMany)
    }

    /// Whether `owner` could start one more: for a server that must know
    /// before it touches the hardware.
    ///
    /// # Errors
    /// See [`TicketRefused`].
    pub fn room_for(&self, owner: TaskId) -> Result<(), TicketRefused> {
        if self.table.iter().filter(|&(_, who, _)| who == owner).count() >= EACH {
            Err(TicketRefused::TooManyOfClient)
        } else if self.table.len() >= N || spent(Scarce::Ticket) {
            Err(TicketRefused::TooMany)
        } else {
            Ok(())
        }
    }

    /// The work behind a ticket that is still pending; for the server.
    pub fn work(&mut self, ticket: H) -> Option<&mut W> {
        match self.table.find_mut(ticket) {
            Ok((_, State::Pending(work))) => Some(work),
            _ => None,
        }
    }

    /// Every ticket that is still pending, its owner and its work.
    pub fn pending(&mut self) -> impl Iterator<Item = (H, TaskId, &mut W)> {
        self.table.iter_mut().filter_map(|(ticket, owner, state)| match state {
            State::Pending(work) => Some((ticket, owner, work)),
            State::Done(_) => None,
        })
    }

    /// Ends the work behind a ticket. Whom to hint and what the work was;
    /// `None` when nobody waits any more (cancelled, or its client died), and
    /// then the result is handed back for the server to undo.
    ///
    /// # Errors
    /// The result, when nobody waits for it.
    pub fn finish(&mut self, ticket: H, result: R) -> Result<(TaskId, W), R> {
        match self.table.find_mut(ticket) {
            Ok((owner, state @ State::Pending(_))) => {
                match core::mem::replace(state, State::Done(result)) {
                    State::Pending(work) => Ok((owner, work)),
                    State::Done(result) => Err(result),
                }
            }
            _ => Err(result),
        }
    }

    /// The result of a ticket, for the client that holds it; a result is given
    /// once.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn result(&mut self, ticket: H, caller: TaskId) -> Result<Outcome<R>, HandleError> {
        if let State::Pending(_) = self.table.get(ticket, caller)? {
            return Ok(Outcome::Pending);
        }
        Ok(match self.table.take(ticket)? {
            State::Pending(_) => Outcome::Pending,
            State::Done(result) => Outcome::Done(result),
        })
    }

    /// Drops a ticket of `caller`.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn cancel(&mut self, ticket: H, caller: TaskId) -> Result<Cancelled<W, R>, HandleError> {
        self.table.remove(ticket, caller).map(Cancelled::from)
    }

    /// Takes out one ticket of the incarnation `owner`, which died; call until
    /// there is none.
    pub fn take_owned(&mut self, owner: TaskId) -> Option<(H, Cancelled<W, R>)> {
        self.table.take_owned(owner).map(|(ticket, state)| (ticket, state.into()))
    }

    /// Tickets given out and not yet spent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no ticket is out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}
