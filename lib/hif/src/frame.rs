//! What a call's stack asks for: task, operation, the message's bytes, their
//! number, the reply's, and the sizes of leases.

use crate::{Fault, IllegalOp, STACK};

/// A function that a program can call. The order is the encoding's.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Function {
    /// Sends a message.
    Send = 0,
    /// The same with a lease that the server may read.
    SendLeaseRead = 1,
    /// The same with a lease that the server may write.
    SendLeaseWrite = 2,
    /// One to read, then one to write.
    SendLeaseReadWrite = 3,
    /// Two to read.
    SendLeaseReadRead = 4,
}

impl Function {
    pub(crate) const fn of(number: u8) -> Result<Self, IllegalOp> {
        Ok(match number {
            0 => Self::Send,
            1 => Self::SendLeaseRead,
            2 => Self::SendLeaseWrite,
            3 => Self::SendLeaseReadWrite,
            4 => Self::SendLeaseReadRead,
            _ => return Err(IllegalOp::BadFunction),
        })
    }

    /// How many leases the server may read, and write.
    #[must_use]
    pub const fn leases(self) -> (usize, usize) {
        match self {
            Self::Send => (0, 0),
            Self::SendLeaseRead => (1, 0),
            Self::SendLeaseWrite => (0, 1),
            Self::SendLeaseReadWrite => (1, 1),
            Self::SendLeaseReadRead => (2, 0),
        }
    }
}

/// What is lent.
#[derive(Debug, Default)]
pub struct Leases<'l> {
    /// What the server may read, in this order.
    pub read: [Option<&'l [u8]>; 2],
    /// What it may write, after that.
    pub write: Option<&'l mut [u8]>,
}

/// A message that is to be sent.
#[derive(Debug)]
pub struct Request<'r> {
    /// The server's index.
    pub server: u16,
    /// The operation's number.
    pub operation: u16,
    /// The message.
    pub message: &'r [u8],
}

/// What a call's stack says.
pub(crate) struct Frame {
    pub(crate) server: u16,
    pub(crate) operation: u16,
    message: [u8; STACK],
    message_len: usize,
    pub(crate) reply: usize,
    /// Sizes of leases, those to read first.
    pub(crate) read: [usize; 2],
    pub(crate) write: usize,
}

impl Frame {
    /// Reads the frame at the top of `stack`. Parameters are numbered as the
    /// function has them: task, operation, bytes, their number, the reply's, and
    /// leases' sizes.
    pub(crate) fn read(function: Function, stack: &[Option<u32>]) -> Result<Self, Fault> {
        let (reads, writes) = function.leases();
        let leases = reads + writes;
        // Without the message's bytes.
        let fixed = 4 + leases;
        if stack.len() < fixed {
            return Err(Fault::MissingParameters);
        }
        let number = |at: usize, parameter: usize| {
            stack[at].map(|word| word as usize).ok_or(Fault::EmptyParameter(parameter as u8))
        };
        let sizes = stack.len() - leases;
        let mut lent = [0; 2];
        for (n, size) in lent.iter_mut().enumerate().take(leases) {
            *size = number(sizes + n, 5 + n)?;
        }
        let reply = number(sizes - 1, 4)?;
        let message_len = number(sizes - 2, 3)?;
        let frame = message_len.checked_add(fixed).and_then(|len| stack.len().checked_sub(len));
        let frame = frame.ok_or(Fault::StackUnderflow)?;
        let short = |at, parameter: usize| {
            u16::try_from(number(at, parameter)?).map_err(|_| Fault::BadParameter(parameter as u8))
        };
        let mut message = [0; STACK];
        for (n, byte) in message.iter_mut().enumerate().take(message_len) {
            let word = number(frame + 2 + n, 2)?;
            *byte = u8::try_from(word).map_err(|_| Fault::BadParameter(2))?;
        }
        let read = [lent[0] * usize::from(reads > 0), lent[1] * usize::from(reads > 1)];
        let write = if writes > 0 { lent[reads] } else { 0 };
        let (server, operation) = (short(frame, 0)?, short(frame + 1, 1)?);
        Ok(Self { server, operation, message, message_len, reply, read, write })
    }

    pub(crate) fn message(&self) -> &[u8] {
        &self.message[..self.message_len]
    }
}
