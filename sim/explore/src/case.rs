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
    /// The streaming interface of the headset at this place is taken from the audio
    /// class, by somebody who may, and given back.
    Take(u8),
    /// The headset at this place signals, if it sleeps.
    Signal(u8),
    /// This controller fails without a word, and says so in USBSTS.HCE.
    ControllerError(u8),
    /// The same in USBSTS.HSE.
    HostError(u8),
    /// A controller leaves its bus, and is back so many milliseconds later, as it was
    /// when it was switched on.
    LeaveBus(u32, u8),
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
            | Self::Resume => Ok(()),
            Self::Code(code) => write!(f, " {code}"),
            Self::Delay(us) | Self::Double(us) => write!(f, " {us}"),
            Self::Unplug(place) | Self::Reset(place) | Self::Take(place) | Self::Signal(place) => {
                write!(f, " {place}")
            }
            Self::Replug(place, ms) => write!(f, " {place} {ms}"),
            Self::Silence(ms) => write!(f, " {ms}"),
            // The first controller need not be named.
            Self::ControllerError(0) | Self::HostError(0) => Ok(()),
            Self::ControllerError(n) | Self::HostError(n) => write!(f, " {n}"),
            Self::LeaveBus(ms, 0) => write!(f, " {ms}"),
            Self::LeaveBus(ms, n) => write!(f, " {ms} {n}"),
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
            Self::Take(_) => "take",
            Self::Signal(_) => "signal",
            Self::ControllerError(_) => "controller-error",
            Self::HostError(_) => "host-error",
            Self::LeaveBus(..) => "leave-bus",
        }
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (&name, numbers) = words.split_first().unwrap_or((&"", &[]));
        let numbers: Option<Vec<u32>> = numbers.iter().map(|word| word.parse().ok()).collect();
        let small = |number: u32| u8::try_from(number).ok();
        let what = match (name, numbers.as_deref().unwrap_or_default()) {
            _ if numbers.is_none() => None,
            ("kill", []) => Some(Self::Kill),
            ("refuse", []) => Some(Self::Refuse),
            ("code", &[code]) => small(code).map(Self::Code),
            ("drop", []) => Some(Self::Drop),
            ("delay", &[us]) => Some(Self::Delay(us)),
            ("double", &[us]) => Some(Self::Double(us)),
            ("unplug", &[place]) => small(place).map(Self::Unplug),
            ("replug", &[place, ms]) => small(place).map(|place| Self::Replug(place, ms)),
            ("end-program", []) => Some(Self::EndProgram),
            ("silence", &[ms]) => Some(Self::Silence(ms)),
            ("suspend", []) => Some(Self::Suspend),
            ("hibernate", []) => Some(Self::Hibernate),
            ("resume", []) => Some(Self::Resume),
            ("reset", &[place]) => small(place).map(Self::Reset),
            ("take", &[place]) => small(place).map(Self::Take),
            ("signal", &[place]) => small(place).map(Self::Signal),
            ("controller-error", []) => Some(Self::ControllerError(0)),
            ("controller-error", &[n]) => small(n).map(Self::ControllerError),
            ("host-error", []) => Some(Self::HostError(0)),
            ("host-error", &[n]) => small(n).map(Self::HostError),
            ("leave-bus", &[ms]) => Some(Self::LeaveBus(ms, 0)),
            ("leave-bus", &[ms, n]) => small(n).map(|n| Self::LeaveBus(ms, n)),
            _ => None,
        };
        what.ok_or_else(|| {
            format!(
                "'{text}' is no fault; one of kill, refuse, code N, drop, delay US, double US, \
                 unplug PLACE, replug PLACE MS, end-program, silence MS, suspend, hibernate, \
                 resume, reset PLACE, take PLACE, signal PLACE, controller-error [CONTROLLER], \
                 host-error [CONTROLLER], leave-bus MS [CONTROLLER]"
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
