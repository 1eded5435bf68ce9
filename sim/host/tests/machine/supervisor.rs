//! The supervisor's requests through `userlib::kipc`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use host::{Bare, Host, Image, Irq, KernelPanic, Outcome, Task, TaskIndex, Time};
use userlib::kipc::{self, ReadPanicMessageError};
use userlib::{
    FaultInfo, Generation, SchedState, TaskId, TaskState, UsageError, hl, sys_irq_control,
    sys_recv_notification, sys_recv_open,
};

use crate::{faults, rest};

/// Restarts whatever faults, and keeps what panicked tasks said.
pub(crate) fn restarter(said: &Rc<RefCell<Vec<String>>>) -> Task {
    let said = Rc::clone(said);
    Task::new("supervisor", move || {
        loop {
            sys_recv_notification(abi::FAULT_NOTIFICATION);
            let mut next = 1;
            while let Some(task) = kipc::find_faulted_task(next) {
                let task = task.get();
                let mut text = [0; abi::PANIC_MESSAGE_MAX_LEN];
                let message = kipc::read_panic_message(task, &mut text);
                said.borrow_mut().push(match message {
                    Ok(text) => String::from_utf8_lossy(text).into_owned(),
                    Err(error) => format!("{error:?}"),
                });
                kipc::restart_task(task, true);
                next = task + 1;
            }
        }
    })
}

#[test]
fn a_panicked_task_is_found_heard_and_restarted() {
    let said = Rc::default();
    let runs = Rc::new(Cell::new(0));
    let counted = Rc::clone(&runs);
    let task = Task::new("task", move || {
        counted.set(counted.get() + 1);
        if counted.get() < 3 {
            panic!("run {}", counted.get());
        }
        rest();
    });
    let mut host = Host::new(Image::new(vec![restarter(&said), task]), Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(runs.get(), 3);
    let said = said.borrow();
    assert_eq!(said.len(), 2);
    assert!(said[0].starts_with("run 1, ") && said[1].starts_with("run 2, "), "{said:?}");
    assert!(said[0].contains("supervisor.rs:"), "{said:?}");
    assert_eq!(faults(&host), [(1, FaultInfo::Panic), (1, FaultInfo::Panic)]);
    assert_eq!(host.kernel().task(TaskIndex(1)).generation(), Generation(2));
    assert_eq!(host.stats().tasks[1].incarnations, 3);
}

#[test]
fn a_main_that_returns_is_a_panic() {
    let said = Rc::default();
    let first = Cell::new(true);
    let task = Task::new("task", move || {
        if !first.replace(false) {
            rest();
        }
    });
    let mut host = Host::new(Image::new(vec![restarter(&said), task]), Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(*said.borrow(), ["main returned"]);
}

#[test]
fn a_long_panic_message_is_cut() {
    let said = Rc::default();
    let first = Cell::new(true);
    let task = Task::new("task", move || {
        if first.replace(false) {
            panic!("{}", "x".repeat(1000));
        }
        rest();
    });
    let mut host = Host::new(Image::new(vec![restarter(&said), task]), Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(*said.borrow(), ["x".repeat(abi::PANIC_MESSAGE_MAX_LEN)]);
}

#[test]
fn every_request_is_answered() {
    let supervisor = Task::new("supervisor", || {
        assert_eq!(kipc::read_image_id(), 0xABCD);
        assert_eq!(kipc::read_task_status(0), TaskState::Healthy(SchedState::Runnable));
        assert_eq!(kipc::read_task_status(1), TaskState::Healthy(SchedState::Stopped));
        assert_eq!(kipc::find_faulted_task(0), None);
        kipc::restart_task(1, true);
        hl::sleep_for(1);
        assert_eq!(kipc::read_task_status(1), TaskState::Healthy(SchedState::InRecv(None)));
        kipc::software_irq(1, 0b10);
        hl::sleep_for(1);
        let waits = SchedState::InRecv(Some(TaskId::KERNEL));
        assert_eq!(kipc::read_task_status(1), TaskState::Healthy(waits));
        kipc::fault_task(1);
        assert_eq!(kipc::find_faulted_task(0).unwrap().get(), 1);
        // A simulated task leaves nothing behind that is not seen where it is.
        let mut remains = [0xA5; 64];
        kipc::read_remains(1, &mut remains);
        assert_eq!(remains, [0xA5; 64]);
        let fault = FaultInfo::Injected(TaskId::new(0, Generation(0)));
        let faulted = TaskState::Faulted { fault, original_state: waits };
        assert_eq!(kipc::read_task_status(1), faulted);
        let text = &mut [0; abi::PANIC_MESSAGE_MAX_LEN];
        let none = Err(ReadPanicMessageError::TaskNotPanicked);
        assert_eq!(kipc::read_panic_message(1, text), none);
        kipc::restart_task(1, false);
        assert_eq!(kipc::read_task_status(1), TaskState::Healthy(SchedState::Stopped));
        kipc::system_restart();
    });
    let task = Task::new("task", || {
        sys_irq_control(0b10, true);
        assert_eq!(sys_recv_open(&mut [], 0b10).operation, 0b10);
        rest();
    });
    let task = task.held_back().irq(Irq(9), 0b10);
    let mut image = Image::new(vec![supervisor, task]);
    image.id = 0xABCD;
    let mut host = Host::new(image, Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Reset);
}

#[test]
fn a_fault_of_the_supervisor_ends_the_run() {
    let supervisor = Task::new("supervisor", || panic!("cannot"));
    let mut host = Host::new(Image::new(vec![supervisor]), Bare::new(1));
    let panic = KernelPanic::SupervisorFault(FaultInfo::Panic);
    assert_eq!(host.run_until(Time::NEVER), Outcome::KernelPanic(panic));

    let supervisor = Task::new("supervisor", || kipc::restart_task(0, true));
    let mut host = Host::new(Image::new(vec![supervisor]), Bare::new(1));
    let fault = FaultInfo::SyscallUsage(UsageError::IllegalTask);
    let panic = KernelPanic::SupervisorFault(fault);
    assert_eq!(host.run_until(Time::NEVER), Outcome::KernelPanic(panic));
}

#[test]
fn nothing_is_lost_between_a_fault_and_a_look() {
    // Two tasks fault before the supervisor gets to look: both are found.
    let said = Rc::default();
    let task = |name| {
        let first = Cell::new(true);
        Task::new(name, move || {
            if first.replace(false) {
                panic!("{name}");
            }
            rest();
        })
    };
    let mut host =
        Host::new(Image::new(vec![restarter(&said), task("b"), task("c")]), Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(said.borrow().len(), 2);
}
