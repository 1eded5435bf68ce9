//! The one order in which a session is taken down (DESIGN rule 6), as it shows.
//!
//! Two ladders in one: what the broker asks of the servers, and what the driver
//! has the controller do for it. What is asked is told by the interfaces' own
//! descriptions. Steps may be missing where there is nothing to be done, and a
//! step that was tried may be tried again; none may come for the first time after
//! one that stands below it.

use abi::Sysnum;
use dsp_abi::monitor::Call;
use fabric::{Core, Record, Time};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use system::image::Description;

/// A step, and who may tell of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    CloseGate,
    Halt,
    StopEndpoint,
    TakeOver,
    Close,
    Alternate0,
    Drop,
    Disarm,
    TargetBack,
    InterrupterOff,
    UnmapPeer,
    Displace,
    DisplaceBuffer,
    ReleaseBuffer,
    RemoveInterrupter,
    Unregister,
    CloseWindow,
    Unhold,
}

use Step as S;

/// Steps that the broker asks for: of whom, and what.
const ASKED: [(Step, &str, &str); 12] = [
    (S::CloseGate, "xhci", "start_close_gate"),
    (S::Halt, "xhci", "start_halt"),
    (S::Close, "usb_audio", "start_close"),
    (S::Disarm, "xhci", "start_disarm"),
    (S::UnmapPeer, "iommu", "start_unmap_peer"),
    (S::Displace, "xhci", "displace"),
    (S::DisplaceBuffer, "iommu", "displace"),
    (S::ReleaseBuffer, "iommu", "release"),
    (S::RemoveInterrupter, "xhci", "remove_interrupter"),
    (S::Unregister, "xhci", "unregister"),
    (S::CloseWindow, "iommu", "close_window"),
    (S::Unhold, "usb_core", "unhold"),
];

/// Steps that no end of a stream in good order can do without. (The endpoints are
/// dropped with the way to alternate 0, if the device is there to be told of it.)
const DUE: [Step; 18] = [
    S::CloseGate,
    S::Halt,
    S::StopEndpoint,
    S::TakeOver,
    S::Close,
    S::Alternate0,
    S::Drop,
    S::Disarm,
    S::TargetBack,
    S::InterrupterOff,
    S::UnmapPeer,
    S::Displace,
    S::DisplaceBuffer,
    S::ReleaseBuffer,
    S::RemoveInterrupter,
    S::Unregister,
    S::CloseWindow,
    S::Unhold,
];

/// From the gate's closing until the endpoints are stopped, when a stream ends in
/// good order: what the device has in its buffers is to be heard.
const SOUND: Time = Time::ms(2);

/// A datagram of the DSP's is read within this time.
const CROSSING: Time = Time::ms(1);

/// TRB types (xHCI 1.2, table 6-91).
const SETUP_STAGE: u32 = 2;
const CONFIGURE_ENDPOINT: u32 = 12;
const EVALUATE_CONTEXT: u32 = 13;
const STOP_ENDPOINT: u32 = 15;
/// Completion code (table 6-90).
const SUCCESS: u8 = 1;
/// bmRequestType and bRequest of SET_INTERFACE, and alternate 0 (USB 2.0 9.4.10).
const SET_INTERFACE_0: u32 = 0x0B01;
/// Interrupters' registers, in a controller's (5.5.2), and the doorbells behind them.
const INTERRUPTERS: u64 = 0x1020;
const DOORBELLS: u64 = 0x2000;
const INTERRUPTER: u64 = 0x20;
const IMAN: u64 = 0x00;
const ERDP: u64 = 0x18;
const IMAN_ENABLE: u32 = 1 << 1;
/// ECAM stands above, the SMMU and the frame below all registers of controllers.
const REGISTERS: std::ops::Range<u64> = 0x1000_0000..0x3F00_0000;

/// How steps are told from messages.
#[derive(Debug)]
pub(crate) struct Ladder {
    broker: u16,
    /// A server, an operation of it, and the step that it is.
    asked: Vec<(u16, u16, Step)>,
    /// How the broker says something to the DSP, and how it hears of an answer.
    says: (u16, u16),
    hears: (u16, u16),
}

impl Ladder {
    /// Reads the interfaces that stand beside the image's description.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn load(root: &Path, description: &Description) -> Result<Self, String> {
        let index = |name: &str| {
            let index = description.app().index(name);
            index.map(|index| index.0).ok_or_else(|| format!("the image has no task {name}"))
        };
        let number = |server: &str, operation: &str| {
            let file = root.join("idl").join(format!("{server}.idol"));
            let interface = idol::check(&file).map_err(|all| {
                all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            })?;
            let found = interface.ops.iter().find(|op| op.name.text == operation);
            let found = found.ok_or_else(|| format!("{server} has no operation {operation}"))?;
            Ok::<_, String>(found.number)
        };
        let message = |server: &str, operation: &str| {
            Ok::<_, String>((index(server)?, number(server, operation)?))
        };
        let mut asked = Vec::new();
        for (step, server, operation) in ASKED {
            let (first, number) = message(server, operation)?;
            // Each controller has a driver, which is asked the same way.
            let krate = &description.app().tasks[usize::from(first)].krate;
            let alike = description.app().indexed().filter(|(_, task)| task.krate == *krate);
            asked.extend(alike.map(|(server, _)| (server.0, number, step)));
        }
        Ok(Self {
            broker: index("offload_broker")?,
            asked,
            says: message("dsp_link", "send")?,
            hears: message("dsp_link", "pull")?,
        })
    }

    /// What the broker asks of whom, if that is what a record is about.
    fn message(&self, record: &Record) -> Option<(u16, u16)> {
        let Record::Syscall { task, number, args } = *record else { return None };
        let server = abi::TaskId((args[0] >> 16) as u16).index() as u16;
        let sends = task == self.broker && number == Sysnum::Send as u32;
        sends.then_some((server, args[0] as u16))
    }

    fn step(&self, record: &Record) -> Option<Step> {
        match *record {
            Record::Syscall { .. } => {
                let asked = self.message(record)?;
                let step = self.asked.iter().find(|&&(of, what, _)| (of, what) == asked);
                step.map(|&(.., step)| step)
            }
            Record::Command { words, .. } => match words[3] >> 10 & 0x3F {
                STOP_ENDPOINT if words[3] >> 16 & 0x1F > 1 => Some(S::StopEndpoint),
                CONFIGURE_ENDPOINT => Some(S::Drop),
                EVALUATE_CONTEXT => Some(S::TargetBack),
                _ => None,
            },
            Record::Trb { dci: 1, words, .. } => {
                let setup = words[3] >> 10 & 0x3F == SETUP_STAGE;
                (setup && words[0] == SET_INTERFACE_0).then_some(S::Alternate0)
            }
            Record::Mmio { core: Core::App, write: true, address, value } => {
                if !REGISTERS.contains(&address.0) {
                    return None;
                }
                let register = address.0 & (xhc::BAR_SIZE - 1);
                // The primary interrupter is nobody's session's.
                if !(INTERRUPTERS + INTERRUPTER..DOORBELLS).contains(&register) {
                    return None;
                }
                match register % INTERRUPTER {
                    ERDP => Some(S::TakeOver),
                    IMAN if value & IMAN_ENABLE == 0 => Some(S::InterrupterOff),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Watches one session end. Clones watch together.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    ladder: &'static Ladder,
    seen: Rc<RefCell<Vec<(Time, Step)>>>,
    heard: Rc<Heard>,
}

/// Where the talk between broker and DSP is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Talk {
    /// The broker heard what the DSP said last.
    #[default]
    Heard,
    /// The broker said something, and the DSP nothing since.
    Said,
    /// The DSP said something, and the broker did not look since.
    Answered,
}

/// Who spoke last, and to whom that mattered.
#[derive(Debug, Default)]
struct Heard {
    /// Where the talk between broker and DSP is.
    talk: Cell<Talk>,
    /// When the DSP said something last.
    spoke: Cell<Option<Time>>,
    /// Gates that were closed then.
    closed: Cell<u32>,
    /// Slots that may have endpoints which they were told to let go of.
    unsure: RefCell<BTreeSet<(u8, u8)>>,
    /// Slots' own events that were sent elsewhere then.
    early: Cell<u32>,
}

impl Order {
    pub(crate) fn new(ladder: &'static Ladder) -> Self {
        Self { ladder, seen: Rc::default(), heard: Rc::default() }
    }

    /// Looks at a session from here on.
    pub(crate) fn begin(&self) {
        self.seen.borrow_mut().clear();
    }

    pub(crate) fn hear(&self, at: Time, record: &Record) {
        let talk = &self.heard.talk;
        let mail =
            matches!(*record, Record::Monitor { call, .. } if call[0] == Call::MailSend as u32);
        if mail {
            self.heard.spoke.set(Some(at));
        }
        let asked = self.ladder.message(record);
        if asked == Some(self.ladder.says) {
            // What the DSP said just before crosses it on its way.
            let crosses = self.heard.spoke.get().is_some_and(|spoke| at.since(spoke) <= CROSSING);
            talk.set(if crosses { Talk::Heard } else { Talk::Said });
        } else if mail && talk.get() == Talk::Said {
            talk.set(Talk::Answered);
        } else if asked == Some(self.ladder.hears) && talk.get() == Talk::Answered {
            talk.set(Talk::Heard);
        }
        self.target(record);
        let Some(step) = self.ladder.step(record) else { return };
        if step == S::CloseGate && talk.get() != Talk::Heard {
            self.heard.closed.set(self.heard.closed.get() + 1);
        }
        let mut seen = self.seen.borrow_mut();
        // What comes before the first step downwards is the way up; each step
        // counts when it is tried first.
        let down = !seen.is_empty() || self.ladder.asked.iter().any(|&(.., asked)| asked == step);
        if down && !seen.iter().any(|&(_, known)| known == step) {
            seen.push((at, step));
        }
    }

    /// Where a slot's own events went goes with the session, whose endpoints are gone
    /// by then; those of another session may be there.
    fn target(&self, record: &Record) {
        let mut unsure = self.heard.unsure.borrow_mut();
        match *record {
            // What the controller did not do it was told to.
            Record::Command { controller, words, code }
                if code != SUCCESS && words[3] >> 10 & 0x3F == CONFIGURE_ENDPOINT =>
            {
                unsure.insert((controller, (words[3] >> 24) as u8));
            }
            Record::Target { controller, slot, from, left, .. }
                if from != 0 && left != 0 && !unsure.contains(&(controller, slot)) =>
            {
                self.heard.early.set(self.heard.early.get() + 1);
            }
            _ => {}
        }
    }

    /// How often a slot's own events were sent elsewhere while endpoints of the
    /// session that they had gone to were still there.
    pub(crate) fn targets_moved_early(&self) -> u32 {
        self.heard.early.get()
    }

    /// How often a gate was closed while the DSP had not answered what it was told.
    pub(crate) fn closed_unheard(&self) -> u32 {
        self.heard.closed.get()
    }

    /// What was not in its order, in a stream that began and ended as it should.
    pub(crate) fn end(&self) -> Option<String> {
        let seen = self.seen.borrow();
        if let Some(pair) = seen.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            return Some(format!("{:?} before {:?}", pair[0].1, pair[1].1));
        }
        let at = |step| seen.iter().find(|&&(_, known)| known == step).map(|&(at, _)| at);
        if let Some(missing) = DUE.into_iter().find(|&step| at(step).is_none()) {
            return Some(format!("no {missing:?}"));
        }
        let (gate, stop) = (at(S::CloseGate)?, at(S::StopEndpoint)?);
        let heard = stop.since(gate);
        (heard < SOUND).then(|| format!("{:?} at once after {:?}", S::StopEndpoint, S::CloseGate))
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, DUE, Ladder, Order, S, SOUND, Step};
    use abi::Sysnum;
    use fabric::{Record, Time};

    /// The broker is task 9, and each step is a message of its own.
    fn order() -> Order {
        let asked = DUE.iter().enumerate().map(|(n, &step)| (1, n as u16, step)).collect();
        Order::new(Box::leak(Box::new(Ladder { broker: 9, asked, says: (2, 0), hears: (3, 0) })))
    }

    fn play(steps: &[Step]) -> Option<String> {
        let order = order();
        order.begin();
        for (n, step) in steps.iter().enumerate() {
            let operation = DUE.iter().position(|due| due == step).expect("a step") as u32;
            let args = [1 << 16 | operation, 0, 0, 0];
            let record = Record::Syscall { task: 9, number: Sysnum::Send as u32, args };
            order.hear(Time(SOUND.0 * n as u64), &record);
        }
        order.end()
    }

    #[test]
    fn the_one_order_is_right_and_any_other_is_told() {
        assert_eq!(play(&DUE), None);
        for n in 1..DUE.len() {
            let mut steps = DUE;
            steps.swap(n - 1, n);
            let told = format!("{:?} before {:?}", DUE[n], DUE[n - 1]);
            assert_eq!(play(&steps), Some(told));
        }
    }

    #[test]
    fn a_gate_is_closed_when_the_peer_has_answered_what_it_was_told() {
        let order = order();
        let send = |server: u32| {
            let args = [server << 16, 0, 0, 0];
            Record::Syscall { task: 9, number: Sysnum::Send as u32, args }
        };
        let (told, heard, close) = (send(2), send(3), send(1));
        let answer =
            Record::Monitor { call: [Call::MailSend as u32, 0, 0, 0, 0, 0], answer: [0; 4] };
        for (ms, record, closed) in [
            (0, &close, 0),
            (0, &told, 0),
            (1, &answer, 0),
            (1, &heard, 0),
            (1, &close, 0),
            // The answer that it gave before it was told was on its way.
            (2, &told, 0),
            (2, &close, 0),
            (5, &told, 0),
            (6, &answer, 0),
            (6, &close, 1),
        ] {
            order.hear(Time::ms(ms), record);
            assert_eq!(order.closed_unheard(), closed);
        }
    }

    #[test]
    fn a_slots_target_moves_when_nothing_of_the_session_is_left() {
        let target = |slot, from, left| Record::Target { controller: 0, slot, from, to: 0, left };
        let drop = |slot: u32, code| {
            let words = [0, 0, 0, super::CONFIGURE_ENDPOINT << 10 | slot << 24];
            Record::Command { controller: 0, words, code }
        };
        let order = order();
        for (record, early) in [
            (target(1, 2, 0), 0),
            // The driver's own endpoints stay when a session comes.
            (target(1, 0, 1 << 4), 0),
            (target(1, 2, 1 << 4), 1),
            // A controller that refused to drop them.
            (drop(1, 1), 1),
            (drop(2, 17), 1),
            (target(2, 2, 1 << 4), 1),
            (target(1, 2, 1 << 4), 2),
        ] {
            order.hear(Time::ZERO, &record);
            assert_eq!(order.targets_moved_early(), early, "{record}");
        }
    }

    #[test]
    fn what_is_missing_is_told_and_what_is_tried_again_is_not() {
        assert_eq!(play(&DUE[..17]), Some(format!("no {:?}", S::Unhold)));
        let again = [&DUE[..], &[S::Halt, S::Close]].concat();
        assert_eq!(play(&again), None);
    }
}
