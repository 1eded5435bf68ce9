//! Placing a session's pages, taking them back, and what dead clients leave.

use crate::death::Cause;
use crate::driver::{Client, Driver, handle_error};
use crate::engine::Begin;
use crate::gate::GateIndex;
use crate::op::{Kind, Op, Wait};
use crate::pages::Page;
use crate::rings::{Held, displaced, released};
use crate::sideband::{Pages, Placed, RINGS, RingPages, Sideband};
use crate::suspend::pause_until;
use abi::TaskId;
use addr::PAGE;
use handles::{Cancelled, Handle};
use iommu_api::{Access, GrantHandle, IommuError, Part, WindowHandle};
use xhci_api::{
    Completed, GateOpening, PlacedRing, Placement, RevokeReason, SidebandHandle, XhciError,
};

/// How long to wait for a ticket of the mapper's, in milliseconds.
const TICKET_MS: u64 = 1;

/// The parts of a window that hold rings, in their order.
const RING_PARTS: [Part; RINGS] = [Part::DataRing, Part::SyncRing];

impl Driver<'_> {
    /// Gives a sideband the pages of its session (X8, X9).
    ///
    /// # Errors
    /// A code per reason; then nothing is placed.
    pub(crate) fn place(
        &mut self,
        handle: SidebandHandle,
        window: WindowHandle,
    ) -> Result<Placement, XhciError> {
        let (_, sideband) = self.sidebands.find(handle).map_err(handle_error)?;
        let sideband = *sideband;
        let mut wanted = sideband.ordered();
        let wanted: [_; RINGS] = core::array::from_fn(|_| wanted.next());
        let event = self.take_ring_page()?;
        let mut pages = Pages {
            window,
            event: Placed { page: event, bus: None },
            event_grant: None,
            rings: [None; RINGS],
        };
        let gate = self.gate.next_opening(GateIndex::new(handle.raw().index));
        let placed = self.place_all(&mut pages, wanted, gate);
        if placed.is_err() {
            self.take_back(&mut pages, None)?;
        }
        if let (Ok((_, sideband)), Ok(_)) = (self.sidebands.find_mut(handle), &placed) {
            sideband.pages = Some(pages);
            sideband.phase = xhci_api::SidebandPhase::Placed;
        }
        placed
    }

    fn place_all(
        &mut self,
        pages: &mut Pages,
        wanted: [Option<trb::Dci>; RINGS],
        gate: GateOpening,
    ) -> Result<Placement, XhciError> {
        for (place, dci) in pages.rings.iter_mut().zip(wanted) {
            let Some(dci) = dci else { continue };
            let real = Placed { page: self.take_ring_page()?, bus: None };
            let shadow = self.take_ring_page();
            if shadow.is_err() {
                self.rings.give(real.page);
            }
            *place = Some(RingPages { dci, real, shadow: shadow?, grant: None });
        }
        let window = pages.window;
        let event = self.place_one(window, Part::EventRing, pages.event.page, Access::ReadWrite)?;
        pages.event.bus = Some(event);
        let grant = self.grant(pages.event.page)?;
        pages.event_grant = Some(grant);
        let event = PlacedRing { bus: event, grant };
        let mut rings = [None; RINGS];
        for (n, ring) in pages.rings.iter_mut().enumerate() {
            let Some(ring) = ring else { continue };
            let bus = self.place_one(window, RING_PARTS[n], ring.real.page, Access::Read)?;
            ring.real.bus = Some(bus);
            let grant = self.grant(ring.shadow)?;
            ring.grant = Some(grant);
            rings[n] = Some(PlacedRing { bus, grant });
        }
        let [data, sync] = rings;
        Ok(Placement { event, data: data.ok_or(XhciError::NoEndpoints)?, sync, gate })
    }

    fn place_one(
        &self,
        window: WindowHandle,
        part: Part,
        page: Page,
        access: Access,
    ) -> Result<addr::Bus, XhciError> {
        let pool = self.config.dma_ring.id();
        self.iommu.place(window, part, pool, page.0, 1, access).map_err(|_| XhciError::MapFailed)
    }

    fn grant(&self, page: Page) -> Result<GrantHandle, XhciError> {
        let pool = self.config.dma_ring.id();
        let grantee = self.config.offload_broker;
        self.iommu.grant(pool, page.0, 1, grantee).map_err(|_| XhciError::MapFailed)
    }

    /// Takes a session's pages back from both sides.
    ///
    /// # Errors
    /// [`XhciError::StillMapped`] while the peer has one; then the rest is as
    /// before, and the call can be repeated.
    pub(crate) fn displace(&mut self, handle: SidebandHandle) -> Result<(), XhciError> {
        let (_, sideband) = self.sidebands.find(handle).map_err(handle_error)?;
        let (Some(mut pages), unconfirmed) = (sideband.pages, sideband.unconfirmed) else {
            return Ok(());
        };
        let taken = self.take_back(&mut pages, unconfirmed);
        if let Ok((_, sideband)) = self.sidebands.find_mut(handle) {
            sideband.pages = taken.is_err().then_some(pages);
            if taken.is_ok() {
                sideband.phase = xhci_api::SidebandPhase::Reserved;
                sideband.unconfirmed = None;
            }
        }
        taken
    }

    fn take_back(&mut self, pages: &mut Pages, unconfirmed: Option<Held>) -> Result<(), XhciError> {
        self.release(&mut pages.event_grant)?;
        for ring in pages.rings.iter_mut().flatten() {
            self.release(&mut ring.grant)?;
        }
        self.displace_one(pages.window, Part::EventRing, &mut pages.event)?;
        for (ring, part) in pages.rings.iter_mut().zip(RING_PARTS) {
            if let Some(ring) = ring {
                self.displace_one(pages.window, part, &mut ring.real)?;
            }
        }
        let rings = pages.rings.into_iter().flatten();
        let rings = rings.flat_map(|ring| [ring.real.page, ring.shadow]);
        for page in core::iter::once(pages.event.page).chain(rings) {
            match unconfirmed {
                Some(why) => self.rings.hold(page, why),
                None => {
                    self.config.dma_ring.zero(page.offset(), PAGE);
                    self.rings.give(page);
                }
            }
        }
        Ok(())
    }

    fn release(&self, grant: &mut Option<GrantHandle>) -> Result<(), XhciError> {
        let Some(given) = *grant else { return Ok(()) };
        released(self.iommu.release(given))?;
        *grant = None;
        Ok(())
    }

    fn displace_one(
        &self,
        window: WindowHandle,
        part: Part,
        placed: &mut Placed,
    ) -> Result<(), XhciError> {
        if placed.bus.is_none() {
            return Ok(());
        }
        displaced(self.iommu.displace(window, part))?;
        placed.bus = None;
        Ok(())
    }

    /// Step [`RevokeGrants`](crate::steps::Step::RevokeGrants): one grant at a
    /// time, until none is left.
    pub(crate) fn begin_revoke(&mut self, op: &Op) -> Begin {
        let Some((_, sideband)) = op.sideband().and_then(|s| self.sidebands.find_mut(s).ok())
        else {
            return Begin::Next;
        };
        let Some(pages) = &mut sideband.pages else { return Begin::Next };
        loop {
            let Some(grant) = first_grant(pages) else { return Begin::Next };
            let Some(given) = grant.take() else { return Begin::Next };
            match self.iommu.start_revoke(given) {
                Ok(ticket) => return Begin::Wait(Wait::Iommu(ticket)),
                // Others are under way.
                Err(IommuError::NoTickets) => {
                    *grant = Some(given);
                    return pause_until(Self::now() + TICKET_MS);
                }
                // What cannot be revoked is not there any more.
                Err(_) => {}
            }
        }
    }

    /// Step [`Displace`](crate::steps::Step::Displace).
    pub(crate) fn begin_displace(&mut self, op: &Op) -> Begin {
        if let Some(handle) = op.sideband()
            && self.displace(handle).is_err()
        {
            self.die(Cause::Mapper);
        }
        Begin::Next
    }

    /// Step [`Forget`](crate::steps::Step::Forget).
    pub(crate) fn begin_forget(&mut self, op: &Op) -> Begin {
        if let Some(handle) = op.sideband() {
            self.forget_sideband(handle);
        }
        Begin::Next
    }

    /// The sideband is no more; what endpoints are left are the host path's.
    pub(crate) fn forget_sideband(&mut self, handle: SidebandHandle) {
        for endpoint in self.endpoints.iter_mut() {
            if endpoint.sideband == Some(handle) {
                endpoint.sideband = None;
            }
        }
        if let Ok(Sideband { interrupter: Some(interrupter), .. }) = self.sidebands.take(handle) {
            self.interrupters.give(interrupter.id);
        }
    }

    /// A client died: its tickets go, and what it owned is taken down.
    pub(crate) fn client_died(&mut self, client: Client, old: TaskId) {
        while let Some((_, ticket)) = self.tickets.take_owned(old) {
            match ticket {
                Cancelled::Pending(id) => {
                    if let Some(mut op) = self.ops.get(id) {
                        op.ticket = None;
                        self.ops.put(id, op);
                    }
                }
                Cancelled::Done(ended) => self.undo(&ended),
            }
        }
        self.news[client as usize] = crate::news::News::default();
        match client {
            Client::UsbCore => {
                for (_, owner, slot) in self.slots.iter_mut() {
                    slot.orphan |= owner == old;
                }
                self.disable_orphans();
            }
            Client::Broker => {
                let mut left = [None; dsp_abi::SESSIONS];
                for (place, (handle, owner, sideband)) in
                    left.iter_mut().zip(self.sidebands.iter_mut())
                {
                    if owner == old {
                        sideband.revoked.get_or_insert(RevokeReason::SlotDisabled);
                        sideband.told = true;
                        *place = Some(handle);
                    }
                }
                for sideband in left.into_iter().flatten() {
                    self.ops.start(Kind::Reclaim { sideband });
                }
            }
        }
        self.news[client as usize].ready = self.hw.is_some();
    }

    /// Begins to give up the slots of a dead owner.
    pub(crate) fn disable_orphans(&mut self) {
        let mut left = [None; crate::hw::MAX_SLOTS];
        for (place, (slot, _, found)) in left.iter_mut().zip(self.slots.iter()) {
            let ending = self.ops.any(|op| op.slot() == Some(slot) && op.ends_slot());
            *place = (found.orphan && !ending).then_some(slot);
        }
        for slot in left.into_iter().flatten() {
            self.ops.start(Kind::DisableSlot { slot });
        }
    }

    /// Takes back what an operation gave that nobody collects.
    pub(crate) fn undo(&mut self, ended: &crate::driver::Ended) {
        if let Some((page, _)) = ended.data {
            self.bounce_in.pages.give(page, 1);
        }
        if let Ok(Completed::Slot { slot, .. }) = ended.result
            && let Ok((_, found)) = self.slots.find_mut(slot)
        {
            found.orphan = true;
            self.disable_orphans();
        }
    }
}

/// The first grant of a session that was not ended.
fn first_grant(pages: &mut Pages) -> Option<&mut Option<GrantHandle>> {
    let rings = pages.rings.iter_mut().flatten().map(|ring| &mut ring.grant);
    core::iter::once(&mut pages.event_grant).chain(rings).find(|grant| grant.is_some())
}
