//! The DSP core's monitor: what its program may do, and what is done for it.
//!
//! The monitor is trusted, the program above it is not. It answers the program's
//! calls ([`dsp_abi::monitor`]), lets through to a controller what the gate
//! finds legal (`dsp/gate`), brings itself into line with the pages that `xhci`
//! and `iommu` write ([`dsp_abi::control`]), works the mailbox, watches that
//! streams go on, and starts the program anew when it ended (DESIGN, "The DSP"
//! and "Handover"). All of that is here, over a [`Platform`]: core 1 of a board
//! and the simulator run this code.
//!
//! The application core is rung on trouble only and at a bounded rate: once for
//! each opening of a session for what is refused, once per [`WATCH`] for a
//! stall, less and less often for a program that does not live, and [`BURST`]
//! datagrams in [`BURST_SPAN`].
//!
//! An interrupt can be lost, in either direction. While a controller runs, or a
//! stream, the monitor looks once per [`WATCH`] for what one would have told, at
//! this core or the other: what is asked for is a level in a page, and what was
//! not taken notice of is rung for again.
//!
//! Not here: translation tables, vectors, registers of the core, and the page
//! walk of whoever has no MMU.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod calls;
mod mail;
mod places;
mod platform;
mod session;

pub use mail::{BURST, BURST_SPAN};
pub use places::{CONTROLLERS, Controller, Places, Span};
pub use platform::{Line, Platform, Time};
pub use session::{EntryFault, WATCH};

use addr::Phys;
use core::mem::offset_of;
use dsp_abi::SESSIONS;
use dsp_abi::bell;
use dsp_abi::control::{AnswerPage, GateEntry, GatePage, NoticeKind, WindowEntry, WindowPage};
use dsp_abi::monitor::{EVENT_GATE, EVENT_MAIL, event_ring};
use mail::Mail;
use places::{read_record, read_word};
use session::Session;
use trb::PER_PAGE;
use zerocopy::IntoBytes;

/// From the program's death to its next life.
pub const RESTART: Time = Time::ms(1);
/// A program that dies within [`QUIET`] of its start waits twice as long as the
/// time before, up to this.
pub const RESTART_LONGEST: Time = Time::ms(1024);
/// A program that has lived this long died of something new.
pub const QUIET: Time = Time::ms(1000);

/// Sessions of all controllers.
const ALL_SESSIONS: usize = CONTROLLERS * SESSIONS;
/// Bells that the application core rings at this one.
const BELLS: [Line; 3] = [Line(bell::MAIL_TO_DSP), Line(bell::GATE_TO_DSP), Line(bell::TLB_TO_DSP)];
/// Vectors of the primary interrupters.
const PRIMARIES: [Line; CONTROLLERS] =
    [Line(bell::CONTROLLER0_PRIMARY), Line(bell::CONTROLLER1_PRIMARY)];
/// ERDP.EHB: events were announced and nobody has looked since (xHCI 5.5.2.3.3).
const EVENTS_WAIT: u32 = 1 << 3;
/// Bells by which the driver of each controller is answered.
const GATE_ANSWERS: [Line; CONTROLLERS] = [Line(bell::GATE0_TO_APP), Line(bell::GATE1_TO_APP)];

const _: () = assert!(8 + ALL_SESSIONS <= 32, "each session has an event bit");

/// What becomes of the program's call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes on with these words.
    Return([u32; 4]),
    /// It waits, until [`Platform::wake_program`]; then the call is made again.
    Wait,
}

/// How the program is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Program {
    /// The monitor is not up.
    Never,
    /// It runs, or could.
    Runs,
    /// It waits in a call until then, or until an event.
    Waits(Time),
    /// It ended and is started anew then.
    Ended(Time),
}

/// The primary interrupter of a controller, which is the driver's.
#[derive(Copy, Clone, Debug, Hash)]
struct Primary {
    /// Its dequeue pointer register; 0 while the controller does not run.
    register: Phys,
    /// What was in it at the last look.
    seen: u32,
}

/// The monitor.
#[derive(Clone, Debug, Hash)]
pub struct Monitor {
    places: Places,
    answers: AnswerPage,
    gate_epochs: [u32; CONTROLLERS],
    primaries: [Primary; CONTROLLERS],
    sessions: [Option<Session>; ALL_SESSIONS],
    windows: [WindowEntry; SESSIONS],
    mail: Mail,
    program: Program,
    /// Event bits that the program has not taken.
    events: u32,
    /// When its present life began, and how long its next one would be waited for.
    begun: Time,
    restart: Time,
    /// When progress is looked at next.
    watch: Option<Time>,
    /// The time that the platform was told.
    alarm: Option<Time>,
    /// The copy of what is being published, which the program cannot change.
    copy: [[u32; 4]; PER_PAGE as usize],
}

impl Monitor {
    /// A monitor that is not up yet.
    #[must_use]
    pub const fn new(places: Places) -> Self {
        const CLOSED: WindowEntry = WindowEntry {
            valid: 0,
            buffer: dsp_abi::control::WindowExtent { bus: 0, peer: 0, len: 0 },
        };
        const SILENT: dsp_abi::control::Notice =
            dsp_abi::control::Notice { kind: 0, generation: 0, count: 0, detail: 0 };
        Self {
            mail: Mail::new(places.mailbox),
            places,
            answers: AnswerPage {
                monitor_epoch: 0,
                program_epoch: 0,
                window_done: 0,
                gate_done: [0; CONTROLLERS],
                notices: [[SILENT; SESSIONS]; CONTROLLERS],
                refusals: 0,
            },
            gate_epochs: [0; CONTROLLERS],
            primaries: [Primary { register: Phys(0), seen: 0 }; CONTROLLERS],
            sessions: [None; ALL_SESSIONS],
            windows: [CLOSED; SESSIONS],
            program: Program::Never,
            events: 0,
            begun: Time(0),
            restart: RESTART,
            watch: None,
            alarm: None,
            copy: [[0; 4]; PER_PAGE as usize],
        }
    }

    /// Comes up, and starts the program.
    pub fn begin(&mut self, platform: &mut impl Platform) {
        self.answers.monitor_epoch =
            self.next_life(platform, offset_of!(AnswerPage, monitor_epoch));
        self.answers.program_epoch =
            self.next_life(platform, offset_of!(AnswerPage, program_epoch));
        // A task that closes what it opened does not wait for a monitor that is
        // not up. So this one says that it is before it reads what is open.
        self.answer(platform);
        BELLS.into_iter().for_each(|line| platform.listen(line));
        self.mail.begin(platform);
        self.reconcile(platform);
        self.forget_translations(platform);
        self.start_program(platform);
    }

    /// The life after the one that the answer page tells of at `at`; 0 is none.
    fn next_life(&self, platform: &mut impl Platform, at: usize) -> u32 {
        read_word(platform, self.places.answers.plus(at as u64)).wrapping_add(1).max(1)
    }

    /// Takes an interrupt that came to this core.
    pub fn interrupt(&mut self, platform: &mut impl Platform, line: Line) {
        match line.0 {
            bell::MAIL_TO_DSP => {
                self.mail.look(platform);
                self.events |= EVENT_MAIL;
            }
            bell::GATE_TO_DSP => self.reconcile(platform),
            bell::TLB_TO_DSP => self.forget_translations(platform),
            _ => {
                for (n, session) in self.sessions.iter().enumerate() {
                    if session.as_ref().is_some_and(|session| session.line() == line) {
                        self.events |= event_ring(n);
                    }
                }
            }
        }
        self.settle(platform);
    }

    /// The time has come for which [`Platform::wake_at`] asked. Too early or
    /// without reason it does nothing.
    pub fn tick(&mut self, platform: &mut impl Platform) {
        let now = platform.now();
        if self.watch.is_some_and(|at| at <= now) {
            self.watch(platform, now);
        }
        if self.mail.release(now) {
            self.events |= EVENT_MAIL;
        }
        match self.program {
            Program::Ended(at) if at <= now => self.start_program(platform),
            _ => self.settle(platform),
        }
    }

    /// The program ended: it faulted. It is started anew in a while, and the
    /// application core is told that everything it knew is gone (BYE, then
    /// NEW_SERVER from its new life). One that does not live cannot die.
    pub fn program_died(&mut self, platform: &mut impl Platform) {
        if matches!(self.program, Program::Never | Program::Ended(_)) {
            return;
        }
        let now = platform.now();
        if self.begun + QUIET <= now {
            self.restart = RESTART;
        }
        self.program = Program::Ended(now + self.restart);
        self.restart = (self.restart + self.restart).min(RESTART_LONGEST);
        self.answers.program_epoch = self.answers.program_epoch.wrapping_add(1);
        self.events = 0;
        self.mail.say_bye(platform);
        for n in 0..ALL_SESSIONS {
            if let Some(session) = &mut self.sessions[n] {
                session.lost = true;
                self.notice(platform, n, NoticeKind::Restarted, 0);
            }
        }
        self.answer(platform);
        self.settle(platform);
    }

    fn start_program(&mut self, platform: &mut impl Platform) {
        self.begun = platform.now();
        self.program = Program::Runs;
        platform.start_program();
        self.settle(platform);
    }

    /// Lets the program go on if it waits for something that is there, and has
    /// the platform come back for what is next.
    fn settle(&mut self, platform: &mut impl Platform) {
        if let Program::Waits(until) = self.program
            && (self.events != 0 || until <= platform.now())
        {
            self.program = Program::Runs;
            platform.wake_program();
        }
        let program = match self.program {
            Program::Waits(at) | Program::Ended(at) => Some(at),
            Program::Never | Program::Runs => None,
        };
        let times = [program, self.watch, self.mail.release_at()];
        let next = times.into_iter().flatten().filter(|&at| at != Time::NEVER).min();
        if next != self.alarm {
            self.alarm = next;
            platform.wake_at(next);
        }
    }

    /// Brings the sessions into line with the gate pages.
    fn reconcile(&mut self, platform: &mut impl Platform) {
        self.read_windows(platform);
        for n in 0..CONTROLLERS {
            let Some(controller) = self.places.controllers[n] else { continue };
            let page = controller.gate;
            // The sequence first: what it announces is then in what follows.
            let sequence = read_word(platform, page.plus(offset_of!(GatePage, sequence) as u64));
            let epoch = read_word(platform, page.plus(offset_of!(GatePage, epoch) as u64));
            let primary = read_word(platform, page.plus(offset_of!(GatePage, primary) as u64));
            self.watch_primary(platform, n, &controller, phys(primary));
            let anew = epoch != self.gate_epochs[n];
            self.gate_epochs[n] = epoch;
            for index in 0..SESSIONS {
                let entry = offset_of!(GatePage, entries) + index * size_of::<GateEntry>();
                let entry: Option<GateEntry> = read_record(platform, page.plus(entry as u64));
                self.reconcile_entry(platform, &controller, (n, index), entry.as_ref(), anew);
            }
            self.answers.gate_done[n] = sequence;
        }
        self.answer(platform);
        for (controller, bell) in self.places.controllers.iter().zip(GATE_ANSWERS) {
            if controller.is_some() {
                platform.ring(bell);
            }
        }
    }

    /// Brings session `index` of `controller`, which is number `number`, into
    /// line: `open` is what its entry says if it is open.
    fn reconcile_entry(
        &mut self,
        platform: &mut impl Platform,
        controller: &Controller,
        (number, index): (usize, usize),
        open: Option<&GateEntry>,
        anew: bool,
    ) {
        let n = number * SESSIONS + index;
        let same = |session: &Session| {
            open.is_some_and(|open| !anew && session.entry.generation == open.generation)
        };
        if self.sessions[n].as_ref().is_some_and(same) {
            return;
        }
        if let Some(old) = self.sessions[n].take() {
            platform.ignore(old.line());
            self.events = self.events & !event_ring(n) | EVENT_GATE;
        }
        let Some(entry) = open else { return };
        if let Some(fault) = session::fault(number, controller, entry) {
            self.bad_entry(platform, n, entry, fault);
            return;
        }
        let session = Session::new(entry, &self.windows[entry.window as usize]);
        platform.listen(session.line());
        self.sessions[n] = Some(session);
        self.events |= EVENT_GATE;
    }

    /// Says that an entry is not opened, once for each of its generations.
    fn bad_entry(
        &mut self,
        platform: &mut impl Platform,
        n: usize,
        entry: &GateEntry,
        fault: EntryFault,
    ) {
        let notice = &self.answers.notices[n / SESSIONS][n % SESSIONS];
        let said = (notice.kind, notice.generation);
        if said != (NoticeKind::BadGate as u32, entry.generation) {
            self.say(platform, n, entry.generation, NoticeKind::BadGate, fault as u32);
        }
    }

    /// Takes over where the sessions' buffers are.
    fn read_windows(&mut self, platform: &mut impl Platform) {
        for (index, window) in self.windows.iter_mut().enumerate() {
            let entry = offset_of!(WindowPage, windows) + index * size_of::<WindowEntry>();
            let at = self.places.windows.plus(entry as u64);
            *window = read_record(platform, at).unwrap_or_default();
        }
        for session in self.sessions.iter_mut().flatten() {
            let window = &self.windows[session.entry.window as usize];
            session.rings.iter_mut().for_each(|ring| ring.set_window(window));
        }
    }

    /// Does what `iommu` asks for after each change of its tables.
    fn forget_translations(&mut self, platform: &mut impl Platform) {
        let at = self.places.windows.plus(offset_of!(WindowPage, sequence) as u64);
        let sequence = read_word(platform, at);
        self.read_windows(platform);
        platform.forget_translations();
        self.answers.window_done = sequence;
        self.answer(platform);
        platform.ring(Line(bell::TLB_TO_APP));
    }

    /// From here on the controller's primary interrupter is looked at, if
    /// `register` is one of that controller's.
    fn watch_primary(
        &mut self,
        platform: &mut impl Platform,
        n: usize,
        controller: &Controller,
        register: Phys,
    ) {
        let there = register.is_aligned(8) && controller.registers.holds(register, 8);
        let register = if there { register } else { Phys(0) };
        if self.primaries[n].register != register {
            self.primaries[n] = Primary { register, seen: 0 };
        }
        if there {
            self.begin_watch(platform);
        }
    }

    fn begin_watch(&mut self, platform: &mut impl Platform) {
        if self.watch.is_none() {
            self.watch = Some(platform.now() + WATCH);
        }
    }

    /// Looks for what a lost interrupt would have told.
    fn catch_up(&mut self, platform: &mut impl Platform) {
        if self.mail.catch_up(platform) {
            self.events |= EVENT_MAIL;
        }
        let behind = (0..CONTROLLERS).any(|n| {
            self.places.controllers[n].is_some_and(|controller| {
                let at = controller.gate.plus(offset_of!(GatePage, sequence) as u64);
                read_word(platform, at) != self.answers.gate_done[n]
            })
        });
        if behind {
            self.reconcile(platform);
        }
        let at = self.places.windows.plus(offset_of!(WindowPage, sequence) as u64);
        if read_word(platform, at) != self.answers.window_done {
            self.forget_translations(platform);
        }
        for (primary, line) in self.primaries.iter_mut().zip(PRIMARIES) {
            if primary.register != Phys(0) {
                let now = platform.read_register(primary.register);
                if now & EVENTS_WAIT != 0 && now == primary.seen {
                    platform.ring(line);
                }
                primary.seen = now;
            }
        }
    }

    /// A session whose program neither published nor consumed for a whole
    /// period has stalled; that is said once, until it goes on. What it waits for
    /// may be there.
    fn watch(&mut self, platform: &mut impl Platform, now: Time) {
        let controllers = self.primaries.iter().any(|primary| primary.register != Phys(0));
        let streams = self.sessions.iter().flatten().any(|session| session.started);
        self.watch = (controllers || streams).then(|| now + WATCH);
        if self.watch.is_none() {
            return;
        }
        self.catch_up(platform);
        for n in 0..ALL_SESSIONS {
            let Some(session) = &mut self.sessions[n] else { continue };
            if session.started && !session.progressed {
                self.events |= event_ring(n);
            }
            if session.watch() {
                self.notice(platform, n, NoticeKind::Stalled, 0);
            }
        }
    }

    /// Says something about session `n`, if it is open.
    fn notice(&mut self, platform: &mut impl Platform, n: usize, kind: NoticeKind, detail: u32) {
        if let Some(Some(session)) = self.sessions.get(n) {
            let generation = session.entry.generation;
            self.say(platform, n, generation, kind, detail);
        }
    }

    fn say(
        &mut self,
        platform: &mut impl Platform,
        n: usize,
        generation: u32,
        kind: NoticeKind,
        detail: u32,
    ) {
        let notice = &mut self.answers.notices[n / SESSIONS][n % SESSIONS];
        notice.kind = kind as u32;
        notice.generation = generation;
        notice.detail = detail;
        // What is said is there before its count is (`Notice`).
        self.answer(platform);
        let notice = &mut self.answers.notices[n / SESSIONS][n % SESSIONS];
        notice.count = notice.count.wrapping_add(1);
        self.answer(platform);
        platform.ring(Line(bell::NOTICE));
    }

    /// Notes a call that makes no sense or is not allowed. Nobody is rung.
    fn count_refusal(&mut self, platform: &mut impl Platform) {
        self.answers.refusals = self.answers.refusals.wrapping_add(1);
        let at = self.places.answers.plus(offset_of!(AnswerPage, refusals) as u64);
        platform.write(at, self.answers.refusals.as_bytes());
    }

    /// Writes the answer page, behind everything that it confirms.
    fn answer(&mut self, platform: &mut impl Platform) {
        platform.publish();
        platform.write(self.places.answers, self.answers.as_bytes());
        platform.publish();
    }
}

/// A physical address that fits a word, as the shared pages hold them.
const fn phys(low: u32) -> Phys {
    Phys(low as u64)
}
