//! What names a run, and how it is written.

use crate::scenario::Scenario;
use fabric::{IntId, Point, Site};
use std::fmt;
use system::image::Description;

/// What goes wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// The task that is there dies.
    Kill,
    /// There is nothing left of what is about to be taken.
    Refuse,
    /// The controller answers with this completion code instead.
    Code(u8),
    /// The interrupt is lost.
    Drop,
    /// The interrupt comes so many microseconds later.
    Delay(u32),
    /// The interrupt comes, and again so many microseconds later.
    Double(u32),
    /// The headset at this place is pulled.
    Unplug(u8),
    /// The headset at this place is pulled, and put back so many milliseconds
    /// later.
    Replug(u8, u32),
    /// The DSP's program dies; its monitor says BYE and starts it anew.
    EndProgram,
    /// The DSP's program stands still for so many milliseconds.
    Silence(u32),
    /// The system is told to suspend.
    Suspend,
    /// The system is told to suspend with every device.
    Hibernate,
    /// The system is told to resume.
    Resume,
    /// The headset at this place is reset, by somebody who may.
    Reset(u8),
    /// The headset at this place signals, if it sleeps.
    Signal(u8),
    /// The controller fails without a word, and says so in USBSTS.HCE.
    ControllerError,
    /// The same in USBSTS.HSE.
    HostError,
    /// The controller leaves its bus, and is back so many milliseconds later, as it
    /// was when it was switched on.
    LeaveBus(u32),
}

/// Something that goes wrong, and where.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Strike {
    /// Where.
    pub at: Point,
    /// What.
    pub what: What,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Case {
    /// What is done.
    pub scenario: Scenario,
    /// What decides all that a real machine leaves open.
    pub seed: u64,
    /// What goes wrong.
    pub strikes: Vec<Strike>,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Kill
            | Self::Refuse
            | Self::Drop
            | Self::EndProgram
            | Self::Suspend
            | Self::Hibernate
            | Self::Resume
            | Self::ControllerError
            | Self::HostError => Ok(()),
            Self::Code(code) => write!(f, " {code}"),
            Self::Delay(us) | Self::Double(us) => write!(f, " {us}"),
            Self::Unplug(place) | Self::Reset(place) | Self::Signal(place) => {
                write!(f, " {place}")
            }
            Self::Replug(place, ms) => write!(f, " {place} {ms}"),
            Self::Silence(ms) | Self::LeaveBus(ms) => write!(f, " {ms}"),
        }
    }
}

impl What {
    /// Its name.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Refuse => "refuse",
            Self::Code(_) => "code",
            Self::Drop => "drop",
            Self::Delay(_) => "delay",
            Self::Double(_) => "double",
            Self::Unplug(_) => "unplug",
            Self::Replug(..) => "replug",
            Self::EndProgram => "end-program",
            Self::Silence(_) => "silence",
            Self::Suspend => "suspend",
            Self::Hibernate => "hibernate",
            Self::Resume => "resume",
            Self::Reset(_) => "reset",
            Self::Signal(_) => "signal",
            Self::ControllerError => "controller-error",
            Self::HostError => "host-error",
            Self::LeaveBus(_) => "leave-bus",
        }
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        let small = |number: Option<u32>| number.and_then(|number| u8::try_from(number).ok());
        let what = match name {
            "kill" => Some(Self::Kill),
            "refuse" => Some(Self::Refuse),
            "code" => small(number()).map(Self::Code),
            "drop" => Some(Self::Drop),
            "delay" => number().map(Self::Delay),
            "double" => number().map(Self::Double),
            "unplug" => small(number()).map(Self::Unplug),
            "replug" => small(number()).and_then(|place| Some(Self::Replug(place, number()?))),
            "end-program" => Some(Self::EndProgram),
            "silence" => number().map(Self::Silence),
            "suspend" => Some(Self::Suspend),
            "hibernate" => Some(Self::Hibernate),
            "resume" => Some(Self::Resume),
            "reset" => small(number()).map(Self::Reset),
            "signal" => small(number()).map(Self::Signal),
            "controller-error" => Some(Self::ControllerError),
            "host-error" => Some(Self::HostError),
            "leave-bus" => number().map(Self::LeaveBus),
            _ => None,
        };
        what.filter(|_| words.next().is_none()).ok_or_else(|| {
            format!(
                "'{text}' is no fault; one of kill, refuse, code N, drop, delay US, double US, \
                 unplug PLACE, replug PLACE MS, end-program, silence MS, suspend, hibernate, \
                 resume, reset PLACE, signal PLACE, controller-error, host-error, \
                 leave-bus MS"
            )
        })
    }
}

/// A point in words: who, what it does, and for the how manieth time.
#[must_use]
pub fn point_text(description: &Description, point: Point) -> String {
    let task = |n: u8| {
        let tasks = &description.app().tasks;
        tasks.get(usize::from(n)).map_or(system::auditor::NAME, |task| &task.name).to_owned()
    };
    let who = match point.site {
        Site::Send(n) => format!("{} send", task(n)),
        Site::Reply(n) => format!("{} reply", task(n)),
        Site::Call(n) => format!("{} call", task(n)),
        Site::Register(n) => format!("{} register", task(n)),
        Site::Memory(n) => format!("{} memory", task(n)),
        Site::Barrier(n) => format!("{} barrier", task(n)),
        Site::Allocation(n) => format!("{} allocation", task(n)),
        Site::Monitor => "dsp monitor".to_owned(),
        Site::Peer => "dsp memory".to_owned(),
        Site::Command(n) => format!("controller{n} command"),
        Site::Control(n) => format!("controller{n} control"),
        Site::Packet(n) => format!("controller{n} packet"),
        Site::Tick => "timer tick".to_owned(),
        Site::Edge(line) => format!("line{} edge", line.0),
    };
    format!("{who} {}", point.nth)
}

/// Reads what [`point_text`] wrote.
///
/// # Errors
/// What would be right.
pub fn parse_point(description: &Description, text: &str) -> Result<Point, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let parsed = match words[..] {
        [who, act, nth] => {
            site(description, who, act).zip(nth.parse().ok().filter(|&nth: &u32| nth > 0))
        }
        _ => None,
    };
    parsed.map(|(site, nth)| Point { site, nth }).ok_or_else(|| {
        format!(
            "'{text}' is no point; it is WHO ACT N, such as 'xhci send 12', 'dsp monitor 3', \
             'controller0 command 7', 'line81 edge 2' or 'timer tick 5'"
        )
    })
}

fn site(description: &Description, who: &str, act: &str) -> Option<Site> {
    let numbered = |prefix: &str| who.strip_prefix(prefix)?.parse::<u16>().ok();
    if let Some(line) = numbered("line") {
        return (act == "edge" && IntId::exists(line)).then_some(Site::Edge(IntId(line)));
    }
    if let Some(n) = numbered("controller").and_then(|n| u8::try_from(n).ok()) {
        return match act {
            "command" => Some(Site::Command(n)),
            "control" => Some(Site::Control(n)),
            "packet" => Some(Site::Packet(n)),
            _ => None,
        };
    }
    match (who, act) {
        ("dsp", "monitor") => return Some(Site::Monitor),
        ("dsp", "memory") => return Some(Site::Peer),
        ("timer", "tick") => return Some(Site::Tick),
        _ => {}
    }
    let tasks = &description.app().tasks;
    let index = match who {
        system::auditor::NAME => tasks.len(),
        _ => tasks.iter().position(|task| task.name == who)?,
    };
    let n = index as u8;
    match act {
        "send" => Some(Site::Send(n)),
        "reply" => Some(Site::Reply(n)),
        "call" => Some(Site::Call(n)),
        "register" => Some(Site::Register(n)),
        "memory" => Some(Site::Memory(n)),
        "barrier" => Some(Site::Barrier(n)),
        "allocation" => Some(Site::Allocation(n)),
        _ => None,
    }
}
