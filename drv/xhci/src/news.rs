//! What a client has not been told yet.
//!
//! News is kept as states, not as a queue, wherever the state can tell it: a
//! port changed however often is one piece of news. Only tickets have an order.

use xhci_api::TicketHandle;

/// Tickets that one client may have.
pub(crate) const TICKETS_EACH: usize = 16;

/// The news of one client that no object of the driver's keeps.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The controller failed.
    pub(crate) died: bool,
    /// The controller is ready.
    pub(crate) ready: bool,
    /// The controller is kept from memory.
    pub(crate) safe: bool,
    ports: [u32; 8],
    tickets: [Option<TicketHandle>; TICKETS_EACH],
}

impl News {
    /// A port's change bits are set.
    pub(crate) const fn port_changed(&mut self, port: u8) {
        self.ports[port as usize / 32] |= 1 << (port % 32);
    }

    /// The lowest port with news, which is thereby told.
    pub(crate) fn take_port(&mut self) -> Option<u8> {
        let (group, bits) = self.ports.iter_mut().enumerate().find(|(_, bits)| **bits != 0)?;
        let bit = bits.trailing_zeros();
        *bits &= *bits - 1;
        Some((group * 32) as u8 + bit as u8)
    }

    /// A ticket is ready.
    ///
    /// # Panics
    /// When more tickets are ready than one client can have.
    pub(crate) fn ticket_done(&mut self, ticket: TicketHandle) {
        let place = self.tickets.iter_mut().find(|place| place.is_none());
        *place.expect("a client has no more tickets than places") = Some(ticket);
    }

    /// The oldest ticket that is ready, which is thereby told.
    pub(crate) fn take_ticket(&mut self) -> Option<TicketHandle> {
        let oldest = self.tickets[0].take()?;
        self.tickets.rotate_left(1);
        Some(oldest)
    }

    /// The ticket is spent: there is nothing to tell of it any more.
    pub(crate) fn forget_ticket(&mut self, ticket: TicketHandle) {
        if let Some(at) = self.tickets.iter().position(|&place| place == Some(ticket)) {
            self.tickets[at] = None;
            self.tickets[at..].rotate_left(1);
        }
    }

    /// The controller runs: whether it was kept from memory before is no news any more.
    pub(crate) const fn controller_ready(&mut self) {
        self.ready = true;
        self.safe = false;
    }

    /// The controller starts over: what was to be told of it is void.
    pub(crate) const fn controller_died(&mut self) {
        self.died = true;
        self.ready = false;
        self.safe = false;
        self.ports = [0; 8];
    }
}

#[cfg(test)]
mod tests {
    use super::{News, TICKETS_EACH};
    use handles::{Handle, Raw};
    use xhci_api::TicketHandle;

    fn ticket(index: u16) -> TicketHandle {
        TicketHandle::from_raw(Raw { index, seq: 1, epoch: 0 })
    }

    #[test]
    fn a_port_is_told_once_however_often_it_changed() {
        let mut news = News::default();
        for port in [255, 1, 40, 1] {
            news.port_changed(port);
        }
        let told: Vec<_> = std::iter::from_fn(|| news.take_port()).collect();
        assert_eq!(told, [1, 40, 255]);
    }

    #[test]
    fn a_controller_that_runs_is_not_told_to_be_kept_from_memory() {
        let mut news = News { safe: true, ..News::default() };
        news.controller_ready();
        assert!(news.ready && !news.safe);
        news.safe = true;
        news.controller_died();
        assert!(news.died && !news.ready && !news.safe);
    }

    #[test]
    fn tickets_are_told_in_the_order_in_which_they_ended_unless_spent() {
        let mut news = News::default();
        for index in 0..TICKETS_EACH as u16 {
            news.ticket_done(ticket(index));
        }
        news.forget_ticket(ticket(0));
        news.forget_ticket(ticket(2));
        news.forget_ticket(ticket(99));
        assert_eq!(news.take_ticket(), Some(ticket(1)));
        assert_eq!(news.take_ticket(), Some(ticket(3)));
        news.ticket_done(ticket(70));
        let rest: Vec<_> = std::iter::from_fn(|| news.take_ticket()).collect();
        assert_eq!((rest.len(), rest.last()), (TICKETS_EACH - 3, Some(&ticket(70))));
    }
}
