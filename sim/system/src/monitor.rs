//! The model of the DSP core's monitor.
//!
//! On a board the monitor is privileged code on core 1; here it is a model that
//! keeps the same pages, answers the same calls and asks the same gate
//! (`dsp/gate`), and takes no time. It walks the peer's tables that `iommu`
//! wrote through a TLB of its own, which forgets only when it is told to.

mod mail;
mod space;

use addr::{PAGE, Peer, Phys};
use dsp_abi::SESSIONS;
use dsp_abi::bell;
use dsp_abi::control::{AnswerPage, GateEntry, GatePage, NoticeKind, WindowPage};
use dsp_abi::mailbox::DATAGRAM;
use dsp_abi::monitor::{
    Call, EVENT_GATE, EVENT_MAIL, EVENT_TIME, MAIL_IN, MAIL_OUT, Status, event_ring,
};
use fabric::{Core, DeviceId, Event, Fabric, IntId, Time, Width};
use gate::Refusal;
use host::{BusError, Core1Death, Core1Order, MonitorAnswer};
use mail::Mail;
use space::Space;
use std::collections::VecDeque;
use trb::{TRB_BYTES, Trb};
use zerocopy::{FromZeros, IntoBytes};

/// Controllers that the pages have room for.
const CONTROLLERS: usize = 2;
/// The monitor is up this long after power-on at the earliest and the latest:
/// either side can be first.
const BOOT_US: (u32, u32) = (10, 3_000);
/// How often it looks whether the program still takes events off its rings.
pub const WATCH: Time = Time::ms(250);
/// From the program's death to its next life.
const RESTART: Time = Time::ms(1);

/// What the monitor's events are about.
const BOOT: u32 = 0;
const TIMER: u32 = 1;
const WATCHDOG: u32 = 2;
const RESTARTED: u32 = 3;

/// Where the shared pages are.
#[derive(Clone, Debug)]
pub struct Places {
    /// Gate page of each controller.
    pub gates: Vec<Phys>,
    /// The answer page.
    pub answers: Phys,
    /// The `tables` pool: window page, then the peer's tables.
    pub tables: Phys,
    /// The mailbox.
    pub mailbox: Phys,
    /// The media pool, and its bytes.
    pub media: (Phys, u64),
    /// The monitor's own number for events.
    pub device: DeviceId,
}

/// What the monitor touches besides memory: registers of the controllers.
pub trait Controllers {
    /// The DSP core writes a controller's register.
    fn write(&mut self, at: Phys, value: u32);

    /// The rest of the board.
    fn fabric(&mut self) -> &mut Fabric;
}

/// A session as the monitor keeps it.
#[derive(Copy, Clone, Debug)]
struct Session {
    entry: GateEntry,
    rings: [gate::Ring; 2],
    /// Something was published, or events were consumed, since the last watch.
    progressed: bool,
    /// Whether anything was ever published.
    started: bool,
    /// Whether the stall was already reported.
    reported: bool,
    /// Whether a refusal was already reported.
    refused: bool,
}

/// The monitor, and what the program has of it.
#[derive(Debug)]
pub struct Monitor {
    places: Places,
    up: bool,
    answers: AnswerPage,
    windows: WindowPage,
    gate_epochs: [u32; CONTROLLERS],
    sessions: [Option<Session>; CONTROLLERS * SESSIONS],
    space: Space,
    mail: Mail,
    /// Event bits that the program has not taken.
    events: u32,
    deadline: Option<Time>,
    waiting: bool,
    watching: bool,
    orders: VecDeque<Core1Order>,
    /// The program is not run in this time (a fault that scenarios inject).
    starved: Option<(Time, Time)>,
}

impl Monitor {
    /// A monitor before power-on.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self {
            mail: Mail::new(places.mailbox),
            space: Space::new(places.tables, places.media),
            places,
            up: false,
            answers: AnswerPage::default(),
            windows: WindowPage::default(),
            gate_epochs: [0; CONTROLLERS],
            sessions: [None; CONTROLLERS * SESSIONS],
            events: 0,
            deadline: None,
            waiting: false,
            watching: false,
            orders: VecDeque::new(),
            starved: None,
        }
    }

    /// Power-on: the monitor will be up in a while.
    pub fn power_on(&mut self, fabric: &mut Fabric) {
        let delay = fabric.rng.range(BOOT_US.0, BOOT_US.1);
        let at = fabric.now() + Time::us(u64::from(delay));
        fabric.events.schedule(at, self.places.device, BOOT);
    }

    /// Keeps the program from running between two points of time.
    pub fn starve(&mut self, fabric: &mut Fabric, from: Time, until: Time) {
        self.starved = Some((from, until));
        fabric.events.schedule(until, self.places.device, TIMER);
    }

    /// Ends the program where it is, as a fault of its own would.
    pub fn kill_program(&mut self, fabric: &mut Fabric) {
        if self.up {
            self.orders.push_back(Core1Order::Halt);
            self.program_died(fabric, Core1Death::Illegal);
        }
    }

    /// The next thing that the core shall do.
    pub fn take_order(&mut self) -> Option<Core1Order> {
        self.orders.pop_front()
    }

    /// Whether [`Self::take_order`] has something.
    #[must_use]
    pub fn has_order(&self) -> bool {
        !self.orders.is_empty()
    }

    /// One of the monitor's own events is due.
    pub fn wake(&mut self, fabric: &mut Fabric, event: Event) {
        match event.token {
            BOOT => self.boot(fabric),
            TIMER => self.run_program(fabric),
            WATCHDOG => self.watch(fabric),
            _ => self.orders.push_back(Core1Order::Start),
        }
    }

    /// Takes the interrupts that are routed to the DSP core.
    pub fn interrupts(&mut self, fabric: &mut Fabric) {
        while let Some(line) = fabric.interrupts.take(Core::Dsp) {
            match line.0 {
                bell::MAIL_TO_DSP => {
                    self.mail.look(fabric);
                    self.events |= EVENT_MAIL;
                }
                bell::GATE_TO_DSP => self.reconcile(fabric),
                bell::TLB_TO_DSP => self.forget_translations(fabric),
                vector => {
                    for (n, session) in self.sessions.iter().enumerate() {
                        if session.is_some_and(|s| s.entry.vector == u32::from(vector)) {
                            self.events |= event_ring(n);
                        }
                    }
                }
            }
            self.run_program(fabric);
        }
    }

    /// The program reads its space.
    ///
    /// # Errors
    /// Where its tables have no readable page.
    pub fn read(&mut self, fabric: &mut Fabric, at: Peer, into: &mut [u8]) -> Result<(), BusError> {
        self.space.read(fabric, at, into)
    }

    /// The program writes its space.
    ///
    /// # Errors
    /// Where its tables have no writable page.
    pub fn write(&mut self, fabric: &mut Fabric, at: Peer, from: &[u8]) -> Result<(), BusError> {
        self.space.write(fabric, at, from)
    }

    /// The program calls.
    pub fn call(&mut self, board: &mut impl Controllers, call: [u32; 6]) -> MonitorAnswer {
        let [number, a, b, c, d, _] = call;
        let ok = |words: [u32; 3]| {
            MonitorAnswer::Return([Status::Ok as u32, words[0], words[1], words[2]])
        };
        let refuse = |status: Status, code: u32| MonitorAnswer::Return([status as u32, code, 0, 0]);
        let fabric = board.fabric();
        let now = fabric.now();
        match Call::try_from(number) {
            Err(()) => refuse(Status::BadCall, 0),
            Ok(Call::Wait) => self.wait(fabric, u64::from(a) | u64::from(b) << 32),
            Ok(Call::Now) => ok([now.0 as u32, (now.0 >> 32) as u32, 0]),
            Ok(Call::MailSend) => {
                let len = a as usize;
                if len > DATAGRAM {
                    return refuse(Status::BadDatagram, 0);
                }
                match self.mail.send(fabric, &self.space.own(MAIL_OUT)[..len]) {
                    Ok(()) => ok([0; 3]),
                    Err(status) => refuse(status, 0),
                }
            }
            Ok(Call::MailReceive) => {
                let into = &mut self.space.own(MAIL_IN)[..DATAGRAM];
                ok([self.mail.receive(fabric, into), 0, 0])
            }
            Ok(Call::Publish) => match self.publish(fabric, a, b, c, d) {
                Ok(()) => ok([0; 3]),
                Err(denied) => self.denied(fabric, a, denied),
            },
            Ok(Call::Doorbell) => match self.doorbell(board, a, b) {
                Ok(()) => ok([0; 3]),
                Err(denied) => self.denied(board.fabric(), a, denied),
            },
            Ok(Call::Dequeue) => match self.dequeue(board, a, b) {
                Ok(()) => ok([0; 3]),
                Err(denied) => self.denied(board.fabric(), a, denied),
            },
            Ok(Call::FindSession) => match self.find(fabric, Peer(u64::from(a))) {
                Some(session) => ok([session, 0, 0]),
                None => refuse(Status::Closed, 0),
            },
        }
    }

    /// The program ended; it is started anew, and the application core is told
    /// that everything it knew is gone (BYE, then NEW_SERVER from its new life).
    pub fn program_died(&mut self, fabric: &mut Fabric, _why: Core1Death) {
        self.answers.program_epoch = self.answers.program_epoch.wrapping_add(1);
        self.waiting = false;
        self.deadline = None;
        self.events = 0;
        self.space.forget();
        self.mail.say_bye(fabric);
        for n in 0..self.sessions.len() {
            if self.sessions[n].is_some() {
                self.notice(fabric, n, NoticeKind::Restarted, 0);
            }
        }
        self.answer(fabric);
        let at = fabric.now() + RESTART;
        fabric.events.schedule(at, self.places.device, RESTARTED);
    }

    fn boot(&mut self, fabric: &mut Fabric) {
        self.up = true;
        self.answers.monitor_epoch = 1;
        self.answers.program_epoch = 1;
        for line in [bell::MAIL_TO_DSP, bell::GATE_TO_DSP, bell::TLB_TO_DSP] {
            fabric.interrupts.route(IntId(line), Core::Dsp);
            fabric.interrupts.set_enabled(IntId(line), true);
        }
        self.mail.begin(fabric);
        self.reconcile(fabric);
        self.forget_translations(fabric);
        self.orders.push_back(Core1Order::Start);
    }

    /// Lets the program go on if it waits for something that is there.
    fn run_program(&mut self, fabric: &mut Fabric) {
        let now = fabric.now();
        let starved = self.starved.is_some_and(|(from, until)| (from..until).contains(&now));
        let ready = self.events != 0 || self.deadline.is_some_and(|deadline| deadline <= now);
        if self.waiting && ready && !starved {
            self.waiting = false;
            self.orders.push_back(Core1Order::Wake);
        }
    }

    fn wait(&mut self, fabric: &mut Fabric, until: u64) -> MonitorAnswer {
        let until = Time(until);
        let now = fabric.now();
        let starved = self.starved.is_some_and(|(from, until)| (from..until).contains(&now));
        if !starved && (self.events != 0 || until <= now) {
            let time = if until <= now { EVENT_TIME } else { 0 };
            let events = std::mem::take(&mut self.events) | time;
            self.deadline = None;
            self.waiting = false;
            return MonitorAnswer::Return([Status::Ok as u32, events, 0, 0]);
        }
        self.waiting = true;
        if self.deadline != Some(until) && until != Time::NEVER {
            fabric.events.schedule(until, self.places.device, TIMER);
        }
        self.deadline = Some(until);
        MonitorAnswer::Wait
    }

    fn session(&self, n: u32) -> Result<&Session, Denied> {
        self.sessions.get(n as usize).and_then(Option::as_ref).ok_or(Denied::Closed)
    }

    fn publish(
        &mut self,
        fabric: &mut Fabric,
        n: u32,
        ring: u32,
        first: u32,
        count: u32,
    ) -> Result<(), Denied> {
        let session = self.session(n)?;
        let page = session.entry.rings.get(ring as usize).filter(|page| page.dci != 0);
        let page = *page.ok_or(Denied::Refused(Refusal::NoRing))?;
        let producer = session.rings[ring as usize];
        // One copy of the whole shadow ring's part, which nobody can change.
        let bytes = count.min(PAGE / TRB_BYTES) * TRB_BYTES;
        let from = first.min(PAGE / TRB_BYTES) * TRB_BYTES;
        let bytes = bytes.min(PAGE - from) as usize;
        let mut copy = [0; PAGE as usize];
        let copy = &mut copy[..bytes];
        let shadow = Phys(u64::from(page.shadow + from));
        fabric.core_read(Core::Dsp, shadow, copy).expect("shadow rings are RAM");
        let trb = |place: u16| {
            let at = (u32::from(place) - first) as usize * TRB_BYTES as usize;
            let word = |n: usize| {
                let bytes = copy[at + 4 * n..at + 4 * n + 4].try_into().expect("four bytes");
                u32::from_le_bytes(bytes)
            };
            Trb([word(0), word(1), word(2), word(3)])
        };
        let checked = producer.check(first, count, trb).map_err(Denied::Refused)?;

        // All but the first TRB's cycle bit, then that: the controller goes on
        // from the first, and sees the rest only behind it.
        let real = Phys(u64::from(page.real + from));
        let control = u32::from_le_bytes(copy[12..16].try_into().expect("four bytes"));
        copy[12..16].copy_from_slice(&(control ^ trb::CYCLE).to_le_bytes());
        fabric.core_write(Core::Dsp, real, copy).expect("transfer rings are RAM");
        fabric.barrier(Core::Dsp);
        fabric
            .core_write(Core::Dsp, real.plus(12), &control.to_le_bytes())
            .expect("transfer rings are RAM");
        fabric.barrier(Core::Dsp);

        let session = self.sessions[n as usize].as_mut().expect("looked up above");
        session.rings[ring as usize].published(checked);
        session.progressed = true;
        session.started = true;
        self.start_watch(fabric);
        Ok(())
    }

    fn doorbell(&mut self, board: &mut impl Controllers, n: u32, ring: u32) -> Result<(), Denied> {
        let entry = &self.session(n)?.entry;
        let value = gate::doorbell(entry, ring).map_err(Denied::Refused)?;
        board.write(Phys(u64::from(entry.doorbell)), value);
        Ok(())
    }

    fn dequeue(&mut self, board: &mut impl Controllers, n: u32, place: u32) -> Result<(), Denied> {
        let entry = self.session(n)?.entry;
        let value = gate::dequeue(&entry, place).map_err(Denied::Refused)?;
        let erdp = Phys(u64::from(entry.erdp));
        board.write(erdp, value as u32);
        board.write(erdp.plus(4), (value >> 32) as u32);
        if let Some(session) = &mut self.sessions[n as usize] {
            session.progressed = true;
            session.reported = false;
        }
        Ok(())
    }

    fn find(&mut self, fabric: &mut Fabric, event_ring: Peer) -> Option<u32> {
        let phys = self.space.translate(fabric, event_ring, false)?;
        let n = self.sessions.iter().position(|session| {
            session.is_some_and(|session| u64::from(session.entry.event_ring) == phys.0)
        })?;
        Some(n as u32)
    }

    fn denied(&mut self, fabric: &mut Fabric, n: u32, denied: Denied) -> MonitorAnswer {
        match denied {
            Denied::Closed => MonitorAnswer::Return([Status::Closed as u32, 0, 0, 0]),
            Denied::Refused(refusal) => {
                // Said once for each opening: it ends the session, and a program
                // that goes on trying must not ring the application core.
                let session = self.sessions.get_mut(n as usize).and_then(Option::as_mut);
                if session.is_some_and(|session| !std::mem::replace(&mut session.refused, true)) {
                    self.notice(fabric, n as usize, NoticeKind::Refused, refusal as u32);
                }
                MonitorAnswer::Return([Status::Refused as u32, refusal as u32, 0, 0])
            }
        }
    }

    /// Brings the sessions into line with the gate pages.
    fn reconcile(&mut self, fabric: &mut Fabric) {
        self.read_windows(fabric);
        for controller in 0..self.places.gates.len() {
            let mut page = GatePage::new_zeroed();
            fabric
                .core_read(Core::Dsp, self.places.gates[controller], page.as_mut_bytes())
                .expect("the gate page is RAM");
            let anew = page.epoch != self.gate_epochs[controller];
            self.gate_epochs[controller] = page.epoch;
            for (n, entry) in page.entries.iter().enumerate() {
                self.reconcile_entry(fabric, controller * SESSIONS + n, entry, anew);
            }
            self.answers.gate_done[controller] = page.sequence;
        }
        self.answer(fabric);
        for line in [bell::GATE0_TO_APP, bell::GATE1_TO_APP][..self.places.gates.len()].iter() {
            ring(fabric, *line);
        }
    }

    fn reconcile_entry(&mut self, fabric: &mut Fabric, n: usize, entry: &GateEntry, anew: bool) {
        let open = entry.open == 1;
        let kept = self.sessions[n]
            .is_some_and(|session| open && !anew && session.entry.generation == entry.generation);
        if kept || (self.sessions[n].is_none() && !open) {
            return;
        }
        if let Some(old) = self.sessions[n].take() {
            fabric.interrupts.set_enabled(IntId(old.entry.vector as u16), false);
            self.events &= !event_ring(n);
        }
        if open {
            let window = self.windows.windows[entry.window as usize % SESSIONS];
            let producer =
                |n: usize| gate::Ring::new(&entry.rings[n], entry.interrupter as u16, &window);
            self.sessions[n] = Some(Session {
                entry: *entry,
                rings: [producer(0), producer(1)],
                progressed: false,
                started: false,
                reported: false,
                refused: false,
            });
            let line = IntId(entry.vector as u16);
            fabric.interrupts.route(line, Core::Dsp);
            fabric.interrupts.clear(line);
            fabric.interrupts.set_enabled(line, true);
        }
        self.events |= EVENT_GATE;
    }

    fn read_windows(&mut self, fabric: &mut Fabric) {
        fabric
            .core_read(Core::Dsp, self.places.tables, self.windows.as_mut_bytes())
            .expect("the window page is RAM");
        for session in self.sessions.iter_mut().flatten() {
            let window = &self.windows.windows[session.entry.window as usize % SESSIONS];
            session.rings.iter_mut().for_each(|ring| ring.set_window(window));
        }
    }

    fn forget_translations(&mut self, fabric: &mut Fabric) {
        self.read_windows(fabric);
        self.space.forget_translations();
        self.answers.window_done = self.windows.sequence;
        self.answer(fabric);
        ring(fabric, bell::TLB_TO_APP);
    }

    fn start_watch(&mut self, fabric: &mut Fabric) {
        if !self.watching {
            self.watching = true;
            let at = fabric.now() + WATCH;
            fabric.events.schedule(at, self.places.device, WATCHDOG);
        }
    }

    /// A session whose program neither published nor consumed for a whole
    /// period has stalled; that is said once, until it goes on.
    fn watch(&mut self, fabric: &mut Fabric) {
        self.watching = false;
        let mut any = false;
        for n in 0..self.sessions.len() {
            let Some(session) = &mut self.sessions[n] else {
                continue;
            };
            any |= session.started;
            let stalled = session.started && !session.progressed && !session.reported;
            session.progressed = false;
            session.reported |= stalled;
            if stalled {
                self.notice(fabric, n, NoticeKind::Stalled, 0);
            }
        }
        if any {
            self.start_watch(fabric);
        }
    }

    fn notice(&mut self, fabric: &mut Fabric, n: usize, kind: NoticeKind, detail: u32) {
        let Some(Some(session)) = self.sessions.get(n) else {
            return;
        };
        let notice = &mut self.answers.notices[n / SESSIONS][n % SESSIONS];
        notice.kind = kind as u32;
        notice.generation = session.entry.generation;
        notice.count = notice.count.wrapping_add(1);
        notice.detail = detail;
        self.answer(fabric);
        ring(fabric, bell::NOTICE);
    }

    fn answer(&mut self, fabric: &mut Fabric) {
        let page = self.places.answers;
        fabric
            .core_write(Core::Dsp, page, self.answers.as_bytes())
            .expect("the answer page is RAM");
        fabric.barrier(Core::Dsp);
    }
}

/// Why a call on a session is not done.
enum Denied {
    Closed,
    Refused(Refusal),
}

/// Rings a bell at the application core.
pub(crate) fn ring(fabric: &mut Fabric, line: u16) {
    fabric.frame_write(u64::from(bell::SETSPI), Width::Word, u32::from(line));
}
