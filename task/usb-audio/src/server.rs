//! The audio class as a task: messages in, `usb_core` below.

use abi::TaskId;
use idol_runtime::{Leased, LenLimit, NotificationHandler, R, RequestError};
use peers::Peers;
use usb_audio_api::{
    CardInfo, Completed, Drive, StreamDescription, StreamFormat, StreamHandle, StreamId,
    TicketHandle, UsbAudioError, UsbAudioEvent, UsbAudioStatus,
};
use usb_core_api::{DeviceHandle, DeviceInfo, PipeStatus, UsbCore, UsbCoreError};
use usb_desc::{AlternateNumber, InterfaceNumber};
use usb_types::{EndpointAddress, Setup};
use userlib::{RecvMessage, TIMER_MASK, sys_get_timer, sys_set_timer};

use crate::Config;
use crate::engine::{Engine, Trace, trace};
use crate::world::World;

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

userlib::task_slot!(USB_CORE, usb_core);

/// The world as the other tasks make it.
struct System {
    core: UsbCore,
}

impl World for System {
    fn news(&mut self) -> Result<usb_core_api::Event, UsbCoreError> {
        self.core.pull()
    }

    fn device(&mut self, device: DeviceHandle) -> Result<DeviceInfo, UsbCoreError> {
        self.core.device(device)
    }

    fn configuration(
        &mut self,
        device: DeviceHandle,
        offset: u16,
        into: &mut [u8],
    ) -> Result<u16, UsbCoreError> {
        self.core.read_configuration(device, offset, into)
    }

    fn claim(
        &mut self,
        device: DeviceHandle,
        interface: InterfaceNumber,
    ) -> Result<(), UsbCoreError> {
        self.core.claim_interface(device, interface.0)
    }

    fn release(&mut self, device: DeviceHandle, interface: InterfaceNumber) {
        // What is not ours any more needs no giving back.
        let _ = self.core.release_interface(device, interface.0);
    }

    fn set_interface(
        &mut self,
        device: DeviceHandle,
        interface: InterfaceNumber,
        alternate: AlternateNumber,
    ) -> Result<usb_core_api::TicketHandle, UsbCoreError> {
        self.core.start_set_interface(device, interface.0, alternate.0)
    }

    fn control(
        &mut self,
        device: DeviceHandle,
        setup: Setup,
        data: &[u8],
    ) -> Result<usb_core_api::TicketHandle, UsbCoreError> {
        self.core.start_control(device, setup, data)
    }

    fn result(&mut self, ticket: usb_core_api::TicketHandle) -> Result<(), UsbCoreError> {
        self.core.result(ticket)
    }

    fn take(
        &mut self,
        ticket: usb_core_api::TicketHandle,
        into: &mut [u8],
    ) -> Result<u16, UsbCoreError> {
        self.core.take_data(ticket, into)
    }

    fn send(
        &mut self,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        lengths: &[u8],
        data: &[u8],
    ) -> Result<u8, UsbCoreError> {
        self.core.write_isoch(device, endpoint, lengths, data)
    }

    fn receive(
        &mut self,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        into: &mut [u8],
    ) -> Result<u16, UsbCoreError> {
        self.core.read_isoch(device, endpoint, into)
    }

    fn pipe(
        &mut self,
        device: DeviceHandle,
        endpoint: EndpointAddress,
    ) -> Result<PipeStatus, UsbCoreError> {
        self.core.isoch_status(device, endpoint)
    }

    fn hint(&mut self, client: TaskId) {
        peers::hint(client);
    }

    fn now(&mut self) -> u64 {
        sys_get_timer().now
    }
}

struct AudioServer<'c> {
    config: &'c Config,
    system: System,
    peers: Peers,
    engine: Engine,
    /// What the timer is set to.
    armed: Option<u64>,
}

/// Serves for ever.
#[inline(always)]
pub(crate) fn run(config: &Config) -> ! {
    let mut server = AudioServer {
        config,
        peers: Peers::new(config.neighbours),
        system: System { core: UsbCore::from(USB_CORE.get_task_id()) },
        engine: Engine::new(peers::epoch()),
        armed: None,
    };
    // Devices may have come before this task's first instruction.
    server.engine.pull(&mut server.system);
    server.settle();
    let mut buffer = [0; INCOMING_SIZE];
    idol_runtime::dispatch(&mut server, &mut buffer)
}

impl AudioServer<'_> {
    /// Takes back what neighbours that died had, and meets the new ones.
    fn meet_neighbours(&mut self) {
        let Self { peers, engine, system, .. } = self;
        let mut core_changed = false;
        peers.refresh(|change| {
            if change.old.index() == usize::from(USB_CORE.get_task_index()) {
                system.core.refresh_task_id();
                core_changed = true;
                engine.core_died(system);
            } else {
                engine.client_died(system, change.old);
            }
        });
        if core_changed {
            engine.pull(system);
        }
    }

    /// After anything happened: hints out, timer set. While streams only run,
    /// there is no timer.
    fn settle(&mut self) {
        self.engine.hint(&mut self.system);
        let wanted = match self.engine.deadline(0) {
            None => None,
            Some(_) => self.engine.deadline(self.system.now()),
        };
        if wanted != self.armed {
            sys_set_timer(wanted, TIMER_MASK);
            self.armed = wanted;
        }
    }

    fn done<T>(
        &mut self,
        answer: Result<T, UsbAudioError>,
    ) -> Result<T, RequestError<UsbAudioError>> {
        self.settle();
        Ok(answer?)
    }
}

impl NotificationHandler for AudioServer<'_> {
    fn current_notification_mask(&self) -> u32 {
        self.config.usb_core | self.config.peer_changed | TIMER_MASK
    }

    fn handle_notification(&mut self, bits: u32) {
        if bits & self.config.peer_changed != 0 {
            self.meet_neighbours();
        }
        if bits & self.config.usb_core != 0 {
            self.engine.pull(&mut self.system);
        }
        if bits & TIMER_MASK != 0 {
            self.armed = None;
            self.engine.tick(&mut self.system);
        }
        self.settle();
    }

    fn refused(&mut self, code: u32) {
        if let Ok(error) = UsbAudioError::try_from(code)
            && error != UsbAudioError::NotYet
        {
            trace(Trace::Refused(error));
        }
    }
}

impl InOrderUsbAudioImpl for AudioServer<'_> {
    fn pull(
        &mut self,
        message: &RecvMessage,
    ) -> Result<UsbAudioEvent, RequestError<UsbAudioError>> {
        Ok(self.engine.op_pull(message.sender)?)
    }

    fn card(&mut self, _: &RecvMessage, card: u8) -> Result<CardInfo, RequestError<UsbAudioError>> {
        Ok(self.engine.op_card(card)?)
    }

    fn forget_card(
        &mut self,
        _: &RecvMessage,
        card: u8,
    ) -> Result<(), RequestError<UsbAudioError>> {
        Ok(self.engine.op_forget(card)?)
    }

    fn find(
        &mut self,
        _: &RecvMessage,
        stream: StreamId,
        format: StreamFormat,
    ) -> Result<u8, RequestError<UsbAudioError>> {
        Ok(self.engine.op_find(&mut self.system, stream, format)?)
    }

    fn start_open(
        &mut self,
        message: &RecvMessage,
        stream: StreamId,
        format: StreamFormat,
        drive: Drive,
    ) -> Result<TicketHandle, RequestError<UsbAudioError>> {
        let Self { engine, system, .. } = self;
        let answer = engine.op_open(system, message.sender, stream, format, drive);
        self.done(answer)
    }

    fn describe(
        &mut self,
        message: &RecvMessage,
        stream: StreamHandle,
    ) -> Result<StreamDescription, RequestError<UsbAudioError>> {
        Ok(self.engine.op_describe(message.sender, stream)?)
    }

    fn write(
        &mut self,
        message: &RecvMessage,
        stream: StreamHandle,
        pcm: LenLimit<Leased<R, [u8]>, 4096>,
    ) -> Result<u16, RequestError<UsbAudioError>> {
        let Self { engine, system, .. } = self;
        let copy = |into: &mut [u8]| pcm.read_range(0..into.len(), into);
        let answer = engine.op_write(system, message.sender, stream, pcm.len(), copy);
        self.settle();
        answer
    }

    fn start_drain(
        &mut self,
        message: &RecvMessage,
        stream: StreamHandle,
    ) -> Result<TicketHandle, RequestError<UsbAudioError>> {
        let answer = self.engine.op_drain(&mut self.system, message.sender, stream);
        self.done(answer)
    }

    fn start_close(
        &mut self,
        message: &RecvMessage,
        stream: StreamHandle,
    ) -> Result<TicketHandle, RequestError<UsbAudioError>> {
        let answer = self.engine.op_close(&mut self.system, message.sender, stream);
        self.done(answer)
    }

    fn start_set_volume(
        &mut self,
        message: &RecvMessage,
        card: u8,
        volume: i16,
    ) -> Result<TicketHandle, RequestError<UsbAudioError>> {
        let answer = self.engine.op_volume(&mut self.system, message.sender, card, volume);
        self.done(answer)
    }

    fn start_set_mute(
        &mut self,
        message: &RecvMessage,
        card: u8,
        mute: bool,
    ) -> Result<TicketHandle, RequestError<UsbAudioError>> {
        let answer = self.engine.op_mute(&mut self.system, message.sender, card, mute);
        self.done(answer)
    }

    fn result(
        &mut self,
        message: &RecvMessage,
        ticket: TicketHandle,
    ) -> Result<Completed, RequestError<UsbAudioError>> {
        Ok(self.engine.op_result(message.sender, ticket)?)
    }

    fn cancel(
        &mut self,
        message: &RecvMessage,
        ticket: TicketHandle,
    ) -> Result<(), RequestError<UsbAudioError>> {
        let answer = self.engine.op_cancel(&mut self.system, message.sender, ticket);
        self.done(answer)
    }

    fn status(&mut self, _: &RecvMessage) -> Result<UsbAudioStatus, RequestError<UsbAudioError>> {
        Ok(self.engine.op_status())
    }
}
