//! In which order a session was taken down: what the tasks noted, by time.

use qemu::Memory;
use view::Value;

use crate::run::evidence::Count;
use crate::run::rings::{Noted, Rings};
use crate::run::stage::Stop;

/// The steps of the one order (`task/offload-broker/src/teardown.rs`) that a
/// stream without feedback owes, as the broker asks for them.
const ORDER: [&str; 14] = [
    "CloseGate",
    "Halt",
    "Close",
    "Disarm",
    "UnmapPeer",
    "Displace",
    "DisplaceBuffer",
    "ReleaseBuffer",
    "Scrub",
    "RemoveInterrupter",
    "RemoveEndpoint",
    "Unregister",
    "CloseWindow",
    "Unhold",
];

/// The end of a session.
#[derive(Debug)]
pub(super) struct Teardown {
    /// When it began.
    from: Count,
    /// When nothing of it was left.
    until: Count,
    /// What the broker asked for meanwhile, and when.
    asked: Vec<(Count, Value)>,
}

impl Teardown {
    /// That of the broker's last session; none when there was none that is over.
    pub(super) fn last(rings: &Rings, memory: &Memory) -> Result<Option<Self>, Stop> {
        let noted = rings.of_task(memory, "offload_broker")?;
        let phase = |name| {
            noted.iter().rposition(move |noted: &Noted| {
                noted.is("Session") && noted.part(1).and_then(Value::name) == Some(name)
            })
        };
        let (Some(from), Some(until)) = (phase("Draining"), phase("Free")) else { return Ok(None) };
        let Some(span) = noted.get(from..=until) else { return Ok(None) };
        let asked = span.iter().filter(|noted| noted.is("Asked"));
        let asked = asked.filter_map(|noted| Some((noted.at, noted.part(1)?.clone())));
        Ok(Some(Self { from: noted[from].at, until: noted[until].at, asked: asked.collect() }))
    }

    /// What the broker asked for by that name.
    pub(super) fn asked(&self, name: &str) -> Option<&Value> {
        self.asked.iter().map(|(_, op)| op).find(|op| op.name() == Some(name))
    }

    /// What is wrong with it: each step has to be there, in its place. Between the
    /// steps of these names, or the session's "Draining" and "Free", lie these
    /// notes of other tasks.
    pub(super) fn wrong(&self, others: &[Other]) -> Vec<String> {
        let mut wrong = Vec::new();
        let done: Vec<&str> = self.asked.iter().filter_map(|(_, op)| op.name()).collect();
        if done != ORDER {
            wrong.push(format!("it was taken down by {done:?}, not by {ORDER:?}"));
        }
        let when = |name: &str| match name {
            "Draining" => Some(self.from),
            "Free" => Some(self.until),
            _ => self.asked.iter().find(|(_, op)| op.name() == Some(name)).map(|(at, _)| *at),
        };
        for Other { what, at, after, before } in others {
            let (Some(at), after, before) = (at, after.map(when), before.map(when)) else {
                wrong.push(format!("nobody noted {what}"));
                continue;
            };
            let late = |then: Option<Option<Count>>, wrong: fn(&Count, &Count) -> bool| {
                then.is_some_and(|then| then.is_none_or(|then| wrong(at, &then)))
            };
            if late(after, Count::lt) || late(before, Count::gt) {
                wrong.push(format!("{what} came at {:.3} ms: {self:?}", at.ms()));
            }
        }
        wrong
    }
}

/// What another task noted, and between which steps that must have been.
#[derive(Copy, Clone, Debug)]
pub(super) struct Other {
    pub(super) what: &'static str,
    /// None when it noted no such thing.
    pub(super) at: Option<Count>,
    pub(super) after: Option<&'static str>,
    pub(super) before: Option<&'static str>,
}

/// When `task` noted `what` last.
pub(super) fn when(
    rings: &Rings,
    memory: &Memory,
    task: &str,
    what: &str,
) -> Result<Option<Count>, Stop> {
    let noted = rings.of_task(memory, task)?;
    Ok(noted.iter().rfind(|noted| noted.is(what)).map(|noted| noted.at))
}
