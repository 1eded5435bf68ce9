//! Endpoints: configuring, stopping, and isochronous packets of the host path.

use crate::command::command_error;
use crate::context::{self, EndpointState};
use crate::death::Cause;
use crate::driver::{Driver, TransferRing};
use crate::engine::{After, Begin};
use crate::hub;
use crate::hw::{ContextPlace, Hw, MAX_SLOTS};
use crate::isoch::{BOUNCE_PAGES, INTERRUPT_EVERY, IsochQueue};
use crate::op::{Kind, Op};
use trb::{Command, CompletionCode, Dci, IOC, ISP, InterrupterId, Isoch, Start, TransferEvent};
use xhci_api::{EndpointSpec, SidebandHandle, SlotHandle, XhciError};

/// Endpoints configured at once, over all slots; a headset has three.
const MAX_ENDPOINTS: usize = 4 * MAX_SLOTS;
/// How often a Stop Endpoint is repeated that lost a race (fact 75).
const STOP_TRIES: u8 = 8;

/// An endpoint that the controller has, or is about to get.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) slot: SlotHandle,
    pub(crate) dci: Dci,
    pub(crate) spec: EndpointSpec,
    /// Its Configure Endpoint is not done.
    pub(crate) adding: bool,
    /// The host path's ring; `None` while a peer's is in its place.
    pub(crate) ring: Option<TransferRing>,
    /// Whose it is, if not the host path's.
    pub(crate) sideband: Option<SidebandHandle>,
    /// Packets on the host path, from the first one on.
    pub(crate) isoch: Option<IsochQueue>,
}

impl Endpoint {
    /// Whether packets completed since the client was told.
    pub(crate) fn has_progress(&self) -> bool {
        self.isoch.is_some_and(|queue| queue.progress)
    }
}

/// All endpoints but endpoint 0.
#[derive(Debug)]
pub(crate) struct Endpoints {
    table: [Option<Endpoint>; MAX_ENDPOINTS],
}

impl Endpoints {
    pub(crate) fn new() -> Self {
        Self { table: core::array::from_fn(|_| None) }
    }

    /// An endpoint that the controller has.
    pub(crate) fn live(&mut self, slot: SlotHandle, dci: Dci) -> Option<&mut Endpoint> {
        self.iter_mut().find(|e| e.slot == slot && e.dci == dci && !e.adding)
    }

    /// DCI bits of a slot's endpoints: those the controller has, or those it is
    /// about to get.
    pub(crate) fn mask(&self, slot: SlotHandle, adding: bool) -> u32 {
        let picked = self.iter().filter(|e| e.slot == slot && e.adding == adding);
        picked.fold(0, |mask, e| mask | e.dci.bit())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.table.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Endpoint> {
        self.table.iter_mut().flatten()
    }

    fn insert(&mut self, endpoint: Endpoint) -> Result<(), XhciError> {
        let place = self.table.iter_mut().find(|place| place.is_none());
        let place = place.filter(|_| !scarce::spent(scarce::Scarce::Place));
        *place.ok_or(XhciError::NoContextMemory)? = Some(endpoint);
        Ok(())
    }

    /// Takes one endpoint out for which `pick` is true.
    pub(crate) fn take(&mut self, pick: impl Fn(&Endpoint) -> bool) -> Option<Endpoint> {
        self.table.iter_mut().find(|place| place.as_ref().is_some_and(&pick))?.take()
    }
}

impl Driver<'_> {
    /// Takes the endpoints of a configure request in, with a ring each.
    ///
    /// # Errors
    /// A code per reason; then none of them is there.
    pub(crate) fn add_endpoints(
        &mut self,
        slot: SlotHandle,
        specs: &[EndpointSpec],
    ) -> Result<u32, XhciError> {
        let mut mask = 0;
        for spec in specs {
            let added = self.add_one(slot, spec);
            match added {
                Ok(dci) => mask |= dci.bit(),
                Err(error) => {
                    self.forget_endpoints(slot, mask, true);
                    return Err(error);
                }
            }
        }
        Ok(mask)
    }

    fn add_one(&mut self, slot: SlotHandle, spec: &EndpointSpec) -> Result<Dci, XhciError> {
        let dci = Dci::new(spec.dci).map_err(|_| XhciError::BadEndpoint)?;
        if self.endpoints.mask(slot, true) & dci.bit() != 0 {
            return Err(XhciError::BadEndpoint);
        }
        let ring = self.take_ring()?;
        let endpoint = Endpoint {
            slot,
            dci,
            spec: *spec,
            adding: true,
            ring: Some(ring),
            sideband: None,
            isoch: None,
        };
        let inserted = self.endpoints.insert(endpoint);
        if inserted.is_err() {
            self.give_ring(ring);
        }
        inserted.map(|()| dci)
    }

    /// The controller does not have these endpoints (any more).
    pub(crate) fn forget_endpoints(&mut self, slot: SlotHandle, mask: u32, adding: bool) {
        let gone = |e: &Endpoint| e.slot == slot && e.adding == adding && mask & e.dci.bit() != 0;
        while let Some(endpoint) = self.endpoints.take(gone) {
            if let Some(ring) = endpoint.ring {
                self.give_ring(ring);
            }
            self.give_bounce(endpoint.isoch);
        }
    }

    /// Takes the bounce pages of a queue back.
    pub(crate) fn give_bounce(&mut self, queue: Option<IsochQueue>) {
        if let Some(queue) = queue {
            let area = if queue.is_in() { &mut self.bounce_in } else { &mut self.bounce_out };
            area.pages.give(queue.page, BOUNCE_PAGES);
        }
    }

    /// Step [`Configure`](crate::steps::Step::Configure).
    pub(crate) fn begin_configure(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Kind::Configure { slot, drop, .. } = op.kind else { return Begin::Next };
        let Ok((_, found)) = self.slots.find(slot) else {
            return Begin::Fail(XhciError::DeviceGone);
        };
        let (id, place) = (found.id, found.context);
        let live = self.endpoints.mask(slot, false);
        let add = self.endpoints.mask(slot, true);
        let drop = drop & live;
        if drop | add == 0 {
            return Begin::Next;
        }
        self.write_configuration(hw, place, drop, add, live & !drop | add);
        for endpoint in self.endpoints.iter().filter(|e| e.slot == slot && e.adding) {
            if let Some(ring) = endpoint.ring {
                let large = hw.regs.caps.large_payload;
                hw.input(endpoint.dci.index(), context::endpoint(&endpoint.spec, ring.bus, large));
            }
        }
        Begin::Command(Command::ConfigureEndpoint { slot: id, input: hw.input_bus() })
    }

    /// Begins the input context of a Configure Endpoint command after which the
    /// slot has the endpoints `kept`.
    pub(crate) fn write_configuration(
        &self,
        hw: &Hw<'_>,
        place: ContextPlace,
        drop: u32,
        add: u32,
        kept: u32,
    ) -> context::Words {
        let output = hw.output(place, 0);
        let target = InterrupterId::new(context::slot_target(output)).unwrap_or_default();
        // A0 must be set (fact 46).
        hw.begin_input(context::control(drop, add | 1));
        let words = context::slot_again(output, context::entries(kept), target);
        hw.input(0, words);
        words
    }

    pub(crate) fn configured(&mut self, op: &Op, code: CompletionCode) -> After {
        let Kind::Configure { slot, drop, add } = op.kind else { return After::Next };
        if code != CompletionCode::Success {
            // The old configuration stands (fact 82); `finish` drops the new one.
            // What is only taken away is not refused.
            let adds = add != 0;
            return if adds { After::Fail(command_error(code)) } else { After::Die(Cause::Clings) };
        }
        self.forget_endpoints(slot, drop, false);
        for endpoint in self.endpoints.iter_mut().filter(|e| e.slot == slot && e.adding) {
            endpoint.adding = add & endpoint.dci.bit() == 0;
        }
        After::Next
    }

    /// Step [`StopEndpoints`](crate::steps::Step::StopEndpoints).
    pub(crate) fn begin_stop(&mut self, hw: &Hw<'_>, op: &mut Op) -> Begin {
        let Some(slot) = self.slot_of(op) else { return Begin::Next };
        let Ok((_, found)) = self.slots.find(slot) else { return Begin::Next };
        let (id, place, ep0) = (found.id, found.context, found.ep0.producer.used() > 0);
        let all = || {
            let live = self.endpoints.mask(slot, false);
            match op.kind {
                Kind::Configure { drop, .. } => drop & live,
                Kind::Stop { dci, .. } | Kind::StopOf { dci, .. } | Kind::Remove { dci, .. } => {
                    dci.bit() & live
                }
                Kind::ResetDevice { .. } | Kind::DisableSlot { .. } => {
                    live | if ep0 { Dci::EP0.bit() } else { 0 }
                }
                // Idle ones as well: they are Running.
                Kind::Suspend { .. } => live | Dci::EP0.bit(),
                _ => {
                    let owner = op.sideband();
                    let owned = self.endpoints.iter().filter(|e| e.slot == slot);
                    owned
                        .filter(|e| e.sideband.is_some() && e.sideband == owner)
                        .fold(0, |mask, e| mask | e.dci.bit())
                }
            }
        };
        let mut left = op.left.unwrap_or_else(all);
        while let Some(endpoint) = Dci::in_mask(left).next() {
            let state = context::endpoint_state(hw.endpoint(place, endpoint));
            if state == EndpointState::Running {
                op.left = Some(left);
                let suspend = matches!(op.kind, Kind::Suspend { .. });
                return Begin::Command(Command::StopEndpoint { slot: id, endpoint, suspend });
            }
            left &= !endpoint.bit();
        }
        Begin::Next
    }

    /// A Stop Endpoint command ended. Its Stopped event may come later or never
    /// and is not waited for.
    pub(crate) fn stopped(&mut self, op: &mut Op, code: CompletionCode) -> After {
        let Some(left) = &mut op.left else { return After::Next };
        match code {
            CompletionCode::Success => {
                *left &= *left - 1;
                op.tries = 0;
            }
            // It lost a race; the output context says against whom (X7).
            _ if op.tries < STOP_TRIES => op.tries += 1,
            _ => return After::Die(Cause::StuckEndpoint),
        }
        After::Again
    }

    /// The state of an endpoint as the controller has it.
    pub(crate) fn endpoint_state(&self, slot: SlotHandle, dci: Dci) -> EndpointState {
        match (self.hw, self.slots.find(slot)) {
            (Some(hw), Ok((_, found))) => context::endpoint_state(hw.endpoint(found.context, dci)),
            _ => EndpointState::Disabled,
        }
    }

    /// The queue of a host-path isochronous endpoint, made at first use.
    ///
    /// # Errors
    /// A code per reason.
    pub(crate) fn isoch_queue(
        &mut self,
        slot: SlotHandle,
        dci: Dci,
        is_in: bool,
    ) -> Result<&mut Endpoint, XhciError> {
        // A doorbell would set it running again before its ring is taken away (4.6.9).
        let goes =
            |kind: &Kind| matches!(kind, Kind::Configure { drop, .. } if drop & dci.bit() != 0);
        let leaving = self.under_way(slot, goes);
        let endpoint = self.endpoints.live(slot, dci).ok_or(XhciError::NoEndpoint)?;
        let pipe = hub::is_pipe(&endpoint.spec);
        if !(context::is_isoch(&endpoint.spec) || pipe) || dci.is_in() != is_in {
            return Err(XhciError::BadEndpoint);
        }
        if leaving || endpoint.sideband.is_some() || endpoint.ring.is_none() {
            return Err(XhciError::EndpointBusy);
        }
        if endpoint.isoch.is_none() {
            let payload = endpoint.spec.esit_payload;
            let area = if is_in { &mut self.bounce_in } else { &mut self.bounce_out };
            IsochQueue::slot_bytes(payload).ok_or(XhciError::DataLength)?;
            let page = area.pages.take(BOUNCE_PAGES).ok_or(XhciError::NoBounceMemory)?;
            endpoint.isoch = IsochQueue::new(page, is_in, payload);
            if let (true, Some(queue)) = (pipe, &mut endpoint.isoch) {
                queue.one_at_a_time();
            }
        }
        Ok(endpoint)
    }

    /// Hands packet number `n` of a batch over, `length` bytes that stand in
    /// the queue's next place already; whether there was room.
    pub(crate) fn push_packet(
        &mut self,
        slot: SlotHandle,
        dci: Dci,
        length: u16,
        interrupt: bool,
    ) -> bool {
        let pool = &self.config.dma_ring;
        let Some(endpoint) = self.endpoints.live(slot, dci) else { return false };
        let (Some(ring), Some(queue)) = (&mut endpoint.ring, &mut endpoint.isoch) else {
            return false;
        };
        if queue.room() == 0 {
            return false;
        }
        let (page, offset) = queue.next_place();
        let area = if queue.is_in() { &self.bounce_in } else { &self.bounce_out };
        let buffer = area.bus(queue.page).plus(u64::from(page) * u64::from(addr::PAGE));
        let short = if queue.is_in() { ISP } else { 0 };
        let buffer = buffer.plus(u64::from(offset));
        let td = Isoch {
            buffer,
            length: length.into(),
            max_packet: endpoint.spec.max_packet,
            max_burst: endpoint.spec.max_burst,
            start: Start::Asap,
            interrupter: InterrupterId::PRIMARY,
            flags: short | if interrupt { IOC } else { 0 },
        };
        let memory = crate::pages::RingAt::new(pool, ring.page);
        let trb = if hub::is_pipe(&endpoint.spec) {
            trb::normal(buffer, td.length, 0, td.interrupter, td.flags)
        } else {
            td.trb()
        };
        match ring.producer.push(&memory, &[trb]) {
            Ok(at) => {
                queue.pushed(at, length);
                true
            }
            Err(_) => false,
        }
    }

    /// Keeps an IN endpoint supplied with places for packets.
    pub(crate) fn supply(&mut self, hw: &Hw<'_>, slot: SlotHandle, dci: Dci) {
        let Some(endpoint) = self.endpoints.live(slot, dci) else { return };
        let length = endpoint.spec.esit_payload as u16;
        let mut pushed = false;
        while self.push_packet(slot, dci, length, true) {
            pushed = true;
        }
        if pushed {
            self.ring_endpoint(hw, slot, dci);
        }
    }

    /// Rings an endpoint's doorbell.
    pub(crate) fn ring_endpoint(&self, hw: &Hw<'_>, slot: SlotHandle, dci: Dci) {
        if let Ok((_, found)) = self.slots.find(slot) {
            hw.regs.ring(found.id, dci);
        }
    }

    /// A transfer event of an endpoint other than endpoint 0.
    pub(crate) fn endpoint_event(&mut self, slot: SlotHandle, event: &TransferEvent) -> bool {
        use CompletionCode as C;
        let Some(endpoint) = self.endpoints.live(slot, event.endpoint) else { return false };
        let (Some(ring), Some(queue)) = (&mut endpoint.ring, &mut endpoint.isoch) else {
            // A sideband's Stopped event before its ring changed hands, or one
            // of an endpoint that nobody drives.
            return event.code.is_stopped();
        };
        match event.code {
            C::RingUnderrun | C::RingOverrun => queue.ran_dry(),
            code if code.is_stopped() => {}
            code => {
                let at = ring.producer.index_of(ring.bus, event.pointer);
                let known = at.is_some_and(|at| {
                    ring.producer.completed(at) && queue.completed(at, code, event.residual)
                });
                // Without a pointer there is nothing to count (fact 69).
                return known || event.pointer.0 == 0;
            }
        }
        true
    }
}

/// Whether packet `n` of a batch of `count` interrupts.
pub(crate) const fn interrupts(n: usize, count: usize) -> bool {
    n + 1 == count || (n as u32 + 1).is_multiple_of(INTERRUPT_EVERY)
}
