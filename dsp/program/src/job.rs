//! A job: one start of the port service, from the request to the report.
//!
//! ```text
//! Requesting -> Settling -> Running -> Disabling -> Reporting -> Reported
//!      \______________________________________________^ (refused)
//! ```
//!
//! One that has reported is kept until its place is needed: the broker asks
//! again after what may have lost the report.

use crate::core::{Core, Denied};
use crate::mail::{self, QMI_PORT};
use crate::session::{Pipe, Unusable};
use crate::stream::{Counters, Stream, records};
use crate::{Trace, trace};
use dsp_abi::port::{self, Ending, Kind};
use qmi::qrtr::Address;
use qmi::{Status, StreamRequest, StreamResponse, Token, Txn};
use trb::TransferEvent;
use zerocopy::IntoBytes;

/// How long a response may take. A broker that takes a device through its
/// alternate settings needs tens of milliseconds.
const RESPONSE_NS: u64 = 5_000_000_000;
/// Between response and first packet: two frames, so that everything the
/// response speaks of is in force on the bus (DESIGN, "Handover").
const SETTLE_NS: u64 = 2_000_000;

/// A stream whose packets do not complete for so long is given back: its device
/// or its controller is no longer up to it. A packet takes milliseconds.
const STALL_NS: u64 = 1_000_000_000;

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "four jobs, and no heap to put a response on")]
enum Phase {
    /// The enable request has to go out, or its answer is waited for.
    Requesting(Option<Sent>),
    /// Granted; the stream starts at this time, set at the next step.
    Granted(StreamResponse),
    Settling {
        until: u64,
    },
    Running {
        /// When it must have come further than this many frames.
        until: u64,
        frames: u32,
    },
    /// The disable request has to go out, or its answer is waited for.
    Disabling {
        sent: Option<Sent>,
        ending: Ending,
    },
    /// The report has to go out.
    Reporting(Ending),
    /// The report went out.
    Reported(Ending),
}

#[derive(Copy, Clone, Debug)]
struct Sent {
    txn: Txn,
    deadline: u64,
    /// It may not have been heard and has to go out again.
    lost: bool,
}

/// One start, and what became of it.
#[derive(Debug)]
pub(crate) struct Job {
    /// Who asked.
    from: Address,
    start: port::Message,
    phase: Phase,
    stream: Option<Stream>,
    /// The device's controller and its slot there.
    device: Option<(u8, u32)>,
    /// The port service's `Started` still has to go out.
    tell_started: bool,
}

impl Job {
    pub(crate) fn new(from: Address, start: &port::Message) -> Self {
        let known = Token(start.token).direction() <= 1;
        let sensible = known && start.frames != 0 && start.rate != 0 && start.channels != 0;
        let phase =
            if sensible { Phase::Requesting(None) } else { Phase::Reporting(Ending::BadStart) };
        Self { phase, ..Self::forgotten(from, start) }
    }

    /// A start that nothing is known of, which is what there is to report.
    pub(crate) const fn forgotten(from: Address, start: &port::Message) -> Self {
        let phase = Phase::Reporting(Ending::Forgotten);
        Self { from, start: *start, phase, stream: None, device: None, tell_started: false }
    }

    /// Whether this is the job that `from` calls `cookie`.
    pub(crate) fn is(&self, from: Address, cookie: u32) -> bool {
        self.from == from && self.start.cookie == cookie
    }

    fn token(&self) -> Token {
        Token(self.start.token)
    }

    /// Whether its place can be taken.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Reported(_))
    }

    /// Whether it writes to the recording pool, now or soon.
    pub(crate) const fn records(&self) -> bool {
        !self.is_over() && records(self.start.token)
    }

    /// When the job wants to be stepped if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Requesting(Some(sent)) | Phase::Disabling { sent: Some(sent), .. } => {
                Some(sent.deadline)
            }
            Phase::Granted(_) => Some(0),
            Phase::Settling { until } | Phase::Running { until, .. } => Some(*until),
            // What could not be sent goes out when the mailbox has room.
            _ => None,
        }
    }

    /// The job shall end.
    pub(crate) fn stop(&mut self, ending: Ending) {
        self.phase = match self.phase {
            // Nothing was asked for yet.
            Phase::Requesting(None) => Phase::Reporting(ending),
            // The request may have been granted, so what it granted goes back.
            Phase::Requesting(Some(_))
            | Phase::Granted(_)
            | Phase::Settling { .. }
            | Phase::Running { .. } => Phase::Disabling { sent: None, ending },
            Phase::Disabling { .. } | Phase::Reporting(_) | Phase::Reported(_) => return,
        };
    }

    /// The device in `slot` of `controller` goes, for good or to sleep: stop
    /// queueing, and give the stream back (P5).
    pub(crate) fn device_goes(&mut self, controller: u8, slot: u32, ending: Ending) {
        if self.device == Some((controller, slot)) {
            self.stop(ending);
        }
    }

    /// Takes the next event off the stream's own ring, while it runs. It may be
    /// another stream's.
    pub(crate) fn next_event(&mut self, core: &impl Core) -> Option<Option<(Pipe, TransferEvent)>> {
        match self.phase {
            Phase::Running { .. } => self.stream.as_mut()?.session_mut().next_event(core),
            _ => None,
        }
    }

    /// Whether events of `pipe` are the stream's.
    pub(crate) fn has(&self, pipe: Pipe) -> bool {
        !self.is_over() && self.stream.as_ref().is_some_and(|stream| stream.session().has(pipe))
    }

    /// Takes an event that is the stream's, whichever ring it came from.
    pub(crate) fn take(&mut self, core: &impl Core, pipe: Pipe, event: &TransferEvent) {
        if let Some(stream) = &mut self.stream {
            stream.take(core, pipe, event);
        }
    }

    /// An event came from the stream's ring that is nobody's.
    pub(crate) fn strange(&mut self) {
        if let Some(stream) = &mut self.stream {
            Counters::count(&mut stream.counters_mut().strange);
        }
    }

    /// Says that all events of the stream's own ring were taken.
    pub(crate) fn acknowledge(&mut self, core: &impl Core, now: u64) {
        let came = self.stream.as_ref().map_or(0, Stream::frames);
        if let Phase::Running { until, frames } = &mut self.phase
            && *frames != came
        {
            (*until, *frames) = (now + STALL_NS, came);
        }
        let over =
            self.stream.as_ref().is_some_and(|stream| stream.session().acknowledge(core).is_err());
        if over {
            self.stop(Ending::Revoked);
        }
    }

    /// What was asked last may not have been heard. Giving a stream back can be
    /// said twice; asking for one is said again as the same transaction.
    pub(crate) fn ask_again(&mut self) {
        match &mut self.phase {
            Phase::Requesting(Some(sent)) => sent.lost = true,
            Phase::Disabling { sent, .. } => *sent = None,
            _ => {}
        }
    }

    /// What was reported last may not have been heard.
    pub(crate) fn report_again(&mut self) {
        match self.phase {
            Phase::Reported(ending) => self.phase = Phase::Reporting(ending),
            _ => self.tell_started = self.stream.is_some(),
        }
    }

    pub(crate) fn response(&mut self, txn: Txn, response: &StreamResponse) {
        match self.phase {
            Phase::Requesting(Some(sent)) if sent.txn == txn => {
                if response.status == Some(Status::SUCCESS) {
                    let controller = response.controller_num.unwrap_or(0);
                    self.device = response.slot_id.map(|slot| (controller, slot));
                    trace(Trace::Granted(self.token()));
                    self.phase = Phase::Granted(*response);
                } else {
                    trace(Trace::RequestRefused(self.token(), response.status));
                    self.phase = Phase::Reporting(Ending::Refused);
                }
            }
            // However the broker answers a disable, the stream is no longer ours.
            Phase::Disabling { sent: Some(sent), ending } if sent.txn == txn => {
                trace(Trace::Released(self.token()));
                self.phase = Phase::Reporting(ending);
            }
            _ => {}
        }
    }

    /// Goes as far as it can: what waits after this waits for an event.
    pub(crate) fn step(
        &mut self,
        core: &impl Core,
        now: u64,
        broker: Option<Address>,
        next_txn: &mut u16,
    ) {
        while self.advance(core, now, broker, next_txn) {}
        if self.tell_started
            && report(core, self.from, &self.start, Kind::Started, Ending::Played).is_ok()
        {
            self.tell_started = false;
        }
    }

    /// Goes on by one phase; whether it did.
    fn advance(
        &mut self,
        core: &impl Core,
        now: u64,
        broker: Option<Address>,
        next_txn: &mut u16,
    ) -> bool {
        let mut txn = || {
            let txn = Txn(*next_txn);
            *next_txn = next_txn.checked_add(1).unwrap_or(1);
            txn
        };
        match self.phase {
            Phase::Requesting(None) => {
                let Some(sent) = self.request(core, now, broker, true, &mut txn) else {
                    return false;
                };
                trace(Trace::Requested(self.token()));
                self.phase = Phase::Requesting(Some(sent));
            }
            Phase::Requesting(Some(sent)) if now >= sent.deadline => {
                trace(Trace::RequestTimeout(self.token()));
                self.stop(Ending::Refused);
            }
            Phase::Requesting(Some(sent)) if sent.lost => {
                let again = &mut || sent.txn;
                let Some(repeated) = self.request(core, now, broker, true, again) else {
                    return false;
                };
                self.phase = Phase::Requesting(Some(Sent { deadline: sent.deadline, ..repeated }));
            }
            Phase::Granted(response) => match Stream::new(core, &self.start, &response) {
                Ok(stream) => {
                    let frames = 2 * stream.session().period_ns();
                    self.stream = Some(stream);
                    // Now, so that nobody on the other core is awake any more
                    // when the first packet goes out.
                    self.tell_started = true;
                    self.phase = Phase::Settling { until: now + frames.max(SETTLE_NS) };
                }
                Err(unusable) => {
                    trace(Trace::AnswerRefused(self.token(), unusable));
                    self.stop(match unusable {
                        Unusable::TooLong => Ending::BadStart,
                        _ => Ending::Refused,
                    });
                }
            },
            Phase::Settling { until } if now >= until => {
                trace(Trace::Streaming(self.token()));
                self.phase = Phase::Running { until: now + STALL_NS, frames: 0 };
            }
            Phase::Running { until, .. } if now >= until => self.stop(Ending::Revoked),
            Phase::Running { .. } => return self.run(core),
            Phase::Disabling { sent: None, ending } => {
                let Some(sent) = self.request(core, now, broker, false, &mut txn) else {
                    return false;
                };
                self.phase = Phase::Disabling { sent: Some(sent), ending };
            }
            Phase::Disabling { sent: Some(sent), ending } if now >= sent.deadline => {
                self.phase = Phase::Reporting(ending);
            }
            Phase::Reporting(ending) => {
                let message = self.report_message();
                if report(core, self.from, &message, Kind::Done, ending).is_err() {
                    return false;
                }
                trace(Trace::Ended(self.token(), ending));
                self.phase = Phase::Reported(ending);
            }
            _ => return false,
        }
        true
    }

    /// Drives the stream; whether that ended it.
    fn run(&mut self, core: &impl Core) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        match stream.fill(core) {
            Ok(()) if stream.is_over() => self.stop(Ending::Played),
            Ok(()) => return false,
            Err(_) => self.stop(Ending::Revoked),
        }
        true
    }

    fn request(
        &self,
        core: &impl Core,
        now: u64,
        broker: Option<Address>,
        enable: bool,
        txn: &mut impl FnMut() -> Txn,
    ) -> Option<Sent> {
        let to = broker?;
        let request = StreamRequest {
            enable: u8::from(enable),
            usb_token: Token(self.start.token),
            // The handler wants these on disable too (B2).
            audio_format: Some(self.start.format),
            number_of_ch: Some(self.start.channels),
            bit_rate: Some(self.start.rate),
            xfer_buff_size: Some(self.start.buffer_bytes),
            service_interval: Some(self.start.interval_us).filter(|&us| us != 0),
        };
        let txn = txn();
        let mut bytes = [0; 64];
        let len = request.encode(txn, &mut bytes).expect("a request has at most 53 bytes");
        match mail::send(core, QMI_PORT, to, &bytes[..len]) {
            Ok(()) => Some(Sent { txn, deadline: now + RESPONSE_NS, lost: false }),
            // The mail event brings us back here.
            Err(_) => None,
        }
    }

    fn report_message(&self) -> port::Message {
        let Counters { underruns, missed, .. } =
            self.stream.as_ref().map(|stream| *stream.counters()).unwrap_or_default();
        port::Message {
            played: self.stream.as_ref().map_or(0, Stream::frames),
            underruns: underruns.wrapping_add(missed),
            ..self.start
        }
    }
}

/// Sends a record of the port service.
pub(crate) fn report(
    core: &impl Core,
    to: Address,
    message: &port::Message,
    kind: Kind,
    ending: Ending,
) -> Result<(), Denied> {
    let message = port::Message { kind: kind as u32, result: ending as u32, ..*message };
    mail::send(core, mail::PORT_SERVICE, to, message.as_bytes())
}
