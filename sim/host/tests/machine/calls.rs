//! Each system call through `userlib`.

use std::cell::Cell;
use std::rc::Rc;

use host::{Bare, Host, Image, Irq, Outcome, Task, TaskIndex, Time};
use userlib::{
    ClosedRecvError, FaultInfo, FaultSource, Generation, IrqStatus, Lease, LeaseAttributes,
    ReplyFaultReason, SchedState, TIMER_MASK, TaskId, TaskState, UsageError,
    extract_new_generation, hl, set_timer_relative, sys_borrow_info, sys_borrow_read,
    sys_borrow_write, sys_get_timer, sys_irq_control, sys_irq_control_clear_pending,
    sys_irq_status, sys_post, sys_recv, sys_recv_notification, sys_recv_open, sys_refresh_task_id,
    sys_reply, sys_reply_fault, sys_reply_recv, sys_send, sys_set_timer, task_slot,
};

use crate::{fault, faults, indifferent, rest, settle};

task_slot!(SERVER, server);

const fn id(index: u16) -> TaskId {
    TaskId::new(index, Generation(0))
}

#[test]
fn a_message_goes_there_and_its_answer_comes_back() {
    let server = Task::new("server", || {
        let mut buffer = [0; 16];
        loop {
            let message = sys_recv_open(&mut buffer, 0);
            assert_eq!((message.sender, message.lease_count), (id(2), 0));
            assert_eq!((message.operation, message.response_capacity), (7, 4));
            let sum: u8 = buffer[..message.message_len].iter().sum();
            sys_reply(message.sender, 70, &[sum, 1]);
        }
    });
    let client = Task::new("client", || {
        let mut answer = [0; 4];
        let got = sys_send(SERVER.get_task_id(), 7, &[1, 2, 3], &mut answer, &[]);
        assert_eq!((got, answer), ((70, 2), [6, 1, 0, 0]));
        rest();
    });
    let host = settle(vec![indifferent(), server, client.slot("server", 1)]);
    assert_eq!(faults(&host), []);
}

#[test]
fn reply_recv_answers_and_takes_the_next_message() {
    let server = Task::new("server", || {
        let mut buffer = [0; 4];
        let mut message = sys_recv_open(&mut buffer, 0);
        loop {
            let answer = [buffer[0] + 1];
            message = sys_reply_recv(message.sender, 0, &answer, &mut buffer, 0);
        }
    });
    let client = |first: u8| {
        Task::new("client", move || {
            for byte in first..first + 50 {
                let mut answer = [0; 1];
                assert_eq!(sys_send(id(1), 0, &[byte], &mut answer, &[]), (0, 1));
                assert_eq!(answer[0], byte + 1);
            }
            rest();
        })
        .slot("server", 1)
    };
    let host = settle(vec![indifferent(), server, client(0), client(100)]);
    assert_eq!(faults(&host), []);
    assert_eq!(host.stats().tasks[1].syscalls, 101);
}

#[test]
fn leases_are_read_written_and_described() {
    let server = Task::new("server", || {
        let client = sys_recv_open(&mut [], 0);
        assert_eq!(client.lease_count, 3);
        let info = |index| sys_borrow_info(client.sender, index);
        let both = LeaseAttributes::READ.with(LeaseAttributes::WRITE);
        assert_eq!(info(0), (0, LeaseAttributes::READ, 5));
        assert_eq!(info(1), (0, LeaseAttributes::WRITE, 3));
        assert_eq!(info(2), (0, both, 2));
        let mut bytes = [0; 8];
        assert_eq!(sys_borrow_read(client.sender, 0, 1, &mut bytes), (0, 4));
        assert_eq!(&bytes[..4], b"ello");
        assert_eq!(sys_borrow_write(client.sender, 1, 0, b"abcdef"), (0, 3));
        assert_eq!(sys_borrow_read(client.sender, 2, 0, &mut bytes), (0, 2));
        assert_eq!(sys_borrow_write(client.sender, 2, 1, b"z"), (0, 1));
        sys_reply(client.sender, 0, &[]);
        assert_eq!(sys_borrow_read(client.sender, 0, 0, &mut bytes), (abi::DEFECT, 0));
        rest();
    });
    let client = Task::new("client", || {
        let (mut out, mut both) = ([0; 3], *b"xy");
        let leases =
            [Lease::read_only(b"hello"), Lease::write_only(&mut out), Lease::read_write(&mut both)];
        assert_eq!(sys_send(id(1), 0, &[], &mut [], &leases), (0, 0));
        assert_eq!((&out, &both), (b"abc", b"xz"));
        rest();
    });
    let host = settle(vec![indifferent(), server, client.slot("server", 1)]);
    assert_eq!(faults(&host), []);
}

#[test]
fn closed_receives_take_what_they_ask_for() {
    let server = Task::new("server", || {
        let mut buffer = [0; 1];
        // Task 2 is first in importance, but not asked for.
        let message = sys_recv(&mut buffer, 0, Some(id(3))).unwrap();
        assert_eq!((message.sender, message.operation), (id(3), 3));
        sys_reply(id(3), 0, &[]);
        assert_eq!(sys_recv_notification(0b10), 0b10);
        assert_eq!(sys_recv(&mut buffer, 0, None).unwrap().operation, 2);
        let dead = sys_recv(&mut buffer, 0, Some(TaskId::new(3, Generation(9))));
        assert_eq!(dead, Err(ClosedRecvError::Dead(Generation(0))));
        rest();
    });
    let two = Task::new("two", || {
        sys_send(id(1), 2, &[], &mut [], &[]);
    });
    let three = Task::new("three", || {
        assert_eq!(sys_send(id(1), 3, &[], &mut [], &[]), (0, 0));
        assert_eq!(sys_post(id(1), 0b10), 0);
        rest();
    });
    let two = two.slot("server", 1);
    let three = three.slot("server", 1).notifies(1, 0b10);
    let host = settle(vec![indifferent(), server, two, three]);
    assert_eq!(faults(&host), []);
}

fn heap() -> Box<[u8]> {
    Box::new([1; 3])
}

#[test]
fn messages_and_leases_from_the_heap_are_faults() {
    let memory = FaultInfo::MemoryAccess { address: None, source: FaultSource::Kernel };
    let server = Task::new("server", || {
        let client = sys_recv_open(&mut [], 0);
        assert_eq!(sys_borrow_read(client.sender, 0, 0, &mut [0]).0, abi::DEFECT);
        rest();
    });
    let sender = Task::new("sender", || {
        sys_send(id(1), 0, &heap(), &mut [], &[]);
    });
    let lender = Task::new("lender", || {
        sys_send(id(1), 0, &[], &mut [], &[Lease::read_only(&heap())]);
    });
    let sender = sender.slot("server", 1);
    let lender = lender.slot("server", 1);
    let host = settle(vec![indifferent(), server, sender, lender]);
    assert_eq!(faults(&host), [(2, memory), (3, memory)]);
}

#[test]
fn a_server_can_fault_its_client() {
    let server = Task::new("server", || {
        let client = sys_recv_open(&mut [], 0);
        sys_reply_fault(client.sender, ReplyFaultReason::BadLeases);
        rest();
    });
    let client = Task::new("client", || {
        sys_send(id(1), 0, &[], &mut [], &[]);
    });
    let host = settle(vec![indifferent(), server, client.slot("server", 1)]);
    let fault = FaultInfo::FromServer(id(1), ReplyFaultReason::BadLeases);
    assert_eq!(faults(&host), [(2, fault)]);
}

#[test]
fn sends_and_posts_outside_the_image_are_faults() {
    let illegal = FaultInfo::SyscallUsage(UsageError::IllegalTask);
    let sender = Task::new("sender", || {
        sys_send(id(0), 0, &[], &mut [], &[]);
    });
    let poster = Task::new("poster", || {
        assert_eq!(sys_post(id(1), 0b01), 0);
        sys_post(id(1), 0b11);
    });
    let kernel = Task::new("kernel", || {
        sys_send(TaskId::KERNEL, 4, &[], &mut [0; 8], &[]);
    });
    let idle = Task::new("idle", || rest());
    let poster = poster.notifies(1, 0b01);
    let host = settle(vec![indifferent(), idle, sender, poster, kernel]);
    assert_eq!(faults(&host), [(2, illegal), (3, illegal), (4, illegal)]);
}

#[test]
fn a_slot_that_the_image_does_not_have_panics() {
    let host = settle(vec![
        indifferent(),
        Task::new("lost", || {
            let _ = SERVER.get_task_id();
        }),
    ]);
    assert_eq!(faults(&host), [(1, FaultInfo::Panic)]);
}

#[test]
fn notify_masks_are_the_images() {
    let task = Task::new("task", || {
        assert_eq!(userlib::notify_mask(id(0)), 0b110);
        assert_eq!(userlib::notify_mask(id(1)), 0);
        rest();
    });
    let host = settle(vec![indifferent(), task.notifies(0, 0b100).notifies(0, 0b010)]);
    assert_eq!(faults(&host), []);
}

#[test]
fn timers_end_on_time_and_sleeping_is_a_timer() {
    let task = Task::new("task", || {
        assert_eq!(sys_get_timer().deadline, None);
        sys_set_timer(Some(3), 0b100);
        assert_eq!((sys_get_timer().deadline, sys_get_timer().on_dl), (Some(3), 0b100));
        assert_eq!(sys_recv_notification(0b110), 0b100);
        assert_eq!((sys_get_timer().now, sys_get_timer().deadline), (3, None));
        let deadline = set_timer_relative(4, TIMER_MASK);
        assert_eq!(deadline, 7);
        sys_recv_notification(TIMER_MASK);
        assert_eq!(sys_get_timer().now, 7);
        hl::sleep_for(10);
        assert_eq!(sys_get_timer().now, 17);
        sys_set_timer(Some(20), 1);
        sys_set_timer(None, 0);
        rest();
    });
    let mut host = Host::new(Image::new(vec![indifferent(), task]), Bare::new(1));
    assert!(!host.any_timer_armed());
    assert_eq!(host.run_until(Time::from_millis(2)), Outcome::Time);
    assert!(host.any_timer_armed());
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert!(!host.any_timer_armed());
    assert_eq!(faults(&host), []);
    assert_eq!((host.now().millis(), host.stats().ticks), (17, 3));
}

#[test]
fn interrupts_reach_their_task_once_per_enabling() {
    let count = Rc::new(Cell::new(0));
    let seen = Rc::clone(&count);
    let driver = Task::new("driver", move || {
        assert_eq!(sys_irq_status(0b100), IrqStatus::EMPTY);
        sys_irq_control(0b100, true);
        assert_eq!(sys_irq_status(0b100), IrqStatus::ENABLED);
        for round in 1..=3 {
            assert_eq!(sys_recv_notification(0b100), 0b100);
            seen.set(round);
            // The second comes while the first is being handled, and waits.
            hl::sleep_for(5);
            if round == 1 {
                assert_eq!(sys_irq_status(0b100), IrqStatus::PENDING);
                sys_irq_control(0b100, true);
            } else {
                // The third is thrown away.
                sys_irq_control_clear_pending(0b100);
            }
        }
    });
    let mut board = Bare::new(1);
    let irq = Irq(77);
    board.irq_at(Time::from_millis(1), irq);
    board.irq_at(Time::from_millis(3), irq);
    board.irq_at(Time::from_millis(8), irq);
    let mut host = Host::new(Image::new(vec![indifferent(), driver.irq(irq, 0b100)]), board);
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!((count.get(), faults(&host).len()), (2, 0));
    assert_eq!(host.stats().interrupts, 2);
}

#[test]
fn ids_are_refreshed() {
    let task = Task::new("task", || {
        assert_eq!(sys_refresh_task_id(TaskId::new(0, Generation(33))), id(0));
        let (code, len) = sys_send(TaskId::new(0, Generation(33)), 0, &[], &mut [], &[]);
        assert_eq!((extract_new_generation(code), len), (Some(Generation(0)), 0));
        rest();
    });
    let host = settle(vec![indifferent(), task.slot("supervisor", 0)]);
    assert_eq!(faults(&host), []);
}

#[test]
fn tasks_run_in_order_of_importance() {
    let order = Rc::new(std::cell::RefCell::new(Vec::new()));
    let task = |name: &str| {
        let (order, own) = (Rc::clone(&order), name.to_owned());
        Task::new(name, move || {
            order.borrow_mut().push(format!("{own} begins"));
            hl::sleep_for(3);
            order.borrow_mut().push(format!("{own} wakes"));
            rest();
        })
    };
    let host = settle(vec![task("a"), task("b"), task("c")]);
    drop(host);
    let expected = ["a begins", "b begins", "c begins", "a wakes", "b wakes", "c wakes"];
    assert_eq!(*order.borrow(), expected);
}

#[test]
fn a_more_important_task_preempts_at_a_point() {
    let order = Rc::new(std::cell::RefCell::new(Vec::new()));
    let (one, two) = (Rc::clone(&order), Rc::clone(&order));
    let driver = Task::new("driver", move || {
        sys_irq_control(1, true);
        sys_recv_notification(1);
        one.borrow_mut().push("driver");
        rest();
    });
    let worker = Task::new("worker", move || {
        while sys_get_timer().now < 2 {}
        two.borrow_mut().push("worker");
        rest();
    });
    let mut board = Bare::new(1);
    board.irq_at(Time::from_millis(1), Irq(5));
    let tasks = vec![indifferent(), driver.irq(Irq(5), 1), worker];
    let mut host = Host::new(Image::new(tasks), board);
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(*order.borrow(), ["driver", "worker"]);
}

#[test]
fn a_held_back_task_does_not_run() {
    let task = Task::new("task", || panic!("ran")).held_back();
    let host = settle(vec![indifferent(), task]);
    assert_eq!(host.task_state(TaskIndex(1)), TaskState::Healthy(SchedState::Stopped));
    assert_eq!(fault(&host, 1), None);
}
