//! The server: news, tickets, time and datagrams to the core and back.
//!
//! Whatever wakes it, it takes in all news there is, lets the core go as far as
//! it can, and sets its timer to what the core waits for. Between two inputs of
//! the core all effects of the first are done, so the core's bound on their
//! number holds.

mod mail;
mod news;
mod operations;

use core::mem::offset_of;

use dsp_abi::control::{AnswerPage, Notice, NoticeKind};
use dsp_abi::{SESSIONS, port};
use dsp_link_api::{Address, DspLink, DspLinkError, MAX_PAYLOAD};
use fifo::Fifo;
use idol_runtime::{NotificationHandler, RequestError};
use iommu_api::{Iommu, IommuError};
use offload_broker_api::{
    BrokerError, BrokerStatus, RouteHandle, RouteRequest, RouteState, SessionInfo, SessionPhase,
};
use peers::Peers;
use usb_audio_api::{UsbAudio, UsbAudioError};
use usb_core_api::UsbCore;
use userlib::{
    RecvMessage, TIMER_MASK, TaskId, TaskSlot, sys_get_timer, sys_irq_control, sys_set_timer,
    task_slot,
};
use xhci_api::{GateOpening, Xhci, XhciError};
use zerocopy::{FromZeros, IntoBytes};

use self::operations::Began;
use crate::Config;
use crate::broker::{Broker, Settings};
use crate::ops::{Ask, Effect, Input, Op, Reply, Server, Trouble};
use crate::refusal::{Failure, Refusal};
use crate::session::SessionId;

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

task_slot!(USB_AUDIO, usb_audio);
task_slot!(USB_CORE, usb_core);
task_slot!(DSP_LINK, dsp_link);
task_slot!(IOMMU, iommu);

/// The controllers' drivers, in the order of their numbers.
const DRIVERS: [TaskSlot; 2] = [TaskSlot::new("xhci"), TaskSlot::new("xhci1")];

/// Datagrams that wait for room in the mailbox: two answers per session. A peer
/// that lets more gather reads none; they are dropped and counted.
const OUTBOX: usize = 2 * SESSIONS;
/// Servers whose death is the core's business: three, and the drivers.
const SERVERS: usize = 3 + DRIVERS.len();
/// Clients that wait for a device or the DSP to ask for a route again.
const WAITERS: usize = 4;

/// What went on; for whoever looks in with a debugger. `None` is all zeros, so
/// that an empty ring takes no room in the image.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
#[repr(u8)]
enum Trace {
    #[count(skip)]
    None,
    /// A session's way, and its end.
    Session(SessionId, SessionPhase),
    Asked(SessionId, Op),
    Failed(SessionId, Op, Failure),
    /// The DSP was refused, and for what.
    #[count(children)]
    Refused(Refusal),
    Died(Server),
    LinkDied,
    Silence {
        from: Address,
        len: u16,
    },
    Dropped {
        to: Address,
    },
    Notice(Notice),
    /// A client of the application core was refused, and for what.
    #[count(children)]
    ClientRefused(BrokerError),
}

ringbuf::counted_ringbuf!(TRACE, Trace, 64, Trace::None);

/// A server's name for an operation under way.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ticket {
    Audio(usb_audio_api::TicketHandle),
    /// Of the driver of that controller: each numbers its own.
    Xhci(u8, xhci_api::TicketHandle),
    Iommu(iommu_api::TicketHandle),
}

impl Ticket {
    /// Whose operation it is; of a driver, which controller's.
    const fn server(self) -> (Server, u8) {
        match self {
            Self::Audio(_) => (Server::UsbAudio, 0),
            Self::Xhci(controller, _) => (Server::Xhci, controller),
            Self::Iommu(_) => (Server::Iommu, 0),
        }
    }
}

/// A datagram on its way out.
#[derive(Debug)]
struct Datagram {
    to: Address,
    len: usize,
    bytes: [u8; qmi::MAX_DATAGRAM],
}

const _: () = assert!(size_of::<port::Message>() <= qmi::MAX_DATAGRAM);
const _: () = assert!(qmi::MAX_DATAGRAM <= MAX_PAYLOAD);

struct Executor<'c> {
    config: &'c Config,
    core: Broker,
    audio: UsbAudio,
    usb: UsbCore,
    /// The drivers, by the numbers of their controllers. An image with one has it
    /// twice.
    xhci: [Xhci; DRIVERS.len()],
    iommu: Iommu,
    link: DspLink,
    peers: Peers,
    tickets: [Option<(Ask, Ticket)>; SESSIONS],
    /// Answers that the core has not taken in yet; a session waits for one.
    answers: Fifo<(Ask, Result<Reply, Failure>), SESSIONS>,
    /// Servers whose death the core has not heard of yet; of a driver, which
    /// controller's.
    deaths: Fifo<(Server, u8), SERVERS>,
    /// Some server's answer shows that it died.
    look_at_peers: bool,
    outbox: Fifo<Datagram, OUTBOX>,
    /// The service's port, once it is announced.
    port: Option<u32>,
    waiters: Fifo<TaskId, WAITERS>,
    /// The life of the DSP's program that the core knows.
    program: u32,
    /// Counts of the monitor's notices seen.
    notices: [[u32; SESSIONS]; DRIVERS.len()],
    /// A flood is looked at again then.
    breather: Option<u64>,
}

/// Serves for ever.
#[inline(always)]
pub(crate) fn run(config: &Config) -> ! {
    // The build knows of no third one either.
    let driver = |n: usize| &DRIVERS[n.min(usize::from(config.controllers) - 1)];
    let settings = Settings {
        dialect: config.dialect,
        sid: config.sid,
        peer_deadline_ms: config.peer_deadline_ms,
        buffer_pages: config.media.pages(),
    };
    let mut executor = Executor {
        config,
        peers: Peers::new(config.neighbours),
        core: Broker::new(settings, peers::epoch()),
        audio: UsbAudio::from(USB_AUDIO.get_task_id()),
        usb: UsbCore::from(USB_CORE.get_task_id()),
        xhci: core::array::from_fn(|n| Xhci::from(driver(n).get_task_id())),
        iommu: Iommu::from(IOMMU.get_task_id()),
        link: DspLink::from(DSP_LINK.get_task_id()),
        tickets: [None; SESSIONS],
        answers: Fifo::new(),
        deaths: Fifo::new(),
        look_at_peers: false,
        outbox: Fifo::new(),
        port: None,
        waiters: Fifo::new(),
        program: 0,
        notices: [[0; SESSIONS]; DRIVERS.len()],
        breather: None,
    };
    sys_irq_control(config.notice, true);
    executor.look_at_notices();
    executor.work();
    let mut buffer = [0; INCOMING_SIZE];
    idol_runtime::dispatch(&mut executor, &mut buffer)
}

impl Executor<'_> {
    /// Takes in all news and acts on it: what every wake does.
    fn work(&mut self) {
        self.breather = None;
        self.pull_audio();
        self.pull_usb();
        for controller in 0..self.config.controllers {
            self.pull_xhci(controller);
        }
        self.pull_iommu();
        self.pull_link();
        let now = sys_get_timer().now;
        if self.core.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.feed(Input::Tick);
        }
        // Last of all, when the devices that are there are known (B28).
        self.announce();
        self.flush();
        self.arm_timer();
    }

    fn arm_timer(&self) {
        let next = [self.core.next_deadline(), self.breather].into_iter().flatten().min();
        sys_set_timer(next, TIMER_MASK);
    }

    // ---- the core ----

    /// Hands the core an input and does all that comes of it.
    fn feed(&mut self, input: Input) {
        self.core.step(sys_get_timer().now, input);
        self.settle();
    }

    /// Does the core's effects and hands it their answers until there are none.
    /// A death is told before the answers that it caused, so that the core does
    /// not ask the next life for what the last one gave.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.core.next_effect() {
                self.perform(effect);
            }
            if let Some(refusal) = self.core.take_refusal() {
                ringbuf::ringbuf_entry!(TRACE, Trace::Refused(refusal));
            }
            if core::mem::take(&mut self.look_at_peers) {
                self.refresh_peers();
            }
            let now = sys_get_timer().now;
            if let Some((server, controller)) = self.deaths.pop() {
                let died = match server {
                    Server::Xhci => Input::DriverDied(controller),
                    _ => Input::ServerDied(server),
                };
                self.core.step(now, died);
                self.fail_tickets((server, controller));
            } else if let Some((ask, result)) = self.answers.pop() {
                self.core.step(now, Input::Answer(ask, result));
            } else if let Some(card) = self.core.take_forgettable_card() {
                // A server that died numbers its cards anew anyway.
                let _ = self.audio.forget_card(card);
            } else {
                return;
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Ask(ask, op) => {
                ringbuf::ringbuf_entry!(TRACE, Trace::Asked(ask.session, op));
                match self.begin(ask.session, op) {
                    Began::Answered(result) => self.answered(ask, op, result),
                    Began::Ticket(ticket) => self.remember(ask, ticket),
                }
            }
            Effect::Cancel(ask) => self.cancel(ask),
            Effect::Respond(to, txn, response) => {
                self.post(to, |bytes| response.encode(txn, bytes).ok());
            }
            Effect::Indicate(to, indication) => {
                self.post(to, |bytes| indication.encode(qmi::Txn(0), bytes).ok());
            }
            Effect::Port(to, message) => {
                self.post(to, |bytes| message.write_to_prefix(bytes).ok().map(|()| PORT_RECORD));
            }
            Effect::Hint(owner) => peers::hint(owner),
            Effect::Phase(session, phase) => {
                ringbuf::ringbuf_entry!(TRACE, Trace::Session(session, phase));
            }
        }
    }

    fn answered(&mut self, ask: Ask, op: Op, result: Result<Reply, Failure>) {
        if let Err(failure) = result {
            ringbuf::ringbuf_entry!(TRACE, Trace::Failed(ask.session, op, failure));
            self.look_at_peers |= failure.is_death();
        }
        // A session has one operation under way, and there is a place for each.
        let _ = self.answers.push((ask, result));
    }

    fn remember(&mut self, ask: Ask, ticket: Ticket) {
        self.tickets[usize::from(ask.session.place)] = Some((ask, ticket));
    }

    fn cancel(&mut self, ask: Ask) {
        let place = &mut self.tickets[usize::from(ask.session.place)];
        if let Some((_, ticket)) = place.take_if(|(known, _)| *known == ask) {
            // Whether it is found makes no difference to what follows.
            match ticket {
                Ticket::Audio(ticket) => drop(self.audio.cancel(ticket)),
                Ticket::Xhci(controller, ticket) => drop(self.driver(controller).cancel(ticket)),
                // Its only operation is the peer's unmapping, which ends by
                // itself; its ticket is collected when it does.
                Ticket::Iommu(_) => {}
            }
        }
    }

    /// Every operation under way at who died ended with it.
    fn fail_tickets(&mut self, died: (Server, u8)) {
        let failure = match died.0 {
            Server::UsbAudio => Failure::Audio(UsbAudioError::ServerDied),
            Server::UsbCore => Failure::Core(usb_core_api::UsbCoreError::ServerDied),
            Server::Xhci => Failure::Xhci(XhciError::ServerDied),
            Server::Iommu => Failure::Iommu(IommuError::ServerDied),
        };
        for place in &mut self.tickets {
            if let Some((ask, _)) = place.take_if(|(_, ticket)| ticket.server() == died) {
                let _ = self.answers.push((ask, Err(failure)));
            }
        }
    }

    /// The driver of a controller.
    fn driver(&self, controller: u8) -> &Xhci {
        &self.xhci[usize::from(controller)]
    }

    // ---- deaths ----

    /// A server did not answer: find out which died, and tell the core.
    fn server_died(&mut self) {
        self.look_at_peers = true;
        self.settle();
    }

    fn refresh_peers(&mut self) {
        let Self { peers, audio, usb, xhci, iommu, link, deaths, core, port, .. } = self;
        peers.refresh(|change| {
            let index = change.new.index() as u16;
            let mut controller = 0;
            let server = if index == USB_AUDIO.get_task_index() {
                *audio = UsbAudio::from(change.new);
                Server::UsbAudio
            } else if index == USB_CORE.get_task_index() {
                *usb = UsbCore::from(change.new);
                Server::UsbCore
            } else if let Some(n) =
                xhci.iter().position(|it| it.task_id().index() == change.new.index())
            {
                xhci[n] = Xhci::from(change.new);
                controller = n as u8;
                Server::Xhci
            } else if index == IOMMU.get_task_index() {
                *iommu = Iommu::from(change.new);
                Server::Iommu
            } else {
                if index == DSP_LINK.get_task_index() {
                    // Streams play on; the service has to be announced anew.
                    *link = DspLink::from(change.new);
                    *port = None;
                    ringbuf::ringbuf_entry!(TRACE, Trace::LinkDied);
                } else {
                    core.backend.owner_died(change.old);
                }
                return;
            };
            ringbuf::ringbuf_entry!(TRACE, Trace::Died(server));
            // Each of them dies once per look, and looks are settled.
            let _ = deaths.push((server, controller));
        });
    }

    // ---- clients and the monitor ----

    fn hint_waiters(&mut self) {
        while let Some(waiter) = self.waiters.pop() {
            peers::hint(waiter);
        }
    }

    /// Remembers who is to be hinted when a route may be had.
    fn wait_for_route(&mut self, client: TaskId) {
        if self.waiters.push(client).is_err() {
            // Too many wait: the one that waited longest asks again now.
            if let Some(first) = self.waiters.pop() {
                peers::hint(first);
            }
            let _ = self.waiters.push(client);
        }
    }

    /// The monitor had something to say: whatever is new of it is the core's.
    fn look_at_notices(&mut self) {
        for place in 0..usize::from(self.config.controllers) * SESSIONS {
            let Some(notice) = self.read_notice(place) else { continue };
            // Two controllers, of SESSIONS places each.
            let (controller, entry) = ((place / SESSIONS) as u8, (place % SESSIONS) as u8);
            ringbuf::ringbuf_entry!(TRACE, Trace::Notice(notice));
            let trouble = match NoticeKind::try_from(notice.kind) {
                Ok(NoticeKind::Stalled) => {
                    // The controller may have failed, which the driver finds out
                    // when it is asked; what comes of it is news.
                    let _ = self.driver(controller).info();
                    Trouble::Stalled
                }
                Ok(NoticeKind::Refused) => Trouble::Refused(notice.detail),
                Ok(NoticeKind::BadGate) => Trouble::NotOpened(notice.detail),
                Ok(NoticeKind::Restarted) => Trouble::Restarted,
                Ok(NoticeKind::None) | Err(()) => continue,
            };
            let opening = GateOpening { entry, generation: notice.generation };
            self.feed(Input::Notice { controller, opening, trouble });
        }
    }

    /// The notice in that place of the answer page, if it is a new one and whole.
    fn read_notice(&mut self, place: usize) -> Option<Notice> {
        // Inside a page.
        let at = (offset_of!(AnswerPage, notices) + place * size_of::<Notice>()) as u32;
        let answers = &self.config.answers;
        let count = || answers.read32(at + offset_of!(Notice, count) as u32);
        let before = count();
        let seen = &mut self.notices.as_flattened_mut()[place];
        if before == *seen {
            return None;
        }
        dma::acquire();
        let mut notice = Notice::new_zeroed();
        answers.read(at, notice.as_mut_bytes());
        dma::acquire();
        if count() != before {
            // The monitor is saying the next thing, and rings when it has.
            return None;
        }
        *seen = before;
        Some(notice)
    }

    /// What `start_route` does, with the errors of the interface.
    fn route_for(
        &mut self,
        client: TaskId,
        request: &RouteRequest,
    ) -> Result<RouteHandle, BrokerError> {
        let mut target = self.core.backend.target(request, self.core.cards())?;
        for interval_us in [Some(target.interval_us), None] {
            target.format.interval_us = interval_us.filter(|&us| us != 0);
            target.interval_us = target.format.interval_us.unwrap_or(0);
            match self.audio.find(target.stream, target.format) {
                Ok(_) => break,
                // The device has an interval of its own.
                Err(UsbAudioError::BadInterval) if interval_us.is_some() => {}
                Err(UsbAudioError::NoCard | UsbAudioError::DeviceGone) => {
                    return Err(BrokerError::NoDevice);
                }
                Err(error) if Failure::Audio(error).is_death() => {
                    return Err(BrokerError::NoDevice);
                }
                Err(_) => return Err(BrokerError::DeviceFormat),
            }
        }
        let (route, to, start) = self.core.backend.start(client, request, &target)?;
        let sent = self.port.map(|port| self.link.send(port, to, start.as_bytes()));
        if sent == Some(Err(DspLinkError::Full)) {
            self.core.backend.abort(route);
            return Err(BrokerError::LinkFull);
        }
        // Whoever did not take it is about to go or to begin anew, and whether
        // the DSP has it is not known: it is said again, or hears that it is over.
        Ok(route)
    }
}

/// Bytes of a record of the port service.
const PORT_RECORD: usize = size_of::<port::Message>();

impl NotificationHandler for Executor<'_> {
    fn current_notification_mask(&self) -> u32 {
        let config = self.config;
        config.hints | config.notice | config.peer_changed | TIMER_MASK
    }

    fn handle_notification(&mut self, bits: u32) {
        if bits & self.config.notice != 0 {
            // The line first: a notice after the look rings again.
            sys_irq_control(self.config.notice, true);
            self.look_at_notices();
        }
        if bits & self.config.peer_changed != 0 {
            self.server_died();
        }
        self.work();
    }

    fn refused(&mut self, code: u32) {
        if let Ok(error) = BrokerError::try_from(code) {
            ringbuf::ringbuf_entry!(TRACE, Trace::ClientRefused(error));
        }
    }
}

impl InOrderOffloadBrokerImpl for Executor<'_> {
    fn start_route(
        &mut self,
        message: &RecvMessage,
        request: RouteRequest,
    ) -> Result<RouteHandle, RequestError<BrokerError>> {
        let client = message.sender;
        // A controller that failed may have told nobody. Its devices go before this
        // is answered: who takes them away is more important.
        for controller in 0..self.config.controllers {
            let _ = self.driver(controller).info();
        }
        self.pull_audio();
        let route = self.route_for(client, &request);
        if matches!(route, Err(BrokerError::NoDevice | BrokerError::NoDsp | BrokerError::LinkFull))
        {
            self.wait_for_route(client);
        }
        Ok(route?)
    }

    fn stop_route(
        &mut self,
        message: &RecvMessage,
        route: RouteHandle,
    ) -> Result<(), RequestError<BrokerError>> {
        if let Some((to, stop)) = self.core.backend.stop(route, message.sender)? {
            self.perform(Effect::Port(to, stop));
        }
        Ok(())
    }

    fn route(
        &mut self,
        message: &RecvMessage,
        route: RouteHandle,
    ) -> Result<RouteState, RequestError<BrokerError>> {
        let state = self.core.backend.state(route, message.sender)?;
        // Its end may have been what a vanished card's number waited for.
        self.settle();
        Ok(state)
    }

    fn session(
        &mut self,
        _: &RecvMessage,
        index: u8,
    ) -> Result<SessionInfo, RequestError<BrokerError>> {
        Ok(self.core.session(index).ok_or(BrokerError::NoSession)?)
    }

    fn status(&mut self, _: &RecvMessage) -> Result<BrokerStatus, RequestError<BrokerError>> {
        Ok(BrokerStatus { announced: self.port.is_some(), ..self.core.status() })
    }
}
