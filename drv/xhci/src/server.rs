//! The server: messages, interrupts and the timer to the driver.

use crate::Config;
use crate::context::{self, EndpointState};
use crate::driver::{Client, Driver, handle_error};
use crate::endpoint::interrupts;
use crate::interrupter;
use crate::op::{Kind, Transfer};
use crate::port;
use crate::sideband::{Interrupter, Request, Sideband};
use crate::trace::{Trace, note};
use abi::TaskId;
use addr::PAGE;
use handles::{Cancelled, Outcome};
use idol_runtime::{ClientError, Leased, LenLimit, NotificationHandler, R, RequestError, W};
use iommu_api::WindowHandle;
use trb::{Dci, PortId};
use usb_types::{Direction, Setup, Speed};
use userlib::{RecvMessage, TIMER_MASK, sys_irq_control};
use xhci_api::{
    Completed, ControllerInfo, EndpointSpec, Event, InterrupterRequest, IsochStatus, MAX_ADD,
    Placement, PortStatus, SidebandHandle, SidebandKind, SidebandStatus, SlotHandle, Status,
    TicketHandle, XhciError,
};

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

/// Bytes that are copied from or to a lease at once.
const COPY: usize = 256;
/// Packets of one `write_isoch` at most: its lease of lengths holds no more.
const BATCH: usize = 32;

type Answer<T> = Result<T, RequestError<XhciError>>;
type ReadLease<const N: usize> = LenLimit<Leased<R, [u8]>, N>;
type WriteLease<const N: usize> = LenLimit<Leased<W, [u8]>, N>;

/// Serves for ever.
pub(crate) fn run(config: &Config) -> ! {
    let mut driver = Driver::new(config);
    sys_irq_control(config.irq | config.gate_bell, true);
    driver.poll_startup(Driver::now());
    driver.pull_iommu();
    driver.run();
    let mut buffer = [0; INCOMING_SIZE];
    idol_runtime::dispatch(&mut driver, &mut buffer)
}

impl NotificationHandler for Driver<'_> {
    fn current_notification_mask(&self) -> u32 {
        let config = self.config;
        config.irq | config.gate_bell | config.iommu | config.peer_changed | TIMER_MASK
    }

    fn handle_notification(&mut self, bits: u32) {
        if bits & self.config.peer_changed != 0 {
            self.peers_changed();
        }
        // Enabled before the look, so that what comes after it is delivered.
        let lines = bits & (self.config.irq | self.config.gate_bell);
        if lines != 0 {
            sys_irq_control(lines, true);
        }
        if bits & self.config.irq != 0 {
            self.take_events();
        }
        if bits & self.config.iommu != 0 {
            self.pull_iommu();
        }
        let timer = bits & TIMER_MASK != 0;
        if timer {
            self.timer_is_spent();
            self.expire(Self::now());
        }
        self.run();
        if timer || bits & self.config.gate_bell != 0 {
            self.poll_startup(Self::now());
            self.run();
        }
    }
}

impl Driver<'_> {
    /// Takes the mapper's news; its tickets are looked at where they are waited
    /// for.
    fn pull_iommu(&mut self) {
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

    /// Only `usb_core` drives devices.
    fn core(&self, message: &RecvMessage) -> Result<TaskId, XhciError> {
        match self.client(message.sender)? {
            Client::UsbCore => Ok(message.sender),
            Client::Broker => Err(XhciError::NotAllowed),
        }
    }

    /// Only the broker has sidebands.
    fn broker(&self, message: &RecvMessage) -> Result<TaskId, XhciError> {
        match self.client(message.sender)? {
            Client::Broker => Ok(message.sender),
            Client::UsbCore => Err(XhciError::NotAllowed),
        }
    }

    fn port_of(&self, number: u8) -> Result<(crate::hw::Hw<'_>, PortId), XhciError> {
        let hw = self.running()?;
        let port = PortId::new(number).map_err(|_| XhciError::BadPort)?;
        if number > hw.regs.caps.ports { Err(XhciError::BadPort) } else { Ok((hw, port)) }
    }

    fn ticket(&mut self, owner: TaskId, kind: Kind) -> Answer<TicketHandle> {
        let ticket = self.begin(owner, kind)?;
        self.run();
        Ok(ticket)
    }

    /// Whether an operation of a kind is under way on a slot.
    fn under_way(&self, slot: SlotHandle, pick: impl Fn(&Kind) -> bool) -> bool {
        self.ops.any(|op| op.slot() == Some(slot) && pick(&op.kind))
    }

    /// Whether a slot can begin another change of what it is.
    fn changeable(&self, slot: SlotHandle, caller: TaskId) -> Result<(), XhciError> {
        self.running()?;
        self.room_for(caller)?;
        self.usable(slot, caller)?;
        let changing = |kind: &Kind| !matches!(kind, Kind::Control { .. });
        if self.under_way(slot, changing) { Err(XhciError::Busy) } else { Ok(()) }
    }

    /// A sideband of the caller's for which `request` is in order.
    fn admitted(
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
    fn sideband_ticket(
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
    fn take_result(
        &mut self,
        ticket: TicketHandle,
        caller: TaskId,
    ) -> Result<crate::driver::Ended, XhciError> {
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
    fn copy_in(&mut self, data: &Leased<R, [u8]>, at: u32) -> Result<(), ClientError> {
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
    fn copy_out(&self, data: &Leased<W, [u8]>, at: u32, len: usize) -> Result<u16, ClientError> {
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

    fn next_news(&mut self, client: Client) -> Event {
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
    fn packet_place(&mut self, slot: SlotHandle, dci: Dci) -> Option<(u32, bool)> {
        let queue = self.endpoints.live(slot, dci)?.isoch.as_ref()?;
        if queue.room() == 0 {
            return None;
        }
        let (page, offset) = queue.next_place();
        let at = queue.page.offset() + u32::from(page) * PAGE + offset;
        Some((at, queue.room() == 1))
    }
}

fn dci(index: u8) -> Result<Dci, XhciError> {
    match Dci::new(index) {
        Ok(dci) if dci != Dci::EP0 => Ok(dci),
        _ => Err(XhciError::NoEndpoint),
    }
}

impl InOrderXhciImpl for Driver<'_> {
    fn info(&mut self, _: &RecvMessage) -> Answer<ControllerInfo> {
        Ok(match self.running() {
            Ok(hw) => ControllerInfo {
                ports: hw.regs.caps.ports,
                slots: hw.slots,
                interrupters: hw.interrupters,
                version: hw.regs.caps.version,
                alive: true,
            },
            Err(_) => {
                ControllerInfo { ports: 0, slots: 0, interrupters: 0, version: 0, alive: false }
            }
        })
    }

    fn pull(&mut self, message: &RecvMessage) -> Answer<Event> {
        let client = self.client(message.sender)?;
        Ok(self.next_news(client))
    }

    fn result(&mut self, message: &RecvMessage, ticket: TicketHandle) -> Answer<Completed> {
        let ended = self.take_result(ticket, message.sender)?;
        if let Some((page, _)) = ended.data {
            self.bounce_in.pages.give(page, 1);
        }
        Ok(ended.result?)
    }

    fn take_data(
        &mut self,
        message: &RecvMessage,
        ticket: TicketHandle,
        data: WriteLease<4096>,
    ) -> Answer<u16> {
        let ended = self.take_result(ticket, message.sender)?;
        let Some((page, len)) = ended.data else {
            return match ended.result? {
                Completed::Transferred(_) => Ok(0),
                Completed::Done | Completed::Slot { .. } => Err(XhciError::DataLength.into()),
            };
        };
        let copied = self.copy_out(&data, page.offset(), len.into());
        self.bounce_in.pages.give(page, 1);
        Ok(copied?)
    }

    fn cancel(&mut self, message: &RecvMessage, ticket: TicketHandle) -> Answer<()> {
        match self.tickets.cancel(ticket, message.sender).map_err(handle_error)? {
            Cancelled::Pending(id) => {
                if let Some(mut op) = self.ops.get(id) {
                    op.ticket = None;
                    self.ops.put(id, op);
                }
            }
            Cancelled::Done(ended) => {
                let client = self.client(message.sender)?;
                self.news[client as usize].forget_ticket(ticket);
                self.undo(&ended);
            }
        }
        self.run();
        Ok(())
    }

    fn port(&mut self, message: &RecvMessage, port: u8) -> Answer<PortStatus> {
        self.core(message)?;
        let (hw, port) = self.port_of(port)?;
        Ok(port::status(hw.regs.port(port), hw.protocols.is_usb3(port)))
    }

    fn acknowledge_port(&mut self, message: &RecvMessage, port: u8, changes: u8) -> Answer<()> {
        self.core(message)?;
        let (hw, port) = self.port_of(port)?;
        hw.regs.set_port(port, port::acknowledge(hw.regs.port(port), changes));
        Ok(())
    }

    fn start_port_reset(&mut self, message: &RecvMessage, port: u8) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        let (_, port) = self.port_of(port)?;
        if self.ops.any(|op| op.kind == Kind::ResetPort { port }) {
            return Err(XhciError::Busy.into());
        }
        self.ticket(caller, Kind::ResetPort { port })
    }

    fn start_enable_slot(
        &mut self,
        message: &RecvMessage,
        port: u8,
        speed: Speed,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        let (hw, port) = self.port_of(port)?;
        if hw.regs.port(port) & port::CCS == 0 {
            return Err(XhciError::NotConnected.into());
        }
        if self.slots.iter().any(|(_, _, slot)| slot.port == port)
            || self.ops.any(|op| matches!(op.kind, Kind::EnableSlot { port: p, .. } if p == port))
        {
            return Err(XhciError::Busy.into());
        }
        self.ticket(caller, Kind::EnableSlot { port, speed })
    }

    fn start_address(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        block: bool,
        max_packet0: u16,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.changeable(slot, caller)?;
        if self.under_way(slot, |_| true) {
            return Err(XhciError::Busy.into());
        }
        if !matches!(max_packet0, 8 | 16 | 32 | 64 | 512) {
            return Err(XhciError::BadEndpoint.into());
        }
        self.ticket(caller, Kind::Address { slot, block, max_packet0 })
    }

    fn start_evaluate(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        max_packet0: u16,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.changeable(slot, caller)?;
        if !self.usable(slot, caller)?.addressed {
            return Err(XhciError::SlotState.into());
        }
        if !matches!(max_packet0, 8 | 16 | 32 | 64 | 512) {
            return Err(XhciError::BadEndpoint.into());
        }
        self.ticket(caller, Kind::Evaluate { slot, max_packet0 })
    }

    fn start_control(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        setup: Setup,
        data: ReadLease<4096>,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.running()?;
        self.room_for(caller)?;
        if !self.usable(slot, caller)?.addressed {
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

    fn start_configure(
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

    fn start_stop_endpoint(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        index: u8,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.changeable(slot, caller)?;
        let dci = dci(index)?;
        let endpoint = self.endpoints.live(slot, dci).ok_or(XhciError::NoEndpoint)?;
        if endpoint.sideband.is_some() {
            return Err(XhciError::EndpointBusy.into());
        }
        if self.endpoint_state(slot, dci) != EndpointState::Running {
            return Err(XhciError::NotRunning.into());
        }
        self.ticket(caller, Kind::Stop { slot, dci })
    }

    fn start_reset_device(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.running()?;
        self.room_for(caller)?;
        self.usable(slot, caller)?;
        self.ticket(caller, Kind::ResetDevice { slot })
    }

    fn start_disable_slot(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        // With a controller that failed its slots are gone: nothing to wait for.
        self.slots.get(slot, caller).map_err(handle_error)?;
        self.room_for(caller)?;
        if self.ops.any(|op| op.slot() == Some(slot) && op.ends_slot()) {
            return Err(XhciError::Busy.into());
        }
        self.ticket(caller, Kind::DisableSlot { slot })
    }

    fn write_isoch(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        index: u8,
        lengths: ReadLease<64>,
        data: ReadLease<4096>,
    ) -> Answer<u8> {
        let caller = self.core(message)?;
        let hw = self.running()?;
        self.usable(slot, caller)?;
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

    fn read_isoch(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        index: u8,
        data: WriteLease<1024>,
    ) -> Answer<u16> {
        let caller = self.core(message)?;
        let hw = self.running()?;
        self.usable(slot, caller)?;
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

    fn isoch_status(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        index: u8,
    ) -> Answer<IsochStatus> {
        let caller = self.core(message)?;
        self.running()?;
        self.usable(slot, caller)?;
        let dci = dci(index)?;
        let endpoint = self.isoch_queue(slot, dci, dci.is_in())?;
        let queue = endpoint.isoch.as_ref().ok_or(XhciError::NoBounceMemory)?;
        Ok(queue.status())
    }

    fn register(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        kind: SidebandKind,
    ) -> Answer<SidebandHandle> {
        let caller = self.broker(message)?;
        if kind != SidebandKind::Vendor {
            return Err(XhciError::KindUnsupported.into());
        }
        self.running()?;
        let (_, found) = self.slots.find(slot).map_err(handle_error)?;
        if found.leaving {
            return Err(XhciError::DeviceGone.into());
        }
        if self.sidebands.iter().any(|(_, _, sideband)| sideband.slot == Some(slot)) {
            return Err(XhciError::SidebandExists.into());
        }
        let handle = self.sidebands.insert(caller, Sideband::new(slot));
        Ok(handle.map_err(|_| XhciError::NoSidebands)?)
    }

    fn unregister(&mut self, message: &RecvMessage, sideband: SidebandHandle) -> Answer<()> {
        self.admitted(sideband, message, Request::Unregister)?;
        self.forget_sideband(sideband);
        self.run();
        Ok(())
    }

    fn add_endpoint(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
        index: u8,
    ) -> Answer<()> {
        let dci = dci(index)?;
        let slot = self.sidebands.find(sideband).ok().and_then(|(_, found)| found.slot);
        let live = slot.map_or(0, |slot| self.endpoints.mask(slot, false));
        let configured = live & dci.bit() != 0;
        let request = Request::AddEndpoint { dci, configured };
        self.admitted(sideband, message, request)?.endpoints |= dci.bit();
        if let Some(endpoint) = slot.and_then(|slot| self.endpoints.live(slot, dci)) {
            endpoint.sideband = Some(sideband);
        }
        Ok(())
    }

    fn start_remove_endpoint(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
        index: u8,
    ) -> Answer<TicketHandle> {
        let dci = dci(index)?;
        let kind = Kind::Remove { sideband, dci };
        self.sideband_ticket(sideband, message, Request::RemoveEndpoint(dci), kind)
    }

    fn start_stop_sideband_endpoint(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
        index: u8,
    ) -> Answer<TicketHandle> {
        let dci = dci(index)?;
        let slot = self.sidebands.find(sideband).ok().and_then(|(_, found)| found.slot);
        let running =
            slot.is_some_and(|slot| self.endpoint_state(slot, dci) == EndpointState::Running);
        let request = Request::StopEndpoint { dci, running };
        self.sideband_ticket(sideband, message, request, Kind::StopOf { sideband, dci })
    }

    fn create_interrupter(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
        request: InterrupterRequest,
    ) -> Answer<u16> {
        let segments = request.segments;
        self.admitted(sideband, message, Request::CreateInterrupter { segments })?;
        let limit = self.running()?.interrupters;
        let id = self.interrupters.take(request.number, limit)?;
        let moderation = interrupter::moderation(request.moderation_ns);
        if let Ok((_, found)) = self.sidebands.find_mut(sideband) {
            found.interrupter = Some(Interrupter { id, moderation });
        }
        Ok(id.number())
    }

    fn remove_interrupter(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
    ) -> Answer<()> {
        let found = self.admitted(sideband, message, Request::RemoveInterrupter)?;
        if let Some(interrupter) = found.interrupter.take() {
            self.interrupters.give(interrupter.id);
        }
        Ok(())
    }

    fn interrupter_id(&mut self, message: &RecvMessage, sideband: SidebandHandle) -> Answer<u16> {
        let found = self.admitted(sideband, message, Request::InterrupterId)?;
        let interrupter = found.interrupter.ok_or(XhciError::NoInterrupter)?;
        Ok(interrupter.id.number())
    }

    fn place(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
        window: WindowHandle,
    ) -> Answer<Placement> {
        self.admitted(sideband, message, Request::Place)?;
        self.running()?;
        Ok(Driver::place(self, sideband, window)?)
    }

    fn displace(&mut self, message: &RecvMessage, sideband: SidebandHandle) -> Answer<()> {
        self.admitted(sideband, message, Request::Displace)?;
        if self.hw.is_none() && !self.safe {
            return Err(XhciError::NotReady.into());
        }
        Ok(Driver::displace(self, sideband)?)
    }

    fn start_arm(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
    ) -> Answer<TicketHandle> {
        self.broker(message)?;
        self.running()?;
        self.sideband_ticket(sideband, message, Request::Arm, Kind::Arm { sideband })
    }

    fn start_close_gate(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
    ) -> Answer<TicketHandle> {
        self.sideband_ticket(sideband, message, Request::CloseGate, Kind::CloseGate { sideband })
    }

    fn start_halt(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
    ) -> Answer<TicketHandle> {
        self.sideband_ticket(sideband, message, Request::Halt, Kind::Halt { sideband })
    }

    fn start_disarm(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
    ) -> Answer<TicketHandle> {
        self.sideband_ticket(sideband, message, Request::Disarm, Kind::Disarm { sideband })
    }

    fn sideband(
        &mut self,
        message: &RecvMessage,
        sideband: SidebandHandle,
    ) -> Answer<SidebandStatus> {
        let caller = self.broker(message)?;
        Ok(self.sidebands.get(sideband, caller).map_err(handle_error)?.status())
    }

    fn status(&mut self, _: &RecvMessage) -> Answer<Status> {
        let pages = self.sidebands.iter().flat_map(|(_, _, sideband)| sideband.held_pages());
        let endpoints = self.sidebands.iter().map(|(_, _, s)| s.endpoints.count_ones());
        Ok(Status {
            slots: self.slots.len() as u8,
            sidebands: self.sidebands.len() as u8,
            interrupters: self.interrupters.count() as u8,
            endpoints: endpoints.sum::<u32>() as u8,
            ring_pages: pages.count() as u16,
            command_timeouts: self.command_timeouts,
            deaths: self.deaths,
        })
    }
}
