//! The server: news, tickets, time and datagrams to the core and back.
//!
//! Whatever wakes it, it takes in all news there is, lets the core go as far as
//! it can, and sets its timer to what the core waits for. Between two inputs of
//! the core all effects of the first are done, so the core's bound on their
//! number holds.

use addr::PAGE;
use dsp_abi::control::{AnswerPage, Notice};
use dsp_abi::{SESSIONS, port};
use dsp_link_api::{Address, DspLink, DspLinkError, MAX_PAYLOAD};
use fifo::Fifo;
use idol_runtime::{NotificationHandler, RequestError};
use iommu_api::{Access, Iommu, IommuError, Part};
use offload_broker_api::{BrokerError, RouteHandle, RouteRequest, RouteState, SessionInfo, Status};
use peers::Peers;
use usb_audio_api::{Completed, Drive, UsbAudio, UsbAudioError};
use usb_core_api::UsbCore;
use userlib::{
    RecvMessage, TIMER_MASK, TaskId, sys_get_timer, sys_irq_control, sys_set_timer, task_slot,
};
use xhci_api::{InterrupterRequest, SidebandKind, Xhci, XhciError};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::Config;
use crate::broker::{Broker, Settings};
use crate::ops::{Ask, Effect, Input, Op, Reply, Server};
use crate::refusal::{Failure, Refusal};
use crate::service::{Heard, hear};

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

task_slot!(USB_AUDIO, usb_audio);
task_slot!(USB_CORE, usb_core);
task_slot!(XHCI, xhci);
task_slot!(DSP_LINK, dsp_link);
task_slot!(IOMMU, iommu);

/// Datagrams that wait for room in the mailbox: two answers per session. A peer
/// that lets more gather reads none; they are dropped and counted.
const OUTBOX: usize = 2 * SESSIONS;
/// News of the link taken in per wake; a flood has the rest wait.
const LINK_BUDGET: usize = 16;
/// Milliseconds until a flood is looked at again.
const BREATHER: u64 = 1;
/// Clients that wait for a device or the DSP to ask for a route again.
const WAITERS: usize = 4;

/// What went on; for whoever looks in with a debugger.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
enum Trace {
    #[count(skip)]
    None,
    Asked(Op),
    Failed(Op, Failure),
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
}

ringbuf::counted_ringbuf!(Trace, 64, Trace::None);

/// A server's name for an operation under way.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ticket {
    Audio(usb_audio_api::TicketHandle),
    Xhci(xhci_api::TicketHandle),
    Iommu(iommu_api::TicketHandle),
}

impl Ticket {
    const fn server(self) -> Server {
        match self {
            Self::Audio(_) => Server::UsbAudio,
            Self::Xhci(_) => Server::Xhci,
            Self::Iommu(_) => Server::Iommu,
        }
    }
}

/// How an operation went when it was asked for.
enum Began {
    Answered(Result<Reply, Failure>),
    Ticket(Ticket),
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
    xhci: Xhci,
    iommu: Iommu,
    link: DspLink,
    peers: Peers,
    tickets: [Option<(Ask, Ticket)>; SESSIONS],
    /// Answers that the core has not taken in yet; a session waits for one.
    answers: Fifo<(Ask, Result<Reply, Failure>), SESSIONS>,
    /// Servers whose death the core has not heard of yet.
    deaths: Fifo<Server, 4>,
    /// Some server's answer shows that it died.
    look_at_peers: bool,
    outbox: Fifo<Datagram, OUTBOX>,
    /// The service's port, once it is announced.
    port: Option<u32>,
    waiters: Fifo<TaskId, WAITERS>,
    /// Counts of the monitor's notices seen.
    notices: [[u32; SESSIONS]; 2],
    /// A flood is looked at again then.
    breather: Option<u64>,
}

/// Serves for ever.
pub(crate) fn run(config: &Config) -> ! {
    let settings =
        Settings { dialect: config.dialect, sid: config.sid, buffer_pages: config.media.pages() };
    let mut executor = Executor {
        config,
        core: Broker::new(settings, peers::epoch()),
        audio: UsbAudio::from(USB_AUDIO.get_task_id()),
        usb: UsbCore::from(USB_CORE.get_task_id()),
        xhci: Xhci::from(XHCI.get_task_id()),
        iommu: Iommu::from(IOMMU.get_task_id()),
        link: DspLink::from(DSP_LINK.get_task_id()),
        peers: Peers::new(config.neighbours),
        tickets: [None; SESSIONS],
        answers: Fifo::new(),
        deaths: Fifo::new(),
        look_at_peers: false,
        outbox: Fifo::new(),
        port: None,
        waiters: Fifo::new(),
        notices: [[0; SESSIONS]; 2],
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
        self.pull_xhci();
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
                ringbuf::ringbuf_entry!(Trace::Refused(refusal));
            }
            if core::mem::take(&mut self.look_at_peers) {
                self.refresh_peers();
            }
            let now = sys_get_timer().now;
            if let Some(server) = self.deaths.pop() {
                self.core.step(now, Input::ServerDied(server));
                self.fail_tickets(server);
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
                ringbuf::ringbuf_entry!(Trace::Asked(op));
                match self.begin(op) {
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
        }
    }

    fn answered(&mut self, ask: Ask, op: Op, result: Result<Reply, Failure>) {
        if let Err(failure) = result {
            ringbuf::ringbuf_entry!(Trace::Failed(op, failure));
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
                Ticket::Xhci(ticket) => drop(self.xhci.cancel(ticket)),
                // Its only operation is the peer's unmapping, which ends by
                // itself; its ticket is collected when it does.
                Ticket::Iommu(_) => {}
            }
        }
    }

    /// Every operation under way at `server` ended with it.
    fn fail_tickets(&mut self, server: Server) {
        let failure = match server {
            Server::UsbAudio => Failure::Audio(UsbAudioError::ServerDied),
            Server::UsbCore => Failure::Core(usb_core_api::UsbCoreError::ServerDied),
            Server::Xhci => Failure::Xhci(XhciError::ServerDied),
            Server::Iommu => Failure::Iommu(IommuError::ServerDied),
        };
        for place in &mut self.tickets {
            if let Some((ask, _)) = place.take_if(|(_, ticket)| ticket.server() == server) {
                let _ = self.answers.push((ask, Err(failure)));
            }
        }
    }

    // ---- operations ----

    fn begin(&self, op: Op) -> Began {
        let media = &self.config.media;
        Began::Answered(match op {
            Op::Open(stream, format) => {
                return started(
                    self.audio.start_open(stream, format, Drive::Peer),
                    Ticket::Audio,
                    Failure::Audio,
                );
            }
            Op::Close(stream) => {
                return started(self.audio.start_close(stream), Ticket::Audio, Failure::Audio);
            }
            Op::Arm(sideband) => {
                return started(self.xhci.start_arm(sideband), Ticket::Xhci, Failure::Xhci);
            }
            Op::CloseGate(sideband) => {
                return started(self.xhci.start_close_gate(sideband), Ticket::Xhci, Failure::Xhci);
            }
            Op::Halt(sideband) => {
                return started(self.xhci.start_halt(sideband), Ticket::Xhci, Failure::Xhci);
            }
            Op::Disarm(sideband) => {
                return started(self.xhci.start_disarm(sideband), Ticket::Xhci, Failure::Xhci);
            }
            Op::RemoveEndpoint(sideband, dci) => {
                return started(
                    self.xhci.start_remove_endpoint(sideband, dci),
                    Ticket::Xhci,
                    Failure::Xhci,
                );
            }
            Op::UnmapPeer(window) => {
                return started(self.iommu.start_unmap_peer(window), Ticket::Iommu, Failure::Iommu);
            }

            Op::Describe(stream) => {
                self.audio.describe(stream).map(Reply::Described).map_err(Failure::Audio)
            }
            Op::Hold(device) => done(self.usb.hold(device), Failure::Core),
            Op::Unhold(device) => done(self.usb.unhold(device), Failure::Core),

            Op::Register(slot) => self
                .xhci
                .register(slot, SidebandKind::Vendor)
                .map(Reply::Registered)
                .map_err(Failure::Xhci),
            Op::AddEndpoint(sideband, dci) => {
                done(self.xhci.add_endpoint(sideband, dci), Failure::Xhci)
            }
            Op::CreateInterrupter(sideband) => {
                // Any number, one segment, no moderation: the DSP hears of
                // every event at once.
                let request = InterrupterRequest { number: 0, segments: 1, moderation_ns: 0 };
                self.xhci
                    .create_interrupter(sideband, request)
                    .map(Reply::Interrupter)
                    .map_err(Failure::Xhci)
            }
            Op::Place(sideband, window) => {
                self.xhci.place(sideband, window).map(Reply::Placed).map_err(Failure::Xhci)
            }
            Op::Displace(sideband) => done(self.xhci.displace(sideband), Failure::Xhci),
            Op::RemoveInterrupter(sideband) => {
                done(self.xhci.remove_interrupter(sideband), Failure::Xhci)
            }
            Op::Unregister(sideband) => done(self.xhci.unregister(sideband), Failure::Xhci),

            Op::OpenWindow { controller } => {
                self.iommu.open_window(controller).map(Reply::Window).map_err(Failure::Iommu)
            }
            Op::MapPeer(window, part, grant, access) => self
                .iommu
                .map_peer(window, part, grant, access)
                .map(Reply::Mapped)
                .map_err(Failure::Iommu),
            Op::PlaceBuffer(window, pages) => self
                .iommu
                .place(window, Part::Buffer, media.id(), pages.first, pages.count, Access::Read)
                .map(Reply::BufferPlaced)
                .map_err(Failure::Iommu),
            Op::GrantBuffer(pages) => self
                .iommu
                .grant(media.id(), pages.first, pages.count, self.config.index)
                .map(Reply::BufferGranted)
                .map_err(Failure::Iommu),
            Op::DisplaceBuffer(window) => {
                done(self.iommu.displace(window, Part::Buffer), Failure::Iommu)
            }
            Op::ReleaseBuffer(grant) => done(self.iommu.release(grant), Failure::Iommu),
            Op::CloseWindow(window) => done(self.iommu.close_window(window), Failure::Iommu),

            Op::Scrub(pages) => {
                media.zero(u32::from(pages.first) * PAGE, u32::from(pages.count) * PAGE);
                dma::publish();
                Ok(Reply::Done)
            }
        })
    }

    /// A ticket is ready: its result is the answer to what was asked.
    fn collect(&mut self, ticket: Ticket) {
        let known = |place: &Option<(Ask, Ticket)>| place.is_some_and(|(_, t)| t == ticket);
        let place = self.tickets.iter().position(known);
        let result = match ticket {
            Ticket::Audio(ticket) => match self.audio.result(ticket) {
                Err(UsbAudioError::NotYet) => return,
                Ok(Completed::Stream(stream)) => Ok(Reply::Opened(stream)),
                Ok(Completed::Done | Completed::Played { .. }) => Ok(Reply::Done),
                Err(error) => Err(Failure::Audio(error)),
            },
            Ticket::Xhci(ticket) => match self.xhci.result(ticket) {
                Err(XhciError::NotYet) => return,
                result => done(result, Failure::Xhci),
            },
            Ticket::Iommu(ticket) => match self.iommu.result(ticket) {
                Err(IommuError::NotYet) => return,
                result => done(result, Failure::Iommu),
            },
        };
        // One that nobody waits for any more is collected all the same.
        if let Some((ask, _)) = place.and_then(|place| self.tickets[place].take()) {
            if let Err(failure) = result {
                self.look_at_peers |= failure.is_death();
            }
            let _ = self.answers.push((ask, result));
            self.settle();
        }
    }

    // ---- news ----

    fn pull_audio(&mut self) {
        use usb_audio_api::Event;
        loop {
            match self.audio.pull() {
                Ok(Event::None) => return,
                Ok(Event::CardAdded { card }) => self.card_added(card),
                Ok(Event::CardRemoved { card }) => {
                    if self.core.cards().get(u16::from(card)).is_some() {
                        self.feed(Input::CardRemoved(card));
                    } else {
                        // Gone before it was known: nothing of it is in use.
                        let _ = self.audio.forget_card(card);
                    }
                }
                Ok(Event::TicketDone(ticket)) => self.collect(Ticket::Audio(ticket)),
                Ok(Event::Room(_)) => {}
                Err(_) => return self.server_died(),
            }
        }
    }

    fn card_added(&mut self, card: u8) {
        // A device that goes meanwhile is told gone next.
        if let Ok(info) = self.audio.card(card)
            && let Ok(device) = self.usb.device(info.device)
        {
            self.feed(Input::CardAdded(card, info, device));
            self.hint_waiters();
        }
    }

    fn pull_usb(&mut self) {
        use usb_core_api::Event;
        loop {
            match self.usb.pull() {
                Ok(Event::None) => return,
                // Cards come and go by usb_audio's word, and nothing of
                // usb_core's is under way here.
                Ok(_) => {}
                Err(_) => return self.server_died(),
            }
        }
    }

    fn pull_xhci(&mut self) {
        use xhci_api::Event;
        loop {
            match self.xhci.pull() {
                Ok(Event::None) => return,
                Ok(Event::TicketDone(ticket)) => self.collect(Ticket::Xhci(ticket)),
                Ok(Event::Revoked { sideband, reason }) => {
                    self.feed(Input::Revoked(sideband, reason));
                }
                // Sessions are revoked one by one; the rest is usb_core's.
                Ok(
                    Event::PortChanged { .. }
                    | Event::IsochProgress { .. }
                    | Event::ControllerDied
                    | Event::ControllerReady,
                ) => {}
                Err(_) => return self.server_died(),
            }
        }
    }

    fn pull_iommu(&mut self) {
        use iommu_api::Event;
        loop {
            match self.iommu.pull() {
                Ok(Event::None) => return,
                Ok(Event::TicketDone(ticket)) => self.collect(Ticket::Iommu(ticket)),
                Ok(Event::WindowFault { window, .. }) => self.feed(Input::WindowFault(window)),
                Ok(Event::ControllerFault { .. }) => {}
                Err(_) => return self.server_died(),
            }
        }
    }

    fn pull_link(&mut self) {
        use dsp_link_api::Event;
        let mut data = [0; MAX_PAYLOAD];
        for _ in 0..LINK_BUDGET {
            match self.link.pull(&mut data) {
                Ok(Event::None) => return,
                Ok(Event::Datagram { from, length, .. }) => {
                    self.datagram(from, &data[..usize::from(length).min(MAX_PAYLOAD)]);
                }
                Ok(Event::ServerUp { service: port::SERVICE, instance: port::INSTANCE, at }) => {
                    self.feed(Input::PortUp(at));
                    self.hint_waiters();
                }
                Ok(Event::ServerDown { service: port::SERVICE, at }) => {
                    self.feed(Input::PortDown(at));
                }
                Ok(Event::ServerUp { .. } | Event::ServerDown { .. }) => {}
                Ok(Event::ClientGone(gone)) => self.feed(Input::ClientGone(gone)),
                Ok(Event::NodeGone { node }) => self.feed(Input::NodeGone(node)),
                Ok(Event::Room) => {
                    self.flush();
                    self.hint_waiters();
                }
                // The link counted it; the rest of the news is still to come.
                Err(DspLinkError::Truncated) => {}
                Err(_) => return self.server_died(),
            }
        }
        self.breather = Some(sys_get_timer().now + BREATHER);
    }

    fn datagram(&mut self, from: Address, bytes: &[u8]) {
        if self.core.backend.is_port(from) {
            if let Ok(message) = port::Message::read_from_bytes(bytes) {
                return self.feed(Input::PortMessage(from, message));
            }
        } else {
            match hear(self.config.dialect, bytes) {
                Heard::Request(txn, request) => {
                    return self.feed(Input::Request { from, txn, request });
                }
                Heard::Answer(txn, response) => {
                    return self.post(from, |bytes| response.encode(txn, bytes).ok());
                }
                Heard::Silence => {}
            }
        }
        // A payload is not longer than MAX_PAYLOAD.
        ringbuf::ringbuf_entry!(Trace::Silence { from, len: bytes.len() as u16 });
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
            let server = if index == USB_AUDIO.get_task_index() {
                *audio = UsbAudio::from(change.new);
                Server::UsbAudio
            } else if index == USB_CORE.get_task_index() {
                *usb = UsbCore::from(change.new);
                Server::UsbCore
            } else if index == XHCI.get_task_index() {
                *xhci = Xhci::from(change.new);
                Server::Xhci
            } else if index == IOMMU.get_task_index() {
                *iommu = Iommu::from(change.new);
                Server::Iommu
            } else {
                if index == DSP_LINK.get_task_index() {
                    // Streams play on; the service has to be announced anew.
                    *link = DspLink::from(change.new);
                    *port = None;
                    ringbuf::ringbuf_entry!(Trace::LinkDied);
                } else {
                    core.backend.owner_died(change.old);
                }
                return;
            };
            ringbuf::ringbuf_entry!(Trace::Died(server));
            // Each of the four dies once per look, and looks are settled.
            let _ = deaths.push(server);
        });
    }

    // ---- datagrams ----

    fn announce(&mut self) {
        if self.port.is_none() {
            // Refused only when the link is dying or has no port left; the next
            // wake tries again.
            self.port = self.link.publish(qmi::SERVICE, qmi::INSTANCE_WORD).ok();
        }
    }

    /// Puts a datagram into the outbox.
    fn post(&mut self, to: Address, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let mut datagram = Datagram { to, len: 0, bytes: [0; qmi::MAX_DATAGRAM] };
        datagram.len = write(&mut datagram.bytes).expect("the buffer has room for the longest");
        if self.outbox.push(datagram).is_err() {
            ringbuf::ringbuf_entry!(Trace::Dropped { to });
        }
        self.flush();
    }

    /// Sends what waits in the outbox, as far as the mailbox has room.
    fn flush(&mut self) {
        let Some(port) = self.port else { return };
        while let Some(datagram) = self.outbox.peek() {
            match self.link.send(port, datagram.to, &datagram.bytes[..datagram.len]) {
                Ok(()) => {}
                // The link tells when it has room.
                Err(DspLinkError::Full) => return,
                Err(DspLinkError::ServerDied | DspLinkError::NotPortOwner) => {
                    self.look_at_peers = true;
                    self.port = None;
                    return;
                }
                // Whoever it was for is gone.
                Err(_) => ringbuf::ringbuf_entry!(Trace::Dropped { to: datagram.to }),
            }
            self.outbox.pop();
        }
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

    /// The monitor had something to say. What must be done about it comes on
    /// other ways (a closed gate, BYE); here it is written down.
    fn look_at_notices(&mut self) {
        let mut page = AnswerPage::new_zeroed();
        self.config.answers.read(0, page.as_mut_bytes());
        let seen = self.notices.as_flattened_mut().iter_mut();
        for (notice, seen) in page.notices.as_flattened().iter().zip(seen) {
            if notice.count != *seen {
                *seen = notice.count;
                ringbuf::ringbuf_entry!(Trace::Notice(*notice));
            }
        }
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
        let port = self.port.ok_or(DspLinkError::Down);
        let sent = port.and_then(|port| self.link.send(port, to, start.as_bytes()));
        sent.map(|()| route).map_err(|error| {
            self.core.backend.abort(route);
            match error {
                DspLinkError::Full => BrokerError::LinkFull,
                _ => BrokerError::NoDsp,
            }
        })
    }
}

/// Bytes of a record of the port service.
const PORT_RECORD: usize = size_of::<port::Message>();

fn started<T, E>(
    result: Result<T, E>,
    ticket: impl FnOnce(T) -> Ticket,
    failure: impl FnOnce(E) -> Failure,
) -> Began {
    match result {
        Ok(handle) => Began::Ticket(ticket(handle)),
        Err(error) => Began::Answered(Err(failure(error))),
    }
}

fn done<T, E>(result: Result<T, E>, failure: impl FnOnce(E) -> Failure) -> Result<Reply, Failure> {
    result.map(|_| Reply::Done).map_err(failure)
}

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
}

impl InOrderOffloadBrokerImpl for Executor<'_> {
    fn start_route(
        &mut self,
        message: &RecvMessage,
        request: RouteRequest,
    ) -> Result<RouteHandle, RequestError<BrokerError>> {
        let client = message.sender;
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

    fn status(&mut self, _: &RecvMessage) -> Result<Status, RequestError<BrokerError>> {
        Ok(Status { announced: self.port.is_some(), ..self.core.status() })
    }
}
