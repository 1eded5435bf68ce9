//! The kernel, `userlib` and the host together: tasks as real tasks are
//! written, on a board with little on it.

mod calls;
mod core1;
mod deaths;
mod supervisor;
mod world;

use host::{Bare, Host, Image, Outcome, Record, Task, TaskIndex, Time};
use userlib::{FaultInfo, TaskState};

/// Runs `tasks` until nothing happens any more.
fn settle(tasks: Vec<Task>) -> Host<Bare> {
    let mut host = Host::new(Image::new(tasks), Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    host
}

/// A supervisor that lets the faulted be.
fn indifferent() -> Task {
    Task::new("supervisor", || {
        loop {
            userlib::sys_recv_notification(1);
        }
    })
}

/// Waits for ever.
fn rest() -> ! {
    loop {
        userlib::sys_recv_notification(0);
    }
}

/// The faults so far, in order. An assertion that fails inside a task is one.
fn faults(host: &Host<Bare>) -> Vec<(u8, FaultInfo)> {
    let records = &host.board().records;
    let faults = records.iter().filter_map(|(_, record)| match record {
        Record::Fault { task, fault } => Some((task.0, *fault)),
        _ => None,
    });
    faults.collect()
}

fn fault(host: &Host<Bare>, task: u8) -> Option<FaultInfo> {
    match host.task_state(TaskIndex(task)) {
        TaskState::Faulted { fault, .. } => Some(fault),
        TaskState::Healthy(_) => None,
    }
}
