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
fn when(rings: &Rings, memory: &Memory, task: &str, what: &str) -> Result<Option<Count>, Stop> {
    let noted = rings.of_task(memory, task)?;
    Ok(noted.iter().rfind(|noted| noted.is(what)).map(|noted| noted.at))
}

/// What must have been noted among the steps: what, by which task, after and
/// before which of them.
pub(super) type Among = (&'static str, &'static str, Option<&'static str>, Option<&'static str>);

/// What is wrong with how the last session was taken down, and with when `among`
/// was noted.
pub(super) fn out_of_order(
    rings: &Rings,
    memory: &Memory,
    among: &[Among],
) -> Result<Vec<String>, Stop> {
    let Some(teardown) = Teardown::last(rings, memory)? else {
        return Ok(vec!["the session was not taken down".to_owned()]);
    };
    let others: Result<Vec<Other>, Stop> = among
        .iter()
        .map(|&(what, task, after, before)| {
            when(rings, memory, task, what).map(|at| Other { what, at, after, before })
        })
        .collect();
    Ok(teardown.wrong(&others?))
}

#[cfg(test)]
mod tests {
    use super::{Count, ORDER, Other, Teardown};
    use view::Value;

    fn teardown(steps: &[&str]) -> Teardown {
        let asked = (11..).zip(steps).map(|(at, step)| (Count(at), Value::unit(step)));
        Teardown { from: Count(10), until: Count(40), asked: asked.collect() }
    }

    #[test]
    fn every_step_has_to_be_there_and_in_its_place() {
        assert_eq!(teardown(&ORDER).wrong(&[]), [""; 0]);
        assert!(!teardown(&ORDER[1..]).wrong(&[]).is_empty());
        let mut swapped = ORDER;
        swapped.swap(0, 1);
        assert!(!teardown(&swapped).wrong(&[]).is_empty());
    }

    #[test]
    fn what_others_noted_has_to_lie_between_its_steps() {
        let wrong = |at: Option<u64>, after, before| {
            let other = Other { what: "Closed", at: at.map(Count), after, before };
            !teardown(&ORDER).wrong(&[other]).is_empty()
        };
        // Close is the third step, at 13; Disarm at 14.
        assert!(!wrong(Some(13), Some("Close"), Some("Disarm")));
        assert!(wrong(Some(12), Some("Close"), None));
        assert!(wrong(Some(15), None, Some("Disarm")));
        assert!(wrong(None, None, None), "it was not noted");
        assert!(wrong(Some(13), Some("Nothing"), None), "there is no such step");
        assert!(!wrong(Some(9), None, Some("Draining")) && wrong(Some(11), None, Some("Draining")));
        assert!(!wrong(Some(50), Some("Free"), None) && wrong(Some(39), Some("Free"), None));
    }
}
