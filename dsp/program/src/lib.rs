//! The DSP program: QMI client, isochronous scheduler, PCM source and sink.
//!
//! It offers the port service, through which the broker's backend tells it to
//! play or record; it then asks the broker's QMI service for the stream, writes
//! packets into the rings that the answer names, and gives the stream back at
//! its end. It never starts by itself. It is trusted by nobody: the monitor checks what
//! it publishes, and the application core what it says.
//!
//! Upstream's contract with the peer is P1 to P7 of `docs/deviations.md`.

#![no_std]

pub mod core;
mod job;
mod mail;
pub mod playing;
mod recording;
mod ring;
mod session;
mod stream;

use crate::core::{Core, answer};
use dsp_abi::mailbox::{APP_NODE, DATAGRAM};
use dsp_abi::monitor::Call;
use dsp_abi::port;
use job::Job;
use qmi::qrtr::{Address, Control, Frame, FrameKind, Node, Server};
use qmi::{Event, Status, StreamIndication, StreamResponse, Token, Txn};
use zerocopy::FromBytes;

/// What went on; for whoever looks in with a debugger. A stream goes by its
/// token. An empty ring is all zeros, as everything of the program's must be
/// before each of its lives.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Trace {
    None,
    /// The broker's service is there.
    ServiceFound,
    ServiceLost,
    /// A start of the port service was taken.
    Start(Token),
    /// One that found no place.
    TurnedAwayBusy(Token),
    StopAskedFor(Token),
    /// The broker was asked for the stream.
    Requested(Token),
    Granted(Token),
    RequestRefused(Token, Option<Status>),
    RequestTimeout(Token),
    /// The answer names what cannot be used.
    AnswerRefused(Token, session::Unusable),
    /// The first packets are with the controller.
    Streaming(Token),
    /// The broker says that the device goes.
    Disconnect {
        controller: u8,
        slot: u32,
    },
    /// It says that the device is suspended.
    Suspended {
        controller: u8,
        slot: u32,
    },
    /// It says that the device is back.
    Resumed {
        controller: u8,
        slot: u32,
    },
    Released(Token),
    Ended(Token, port::Ending),
}

ringbuf::ringbuf!(Trace, 32, Trace::None);

/// Adds to the trace. Not worth its code in each place.
#[inline(never)]
fn trace(event: Trace) {
    ringbuf::ringbuf_entry!(event);
}

/// Streams at once; one more start is answered `Busy`.
const JOBS: usize = 4;

/// Runs the program.
pub fn main(core: &impl Core) -> ! {
    let mut program = Program::new();
    loop {
        program.step(core);
        program.wait(core);
    }
}

/// The program's state.
#[derive(Debug)]
pub struct Program {
    /// HELLO and NEW_SERVER went out.
    announced: bool,
    /// Where the QMI service is, when it is.
    broker: Option<Address>,
    jobs: [Option<Job>; JOBS],
    /// A start that found no place and must be told so.
    turned_away: Option<(Address, port::Message)>,
    next_txn: u16,
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

impl Program {
    /// A program that knows nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            announced: false,
            broker: None,
            jobs: ::core::array::from_fn(|_| None),
            turned_away: None,
            next_txn: 1,
        }
    }

    /// Takes what came in and goes as far as it can without waiting.
    pub fn step(&mut self, core: &impl Core) {
        let mut buffer = [0; DATAGRAM];
        while let Some((frame, payload)) = mail::receive(core, &mut buffer) {
            self.datagram(&frame, payload);
        }
        if !self.announced {
            self.announced = announce(core);
        }
        if let Some((to, message)) = self.turned_away
            && job::report(core, to, &message, port::Kind::Done, port::Ending::Busy).is_ok()
        {
            self.turned_away = None;
        }
        let now = now(core);
        for n in 0..JOBS {
            self.take_events(core, n, now);
        }
        for job in self.jobs.iter_mut().flatten() {
            job.step(core, now, self.broker, &mut self.next_txn);
        }
    }

    /// Takes all events off the ring of job `n`, each to the stream that it is
    /// about: what speaks of no TRB, underruns above all, comes to the ring of
    /// whichever session of the device has listened longest.
    fn take_events(&mut self, core: &impl Core, n: usize, now: u64) {
        let mut taken = false;
        // A ring full of events is all that there can be at once.
        for _ in 0..trb::PER_PAGE {
            let event = self.jobs[n].as_mut().and_then(|job| job.next_event(core));
            let Some(event) = event else { break };
            taken = true;
            let known = event.is_some_and(|(pipe, event)| {
                let owner = self.jobs.iter_mut().flatten().find(|job| job.has(pipe));
                owner.map(|job| job.take(core, pipe, &event)).is_some() || event.code.is_dry_ring()
            });
            if let (false, Some(job)) = (known, &mut self.jobs[n]) {
                job.strange();
            }
        }
        if let (true, Some(job)) = (taken, &mut self.jobs[n]) {
            job.acknowledge(core, now);
        }
    }

    /// Sleeps until something happens or the earliest deadline has come.
    fn wait(&self, core: &impl Core) {
        let deadline = self.jobs.iter().flatten().filter_map(Job::deadline).min();
        let until = deadline.unwrap_or(u64::MAX);
        core.call(Call::Wait, [until as u32, (until >> 32) as u32, 0, 0, 0]);
    }

    fn datagram(&mut self, frame: &Frame, payload: &[u8]) {
        if frame.from.node != Node(APP_NODE) {
            return;
        }
        if frame.kind != FrameKind::Data {
            if let Ok(control) = Control::decode(frame.kind, payload) {
                self.control(control);
            }
        } else if frame.to.port == mail::PORT_SERVICE {
            // A start comes from the broker alone: whoever else is on that
            // core is behind it in the graph and cannot reach the link.
            if let Ok(message) = port::Message::read_from_bytes(payload) {
                self.port_message(frame.from, &message);
            }
        } else if frame.to.port == mail::QMI_PORT && Some(frame.from) == self.broker {
            if let Ok((txn, response)) = StreamResponse::decode(payload) {
                self.response(txn, &response);
            } else if let Ok((_, indication)) = StreamIndication::decode(payload) {
                self.indication(&indication);
            }
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Hello => self.announced = false,
            Control::NewServer(Server { service, at, .. })
                if service == qmi::SERVICE && self.broker != Some(at) =>
            {
                self.lose_broker();
                trace(Trace::ServiceFound);
                self.broker = Some(at);
            }
            // Said again where it was: the link began anew, and what was on its
            // way is lost.
            Control::NewServer(Server { service, at, .. })
                if service == qmi::SERVICE && self.broker == Some(at) =>
            {
                self.jobs.iter_mut().flatten().for_each(Job::ask_again);
            }
            Control::DelServer(Server { service, at, .. })
                if service == qmi::SERVICE && self.broker == Some(at) =>
            {
                self.lose_broker();
            }
            Control::Bye(node) if node == Node(APP_NODE) => {
                self.lose_broker();
                self.announced = false;
            }
            Control::DelClient(client) if Some(client) == self.broker => self.lose_broker(),
            _ => {}
        }
    }

    /// A lost service makes every address invalid (P6), and nobody is left who
    /// would want to hear of it.
    fn lose_broker(&mut self) {
        if self.broker.is_some() {
            trace(Trace::ServiceLost);
        }
        self.broker = None;
        self.jobs = ::core::array::from_fn(|_| None);
        self.turned_away = None;
    }

    fn port_message(&mut self, from: Address, message: &port::Message) {
        let running = |job: &&mut Job| job.is(from, message.cookie);
        if message.kind == port::Kind::Stop as u32 {
            if let Some(job) = self.jobs.iter_mut().flatten().find(running) {
                trace(Trace::StopAskedFor(Token(message.token)));
                job.stop(port::Ending::Stopped);
            }
        } else if let Some(job) = self.jobs.iter_mut().flatten().find(running) {
            job.report_again();
        } else if message.kind == port::Kind::Start as u32 {
            let job = Job::new(from, message);
            // There is one place to record to.
            let taken = job.records() && self.jobs.iter().flatten().any(Job::records);
            match self.place() {
                Some(place) if !taken => {
                    trace(Trace::Start(Token(message.token)));
                    *place = Some(job);
                }
                _ => {
                    trace(Trace::TurnedAwayBusy(Token(message.token)));
                    self.turned_away = Some((from, *message));
                }
            }
        } else if message.kind == port::Kind::Ask as u32
            && let Some(place) = self.place()
        {
            *place = Some(Job::forgotten(from, message));
        }
    }

    /// A place for a job: an empty one, or else one of a job that is over.
    fn place(&mut self) -> Option<&mut Option<Job>> {
        let index = self.jobs.iter().position(Option::is_none).or_else(|| {
            self.jobs.iter().position(|place| place.as_ref().is_some_and(Job::is_over))
        });
        self.jobs.get_mut(index?)
    }

    fn response(&mut self, txn: Txn, response: &StreamResponse) {
        for job in self.jobs.iter_mut().flatten() {
            job.response(txn, response);
        }
    }

    fn indication(&mut self, indication: &StreamIndication) {
        let (controller, slot) = (indication.controller_num.unwrap_or(0), indication.slot_id);
        let ending = match indication.dev_event {
            Event::DISCONNECT => {
                trace(Trace::Disconnect { controller, slot });
                port::Ending::Revoked
            }
            Event::SUSPEND => {
                trace(Trace::Suspended { controller, slot });
                port::Ending::Suspended
            }
            // Whoever wants the sound starts it again.
            Event::RESUME => return trace(Trace::Resumed { controller, slot }),
            _ => return,
        };
        for job in self.jobs.iter_mut().flatten() {
            job.device_goes(controller, slot, ending);
        }
    }
}

/// Says that this node and its port service are there; whether that went out.
fn announce(core: &impl Core) -> bool {
    let server = Server {
        service: port::SERVICE,
        instance: port::INSTANCE,
        at: mail::here(mail::PORT_SERVICE),
    };
    mail::control(core, &Control::Hello).is_ok()
        && mail::control(core, &Control::NewServer(server)).is_ok()
}

fn now(core: &impl Core) -> u64 {
    let [low, high, _] = answer(core.call(Call::Now, [0; 5])).unwrap_or_default();
    u64::from(low) | u64::from(high) << 32
}
