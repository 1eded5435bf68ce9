//! Typed access to the records and maps of a tree, with its complaints.

use crate::diagnostic::{Complaint, Position, Rule};
use crate::notation::{Entry, Kind, Node};

/// What is wrong so far. Readers note a complaint and go on, so that a file's
/// mistakes come out together.
#[derive(Default)]
pub(crate) struct Complaints(pub(crate) Vec<Complaint>);

impl Complaints {
    pub(crate) fn add(
        &mut self,
        at: Position,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.0.push(Complaint::new(at, message, expected));
    }

    /// Notes that this project does without what the notation allows.
    pub(crate) fn add_of_project(&mut self, at: Position, message: String, expected: &str) {
        let complaint = Complaint::new(at, message, expected);
        self.0.push(Complaint { rule: Rule::Project, ..complaint });
    }

    /// Notes that `node` is not what stands in `expected`.
    pub(crate) fn unlike<T>(&mut self, node: &Node, expected: impl Into<String>) -> Option<T> {
        self.add(node.at, format!("found {}", node.describe()), expected);
        None
    }
}

/// The entries of one record whose keys are all known and given once.
pub(crate) struct Fields<'n> {
    at: Position,
    what: &'static str,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The entries of `node`, a record `(…)`, or `name(…)` when a name is
    /// given. `keys` are those that may occur.
    pub(crate) fn of(
        node: &'n Node,
        name: Option<&str>,
        what: &'static str,
        keys: &[&str],
        complaints: &mut Complaints,
    ) -> Option<Self> {
        let (found, entries): (_, &[Entry]) = match &node.kind {
            Kind::Record { name, entries } => (name, entries),
            // `()` has neither keys nor values.
            Kind::Tuple { name, values } if values.is_empty() => (name, &[]),
            _ => {
                return complaints
                    .unlike(node, format!("{what}: `{}(key: …)`", name.unwrap_or("")));
            }
        };
        if found.as_deref().is_some_and(|found| Some(found) != name) {
            return complaints.unlike(node, format!("{what}: `{}(key: …)`", name.unwrap_or("")));
        }
        for (i, entry) in entries.iter().enumerate() {
            if !keys.contains(&&*entry.key) {
                let expected = format!("one of {}", keys.join(", "));
                complaints.add(
                    entry.at,
                    format!("unknown key `{}` in {what}", entry.key),
                    expected,
                );
            } else if entries[..i].iter().any(|earlier| earlier.key == entry.key) {
                let message = format!("key `{}` given twice in {what}", entry.key);
                complaints.add(entry.at, message, "each key once");
            }
        }
        Some(Self { at: node.at, what, entries })
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn require(&self, key: &str, complaints: &mut Complaints) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            complaints.add(self.at, format!("{} has no `{key}`", self.what), format!("`{key}: …`"));
        }
        found
    }
}

/// The entries of a map whose keys are strings, each given once.
pub(crate) fn string_map<'n>(
    node: &'n Node,
    what: &str,
    complaints: &mut Complaints,
) -> Vec<(Position, &'n str, &'n Node)> {
    let Kind::Map(pairs) = &node.kind else {
        complaints.unlike::<()>(node, format!("{what}: a map `{{\"name\": …}}`"));
        return Vec::new();
    };
    let mut entries: Vec<(Position, &str, &Node)> = Vec::new();
    for (key, value) in pairs {
        let Kind::Text(text) = &key.kind else {
            complaints.unlike::<()>(key, "a name as a string");
            continue;
        };
        if entries.iter().any(|(_, earlier, _)| earlier == text) {
            complaints.add(key.at, format!("`{text}` given twice in {what}"), "each name once");
            continue;
        }
        entries.push((key.at, text, value));
    }
    entries
}

pub(crate) fn text<'n>(
    node: &'n Node,
    expected: &str,
    complaints: &mut Complaints,
) -> Option<&'n str> {
    match &node.kind {
        Kind::Text(text) => Some(text),
        _ => complaints.unlike(node, expected),
    }
}

pub(crate) fn boolean(node: &Node, complaints: &mut Complaints) -> Option<bool> {
    match &node.kind {
        Kind::Word(word) if word == "true" => Some(true),
        Kind::Word(word) if word == "false" => Some(false),
        _ => complaints.unlike(node, "true or false"),
    }
}

/// `Some(value)` or `None`, or with `implicit_some` the value itself.
pub(crate) fn optional<'n>(
    node: &'n Node,
    implicit_some: bool,
    what: &str,
    complaints: &mut Complaints,
) -> Option<&'n Node> {
    match &node.kind {
        Kind::Word(word) if word == "None" => None,
        Kind::Tuple { name: Some(name), values } if name == "Some" && values.len() == 1 => {
            Some(&values[0])
        }
        _ if implicit_some => Some(node),
        _ => complaints.unlike(node, format!("`Some({what})` or `None`")),
    }
}
