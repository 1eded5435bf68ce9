//! Servers and clients die at any instruction.

use std::cell::Cell;
use std::rc::Rc;

use abi::{FaultInfo, Generation, TaskId};
use host::{Outcome, TaskIndex, Time};
use idol_runtime::ServerDeath;

use crate::server::{Orders, server};
use crate::types::Trouble;
use crate::{Run, client, everything};

fn orders(crashes: u32) -> Orders {
    let orders = Orders::default();
    orders.crashes.set(crashes);
    orders
}

/// Faults of the server are those that were ordered, and there are no others.
fn assert_ordered(run: &Run, crashes: usize) {
    assert_eq!(run.faults(), vec![(1, FaultInfo::Panic); crashes], "{:?}", run.said.borrow());
}

#[test]
fn operation_that_changes_something_is_asked_for_once() {
    let orders = orders(1);
    let talk = client(|| {
        let server = everything();
        assert_eq!(server.crash(), Err(Trouble::ServerDied));
        // Whoever has not taken the death in yet does not hear its successor.
        assert_eq!(server.task_id(), TaskId::new(1, Generation(0)));
        assert_eq!(server.crash(), Err(Trouble::ServerDied));
        server.refresh_task_id();
        assert_eq!(server.task_id(), TaskId::new(1, Generation(1)));
        assert_eq!(server.crash(), Ok(()));
    });
    let run = Run::of(server(&orders), vec![talk]);
    assert_ordered(&run, 1);
    assert_eq!(orders.asked.get(), 2);
}

#[test]
fn question_is_asked_again_until_it_is_answered() {
    for crashes in 0..=3 {
        let orders = orders(crashes);
        let talk = client(|| {
            assert_eq!(everything().ask_and_crash(), Ok(()));
        });
        let run = Run::of(server(&orders), vec![talk]);
        assert_ordered(&run, crashes as usize);
        assert_eq!(orders.asked.get(), crashes + 1);
    }
}

#[test]
fn question_that_kills_four_servers_is_given_up() {
    let orders = orders(9);
    let talk = client(|| {
        assert_eq!(everything().ask_and_crash(), Err(Trouble::ServerDied));
    });
    let run = Run::of(server(&orders), vec![talk]);
    assert_ordered(&run, 4);
    assert_eq!(orders.asked.get(), 4);
}

#[test]
fn question_without_an_error_type_says_server_death() {
    let orders = orders(4);
    let talk = client(|| {
        assert_eq!(everything().is_even(2), Err(ServerDeath));
        assert_eq!(everything().is_even(2), Ok(true));
    });
    let run = Run::of(server(&orders), vec![talk]);
    assert_ordered(&run, 4);
}

#[test]
fn question_that_cannot_fail_ends_its_client_after_four_deaths() {
    let talk = client(|| {
        everything().ping(1);
    });
    let run = Run::of(server(&orders(9)), vec![talk]);
    assert_eq!(run.faults().last(), Some(&(2, FaultInfo::Panic)));
    let said = run.said.borrow();
    let last = said.last().expect("it said why");
    assert!(last.starts_with("Everything.ping: the server died each time it was asked"), "{last}");
}

#[test]
fn refreshed_client_does_not_meet_the_dead_code() {
    let orders = orders(1);
    let talk = client(|| {
        let (one, other) = (everything(), everything());
        assert_eq!(one.crash(), Err(Trouble::ServerDied));
        other.refresh_task_id();
        assert_eq!(other.task_id(), TaskId::new(1, Generation(1)));
        assert_eq!(other.crash(), Ok(()));
    });
    assert_ordered(&Run::of(server(&orders), vec![talk]), 1);
}

/// Two clients, one of which lends memory. Answers how often the other one was
/// answered.
fn lending() -> (Run, Rc<Cell<u32>>) {
    let answers = Rc::new(Cell::new(0));
    let counted = Rc::clone(&answers);
    let lender = client(|| {
        for _ in 0..4 {
            let (mut to, mut both) = ([0; 64], [1_u32, 2]);
            match everything().copy(b"music", &mut to, &mut both) {
                Ok(len) => assert_eq!((len, &to[..5], both), (5, &b"music"[..], [2, 3])),
                Err(error) => assert_eq!(error, Trouble::ServerDied),
            }
        }
    });
    let asker = client(move || {
        while counted.get() < 4 {
            assert_eq!(everything().is_even(2), Ok(true));
            counted.set(counted.get() + 1);
        }
    });
    (Run::before(server(&Orders::default()), vec![lender, asker]), answers)
}

/// A client that goes away in the middle of its request is neither answered
/// nor faulted, and does not harm the server; a server that goes away is told
/// to its clients, who go on.
#[test]
fn killed_at_each_point_nobody_else_is_harmed() {
    let (mut run, answers) = lending();
    run.finish();
    let points = run.host.points();
    assert!(answers.get() == 4 && points > 50, "{points}");
    for point in 0..=points {
        for task in [TaskIndex(1), TaskIndex(2)] {
            let (mut run, answers) = lending();
            run.host.kill_at(point, Some(task));
            let outcome = run.host.run_until(Time::NEVER);
            assert_eq!(outcome, Outcome::Idle, "{task:?} killed at {point}");
            assert_eq!(answers.get(), 4, "{task:?} killed at {point}");
            let by = FaultInfo::Injected(TaskId::KERNEL);
            assert_eq!(run.faults(), [(task.0, by)], "{task:?} killed at {point}");
        }
    }
}
