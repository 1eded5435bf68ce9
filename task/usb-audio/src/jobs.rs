//! Scripts at work: one request at a time, until the end or an error.
//!
//! A job belongs to a lane (opening, closing) or to a card (volume, mute) and
//! answers a ticket, unless whoever asked is gone. An open that fails after it
//! began takes back what it did before it says so.

use handles::Cancelled;
use usb_audio_api::{Completed, TicketHandle, UsbAudioError};
use usb_core_api::{DeviceHandle, TicketHandle as CoreTicket, UsbCoreError};
use usb_types::Direction;

use crate::MAX_OPEN;
use crate::engine::{Engine, Lane, Outcome, Phase, Trace, Work, trace};
use crate::script::{Answer, Level, Request, Script};
use crate::world::World;

/// Jobs at a time: one for each lane, and a few volumes.
pub(crate) const MAX_JOBS: usize = MAX_OPEN + 4;

/// While someone else still holds the endpoint of a stream that is closed, the
/// close is tried again after so many milliseconds, so many times: a sideband
/// whose owner died is taken down by `xhci` meanwhile.
const RETRY_MS: u64 = 10;
const RETRIES: u8 = 100;

/// Jobs of cards at a time; the other places are the lanes'.
pub(crate) const MAX_CONTROLS: usize = MAX_JOBS - MAX_OPEN;

/// What a job is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Opens the lane.
    Open(u8),
    /// Takes a failed open of the lane back.
    Undo(u8, UsbAudioError),
    /// Closes the lane.
    Close(u8),
    /// Sets controls of the card.
    Controls(u8),
}

/// A script at work.
#[derive(Debug)]
pub(crate) struct Job {
    goal: Goal,
    device: DeviceHandle,
    script: Script,
    /// Whom to answer.
    ticket: Option<TicketHandle>,
    /// The request under way, and whether it answers data.
    waiting: Option<(CoreTicket, bool)>,
    /// No request could be started for want of tickets.
    starved: bool,
    /// When to try again.
    pub(crate) retry_at: Option<u64>,
    tries: u8,
}

impl Job {
    pub(crate) const fn new(
        goal: Goal,
        device: DeviceHandle,
        script: Script,
        ticket: Option<TicketHandle>,
    ) -> Self {
        Self {
            goal,
            device,
            script,
            ticket,
            waiting: None,
            starved: false,
            retry_at: None,
            tries: 0,
        }
    }
}

impl Engine {
    /// A free place for a job.
    pub(crate) fn job_place(&self) -> Option<usize> {
        self.jobs.iter().position(Option::is_none)
    }

    /// Jobs of cards under way.
    pub(crate) fn controls(&self) -> usize {
        let of_card = |job: &&Job| matches!(job.goal, Goal::Controls(_));
        self.jobs.iter().flatten().filter(of_card).count()
    }

    /// Starts a job in a free place.
    pub(crate) fn run(&mut self, world: &mut impl World, place: usize, job: Job) {
        if let Some(slot) = self.jobs.get_mut(place) {
            *slot = Some(job);
            self.advance(world, place);
        }
    }

    /// The card that the job in `place` is about.
    pub(crate) fn card_of_job(&self, place: usize) -> Option<u8> {
        match self.jobs.get(place)?.as_ref()?.goal {
            Goal::Controls(card) => Some(card),
            _ => Some(self.lane_of_job(place)?.id.card),
        }
    }

    /// The lane that the job in `place` is about.
    fn lane_of_job(&self, place: usize) -> Option<&Lane> {
        match self.jobs.get(place)?.as_ref()?.goal {
            Goal::Controls(_) => None,
            Goal::Open(lane) | Goal::Undo(lane, _) | Goal::Close(lane) => {
                self.lanes.get(usize::from(lane))?.as_ref()
            }
        }
    }

    /// What the device of the job in `place` shall sound like.
    fn level_of_job(&self, place: usize) -> Level {
        let records =
            self.lane_of_job(place).is_some_and(|lane| lane.id.direction == Direction::In);
        let card = self.card_of_job(place).and_then(|card| self.cards.get(card));
        match card {
            // A card's volume and mute are those of its playback; a microphone
            // is open and at 0 dB.
            Some(card) if !records => card.level(),
            _ => Level::default(),
        }
    }

    /// Starts the next request of a job, or ends it.
    fn advance(&mut self, world: &mut impl World, place: usize) {
        loop {
            let level = self.level_of_job(place);
            let Some(job) = self.jobs.get_mut(place).and_then(Option::as_mut) else {
                return;
            };
            let Some(request) = job.script.next(level) else {
                return self.succeed(world, place);
            };
            let device = job.device;
            let started = match request {
                Request::SetInterface(interface, alternate) => {
                    world.set_interface(device, interface, alternate)
                }
                Request::Write { setup, data } => {
                    let length = usize::from(setup.length).min(data.len());
                    world.control(device, setup, &data[..length])
                }
                Request::Read { setup } => world.control(device, setup, &[]),
            };
            match started {
                Ok(ticket) => {
                    job.waiting = Some((ticket, matches!(request, Request::Read { .. })));
                    return;
                }
                // When one of ours ends there is a ticket again; those of others
                // end unseen.
                Err(UsbCoreError::NoTickets) => {
                    job.starved = true;
                    job.retry_at = Some(world.now() + RETRY_MS);
                    return;
                }
                Err(error) => {
                    if let Err(error) = job.script.answer(Answer::Failed(error)) {
                        return self.fail(world, place, error);
                    }
                }
            }
        }
    }

    /// A request of `usb_core`'s is ready.
    pub(crate) fn ticket_done(&mut self, world: &mut impl World, ticket: CoreTicket) {
        let ours = |job: &Option<Job>| {
            job.as_ref().and_then(|job| job.waiting).is_some_and(|(waiting, _)| waiting == ticket)
        };
        let Some(place) = self.jobs.iter().position(ours) else {
            // Of a job that was given up: the place in `usb_core` is freed.
            let _ = world.result(ticket);
            return;
        };
        let Some(job) = self.jobs.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let mut data = [0; 4];
        let answer = if job.waiting.is_some_and(|(_, reads)| reads) {
            match world.take(ticket, &mut data) {
                Ok(length) => Ok(Answer::Data(data.get(..length.into()).unwrap_or(&data))),
                Err(error) => Err(error),
            }
        } else {
            world.result(ticket).map(|()| Answer::Done)
        };
        if answer == Err(UsbCoreError::NotYet) {
            return;
        }
        job.waiting = None;
        match job.script.answer(answer.unwrap_or_else(Answer::Failed)) {
            Ok(()) => self.advance(world, place),
            Err(error) => self.fail(world, place, error),
        }
    }

    /// Goes on with jobs that waited for a ticket or for their time.
    pub(crate) fn retry(&mut self, world: &mut impl World) {
        let now = world.now();
        for place in 0..MAX_JOBS {
            let Some(job) = self.jobs.get_mut(place).and_then(Option::as_mut) else {
                continue;
            };
            let due = job.retry_at.is_some_and(|at| at <= now);
            if core::mem::take(&mut job.starved) || due {
                job.retry_at = None;
                self.advance(world, place);
            }
        }
    }

    /// A job came to its end.
    fn succeed(&mut self, world: &mut impl World, place: usize) {
        let Some(job) = self.jobs.get_mut(place).and_then(Option::take) else {
            return;
        };
        match job.goal {
            Goal::Open(lane) => self.opened(world, lane, job.ticket),
            Goal::Undo(lane, error) => {
                self.free_lane(lane.into());
                self.answer(job.ticket, Err(error));
            }
            Goal::Close(lane) => {
                self.free_lane(lane.into());
                self.answer(job.ticket, Ok(Completed::Done));
            }
            Goal::Controls(_) => self.answer(job.ticket, Ok(Completed::Done)),
        }
    }

    fn opened(&mut self, world: &mut impl World, place: u8, ticket: Option<TicketHandle>) {
        let Some(lane) = self.lane_mut(place.into()) else {
            return;
        };
        lane.phase = Phase::Open;
        let lane = *lane;
        let alternate = lane.alternate.interface.alternate().0;
        trace(Trace::Opened { card: lane.id.card, pcm: lane.id.pcm, alternate });
        let outcome = Ok(Completed::Stream(lane.handle));
        let told = ticket.is_some_and(|ticket| self.finish(ticket, outcome).is_ok());
        if told {
            // The first look at the feedback endpoint sets it going.
            self.follow(world, &lane);
        } else {
            // Whoever wanted it is gone.
            let _ = self.handles.take(lane.handle);
            self.close_lane(world, place.into(), None);
        }
    }

    /// A job met an error that ends it.
    fn fail(&mut self, world: &mut impl World, place: usize, error: UsbAudioError) {
        let now = world.now();
        let Some(job) = self.jobs.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let busy = error == UsbAudioError::StreamBusy;
        match job.goal {
            Goal::Open(lane) if !is_gone(error) => {
                job.goal = Goal::Undo(lane, error);
                self.rest(world, place, lane);
            }
            Goal::Close(_) | Goal::Undo(..) if busy && job.tries < RETRIES => {
                job.tries += 1;
                job.retry_at = Some(now + RETRY_MS);
            }
            Goal::Open(lane) => {
                let ticket = job.ticket;
                self.drop_job(place);
                self.free_lane(lane.into());
                self.answer(ticket, Err(error));
            }
            // What could not be taken back stays with the device, and the lane
            // is free all the same: the next open starts from scratch.
            Goal::Undo(..) | Goal::Close(_) => self.succeed(world, place),
            Goal::Controls(_) => {
                let ticket = job.ticket;
                self.drop_job(place);
                self.answer(ticket, Err(error));
            }
        }
    }

    /// Sends the interface of a lane to rest, as the job in `place`.
    fn rest(&mut self, world: &mut impl World, place: usize, lane: u8) {
        let interface = self.lane_mut(lane.into()).map(|lane| lane.interface());
        let job = self.jobs.get_mut(place).and_then(Option::as_mut);
        if let (Some(job), Some(interface)) = (job, interface) {
            job.script = Script::rest(interface);
            self.advance(world, place);
        }
    }

    fn drop_job(&mut self, place: usize) {
        if let Some(slot) = self.jobs.get_mut(place) {
            *slot = None;
        }
    }

    /// The device of the job in `place` is gone; the job ends at once.
    pub(crate) fn device_lost(
        &mut self,
        world: &mut impl World,
        place: usize,
        error: UsbAudioError,
    ) {
        let Some(job) = self.jobs.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        job.waiting = None;
        match job.goal {
            Goal::Open(lane) => {
                let ticket = job.ticket;
                self.drop_job(place);
                self.free_lane(lane.into());
                self.answer(ticket, Err(error));
            }
            Goal::Undo(..) | Goal::Close(_) => self.succeed(world, place),
            Goal::Controls(_) => self.fail(world, place, error),
        }
    }

    /// Closes the lane in `place` and answers `ticket`, whose work is the first
    /// free place for a job. The handle is void already; the stream stays taken
    /// until the device is at rest.
    pub(crate) fn close_lane(
        &mut self,
        world: &mut impl World,
        place: usize,
        ticket: Option<TicketHandle>,
    ) {
        self.end_drain(place, Err(UsbAudioError::Stale));
        let Some(lane) = self.lane_mut(place) else {
            return self.answer(ticket, Ok(Completed::Done));
        };
        if lane.phase == Phase::Opening {
            // Its job finds nobody waiting at its end, and undoes it then.
            return;
        }
        lane.phase = Phase::Closing;
        let Lane { device, gone, .. } = *lane;
        let script = Script::rest(lane.interface());
        match self.job_place() {
            Some(free) if !gone => {
                let job = Job::new(Goal::Close(place as u8), device, script, ticket);
                self.run(world, free, job);
            }
            // MAX_JOBS leaves a place for each lane, so only a vanished
            // device comes here.
            _ => {
                self.free_lane(place);
                self.answer(ticket, Ok(Completed::Done));
            }
        }
    }

    /// A ticket was cancelled, or its client died.
    pub(crate) fn abandon(&mut self, world: &mut impl World, cancelled: Cancelled<Work, Outcome>) {
        match cancelled {
            Cancelled::Pending(Work::Job(place)) => {
                if let Some(job) = self.jobs.get_mut(usize::from(place)).and_then(Option::as_mut) {
                    job.ticket = None;
                }
            }
            Cancelled::Pending(Work::Drain(lane)) => {
                if let Some(lane) = self.lanes.get(usize::from(lane)).copied().flatten()
                    && let Some(host) = self.host_mut(&lane)
                {
                    host.drain = None;
                }
            }
            Cancelled::Done(Ok(Completed::Stream(handle))) => {
                if let Ok(place) = self.handles.take(handle) {
                    self.close_lane(world, place.into(), None);
                }
            }
            Cancelled::Done(_) => {}
        }
    }

    /// Ends a ticket, if there is one; an outcome that nobody waits for here
    /// leaves nothing to undo.
    fn answer(&mut self, ticket: Option<TicketHandle>, outcome: Outcome) {
        if let Some(ticket) = ticket {
            let _ = self.finish(ticket, outcome);
        }
    }
}

/// Whether there is no device left to take anything back from.
fn is_gone(error: UsbAudioError) -> bool {
    matches!(error, UsbAudioError::DeviceGone | UsbAudioError::CoreDied)
}
