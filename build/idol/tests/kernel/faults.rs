//! A client at fault is faulted with the reason, and the server goes on.

use abi::{FaultInfo, ReplyFaultReason, SchedState, TaskState};
use host::TaskIndex;
use proptest::prelude::*;
use userlib::{Lease, sys_send};

use crate::server::{Orders, server};
use crate::stubs::server::EverythingOperation;
use crate::{Run, SERVER, client, everything, server_id};

/// Runs one client at fault, then one that is not.
fn faulted(wrong: impl Fn() + 'static) -> Vec<(u8, FaultInfo)> {
    let after = client(|| assert_eq!(everything().ping(1), 1));
    let run = Run::of(server(&Orders::default()), vec![client(wrong), after]);
    run.faults()
}

fn reason(wrong: impl Fn() + 'static) -> ReplyFaultReason {
    match faulted(wrong)[..] {
        [(2, FaultInfo::FromServer(server, reason))] if server == server_id() => reason,
        ref other => panic!("{other:?}"),
    }
}

fn send(operation: EverythingOperation, request: &[u8], capacity: usize, leases: &[Lease<'_>]) {
    let mut reply = [0; 32];
    sys_send(SERVER.get_task_id(), operation as u16, request, &mut reply[..capacity], leases);
}

#[test]
fn unknown_operation() {
    for operation in [0, 12, u16::MAX] {
        let wrong = move || {
            sys_send(SERVER.get_task_id(), operation, &[], &mut [], &[]);
        };
        assert_eq!(reason(wrong), ReplyFaultReason::UndefinedOperation);
    }
}

#[test]
fn message_of_the_wrong_size() {
    for len in [0, 3, 5, 20, 21, 64] {
        let wrong = move || send(EverythingOperation::ping, &[0; 64][..len], 4, &[]);
        assert_eq!(reason(wrong), ReplyFaultReason::BadMessageSize);
    }
}

#[test]
fn message_that_means_nothing() {
    let wrong = || send(EverythingOperation::pack, &[9; 14], 32, &[]);
    assert_eq!(reason(wrong), ReplyFaultReason::BadMessageContents);
}

#[test]
fn reply_buffer_too_small() {
    let wrong = || send(EverythingOperation::ping, &[0; 4], 3, &[]);
    assert_eq!(reason(wrong), ReplyFaultReason::ReplyBufferTooSmall);
}

#[test]
fn what_the_server_denies() {
    let wrong = || {
        let _ = everything().fail(7);
    };
    assert_eq!(reason(wrong), ReplyFaultReason::AccessViolation);
}

#[test]
fn leases_missing_too_many_without_rights_or_of_the_wrong_size() {
    use EverythingOperation::{copy, ping, swap};
    let wrongs: [fn(); 9] = [
        || send(ping, &[0; 4], 4, &[Lease::read_only(&[0])]),
        || send(copy, &[], 4, &[]),
        || send(copy, &[], 4, &[Lease::read_only(&[0]), Lease::write_only(&mut [0])]),
        // `from` may not be read.
        || {
            let (mut a, mut b, mut c) = ([0; 4], [0; 4], [0; 4]);
            let leases =
                [Lease::write_only(&mut a), Lease::write_only(&mut b), Lease::read_write(&mut c)];
            send(copy, &[], 4, &leases);
        },
        // `to` may not be written.
        || {
            let mut c = [0; 4];
            let leases =
                [Lease::read_only(&[0]), Lease::read_only(&[0]), Lease::read_write(&mut c)];
            send(copy, &[], 4, &leases);
        },
        // `both` may be read only.
        || {
            let mut b = [0; 4];
            let leases =
                [Lease::read_only(&[0]), Lease::write_only(&mut b), Lease::read_only(&[0; 4])];
            send(copy, &[], 4, &leases);
        },
        // `both` is no whole number of elements.
        || {
            let (mut b, mut c) = ([0; 4], [0; 5]);
            let leases =
                [Lease::read_only(&[0]), Lease::write_only(&mut b), Lease::read_write(&mut c)];
            send(copy, &[], 4, &leases);
        },
        // `to` is longer than the interface allows.
        || {
            let (mut b, mut c) = ([0; 65], [0; 4]);
            let leases =
                [Lease::read_only(&[0]), Lease::write_only(&mut b), Lease::read_write(&mut c)];
            send(copy, &[], 4, &leases);
        },
        // `old` is no point.
        || {
            let mut a = [0; 7];
            send(swap, &[], 0, &[Lease::write_only(&mut a), Lease::read_only(&[0; 8])]);
        },
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        assert_eq!(reason(wrong), ReplyFaultReason::BadLeases, "case {number}");
    }
}

#[derive(Clone, Debug)]
enum Lent {
    Read(usize),
    Write(usize),
    Both(usize),
}

fn lent() -> impl Strategy<Value = Lent> {
    let len = || prop_oneof![Just(0), Just(4), Just(8), Just(64), 0_usize..80];
    prop_oneof![len().prop_map(Lent::Read), len().prop_map(Lent::Write), len().prop_map(Lent::Both),]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any message with any leases is answered, or its sender faulted; the
    /// server lives and serves the next client.
    #[test]
    fn any_message_is_answered_or_faulted(
        operation in prop_oneof![4 => 0_u16..14, 1 => any::<u16>()],
        request in prop::collection::vec(any::<u8>(), 0..40),
        capacity in 0_usize..32,
        leases in prop::collection::vec(lent(), 0..5),
    ) {
        // A message's memory is its task's stack.
        let wrong = move || {
            let mut bytes = [0; 40];
            bytes[..request.len()].copy_from_slice(&request);
            let mut reply = [0; 32];
            let mut memory = [[0; 80]; 4];
            let mut rows = memory.iter_mut().zip(&leases).map(|(memory, lent)| match *lent {
                Lent::Read(len) => Lease::read_only(&memory[..len]),
                Lent::Write(len) => Lease::write_only(&mut memory[..len]),
                Lent::Both(len) => Lease::read_write(&mut memory[..len]),
            });
            let mut next = || rows.next().unwrap_or(Lease::read_only(&[]));
            let four = [next(), next(), next(), next()];
            let (code, len) = sys_send(
                SERVER.get_task_id(),
                operation,
                &bytes[..request.len()],
                &mut reply[..capacity],
                &four[..leases.len()],
            );
            assert!(code <= 65535 && len <= capacity, "{code} {len}");
        };
        let after = client(|| assert_eq!(everything().ping(1), 1));
        let run = Run::of(server(&Orders::default()), vec![client(wrong), after]);
        let by_server = |(task, fault): &(u8, FaultInfo)| {
            *task == 2 && matches!(fault, FaultInfo::FromServer(server, _) if *server == server_id())
        };
        prop_assert!(run.faults().iter().all(by_server), "{:?}", run.faults());
        let waits = TaskState::Healthy(SchedState::InRecv(None));
        prop_assert_eq!(run.host.task_state(TaskIndex(1)), waits);
    }
}
