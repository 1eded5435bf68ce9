//! The player: plays the media pool's PCM over the host path or asks for a route.
//!
//! A command in page 0 of the `media` pool says what to play and which way; it
//! is looked for at start and when the player's bell rings. On the host path
//! the player opens a stream at `usb_audio` and lends it the PCM piece by
//! piece; on the offload path it asks the broker for a route and sleeps until
//! its end. The answer stands in page 1. A command that comes before a device
//! or the DSP is there waits for them: whoever wrote it decides how long.
//!
//! Nobody sends to the player, so it receives notifications only.

#![no_std]

mod order;

pub use order::{BadCommand, Order};

use addr::PAGE;
use dma::Pool;
use dsp_abi::media::{ANSWER_PAGE, Answer, Command, PCM, Path, PlayerState};
use offload_broker_api::{BrokerError, OffloadBroker, RouteHandle, RouteRequest, RouteState};
use ringbuf::{counted_ringbuf, ringbuf_entry};
use usb_audio_api::{
    Completed, Drive, Event, StreamHandle, StreamId, TicketHandle, UsbAudio, UsbAudioError,
};
use usb_types::Direction;
use userlib::{sys_irq_control, sys_recv_notification, task_slot};
use zerocopy::{FromZeros, IntoBytes};

task_slot!(USB_AUDIO, usb_audio);
task_slot!(OFFLOAD_BROKER, offload_broker);

/// Bytes lent to `usb_audio` at a time; the most that its `write` takes.
const PIECE: usize = 4096;

/// What the image gives the player.
#[derive(Debug)]
pub struct Config {
    /// The `media` pool.
    pub media: Pool,
    /// Notification bit of the player's bell.
    pub bell: u32,
    /// Notification bit of the supervisor's news.
    pub peer_changed: u32,
    /// All notification bits that the player waits for, the bell's included.
    pub mask: u32,
    /// The player's own task index, for answers about bad commands.
    pub index: u16,
}

/// What the player did.
#[derive(Copy, Clone, Debug, PartialEq, counters::Count)]
enum Trace {
    #[count(skip)]
    None,
    Taken {
        sequence: u32,
        frames: u32,
        offload: bool,
    },
    Bad(BadCommand),
    Opened(StreamId),
    Written {
        frames: u32,
    },
    Routed,
    Finished {
        frames: u32,
        underruns: u32,
    },
    Failed {
        server: u16,
        code: u32,
    },
}

counted_ringbuf!(Trace, 32, Trace::None);

/// Where a command is.
#[derive(Copy, Clone, Debug, PartialEq)]
enum State {
    Idle,
    /// Waits for a card, or for the broker to be able.
    Waiting,
    Opening(TicketHandle),
    Writing {
        stream: StreamHandle,
        sent: u32,
    },
    Draining {
        stream: StreamHandle,
        ticket: TicketHandle,
    },
    /// Closes the stream, and then answers with the outcome.
    Closing {
        ticket: TicketHandle,
        outcome: Result<Played, Failure>,
    },
    Routing(RouteHandle),
}

/// What went out.
#[derive(Copy, Clone, Debug, PartialEq)]
struct Played {
    frames: u32,
    underruns: u32,
}

/// Who refused, and the code in its interface.
#[derive(Copy, Clone, Debug, PartialEq)]
struct Failure {
    server: u16,
    code: u32,
}

/// [`Answer::code`] of a route that ended early: this plus the ending's number.
pub const ROUTE_ENDED: u32 = 0x1_0000;

/// [`Answer::code`], with the player itself as the server, of a command whose
/// player died while it was carried out. On the offload path the sound plays on.
pub const INTERRUPTED: u32 = 0x2_0000;

/// Runs the player.
#[inline(always)]
pub fn main(config: &Config) -> ! {
    let mut player = Player {
        config,
        audio: UsbAudio::from(USB_AUDIO.get_task_id()),
        broker: OffloadBroker::from(OFFLOAD_BROKER.get_task_id()),
        newest_card: None,
        taken: 0,
        order: None,
        state: State::Idle,
    };
    if peers::epoch().0 != 0 {
        player.resume();
    }
    sys_irq_control(config.bell, true);
    loop {
        player.run();
        let bits = sys_recv_notification(config.mask);
        if bits & config.bell != 0 {
            sys_irq_control(config.bell, true);
        }
        if bits & config.peer_changed != 0 {
            player.meet_servers();
        }
    }
}

struct Player<'c> {
    config: &'c Config,
    audio: UsbAudio,
    broker: OffloadBroker,
    newest_card: Option<u8>,
    /// Sequence of the last command taken.
    taken: u32,
    order: Option<Order>,
    state: State,
}

impl Player<'_> {
    /// Learns from the answer page what an earlier life did: a command is
    /// carried out once, and whoever wrote it is told that it was broken off.
    fn resume(&mut self) {
        let mut answer = Answer::new_zeroed();
        self.config.media.read(u32::from(ANSWER_PAGE) * PAGE, answer.as_mut_bytes());
        self.taken = answer.sequence;
        if answer.state == PlayerState::Playing as u32 {
            self.fail(Failure { server: self.config.index, code: INTERRUPTED });
        }
    }

    /// A server died or was restarted: its present life is the one to talk to.
    /// What the earlier one promised, its answers to the old handles tell.
    fn meet_servers(&mut self) {
        self.audio = UsbAudio::from(USB_AUDIO.get_task_id());
        self.broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
    }

    /// Takes all news, then goes as far as it can without waiting.
    fn run(&mut self) {
        self.pull();
        loop {
            let step = match self.order {
                None => self.take_command(),
                Some(order) => self.advance(&order).unwrap_or_else(|failure| self.fail(failure)),
            };
            if !step {
                return;
            }
        }
    }

    fn pull(&mut self) {
        loop {
            match self.audio.pull() {
                Ok(Event::None) => return,
                Ok(Event::CardAdded { card }) => self.newest_card = Some(card),
                Ok(Event::CardRemoved { card }) if self.newest_card == Some(card) => {
                    self.newest_card = None;
                }
                Ok(Event::CardRemoved { .. } | Event::TicketDone(_) | Event::Room(_)) => {}
                // The next incarnation tells of its cards anew.
                Err(_) => {
                    self.newest_card = None;
                    return;
                }
            }
        }
    }

    /// Looks for a command; whether there was a good one.
    fn take_command(&mut self) -> bool {
        let media = &self.config.media;
        let mut command = Command::new_zeroed();
        media.read(0, command.as_mut_bytes());
        let bytes = u32::from(media.pages()) * PAGE;
        match Order::check(&command, self.taken, bytes) {
            None => false,
            Some(Ok(order)) => {
                self.taken = order.sequence;
                self.order = Some(order);
                self.state = State::Waiting;
                ringbuf_entry!(Trace::Taken {
                    sequence: order.sequence,
                    frames: order.frames,
                    offload: order.path == Path::Offload,
                });
                self.answer(PlayerState::Playing, None, Played { frames: 0, underruns: 0 });
                true
            }
            Some(Err(bad)) => {
                self.taken = command.sequence;
                ringbuf_entry!(Trace::Bad(bad));
                self.fail(Failure { server: self.config.index, code: bad as u32 })
            }
        }
    }

    /// One step of the command in hand; whether another may follow at once.
    fn advance(&mut self, order: &Order) -> Result<bool, Failure> {
        match self.state {
            State::Idle => Ok(false),
            State::Waiting => match order.path {
                Path::Player => self.open(order),
                Path::Offload => self.route(order),
            },
            State::Opening(ticket) => match self.audio.result(ticket) {
                Ok(Completed::Stream(stream)) => {
                    self.state = State::Writing { stream, sent: 0 };
                    Ok(true)
                }
                Ok(_) => unreachable!("an open completes with a stream"),
                Err(UsbAudioError::NotYet) => Ok(false),
                Err(error) => Err(audio_failure(error)),
            },
            State::Writing { stream, sent } => self.write(order, stream, sent),
            State::Draining { stream, ticket } => match self.audio.result(ticket) {
                Ok(Completed::Played { frames, underruns }) => {
                    let ticket = self.audio.start_close(stream).map_err(audio_failure)?;
                    let outcome = Ok(Played { frames, underruns });
                    self.state = State::Closing { ticket, outcome };
                    Ok(true)
                }
                Ok(_) => unreachable!("a drain completes with what was played"),
                Err(UsbAudioError::NotYet) => Ok(false),
                Err(error) => Err(audio_failure(error)),
            },
            State::Closing { ticket, outcome } => match self.audio.result(ticket) {
                Err(UsbAudioError::NotYet) => Ok(false),
                // A close that fails closed all the same; the device is gone.
                Ok(_) | Err(_) => outcome.map(|played| self.finish(played)),
            },
            State::Routing(route) => match self.broker.route(route) {
                Ok(RouteState::Starting | RouteState::Running) => Ok(false),
                Ok(RouteState::Played { frames, underruns }) => {
                    Ok(self.finish(Played { frames, underruns }))
                }
                Ok(RouteState::Ended { why, .. }) => Err(Failure {
                    server: OFFLOAD_BROKER.get_task_index(),
                    code: ROUTE_ENDED + why as u32,
                }),
                Err(error) => Err(broker_failure(error)),
            },
        }
    }

    fn open(&mut self, order: &Order) -> Result<bool, Failure> {
        let Some(card) = self.newest_card else {
            return Ok(false);
        };
        let stream = StreamId { card, pcm: 0, direction: Direction::Out };
        match self.audio.start_open(stream, order.format, Drive::Host) {
            Ok(ticket) => {
                ringbuf_entry!(Trace::Opened(stream));
                self.state = State::Opening(ticket);
                Ok(true)
            }
            // With a server that died went what it began; its next life is heard of.
            Err(UsbAudioError::NoCard | UsbAudioError::DeviceGone | UsbAudioError::ServerDied) => {
                Ok(false)
            }
            Err(error) => Err(audio_failure(error)),
        }
    }

    fn write(&mut self, order: &Order, stream: StreamHandle, sent: u32) -> Result<bool, Failure> {
        let left = order.frames - sent;
        if left == 0 {
            let ticket = self.audio.start_drain(stream).map_err(audio_failure)?;
            self.state = State::Draining { stream, ticket };
            return Ok(true);
        }
        let frames = left.min(PIECE as u32 / order.frame_bytes);
        let mut piece = [0; PIECE];
        let piece = &mut piece[..(frames * order.frame_bytes) as usize];
        self.config.media.read(PCM + sent * order.frame_bytes, piece);
        let taken = u32::from(self.audio.write(stream, piece).map_err(audio_failure)?);
        ringbuf_entry!(Trace::Written { frames: sent + taken });
        self.state = State::Writing { stream, sent: sent + taken };
        Ok(taken != 0)
    }

    fn route(&mut self, order: &Order) -> Result<bool, Failure> {
        let request = RouteRequest {
            direction: Direction::Out,
            rate: order.format.rate,
            format: order.format.sample as u8,
            channels: order.format.channels,
            frames: order.frames,
            buffer_us: order.buffer_us,
        };
        match self.broker.start_route(request) {
            Ok(route) => {
                ringbuf_entry!(Trace::Routed);
                self.state = State::Routing(route);
                Ok(true)
            }
            // The broker hints when one of these has changed.
            Err(BrokerError::NoDevice | BrokerError::NoDsp | BrokerError::LinkFull) => Ok(false),
            // Its sessions died with it, and its next life is heard of.
            Err(BrokerError::ServerDied) => Ok(false),
            Err(error) => Err(broker_failure(error)),
        }
    }

    fn finish(&mut self, played: Played) -> bool {
        let Played { frames, underruns } = played;
        ringbuf_entry!(Trace::Finished { frames, underruns });
        self.answer(PlayerState::Done, None, played);
        self.end();
        true
    }

    /// Gives the command up, after closing what is open for it.
    fn fail(&mut self, failure: Failure) -> bool {
        if let State::Writing { stream, .. } | State::Draining { stream, .. } = self.state
            && let Ok(ticket) = self.audio.start_close(stream)
        {
            self.state = State::Closing { ticket, outcome: Err(failure) };
            return true;
        }
        ringbuf_entry!(Trace::Failed { server: failure.server, code: failure.code });
        self.answer(PlayerState::Failed, Some(failure), Played { frames: 0, underruns: 0 });
        self.end();
        true
    }

    fn end(&mut self) {
        self.order = None;
        self.state = State::Idle;
    }

    fn answer(&self, state: PlayerState, failure: Option<Failure>, played: Played) {
        let answer = Answer {
            sequence: self.taken,
            state: state as u32,
            code: failure.map_or(0, |failure| failure.code),
            server: failure.map_or(0, |failure| u32::from(failure.server)),
            frames: played.frames,
            underruns: played.underruns,
        };
        // One word says that the others are there, so it goes last.
        let media = &self.config.media;
        let page = u32::from(ANSWER_PAGE) * PAGE;
        let bytes = answer.as_bytes();
        media.write(page + 8, &bytes[8..]);
        dma::publish();
        media.write(page, &bytes[..8]);
        dma::publish();
    }
}

fn audio_failure(error: UsbAudioError) -> Failure {
    Failure { server: USB_AUDIO.get_task_index(), code: error as u32 }
}

fn broker_failure(error: BrokerError) -> Failure {
    Failure { server: OFFLOAD_BROKER.get_task_index(), code: error as u32 }
}
