//! What each client was told, and what it has still to hear.
//!
//! News is worked out from what there is and what the client knows, so it
//! cannot pile up. A client that starts late, or is restarted, knows nothing
//! and hears of every card there is; of a vanished one that its number is
//! still taken.

use abi::TaskId;
use usb_audio_api::{Event, StreamHandle, TicketHandle};

use crate::{MAX_CLIENTS, MAX_OPEN, TICKETS_EACH};

#[derive(Copy, Clone, Debug)]
struct Client {
    task: TaskId,
    /// Card numbers that it believes present.
    present: u32,
    /// Card numbers that it was told have vanished.
    vanished: u32,
    /// Tickets that are ready and not told. Spent ones are taken out, so these
    /// are never more than a client can have.
    ready: [Option<TicketHandle>; TICKETS_EACH],
    /// Its streams that have room again.
    room: [Option<StreamHandle>; MAX_OPEN],
    /// Whether it is to be hinted.
    hint: bool,
}

/// The clients, one incarnation of each.
#[derive(Debug)]
pub(crate) struct Clients {
    list: [Option<Client>; MAX_CLIENTS],
}

impl Clients {
    pub(crate) const fn new() -> Self {
        Self { list: [None; MAX_CLIENTS] }
    }

    /// The place of `task`, made if there is one left. An earlier incarnation
    /// of the task makes way for it.
    fn admit(&mut self, task: TaskId) -> Option<&mut Client> {
        let same = |place: &Option<Client>| place.is_some_and(|c| c.task.index() == task.index());
        let place = match self.list.iter().position(same) {
            Some(place) => place,
            None => self.list.iter().position(Option::is_none)?,
        };
        let slot = self.list.get_mut(place)?;
        if slot.is_none_or(|client| client.task != task) {
            *slot = Some(Client {
                task,
                present: 0,
                vanished: 0,
                ready: [None; TICKETS_EACH],
                room: [None; MAX_OPEN],
                hint: false,
            });
        }
        slot.as_mut()
    }

    /// Whether `task` is or can become a client.
    pub(crate) fn knows(&mut self, task: TaskId) -> bool {
        self.admit(task).is_some()
    }

    /// Forgets an incarnation.
    pub(crate) fn forget(&mut self, task: TaskId) {
        for slot in &mut self.list {
            if slot.is_some_and(|client| client.task == task) {
                *slot = None;
            }
        }
    }

    /// The next piece of news; `cards` are the sets of present and of vanished
    /// cards. `None` when there is no place for the client.
    pub(crate) fn pull(&mut self, task: TaskId, cards: (u32, u32)) -> Option<Event> {
        let client = self.admit(task)?;
        client.hint = false;
        let (present, vanished) = cards;
        // A number given out again: its old card is told of first.
        client.vanished &= vanished;
        let gone = (client.present & !present) | (vanished & !client.vanished);
        if gone != 0 {
            let card = gone.trailing_zeros() as u8;
            client.present &= !(1 << card);
            client.vanished |= 1 << card;
            return Some(Event::CardRemoved { card });
        }
        let new = present & !client.present;
        if new != 0 {
            let card = new.trailing_zeros() as u8;
            client.present |= 1 << card;
            return Some(Event::CardAdded { card });
        }
        if let Some(ticket) = client.ready.iter_mut().find_map(Option::take) {
            return Some(Event::TicketDone(ticket));
        }
        Some(client.room.iter_mut().find_map(Option::take).map_or(Event::None, Event::Room))
    }

    /// A card came or went: whoever knows of cards is hinted.
    pub(crate) fn cards_changed(&mut self) {
        for client in self.list.iter_mut().flatten() {
            client.hint = true;
        }
    }

    /// A card's number is free: the next card of that number is a new one.
    pub(crate) fn number_freed(&mut self, card: u8) {
        for client in self.list.iter_mut().flatten() {
            client.vanished &= !(1 << card);
        }
    }

    /// A ticket is ready.
    pub(crate) fn ticket_ready(&mut self, task: TaskId, ticket: TicketHandle) {
        if let Some(client) = self.admit(task) {
            if let Some(place) = client.ready.iter_mut().find(|place| place.is_none()) {
                *place = Some(ticket);
            }
            client.hint = true;
        }
    }

    /// A ticket was spent.
    pub(crate) fn ticket_spent(&mut self, task: TaskId, ticket: TicketHandle) {
        for client in self.list.iter_mut().flatten().filter(|client| client.task == task) {
            client.ready.iter_mut().filter(|place| **place == Some(ticket)).for_each(|place| {
                *place = None;
            });
        }
    }

    /// A stream has room.
    pub(crate) fn room(&mut self, task: TaskId, stream: StreamHandle) {
        if let Some(client) = self.admit(task) {
            let places = &mut client.room;
            if !places.contains(&Some(stream))
                && let Some(place) = places.iter_mut().find(|place| place.is_none())
            {
                *place = Some(stream);
            }
            client.hint = true;
        }
    }

    /// A stream is closed: nothing more of it.
    pub(crate) fn stream_closed(&mut self, stream: StreamHandle) {
        for client in self.list.iter_mut().flatten() {
            client.room.iter_mut().filter(|place| **place == Some(stream)).for_each(|place| {
                *place = None;
            });
        }
    }

    /// One client that is to be hinted; call until there is none.
    pub(crate) fn take_hint(&mut self) -> Option<TaskId> {
        let client = self.list.iter_mut().flatten().find(|client| client.hint)?;
        client.hint = false;
        Some(client.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Generation;

    fn task(index: u16, generation: u8) -> TaskId {
        TaskId::new(index, Generation(generation))
    }

    fn all(clients: &mut Clients, task: TaskId, cards: (u32, u32)) -> Vec<Event> {
        std::iter::from_fn(|| clients.pull(task, cards).filter(|event| *event != Event::None))
            .collect()
    }

    /// D-17: a replay is told once to each life of a client.
    #[test]
    fn a_client_that_starts_late_hears_of_each_card_once() {
        let mut clients = Clients::new();
        let added = |card| Event::CardAdded { card };
        assert_eq!(all(&mut clients, task(6, 0), (0b101, 0)), [added(0), added(2)]);
        assert_eq!(all(&mut clients, task(6, 0), (0b101, 0)), []);
        let gone = [Event::CardRemoved { card: 2 }, added(0)];
        assert_eq!(all(&mut clients, task(6, 1), (0b001, 0b100)), gone);
    }

    #[test]
    fn a_number_that_is_given_out_again_is_told_as_gone_first() {
        let mut clients = Clients::new();
        all(&mut clients, task(6, 0), (1, 0));
        assert_eq!(all(&mut clients, task(6, 0), (0, 1)), [Event::CardRemoved { card: 0 }]);
        clients.number_freed(0);
        assert_eq!(all(&mut clients, task(6, 0), (1, 0)), [Event::CardAdded { card: 0 }]);
        all(&mut clients, task(6, 0), (0, 1));
        assert_eq!(all(&mut clients, task(6, 0), (0, 1)), []);
    }

    #[test]
    fn more_clients_than_there_are_places_for_are_refused() {
        let mut clients = Clients::new();
        for index in 0..MAX_CLIENTS as u16 {
            assert!(clients.knows(task(index, 0)));
        }
        assert!(!clients.knows(task(20, 0)));
        assert!(clients.knows(task(0, 1)), "a new incarnation takes the place of the old");
        clients.forget(task(1, 0));
        assert!(clients.knows(task(20, 0)));
    }
}
