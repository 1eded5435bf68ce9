//! The peer's half: mapping, taking away, confirmations, quarantine.

use abi::TaskId;
use addr::Peer;
use iommu_api::{Access, GrantHandle, IommuError, Part, TicketHandle, WindowHandle};

use super::{ASK_AGAIN_MS, CONFIRM_MS, Mapper, code, number_of};
use crate::layout::event_ring;
use crate::peer::{Change, Sequence};
use crate::pools::Missing;
use crate::window::{AtPeer, Flush, Hold, PARTS, index, longest};

/// The deadline of what is waited for without end.
pub(super) const NO_DEADLINE: u64 = u64::MAX;

/// Who takes a part from the peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    /// The opener of the window: it has told the peer, or the peer is gone.
    Opener,
    /// The owner of the pages, by force, or in its place whoever met its death: the
    /// peer knows of nothing yet.
    Owner,
}

impl Mapper<'_> {
    /// Lets the peer see granted pages as a part of the caller's window.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn map_peer(
        &mut self,
        caller: TaskId,
        handle: WindowHandle,
        part: Part,
        grant_handle: GrantHandle,
        access: Access,
    ) -> Result<Peer, IommuError> {
        let window = *self.window_of(caller, handle)?;
        let (_, grant) = self.grants.find(grant_handle).map_err(code)?;
        let grant = *grant;
        if grant.ending {
            return Err(IommuError::Stale);
        }
        if usize::from(grant.grantee) != caller.index() {
            return Err(IommuError::NotGrantee);
        }
        let pages = grant.pages;
        self.pools.check_quarantine(pages)?;
        if pages.count() > longest(part) {
            return Err(IommuError::PartTooLong);
        }
        match window.peer[index(part)] {
            None => {}
            Some(AtPeer { hold: Hold::Lost, .. }) => return Err(IommuError::Quarantined),
            Some(_) => return Err(IommuError::AlreadyMapped),
        }
        // Event ring and buffer are the same pages on both sides; of a transfer
        // ring the peer gets the shadow and never the real one.
        let shared = matches!(part, Part::EventRing | Part::Buffer);
        if window.bus[index(part)].is_some_and(|bus| shared != (bus.pages == pages)) {
            return Err(IommuError::BadPages);
        }
        self.pools.map_peer(pages)?;
        let at = match part {
            Part::EventRing => Ok(Peer(event_ring(number_of(handle)))),
            Part::DataRing | Part::SyncRing => self.peer_rings.allocate(pages.bytes()),
            Part::Buffer => self.peer_buffers.allocate(pages.bytes()),
        };
        let Ok(at) = at else {
            self.pools.unmap_peer(pages);
            return Err(IommuError::NoAddresses);
        };
        let access = if part == Part::EventRing { Access::Read } else { access };
        self.peer.map(at, self.pools.phys(pages), pages.count(), access);
        let (_, grant) = self.grants.find_mut(grant_handle).map_err(code)?;
        grant.mapped += 1;
        let placed = AtPeer { at, pages, grant: grant_handle, hold: Hold::Mapped };
        self.window(handle)?.peer[index(part)] = Some(placed);
        self.write_windows();
        Ok(at)
    }

    /// Takes every part of the caller's window from the peer.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn start_unmap_peer(
        &mut self,
        caller: TaskId,
        handle: WindowHandle,
        now: u64,
    ) -> Result<TicketHandle, IommuError> {
        self.window_of(caller, handle)?;
        self.tickets.room_for(caller).map_err(|_| IommuError::NoTickets)?;
        let fresh = self.take_from_peer(now, Taker::Opener, &|window, _| window == handle);
        // What an earlier request took away is waited for too.
        let under_way = self.window(handle)?.peer.iter().flatten().find_map(AtPeer::flush);
        self.start(caller, fresh.or(under_way))
    }

    /// Takes the parts that `which` picks from the peer. The answer is the
    /// request that has to be confirmed; `None` when there was nothing to take.
    pub(super) fn take_from_peer(
        &mut self,
        now: u64,
        taker: Taker,
        which: &dyn Fn(WindowHandle, &AtPeer) -> bool,
    ) -> Option<Flush> {
        let takes = |handle, part: &AtPeer| {
            let is_there = match part.hold {
                Hold::Mapped => true,
                Hold::Replaced(_) | Hold::Empty => taker == Taker::Opener,
                Hold::Leaving(_) | Hold::Emptied(_) | Hold::Lost => false,
            };
            is_there && which(handle, part)
        };
        let mut any = false;
        for (handle, _, window) in self.windows.iter() {
            for part in window.peer.iter().flatten() {
                if takes(handle, part) {
                    self.peer.unmap(part.at, part.pages.count(), taker == Taker::Owner);
                    any = true;
                }
            }
        }
        if !any {
            return None;
        }
        // The window page goes first, so that one request covers both.
        let sequence = self.peer.next_request();
        let flush = Flush { sequence, deadline: now + CONFIRM_MS };
        for (handle, _, window) in self.windows.iter_mut() {
            for part in window.peer.iter_mut().flatten() {
                if takes(handle, part) {
                    part.hold = match (taker, part.hold) {
                        (Taker::Owner, _) => Hold::Replaced(flush),
                        (Taker::Opener, Hold::Empty) => Hold::Emptied(flush),
                        (Taker::Opener, _) => Hold::Leaving(flush),
                    };
                }
            }
        }
        for (handle, _, window) in self.windows.iter() {
            self.peer.write_window(number_of(handle), &window.entry());
        }
        let asked = self.peer.request();
        debug_assert_eq!(asked, sequence);
        self.ask_again = Some(now + ASK_AGAIN_MS);
        Some(flush)
    }

    /// Looks at what the monitor has confirmed: on its bell, and before a
    /// deadline counts.
    pub fn confirmed(&mut self) {
        let (done, change) = self.peer.done();
        if change == Change::Reset {
            self.after_reset();
        }
        if let Some(done) = done {
            self.settle(|flush| flush.sequence.covered_by(done), true);
        }
        if self.flushes().next().is_none() {
            self.ask_again = None;
        }
        self.reap();
    }

    /// Rings again for confirmations that are late, and gives up on those whose
    /// deadline has passed.
    pub fn expire(&mut self, now: u64) {
        self.confirmed();
        if self.ask_again.take_if(|at| *at <= now).is_some() {
            self.peer.ring();
        }
        let late = |flush: &Flush| flush.deadline <= now;
        if self.flushes().any(|flush| late(&flush)) {
            self.settle(late, false);
            self.reap();
        }
    }

    /// When [`Self::expire`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let deadlines = self.flushes().map(|flush| flush.deadline);
        deadlines.filter(|&at| at != NO_DEADLINE).chain(self.ask_again).min()
    }

    fn flushes(&self) -> impl Iterator<Item = Flush> {
        let parts = self.windows.iter().flat_map(|(_, _, window)| window.peer.iter().flatten());
        parts.filter_map(AtPeer::flush).chain(self.earlier)
    }

    /// The DSP was reset: it holds nothing that was taken from it and not
    /// confirmed in time. What is leaving it may have picked up since.
    fn after_reset(&mut self) {
        for (_, _, window) in self.windows.iter_mut() {
            for (&part, slot) in PARTS.iter().zip(&mut window.peer) {
                if let Some(lost) = slot.take_if(|held| held.hold == Hold::Lost) {
                    release(&mut self.peer_rings, &mut self.peer_buffers, part, &lost);
                }
            }
        }
        self.pools.release_quarantine(Missing::Peer);
        // It starts from the tables and the page as they are.
        self.peer.request();
    }

    /// Ends what waits for the requests that `which` picks: `confirmed`, or not.
    fn settle(&mut self, which: impl Fn(&Flush) -> bool, confirmed: bool) {
        let mut highest: Option<Sequence> = None;
        let mut cover = |sequence: Sequence| {
            if highest.is_none_or(|highest| highest.covered_by(sequence)) {
                highest = Some(sequence);
            }
        };
        if let Some(earlier) = self.earlier.take_if(|earlier| confirmed && which(earlier)) {
            cover(earlier.sequence);
        }
        if let Some(earlier) = &mut self.earlier
            && which(earlier)
        {
            // Not confirmed: nothing can be mapped for the peer until the DSP
            // was reset or answers after all. There is nobody to tell.
            earlier.deadline = NO_DEADLINE;
        }
        for (_, _, window) in self.windows.iter_mut() {
            for (&part, slot) in PARTS.iter().zip(&mut window.peer) {
                let Some(held) = slot else { continue };
                let Some(flush) = held.flush().filter(&which) else { continue };
                cover(flush.sequence);
                let is_replaced = matches!(held.hold, Hold::Replaced(_));
                if held.is_held() {
                    self.pools.unmap_peer(held.pages);
                    if let Ok((_, grant)) = self.grants.find_mut(held.grant) {
                        grant.mapped -= 1;
                    }
                    if !confirmed {
                        self.pools.quarantine(held.pages, Missing::Peer);
                    }
                }
                if !confirmed {
                    if is_replaced {
                        self.peer.unmap(held.at, held.pages.count(), false);
                    }
                    held.hold = Hold::Lost;
                } else if is_replaced {
                    held.hold = Hold::Empty;
                } else if let Some(gone) = slot.take() {
                    release(&mut self.peer_rings, &mut self.peer_buffers, part, &gone);
                }
            }
        }
        self.drop_ended_grants();
        if let Some(highest) = highest {
            let result = if confirmed { Ok(()) } else { Err(IommuError::Quarantined) };
            self.end_tickets(highest, result);
        }
    }
}

fn release<const R: usize, const B: usize>(
    rings: &mut iova::Allocator<Peer, R>,
    buffers: &mut iova::Allocator<Peer, B>,
    part: Part,
    gone: &AtPeer,
) {
    match part {
        Part::EventRing => {}
        Part::DataRing | Part::SyncRing => {
            rings.release(gone.at, gone.pages.bytes());
        }
        Part::Buffer => {
            buffers.release(gone.at, gone.pages.bytes());
        }
    }
}
