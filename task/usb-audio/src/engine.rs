//! The state of the audio class, and what news from outside does to it.
//!
//! A lane is a stream that is open, or on its way there or back; it is what
//! keeps a second opener out (A18), so it outlives the handle until the device
//! is at rest. Requests to the device run as jobs (`jobs`), what clients ask is
//! in `ops`.

use abi::TaskId;
use handles::{Epoch, Table, Tickets};
use usb_audio_api::{CardInfo, Completed, StreamHandle, StreamId, TicketHandle, UsbAudioError};
use usb_core_api::{DeviceHandle, Event, UsbCoreError};
use usb_desc::uac::{Alternate, Audio, Stream};
use usb_desc::{Config, InterfaceNumber, Issue, Rule};
use usb_types::{Direction, EndpointAddress, Speed};

use crate::cards::{Card, Cards};
use crate::clients::Clients;
use crate::host::Host;
use crate::jobs::{Job, MAX_JOBS};
use crate::leaving;
use crate::quirks::quirk;
use crate::script::{Unit, Units};
use crate::world::World;
use crate::{MAX_CLIENTS, MAX_CONFIGURATION, MAX_HOST, MAX_OPEN, TICKETS_EACH};

/// Operations under way, of all clients.
const MAX_TICKETS: usize = MAX_CLIENTS * TICKETS_EACH;

/// How long sound stays in a device beyond its `bDelay`, in milliseconds. What
/// real headsets buffer is below 20; QEMU's needs 25 (two periods of its audio
/// timer) before alternate 0 may cut it off.
const TAIL_MS: u16 = 25;

/// Most of a `bDelay` that is believed: cameras have 255, which nobody hears.
const MAX_DELAY_MS: u8 = 100;

/// How far a lane is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Opening,
    Open,
    Closing,
}

/// A stream in use.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) id: StreamId,
    pub(crate) device: DeviceHandle,
    pub(crate) speed: Speed,
    pub(crate) owner: TaskId,
    pub(crate) handle: StreamHandle,
    pub(crate) phase: Phase,
    pub(crate) alternate: Alternate,
    /// Frames per second.
    pub(crate) rate: u32,
    /// Its place among the host streams.
    pub(crate) host: Option<u8>,
    /// The device is gone.
    pub(crate) gone: bool,
    /// The device is out of reach while the system is suspended.
    pub(crate) asleep: bool,
}

impl Lane {
    pub(crate) const fn interface(&self) -> InterfaceNumber {
        self.alternate.interface.number()
    }

    pub(crate) const fn endpoint(&self) -> EndpointAddress {
        self.alternate.data.address
    }

    /// A recording is over with its last packet.
    pub(crate) fn tail_ms(&self) -> u16 {
        match self.id.direction {
            Direction::Out => TAIL_MS + u16::from(self.alternate.delay.min(MAX_DELAY_MS)),
            Direction::In => 0,
        }
    }
}

/// What a ticket waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The job in this place.
    Job(u8),
    /// The end of the lane's sound.
    Drain(u8),
}

/// How a ticket ended.
pub(crate) type Outcome = Result<Completed, UsbAudioError>;

/// What went on; for whoever looks in with a debugger.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
pub(crate) enum Trace {
    #[count(skip)]
    None,
    CardAdded {
        card: u8,
        playback: u8,
    },
    CardRemoved {
        card: u8,
    },
    /// A device with streams that did not become a card.
    Passed(UsbCoreError),
    NoNumber,
    Broken {
        rule: Rule,
        offset: u32,
    },
    Opened {
        card: u8,
        pcm: u8,
        alternate: u8,
    },
    Closed {
        card: u8,
        pcm: u8,
    },
    Failed(UsbAudioError),
    PipeRefused(UsbCoreError),
    FeedbackIgnored,
    CoreDied,
    /// A client was refused, and for what.
    #[count(children)]
    Refused(UsbAudioError),
}

ringbuf::counted_ringbuf!(Trace, 64, Trace::None);

/// Adds to the trace.
pub(crate) fn trace(entry: Trace) {
    ringbuf::ringbuf_entry!(entry);
}

/// Everything the audio class knows.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) cards: Cards,
    pub(crate) clients: Clients,
    pub(crate) lanes: [Option<Lane>; MAX_OPEN],
    pub(crate) handles: Table<u8, StreamHandle, MAX_OPEN>,
    pub(crate) tickets: Tickets<Work, Outcome, TicketHandle, MAX_TICKETS, TICKETS_EACH>,
    pub(crate) jobs: [Option<Job>; MAX_JOBS],
    pub(crate) hosts: [Option<Host>; MAX_HOST],
    /// The configuration in hand.
    blob: [u8; MAX_CONFIGURATION],
}

impl Engine {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self {
            cards: Cards::new(),
            clients: Clients::new(),
            lanes: [None; MAX_OPEN],
            handles: Table::new(epoch),
            tickets: Tickets::new(epoch),
            jobs: core::array::from_fn(|_| None),
            hosts: core::array::from_fn(|_| None),
            blob: [0; MAX_CONFIGURATION],
        }
    }

    /// Pulls all news of `usb_core`'s.
    pub(crate) fn pull(&mut self, world: &mut impl World) {
        loop {
            match world.news() {
                Ok(Event::None) => break,
                Ok(Event::Attached(device)) => self.attached(world, device),
                Ok(Event::Detached(device)) => self.detached(world, device),
                Ok(Event::Suspended(device)) => self.sleep(device, true),
                Ok(Event::Resumed(device)) => {
                    self.sleep(device, false);
                    self.go_on(world, device);
                }
                // With its controls and settings went all that was set up on it:
                // its streams end as if it had been pulled and plugged.
                Ok(Event::Reset(device)) => {
                    self.detached(world, device);
                    self.attached(world, device);
                }
                Ok(Event::Wanted { device, .. }) => self.wanted(device),
                // The system's sleep is not this task's to end.
                Ok(Event::Woken(_)) => {}
                Ok(Event::TicketDone(ticket)) => self.ticket_done(world, ticket),
                Ok(Event::IsochProgress { device, endpoint }) => {
                    self.progress(world, device, endpoint);
                }
                // Its next incarnation is asked when `jefe` tells of it.
                Err(_) => break,
            }
        }
        self.retry(world);
        self.let_go(world);
    }

    /// Hints whoever has news.
    pub(crate) fn hint(&mut self, world: &mut impl World) {
        while let Some(client) = self.clients.take_hint() {
            world.hint(client);
        }
    }

    /// Reads a device's configuration and finds its streams.
    pub(crate) fn read_streams(
        &mut self,
        world: &mut impl World,
        device: DeviceHandle,
        length: u16,
        speed: Speed,
        report: &mut dyn FnMut(Issue),
    ) -> Result<Audio, UsbCoreError> {
        let wanted = usize::from(length).min(MAX_CONFIGURATION);
        let mut have = 0;
        while have < wanted {
            let into = &mut self.blob[have..wanted];
            let count = usize::from(world.configuration(device, have as u16, into)?);
            if count == 0 {
                break;
            }
            have = (have + count).min(wanted);
        }
        match Config::parse(&self.blob[..have], speed) {
            Ok(config) => Ok(Audio::parse(&config, report)),
            Err(issue) => {
                report(issue);
                Ok(Audio::default())
            }
        }
    }

    fn attached(&mut self, world: &mut impl World, device: DeviceHandle) {
        if self.cards.of_device(device).is_some() {
            return;
        }
        match self.add_card(world, device) {
            Ok(()) => {}
            Err(error) => trace(Trace::Passed(error)),
        }
    }

    fn add_card(
        &mut self,
        world: &mut impl World,
        device: DeviceHandle,
    ) -> Result<(), UsbCoreError> {
        let info = world.device(device)?;
        let (length, speed) = (info.configuration_length, info.speed);
        let mut implicit = false;
        let audio = self.read_streams(world, device, length, speed, &mut |issue| {
            implicit |= issue.rule == Rule::ImplicitFeedback;
            trace(Trace::Broken { rule: issue.rule, offset: issue.offset as u32 });
        })?;
        if audio.streams.is_empty() && !implicit {
            return Ok(());
        }
        let interfaces = audio
            .streams
            .iter()
            .flat_map(|stream| [stream.control, stream.interface])
            .fold(0, |set: u32, InterfaceNumber(number)| set | 1 << number);
        let card = Card {
            info: CardInfo {
                device,
                controller: info.controller,
                slot_number: info.slot_number,
                playback: audio.count(Direction::Out),
                capture: audio.count(Direction::In),
                present: true,
            },
            speed,
            configuration: length,
            claimed: interfaces,
            end: UsbAudioError::DeviceGone,
            implicit,
            quirk: quirk(info.vendor, info.product),
            volume: 0,
            mute: false,
        };
        claim_all(world, device, interfaces)?;
        let playback = card.info.playback;
        match self.cards.insert(card) {
            Some(card) => {
                trace(Trace::CardAdded { card, playback });
                self.clients.cards_changed();
            }
            None => {
                trace(Trace::NoNumber);
                leaving::release_all(world, device, interfaces);
            }
        }
        Ok(())
    }

    /// A device is out of its clients' reach, or back: its streams wait.
    fn sleep(&mut self, device: DeviceHandle, asleep: bool) {
        for lane in self.lanes.iter_mut().flatten().filter(|lane| lane.device == device) {
            lane.asleep = asleep;
        }
    }

    /// A client died: what it had under way is undone, its streams are closed.
    pub(crate) fn client_died(&mut self, world: &mut impl World, client: TaskId) {
        self.clients.forget(client);
        while let Some((_, cancelled)) = self.tickets.take_owned(client) {
            self.abandon(world, cancelled);
        }
        while let Some((_, place)) = self.handles.take_owned(client) {
            self.close_lane(world, place.into(), None);
        }
    }

    pub(crate) fn lane_mut(&mut self, place: usize) -> Option<&mut Lane> {
        self.lanes.get_mut(place)?.as_mut()
    }

    /// The place of the lane that holds `id`.
    pub(crate) fn lane_of(&self, id: StreamId) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.is_some_and(|lane| lane.id == id))
    }

    /// Frees a lane and all that belongs to it.
    pub(crate) fn free_lane(&mut self, place: usize) {
        let Some(lane) = self.lanes.get_mut(place).and_then(Option::take) else {
            return;
        };
        if let Some(host) = lane.host.and_then(|host| self.hosts.get_mut(usize::from(host))) {
            *host = None;
        }
        self.clients.stream_closed(lane.handle);
        // A handle that is out is of no use any more; one that was given back
        // is gone already.
        let _ = self.handles.take(lane.handle);
        trace(Trace::Closed { card: lane.id.card, pcm: lane.id.pcm });
    }

    pub(crate) fn host_mut(&mut self, lane: &Lane) -> Option<&mut Host> {
        self.hosts.get_mut(usize::from(lane.host?))?.as_mut()
    }

    /// The feature units of a card's playback.
    pub(crate) fn playback_units(audio: &Audio) -> Units {
        Self::units_of(audio.streams.iter().filter(|stream| stream.direction == Direction::Out))
    }

    /// The feature units of some streams.
    pub(crate) fn units_of<'a>(streams: impl Iterator<Item = &'a Stream>) -> Units {
        let mut units = Units::new();
        for stream in streams {
            for &features in stream.controls.iter() {
                let unit = Unit { control: stream.control, features };
                if !units.contains(&unit) {
                    // Beyond MAX_UNITS a card keeps its own volume.
                    let _ = units.push(unit);
                }
            }
        }
        units
    }

    /// Ends a ticket and tells its client.
    pub(crate) fn finish(&mut self, ticket: TicketHandle, outcome: Outcome) -> Result<(), Outcome> {
        if let Err(error) = outcome {
            trace(Trace::Failed(error));
        }
        let (client, _) = self.tickets.finish(ticket, outcome)?;
        self.clients.ticket_ready(client, ticket);
        Ok(())
    }

    /// A deadline has passed.
    pub(crate) fn tick(&mut self, world: &mut impl World) {
        for place in 0..self.lanes.len() {
            self.pump(world, place);
        }
        self.retry(world);
        self.let_go(world);
    }
}

/// Claims a set of interfaces, or none of them.
fn claim_all(world: &mut impl World, device: DeviceHandle, set: u32) -> Result<(), UsbCoreError> {
    let mut claimed = 0;
    for number in (0..32).filter(|number| set & 1 << number != 0) {
        if let Err(error) = world.claim(device, InterfaceNumber(number)) {
            leaving::release_all(world, device, claimed);
            return Err(error);
        }
        claimed |= 1 << number;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Engine;

    /// It lives on the task's stack, which `app.toml` sizes.
    #[test]
    fn the_state_fits_the_stack_that_the_image_gives() {
        let size = size_of::<Engine>();
        println!("{size}");
        assert!(size <= 32 * 1024, "{size}");
    }
}
