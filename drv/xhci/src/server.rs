//! The server: messages, interrupts and the timer to the driver.

use crate::Config;
use crate::context::EndpointState;
use crate::driver::{Client, Driver, handle_error};
use crate::hub::Place;
use crate::interrupter;
use crate::op::Kind;
use crate::port;
use crate::requests::{Answer, ReadLease, WriteLease, dci};
use crate::sideband::{Interrupter, Request, Sideband};
use crate::trace::{Trace, note};
use handles::Cancelled;
use idol_runtime::NotificationHandler;
use iommu_api::WindowHandle;
use usb_types::{Setup, Speed};
use userlib::{RecvMessage, TIMER_MASK, sys_irq_control};
use xhci_api::{
    Completed, ControllerInfo, InterrupterRequest, IsochStatus, Placement, PortStatus,
    SidebandHandle, SidebandKind, SidebandStatus, SlotHandle, TicketHandle, XhciError, XhciEvent,
    XhciStatus,
};

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

/// Serves for ever.
#[inline(always)]
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
        // What is due may have come: an interrupt can be lost.
        if bits & (self.config.irq | TIMER_MASK) != 0 {
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

    fn refused(&mut self, code: u32) {
        if let Ok(error) = XhciError::try_from(code)
            && error != XhciError::NotYet
        {
            note(Trace::Refused(error));
        }
    }
}

impl InOrderXhciImpl for Driver<'_> {
    fn info(&mut self, _: &RecvMessage) -> Answer<ControllerInfo> {
        // Its word is its registers': a controller that fails may tell nobody.
        self.take_events();
        self.try_again(Self::now());
        self.run();
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

    fn pull(&mut self, message: &RecvMessage) -> Answer<XhciEvent> {
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
        // A change that came while another one stood raised no event (4.19.2).
        if port::status(hw.regs.port(port), false).changes != 0 {
            self.news[Client::UsbCore as usize].port_changed(port.number());
            self.hint(Client::UsbCore);
        }
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
        self.start_enable_at(caller, Place::root(port), speed)
    }

    fn start_enable_slot_behind(
        &mut self,
        message: &RecvMessage,
        hub: SlotHandle,
        port: u8,
        speed: Speed,
    ) -> Answer<TicketHandle> {
        self.start_enable_behind(message, hub, port, speed)
    }

    fn start_configure_hub(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        ports: u8,
        think_time: u8,
    ) -> Answer<TicketHandle> {
        self.start_hub_request(message, slot, ports, think_time)
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
        self.awake(slot, caller)?;
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
        self.awake(slot, caller)?;
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
        self.start_control_request(message, slot, setup, data)
    }

    fn start_configure(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        drop: u32,
        add: ReadLease<128>,
    ) -> Answer<TicketHandle> {
        self.start_configure_request(message, slot, drop, add)
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

    fn start_suspend_device(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
    ) -> Answer<TicketHandle> {
        self.start_suspend_request(message, slot)
    }

    fn start_resume_device(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
    ) -> Answer<TicketHandle> {
        self.start_resume_request(message, slot)
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
        self.write_isoch_request(message, slot, index, lengths, data)
    }

    fn read_isoch(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        index: u8,
        data: WriteLease<1024>,
    ) -> Answer<u16> {
        self.read_isoch_request(message, slot, index, data)
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
        let live = slot.and_then(|slot| self.endpoints.live(slot, dci));
        let configured = live.is_some();
        let taken = live.is_some_and(|endpoint| endpoint.sideband.is_some());
        let request = Request::AddEndpoint { dci, configured, taken };
        self.admitted(sideband, message, request)?.add(dci);
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
        if self.sleeps(sideband) {
            return Err(XhciError::Suspended.into());
        }
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

    fn status(&mut self, _: &RecvMessage) -> Answer<XhciStatus> {
        let pages = self.sidebands.iter().flat_map(|(_, _, sideband)| sideband.held_pages());
        let endpoints = self.sidebands.iter().map(|(_, _, s)| s.endpoints.count_ones());
        Ok(XhciStatus {
            slots: self.slots.len() as u8,
            sidebands: self.sidebands.len() as u8,
            interrupters: self.interrupters.count() as u8,
            endpoints: endpoints.sum::<u32>() as u8,
            suspended: self.slots.iter().filter(|(_, _, slot)| slot.asleep).count() as u8,
            ring_pages: pages.count() as u16,
            command_timeouts: self.command_timeouts,
            deaths: self.deaths,
        })
    }
}
