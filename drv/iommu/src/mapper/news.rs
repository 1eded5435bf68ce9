//! Tickets, faults and deaths: what clients have to be told.

use abi::TaskId;
use addr::Bus;
use iommu_api::{Event, GrantHandle, IommuError, TicketHandle};

use super::peer_side::Taker;
use super::{Mapper, code};
use crate::peer::Sequence;
use crate::window::{Blocked, Flush, Life};

impl Mapper<'_> {
    /// How a ticket's operation ended.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn result(&mut self, caller: TaskId, ticket: TicketHandle) -> Result<(), IommuError> {
        match self.tickets.result(ticket, caller).map_err(code)? {
            handles::Outcome::Pending => Err(IommuError::NotYet),
            handles::Outcome::Done(result) => {
                for ended in &mut self.ended {
                    if ended.is_some_and(|(_, ended)| ended == ticket) {
                        *ended = None;
                    }
                }
                result
            }
        }
    }

    /// The caller's next piece of news.
    pub fn pull(&mut self, caller: TaskId) -> Event {
        for ended in &mut self.ended {
            if let Some((_, ticket)) = ended.take_if(|(owner, _)| *owner == caller) {
                return Event::TicketDone(ticket);
            }
        }
        for (handle, owner, window) in self.windows.iter_mut() {
            if owner == caller
                && let Some(fault) = untold(&mut window.fault)
            {
                return Event::WindowFault { window: handle, at: fault.at, write: fault.write };
            }
        }
        for controller in self.controllers.iter_mut().flatten() {
            if usize::from(controller.driver) == caller.index()
                && let Some(fault) = untold(&mut controller.fault)
            {
                return Event::ControllerFault { at: fault.at, write: fault.write };
            }
        }
        Event::None
    }

    /// The SMMU rang. Every record that is there is attributed; whether the
    /// interrupt may be let through again: after a fault that somebody has to
    /// act on it stays masked until what faulted is gone.
    pub fn faulted(&mut self) -> bool {
        self.smmu.acknowledge_errors();
        while let Some(record) = self.smmu.next_record() {
            self.faults = self.faults.wrapping_add(1);
            let Some((number, _)) = self
                .controllers
                .iter()
                .flatten()
                .enumerate()
                .find(|(_, controller)| controller.domain.stream() == record.stream)
            else {
                // A function that the image gives to nobody: counted, blocked.
                continue;
            };
            self.attribute(number, record.at, record.write);
        }
        self.masked = self.anything_faulted();
        !self.masked
    }

    /// Whether the fault interrupt must stay masked.
    #[must_use]
    pub const fn is_masked(&self) -> bool {
        self.masked
    }

    /// The incarnation `old` of a client died: nobody uses what it held.
    pub fn died(&mut self, old: TaskId, now: u64) {
        while self.tickets.take_owned(old).is_some() {}
        for ended in &mut self.ended {
            ended.take_if(|(owner, _)| *owner == old);
        }
        for (_, owner, window) in self.windows.iter_mut() {
            if owner == old && window.life == Life::Open {
                window.life = Life::Orphan;
            }
        }
        self.take_orphans_from_peer(now);
        while let Some(grant) = self.grant_of(old) {
            self.end_grant(grant, now);
        }
        self.reap();
    }

    /// The tasks that there is news for, by index; asking clears them.
    pub fn take_hints(&mut self) -> impl Iterator<Item = u16> + use<> {
        let mut hints = core::mem::take(&mut self.hints);
        core::iter::from_fn(move || {
            if hints == 0 {
                return None;
            }
            let index = hints.trailing_zeros();
            hints &= hints - 1;
            Some(index as u16)
        })
    }

    /// A ticket for what waits for `flush`; one that is done at once when there
    /// is nothing to wait for.
    pub(super) fn start(
        &mut self,
        owner: TaskId,
        flush: Option<Flush>,
    ) -> Result<TicketHandle, IommuError> {
        let sequence = flush.map_or(Sequence(0), |flush| flush.sequence);
        let ticket = self.tickets.start(owner, sequence).map_err(|_| IommuError::NoTickets)?;
        if flush.is_none() {
            self.end_ticket(ticket, Ok(()));
        }
        Ok(ticket)
    }

    /// Ends the tickets that wait for requests up to `highest`.
    pub(super) fn end_tickets(&mut self, highest: Sequence, result: Result<(), IommuError>) {
        loop {
            let covered = self
                .tickets
                .pending()
                .find_map(|(ticket, _, sequence)| sequence.covered_by(highest).then_some(ticket));
            let Some(ticket) = covered else { return };
            self.end_ticket(ticket, result);
        }
    }

    fn end_ticket(&mut self, ticket: TicketHandle, result: Result<(), IommuError>) {
        if let Ok((owner, _)) = self.tickets.finish(ticket, result) {
            // There is a place for each ticket there can be.
            if let Some(place) = self.ended.iter_mut().find(|place| place.is_none()) {
                *place = Some((owner, ticket));
            }
            self.hint(owner.index());
        }
    }

    /// A grant of `owner` that is not ending yet.
    fn grant_of(&self, owner: TaskId) -> Option<GrantHandle> {
        let mut grants = self.grants.iter();
        grants.find_map(|(handle, who, grant)| (who == owner && !grant.ending).then_some(handle))
    }

    fn take_orphans_from_peer(&mut self, now: u64) {
        let mut orphans = [None; dsp_abi::SESSIONS];
        for (place, (handle, _, window)) in orphans.iter_mut().zip(self.windows.iter()) {
            *place = (window.life == Life::Orphan).then_some(handle);
        }
        self.take_from_peer(now, Taker::Opener, &|handle, _| orphans.contains(&Some(handle)));
    }

    fn attribute(&mut self, number: usize, at: Bus, write: bool) {
        let fault = Blocked { at, write, told: false };
        let found = self.windows.iter_mut().find_map(|(_, owner, window)| {
            (window.controller == number && window.covers(at)).then_some((owner, window))
        });
        if let Some((owner, window)) = found {
            if window.fault.is_none() {
                window.fault = Some(fault);
                let live = window.life == Life::Open;
                if live {
                    self.hint(owner.index());
                }
            }
            return;
        }
        let Some(controller) = &mut self.controllers[number] else { return };
        if controller.fault.is_none() {
            controller.fault = Some(fault);
            let driver = usize::from(controller.driver);
            self.hint(driver);
        }
    }

    pub(super) fn anything_faulted(&self) -> bool {
        self.windows.iter().any(|(_, _, window)| window.fault.is_some())
            || self.controllers.iter().flatten().any(|controller| controller.fault.is_some())
    }

    /// What faulted is gone. Records that came meanwhile are of its making: they
    /// are counted and say nothing more.
    pub(super) fn unmask(&mut self) {
        while self.smmu.next_record().is_some() {
            self.faults = self.faults.wrapping_add(1);
        }
        self.smmu.acknowledge_errors();
        self.masked = false;
    }

    fn hint(&mut self, index: usize) {
        self.hints |= 1 << index;
    }
}

fn untold(fault: &mut Option<Blocked>) -> Option<Blocked> {
    let fault = fault.as_mut().filter(|fault| !fault.told)?;
    fault.told = true;
    Some(*fault)
}
