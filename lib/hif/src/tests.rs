//! Programs that a debugger makes, and any others.

extern crate std;

use crate::{
    Failure, Fault, Function, IllegalOp, Leases, Op, Program, Request, Room, Target, results, run,
};
use proptest::prelude::*;
use std::vec::Vec;

/// Server, operation, message, and what was lent to be read.
type Sent = (u16, u16, Vec<u8>, Vec<Vec<u8>>);

/// A server that writes down what it is sent, and answers with the same.
#[derive(Default)]
struct Echo {
    sent: Vec<Sent>,
    code: u32,
}

impl Target for Echo {
    fn send(
        &mut self,
        request: &Request<'_>,
        reply: &mut [u8],
        leases: Leases<'_>,
    ) -> Result<u32, Failure> {
        if request.server == 9 {
            return Err(Fault::BadParameter(0).into());
        }
        let read = leases.read.into_iter().flatten().map(<[u8]>::to_vec).collect();
        self.sent.push((request.server, request.operation, request.message.to_vec(), read));
        let len = request.message.len().min(reply.len());
        reply[..len].copy_from_slice(&request.message[..len]);
        if let Some(write) = leases.write {
            write.fill(0xEE);
        }
        Ok(self.code)
    }
}

fn text(ops: &[Op]) -> Vec<u8> {
    let bytes = ops.iter().map(|op| op.bytes());
    bytes.flat_map(|(bytes, len)| bytes.into_iter().take(len)).collect()
}

type Outcome = Result<Vec<Result<Vec<u8>, u32>>, Failure>;

fn ran(text: &[u8], data: &[u8], echo: &mut Echo) -> Outcome {
    let (mut scratch, mut stack) = ([0; 300], [0; 340]);
    run(text, Room { data, scratch: &mut scratch, results: &mut stack }, echo)?;
    Ok(results(&stack).map(|result| result.map(<[u8]>::to_vec)).collect())
}

fn call(
    function: Function,
    message: &[u8],
    reply: u32,
    leases: &[u32],
    data: &[u8],
    echo: &mut Echo,
) -> Outcome {
    let mut text = [0; 512];
    let request = Request { server: 3, operation: 700, message };
    let text = Program::call(&mut text, function, &request, reply, leases).expect("room");
    ran(text, data, echo)
}

#[test]
fn the_bytes_are_those_of_humility() {
    // Postcard's: a variant's number, then little-endian operands.
    let ops = [Op::Push(7), Op::Push16(0x102), Op::Push32(0x0102_0304), Op::Call(1), Op::Done];
    assert_eq!(text(&ops), [4, 7, 5, 2, 1, 6, 4, 3, 2, 1, 1, 1, 20]);
    assert_eq!(text(&[Op::Collect32]), [22]);
}

#[test]
fn a_call_sends_and_gives_the_reply() {
    let mut echo = Echo::default();
    let outcome = call(Function::Send, &[1, 2, 3], 5, &[], &[], &mut echo);
    assert_eq!(outcome, Ok([Ok([1, 2, 3, 0, 0].to_vec())].to_vec()));
    assert_eq!(echo.sent, [(3, 700, [1, 2, 3].to_vec(), Vec::new())]);
    echo.code = 77;
    let outcome = call(Function::Send, &[], 0, &[], &[], &mut echo);
    assert_eq!(outcome, Ok([Err(77)].to_vec()));
}

#[test]
fn leases_are_lent_in_their_order() {
    let mut echo = Echo::default();
    let outcome = call(Function::SendLeaseReadRead, &[], 0, &[1, 2], &[5, 6, 7, 8], &mut echo);
    assert_eq!(outcome, Ok([Ok(Vec::new())].to_vec()));
    assert_eq!(echo.sent[0].3, [[5].to_vec(), [6, 7].to_vec()]);
    let outcome = call(Function::SendLeaseReadWrite, &[9], 1, &[1, 200], &[4], &mut echo);
    let value = outcome.expect("it runs")[0].clone().expect("it is answered");
    assert_eq!((value.len(), value[0], value[1], value[200]), (201, 9, 0xEE, 0xEE));
    assert_eq!(echo.sent[1].3, [[4].to_vec()]);
}

#[test]
fn what_does_not_fit_is_refused_with_its_name() {
    let mut echo = Echo::default();
    let fault = |fault: Fault| Err(Failure::Fault(fault));
    let outcome = call(Function::SendLeaseRead, &[], 0, &[3], &[1], &mut echo);
    assert_eq!(outcome, fault(Fault::BadParameter(5)));
    let outcome = call(Function::Send, &[], 301, &[], &[], &mut echo);
    assert_eq!(outcome, fault(Fault::ReturnStackOverflow));
    let mut of = |ops: &[Op]| ran(&text(ops), &[], &mut echo);
    assert_eq!(of(&[Op::Call(0)]), fault(Fault::MissingParameters));
    assert_eq!(of(&[Op::Call(5)]), Err(IllegalOp::BadFunction.into()));
    assert_eq!(of(&[Op::BranchAlways(0)]), Err(IllegalOp::NoTarget.into()));
    assert_eq!(of(&[Op::Label(4)]), Err(IllegalOp::BadTarget.into()));
    assert_eq!(of(&[Op::Add]), fault(Fault::StackUnderflow));
    assert_eq!(of(&[Op::Push(1), Op::PushNone, Op::Add]), fault(Fault::OperationOnNone));
    assert_eq!(of(&[Op::DropN(1)]), fault(Fault::DropUnderflow));
    assert_eq!(of(&[Op::Label(0), Op::BranchAlways(0)]), Err(Failure::Invalid));
    let many = [Op::Push(1), Op::Push(1), Op::Push16(99), Op::Push(0), Op::Call(0)];
    assert_eq!(of(&many), fault(Fault::StackUnderflow));
    let wide = [Op::Push(1), Op::Push(1), Op::Push16(256), Op::Push(1), Op::Push(0), Op::Call(0)];
    assert_eq!(of(&wide), fault(Fault::BadParameter(2)));
    let stranger = [Op::Push(9), Op::Push(1), Op::Push(0), Op::Push(0), Op::Call(0)];
    assert_eq!(of(&stranger), fault(Fault::BadParameter(0)));
}

#[test]
fn a_program_loops_and_computes() {
    let mut echo = Echo::default();
    // For n in 0..3: send n, without a reply.
    let ops = [
        Op::Push(3),
        Op::Push(0),
        Op::Label(0),
        Op::Push(4),
        Op::Swap,
        Op::Push(1),
        Op::Swap,
        Op::Push(1),
        Op::Push(0),
        Op::Call(0),
        Op::DropN(2),
        Op::Swap,
        Op::Drop,
        Op::Swap,
        Op::Drop,
        Op::Push(1),
        Op::Add,
        Op::BranchLessThan(0),
        Op::Done,
    ];
    let outcome = ran(&text(&ops), &[], &mut echo).expect("it comes to its end");
    let sent: Vec<_> =
        echo.sent.iter().map(|(server, _, message, _)| (*server, message[0])).collect();
    assert_eq!((outcome.len(), &sent[..]), (3, &[(4, 0), (4, 1), (4, 2)][..]));
    let collected = [
        Op::Push32(0x0102_0304),
        Op::Expand32,
        Op::Collect32,
        Op::Push32(0x0102_0304),
        Op::BranchEqualTo(0),
    ];
    assert_eq!(ran(&text(&collected), &[], &mut echo), Err(IllegalOp::NoTarget.into()));
}

proptest! {
    /// Whatever text there is, running it ends, and with a value.
    #[test]
    fn any_text_is_run_or_refused(text: Vec<u8>, data: Vec<u8>) {
        let _ = ran(&text, &data, &mut Echo::default());
    }

    #[test]
    fn values_of_any_length_come_back(message in prop::collection::vec(any::<u8>(), 0..90), reply in 0_u32..300) {
        let outcome = call(Function::Send, &message, reply, &[], &[], &mut Echo::default());
        let value = outcome.expect("it runs")[0].clone().expect("it is answered");
        prop_assert_eq!(value.len(), reply as usize);
        let len = message.len().min(value.len());
        prop_assert_eq!(&value[..len], &message[..len]);
    }

    #[test]
    fn any_return_stack_can_be_read(stack: Vec<u8>) {
        prop_assert!(results(&stack).count() <= stack.len());
    }
}
