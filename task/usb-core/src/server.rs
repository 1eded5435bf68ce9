//! The loop around the core: messages, notifications, the timer.

use abi::TIMER_MASK;
use idol_runtime::{Leased, LenLimit, NotificationHandler, R, RequestError, W};
use peers::Peers;
use usb_core_api::{
    Depth, DeviceHandle, DeviceInfo, PipeStatus, TicketHandle, UsbCoreError, UsbCoreEvent,
    UsbCoreStatus,
};
use usb_types::{EndpointAddress, Setup};
use userlib::{RecvMessage, TaskSlot, sys_get_timer, sys_set_timer};
use xhci_api::Xhci;

use crate::controllers::{Controllers, place};
use crate::core::{Core, Settings, Trace, trace};
use crate::{Config, MAX_CLIENTS, MAX_CONFIGURATION, MAX_CONTROL};

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

/// The drivers, in the order of their controllers.
const DRIVERS: [TaskSlot; 2] = [TaskSlot::new("xhci"), TaskSlot::new("xhci1")];

/// Bytes of packet lengths that one `write_isoch` can carry.
const MAX_LENGTHS: usize = 64;

/// Bytes of packets that one `write_isoch` can carry.
const MAX_PACKETS: usize = 4096;

/// Bytes of one packet that `read_isoch` can carry.
const MAX_PACKET: usize = 1024;

struct Server<'c, const N: usize> {
    config: &'c Config,
    core: Core<Xhci, N>,
    peers: Peers,
    /// Deadline that the timer is set to.
    armed: Option<u64>,
    /// Packets on their way through.
    packets: [u8; MAX_PACKETS],
}

/// Serves for ever.
#[inline(always)]
pub(crate) fn run<const N: usize>(config: &Config) -> ! {
    const { assert!(0 < N && N <= DRIVERS.len(), "a slot for each controller's driver") };
    // Every client shares an edge with this task, the drivers and the
    // supervisor do as well.
    assert!(config.neighbours.len() <= MAX_CLIENTS + N + 1, "more clients than MAX_CLIENTS");
    let peers = Peers::new(config.neighbours);
    let drivers = core::array::from_fn(|n| Xhci::from(DRIVERS[n].get_task_id()));
    let autosuspend_ms = Some(u64::from(config.autosuspend_ms)).filter(|&ms| ms != 0);
    let settings = Settings { power: config.power, autosuspend_ms, hubs: config.hubs };
    let mut server = Server {
        config,
        core: Core::<_, N>::new(drivers, peers::epoch(), settings),
        peers,
        armed: None,
        packets: [0; MAX_PACKETS],
    };
    for controller in Controllers::<Xhci, N>::numbers() {
        server.core.begin(controller, sys_get_timer().now);
    }
    server.settle();
    let mut buffer = [0; INCOMING_SIZE];
    idol_runtime::dispatch(&mut server, &mut buffer)
}

type Answer<T> = Result<T, RequestError<UsbCoreError>>;

impl<const N: usize> Server<'_, N> {
    /// After anything that happened: hints clients and sets the timer.
    fn settle(&mut self) {
        while let Some(client) = self.core.clients.take_hint() {
            peers::hint(client);
        }
        let deadline = self.core.deadline();
        if deadline != self.armed {
            self.armed = deadline;
            sys_set_timer(deadline, TIMER_MASK);
        }
    }

    fn peers_changed(&mut self) {
        let drivers = self.core.controllers.0.each_ref().map(|driver| driver.task_id().index());
        let mut changed = [false; N];
        let core = &mut self.core;
        self.peers.refresh(|change| {
            match drivers.iter().position(|&driver| driver == change.old.index()) {
                Some(place) => changed[place] = true,
                None => core.forget_client(change.old),
            }
        });
        self.core.advance(sys_get_timer().now);
        for controller in Controllers::<Xhci, N>::numbers() {
            if changed[place::<N>(controller)] {
                self.core.controllers.0[place::<N>(controller)].refresh_task_id();
                self.core.lose_controller(controller);
                self.core.begin(controller, sys_get_timer().now);
            }
        }
    }

    /// Makes it the answer, and does what it brings about.
    fn answer<T>(&mut self, result: Result<T, UsbCoreError>) -> Answer<T> {
        self.settle();
        Ok(result?)
    }
}

impl<const N: usize> NotificationHandler for Server<'_, N> {
    fn current_notification_mask(&self) -> u32 {
        self.config.peer_changed | self.config.xhci | TIMER_MASK
    }

    fn handle_notification(&mut self, bits: u32) {
        if bits & self.config.peer_changed != 0 {
            self.peers_changed();
        }
        let now = sys_get_timer().now;
        if bits & self.config.xhci != 0 {
            self.core.pull_all(now);
        }
        if bits & TIMER_MASK != 0 {
            self.armed = None;
            self.core.tick(now);
        }
        self.settle();
    }

    fn refused(&mut self, code: u32) {
        if let Ok(error) = UsbCoreError::try_from(code)
            && error != UsbCoreError::NotYet
        {
            trace(Trace::Refused(error));
        }
    }
}

impl<const N: usize> InOrderUsbCoreImpl for Server<'_, N> {
    fn pull(&mut self, message: &RecvMessage) -> Answer<UsbCoreEvent> {
        self.core.meet(message.sender);
        let event = self.core.pull(message.sender);
        self.answer(Ok(event))
    }

    fn device(&mut self, _: &RecvMessage, device: DeviceHandle) -> Answer<DeviceInfo> {
        let result = self.core.info(device);
        self.answer(result)
    }

    fn read_configuration(
        &mut self,
        _: &RecvMessage,
        device: DeviceHandle,
        offset: u16,
        data: LenLimit<Leased<W, [u8]>, MAX_CONFIGURATION>,
    ) -> Answer<u16> {
        let bytes = match self.core.configuration(device) {
            Ok(bytes) => bytes.get(usize::from(offset)..).unwrap_or(&[]),
            Err(refusal) => return self.answer(Err(refusal)),
        };
        let len = bytes.len().min(data.len());
        data.write_range(0..len, &bytes[..len])?;
        Ok(len as u16)
    }

    fn claim_interface(
        &mut self,
        message: &RecvMessage,
        device: DeviceHandle,
        interface: u8,
    ) -> Answer<()> {
        self.core.meet(message.sender);
        let result = self.core.claim(message.sender, device, interface);
        self.answer(result)
    }

    fn release_interface(
        &mut self,
        message: &RecvMessage,
        device: DeviceHandle,
        interface: u8,
    ) -> Answer<()> {
        let result = self.core.release(message.sender, device, interface);
        self.answer(result)
    }

    fn start_take_interface(
        &mut self,
        message: &RecvMessage,
        device: DeviceHandle,
        interface: u8,
    ) -> Answer<TicketHandle> {
        let now = sys_get_timer().now;
        let result = self.core.start_take(message.sender, device, interface, now);
        self.answer(result)
    }

    fn start_set_interface(
        &mut self,
        message: &RecvMessage,
        device: DeviceHandle,
        interface: u8,
        alternate: u8,
    ) -> Answer<TicketHandle> {
        let now = sys_get_timer().now;
        let setting = (interface, alternate);
        let result = self.core.start_set_interface(message.sender, device, setting, now);
        self.answer(result)
    }

    fn start_reset(&mut self, message: &RecvMessage, device: DeviceHandle) -> Answer<TicketHandle> {
        let now = sys_get_timer().now;
        let result = self.core.start_reset(message.sender, device, now);
        self.answer(result)
    }

    fn start_control(
        &mut self,
        message: &RecvMessage,
        device: DeviceHandle,
        setup: Setup,
        data: LenLimit<Leased<R, [u8]>, MAX_CONTROL>,
    ) -> Answer<TicketHandle> {
        let mut out = [0; MAX_CONTROL];
        let out = &mut out[..data.len()];
        data.read_range(0..data.len(), out)?;
        let now = sys_get_timer().now;
        let result = self.core.start_control(message.sender, device, setup, out, now);
        self.answer(result)
    }

    fn result(&mut self, message: &RecvMessage, ticket: TicketHandle) -> Answer<()> {
        let result = self.core.result(message.sender, ticket).and_then(|ended| ended.result);
        self.answer(result)
    }

    fn take_data(
        &mut self,
        message: &RecvMessage,
        ticket: TicketHandle,
        data: LenLimit<Leased<W, [u8]>, MAX_CONTROL>,
    ) -> Answer<u16> {
        let ended = match self.core.result(message.sender, ticket) {
            Ok(ended) => ended,
            Err(refusal) => return self.answer(Err(refusal)),
        };
        if let Err(refusal) = ended.result {
            return self.answer(Err(refusal));
        }
        let len = ended.data().len().min(data.len());
        data.write_range(0..len, &ended.data()[..len])?;
        Ok(len as u16)
    }

    fn cancel(&mut self, message: &RecvMessage, ticket: TicketHandle) -> Answer<()> {
        let result = self.core.cancel(message.sender, ticket);
        self.answer(result)
    }

    fn write_isoch(
        &mut self,
        message: &RecvMessage,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        lengths: LenLimit<Leased<R, [u8]>, MAX_LENGTHS>,
        data: LenLimit<Leased<R, [u8]>, MAX_PACKETS>,
    ) -> Answer<u8> {
        let mut sizes = [0; MAX_LENGTHS];
        let sizes = &mut sizes[..lengths.len()];
        lengths.read_range(0..lengths.len(), sizes)?;
        let packets = &mut self.packets[..data.len()];
        data.read_range(0..data.len(), packets)?;
        let result = self.core.write_isoch(message.sender, device, endpoint, (sizes, packets));
        self.answer(result)
    }

    fn read_isoch(
        &mut self,
        message: &RecvMessage,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        data: LenLimit<Leased<W, [u8]>, MAX_PACKET>,
    ) -> Answer<u16> {
        let packet = &mut self.packets[..data.len()];
        let result = self.core.read_isoch(message.sender, device, endpoint, packet);
        if let Ok(len) = result {
            let len = usize::from(len).min(packet.len());
            data.write_range(0..len, &packet[..len])?;
        }
        self.answer(result)
    }

    fn isoch_status(
        &mut self,
        message: &RecvMessage,
        device: DeviceHandle,
        endpoint: EndpointAddress,
    ) -> Answer<PipeStatus> {
        let result = self.core.isoch_status(message.sender, device, endpoint);
        self.answer(result)
    }

    fn hold(&mut self, message: &RecvMessage, device: DeviceHandle) -> Answer<()> {
        self.core.meet(message.sender);
        let result = self.core.hold(message.sender, device, sys_get_timer().now);
        self.answer(result)
    }

    fn unhold(&mut self, message: &RecvMessage, device: DeviceHandle) -> Answer<()> {
        let result = self.core.unhold(message.sender, device, sys_get_timer().now);
        self.answer(result)
    }

    fn start_suspend(&mut self, message: &RecvMessage, depth: Depth) -> Answer<TicketHandle> {
        self.core.meet(message.sender);
        let result = self.core.start_suspend(message.sender, depth, sys_get_timer().now);
        self.answer(result)
    }

    fn start_resume(&mut self, message: &RecvMessage) -> Answer<TicketHandle> {
        self.core.meet(message.sender);
        let result = self.core.start_resume(message.sender, sys_get_timer().now);
        self.answer(result)
    }

    fn status(&mut self, _: &RecvMessage) -> Answer<UsbCoreStatus> {
        let status = self.core.status();
        self.answer(Ok(status))
    }
}
