//! What clients may ask, and each refusal.
//!
//! Check and change are one message (DESIGN rule 5): an operation that is not
//! refused here has reserved what it needs, and what happens later to the
//! device is told by its ticket.

use abi::TaskId;
use handles::{HandleError, TicketRefused};
use idol_runtime::ClientError;
use scarce::{Scarce, spent};
use usb_audio_api::{
    CardInfo, Completed, Drive, Event, SampleFormat, Status, StreamDescription, StreamFormat,
    StreamHandle, StreamId, TicketHandle, UsbAudioError,
};
use usb_desc::uac::feedback::Feedback;
use usb_desc::uac::packets::{Pacer, Sizing};
use usb_desc::uac::select::{Mismatch, Wanted, select};
use usb_desc::uac::{Alternate, Audio, SampleFormat as Layout};
use usb_types::Direction;

use crate::cards::Card;
use crate::engine::{Engine, Lane, Phase, Work};
use crate::host::{Drain, Host};
use crate::jobs::{Goal, Job, MAX_CONTROLS};
use crate::script::{Script, Units, refusal};
use crate::world::World;

/// Why an operation came to nothing: the answer, or a client that broke its
/// lease.
pub(crate) type Refusal = idol_runtime::RequestError<UsbAudioError>;

impl Engine {
    pub(crate) fn op_pull(&mut self, caller: TaskId) -> Result<Event, UsbAudioError> {
        self.clients.pull(caller, self.cards.sets()).ok_or(UsbAudioError::NotAllowed)
    }

    pub(crate) fn op_card(&self, card: u8) -> Result<CardInfo, UsbAudioError> {
        self.cards.get(card).map(|card| card.info).ok_or(UsbAudioError::NoCard)
    }

    /// Frees the number of a vanished card.
    pub(crate) fn op_forget(&mut self, number: u8) -> Result<(), UsbAudioError> {
        if self.op_card(number)?.present {
            return Err(UsbAudioError::CardPresent);
        }
        if self.lanes.iter().flatten().any(|lane| lane.id.card == number) {
            return Err(UsbAudioError::StreamBusy);
        }
        self.cards.remove(number);
        self.clients.number_freed(number);
        Ok(())
    }

    pub(crate) fn op_find(
        &mut self,
        world: &mut impl World,
        stream: StreamId,
        format: StreamFormat,
    ) -> Result<u8, UsbAudioError> {
        let (_, alternate, _) = self.choose(world, stream, format)?;
        Ok(alternate.interface.alternate().0)
    }

    pub(crate) fn op_open(
        &mut self,
        world: &mut impl World,
        caller: TaskId,
        id: StreamId,
        format: StreamFormat,
        drive: Drive,
    ) -> Result<TicketHandle, UsbAudioError> {
        if !self.clients.knows(caller) {
            return Err(UsbAudioError::NotAllowed);
        }
        // A18 first: who holds the stream matters more than what is wanted.
        if self.lane_of(id).is_some() {
            return Err(UsbAudioError::StreamBusy);
        }
        if (id.direction, drive) == (Direction::In, Drive::Host) {
            return Err(UsbAudioError::CaptureUnsupported);
        }
        let (card, alternate, units) = self.choose(world, id, format)?;
        self.tickets.room_for(caller).map_err(no_tickets)?;
        let place = self.lanes.iter().position(Option::is_none).filter(|_| !spent(Scarce::Place));
        let place = place.ok_or(UsbAudioError::NoStreams)?;
        let host = match drive {
            Drive::Peer => None,
            Drive::Host => Some(self.reserve_host(&card, &alternate, format.rate)?),
        };
        let job = self.job_place().ok_or(UsbAudioError::NoStreams)?;
        // As many handles as lanes, and as many tickets as were just asked for.
        let handle = self.handles.put(caller, place as u8).map_err(|_| UsbAudioError::NoStreams)?;
        let ticket = self.tickets.start(caller, Work::Job(job as u8)).map_err(no_tickets)?;
        let device = card.info.device;
        self.lanes[place] = Some(Lane {
            id,
            device,
            speed: card.speed,
            owner: caller,
            handle,
            phase: Phase::Opening,
            alternate,
            rate: format.rate,
            host,
            gone: false,
            asleep: false,
        });
        let script = Script::open(&alternate, format.rate, units);
        self.run(world, job, Job::new(Goal::Open(place as u8), device, script, Some(ticket)));
        Ok(ticket)
    }

    /// A place on the host path, with its packets worked out.
    fn reserve_host(
        &mut self,
        card: &Card,
        alternate: &Alternate,
        rate: u32,
    ) -> Result<u8, UsbAudioError> {
        let sizing =
            Sizing::new(alternate, card.speed, rate).ok_or(UsbAudioError::RateExceedsPacket)?;
        let place = self.hosts.iter().position(Option::is_none).ok_or(UsbAudioError::NoStreams)?;
        let feedback = alternate.sync.map(|sync| (sync.address, Feedback::new(rate, card.speed)));
        self.hosts[place] = Some(Host::new(Pacer::new(sizing), feedback));
        Ok(place as u8)
    }

    /// The alternate for a format of a stream, and the units on its way.
    fn choose(
        &mut self,
        world: &mut impl World,
        id: StreamId,
        format: StreamFormat,
    ) -> Result<(Card, Alternate, Units), UsbAudioError> {
        let card = *self.cards.get(id.card).ok_or(UsbAudioError::NoCard)?;
        if !card.info.present {
            return Err(card.end);
        }
        let audio = self.read_card(world, &card)?;
        let Some((place, stream)) = audio.stream(id.pcm, id.direction) else {
            return Err(match id.direction {
                Direction::Out if card.implicit => UsbAudioError::SyncUnsupported,
                _ => UsbAudioError::NoStream,
            });
        };
        let layout = layout(format.sample).ok_or(UsbAudioError::NoFormat)?;
        let wanted = Wanted {
            format: layout,
            channels: format.channels,
            rate: format.rate,
            interval_us: format.interval_us,
        };
        let alternate =
            select(audio.alternates_of(place), card.speed, &wanted).map_err(mismatch)?;
        let units = match id.direction {
            // Playback streams of a card sound alike.
            Direction::Out => Self::playback_units(&audio),
            Direction::In => Self::units_of([stream].into_iter()),
        };
        Ok((card, *alternate, units))
    }

    fn read_card(&mut self, world: &mut impl World, card: &Card) -> Result<Audio, UsbAudioError> {
        let (device, length) = (card.info.device, card.configuration);
        // What is broken was told when the device came.
        self.read_streams(world, device, length, card.speed, &mut |_| ()).map_err(refusal)
    }

    pub(crate) fn op_describe(
        &self,
        caller: TaskId,
        stream: StreamHandle,
    ) -> Result<StreamDescription, UsbAudioError> {
        let lane = self.open_lane(caller, stream)?.1;
        let alternate = &lane.alternate;
        let sizing = Sizing::new(alternate, lane.speed, lane.rate)
            .ok_or(UsbAudioError::RateExceedsPacket)?;
        Ok(StreamDescription {
            device: lane.device,
            speed: lane.speed,
            interface: alternate.interface.wire,
            data_endpoint: alternate.data.qmi(),
            sync_endpoint: alternate.sync.map(|sync| sync.qmi()),
            data_address: alternate.data.address,
            sync_address: alternate.sync.map(|sync| sync.address),
            revision: alternate.version.revision(),
            delay: Some(alternate.delay),
            subslot: alternate.subslot,
            interval_us: alternate.interval_us(lane.speed),
            max_packet: sizing.max_bytes().try_into().unwrap_or(u16::MAX),
            tail_ms: lane.tail_ms(),
        })
    }

    /// Takes PCM of a host stream; `bytes` are lent, and `copy` brings those
    /// from an offset on into the buffer.
    pub(crate) fn op_write(
        &mut self,
        world: &mut impl World,
        caller: TaskId,
        stream: StreamHandle,
        bytes: usize,
        copy: impl FnOnce(&mut [u8]) -> Result<(), ClientError>,
    ) -> Result<u16, Refusal> {
        let (place, lane) = self.open_lane(caller, stream)?;
        let host = self.host_mut(&lane).ok_or(UsbAudioError::WrongDrive)?;
        if host.drain.is_some() {
            return Err(UsbAudioError::NotYet.into());
        }
        if !bytes.is_multiple_of(host.frame_bytes()) {
            return Err(UsbAudioError::PartialFrame.into());
        }
        let frames = (bytes / host.frame_bytes()).min(host.room());
        let taken = frames * host.frame_bytes();
        copy(host.space(taken))?;
        host.filled(taken);
        host.wants_room = taken < bytes;
        self.pump(world, place);
        Ok(frames as u16)
    }

    pub(crate) fn op_drain(
        &mut self,
        world: &mut impl World,
        caller: TaskId,
        stream: StreamHandle,
    ) -> Result<TicketHandle, UsbAudioError> {
        let (place, lane) = self.open_lane(caller, stream)?;
        let host = self.host_mut(&lane).ok_or(UsbAudioError::WrongDrive)?;
        if host.drain.is_some() {
            return Err(UsbAudioError::NotYet);
        }
        let ticket = self.tickets.start(caller, Work::Drain(place as u8)).map_err(no_tickets)?;
        if let Some(host) = self.host_mut(&lane) {
            host.drain = Some((Some(ticket), Drain::Flushing));
            host.wants_room = false;
        }
        self.pump(world, place);
        Ok(ticket)
    }

    pub(crate) fn op_close(
        &mut self,
        world: &mut impl World,
        caller: TaskId,
        stream: StreamHandle,
    ) -> Result<TicketHandle, UsbAudioError> {
        let place = *self.handles.get(stream, caller).map_err(handle_error)?;
        if self.lane_mut(place.into()).is_none_or(|lane| lane.phase != Phase::Open) {
            return Err(UsbAudioError::NotYet);
        }
        // There are job places for all lanes and tickets for all of a client's.
        let job = self.job_place().ok_or(UsbAudioError::NoTickets)?;
        let ticket = self.tickets.start(caller, Work::Job(job as u8)).map_err(no_tickets)?;
        self.handles.remove(stream, caller).map_err(handle_error)?;
        self.clients.stream_closed(stream);
        self.close_lane(world, place.into(), Some(ticket));
        Ok(ticket)
    }

    pub(crate) fn op_volume(
        &mut self,
        world: &mut impl World,
        caller: TaskId,
        card: u8,
        volume: i16,
    ) -> Result<TicketHandle, UsbAudioError> {
        self.control(world, caller, card, Script::volumes, |card| card.volume = volume)
    }

    pub(crate) fn op_mute(
        &mut self,
        world: &mut impl World,
        caller: TaskId,
        card: u8,
        mute: bool,
    ) -> Result<TicketHandle, UsbAudioError> {
        self.control(world, caller, card, Script::mutes, |card| card.mute = mute)
    }

    fn control(
        &mut self,
        world: &mut impl World,
        caller: TaskId,
        number: u8,
        script: impl Fn(Units) -> Option<Script>,
        set: impl Fn(&mut Card),
    ) -> Result<TicketHandle, UsbAudioError> {
        if !self.clients.knows(caller) {
            return Err(UsbAudioError::NotAllowed);
        }
        let card = *self.cards.get(number).ok_or(UsbAudioError::NoCard)?;
        if !card.info.present {
            return Err(card.end);
        }
        let audio = self.read_card(world, &card)?;
        let script = script(Self::playback_units(&audio)).ok_or(UsbAudioError::NoControl)?;
        if self.controls() >= MAX_CONTROLS {
            return Err(UsbAudioError::NoResources);
        }
        let place = self.job_place().filter(|_| !spent(Scarce::Ticket));
        let place = place.ok_or(UsbAudioError::NoResources)?;
        let ticket = self.tickets.start(caller, Work::Job(place as u8)).map_err(no_tickets)?;
        if let Some(card) = self.cards.get_mut(number) {
            set(card);
        }
        let job = Job::new(Goal::Controls(number), card.info.device, script, Some(ticket));
        self.run(world, place, job);
        Ok(ticket)
    }

    pub(crate) fn op_result(
        &mut self,
        caller: TaskId,
        ticket: TicketHandle,
    ) -> Result<Completed, UsbAudioError> {
        match self.tickets.result(ticket, caller).map_err(handle_error)? {
            handles::Outcome::Pending => Err(UsbAudioError::NotYet),
            handles::Outcome::Done(outcome) => {
                self.clients.ticket_spent(caller, ticket);
                outcome
            }
        }
    }

    pub(crate) fn op_cancel(
        &mut self,
        world: &mut impl World,
        caller: TaskId,
        ticket: TicketHandle,
    ) -> Result<(), UsbAudioError> {
        let cancelled = self.tickets.cancel(ticket, caller).map_err(handle_error)?;
        self.clients.ticket_spent(caller, ticket);
        self.abandon(world, cancelled);
        Ok(())
    }

    pub(crate) fn op_status(&self) -> Status {
        Status {
            cards: self.cards.iter().count() as u8,
            open: self.lanes.iter().flatten().count() as u8,
        }
    }

    /// The open lane of a handle.
    fn open_lane(
        &self,
        caller: TaskId,
        stream: StreamHandle,
    ) -> Result<(usize, Lane), UsbAudioError> {
        let place = usize::from(*self.handles.get(stream, caller).map_err(handle_error)?);
        let lane = self.lanes.get(place).copied().flatten().ok_or(UsbAudioError::Stale)?;
        if lane.gone {
            return Err(UsbAudioError::DeviceGone);
        }
        if let Some(card) = self.cards.get(lane.id.card).filter(|card| !card.info.present) {
            return Err(card.end);
        }
        if lane.phase != Phase::Open {
            return Err(UsbAudioError::NotYet);
        }
        Ok((place, lane))
    }
}

/// The layout on the wire of a QMI format; USB devices have these five, and
/// 24 bits in four bytes are among none of them.
const fn layout(sample: SampleFormat) -> Option<Layout> {
    match sample {
        SampleFormat::S8 => Some(Layout::S8),
        SampleFormat::U8 => Some(Layout::U8),
        SampleFormat::S16Le => Some(Layout::S16Le),
        SampleFormat::S24In3Le => Some(Layout::S24In3Le),
        SampleFormat::S32Le => Some(Layout::S32Le),
        _ => None,
    }
}

const fn mismatch(mismatch: Mismatch) -> UsbAudioError {
    match mismatch {
        Mismatch::Nothing | Mismatch::Encoding | Mismatch::Format => UsbAudioError::NoFormat,
        Mismatch::Channels => UsbAudioError::NoChannels,
        Mismatch::Rate => UsbAudioError::NoRate,
        Mismatch::PacketTooSmall => UsbAudioError::RateExceedsPacket,
        Mismatch::IntervalMalformed | Mismatch::IntervalTooShort => UsbAudioError::BadInterval,
    }
}

const fn no_tickets(_: TicketRefused) -> UsbAudioError {
    UsbAudioError::NoTickets
}

const fn handle_error(error: HandleError) -> UsbAudioError {
    match error {
        HandleError::StaleServer => UsbAudioError::StaleServer,
        HandleError::Stale => UsbAudioError::Stale,
        HandleError::NotOwner => UsbAudioError::NotOwner,
    }
}
