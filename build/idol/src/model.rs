//! An interface after it was read and checked.

use crate::diagnostic::Position;

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where.
    pub at: Position,
}

/// One server's contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Upper camel case.
    pub name: Name,
    /// In the order of the file, which numbers them.
    pub ops: Vec<Operation>,
}

/// One operation of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Snake case.
    pub name: Name,
    /// What a message carries to ask for it; the first is 1.
    pub number: u16,
    /// What it does, for the generated methods.
    pub doc: Option<String>,
    /// In the order in which they travel.
    pub args: Vec<Argument>,
    /// In the order in which they are lent.
    pub leases: Vec<Lease>,
    /// What comes back.
    pub reply: Reply,
    /// How arguments and reply become bytes.
    pub encoding: Encoding,
    /// Where the file says that the client may ask again when the server dies;
    /// `None` when it must not.
    pub idempotent: Option<Position>,
}

/// A value that a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Snake case.
    pub name: Name,
    /// What it is.
    pub value: Typed,
}

/// A Rust type and how it is made from what travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The type as written; it parses.
    pub text: String,
    /// Where.
    pub at: Position,
    /// How the receiver makes one.
    pub recv: Recv,
}

/// How a receiver makes a value from what travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recv {
    /// It travels as it is. (A `bool` travels as a byte that is 0 or 1.)
    FromBytes,
    /// It travels as this integer and is checked by `FromPrimitive`.
    FromPrimitive(String),
    /// It travels as `raw` and is converted by `From`, or by the function.
    From {
        /// What travels.
        raw: String,
        /// A function from `raw` to the type.
        via: Option<String>,
    },
}

/// Memory that a client lends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Snake case.
    pub name: Name,
    /// A type, or `[type]` for any number of them.
    pub text: String,
    /// Where the type stands.
    pub at: Position,
    /// The server may read.
    pub read: bool,
    /// The server may write.
    pub write: bool,
    /// The most elements that may be lent, for a slice.
    pub max_len: Option<u32>,
}

/// What an operation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A value, always.
    Simple(Typed),
    /// A value, or an error.
    Result {
        /// The value.
        ok: Typed,
        /// The error.
        err: ErrorType,
    },
}

impl Reply {
    /// The value of an operation that went well.
    #[must_use]
    pub fn value(&self) -> &Typed {
        match self {
            Self::Simple(value) | Self::Result { ok: value, .. } => value,
        }
    }
}

/// What an operation says when it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// A response code: an enum without fields.
    CLike(Name),
    /// A value packed by hubpack.
    Complex(Name),
    /// Nothing but the death of the server.
    ServerDeath,
}

/// How values become bytes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Their bytes in memory, one after the other.
    #[default]
    Zerocopy,
    /// The hubpack format.
    Hubpack,
    /// The ssmarshal format: read and checked, but nothing is generated.
    Ssmarshal,
}
