//! The backend: which device is offloaded, within which limits, and telling the
//! DSP to start (S5 to S9).
//!
//! A route is one start of the DSP's port service. It names a stream by its
//! token, so the token's card is in use until the DSP says that it is done with
//! the route, whatever became of the device. Framing: `dsp_abi::port`.

use abi::TaskId;
use dsp_abi::port::{self, Ending, Kind};
use dsp_link_api::Address;
use handles::{Epoch, HandleError, Table};
use offload_broker_api::{BrokerError, RouteEnding, RouteHandle, RouteRequest, RouteState};
use qmi::Token;
use usb_audio_api::{SampleFormat, StreamFormat, StreamId};
use usb_types::{Direction, Speed};

use crate::cards::Cards;
use crate::request::sample_format;

/// Routes at once; more is refused with `NoRoutes`.
pub const ROUTES: usize = 4;

/// Rates that the backend plays: those of S8, and 88.2 kHz.
const RATES: [u32; 10] = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192_000];
/// Most channels that it plays (S8).
const MAX_CHANNELS: u8 = 2;

#[derive(Debug)]
struct Route {
    /// What told the DSP of it.
    start: port::Message,
    state: RouteState,
    /// The DSP was told to stop it.
    stopped: bool,
    /// The owner died; the route is kept for its token only.
    orphan: bool,
}

impl Route {
    const fn token(&self) -> Token {
        Token(self.start.token)
    }

    fn message(&self, kind: Kind) -> port::Message {
        port::Message { kind: kind as u32, ..self.start }
    }

    const fn is_over(&self) -> bool {
        matches!(self.state, RouteState::Played { .. } | RouteState::Ended { .. })
    }
}

/// Where a route would go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The stream.
    pub stream: StreamId,
    /// What it would carry.
    pub format: StreamFormat,
    /// Service interval to ask for; 0 leaves it to the device.
    pub interval_us: u32,
    /// The DSP's port service.
    port: Address,
}

/// The backend's state.
#[derive(Debug)]
pub struct Backend {
    port: Option<Address>,
    next_cookie: u32,
    routes: Table<Route, RouteHandle, ROUTES>,
}

impl Backend {
    /// No route, no DSP.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        // Cookies of an earlier life must not be taken for this one's.
        Self { port: None, next_cookie: epoch.0 << 20 | 1, routes: Table::new(epoch) }
    }

    /// The DSP offers its port service; what to say to it. When it was there
    /// all the time, the link began anew, and what was on its way either way is
    /// lost: all is said and asked again.
    pub fn port_up(&mut self, at: Address) -> impl Iterator<Item = port::Message> {
        self.port = Some(at);
        self.routes.iter_mut().filter(|(_, _, route)| !route.is_over()).flat_map(|(_, _, route)| {
            let kind = if route.state == RouteState::Starting { Kind::Start } else { Kind::Ask };
            let stop = route.stopped.then(|| route.message(Kind::Stop));
            [Some(route.message(kind)), stop].into_iter().flatten()
        })
    }

    /// Whether the port service is at this address.
    #[must_use]
    pub fn is_port(&self, at: Address) -> bool {
        self.port == Some(at)
    }

    /// The port service at `at` is gone, and its routes with it; who is to be
    /// told.
    pub fn port_down(&mut self, at: Address) -> impl Iterator<Item = TaskId> {
        let down = self.port == Some(at);
        if down {
            self.port = None;
        }
        self.end_all(down)
    }

    /// A node is gone.
    pub fn node_gone(&mut self, node: u32) -> impl Iterator<Item = TaskId> {
        let down = self.port.is_some_and(|port| port.node == node);
        if down {
            self.port = None;
        }
        self.end_all(down)
    }

    fn end_all(&mut self, down: bool) -> impl Iterator<Item = TaskId> {
        let gone = RouteState::Ended { why: RouteEnding::DspGone, frames: 0 };
        if down {
            self.routes.retain(|_, _, route| !route.orphan);
        }
        self.routes.iter_mut().filter_map(move |(_, owner, route)| {
            let ends = down && !route.is_over();
            if ends {
                route.state = gone;
            }
            ends.then_some(owner)
        })
    }

    /// The stream was taken from the DSP: its routes are over, whatever the DSP
    /// says of them later; who is to be told.
    pub fn end_stream(&mut self, token: Token, why: RouteEnding) -> impl Iterator<Item = TaskId> {
        let of_stream = move |route: &Route| route.token() == token && !route.is_over();
        self.routes.retain(|_, _, route| !(route.orphan && of_stream(route)));
        self.routes.iter_mut().filter_map(move |(_, owner, route)| {
            let ends = of_stream(route);
            if ends {
                route.state = RouteState::Ended { why, frames: 0 };
            }
            ends.then_some(owner)
        })
    }

    /// Where a route for `request` would go: the last stream of its direction of
    /// the device that was plugged last (S5, S7), if the backend can do it (S8).
    ///
    /// # Errors
    /// Why there is no such route.
    pub fn target(&self, request: &RouteRequest, cards: &Cards) -> Result<Target, BrokerError> {
        if request.frames == 0 {
            return Err(BrokerError::NoFrames);
        }
        let port = self.port.ok_or(BrokerError::NoDsp)?;
        let (card, known) = cards.newest(request.direction).ok_or(BrokerError::NoDevice)?;
        let sample = sample_format(u32::from(request.format))
            .filter(|&sample| width(sample).is_some())
            .ok_or(BrokerError::FormatUnsupported)?;
        if !(1..=MAX_CHANNELS).contains(&request.channels) {
            return Err(BrokerError::ChannelsUnsupported);
        }
        if !RATES.contains(&request.rate) {
            return Err(BrokerError::RateUnsupported);
        }
        // A full-speed device has frames of 1 ms; on a faster one the device's
        // own interval is not known before its alternate is chosen.
        let interval_us = match known.device.speed {
            Speed::Low | Speed::Full => 1000,
            Speed::High | Speed::Super | Speed::SuperPlus => 0,
        };
        let pcm = known.streams(request.direction) - 1;
        Ok(Target {
            stream: StreamId { card, pcm, direction: request.direction },
            format: StreamFormat {
                sample,
                channels: request.channels,
                rate: request.rate,
                interval_us: (interval_us != 0).then_some(interval_us),
            },
            port,
            interval_us,
        })
    }

    /// Begins a route to `target`, which was just asked for; the record that
    /// tells the DSP.
    ///
    /// # Errors
    /// [`BrokerError::NoRoutes`].
    pub fn start(
        &mut self,
        owner: TaskId,
        request: &RouteRequest,
        target: &Target,
    ) -> Result<(RouteHandle, Address, port::Message), BrokerError> {
        let stream = target.stream;
        let direction = match stream.direction {
            Direction::Out => 0,
            Direction::In => 1,
        };
        let token = Token::new(u16::from(stream.card), stream.pcm, direction);
        let cookie = self.next_cookie;
        let frame = width(target.format.sample).unwrap_or(0) * u32::from(request.channels);
        let bytes = u64::from(request.buffer_us) * u64::from(request.rate) * u64::from(frame);
        let message = port::Message {
            kind: Kind::Start as u32,
            cookie,
            token: token.0,
            rate: request.rate,
            format: u32::from(request.format),
            channels: u32::from(request.channels),
            interval_us: target.interval_us,
            frames: request.frames,
            // What is too much is cut when the DSP asks for it (I16).
            buffer_bytes: bytes.div_ceil(1_000_000).try_into().unwrap_or(u32::MAX),
            ..port::Message::default()
        };
        let state = RouteState::Starting;
        let route = Route { start: message, state, stopped: false, orphan: false };
        let handle = self.routes.insert(owner, route).map_err(|_| BrokerError::NoRoutes)?;
        self.next_cookie = cookie.wrapping_add(1);
        Ok((handle, target.port, message))
    }

    /// Takes a route back whose start could not be sent.
    pub fn abort(&mut self, route: RouteHandle) {
        // It was made a moment ago.
        let _ = self.routes.take(route);
    }

    /// The record that tells the DSP to stop a route; `None` when it is over.
    ///
    /// # Errors
    /// When the handle names no route of `caller`.
    pub fn stop(
        &mut self,
        route: RouteHandle,
        caller: TaskId,
    ) -> Result<Option<(Address, port::Message)>, BrokerError> {
        let route = self.routes.get_mut(route, caller).map_err(handle_error)?;
        route.stopped = true;
        let port = self.port.filter(|_| !route.is_over());
        Ok(port.map(|port| (port, route.message(Kind::Stop))))
    }

    /// How a route is doing; telling of its end ends it.
    ///
    /// # Errors
    /// When the handle names no route of `caller`.
    pub fn state(&mut self, route: RouteHandle, caller: TaskId) -> Result<RouteState, BrokerError> {
        let known = self.routes.get(route, caller).map_err(handle_error)?;
        let (state, over) = (known.state, known.is_over());
        if over {
            self.routes.remove(route, caller).map_err(handle_error)?;
        }
        Ok(state)
    }

    /// Takes in a record from `from`; whom to tell. What is not the DSP's, or
    /// names no route, is nobody's.
    pub fn hear(&mut self, from: Address, message: &port::Message) -> Option<TaskId> {
        if self.port != Some(from) {
            return None;
        }
        let (handle, owner, route) =
            self.routes.iter_mut().find(|(_, _, route)| route.start.cookie == message.cookie)?;
        if route.is_over() {
            return None;
        }
        let frames = message.played;
        let ended = |why| RouteState::Ended { why, frames };
        route.state = if message.kind == Kind::Started as u32 {
            RouteState::Running
        } else if message.kind == Kind::Done as u32 {
            match message.result {
                result if result == Ending::Played as u32 => {
                    RouteState::Played { frames, underruns: message.underruns }
                }
                result if result == Ending::Stopped as u32 => ended(RouteEnding::Stopped),
                result if result == Ending::Refused as u32 => ended(RouteEnding::Refused),
                result if result == Ending::Revoked as u32 => ended(RouteEnding::Revoked),
                result if result == Ending::Suspended as u32 => ended(RouteEnding::Suspended),
                result if result == Ending::Busy as u32 => ended(RouteEnding::DspBusy),
                result if result == Ending::Forgotten as u32 => ended(RouteEnding::DspGone),
                // A word that is none of these is as good as this one.
                _ => ended(RouteEnding::BadStart),
            }
        } else {
            return None;
        };
        if route.orphan && route.is_over() {
            // Just found.
            let _ = self.routes.take(handle);
            return None;
        }
        Some(owner)
    }

    /// An owner died. What plays plays on; nobody asks for its end any more.
    pub fn owner_died(&mut self, task: TaskId) {
        self.routes.retain(|_, owner, route| {
            route.orphan |= owner == task;
            !(route.orphan && route.is_over())
        });
    }

    /// Whether the DSP knows a stream of this card by a route.
    #[must_use]
    pub fn uses_card(&self, card: u8) -> bool {
        self.routes
            .iter()
            .any(|(_, _, route)| route.token().card() == u16::from(card) && !route.is_over())
    }
}

/// Bytes of a sample of a format that the backend plays: 16 and 24 bits, the
/// latter in three or four bytes (S8), and 32 bits.
const fn width(sample: SampleFormat) -> Option<u32> {
    match sample {
        SampleFormat::S16Le | SampleFormat::S16Be | SampleFormat::U16Le | SampleFormat::U16Be => {
            Some(2)
        }
        SampleFormat::S24In3Le
        | SampleFormat::S24In3Be
        | SampleFormat::U24In3Le
        | SampleFormat::U24In3Be => Some(3),
        SampleFormat::S24Le
        | SampleFormat::S24Be
        | SampleFormat::U24Le
        | SampleFormat::U24Be
        | SampleFormat::S32Le
        | SampleFormat::S32Be
        | SampleFormat::U32Le
        | SampleFormat::U32Be => Some(4),
        SampleFormat::S8 | SampleFormat::U8 => None,
    }
}

const fn handle_error(error: HandleError) -> BrokerError {
    match error {
        HandleError::StaleServer => BrokerError::StaleServer,
        HandleError::Stale => BrokerError::Stale,
        HandleError::NotOwner => BrokerError::NotOwner,
    }
}
