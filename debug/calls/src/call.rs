//! One operation with its arguments, and what was answered.

use crate::Error;
use crate::servers::{Server, unknown};
use crate::wire::{largest, pack, unpack};
use abi::extract_new_generation;
use hif::Function;
use idol::{Encoding, ErrorType, Lease, Operation, Recv, Reply, Typed};
use view::types::Type;
use view::{Inline, Types, Value};

/// Bytes of a lease to write when nothing is said of it.
const WRITTEN: u32 = 64;

/// An operation with its arguments.
#[derive(Debug)]
pub struct Call<'s> {
    server: &'s Server<'s>,
    op: &'s Operation,
    /// The server's index.
    pub index: u16,
    /// The operation's number.
    pub number: u16,
    /// The message.
    pub message: Vec<u8>,
    /// Bytes of the longest reply.
    pub reply: u32,
    /// The function of `hiffy` that lends what is lent.
    pub function: Function,
    /// What the server may read, one after the other.
    pub data: Vec<u8>,
    /// Sizes of what it may read, and write.
    pub leases: Vec<u32>,
}

/// What came back, before anyone knows what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply, to its longest, and behind it what the server wrote.
    Replied(Vec<u8>),
    /// A response code that is not 0.
    Code(u32),
}

/// What was answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The operation's value, and what the server wrote.
    Value(Value, Vec<u8>),
    /// The interface's error: its code and, when the interface names it, its name.
    Error(u32, Option<String>),
    /// The server died over it.
    Died,
}

impl<'s> Call<'s> {
    /// The operation `op` of `server` with `arguments`, each `name=value`.
    ///
    /// # Errors
    /// When an argument is missing, strange or no value of its type.
    pub fn new(
        server: &'s Server<'s>,
        op: &'s Operation,
        arguments: &[String],
    ) -> Result<Self, Error> {
        if op.encoding == Encoding::Ssmarshal {
            return Err(Error::Bad(format!("{} travels by ssmarshal", op.name.text)));
        }
        let given = given(op, arguments)?;
        let of = |name: &str| given.iter().find(|(given, _)| *given == name).map(|(_, text)| *text);
        let mut message = Vec::new();
        for arg in &op.args {
            let name = &arg.name.text;
            let text = of(name).ok_or_else(|| {
                Error::Bad(format!("no {name}; the operation is {}", server.signature(op)))
            })?;
            server.pack(op, name, &arg.value, text, &mut message)?;
        }
        let (mut data, mut reads, mut writes) = (Vec::new(), Vec::new(), Vec::new());
        for lease in &op.leases {
            match (lease.read, lease.write) {
                (true, false) => {
                    let bytes = read_lease(lease, of(&lease.name.text))?;
                    reads.push(bytes.len() as u32);
                    data.extend(bytes);
                }
                (false, true) => writes.push(written(lease, of(&lease.name.text))?),
                _ => return Err(cannot_lend(op)),
            }
        }
        let function = match (reads.len(), writes.len()) {
            (0, 0) => Function::Send,
            (1, 0) => Function::SendLeaseRead,
            (0, 1) => Function::SendLeaseWrite,
            (1, 1) if op.leases[0].read => Function::SendLeaseReadWrite,
            (2, 0) => Function::SendLeaseReadRead,
            _ => return Err(cannot_lend(op)),
        };
        let leases = [reads, writes].concat();
        let (index, number, reply) = (server.index, op.number, server.reply_size(op)?);
        Ok(Self { server, op, index, number, message, reply, function, data, leases })
    }

    /// What `outcome` means.
    ///
    /// # Errors
    /// When it is no answer of the operation's.
    pub fn answer(&self, outcome: &Outcome) -> Result<Answer, Error> {
        let types = self.server.types;
        match outcome {
            Outcome::Replied(bytes) => {
                let reply = (self.reply as usize).min(bytes.len());
                let (mut reply, written) = bytes.split_at(reply);
                let value = match self.server.reply_type(self.op)? {
                    Some(of) => unpack(types, of, &mut reply).map_err(Error::Bad)?,
                    None => Value::Struct(view::Struct {
                        name: String::new(),
                        fields: view::Fields::None,
                    }),
                };
                Ok(Answer::Value(value, written.to_vec()))
            }
            Outcome::Code(code) if extract_new_generation(*code).is_some() => Ok(Answer::Died),
            Outcome::Code(code) => Ok(Answer::Error(*code, self.server.error(self.op, *code))),
        }
    }

    /// The operation, as `Interface.operation`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}.{}", self.server.interface.name.text, self.op.name.text)
    }
}

impl Answer {
    /// The answer in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Value(value, _) => Inline(value).to_string(),
            Self::Error(_, Some(name)) => format!("refused: {name}"),
            Self::Error(code, None) => format!("refused: code {code}"),
            Self::Died => "the server died over it".to_owned(),
        }
    }
}

impl Server<'_> {
    fn pack(
        &self,
        op: &Operation,
        name: &str,
        typed: &Typed,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let types = self.types;
        let bad = |why: &str| Error::Bad(format!("{name}={text}: {why}"));
        let value = Value::from_debug(text).ok_or_else(|| bad("no value"))?;
        let of = self.travelling(op, "ARGS", name, &typed.text)?;
        let value = match (&typed.recv, value.name()) {
            // Travels as a number; its name is the receiver's.
            (Recv::FromPrimitive(_), Some(variant)) => {
                let number = number_of(types, &typed.text, variant);
                Value::Unsigned(number.ok_or_else(|| bad("no such name"))?)
            }
            _ => value,
        };
        pack(types, of, &value, out).map_err(|why| bad(&why))
    }

    fn reply_type(&self, op: &Operation) -> Result<Option<view::TypeId>, Error> {
        let value = op.reply.value();
        if value.text == "()" {
            return Ok(None);
        }
        self.travelling(op, "REPLY", "value", &value.text).map(Some)
    }

    fn reply_size(&self, op: &Operation) -> Result<u32, Error> {
        let types = self.types;
        let strange = |text: &str| Error::Bad(format!("nobody can say how large a {text} is"));
        let size = |of, text| largest(types, of).ok_or_else(|| strange(text));
        let value = match self.reply_type(op)? {
            Some(of) => size(of, &op.reply.value().text)?,
            None => 0,
        };
        let error = match &op.reply {
            Reply::Result { err: ErrorType::Complex(error), .. } => {
                size(self.travelling(op, "ERROR", "", &error.text)?, &error.text)?
            }
            _ => 0,
        };
        Ok(value.max(error) as u32)
    }

    /// The name of the interface's error `code`.
    fn error(&self, op: &Operation, code: u32) -> Option<String> {
        let Reply::Result { err: ErrorType::CLike(error), .. } = &op.reply else { return None };
        let types = self.types;
        let bare = error.text.rsplit("::").next()?;
        types.every(bare).into_iter().find_map(|id| match types.get(id)? {
            Type::CEnum(of) => {
                of.variants.iter().find(|(_, value)| *value == code.into()).map(|(n, _)| n.clone())
            }
            _ => None,
        })
    }
}

fn number_of(types: &Types, of: &str, variant: &str) -> Option<u128> {
    let bare = of.rsplit("::").next()?;
    types.every(bare).into_iter().find_map(|id| match types.get(id)? {
        Type::CEnum(of) => of.variants.iter().find(|(name, _)| name == variant).map(|(_, n)| *n),
        _ => None,
    })
}

/// The arguments by name; each is one of the operation's.
fn given<'t>(op: &Operation, arguments: &'t [String]) -> Result<Vec<(&'t str, &'t str)>, Error> {
    let names = || op.args.iter().map(|arg| &arg.name).chain(op.leases.iter().map(|l| &l.name));
    let mut given: Vec<(&str, &str)> = Vec::new();
    for argument in arguments {
        let Some((name, text)) = argument.split_once('=') else {
            return Err(Error::Bad(format!("`{argument}` is no name=value")));
        };
        if !names().any(|known| known.text == name) {
            return Err(unknown("argument", name, names().map(|known| known.text.as_str())));
        }
        if given.iter().any(|(known, _)| *known == name) {
            return Err(Error::Bad(format!("{name} is given twice")));
        }
        given.push((name, text));
    }
    Ok(given)
}

/// What the server may read: hexadecimal digits, or `@` and a file's name.
fn read_lease(lease: &Lease, text: Option<&str>) -> Result<Vec<u8>, Error> {
    let name = &lease.name.text;
    let bad = |why: String| Error::Bad(format!("{name}: {why}"));
    let text = text.ok_or_else(|| bad("give it as digits, or as @FILE".to_owned()))?;
    let bytes = match text.strip_prefix('@') {
        Some(file) => std::fs::read(file).map_err(|error| bad(format!("{file}: {error}")))?,
        None => {
            let pair = |n| text.get(n..n + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(pair).collect();
            bytes.ok_or_else(|| bad("no pairs of hexadecimal digits".to_owned()))?
        }
    };
    match lease.max_len {
        Some(most) if bytes.len() > most as usize => {
            Err(bad(format!("{} bytes, and {most} are the most", bytes.len())))
        }
        _ => Ok(bytes),
    }
}

/// Bytes that the server may write.
fn written(lease: &Lease, text: Option<&str>) -> Result<u32, Error> {
    let most = lease.max_len.unwrap_or(u32::MAX);
    match text.map(str::parse) {
        None => Ok(WRITTEN.min(most)),
        Some(Ok(bytes)) if bytes <= most => Ok(bytes),
        Some(_) => {
            let name = &lease.name.text;
            Err(Error::Bad(format!("{name}: how many bytes may be written? {most} at most")))
        }
    }
}

fn cannot_lend(op: &Operation) -> Error {
    Error::Bad(format!("{} lends what no function of hiffy's can", op.name.text))
}
