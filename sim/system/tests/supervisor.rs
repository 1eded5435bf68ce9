//! The supervisor on the kernel: tasks die, come back, and their neighbours know.

use abi::FaultInfo;
use host::{Bare, Host, Image, Outcome, Task, Time};
use jefe::{Backoff, Config};
use jefe_api::Jefe;
use peers::{Change, Peers};
use std::cell::RefCell;
use std::rc::Rc;

userlib::task_slot!(JEFE, jefe);

const SUPERVISOR: u16 = 0;
const SERVER: u16 = 1;
const MORTAL: u16 = 2;
const PEER_CHANGED: u32 = 1;
const FIRST: u64 = 10;

/// What the tasks of a test saw, with the kernel's time.
type Diary<T> = Rc<RefCell<Vec<(u64, T)>>>;

fn now() -> u64 {
    userlib::sys_get_timer().now
}

fn supervisor() -> Task {
    Task::new("jefe", || {
        jefe::main(&Config {
            neighbours: &[0, 1 << MORTAL, 1 << SERVER],
            fault: abi::FAULT_NOTIFICATION,
            backoff: Backoff { first: FIRST, longest: 5000, quiet: 1000 },
            keep: |_| {},
        })
    })
    .notifies(SERVER, PEER_CHANGED)
    .notifies(MORTAL, PEER_CHANGED)
}

/// Writes down every change of its neighbour that it is told of.
fn watcher(seen: Diary<Change>) -> Task {
    Task::new("server", move || {
        let mut peers = Peers::new(&[MORTAL]);
        loop {
            userlib::sys_recv_notification(PEER_CHANGED);
            peers.refresh(|change| seen.borrow_mut().push((now(), change)));
        }
    })
    .slot("jefe", SUPERVISOR)
}

/// Asks for its epoch, lives for `life` milliseconds, and panics.
fn mortal(life: u64, epochs: Diary<u32>) -> Task {
    Task::new("mortal", move || {
        epochs.borrow_mut().push((now(), peers::epoch().0));
        userlib::hl::sleep_for(life);
        panic!("my time has come");
    })
    .slot("jefe", SUPERVISOR)
    .slot("server", SERVER)
}

fn run(tasks: Vec<Task>, millis: u64) -> Host<Bare> {
    let mut host = Host::new(Image::new(tasks), Bare::new(1));
    assert_eq!(host.run_until(Time::from_millis(millis)), Outcome::Time);
    host
}

#[test]
fn a_task_that_dies_is_restarted_at_once_and_then_ever_later() {
    let (seen, epochs) = (Diary::default(), Diary::default());
    let tasks = vec![supervisor(), watcher(seen), mortal(5, epochs.clone())];
    run(tasks, 300);
    let starts: Vec<u64> = epochs.borrow().iter().map(|&(at, _)| at).collect();
    let gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // 5 ms of life, then no delay, 10 ms, 20 ms, ...
    let expected = [5, 5 + FIRST, 5 + 2 * FIRST, 5 + 4 * FIRST, 5 + 8 * FIRST];
    assert_eq!(gaps, expected, "starts at {starts:?}");
}

#[test]
fn each_life_has_the_next_epoch() {
    let (seen, epochs) = (Diary::default(), Diary::default());
    run(vec![supervisor(), watcher(seen), mortal(5, epochs.clone())], 100);
    let counted: Vec<u32> = epochs.borrow().iter().map(|&(_, epoch)| epoch).collect();
    assert_eq!(counted, (0..counted.len() as u32).collect::<Vec<_>>());
    assert!(counted.len() > 2);
}

#[test]
fn a_neighbour_is_told_of_each_death_at_once_and_of_each_restart() {
    let (seen, epochs) = (Diary::default(), Diary::default());
    run(vec![supervisor(), watcher(seen.clone()), mortal(5, epochs)], 60);
    let seen = seen.borrow();
    let at: Vec<u64> = seen.iter().map(|&(at, _)| at).collect();
    // Dead and restarted; dead, restarted; dead, restarted; dead.
    assert_eq!(at, [5, 10, 20, 25, 45, 50], "{seen:?}");
    for pair in seen.windows(2) {
        assert_eq!(pair[0].1.new, pair[1].1.old, "no incarnation is missed");
    }
}

#[test]
fn the_record_says_what_killed_a_task() {
    let records = Diary::default();
    let told = records.clone();
    let asker = Task::new("asker", move || {
        userlib::hl::sleep_for(7);
        let jefe = Jefe::from(JEFE.get_task_id());
        let mut head = [0; jefe_api::PANIC_HEAD];
        let len = jefe.panic_message(MORTAL, &mut head).expect("the task is known");
        let head = String::from_utf8_lossy(&head[..usize::from(len)]).into_owned();
        told.borrow_mut().push((now(), (jefe.record(MORTAL), jefe.record(9), head)));
        userlib::hl::sleep_for(1000);
    })
    .slot("jefe", SUPERVISOR);
    let watcher = watcher(Diary::default());
    let mut supervisor = supervisor();
    supervisor.entry = Rc::new(|| {
        jefe::main(&Config {
            neighbours: &[0, 1 << MORTAL, 1 << SERVER, 0],
            fault: abi::FAULT_NOTIFICATION,
            backoff: Backoff { first: FIRST, longest: 5000, quiet: 1000 },
            keep: |_| {},
        })
    });
    run(vec![supervisor, watcher, mortal(5, Diary::default()), asker], 9);
    let records = records.borrow();
    let (record, unknown, head) = &records[0].1;
    let record = record.expect("the task is known");
    assert_eq!((record.restarts, record.deaths, record.died_at), (1, 1, 5));
    assert_eq!(record.fault, Some(FaultInfo::Panic));
    assert!(head.starts_with("my time has come"), "{head}");
    assert_eq!(*unknown, Err(jefe_api::JefeError::NoSuchTask));
}

#[test]
fn a_healthy_system_costs_the_supervisor_nothing() {
    let idle = |name: &str| {
        Task::new(name, || {
            userlib::sys_recv_notification(PEER_CHANGED);
        })
    };
    let tasks = vec![supervisor(), idle("server"), idle("mortal")];
    let mut host = Host::new(Image::new(tasks), Bare::new(1));
    assert_eq!(host.run_until(Time::from_millis(1000)), Outcome::Idle);
    assert!(!host.any_timer_armed());
    assert!(host.stats().wakeups <= 1, "{:?}", host.stats());
}
