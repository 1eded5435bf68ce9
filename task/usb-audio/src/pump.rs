//! Open host streams at work: packets down, feedback up, and the end.
//!
//! Runs when a client wrote, when packets completed, and while a stream ends on
//! a timer. What goes into which packet is `host`'s.

use usb_audio_api::Completed;
use usb_core_api::DeviceHandle;
use usb_types::EndpointAddress;

use crate::engine::{Engine, Lane, Outcome, Phase, Trace, trace};
use crate::host::{Drain, PCM_BYTES};
use crate::world::World;

/// How long to wait for the end of what is in the pipe before looking again,
/// should the hint of its last packet never come.
const LOOK_AGAIN_MS: u64 = 20;

/// Feedback packets read at one go; the driver below keeps fewer.
const MAX_FEEDBACK: usize = 64;

impl Engine {
    /// Packets of an endpoint completed.
    pub(crate) fn progress(
        &mut self,
        world: &mut impl World,
        device: DeviceHandle,
        endpoint: EndpointAddress,
    ) {
        for place in 0..self.lanes.len() {
            let Some(lane) = self.lanes[place].filter(|lane| lane.device == device) else {
                continue;
            };
            if lane.alternate.sync.is_some_and(|sync| sync.address == endpoint) {
                self.follow(world, &lane);
            } else if lane.endpoint() == endpoint {
                self.pump(world, place);
            }
        }
    }

    /// A device is back in reach: its host streams go on where they stood.
    pub(crate) fn go_on(&mut self, world: &mut impl World, device: DeviceHandle) {
        for place in 0..self.lanes.len() {
            if let Some(lane) = self.lanes[place].filter(|lane| lane.device == device) {
                self.follow(world, &lane);
                self.pump(world, place);
            }
        }
    }

    /// Reads what the feedback endpoint said.
    pub(crate) fn follow(&mut self, world: &mut impl World, lane: &Lane) {
        let Some(host) = self.host_mut(lane) else {
            return;
        };
        let Some((endpoint, _)) = host.feedback else {
            return;
        };
        let mut packet = [0; 4];
        for _ in 0..MAX_FEEDBACK {
            match world.receive(lane.device, endpoint, &mut packet) {
                Ok(length @ 1..) => {
                    if !packet.get(..length.into()).is_some_and(|packet| host.feed(packet)) {
                        trace(Trace::FeedbackIgnored);
                    }
                }
                Ok(0) | Err(_) => break,
            }
        }
    }

    /// Sends what there is to send on a host stream.
    pub(crate) fn pump(&mut self, world: &mut impl World, place: usize) {
        let Some(lane) = self.lanes.get(place).copied().flatten() else {
            return;
        };
        let usable = lane.phase == Phase::Open && !lane.gone && !lane.asleep;
        let Some(host) = self.host_mut(&lane).filter(|_| usable) else {
            return;
        };
        let (device, endpoint) = (lane.device, lane.endpoint());
        while host.ready() {
            let batch = host.cut();
            if batch.packets() == 0 {
                break;
            }
            if !host.running() {
                host.starts(world.pipe(device, endpoint).map_or(0, |pipe| pipe.underruns));
            }
            match world.send(device, endpoint, batch.lengths(), host.data(&batch)) {
                Ok(taken) => {
                    host.sent(&batch, taken);
                    if taken < batch.packets() {
                        break;
                    }
                }
                Err(error) => {
                    trace(Trace::PipeRefused(error));
                    break;
                }
            }
        }
        if host.wants_room && host.room() * host.frame_bytes() >= PCM_BYTES / 2 {
            host.wants_room = false;
            self.clients.room(lane.owner, lane.handle);
        }
        self.drain_step(world, place);
    }

    /// Moves the end of a stream on.
    fn drain_step(&mut self, world: &mut impl World, place: usize) {
        let Some(lane) = self.lanes.get(place).copied().flatten() else {
            return;
        };
        let now = world.now();
        let Some(host) = self.host_mut(&lane) else {
            return;
        };
        let Some((ticket, state)) = host.drain else {
            return;
        };
        match state {
            Drain::Flushing if host.waiting() == 0 => {
                if let Ok(pipe) = world.pipe(lane.device, lane.endpoint()) {
                    host.last_sent(&pipe);
                    if pipe.queued != 0 {
                        return;
                    }
                }
                let until = now + u64::from(lane.tail_ms());
                host.drain = Some((ticket, Drain::Tail { until }));
            }
            Drain::Flushing => {}
            Drain::Tail { until } if now >= until => {
                let played =
                    Completed::Played { frames: host.frames(), underruns: host.underruns() };
                self.end_drain(place, Ok(played));
            }
            Drain::Tail { .. } => {}
        }
    }

    /// Ends the wait for a stream's end.
    pub(crate) fn end_drain(&mut self, place: usize, outcome: Outcome) {
        let Some(lane) = self.lanes.get(place).copied().flatten() else {
            return;
        };
        if let Some((Some(ticket), _)) = self.host_mut(&lane).and_then(|host| host.drain.take()) {
            // Nobody waiting any more leaves nothing to undo.
            let _ = self.finish(ticket, outcome);
        }
    }

    /// When to look again, if ever; not at a stream that sleeps with the system.
    pub(crate) fn deadline(&self, now: u64) -> Option<u64> {
        let lanes = self.lanes.iter().flatten().filter(|lane| !lane.asleep);
        let drains = lanes.filter_map(|lane| {
            let host = self.hosts.get(usize::from(lane.host?))?.as_ref()?;
            match host.drain? {
                (_, Drain::Flushing) => Some(now + LOOK_AGAIN_MS),
                (_, Drain::Tail { until }) => Some(until),
            }
        });
        let jobs = self.jobs.iter().flatten().filter_map(|job| job.retry_at);
        drains.chain(jobs).min()
    }
}
