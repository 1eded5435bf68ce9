//! The supervisor: deals out the cases and judges how they end.

use core::fmt::Write;

use abi::{FAULT_NOTIFICATION, FaultInfo, FaultSource, TaskState};
use userlib::{
    RecvMessage, ReplyFaultReason, TIMER_MASK, TaskId, kipc, set_timer_relative, sys_recv_open,
    sys_reply, sys_reply_fault, sys_set_timer,
};

use crate::cases::{Case, Expect, all};
use crate::protocol::{ASSISTANT, DONE, INTERRUPT, NEXT, RAISE, SUBJECT, WILL_TOUCH, word, words};

/// How long a case may take, in ms.
const PATIENCE: u32 = 1000;

/// How a case ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum End {
    /// The subject says so; 0, or the line of what was wrong.
    Done(u32),
    /// It faulted.
    Fault(FaultInfo),
    /// Nothing came of it.
    Hang,
}

/// What is known of the case under way.
#[derive(Debug, Default)]
struct Record {
    /// The assistant's fault.
    assistant: Option<FaultInfo>,
    /// The address that the subject's fault must tell.
    address: Option<u32>,
}

/// Runs every case, each in as many rounds as it has with `foreign` runs of
/// memory, and writes a line for each to `lines`; how many failed.
pub fn run(lines: &mut impl Write, foreign: usize) -> u32 {
    let (mut passed, mut failed) = (0, 0);
    let mut is_first = true;
    for (number, case) in all().enumerate() {
        for round in 0..case.rounds(foreign) {
            if !is_first {
                kipc::restart_task(SUBJECT, true);
            }
            is_first = false;
            let mut record = Record::default();
            let end = watch(number, round, &mut record);
            // Whoever `lines` are for takes them all.
            let _ = if is_as_expected(case, end, &record) {
                passed += 1;
                writeln!(lines, "case {} {round} ok", case.name)
            } else {
                failed += 1;
                writeln!(lines, "case {} {round} FAILED: {end:?} {record:?}", case.name)
            };
        }
    }
    let _ = writeln!(lines, "suite {passed} passed {failed} failed");
    failed
}

/// Serves subject and assistant until the case has ended.
fn watch(number: usize, round: usize, record: &mut Record) -> End {
    set_timer_relative(PATIENCE, TIMER_MASK);
    let end = loop {
        let mut buffer = [0; 8];
        let message = sys_recv_open(&mut buffer, FAULT_NOTIFICATION | TIMER_MASK);
        let ended = if message.sender == TaskId::KERNEL {
            notified(message.operation, record)
        } else {
            asked(&message, &buffer, number, round, record)
        };
        if let Some(end) = ended {
            break end;
        }
    };
    sys_set_timer(None, 0);
    end
}

fn notified(bits: u32, record: &mut Record) -> Option<End> {
    if let Some(fault) = fault_of(ASSISTANT) {
        record.assistant = Some(fault);
        kipc::restart_task(ASSISTANT, true);
    }
    match fault_of(SUBJECT) {
        Some(fault) => Some(End::Fault(fault)),
        None => (bits & TIMER_MASK != 0).then_some(End::Hang),
    }
}

fn fault_of(task: usize) -> Option<FaultInfo> {
    match kipc::read_task_status(task) {
        TaskState::Faulted { fault, .. } => Some(fault),
        TaskState::Healthy(_) => None,
    }
}

fn asked(
    message: &RecvMessage,
    buffer: &[u8],
    number: usize,
    round: usize,
    record: &mut Record,
) -> Option<End> {
    let mut answer: &[u8] = &[];
    let case = words(number as u32, round as u32);
    let mut end = None;
    match message.operation as u16 {
        NEXT => answer = &case,
        DONE => end = Some(End::Done(word(buffer, 0))),
        WILL_TOUCH => record.address = Some(word(buffer, 0)),
        RAISE => kipc::software_irq(SUBJECT, INTERRUPT),
        _ => {
            sys_reply_fault(message.sender, ReplyFaultReason::UndefinedOperation);
            return None;
        }
    }
    sys_reply(message.sender, 0, answer);
    end
}

fn is_as_expected(case: &Case, end: End, record: &Record) -> bool {
    let ended_right = match (case.expect, end) {
        (Expect::Pass, End::Done(line)) => line == 0,
        (Expect::Fault(fault), End::Fault(found)) => fault == found,
        (Expect::FromServer(reason), End::Fault(FaultInfo::FromServer(server, found))) => {
            server.index() == ASSISTANT && reason == found
        }
        (Expect::KernelAccess, End::Fault(FaultInfo::MemoryAccess { source, .. })) => {
            source == FaultSource::Kernel
        }
        (Expect::Access, End::Fault(FaultInfo::MemoryAccess { address, source })) => {
            source == FaultSource::User && address == record.address
        }
        (Expect::Overflow, End::Fault(FaultInfo::StackOverflow { .. })) => true,
        _ => false,
    };
    ended_right && record.assistant == case.assistant
}
