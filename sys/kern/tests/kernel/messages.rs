//! SEND, RECV, REPLY, REPLY_RECV, REPLY_FAULT, REFRESH_TASK_ID.

use crate::bench::{Bench, Memory, RAM};
use abi::{
    FaultInfo, FaultSource, Generation, ReplyFaultReason, SchedState, Sysnum, TaskId, UsageError,
    dead_response_code,
};

const MEMORY: FaultInfo = FaultInfo::MemoryAccess { address: None, source: FaultSource::Kernel };

fn usage(error: UsageError) -> Option<FaultInfo> {
    Some(FaultInfo::SyscallUsage(error))
}

fn dead(generation: u8) -> usize {
    dead_response_code(Generation(generation)) as usize
}

#[test]
fn send_blocks_until_received_then_until_replied() {
    let mut bench = Bench::new();
    bench.write(3, 0, b"hello");
    bench.send(3, bench.id(1), 9, 5);
    assert!(bench.is(3, SchedState::InSend(bench.id(1))));
    let r = bench.recv(1, 0);
    // Code, sender, operation, length, room for the answer, leases.
    assert_eq!(r[..6], [0, usize::from(bench.id(3).0), 9, 5, 64, 0]);
    assert_eq!(bench.read(1, 0, 5), b"hello");
    assert!(bench.is(3, SchedState::InReply(bench.id(1))));
    bench.write(1, 0, b"bye");
    bench.reply(1, bench.id(3), 77, 3);
    assert!(bench.is(3, SchedState::Runnable));
    assert_eq!(bench.registers(3)[..2], [77, 3]);
    assert_eq!(bench.read(3, RAM / 2, 3), b"bye");
}

#[test]
fn send_to_a_receiver_that_waits_switches_to_it_at_once() {
    let mut bench = Bench::new();
    bench.recv(0, 0);
    bench.recv(1, 0);
    bench.send(3, bench.id(1), 9, 4);
    assert_eq!(bench.kernel.current(), Some(kern::TaskIndex(1)));
    assert_eq!(bench.registers(1)[2], 9);
}

#[test]
fn the_most_important_sender_is_received_first() {
    let mut bench = Bench::new();
    for task in [4, 2, 3] {
        bench.send(task, bench.id(1), u16::from(task), 0);
    }
    let got: Vec<_> = (0..3).map(|_| bench.recv(1, 0)[2]).collect();
    assert_eq!(got, [2, 3, 4]);
}

#[test]
fn a_long_message_is_cut_and_its_length_told() {
    let mut bench = Bench::new();
    bench.write(3, 0, &[7; 100]);
    bench.send(3, bench.id(1), 0, 100);
    assert_eq!(bench.recv(1, 0)[3], 100);
    assert_eq!(bench.read(1, 0, 65), [&[7; 64][..], &[0]].concat());
}

#[test]
fn a_long_reply_is_cut_to_the_senders_room() {
    let mut bench = Bench::new();
    bench.send(3, bench.id(1), 0, 0);
    bench.recv(1, 0);
    bench.write(1, 0, &[7; 100]);
    bench.reply(1, bench.id(3), 0, 100);
    assert_eq!(bench.registers(3)[1], 64);
    assert_eq!(bench.read(3, RAM / 2, 65), [&[7; 64][..], &[0]].concat());
}

#[test]
fn slices_of_no_bytes_are_good_anywhere() {
    let mut bench = Bench::new();
    let target = usize::from(bench.id(1).0) << 16;
    bench.call(3, Sysnum::Send, [target, usize::MAX, 0, 1, 0, 3, 0]);
    assert!(bench.is(3, SchedState::InSend(bench.id(1))));
    bench.call(1, Sysnum::Recv, [usize::MAX, 0, 0, 0, 0, 0, 0]);
    assert!(bench.is(3, SchedState::InReply(bench.id(1))));
}

#[test]
fn closed_receive_takes_its_sender_only() {
    let mut bench = Bench::new();
    bench.send(2, bench.id(1), 2, 0);
    bench.recv_from(1, 0, bench.id(3));
    assert!(bench.is(1, SchedState::InRecv(Some(bench.id(3)))));
    bench.send(3, bench.id(1), 3, 0);
    assert_eq!(bench.registers(1)[2], 3);
    assert!(bench.is(2, SchedState::InSend(bench.id(1))));
    assert_eq!(bench.recv(1, 0)[2], 2);
}

#[test]
fn closed_receive_takes_a_sender_that_already_waits() {
    let mut bench = Bench::new();
    bench.send(2, bench.id(1), 2, 0);
    bench.send(3, bench.id(1), 3, 0);
    assert_eq!(bench.recv_from(1, 0, bench.id(3))[2], 3);
}

#[test]
fn closed_receive_from_the_kernel_takes_notifications_only() {
    let mut bench = Bench::new();
    bench.platform.posts.push((3, 1, 0b100));
    bench.send(2, bench.id(1), 2, 0);
    bench.recv_from(1, 0b110, TaskId::KERNEL);
    assert!(bench.is(1, SchedState::InRecv(Some(TaskId::KERNEL))));
    assert_eq!(bench.post(3, bench.id(1), 0b100), 0);
    assert_eq!(bench.registers(1)[..6], [0, 0xFFFF, 0b100, 0, 0, 0]);
    assert!(bench.is(2, SchedState::InSend(bench.id(1))));
}

#[test]
fn closed_receive_from_a_dead_incarnation_is_answered_its_dead_code() {
    let mut bench = Bench::new();
    let old = bench.id(3);
    bench.restart(3, true);
    assert_eq!(bench.recv_from(1, 0, old)[0], dead(1));
    assert!(bench.is(1, SchedState::Runnable));
    // Of one that is faulted now too: it will not send.
    bench.break_task(3);
    assert_eq!(bench.recv_from(1, 0, bench.id(3))[0], dead(2));
}

#[test]
fn closed_receive_ends_when_its_sender_dies() {
    let mut bench = Bench::new();
    bench.recv_from(1, 0, bench.id(3));
    bench.break_task(3);
    assert!(bench.is(1, SchedState::Runnable));
    assert_eq!(bench.registers(1)[0], dead(1));
}

#[test]
fn closed_receive_from_itself_is_a_fault() {
    let mut bench = Bench::new();
    bench.recv_from(1, 0, bench.id(1));
    assert_eq!(bench.fault(1), usage(UsageError::IllegalTask));
}

#[test]
fn closed_receive_from_a_task_that_is_not_there_is_a_fault() {
    let mut bench = Bench::new();
    bench.recv_from(1, 0, TaskId(5));
    assert_eq!(bench.fault(1), usage(UsageError::TaskOutOfRange));
}

/// R6, R25: what the build has not drawn, the kernel does not let happen.
#[test]
fn send_outside_the_mask_is_a_fault_even_to_the_dead() {
    // Down, to oneself, and to a dead incarnation.
    for (from, to) in [(1, TaskId(3)), (2, TaskId(2)), (2, TaskId::new(3, Generation(5)))] {
        let mut bench = Bench::new();
        bench.send(from, to, 0, 0);
        assert_eq!(bench.fault(from), usage(UsageError::IllegalTask));
    }
}

#[test]
fn send_to_a_task_that_is_not_there_is_a_fault() {
    let mut bench = Bench::new();
    bench.send(3, TaskId(5), 0, 0);
    assert_eq!(bench.fault(3), usage(UsageError::TaskOutOfRange));
}

#[test]
fn send_to_an_old_incarnation_is_answered_the_present_one() {
    let mut bench = Bench::new();
    let old = bench.id(1);
    bench.restart(1, true);
    assert_eq!(bench.send(3, old, 0, 0)[..2], [dead(1), 0]);
    assert!(bench.is(3, SchedState::Runnable));
}

#[test]
fn send_to_a_faulted_task_is_answered_its_dead_code_at_once() {
    let mut bench = Bench::new();
    bench.break_task(1);
    assert_eq!(bench.send(3, bench.id(1), 0, 0)[0], dead(1));
    // And again with the incarnation that code named, while it is still down.
    assert_eq!(bench.send(3, TaskId::new(1, Generation(1)), 0, 0)[0], dead(1));
}

#[test]
fn send_to_a_task_that_is_held_back_is_answered_its_dead_code_at_once() {
    let mut bench = Bench::new();
    bench.restart(1, false);
    assert!(bench.is(1, SchedState::Stopped));
    assert_eq!(bench.send(3, bench.id(1), 0, 0)[0], dead(2));
    bench.restart(1, true);
    assert_eq!(bench.id(1).generation(), Generation(2));
}

#[test]
fn who_waits_in_send_or_for_a_reply_gets_the_dead_code_when_the_server_faults() {
    let mut bench = Bench::new();
    bench.send(2, bench.id(1), 0, 0);
    bench.recv(1, 0);
    bench.send(3, bench.id(1), 0, 0);
    bench.break_task(1);
    for task in [2, 3] {
        assert!(bench.is(task, SchedState::Runnable));
        assert_eq!(bench.registers(task)[..2], [dead(1), 0]);
    }
    // The restart changes nothing for them: the code named what it makes.
    bench.restart(1, true);
    assert_eq!(bench.id(1).generation(), Generation(1));
}

#[test]
fn who_waits_gets_the_dead_code_when_the_server_is_restarted() {
    let mut bench = Bench::new();
    bench.send(2, bench.id(1), 0, 0);
    bench.recv(1, 0);
    bench.send(3, bench.id(1), 0, 0);
    bench.restart(1, true);
    for task in [2, 3] {
        assert_eq!(bench.registers(task)[..2], [dead(1), 0]);
    }
}

#[test]
fn a_sender_that_dies_leaves_the_queue() {
    let mut bench = Bench::new();
    bench.send(3, bench.id(1), 0, 0);
    bench.restart(3, true);
    bench.recv(1, 0);
    assert!(bench.is(1, SchedState::InRecv(None)));
}

#[test]
fn generations_wrap() {
    let mut bench = Bench::new();
    for _ in 0..64 {
        bench.restart(1, true);
    }
    assert_eq!(bench.id(1).generation(), Generation(0));
    assert!(bench.platform.begun.contains(&(kern::TaskIndex(1), Generation(63))));
}

#[test]
fn reply_to_who_does_not_wait_is_ignored() {
    let mut bench = Bench::new();
    let old = bench.id(3);
    bench.send(3, bench.id(1), 0, 0);
    bench.recv(1, 0);
    // Another server's client, a running task, a dead incarnation.
    bench.reply(0, bench.id(3), 5, 0);
    bench.reply(1, bench.id(2), 5, 0);
    assert!(bench.is(3, SchedState::InReply(bench.id(1))));
    bench.restart(3, true);
    bench.send(3, bench.id(1), 0, 0);
    bench.recv(1, 0);
    bench.reply(1, old, 5, 0);
    assert!(bench.is(3, SchedState::InReply(bench.id(1))));
    assert!(bench.is(1, SchedState::Runnable));
}

#[test]
fn reply_to_a_task_that_is_not_there_is_a_fault() {
    let mut bench = Bench::new();
    bench.reply(1, TaskId(5), 0, 0);
    assert_eq!(bench.fault(1), usage(UsageError::TaskOutOfRange));
}

#[test]
fn memory_that_is_not_the_callers_to_give_is_a_fault() {
    // Where in the caller's memory, or another task's, and how long.
    type Place = fn(&Memory, &Memory) -> (usize, usize);
    let unreadable: [Place; 6] = [
        |_, other| (other.ram, 1),
        |mine, _| (mine.dma, 1),
        |mine, _| (mine.device, 1),
        |mine, _| (mine.ram + RAM - 1, 2),
        |mine, _| (mine.ram - 1, 2),
        |_, _| (0, 1),
    ];
    let unwritable: [Place; 1] = [|mine, _| (mine.rom, 1)];
    type Call = fn(usize, usize) -> (Sysnum, [usize; 7]);
    let reading: [Call; 3] = [
        |base, len| (Sysnum::Send, [1 << 16, base, len, 0, 0, 0, 0]),
        |base, len| (Sysnum::Reply, [2, 0, base, len, 0, 0, 0]),
        |base, len| (Sysnum::ReplyRecv, [2, 0, base, len, 0, 0, 0]),
    ];
    let writing: [Call; 3] = [
        |base, len| (Sysnum::Send, [1 << 16, 0, 0, base, len, 0, 0]),
        |base, len| (Sysnum::Recv, [base, len, 0, 0, 0, 0, 0]),
        |base, len| (Sysnum::ReplyRecv, [2, 0, 0, 0, base, len, 0]),
    ];
    let both = unreadable.iter().flat_map(|place| reading.iter().map(move |call| (place, call)));
    let written = unreadable.iter().chain(&unwritable);
    let written = written.flat_map(|place| writing.iter().map(move |call| (place, call)));
    for (place, call) in both.chain(written) {
        let mut bench = Bench::new();
        let (base, len) = place(&bench.memory[3], &bench.memory[2]);
        let (number, arguments) = call(base, len);
        bench.call(3, number, arguments);
        assert_eq!(bench.fault(3), Some(MEMORY), "{number:?} {arguments:x?}");
    }
}

#[test]
fn a_slice_that_wraps_is_a_usage_fault() {
    let mut bench = Bench::new();
    bench.call(3, Sysnum::Recv, [usize::MAX, 2, 0, 0, 0, 0, 0]);
    assert_eq!(bench.fault(3), usage(UsageError::InvalidSlice));
}

#[test]
fn a_message_from_read_only_memory_is_good() {
    let mut bench = Bench::new();
    let rom = bench.memory[3].rom;
    let target = usize::from(bench.id(1).0) << 16;
    bench.call(3, Sysnum::Send, [target, rom, 8, 0, 0, 0, 0]);
    assert_eq!(bench.recv(1, 0)[3], 8);
}

#[test]
fn reply_fault_faults_the_client_with_server_and_reason() {
    for reason in 0..6 {
        let mut bench = Bench::new();
        bench.send(3, bench.id(1), 0, 0);
        bench.recv(1, 0);
        let client = usize::from(bench.id(3).0);
        bench.call(1, Sysnum::ReplyFault, [client, reason, 0, 0, 0, 0, 0]);
        let reason = ReplyFaultReason::try_from(reason as u32).unwrap();
        assert_eq!(bench.fault(3), Some(FaultInfo::FromServer(bench.id(1), reason)));
        assert!(bench.is(1, SchedState::Runnable));
    }
}

#[test]
fn reply_fault_of_who_does_not_wait_is_ignored() {
    let mut bench = Bench::new();
    bench.call(1, Sysnum::ReplyFault, [3, 0, 0, 0, 0, 0, 0]);
    assert!(bench.is(3, SchedState::Runnable));
}

#[test]
fn reply_fault_with_no_known_reason_is_the_servers_fault() {
    let mut bench = Bench::new();
    bench.send(3, bench.id(1), 0, 0);
    bench.recv(1, 0);
    bench.call(1, Sysnum::ReplyFault, [3, 6, 0, 0, 0, 0, 0]);
    assert_eq!(bench.fault(1), usage(UsageError::BadKernelMessage));
}

#[test]
fn refresh_gives_the_present_incarnation() {
    let mut bench = Bench::new();
    let old = usize::from(bench.id(1).0);
    bench.restart(1, true);
    let r = bench.call(3, Sysnum::RefreshTaskId, [old, 0, 0, 0, 0, 0, 0]);
    assert_eq!(r[0], usize::from(bench.id(1).0));
    bench.call(3, Sysnum::RefreshTaskId, [5, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.fault(3), usage(UsageError::TaskOutOfRange));
}

#[test]
fn an_unknown_system_call_is_a_fault() {
    for number in [14, 0xFF, 0x101, u32::MAX] {
        let mut bench = Bench::new();
        bench.raw_call(3, number, [0; 7]);
        assert_eq!(bench.fault(3), usage(UsageError::BadSyscallNumber));
    }
}

#[test]
fn panic_is_a_fault() {
    let mut bench = Bench::new();
    bench.call(3, Sysnum::Panic, [0; 7]);
    assert_eq!(bench.fault(3), Some(FaultInfo::Panic));
}

#[test]
fn a_fault_is_told_the_supervisor() {
    let mut bench = Bench::new();
    bench.recv(0, abi::FAULT_NOTIFICATION);
    bench.break_task(3);
    assert!(bench.is(0, SchedState::Runnable));
    assert_eq!(bench.registers(0)[2] as u32, abi::FAULT_NOTIFICATION);
    assert_eq!(bench.kernel.current(), Some(kern::TaskIndex::SUPERVISOR));
}

#[test]
fn a_fault_of_the_supervisor_ends_the_kernel() {
    let mut bench = Bench::new();
    bench.raw_call(0, 99, [0; 7]);
    let fault = FaultInfo::SyscallUsage(UsageError::BadSyscallNumber);
    assert_eq!(bench.platform.panic, Some(kern::KernelPanic::SupervisorFault(fault)));
    assert_eq!(bench.kernel.current(), None);
}

#[test]
fn the_first_fault_stays() {
    let mut bench = Bench::new();
    bench.break_task(3);
    bench.kipc(3, &[3, 0, 0, 0]);
    assert_eq!(bench.fault(3), Some(FaultInfo::DivideByZero));
    assert_eq!(bench.platform.faults.len(), 1);
}

/// R11: a seeded violation of the order is found before anything runs.
#[test]
#[should_panic(expected = "not more important")]
fn an_image_with_a_send_downhill_does_not_start() {
    let bench = Bench::new();
    let descriptor = Box::leak(Box::new(kern::TaskDesc {
        entry_point: 0,
        initial_stack: 0,
        regions: [&kern::RegionDesc::UNUSED; kern::REGIONS_PER_TASK],
    }));
    drop(bench);
    let _ = kern::Task::new(kern::TaskIndex(2), descriptor, 0b100);
}
