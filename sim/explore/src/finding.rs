//! What a run did that no rule allows.

use std::fmt;

/// Something that is not as the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The machine stopped, or a model or the simulator panicked.
    Stopped(String),
    /// A task died that nobody killed.
    Died(String),
    /// A model saw a rule of hardware broken.
    Violation(&'static str, u32),
    /// The SMMU recorded faults.
    Blocked(u64),
    /// A command or request was answered by nobody within its time.
    NoAnswer(&'static str),
    /// A server is down when everything should have come back.
    Down,
    /// Something is still held when everything should be given back.
    Leak(&'static str, u32),
    /// Sessions that began and did not end, or ended twice.
    Sessions {
        /// How many began.
        begun: u32,
        /// How many ended.
        ended: u32,
    },
    /// A vote was released twice.
    DoubleRelease(u32),
    /// The next stream failed.
    NextFailed(String),
    /// The next stream was not what was asked for.
    NextInexact(String),
    /// An enable took too long, in milliseconds.
    Slow(u64),
    /// Nothing went wrong, and it was not done all the same.
    Undone(String),
    /// A session was not taken down in the one order (DESIGN rule 6).
    Order(String),
    /// What struck one controller was heard at the other.
    Disturbed(String),
    /// The DSP was told that a device goes, and none did.
    Disconnected(u32),
    /// A handle of what is over reached what took its place (DESIGN rule 5).
    StaleHandle(u32),
    /// Somebody was granted what nobody may have.
    Granted(String),
    /// An answer to the DSP was not as it should be.
    Answer(String),
    /// A message was answered so many milliseconds later.
    Unresponsive(u64),
}

impl Finding {
    /// What kind it is, without numbers: a shrunk case has to keep it.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Stopped(why) => format!("stopped: {why}"),
            Self::Died(task) => format!("died: {task}"),
            Self::Violation(name, _) => format!("violation: {name}"),
            Self::Blocked(_) => "blocked".to_owned(),
            Self::NoAnswer(who) => format!("no answer: {who}"),
            Self::Down => "down".to_owned(),
            Self::Leak(what, _) => format!("leak: {what}"),
            Self::Sessions { .. } => "sessions".to_owned(),
            Self::DoubleRelease(_) => "double release".to_owned(),
            Self::NextFailed(why) => format!("next failed: {why}"),
            Self::NextInexact(_) => "next inexact".to_owned(),
            Self::Slow(_) => "slow".to_owned(),
            Self::Undone(why) => format!("undone: {why}"),
            Self::Order(what) => format!("order: {what}"),
            Self::Disturbed(_) => "disturbed".to_owned(),
            Self::Disconnected(_) => "disconnected".to_owned(),
            Self::StaleHandle(_) => "stale handle".to_owned(),
            Self::Granted(what) => format!("granted: {what}"),
            Self::Answer(what) => format!("answer: {what}"),
            Self::Unresponsive(_) => "unresponsive".to_owned(),
        }
    }
}

impl Finding {
    /// Whether it was seen where it happened, and did not follow from anything
    /// else that was found.
    #[must_use]
    pub const fn is_cause(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Died(_) | Self::Violation(..) | Self::Blocked(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(why) => write!(f, "the machine stopped: {why}"),
            Self::Died(task) => write!(f, "{task} died by itself"),
            Self::Violation(name, count) => write!(f, "{name}, {count} times"),
            Self::Blocked(count) => write!(f, "the SMMU recorded {count} faults"),
            Self::NoAnswer(who) => write!(f, "{who} was never answered"),
            Self::Down => f.write_str("a server is down and does not come back"),
            Self::Leak(what, count) => write!(f, "{count} {what} are still held"),
            Self::Sessions { begun, ended } => {
                write!(f, "{begun} sessions began and {ended} ended")
            }
            Self::DoubleRelease(count) => write!(f, "votes were released twice, {count} times"),
            Self::NextFailed(why) => write!(f, "the next stream failed: {why}"),
            Self::NextInexact(why) => write!(f, "the next stream was not exact: {why}"),
            Self::Slow(ms) => write!(f, "an enable took {ms} ms"),
            Self::Undone(why) => write!(f, "nothing went wrong, and yet: {why}"),
            Self::Order(what) => write!(f, "a session was taken down in another order: {what}"),
            Self::Disturbed(why) => {
                write!(f, "what struck one controller was heard at the other: {why}")
            }
            Self::Disconnected(count) => {
                write!(f, "the DSP was told that a device goes, {count} times, and none did")
            }
            Self::StaleHandle(count) => {
                write!(f, "handles of what is over reached something else, {count} times")
            }
            Self::Granted(what) => write!(f, "a stranger was granted what it asked for: {what}"),
            Self::Answer(what) => write!(f, "the DSP was answered wrongly: {what}"),
            Self::Unresponsive(ms) => write!(f, "a server let a message wait for {ms} ms"),
        }
    }
}
