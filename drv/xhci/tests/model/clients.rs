//! What the test tasks do: the calls of `usb_core` and the broker, in little.

use crate::machine::{Diary, HINT, IOMMU_HINT, PEER_CHANGED};
use usb_types::{Setup, Speed};
use userlib::{hl, sys_recv_notification, task_slot};
use xhci_api::{Completed, EndpointSpec, Event, SlotHandle, TicketHandle, Xhci, XhciError};
use zerocopy::IntoBytes;

task_slot!(XHCI_SLOT, xhci);

pub(crate) fn say(diary: &Diary, line: impl Into<String>) {
    diary.borrow_mut().push(line.into());
}

/// The driver, as a client sees it, with the news that nobody asked for yet.
pub(crate) struct Driver {
    pub(crate) xhci: Xhci,
    pub(crate) ready: bool,
    /// Whether the controller was kept from memory because it does not come up.
    pub(crate) safe: bool,
    /// Lives of the controller, and of its driver, that ended.
    pub(crate) deaths: u32,
    pub(crate) revoked: Vec<(xhci_api::SidebandHandle, xhci_api::RevokeReason)>,
    pub(crate) progress: bool,
    /// The slot enabled last, whatever came of it.
    pub(crate) last: Option<SlotHandle>,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self {
            xhci: Xhci::from(XHCI_SLOT.get_task_id()),
            ready: false,
            safe: false,
            deaths: 0,
            revoked: Vec::new(),
            progress: false,
            last: None,
        }
    }

    /// Takes all news.
    pub(crate) fn pull(&mut self) {
        loop {
            match self.xhci.pull() {
                Ok(Event::None) | Err(_) => return,
                Ok(Event::ControllerReady) => self.ready = true,
                Ok(Event::ControllerSafe) => self.safe = true,
                Ok(Event::ControllerDied) => {
                    self.ready = false;
                    self.deaths += 1;
                }
                Ok(Event::PortChanged { port }) => {
                    // A port tells of a change once its last one is acknowledged.
                    let _ = self.xhci.acknowledge_port(port, 0x7F);
                }
                Ok(Event::Revoked { sideband, reason }) => self.revoked.push((sideband, reason)),
                Ok(Event::IsochProgress { .. }) => self.progress = true,
                Ok(Event::TicketDone(_)) => {}
            }
        }
    }

    /// Waits for a hint.
    pub(crate) fn wait(&mut self) {
        let bits = sys_recv_notification(HINT | IOMMU_HINT | PEER_CHANGED);
        if bits & PEER_CHANGED != 0 {
            let before = self.xhci.task_id();
            self.xhci.refresh_task_id();
            // Another incarnation has news of its own.
            if self.xhci.task_id() != before {
                self.ready = false;
                self.deaths += 1;
            }
        }
        self.pull();
    }

    pub(crate) fn until_ready(&mut self) {
        self.pull();
        while !self.ready {
            self.wait();
        }
    }

    /// How a ticket ends.
    pub(crate) fn end(
        &mut self,
        ticket: Result<TicketHandle, XhciError>,
    ) -> Result<Completed, XhciError> {
        let ticket = ticket?;
        loop {
            match self.xhci.result(ticket) {
                Err(XhciError::NotYet) => self.wait(),
                other => return other,
            }
        }
    }

    /// A control transfer; IN data go to `data`.
    pub(crate) fn control(
        &mut self,
        slot: SlotHandle,
        setup: Setup,
        data: &mut [u8],
    ) -> Result<u16, XhciError> {
        let is_in = setup.request_type & 0x80 != 0;
        let ticket = self.xhci.start_control(slot, setup, if is_in { &[] } else { data })?;
        loop {
            match self.xhci.take_data(ticket, if is_in { data } else { &mut [] }) {
                Err(XhciError::NotYet) => self.wait(),
                other => return other,
            }
        }
    }

    /// Waits until some port has a device; which.
    pub(crate) fn until_connected(&mut self) -> u8 {
        loop {
            let ports = self.xhci.info().expect("the controller lives").ports;
            for port in 1..=ports {
                if self.xhci.port(port).is_ok_and(|status| status.connected) {
                    return port;
                }
            }
            self.wait();
        }
    }

    /// Connects, resets and addresses the device on `port`, as a hub driver does.
    pub(crate) fn enumerate(&mut self, port: u8) -> Result<SlotHandle, XhciError> {
        hl::sleep_for(110);
        self.xhci.acknowledge_port(port, 0x7F)?;
        let reset = self.xhci.start_port_reset(port);
        self.end(reset)?;
        self.xhci.acknowledge_port(port, 0x7F)?;
        hl::sleep_for(15);
        let status = self.xhci.port(port)?;
        let Some(speed) = status.speed.filter(|_| status.enabled) else {
            return Err(XhciError::NotConnected);
        };
        let enable = self.xhci.start_enable_slot(port, speed);
        let Completed::Slot { slot, number } = self.end(enable)? else {
            panic!("a slot was asked for");
        };
        assert!(number > 0);
        self.last = Some(slot);
        self.address(slot, speed)?;
        Ok(slot)
    }

    /// Addresses the device that has a slot.
    pub(crate) fn address(&mut self, slot: SlotHandle, speed: Speed) -> Result<(), XhciError> {
        let first = if speed == Speed::Full { 8 } else { 64 };
        let address = self.xhci.start_address(slot, true, first);
        self.end(address)?;
        let mut head = [0; 8];
        assert_eq!(self.control(slot, DEVICE_HEAD, &mut head)?, 8);
        let max_packet0 = u16::from(head[7]);
        let address = self.xhci.start_address(slot, false, max_packet0);
        self.end(address)?;
        hl::sleep_for(5);
        if max_packet0 != first {
            let evaluate = self.xhci.start_evaluate(slot, max_packet0);
            self.end(evaluate)?;
        }
        Ok(())
    }

    /// Disables what was on the port, then brings up what is.
    pub(crate) fn replug(&mut self, slot: Option<SlotHandle>) {
        if let Some(slot) = slot {
            let disable = self.xhci.start_disable_slot(slot);
            self.end(disable).expect("disabled");
        }
        let port = self.until_connected();
        let slot = self.enumerate(port).expect("it enumerates");
        let mut device = [0; 18];
        assert_eq!(self.control(slot, DEVICE, &mut device), Ok(18));
    }

    /// Sets the configuration and the audio interface's alternate 1 up, with its
    /// endpoint.
    pub(crate) fn start_stream(
        &mut self,
        slot: SlotHandle,
        specs: &[EndpointSpec],
    ) -> Result<(), XhciError> {
        self.control(slot, SET_CONFIGURATION, &mut [])?;
        self.configure(slot, 0, specs)?;
        self.control(slot, set_interface(1), &mut [])?;
        let mut rate = [0x80, 0xBB, 0x00];
        self.control(slot, SET_RATE, &mut rate)?;
        Ok(())
    }

    pub(crate) fn configure(
        &mut self,
        slot: SlotHandle,
        drop: u32,
        specs: &[EndpointSpec],
    ) -> Result<Completed, XhciError> {
        let mut add = [EndpointSpec::default(); 2];
        let add = &mut add[..specs.len()];
        add.copy_from_slice(specs);
        let ticket = self.xhci.start_configure(slot, drop, add.as_bytes());
        self.end(ticket)
    }
}

pub(crate) const DEVICE_HEAD: Setup =
    Setup { request_type: 0x80, request: 6, value: 0x0100, index: 0, length: 8 };
pub(crate) const DEVICE: Setup = Setup { length: 18, ..DEVICE_HEAD };
pub(crate) const SET_CONFIGURATION: Setup =
    Setup { request_type: 0, request: 9, value: 1, index: 0, length: 0 };
/// SAMPLING_FREQ_CONTROL of endpoint 1 OUT.
pub(crate) const SET_RATE: Setup =
    Setup { request_type: 0x22, request: 1, value: 0x0100, index: 0x01, length: 3 };

pub(crate) const fn set_interface(alternate: u16) -> Setup {
    Setup { request_type: 1, request: 11, value: alternate, index: 1, length: 0 }
}
