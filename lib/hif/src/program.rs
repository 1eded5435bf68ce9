//! The debugger's side: a program that makes one call, and what came of it.

use crate::run::{CODE, DONE, VALUE};
use crate::{Function, Op, Request};

/// The text of a program.
#[derive(Debug)]
pub struct Program<'t> {
    text: &'t mut [u8],
    len: usize,
}

impl<'t> Program<'t> {
    /// Writes into `text` the program that makes one call. `leases` are the sizes
    /// of what is lent, in the function's order. `None` when there is no room.
    #[must_use]
    pub fn call(
        text: &'t mut [u8],
        function: Function,
        request: &Request<'_>,
        reply: u32,
        leases: &[u32],
    ) -> Option<&'t [u8]> {
        let mut program = Self { text, len: 0 };
        program.push(request.server.into())?;
        program.push(request.operation.into())?;
        for &byte in request.message {
            program.add(Op::Push(byte))?;
        }
        program.push(request.message.len() as u32)?;
        program.push(reply)?;
        for &size in leases {
            program.push(size)?;
        }
        program.add(Op::Call(function as u8))?;
        program.add(Op::Done)?;
        Some(&program.text[..program.len])
    }

    fn push(&mut self, word: u32) -> Option<()> {
        self.add(match (u8::try_from(word), u16::try_from(word)) {
            (Ok(byte), _) => Op::Push(byte),
            (_, Ok(half)) => Op::Push16(half),
            _ => Op::Push32(word),
        })
    }

    fn add(&mut self, op: Op) -> Option<()> {
        let (bytes, len) = op.bytes();
        self.text.get_mut(self.len..self.len + len)?.copy_from_slice(&bytes[..len]);
        self.len += len;
        Some(())
    }
}

/// What the calls of a program came to, one after the other: a value, or the
/// code of a refusal.
#[derive(Clone, Debug)]
pub struct Results<'r> {
    rest: &'r [u8],
}

/// What stands in a return stack. Reading ends at the program's end, or at what
/// is no result.
#[must_use]
pub const fn results(stack: &[u8]) -> Results<'_> {
    Results { rest: stack }
}

impl<'r> Iterator for Results<'r> {
    type Item = Result<&'r [u8], u32>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, rest) = self.rest.split_first()?;
        let (result, rest) = match kind {
            VALUE => {
                let (len, rest) = varint(rest)?;
                let (value, rest) = rest.split_at_checked(len)?;
                (Ok(value), rest)
            }
            CODE => {
                let (code, rest) = rest.split_first_chunk()?;
                (Err(u32::from_le_bytes(*code)), rest)
            }
            // The end.
            DONE.. => return None,
        };
        self.rest = rest;
        Some(result)
    }
}

/// A length, seven bits a byte, the lowest first.
fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0;
    for (n, &byte) in bytes.iter().enumerate().take(4) {
        number |= usize::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[n + 1..]));
        }
    }
    None
}
