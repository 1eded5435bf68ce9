//! A program's run.

use crate::frame::Frame;
use crate::{Failure, Fault, Function, IllegalOp, LABELS, Leases, Op, Request, STACK};

/// Where a program's calls go.
pub trait Target {
    /// Sends `request` and waits for the reply; the response code.
    ///
    /// # Errors
    /// When it must not be sent.
    fn send(
        &mut self,
        request: &Request<'_>,
        reply: &mut [u8],
        leases: Leases<'_>,
    ) -> Result<u32, Failure>;
}

/// Memory that a run needs.
#[derive(Debug)]
pub struct Room<'r> {
    /// What is lent to be read.
    pub data: &'r [u8],
    /// A function's value: the reply, and behind it what the server wrote.
    pub scratch: &'r mut [u8],
    /// Results, one after the other.
    pub results: &'r mut [u8],
}

/// Operations after which a program that branches is taken for endless.
const PATIENCE: u32 = 100_000;

/// Runs `text`. What its calls came to stands in the room's results.
///
/// # Errors
/// Why it did not come to its end.
pub fn run(text: &[u8], mut room: Room<'_>, target: &mut impl Target) -> Result<(), Failure> {
    let mut stack = Stack { words: [None; STACK], len: 0 };
    let mut labels: [Option<&[u8]>; LABELS] = [None; LABELS];
    let mut written = 0;
    let mut rest = text;
    for _ in 0..PATIENCE {
        let (op, behind) = Op::take(rest).ok_or(Failure::Invalid)?;
        rest = behind;
        let branch = match op {
            Op::Label(label) => {
                *labels.get_mut(usize::from(label)).ok_or(IllegalOp::BadTarget)? = Some(behind);
                None
            }
            Op::Call(function) => {
                let function = Function::of(function)?;
                let outcome = call(function, stack.words(), &mut room, target);
                written += match outcome {
                    Ok(len) => write_value(&mut room.results[written..], &room.scratch[..len])?,
                    Err(Failure::FunctionError(code)) => {
                        write_code(&mut room.results[written..], code)?
                    }
                    Err(failure) => return Err(failure),
                };
                None
            }
            Op::Done => {
                let end = room.results.get_mut(written).ok_or(Fault::DoneStackOverflow)?;
                *end = DONE;
                return Ok(());
            }
            Op::BranchLessThan(label) => stack.compare(|a, b| a < b)?.then_some(label),
            Op::BranchLessThanOrEqualTo(label) => stack.compare(|a, b| a <= b)?.then_some(label),
            Op::BranchGreaterThan(label) => stack.compare(|a, b| a > b)?.then_some(label),
            Op::BranchGreaterThanOrEqualTo(label) => stack.compare(|a, b| a >= b)?.then_some(label),
            Op::BranchEqualTo(label) => stack.compare(|a, b| a == b)?.then_some(label),
            Op::BranchAlways(label) => Some(label),
            other => {
                stack.change(other)?;
                None
            }
        };
        if let Some(label) = branch {
            let place = labels.get(usize::from(label)).ok_or(IllegalOp::BadTarget)?;
            rest = place.ok_or(IllegalOp::NoTarget)?;
        }
    }
    Err(Failure::Invalid)
}

/// Makes a call; how long its value in the scratch is.
fn call(
    function: Function,
    stack: &[Option<u32>],
    room: &mut Room<'_>,
    target: &mut impl Target,
) -> Result<usize, Failure> {
    let frame = Frame::read(function, stack)?;
    let [first, second] = frame.read;
    let lent = first.checked_add(second).filter(|&lent| lent <= room.data.len());
    lent.ok_or(Fault::BadParameter(5))?;
    let value = frame.reply.checked_add(frame.write).filter(|&len| len <= room.scratch.len());
    let value = value.ok_or(Fault::ReturnStackOverflow)?;
    room.scratch[..value].fill(0);
    let (reply, written) = room.scratch[..value].split_at_mut(frame.reply);
    let (reads, writes) = function.leases();
    let (first, second) = room.data[..first + second].split_at(first);
    let leases = Leases {
        read: [(reads > 0).then_some(first), (reads > 1).then_some(second)],
        write: (writes > 0).then_some(written),
    };
    let request =
        Request { server: frame.server, operation: frame.operation, message: frame.message() };
    match target.send(&request, reply, leases)? {
        0 => Ok(value),
        code => Err(Failure::FunctionError(code)),
    }
}

pub(crate) const VALUE: u8 = 0;
pub(crate) const CODE: u8 = 1;
pub(crate) const DONE: u8 = 2;

fn write_value(results: &mut [u8], value: &[u8]) -> Result<usize, Fault> {
    let (head, len) = if value.len() < 0x80 {
        ([VALUE, value.len() as u8, 0], 2)
    } else {
        // Lengths are below 2^14: the scratch is.
        ([VALUE, value.len() as u8 | 0x80, (value.len() >> 7) as u8], 3)
    };
    let place = results.get_mut(..len + value.len()).ok_or(Fault::ReturnStackOverflow)?;
    place[..len].copy_from_slice(&head[..len]);
    place[len..].copy_from_slice(value);
    Ok(place.len())
}

fn write_code(results: &mut [u8], code: u32) -> Result<usize, Fault> {
    let place = results.get_mut(..5).ok_or(Fault::ReturnStackOverflow)?;
    place[0] = CODE;
    place[1..].copy_from_slice(&code.to_le_bytes());
    Ok(place.len())
}

struct Stack {
    words: [Option<u32>; STACK],
    len: usize,
}

impl Stack {
    fn words(&self) -> &[Option<u32>] {
        &self.words[..self.len]
    }

    fn push(&mut self, word: Option<u32>) -> Result<(), Fault> {
        *self.words.get_mut(self.len).ok_or(Fault::StackOverflow)? = word;
        self.len += 1;
        Ok(())
    }

    /// The top and what is below it.
    fn operands(&self) -> Result<(u32, u32), Fault> {
        match self.words() {
            [.., Some(below), Some(top)] => Ok((*top, *below)),
            [.., _, _] => Err(Fault::OperationOnNone),
            _ => Err(Fault::StackUnderflow),
        }
    }

    fn compare(&self, is: impl Fn(u32, u32) -> bool) -> Result<bool, Fault> {
        let (top, below) = self.operands()?;
        Ok(is(top, below))
    }

    fn combine(&mut self, with: impl Fn(u32, u32) -> u32) -> Result<(), Fault> {
        let (top, below) = self.operands()?;
        self.len -= 2;
        self.push(Some(with(top, below)))
    }

    fn drop(&mut self, count: u8) -> Result<(), Fault> {
        self.len = self.len.checked_sub(count.into()).ok_or(Fault::DropUnderflow)?;
        Ok(())
    }

    /// Does an operation that concerns the stack alone.
    fn change(&mut self, op: Op) -> Result<(), Fault> {
        match op {
            Op::Drop => self.drop(1),
            Op::DropN(count) => self.drop(count),
            Op::Push(word) => self.push(Some(word.into())),
            Op::Push16(word) => self.push(Some(word.into())),
            Op::Push32(word) => self.push(Some(word)),
            Op::PushNone => self.push(None),
            Op::Swap => {
                let below = self.len.checked_sub(2).ok_or(Fault::StackUnderflow)?;
                self.words.swap(below, below + 1);
                Ok(())
            }
            Op::Dup => {
                let top = *self.words().last().ok_or(Fault::DupUnderflow)?;
                self.push(top)
            }
            Op::Add => self.combine(u32::wrapping_add),
            Op::And => self.combine(|a, b| a & b),
            Op::Or => self.combine(|a, b| a | b),
            Op::Xor => self.combine(|a, b| a ^ b),
            Op::Expand32 => {
                let top = *self.words().last().ok_or(Fault::StackUnderflow)?;
                let bytes = top.ok_or(Fault::OperationOnNone)?.to_le_bytes();
                self.drop(1)?;
                bytes.into_iter().try_for_each(|byte| self.push(Some(byte.into())))
            }
            Op::Collect32 => {
                let first = self.len.checked_sub(4).ok_or(Fault::StackUnderflow)?;
                let mut bytes = [0; 4];
                for (n, byte) in bytes.iter_mut().enumerate() {
                    let word = self.words[first + n].ok_or(Fault::OperationOnNone)?;
                    *byte = u8::try_from(word).map_err(|_| Fault::BadParameter(3 - n as u8))?;
                }
                self.drop(4)?;
                self.push(Some(u32::from_le_bytes(bytes)))
            }
            // What concerns more than the stack is done by `run`.
            _ => Err(Fault::AccessOutOfBounds),
        }
    }
}
