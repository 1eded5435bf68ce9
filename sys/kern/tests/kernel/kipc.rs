//! What the supervisor asks of the kernel.

use crate::bench::{Bench, RAM};
use abi::{FaultInfo, KipcError, SchedState, Sysnum, TaskId, TaskState, UsageError};
use kern::KernelPanic;

fn ended(bench: &Bench) -> Option<UsageError> {
    match bench.platform.panic {
        Some(KernelPanic::SupervisorFault(FaultInfo::SyscallUsage(error))) => Some(error),
        _ => None,
    }
}

fn status(bench: &mut Bench, task: u8) -> TaskState {
    let (code, bytes) = bench.kipc(1, &[task, 0, 0, 0]);
    assert_eq!(code, 0);
    packed::unpack(&bytes).unwrap()
}

#[test]
fn only_the_supervisor_is_heard() {
    let mut bench = Bench::new();
    bench.send(1, TaskId::KERNEL, 4, 0);
    let fault = FaultInfo::SyscallUsage(UsageError::IllegalTask);
    assert_eq!(bench.fault(1), Some(fault));
}

#[test]
fn status_is_the_tasks_state() {
    let mut bench = Bench::new();
    assert_eq!(status(&mut bench, 1), TaskState::Healthy(SchedState::Runnable));
    bench.send(3, bench.id(1), 0, 0);
    assert_eq!(status(&mut bench, 3), TaskState::Healthy(SchedState::InSend(bench.id(1))));
    bench.recv(1, 0);
    assert_eq!(status(&mut bench, 3), TaskState::Healthy(SchedState::InReply(bench.id(1))));
    bench.recv(1, 0);
    assert_eq!(status(&mut bench, 1), TaskState::Healthy(SchedState::InRecv(None)));
    bench.break_task(1);
    let original_state = SchedState::InRecv(None);
    let fault = FaultInfo::DivideByZero;
    assert_eq!(status(&mut bench, 1), TaskState::Faulted { fault, original_state });
}

#[test]
fn faulted_tasks_are_found_in_order() {
    let mut bench = Bench::new();
    let find = |bench: &mut Bench, start| bench.kipc(9, &[start, 0, 0, 0]).1;
    assert_eq!(find(&mut bench, 0), [0; 4]);
    bench.break_task(2);
    bench.break_task(4);
    assert_eq!(find(&mut bench, 1), [2, 0, 0, 0]);
    assert_eq!(find(&mut bench, 3), [4, 0, 0, 0]);
    assert_eq!(find(&mut bench, 5), [0; 4]);
    assert_eq!(find(&mut bench, 200), [0; 4]);
}

#[test]
fn a_task_can_be_faulted_whatever_it_does() {
    let mut bench = Bench::new();
    bench.send(3, bench.id(1), 0, 0);
    bench.kipc(3, &[3, 0, 0, 0]);
    assert_eq!(bench.fault(3), Some(FaultInfo::Injected(bench.id(0))));
    bench.recv(1, 0);
    assert!(bench.is(1, SchedState::InRecv(None)));
}

#[test]
fn a_task_can_be_held_back_and_started() {
    let mut bench = Bench::new();
    bench.platform.begun.clear();
    bench.restart(2, false);
    assert!(bench.is(2, SchedState::Stopped));
    assert!(bench.platform.begun.is_empty(), "nothing begins that is held back");
    bench.restart(2, true);
    assert!(bench.is(2, SchedState::Runnable));
    assert_eq!(bench.platform.begun, [(kern::TaskIndex(2), abi::Generation(2))]);
}

#[test]
fn the_image_id_is_told() {
    let mut bench = Bench::new();
    assert_eq!(bench.kipc(4, &[]).1, 0x1122_3344_5566_7788_u64.to_le_bytes());
}

#[test]
fn after_a_reset_nothing_runs() {
    let mut bench = Bench::new();
    bench.kipc(5, &[]);
    assert!(bench.platform.was_reset);
    assert_eq!(bench.kernel.current(), None);
}

#[test]
fn a_panic_message_is_read_while_the_task_is_faulted() {
    let mut bench = Bench::new();
    let read = |bench: &mut Bench| bench.kipc(10, &[3, 0, 0, 0]);
    let not_panicked = KipcError::TaskNotPanicked as usize;
    assert_eq!(read(&mut bench).0, not_panicked);
    bench.write(3, 100, b"out of luck");
    let at = bench.memory[3].ram + 100;
    bench.call(3, Sysnum::Panic, [at, 11, 0, 0, 0, 0, 0]);
    assert_eq!(read(&mut bench), (0, b"out of luck".to_vec()));
    bench.restart(3, true);
    assert_eq!(read(&mut bench).0, not_panicked);
    bench.break_task(3);
    assert_eq!(read(&mut bench).0, not_panicked);
}

#[test]
fn a_long_panic_message_is_cut() {
    let mut bench = Bench::new();
    let (at, to) = (bench.memory[3].ram, bench.memory[0].ram + RAM / 2);
    bench.call(3, Sysnum::Panic, [at, 1000, 0, 0, 0, 0, 0]);
    bench.write(0, 0, &[3, 0, 0, 0]);
    let request = [0xFFFF << 16 | 10, bench.memory[0].ram, 4, to, 500, 0, 0];
    assert_eq!(bench.call(0, Sysnum::Send, request)[..2], [0, abi::PANIC_MESSAGE_MAX_LEN]);
}

#[test]
fn a_panic_message_that_is_not_the_tasks_is_not_read() {
    let mut bench = Bench::new();
    let other = bench.memory[2].ram;
    bench.call(3, Sysnum::Panic, [other, 4, 0, 0, 0, 0, 0]);
    assert_eq!(bench.fault(3), Some(FaultInfo::Panic));
    assert_eq!(bench.kipc(10, &[3, 0, 0, 0]).0, KipcError::BadPanicBuffer as usize);
}

#[test]
fn a_request_without_sense_ends_the_supervisor() {
    let cases: [(u16, &[u8], UsageError); 12] = [
        (0, &[], UsageError::BadKernelMessage),
        (6, &[], UsageError::BadKernelMessage),
        (1, &[], UsageError::BadKernelMessage),
        (1, &[1, 0, 0], UsageError::BadKernelMessage),
        (1, &[1, 0, 0, 0, 0], UsageError::BadKernelMessage),
        (1, &[0; 64], UsageError::BadKernelMessage),
        (2, &[1, 0, 0, 0, 2], UsageError::BadKernelMessage),
        (1, &[5, 0, 0, 0], UsageError::TaskOutOfRange),
        (0x100, &[5, 0, 0, 0], UsageError::TaskOutOfRange),
        (0x100, &[], UsageError::BadKernelMessage),
        (2, &[0, 0, 0, 0, 1], UsageError::IllegalTask),
        (3, &[0, 0, 0, 0], UsageError::IllegalTask),
    ];
    for (operation, request, error) in cases {
        let mut bench = Bench::new();
        bench.kipc(operation, request);
        assert_eq!(ended(&bench), Some(error), "{operation} {request:?}");
    }
}

#[test]
fn an_answer_that_does_not_fit_ends_the_supervisor() {
    let mut bench = Bench::new();
    let ram = bench.memory[0].ram;
    bench.call(0, Sysnum::Send, [0xFFFF << 16 | 4, ram, 0, ram, 7, 0, 0]);
    assert_eq!(ended(&bench), Some(UsageError::BadKernelMessage));
}
