//! What the auditor does for a scenario, as a client of the servers: its code runs in
//! the simulator's own task.

use offload_broker_api::{BrokerError, OffloadBroker, RouteHandle, RouteRequest, RouteState};
use system::auditor::{OFFLOAD_BROKER, USB_AUDIO, USB_CORE};
use system::scene::Port;
use usb_audio_api::{
    Completed, Drive, SampleFormat, StreamFormat, StreamId, TicketHandle, UsbAudio, UsbAudioError,
};
use usb_core_api::{DeviceHandle, UsbCore, UsbCoreError};
use usb_types::Direction;
use userlib::hl::sleep_for;

/// How long an errand asks again, in milliseconds.
const PATIENCE: u64 = 9_000;
/// Beyond the time that an owner has to let go of an interface.
const TAKING: u64 = 12_200;
/// The interface of playback, of every simulated headset.
const STREAMING: u8 = 1;

/// Has the broker play or record, as another client, and waits for the end. Whether it
/// went well.
pub(crate) fn route(direction: Direction, frames: u32) -> bool {
    let state = start(direction, frames).and_then(|route| follow(route, None));
    matches!(state, Some(RouteState::Played { underruns: 0, .. }))
}

/// Starts routes, each when the one before is over, and stops each after so many
/// milliseconds. How often a route that was over could still be asked for.
pub(crate) fn start_and_stop(frames: u32, pauses: &[u64]) -> u32 {
    let (mut over, mut reached) = (Vec::new(), 0);
    for &pause in pauses {
        let Some(route) = start(Direction::Out, frames) else { continue };
        let broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        // Its place may be another's by now (DESIGN rule 5).
        reached += over.iter().filter(|&&old| broker.route(old).is_ok()).count() as u32;
        if follow(route, Some(pause)).is_some() {
            over.push(route);
        }
    }
    reached
}

/// Has the broker play or record, as soon as it can.
fn start(direction: Direction, frames: u32) -> Option<RouteHandle> {
    let request = RouteRequest {
        direction,
        rate: 48_000,
        format: SampleFormat::S16Le as u8,
        channels: if direction == Direction::Out { 2 } else { 1 },
        frames,
        buffer_us: 96_000,
    };
    let mut waited = 0;
    loop {
        let broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        match broker.start_route(request) {
            Ok(route) => return Some(route),
            // Not for long, as a rule.
            Err(BrokerError::NoDevice | BrokerError::NoDsp | BrokerError::LinkFull)
                if waited < 400 =>
            {
                sleep_for(5);
                waited += 5;
            }
            Err(_) => return None,
        }
    }
}

/// Waits for a route's end; stops it after `stop` milliseconds. How it ended, if that
/// was told.
fn follow(route: RouteHandle, stop: Option<u64>) -> Option<RouteState> {
    if let Some(pause) = stop {
        sleep_for(pause);
        let broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        // It may be over already.
        let _ = broker.stop_route(route);
    }
    let mut waited = 0;
    loop {
        let broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        match broker.route(route) {
            Ok(RouteState::Starting | RouteState::Running) if waited < PATIENCE => {
                sleep_for(2);
                waited += 2;
            }
            Ok(RouteState::Starting | RouteState::Running) | Err(_) => return None,
            Ok(over) => return Some(over),
        }
    }
}

/// Opens the first card's stream for the application core and closes it, `times`
/// times, with `pause` milliseconds between.
pub(crate) fn open_and_close(times: u32, pause: u64) {
    let format =
        StreamFormat { sample: SampleFormat::S16Le, channels: 2, rate: 48_000, interval_us: None };
    for _ in 0..times {
        sleep_for(1 + pause);
        let audio = UsbAudio::from(USB_AUDIO.get_task_id());
        let Some(card) = (0..usb_audio_api::MAX_CARDS).find(|&card| audio.card(card).is_ok())
        else {
            continue;
        };
        let stream = StreamId { card, pcm: 0, direction: Direction::Out };
        let opened = audio.start_open(stream, format, Drive::Host).ok().and_then(completed);
        if let Some(Completed::Stream(stream)) = opened {
            sleep_for(1);
            let audio = UsbAudio::from(USB_AUDIO.get_task_id());
            if let Ok(ticket) = audio.start_close(stream) {
                completed(ticket);
            }
        }
    }
}

/// What became of an operation of the audio class.
fn completed(ticket: TicketHandle) -> Option<Completed> {
    for _ in 0..PATIENCE {
        let audio = UsbAudio::from(USB_AUDIO.get_task_id());
        match audio.result(ticket) {
            Err(UsbAudioError::NotYet) => sleep_for(1),
            result => return result.ok(),
        }
    }
    None
}

/// The headset at a root port, or behind it.
fn headset(at: Port) -> Option<DeviceHandle> {
    let audio = UsbAudio::from(USB_AUDIO.get_task_id());
    let core = UsbCore::from(USB_CORE.get_task_id());
    let is_there = |device: &DeviceHandle| {
        let place = core.device(*device).map(|info| (usize::from(info.controller), info.port));
        place == Ok((at.controller, at.port.0))
    };
    let cards = (0..usb_audio_api::MAX_CARDS).filter_map(|card| audio.card(card).ok());
    cards.map(|info| info.device).find(is_there)
}

/// Has the headset at a root port, or behind it, reset. Nobody waits for it.
pub(crate) fn reset(at: Port) {
    let core = UsbCore::from(USB_CORE.get_task_id());
    if let Some(device) = headset(at)
        && let Ok(ticket) = core.start_reset(device)
    {
        // It goes on by itself.
        let _ = core.cancel(ticket);
    }
}

/// Takes the streaming interface of the headset at a root port, or behind it, from the
/// audio class, has it for a moment, and gives it back.
pub(crate) fn take(at: Port) {
    let core = UsbCore::from(USB_CORE.get_task_id());
    let Some(device) = headset(at) else { return };
    let Ok(ticket) = core.start_take_interface(device, STREAMING) else { return };
    let mut waited = 0;
    loop {
        match core.result(ticket) {
            Ok(()) => break,
            Err(UsbCoreError::NotYet) if waited < TAKING => {
                sleep_for(5);
                waited += 5;
            }
            Err(UsbCoreError::NotYet) => {
                let _ = core.cancel(ticket);
                return;
            }
            // It went, or who takes it did.
            Err(_) => return,
        }
    }
    sleep_for(20);
    let _ = core.release_interface(device, STREAMING);
}
