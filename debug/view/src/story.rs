//! The trace rings of all programs as one account.
//!
//! Every ring entry has the time of the clock that all programs read, so the
//! rings of the tasks, of the DSP's program and of its monitor merge into one
//! list. A ring keeps the latest events only: where one has lost older ones, the
//! account says so.

use crate::words::Words;
use crate::{Ring, Struct, Value};
use serde_json::{Value as Json, json};
use std::fmt::{self, Display, Formatter};

/// An event, of whichever program.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// When it was, in nanoseconds of the system's clock.
    pub at_ns: u64,
    /// Whose it is.
    pub task: String,
    /// Source line.
    pub line: u64,
    /// How many equal events in a row it stands for.
    pub count: u64,
    /// What happened.
    pub event: Value,
}

/// An account of what happened, in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// What happened.
    pub moments: Vec<Moment>,
    /// Programs whose older events are not kept any more, with the time of the
    /// first that is.
    pub cut: Vec<(String, u64)>,
    /// Names of the tasks, by index, for events that name tasks.
    tasks: Vec<String>,
}

/// What belongs to a session although it does not name it: what came so shortly
/// before its first event, or after its last.
const AROUND_NS: u64 = 200_000_000;
/// A pause that is worth a line.
const PAUSE_NS: u64 = 100_000_000;
/// Columns of the account, and where an event's words begin.
const WIDTH: usize = 80;
const INDENT: usize = 29;

impl Story {
    /// The account of `rings`, whose clock counts `count_ns` nanoseconds at a
    /// time. `tasks` are the tasks' names by index.
    #[must_use]
    pub fn of(rings: &[Ring], count_ns: u64, tasks: Vec<String>) -> Self {
        let (mut moments, mut cut) = (Vec::new(), Vec::new());
        for ring in rings {
            let first = moments.len();
            for entry in &ring.entries {
                let Some(time) = entry.time else { continue };
                moments.push(Moment {
                    at_ns: time.saturating_mul(count_ns),
                    task: ring.task.clone(),
                    line: entry.line,
                    count: entry.count,
                    event: entry.payload.clone(),
                });
            }
            let full_turns = ring.entries.iter().map(|entry| entry.generation).max().unwrap_or(0);
            if let (2.., Some(oldest)) = (full_turns, moments.get(first)) {
                cut.push((ring.task.clone(), oldest.at_ns));
            }
        }
        // Events of one ring and one time stay in their order.
        moments.sort_by_key(|moment| moment.at_ns);
        Self { moments, cut, tasks }
    }

    /// The sessions that it tells of, in the order in which they come.
    #[must_use]
    pub fn sessions(&self) -> Vec<u64> {
        let mut sessions = Vec::new();
        for id in self.moments.iter().filter_map(|moment| session(&moment.event)) {
            if !sessions.contains(&id) {
                sessions.push(id);
            }
        }
        sessions
    }

    /// What happened to session `id`, and around it. `None` when no event names
    /// it.
    #[must_use]
    pub fn of_session(&self, id: u64) -> Option<Self> {
        let names = |moment: &&Moment| session(&moment.event) == Some(id);
        let first = self.moments.iter().find(names)?.at_ns;
        let last = self.moments.iter().rfind(names)?.at_ns;
        let span = first.saturating_sub(AROUND_NS)..=last.saturating_add(AROUND_NS);
        let other = |event| session(event).is_some_and(|other| other != id);
        let moments = self.moments.iter();
        let moments = moments.filter(|m| span.contains(&m.at_ns) && !other(&m.event));
        // What was lost before the session began is missed by nobody.
        let cut = self.cut.iter().filter(|(_, from)| *from > *span.start());
        Some(Self {
            moments: moments.cloned().collect(),
            cut: cut.cloned().collect(),
            tasks: self.tasks.clone(),
        })
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let words = Words { tasks: &self.tasks };
        let moments = self.moments.iter().map(|moment| {
            json!({
                "ns": moment.at_ns,
                "task": moment.task,
                "line": moment.line,
                "count": moment.count,
                "session": session(&moment.event),
                "trouble": is_trouble(&moment.event),
                "words": words.event(&moment.event),
                "event": Json::from(&moment.event),
            })
        });
        let cut = self.cut.iter().map(|(task, from)| json!({ "task": task, "from_ns": from }));
        json!({
            "sessions": self.sessions(),
            "events": moments.collect::<Vec<_>>(),
            "cut": cut.collect::<Vec<_>>(),
        })
    }

    /// Its lines for people, each with whether it tells of trouble.
    #[must_use]
    pub fn lines(&self) -> Vec<(bool, String)> {
        let words = Words { tasks: &self.tasks };
        let start = self.moments.first().map_or(0, |moment| moment.at_ns);
        let mut lines = vec![(false, format!("{:>12}  {:<14} what happened", "ms", "who"))];
        for (task, from) in &self.cut {
            let ms = milliseconds(from.saturating_sub(start));
            lines.push((false, format!("{:>12}  {task:<14} (older events are not kept)", ms)));
        }
        let mut before = start;
        for moment in &self.moments {
            let pause = moment.at_ns - before;
            if pause >= PAUSE_NS {
                lines.push((false, format!("{:>12}", "⋮")));
            }
            before = moment.at_ns;
            let trouble = is_trouble(&moment.event);
            let mut text = words.event(&moment.event);
            if moment.count > 1 {
                text += &format!(" ({} times)", moment.count);
            }
            let ms = milliseconds(moment.at_ns - start);
            let mut head = format!("{ms:>12}  {:<14} ", moment.task);
            for piece in wrapped(&text, WIDTH - INDENT) {
                lines.push((trouble, format!("{head}{piece}")));
                head = " ".repeat(INDENT + 2);
            }
        }
        lines
    }
}

impl Display for Story {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|(_, line)| writeln!(f, "{line}"))
    }
}

fn milliseconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000, ns / 1_000 % 1_000)
}

/// `text` in pieces of at most `width` columns, broken at blanks; those after
/// the first have two columns less. A word that is longer stays whole.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let room = if pieces.len() < 2 { width } else { width.saturating_sub(2) };
        match pieces.last_mut() {
            Some(piece) if piece.chars().count() + 1 + word.chars().count() <= room => {
                piece.push(' ');
                piece.push_str(word);
            }
            _ => pieces.push(word.to_owned()),
        }
    }
    pieces
}

/// The session that an event names.
fn session(event: &Value) -> Option<u64> {
    if let Value::Struct(Struct { name, .. }) = event
        && name == "SessionId"
    {
        return event.field("id")?.number();
    }
    event.children().into_iter().find_map(|(_, child)| session(child))
}

/// Parts of the names of events that tell of a refusal, a fault or a death.
const TROUBLE: [&str; 19] = [
    "Bad", "Broken", "Command", "Died", "Dropped", "Fail", "Fault", "Flood", "GivenUp", "Gone",
    "Full", "HeldBack", "Late", "Lost", "NoNumber", "Refused", "Silence", "Timeout", "TooSlow",
];

/// Whether an event tells of a refusal, a fault or a death.
fn is_trouble(event: &Value) -> bool {
    event.name().is_some_and(|name| TROUBLE.iter().any(|part| name.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::{Story, wrapped};
    use crate::{Entry, Ring, Value};

    fn ring(task: &str, entries: &[(u64, u64, &str)]) -> Ring {
        let entry = |&(time, generation, text): &(u64, u64, &str)| Entry {
            index: 0,
            line: 1,
            generation,
            count: 1,
            time: Some(time),
            payload: Value::from_debug(text).expect(text),
        };
        Ring {
            task: task.into(),
            name: format!("{task}::__RINGBUF"),
            entries: entries.iter().map(entry).collect(),
        }
    }

    fn story() -> Story {
        let broker = ring(
            "broker",
            &[
                (1_000_000, 1, "Session(SessionId { place: 0, id: 1 }, Reserved)"),
                (2_000_000, 1, "Session(SessionId { place: 0, id: 1 }, Free)"),
                (90_000_000, 1, "Session(SessionId { place: 0, id: 2 }, Reserved)"),
                (90_100_000, 1, "Failed(SessionId { place: 0, id: 2 }, Attach, NotYet)"),
            ],
        );
        let core = ring("core", &[(1_500_000, 2, "Opened { card: 1 }"), (90_050_000, 1, "Reset")]);
        Story::of(&[broker, core], 16, vec![])
    }

    #[test]
    fn rings_merge_by_time_and_a_session_has_what_is_around_it() {
        let story = story();
        let tasks: Vec<_> = story.moments.iter().map(|moment| moment.task.as_str()).collect();
        assert_eq!(tasks, ["broker", "core", "broker", "broker", "core", "broker"]);
        assert_eq!(story.sessions(), [1, 2]);
        let second = story.of_session(2).expect("there is one");
        assert_eq!(
            second.to_string(),
            "          ms  who            what happened\n       \
                  0.000  broker         session 2: Reserved\n       \
                  0.800  core           reset\n       \
                  1.600  broker         failed: session 2, Attach, NotYet\n"
        );
        assert!(story.of_session(3).is_none());
    }

    #[test]
    fn what_a_ring_has_lost_is_said_where_it_matters() {
        let story = story();
        assert_eq!(story.cut, [("core".to_owned(), 24_000_000)]);
        assert!(story.to_string().contains("core           (older events are not kept)\n"));
        assert!(story.of_session(2).expect("there is one").cut.is_empty());
        let trouble: Vec<_> = story.json()["events"].as_array().expect("a list").to_vec();
        assert_eq!(trouble.iter().filter(|event| event["trouble"] == true).count(), 1);
    }

    #[test]
    fn long_words_wrap_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-word-of-some-length x", 7), ["a-word-of-some-length", "x"]);
    }
}
