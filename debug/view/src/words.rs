//! An event as a sentence's beginning.
//!
//! The event's own name becomes words; names inside it stay as they are, because
//! they are codes that someone will look for in the source.

use crate::{Fields, Struct, Value};

/// Says events in words.
pub(crate) struct Words<'t> {
    /// Names of the tasks, by index.
    pub(crate) tasks: &'t [String],
}

/// Bits of a task's index in an id.
const INDEX: u64 = 0x3FF;

impl Words<'_> {
    /// `event` in words.
    pub(crate) fn event(&self, event: &Value) -> String {
        let Value::Struct(Struct { name, fields }) = event else { return self.value(event) };
        if name == "Session"
            && let Fields::Positional(fields) = fields
            && let [session, rest @ ..] = &fields[..]
        {
            return format!("{}: {}", self.value(session), self.list(rest));
        }
        let head = spaced(name);
        match fields {
            Fields::None => head,
            Fields::Positional(fields) => format!("{head}: {}", self.list(fields)),
            Fields::Named(fields) => format!("{head}: {}", self.named(fields)),
        }
    }

    fn list(&self, values: &[Value]) -> String {
        values.iter().map(|value| self.value(value)).collect::<Vec<_>>().join(", ")
    }

    fn named(&self, fields: &[(String, Value)]) -> String {
        let field = |(name, value): &(String, Value)| match (&**name, value.number()) {
            // A task by its index.
            ("task" | "server", Some(index)) if (index as usize) < self.tasks.len() => {
                format!("{name} {}", self.tasks[index as usize])
            }
            _ => format!("{} {}", name.replace('_', " "), self.value(value)),
        };
        fields.iter().map(field).collect::<Vec<_>>().join(", ")
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Unsigned(number) if *number > 0xFFFF_FFFF => format!("{number:#x}"),
            Value::Unsigned(number) => number.to_string(),
            Value::Negative(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(is) => (if *is { "yes" } else { "no" }).to_owned(),
            Value::Char(char) => char.to_string(),
            Value::Text(text) => text.clone(),
            Value::Array(values) => format!("[{}]", self.list(values)),
            Value::Pointer(to, _) => format!("{to:#x}"),
            Value::Invalid(why) => format!("<{why}>"),
            Value::Struct(of) => self.structure(value, of),
        }
    }

    fn structure(&self, value: &Value, of: &Struct) -> String {
        match (&*of.name, &of.fields) {
            ("SessionId", Fields::Named(_)) => {
                let id = value.field("id").and_then(Value::number).unwrap_or(0);
                format!("session {id}")
            }
            // Which, and how many there were in its place; a server's life after
            // its first.
            (name, Fields::Named(fields)) if name.ends_with("Handle") && fields.len() == 3 => {
                let part = |part| value.field(part).and_then(Value::number).unwrap_or(0);
                let what = spaced(name.trim_end_matches("Handle"));
                let life = Some(part("epoch")).filter(|&epoch| epoch != 0);
                let life = life.map(|epoch| format!(" of life {epoch}")).unwrap_or_default();
                format!("{what} {}:{}{life}", part("index"), part("seq"))
            }
            ("TaskId", Fields::Positional(_)) => {
                let index = (value.number().unwrap_or(INDEX) & INDEX) as usize;
                self.tasks.get(index).cloned().unwrap_or_else(|| format!("task {index}"))
            }
            ("None", Fields::None) => "none".to_owned(),
            ("Some" | "Ok" | "", Fields::Positional(fields)) => self.list(fields),
            (name, Fields::None) => name.to_owned(),
            // A number of something: `PortNumber(3)`.
            (name, Fields::Positional(fields)) if value.number().is_some() => {
                let what = name.trim_end_matches("Number").trim_end_matches("Id");
                format!("{} {}", spaced(what), self.list(fields))
            }
            (name, Fields::Positional(fields)) => format!("{name}({})", self.list(fields)),
            (name, Fields::Named(fields)) => format!("{name}({})", self.named(fields)),
        }
    }
}

/// `BadLength` as `bad length`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    let mut before: Option<char> = None;
    for letter in name.chars() {
        let begins = letter.is_uppercase() && before.is_some_and(char::is_lowercase);
        if begins {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
        before = Some(letter);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Words, spaced};
    use crate::Value;

    #[test]
    fn an_event_is_said_in_words_and_codes_stay() {
        let tasks = ["jefe".to_owned(), "iommu".to_owned()];
        let words = Words { tasks: &tasks };
        let said = |text: &str| words.event(&Value::from_debug(text).expect(text));
        assert_eq!(said("FaultsMasked"), "faults masked");
        assert_eq!(said("Refused(NotYet)"), "refused: NotYet");
        assert_eq!(said("Died { task: 1, fault: Panic }"), "died: task iommu, fault Panic");
        assert_eq!(said("Step(PortNumber(3), Configured)"), "step: port 3, Configured");
        assert_eq!(said("ClientDied(TaskId(1025))"), "client died: iommu");
        assert_eq!(
            said("Asked(SessionId { place: 0, id: 7 }, Map { pages: 4, to: Some(Peer(8)) })"),
            "asked: session 7, Map(pages 4, to peer 8)"
        );
        assert_eq!(
            said(
                "Asked(Hold(DeviceHandle { index: 2, seq: 1, epoch: 0 }), SlotHandle { index: 0, seq: 7, epoch: 3 })"
            ),
            "asked: Hold(device 2:1), slot 0:7 of life 3"
        );
        assert_eq!(said("Silence { from: (1, 2), len: 9 }"), "silence: from 1, 2, len 9");
    }

    #[test]
    fn capitals_begin_words() {
        assert_eq!(spaced("DescriptorIssues"), "descriptor issues");
        assert_eq!(spaced("QMIBye"), "qmibye");
    }
}
