//! The servers of an image, and what each understands.

use crate::Error;
use idol::{ErrorType, Interface, Operation, Reply};
use object::{Object as _, ObjectSection};
use std::fmt::Write;
use std::path::Path;
use view::{Programs, TypeId, Types, Which};

/// A task that serves an interface.
#[derive(Debug)]
pub struct Server<'p> {
    /// Its index.
    pub index: u16,
    /// Its interface.
    pub interface: Interface,
    name: &'p str,
    pub(crate) types: &'p Types,
}

/// The servers of an image, by index.
#[derive(Debug)]
pub struct Servers<'p>(pub Vec<Server<'p>>);

impl<'p> Servers<'p> {
    /// The servers among `programs`.
    ///
    /// # Errors
    /// When a task cannot be read, or the text of its interface makes no sense.
    pub fn of(programs: &'p Programs<'_>) -> Result<Self, Error> {
        let mut servers = Vec::new();
        for which in programs.all() {
            let Which::Task(index) = which else { continue };
            let program = programs.get(which)?;
            let Some(text) = idolatry(program.bytes()) else { continue };
            let interface = idol::check_text(Path::new(program.name()), text)
                .map_err(|wrong| Error::Bad(idol::Failure(wrong).to_string()))?;
            let (name, types) = (program.name(), program.types());
            servers.push(Server { index: index as u16, interface, name, types });
        }
        Ok(Self(servers))
    }

    /// The operation `name`, as `Interface.operation`; of the task `task` when several
    /// serve the interface.
    ///
    /// # Errors
    /// When there is none, with those that there are.
    pub fn find(&self, name: &str, task: Option<&str>) -> Result<(&Server<'p>, &Operation), Error> {
        let Some((interface, operation)) = name.split_once('.') else {
            return Err(Error::Bad(format!("`{name}` is no Interface.operation")));
        };
        let named = |server: &&Server<'_>| server.interface.name.text == interface;
        let all: Vec<_> = self.0.iter().filter(named).collect();
        let wanted = all.iter().filter(|server| task.is_none_or(|task| task == server.name()));
        let server = match wanted.copied().collect::<Vec<_>>()[..] {
            [server] => server,
            [] if all.is_empty() => {
                let known = self.0.iter().map(|server| server.interface.name.text.as_str());
                return Err(unknown("interface", interface, known));
            }
            [] => {
                let known = all.iter().map(|server| server.name());
                return Err(unknown("server", task.unwrap_or_default(), known));
            }
            _ => {
                let known: Vec<_> = all.iter().map(|server| server.name()).collect();
                let known = known.join(", ");
                return Err(Error::Bad(format!("{interface} is served by {known}: name one")));
            }
        };
        let ops = &server.interface.ops;
        match ops.iter().find(|op| op.name.text == operation) {
            Some(op) => Ok((server, op)),
            None => {
                Err(unknown("operation", operation, ops.iter().map(|op| op.name.text.as_str())))
            }
        }
    }
}

pub(crate) fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Error {
    let known: Vec<_> = known.collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Error::Bad(format!("no {what} `{name}`; there is: {known}"))
}

impl Server<'_> {
    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// What `op` takes and answers, in a line.
    #[must_use]
    pub fn signature(&self, op: &Operation) -> String {
        let mut text = format!("{}.{}(", self.interface.name.text, op.name.text);
        let args = op.args.iter().map(|arg| format!("{}: {}", arg.name.text, arg.value.text));
        let leases = op.leases.iter().map(|lease| {
            let to = if lease.write { "&mut " } else { "&" };
            format!("{}: {to}{}", lease.name.text, lease.text)
        });
        text += &args.chain(leases).collect::<Vec<_>>().join(", ");
        // Strings take everything.
        let _ = write!(text, ") -> {}", op.reply.value().text);
        if let Reply::Result { err: ErrorType::CLike(error) | ErrorType::Complex(error), .. } =
            &op.reply
        {
            let _ = write!(text, " or {}", error.text);
        }
        text
    }

    /// The type that the member `member` of the struct `<Interface>_<op>_<part>`
    /// has, or the type of the name that the interface writes.
    pub(crate) fn travelling(
        &self,
        op: &Operation,
        part: &str,
        member: &str,
        text: &str,
    ) -> Result<TypeId, Error> {
        let types = self.types;
        let name = format!("{}_{}_{part}", self.interface.name.text, op.name.text);
        let whole = types.named(&name).and_then(|id| types.structure(id));
        if let Some(member) = whole.and_then(|whole| whole.member(member)) {
            return Ok(member.of);
        }
        match types.every(text)[..] {
            [one] => Ok(one),
            [first, ..] if part == "ERROR" => Ok(first),
            [] => Err(Error::Bad(format!("{} does not describe the type {text}", self.name()))),
            _ => Err(Error::Bad(format!("{} has several types {text}", self.name()))),
        }
    }
}

/// The text of a task's interface.
fn idolatry(elf: &[u8]) -> Option<&str> {
    let file = object::File::parse(elf).ok()?;
    std::str::from_utf8(file.section_by_name(".idolatry")?.data().ok()?).ok()
}
