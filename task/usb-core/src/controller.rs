//! The driver below, as this task uses it.
//!
//! A trait, so that enumeration and clients' operations are tested against a
//! device made of a table.

use usb_core_api::UsbCoreError;
use usb_types::{Setup, Speed};
use xhci_api::{
    Completed, ControllerInfo, EndpointSpec, Event, IsochStatus, PortStatus, SlotHandle,
    TicketHandle, Xhci, XhciError,
};
use zerocopy::IntoBytes;

/// Answer of the driver.
pub(crate) type Answer<T> = Result<T, XhciError>;

/// What this task asks of the driver; each as the operation of `idl/xhci.idol`
/// of its name.
pub(crate) trait Controller {
    fn info(&self) -> Answer<ControllerInfo>;
    fn pull(&self) -> Answer<Event>;
    fn result(&self, ticket: TicketHandle) -> Answer<Completed>;
    fn take_data(&self, ticket: TicketHandle, data: &mut [u8]) -> Answer<u16>;
    fn cancel(&self, ticket: TicketHandle) -> Answer<()>;
    fn port(&self, port: u8) -> Answer<PortStatus>;
    fn acknowledge_port(&self, port: u8, changes: u8) -> Answer<()>;
    fn start_port_reset(&self, port: u8) -> Answer<TicketHandle>;
    fn start_enable_slot(&self, port: u8, speed: Speed) -> Answer<TicketHandle>;
    fn start_enable_slot_behind(
        &self,
        hub: SlotHandle,
        port: u8,
        speed: Speed,
    ) -> Answer<TicketHandle>;
    fn start_configure_hub(
        &self,
        slot: SlotHandle,
        ports: u8,
        think_time: u8,
    ) -> Answer<TicketHandle>;
    fn start_address(&self, slot: SlotHandle, block: bool, size: u16) -> Answer<TicketHandle>;
    fn start_evaluate(&self, slot: SlotHandle, size: u16) -> Answer<TicketHandle>;
    fn start_control(&self, slot: SlotHandle, setup: Setup, out: &[u8]) -> Answer<TicketHandle>;
    fn start_configure(
        &self,
        slot: SlotHandle,
        drop: u32,
        add: &[EndpointSpec],
    ) -> Answer<TicketHandle>;
    fn start_reset_device(&self, slot: SlotHandle) -> Answer<TicketHandle>;
    fn start_disable_slot(&self, slot: SlotHandle) -> Answer<TicketHandle>;
    fn start_suspend_device(&self, slot: SlotHandle) -> Answer<TicketHandle>;
    fn start_resume_device(&self, slot: SlotHandle) -> Answer<TicketHandle>;
    fn write_isoch(&self, slot: SlotHandle, dci: u8, lengths: &[u8], data: &[u8]) -> Answer<u8>;
    fn read_isoch(&self, slot: SlotHandle, dci: u8, data: &mut [u8]) -> Answer<u16>;
    fn isoch_status(&self, slot: SlotHandle, dci: u8) -> Answer<IsochStatus>;
}

impl Controller for Xhci {
    fn info(&self) -> Answer<ControllerInfo> {
        self.info()
    }

    fn pull(&self) -> Answer<Event> {
        self.pull()
    }

    fn result(&self, ticket: TicketHandle) -> Answer<Completed> {
        self.result(ticket)
    }

    fn take_data(&self, ticket: TicketHandle, data: &mut [u8]) -> Answer<u16> {
        self.take_data(ticket, data)
    }

    fn cancel(&self, ticket: TicketHandle) -> Answer<()> {
        self.cancel(ticket)
    }

    fn port(&self, port: u8) -> Answer<PortStatus> {
        self.port(port)
    }

    fn acknowledge_port(&self, port: u8, changes: u8) -> Answer<()> {
        self.acknowledge_port(port, changes)
    }

    fn start_port_reset(&self, port: u8) -> Answer<TicketHandle> {
        self.start_port_reset(port)
    }

    fn start_enable_slot(&self, port: u8, speed: Speed) -> Answer<TicketHandle> {
        self.start_enable_slot(port, speed)
    }

    fn start_enable_slot_behind(
        &self,
        hub: SlotHandle,
        port: u8,
        speed: Speed,
    ) -> Answer<TicketHandle> {
        self.start_enable_slot_behind(hub, port, speed)
    }

    fn start_configure_hub(
        &self,
        slot: SlotHandle,
        ports: u8,
        think_time: u8,
    ) -> Answer<TicketHandle> {
        self.start_configure_hub(slot, ports, think_time)
    }

    fn start_address(&self, slot: SlotHandle, block: bool, size: u16) -> Answer<TicketHandle> {
        self.start_address(slot, block, size)
    }

    fn start_evaluate(&self, slot: SlotHandle, size: u16) -> Answer<TicketHandle> {
        self.start_evaluate(slot, size)
    }

    fn start_control(&self, slot: SlotHandle, setup: Setup, out: &[u8]) -> Answer<TicketHandle> {
        self.start_control(slot, setup, out)
    }

    fn start_configure(
        &self,
        slot: SlotHandle,
        drop: u32,
        add: &[EndpointSpec],
    ) -> Answer<TicketHandle> {
        self.start_configure(slot, drop, add.as_bytes())
    }

    fn start_reset_device(&self, slot: SlotHandle) -> Answer<TicketHandle> {
        self.start_reset_device(slot)
    }

    fn start_disable_slot(&self, slot: SlotHandle) -> Answer<TicketHandle> {
        self.start_disable_slot(slot)
    }

    fn start_suspend_device(&self, slot: SlotHandle) -> Answer<TicketHandle> {
        self.start_suspend_device(slot)
    }

    fn start_resume_device(&self, slot: SlotHandle) -> Answer<TicketHandle> {
        self.start_resume_device(slot)
    }

    fn write_isoch(&self, slot: SlotHandle, dci: u8, lengths: &[u8], data: &[u8]) -> Answer<u8> {
        self.write_isoch(slot, dci, lengths, data)
    }

    fn read_isoch(&self, slot: SlotHandle, dci: u8, data: &mut [u8]) -> Answer<u16> {
        self.read_isoch(slot, dci, data)
    }

    fn isoch_status(&self, slot: SlotHandle, dci: u8) -> Answer<IsochStatus> {
        self.isoch_status(slot, dci)
    }
}

/// What a refusal of the driver is to a client of this task.
pub(crate) fn refusal(error: XhciError) -> UsbCoreError {
    match error {
        XhciError::Stall => UsbCoreError::Stall,
        XhciError::Transaction | XhciError::Babble => UsbCoreError::Transaction,
        XhciError::Bandwidth | XhciError::ExitLatency => UsbCoreError::Bandwidth,
        XhciError::Resource
        | XhciError::NoContextMemory
        | XhciError::NoRingMemory
        | XhciError::NoBounceMemory => UsbCoreError::NoResources,
        XhciError::EndpointBusy => UsbCoreError::EndpointBusy,
        XhciError::NoEndpoint | XhciError::NotRunning => UsbCoreError::NoEndpoint,
        XhciError::Busy | XhciError::NoTickets => UsbCoreError::Busy,
        XhciError::TimedOut => UsbCoreError::TimedOut,
        XhciError::Suspended => UsbCoreError::Suspended,
        XhciError::ControllerDead | XhciError::NotReady | XhciError::ServerDied => {
            UsbCoreError::ControllerDead
        }
        XhciError::DeviceGone | XhciError::Stale | XhciError::StaleServer => {
            UsbCoreError::DeviceGone
        }
        XhciError::DataLength => UsbCoreError::BadRequest,
        _ => UsbCoreError::TransferFailed,
    }
}

/// Whether the controller, or its driver, is no longer there.
pub(crate) fn is_lost(error: XhciError) -> bool {
    refusal(error) == UsbCoreError::ControllerDead
}

/// Whether the same request may succeed a little later.
pub(crate) fn is_crowded(error: XhciError) -> bool {
    matches!(error, XhciError::Busy | XhciError::NoTickets)
}
