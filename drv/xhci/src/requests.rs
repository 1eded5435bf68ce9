//! What the operations of the interface have in common, and those with data.

use crate::context;
use crate::driver::{Client, Driver, Ended, handle_error};
use crate::endpoint::interrupts;
use crate::hw::Hw;
use crate::op::{Kind, Transfer};
use crate::sideband::{Request, Sideband};
use crate::trace::{Trace, note};
use abi::TaskId;
use addr::PAGE;
use handles::Outcome;
use idol_runtime::{ClientError, Leased, LenLimit, R, RequestError, W};
use trb::{Dci, PortId};
use usb_types::{Direction, Setup};
use userlib::RecvMessage;
use xhci_api::{EndpointSpec, Event, MAX_ADD, SidebandHandle, SlotHandle, TicketHandle, XhciError};

/// Bytes that are copied from or to a lease at once.
const COPY: usize = 256;
/// Packets of one `write_isoch` at most: its lease of lengths holds no more.
const BATCH: usize = 32;

/// An operation's answer.
pub(crate) type Answer<T> = Result<T, RequestError<XhciError>>;
/// Bytes that a client lends for reading, at most `N`.
pub(crate) type ReadLease<const N: usize> = LenLimit<Leased<R, [u8]>, N>;
/// Bytes that a client lends for writing, at most `N`.
pub(crate) type WriteLease<const N: usize> = LenLimit<Leased<W, [u8]>, N>;

impl Driver<'_> {
    /// Takes the mapper's news; its tickets are looked at where they are waited
    /// for.
    pub(crate) fn pull_iommu(&mut self) {
        while let Ok(event) = self.iommu.pull() {
            match event {
                iommu_api::Event::None => return,
                iommu_api::Event::ControllerFault { .. } => {
                    note(Trace::ControllerFault);
                    self.die(crate::death::Cause::Mapper);
                }
                // Windows are the broker's.
                iommu_api::Event::TicketDone(_) | iommu_api::Event::WindowFault { .. } => {}
            }
        }
    }

    /// Only `usb_core` drives devices. A controller that failed without a word is found
    /// out here, before anything else is looked at.
    pub(crate) fn core(&mut self, message: &RecvMessage) -> Result<TaskId, XhciError> {
        self.take_events();
        self.run();
        match self.client(message.sender)? {
            Client::UsbCore => Ok(message.sender),
            Client::Broker => Err(XhciError::NotAllowed),
        }
    }

    /// Only the broker has sidebands.
    pub(crate) fn broker(&self, message: &RecvMessage) -> Result<TaskId, XhciError> {
        match self.client(message.sender)? {
            Client::Broker => Ok(message.sender),
            Client::UsbCore => Err(XhciError::NotAllowed),
        }
    }

    /// The running controller and one of its ports.
    pub(crate) fn port_of(&self, number: u8) -> Result<(Hw<'_>, PortId), XhciError> {
        let hw = self.running()?;
        let port = PortId::new(number).map_err(|_| XhciError::BadPort)?;
        if number > hw.regs.caps.ports { Err(XhciError::BadPort) } else { Ok((hw, port)) }
    }

    /// Begins an operation and lets it go as far as it can.
    pub(crate) fn ticket(&mut self, owner: TaskId, kind: Kind) -> Answer<TicketHandle> {
        let ticket = self.begin(owner, kind)?;
        self.run();
        Ok(ticket)
    }

    /// Whether an operation of a kind is under way on a slot.
    pub(crate) fn under_way(&self, slot: SlotHandle, pick: impl Fn(&Kind) -> bool) -> bool {
        self.ops.any(|op| op.slot() == Some(slot) && pick(&op.kind))
    }

    /// Whether a slot can begin another change of what it is.
    pub(crate) fn changeable(&self, slot: SlotHandle, caller: TaskId) -> Result<(), XhciError> {
        self.running()?;
        self.room_for(caller)?;
        self.usable(slot, caller)?;
        let changing = |kind: &Kind| !matches!(kind, Kind::Control { .. });
        if self.under_way(slot, changing) { Err(XhciError::Busy) } else { Ok(()) }
    }

    /// A sideband of the caller's for which `request` is in order.
    pub(crate) fn admitted(
        &mut self,
        handle: SidebandHandle,
        message: &RecvMessage,
        request: Request,
    ) -> Result<&mut Sideband, XhciError> {
        let caller = self.broker(message)?;
        let sideband = self.sidebands.get_mut(handle, caller).map_err(handle_error)?;
        sideband.admit(request)?;
        Ok(sideband)
    }

    /// Begins an operation on a sideband.
    pub(crate) fn sideband_ticket(
        &mut self,
        handle: SidebandHandle,
        message: &RecvMessage,
        request: Request,
        kind: Kind,
    ) -> Answer<TicketHandle> {
        self.room_for(message.sender)?;
        self.admitted(handle, message, request)?.busy = true;
        self.ticket(message.sender, kind)
    }

    /// How a ticket ended.
    pub(crate) fn take_result(
        &mut self,
        ticket: TicketHandle,
        caller: TaskId,
    ) -> Result<Ended, XhciError> {
        match self.tickets.result(ticket, caller).map_err(handle_error)? {
            Outcome::Pending => Err(XhciError::NotYet),
            Outcome::Done(ended) => {
                let client = self.client(caller)?;
                self.news[client as usize].forget_ticket(ticket);
                Ok(ended)
            }
        }
    }

    /// Copies the data of an OUT stage into a bounce page.
    pub(crate) fn copy_in(&mut self, data: &Leased<R, [u8]>, at: u32) -> Result<(), ClientError> {
        let mut buffer = [0; COPY];
        let mut done = 0;
        while done < data.len() {
            let step = (data.len() - done).min(COPY);
            data.read_range(done..done + step, &mut buffer[..step])?;
            self.config.dma_xhci.write(at + done as u32, &buffer[..step]);
            done += step;
        }
        Ok(())
    }

    /// Copies `len` bytes of a bounce page out, or as many as the lease takes.
    pub(crate) fn copy_out(
        &self,
        data: &Leased<W, [u8]>,
        at: u32,
        len: usize,
    ) -> Result<u16, ClientError> {
        let len = len.min(data.len());
        let mut buffer = [0; COPY];
        let mut done = 0;
        while done < len {
            let step = (len - done).min(COPY);
            self.config.dma_xhci.read(at + done as u32, &mut buffer[..step]);
            data.write_range(done..done + step, &buffer[..step])?;
            done += step;
        }
        Ok(len as u16)
    }

    /// What a client has not been told yet, one piece.
    pub(crate) fn next_news(&mut self, client: Client) -> Event {
        let orphans = self.has_orphans();
        let news = &mut self.news[client as usize];
        if core::mem::take(&mut news.died) {
            return Event::ControllerDied;
        }
        // The slots of an earlier incarnation are given up first, so that none
        // of its devices has two.
        if news.ready && !(orphans && client == Client::UsbCore) {
            news.ready = false;
            return Event::ControllerReady;
        }
        if let Some(ticket) = news.take_ticket() {
            return Event::TicketDone(ticket);
        }
        match client {
            Client::UsbCore => {
                if let Some(port) = news.take_port() {
                    return Event::PortChanged { port };
                }
                for endpoint in self.endpoints.iter_mut() {
                    if let Some(queue) = &mut endpoint.isoch
                        && core::mem::take(&mut queue.progress)
                    {
                        return Event::IsochProgress {
                            slot: endpoint.slot,
                            dci: endpoint.dci.index(),
                        };
                    }
                }
            }
            Client::Broker => {
                if core::mem::take(&mut news.safe) {
                    return Event::ControllerSafe;
                }
                for (handle, _, sideband) in self.sidebands.iter_mut() {
                    if let Some(reason) = sideband.revoked
                        && !core::mem::replace(&mut sideband.told, true)
                    {
                        return Event::Revoked { sideband: handle, reason };
                    }
                }
            }
        }
        Event::None
    }

    /// The place in a bounce page for the next packet of an endpoint, and
    /// whether it is the last one that there is room for.
    pub(crate) fn packet_place(&mut self, slot: SlotHandle, dci: Dci) -> Option<(u32, bool)> {
        let queue = self.endpoints.live(slot, dci)?.isoch.as_ref()?;
        if queue.room() == 0 {
            return None;
        }
        let (page, offset) = queue.next_place();
        let at = queue.page.offset() + u32::from(page) * PAGE + offset;
        Some((at, queue.room() == 1))
    }

    /// As `start_control`.
    ///
    /// # Errors
    /// As in `idl/xhci.idol`.
    pub(crate) fn start_control_request(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        setup: Setup,
        data: ReadLease<4096>,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.running()?;
        self.room_for(caller)?;
        if !self.awake(slot, caller)?.addressed {
            return Err(XhciError::SlotState.into());
        }
        let exclusive = |kind: &Kind| {
            matches!(kind, Kind::Control { .. } | Kind::Address { .. } | Kind::Evaluate { .. })
        };
        if self.under_way(slot, exclusive) {
            return Err(XhciError::Busy.into());
        }
        let is_in = setup.direction() == Direction::In;
        let fits = if is_in { data.is_empty() } else { data.len() == usize::from(setup.length) };
        if u32::from(setup.length) > PAGE || !fits {
            return Err(XhciError::DataLength.into());
        }
        let mut bounce = None;
        if setup.length > 0 {
            let area = if is_in { &mut self.bounce_in } else { &mut self.bounce_out };
            let page = area.pages.take(1).ok_or(XhciError::NoBounceMemory)?;
            let transfer = Transfer { setup, bounce: Some(page), residual: 0, last: 0 };
            if !is_in && let Err(gone) = self.copy_in(&data, page.offset()) {
                self.give_transfer_page(&transfer);
                return Err(gone.into());
            }
            bounce = Some(page);
        }
        let transfer = Transfer { setup, bounce, residual: 0, last: 0 };
        self.ticket(caller, Kind::Control { slot, transfer })
    }

    /// As `start_configure`.
    ///
    /// # Errors
    /// As in `idl/xhci.idol`.
    pub(crate) fn start_configure_request(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        drop: u32,
        add: ReadLease<128>,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.changeable(slot, caller)?;
        let found = self.usable(slot, caller)?;
        if !found.addressed {
            return Err(XhciError::SlotState.into());
        }
        let speed = found.speed;
        if drop & 0b11 != 0 || !add.len().is_multiple_of(size_of::<EndpointSpec>()) {
            return Err(XhciError::BadEndpoint.into());
        }
        let count = add.len() / size_of::<EndpointSpec>();
        if count > 0 {
            // What is dropped, the device need not hear of.
            self.awake(slot, caller)?;
        }
        if count > MAX_ADD {
            return Err(XhciError::BadEndpoint.into());
        }
        let mut specs = [EndpointSpec::default(); MAX_ADD];
        let specs = &mut specs[..count];
        let bytes = zerocopy::IntoBytes::as_mut_bytes(specs);
        add.read_range(0..add.len(), bytes)?;
        let live = self.endpoints.mask(slot, false) & !drop;
        let sidebands = self.sidebands.iter().filter(|(_, _, s)| s.slot == Some(slot));
        let reserved = sidebands.fold(0, |mask, (_, _, s)| mask | s.endpoints);
        for spec in specs.iter() {
            context::check(spec, speed)?;
            if live & 1 << spec.dci != 0 {
                return Err(XhciError::BadEndpoint.into());
            }
            if reserved & 1 << spec.dci != 0 {
                return Err(XhciError::EndpointBusy.into());
            }
        }
        let add = self.add_endpoints(slot, specs)?;
        self.ticket(caller, Kind::Configure { slot, drop, add })
    }

    /// As `write_isoch`.
    ///
    /// # Errors
    /// As in `idl/xhci.idol`.
    pub(crate) fn write_isoch_request(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        index: u8,
        lengths: ReadLease<64>,
        data: ReadLease<4096>,
    ) -> Answer<u8> {
        let caller = self.core(message)?;
        let hw = self.running()?;
        self.awake(slot, caller)?;
        let dci = dci(index)?;
        let payload = self.isoch_queue(slot, dci, false)?.spec.esit_payload;
        let count = lengths.len() / 2;
        let mut packets = [0_u16; BATCH];
        let packets = &mut packets[..count];
        lengths.read_range(0..2 * count, zerocopy::IntoBytes::as_mut_bytes(packets))?;
        let total: usize = packets.iter().map(|&n| usize::from(u16::from_le(n))).sum();
        if total != data.len() || packets.iter().any(|&n| u32::from(u16::from_le(n)) > payload) {
            return Err(XhciError::DataLength.into());
        }
        let mut at = 0;
        let mut taken = 0;
        let mut buffer = [0; COPY];
        for (n, &length) in packets.iter().enumerate() {
            let Some((place, last)) = self.packet_place(slot, dci) else { break };
            let length = usize::from(u16::from_le(length));
            let mut done = 0;
            while done < length {
                let step = (length - done).min(COPY);
                data.read_range(at + done..at + done + step, &mut buffer[..step])?;
                self.config.dma_xhci.write(place + done as u32, &buffer[..step]);
                done += step;
            }
            if !self.push_packet(slot, dci, length as u16, last || interrupts(n, count)) {
                break;
            }
            at += length;
            taken += 1;
        }
        if taken > 0 {
            self.ring_endpoint(&hw, slot, dci);
        }
        Ok(taken)
    }

    /// As `read_isoch`.
    ///
    /// # Errors
    /// As in `idl/xhci.idol`.
    pub(crate) fn read_isoch_request(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        index: u8,
        data: WriteLease<1024>,
    ) -> Answer<u16> {
        let caller = self.core(message)?;
        let hw = self.running()?;
        self.awake(slot, caller)?;
        let dci = dci(index)?;
        let queue = self.isoch_queue(slot, dci, true)?.isoch;
        let oldest = queue.and_then(|queue| Some((queue.page, queue.oldest()?)));
        let read = match oldest {
            Some((first, ((page, offset), len))) => {
                let at = first.offset() + u32::from(page) * PAGE + offset;
                let copied = self.copy_out(&data, at, len.into())?;
                if let Some(endpoint) = self.endpoints.live(slot, dci)
                    && let Some(queue) = &mut endpoint.isoch
                {
                    queue.take();
                }
                Ok(copied)
            }
            None => Err(XhciError::NotYet),
        };
        self.supply(&hw, slot, dci);
        Ok(read?)
    }
}

/// An endpoint other than endpoint 0.
pub(crate) fn dci(index: u8) -> Result<Dci, XhciError> {
    match Dci::new(index) {
        Ok(dci) if dci != Dci::EP0 => Ok(dci),
        _ => Err(XhciError::NoEndpoint),
    }
}
