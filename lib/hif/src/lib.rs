//! HIF: the small programs by which a debugger has a task make calls.
//!
//! A program is a text of operations on a stack of words. `Call` hands the stack
//! to a function of the [`Target`], which here sends a message; what comes of it
//! is appended to the return stack. Operations, functions and results have the
//! encoding that Humility uses (HIF 0.3, serialized by postcard 0.7): the number
//! of a variant is a byte, numbers are little-endian, a length is a varint.
//!
//! [`run`] is what a task does with a text, [`Program`] makes one, and
//! [`results`] reads what a run left.

#![no_std]

mod frame;
mod op;
mod program;
mod rpc;
mod run;

pub use frame::{Function, Leases, Request};
pub use op::Op;
pub use program::{Program, Results, results};
pub use rpc::RpcReply;
pub use run::{Room, Target, run};

/// The version of the language, which a debugger compares with its own.
pub const VERSION: [u32; 3] = [0, 3, 1];

/// Words of a stack.
pub const STACK: usize = 96;
/// Labels of a program.
pub const LABELS: usize = 4;

/// An operation that a program cannot have.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum IllegalOp {
    /// A branch to a label that was not passed.
    NoTarget,
    /// A label beyond the last one.
    BadTarget,
    /// A function beyond the last one.
    BadFunction,
}

/// Something that went wrong while a program ran.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No room on the stack.
    StackOverflow,
    /// Not enough on the stack.
    StackUnderflow,
    /// Arithmetic with nothing.
    OperationOnNone,
    /// Nothing to drop.
    DropUnderflow,
    /// Nothing to double.
    DupUnderflow,
    /// Fewer parameters than the function has.
    MissingParameters,
    /// That parameter makes no sense.
    BadParameter(u8),
    /// That parameter is nothing.
    EmptyParameter(u8),
    /// The function's value is too long.
    ReturnValueOverflow,
    /// No room on the return stack.
    ReturnStackOverflow,
    /// No room for the end on the return stack.
    DoneStackOverflow,
    /// An access outside of what is there.
    AccessOutOfBounds,
}

/// Why a program ended before its end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It has an operation that it cannot have.
    IllegalOp(IllegalOp),
    /// It did something wrong.
    Fault(Fault),
    /// Its text is none.
    Invalid,
    /// A function failed with this code. It does not end a program.
    FunctionError(u32),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<IllegalOp> for Failure {
    fn from(op: IllegalOp) -> Self {
        Self::IllegalOp(op)
    }
}

#[cfg(test)]
mod tests;
