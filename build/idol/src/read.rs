//! From a tree of values to an interface: shapes, keys, names and types.
//!
//! What makes sense only of a whole operation is in `rules`.

use crate::diagnostic::Position;
use crate::fields::{Complaints, Fields, boolean, optional, string_map, text};
use crate::model::{
    Argument, Encoding, ErrorType, Interface, Lease, Name, Operation, Recv, Reply, Typed,
};
use crate::notation::{Kind, Node};
use crate::types::{PRIMITIVES, check_camel, check_lendable, check_owned, check_path, check_snake};

/// Operations that an interface can have: their numbers are 16 bits, 0 is none.
const OPS_MAX: usize = u16::MAX as usize;

pub(crate) struct Reader {
    pub(crate) implicit_some: bool,
    pub(crate) complaints: Complaints,
}

impl Reader {
    pub(crate) fn interface(&mut self, node: &Node) -> Option<Interface> {
        let keys = ["name", "ops"];
        let fields =
            Fields::of(node, Some("Interface"), "an interface", &keys, &mut self.complaints)?;
        let name = fields.require("name", &mut self.complaints).and_then(|node| {
            let name = self.name(node, "the interface's name as a string")?;
            check_camel(&name.text, name.at, &mut self.complaints).map(|()| name)
        });
        let ops_node = fields.require("ops", &mut self.complaints)?;
        let before = self.complaints.0.len();
        let entries = string_map(ops_node, "ops", &mut self.complaints);
        if entries.is_empty() && self.complaints.0.len() == before {
            self.complaints.add(ops_node.at, "interface without operations", "at least one");
        }
        if entries.len() > OPS_MAX {
            let expected = format!("at most {OPS_MAX}");
            self.complaints.add(ops_node.at, "too many operations", expected);
            return None;
        }
        let ops = (1..)
            .zip(&entries)
            .filter_map(|(number, (at, name, node))| self.operation(number, *at, name, node))
            .collect();
        Some(Interface { name: name?, ops })
    }

    fn operation(
        &mut self,
        number: u16,
        at: Position,
        name: &str,
        node: &Node,
    ) -> Option<Operation> {
        check_snake(name, at, &mut self.complaints);
        let keys = ["doc", "description", "args", "leases", "reply", "encoding", "idempotent"];
        let fields = Fields::of(node, None, "an operation", &keys, &mut self.complaints)?;
        let doc = fields.get("doc").and_then(|node| self.doc(node));
        // Another name for the same, which Hubris' interfaces use as well.
        let description = fields.get("description").and_then(|node| self.doc(node));
        if let (Some(_), Some(entry)) = (&doc, fields.entry("description")) {
            self.complaints.add(entry.at, "`doc` and `description` in an operation", "one of them");
        }
        let args = fields.get("args").map_or_else(Vec::new, |node| self.args(node));
        let leases = fields.get("leases").map_or_else(Vec::new, |node| self.leases(node));
        let encoding =
            fields.get("encoding").map_or(Some(Encoding::default()), |node| self.encoding(node));
        let idempotent = fields
            .entry("idempotent")
            .and_then(|entry| boolean(&entry.value, &mut self.complaints)?.then_some(entry.at));
        let reply = fields.require("reply", &mut self.complaints).and_then(|n| self.reply(n));
        Some(Operation {
            name: Name { text: name.into(), at },
            number,
            doc: doc.or(description),
            args,
            leases,
            reply: reply?,
            encoding: encoding?,
            idempotent,
        })
    }

    fn doc(&mut self, node: &Node) -> Option<String> {
        text(node, "what the operation does, as a string", &mut self.complaints).map(Into::into)
    }

    fn args(&mut self, node: &Node) -> Vec<Argument> {
        string_map(node, "args", &mut self.complaints)
            .into_iter()
            .filter_map(|(at, name, node)| {
                check_snake(name, at, &mut self.complaints);
                let value = self.typed(node)?;
                Some(Argument { name: Name { text: name.into(), at }, value })
            })
            .collect()
    }

    /// `"T"` or `(type: "T", recv: …)`.
    fn typed(&mut self, node: &Node) -> Option<Typed> {
        if let Kind::Text(text) = &node.kind {
            check_owned(text, node.at, &mut self.complaints)?;
            return Some(Typed { text: text.clone(), at: node.at, recv: Recv::FromBytes });
        }
        if !matches!(&node.kind, Kind::Record { .. }) {
            let expected = "a type: `\"T\"` or `(type: \"T\", recv: …)`";
            return self.complaints.unlike(node, expected);
        }
        let fields = Fields::of(node, None, "a type", &["type", "recv"], &mut self.complaints)?;
        let recv = fields.get("recv").map_or(Some(Recv::FromBytes), |node| self.recv(node));
        let ty = fields.require("type", &mut self.complaints)?;
        let written = text(ty, "a Rust type as a string", &mut self.complaints)?;
        check_owned(written, ty.at, &mut self.complaints)?;
        Some(Typed { text: written.into(), at: ty.at, recv: recv? })
    }

    fn recv(&mut self, node: &Node) -> Option<Recv> {
        const EXPECTED: &str =
            "FromBytes, FromPrimitive(\"u8\") or From(\"u8\", None or Some(\"path::function\"))";
        match &node.kind {
            Kind::Word(word) if word == "FromBytes" => Some(Recv::FromBytes),
            Kind::Tuple { name: Some(name), values } => match (&**name, &values[..]) {
                ("FromPrimitive", [raw]) => {
                    let written = text(raw, "an integer type as a string", &mut self.complaints)?;
                    if !PRIMITIVES.contains(&written) {
                        let message = format!("FromPrimitive from `{written}`");
                        let expected = format!("one of {}", PRIMITIVES.join(", "));
                        self.complaints.add(raw.at, message, expected);
                        return None;
                    }
                    Some(Recv::FromPrimitive(written.into()))
                }
                ("From", [raw, rest @ ..]) if rest.len() <= 1 => {
                    let written = text(raw, "a type as a string", &mut self.complaints)?;
                    check_owned(written, raw.at, &mut self.complaints)?;
                    let via = match rest.first() {
                        Some(node) => {
                            let function = "\"path::function\"";
                            optional(node, self.implicit_some, function, &mut self.complaints)
                        }
                        None => None,
                    };
                    let via = match via {
                        Some(node) => {
                            let path = text(node, "a function's path", &mut self.complaints)?;
                            check_path(path, node.at, &mut self.complaints)?;
                            Some(path.into())
                        }
                        None => None,
                    };
                    Some(Recv::From { raw: written.into(), via })
                }
                _ => self.complaints.unlike(node, EXPECTED),
            },
            _ => self.complaints.unlike(node, EXPECTED),
        }
    }

    fn leases(&mut self, node: &Node) -> Vec<Lease> {
        string_map(node, "leases", &mut self.complaints)
            .into_iter()
            .filter_map(|(at, name, node)| self.lease(at, name, node))
            .collect()
    }

    fn lease(&mut self, at: Position, name: &str, node: &Node) -> Option<Lease> {
        check_snake(name, at, &mut self.complaints);
        let keys = ["type", "read", "write", "max_len"];
        let fields = Fields::of(node, None, "a lease", &keys, &mut self.complaints)?;
        let mut flag =
            |key| fields.get(key).is_some_and(|n| boolean(n, &mut self.complaints) != Some(false));
        let (read, write) = (flag("read"), flag("write"));
        let max_len = match fields.get("max_len") {
            Some(node) => optional(node, self.implicit_some, "64", &mut self.complaints),
            None => None,
        };
        let max_len = max_len.and_then(|node| match node.kind {
            Kind::Number(n) if n > 0 && n <= u64::from(u32::MAX) => Some(n as u32),
            _ => self.complaints.unlike(node, "a number of elements, 1 to 2^32 - 1"),
        });
        let ty = fields.require("type", &mut self.complaints)?;
        let written = text(ty, "a Rust type as a string", &mut self.complaints)?;
        check_lendable(written, ty.at, &mut self.complaints)?;
        let name = Name { text: name.into(), at };
        Some(Lease { name, text: written.into(), at: ty.at, read, write, max_len })
    }

    fn reply(&mut self, node: &Node) -> Option<Reply> {
        let expected = "`Simple(\"T\")` or `Result(ok: …, err: …)`";
        match &node.kind {
            Kind::Tuple { name: Some(name), values } if name == "Simple" && values.len() == 1 => {
                self.typed(&values[0]).map(Reply::Simple)
            }
            // `Simple(type: "T", recv: …)`, with one pair of brackets.
            Kind::Record { name: Some(name), entries } if name == "Simple" => {
                let kind = Kind::Record { name: None, entries: entries.clone() };
                self.typed(&Node { at: node.at, kind }).map(Reply::Simple)
            }
            Kind::Record { name: Some(name), .. } if name == "Result" => {
                let keys = ["ok", "err"];
                let fields =
                    Fields::of(node, Some("Result"), "a result", &keys, &mut self.complaints)?;
                let ok = fields.require("ok", &mut self.complaints).and_then(|n| self.typed(n));
                let err = fields.require("err", &mut self.complaints).and_then(|n| self.error(n));
                Some(Reply::Result { ok: ok?, err: err? })
            }
            _ => self.complaints.unlike(node, expected),
        }
    }

    fn error(&mut self, node: &Node) -> Option<ErrorType> {
        let expected = "`CLike(\"E\")`, `Complex(\"E\")` or `ServerDeath`";
        match &node.kind {
            Kind::Word(word) if word == "ServerDeath" => Some(ErrorType::ServerDeath),
            Kind::Tuple { name: Some(kind), values } if values.len() == 1 => {
                let make = match &**kind {
                    "CLike" => ErrorType::CLike,
                    "Complex" => ErrorType::Complex,
                    _ => return self.complaints.unlike(node, expected),
                };
                let name = self.name(&values[0], "an error type as a string")?;
                check_path(&name.text, name.at, &mut self.complaints)?;
                Some(make(name))
            }
            _ => self.complaints.unlike(node, expected),
        }
    }

    fn encoding(&mut self, node: &Node) -> Option<Encoding> {
        match &node.kind {
            Kind::Word(word) if word == "Zerocopy" => Some(Encoding::Zerocopy),
            Kind::Word(word) if word == "Hubpack" => Some(Encoding::Hubpack),
            Kind::Word(word) if word == "Ssmarshal" => Some(Encoding::Ssmarshal),
            _ => self.complaints.unlike(node, "Zerocopy, Hubpack or Ssmarshal"),
        }
    }

    fn name(&mut self, node: &Node, expected: &str) -> Option<Name> {
        let text = text(node, expected, &mut self.complaints)?.into();
        Some(Name { text, at: node.at })
    }
}
