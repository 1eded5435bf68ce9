//! Tasks die at any point, and come back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use host::{Bare, Host, Image, Outcome, Record, Task, TaskIndex, Time};
use userlib::{
    FaultInfo, Generation, TaskId, extract_new_generation, sys_post, sys_recv_open, sys_reply,
    sys_send, task_slot,
};

use crate::supervisor::restarter;
use crate::{faults, indifferent, rest, settle};

task_slot!(SERVER, server);

/// A server that adds, a client that asks it until it has 20 right answers.
fn adding(said: &Rc<RefCell<Vec<String>>>, seed: u64) -> (Host<Bare>, Rc<Cell<u32>>) {
    let done = Rc::new(Cell::new(0));
    let answers = Rc::clone(&done);
    let server = Task::new("server", || {
        let mut buffer = [0; 8];
        loop {
            let message = sys_recv_open(&mut buffer, 0);
            let mut data = [0; 4];
            let (code, len) = userlib::sys_borrow_read(message.sender, 0, 0, &mut data);
            if code == 0 {
                let sum: u8 = data[..len].iter().sum();
                sys_reply(message.sender, 0, &[sum]);
            }
        }
    });
    let client = Task::new("client", move || {
        let mut server = SERVER.get_task_id();
        let mut right = 0;
        while right < 20 {
            let mut answer = [0];
            let lease = [userlib::Lease::read_only(&[1, 2, 3, 4])];
            let (code, len) = sys_send(server, 0, &[], &mut answer, &lease);
            match extract_new_generation(code) {
                Some(generation) => server = TaskId::new(1, generation),
                None => {
                    assert_eq!((code, len, answer), (0, 1, [10]));
                    right += 1;
                }
            }
        }
        answers.set(right);
        rest();
    });
    let tasks = vec![restarter(said), server, client.slot("server", 1)];
    (Host::new(Image::new(tasks), Bare::new(seed)), done)
}

#[test]
fn killed_at_each_point_and_restarted_the_work_gets_done() {
    let said = Rc::default();
    let (mut host, done) = adding(&said, 3);
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    let points = host.points();
    assert!(done.get() == 20 && points > 80);
    for point in 0..=points {
        for task in [None, Some(TaskIndex(1)), Some(TaskIndex(2))] {
            let (mut host, done) = adding(&said, 3);
            host.kill_at(point, task);
            assert_eq!(host.run_until(Time::NEVER), Outcome::Idle, "killed {task:?} at {point}");
            assert_eq!(done.get(), 20, "killed {task:?} at {point}");
            let killed = faults(&host);
            let by = FaultInfo::Injected(TaskId::KERNEL);
            assert!(matches!(killed[..], [(_, fault)] if fault == by), "{killed:?} at {point}");
        }
    }
}

#[test]
fn a_task_can_be_killed_from_outside() {
    let said = Rc::default();
    let (mut host, done) = adding(&said, 3);
    host.run_until(Time(5_000));
    host.kill(TaskIndex(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!((done.get(), faults(&host).len()), (20, 1));
}

#[test]
fn a_killed_tasks_destructors_do_not_run() {
    struct Loud(Rc<Cell<bool>>);
    impl Drop for Loud {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = Rc::new(Cell::new(false));
    let flag = Rc::clone(&dropped);
    let task = Task::new("task", move || {
        let _loud = Loud(Rc::clone(&flag));
        rest();
    });
    let said = Rc::default();
    let mut host = Host::new(Image::new(vec![restarter(&said), task]), Bare::new(1));
    host.run_until(Time::NEVER);
    host.kill(TaskIndex(1));
    host.run_until(Time::NEVER);
    drop(host);
    assert!(!dropped.get());
}

#[test]
fn system_calls_of_destructors_are_dead_while_a_panic_unwinds() {
    struct Poster;
    impl Drop for Poster {
        fn drop(&mut self) {
            // Would be a fault of its own, and wake somebody.
            sys_post(TaskId::new(1, Generation(0)), 1);
            let _ = userlib::sys_get_timer();
        }
    }
    let neighbour = Task::new("neighbour", || {
        sys_recv_open(&mut [], 1);
    });
    let task = Task::new("task", || {
        let _poster = Poster;
        panic!("away");
    });
    let host = settle(vec![indifferent(), neighbour, task.notifies(1, 1)]);
    assert_eq!(faults(&host), [(2, FaultInfo::Panic)]);
    // Its one system call is PANIC.
    assert_eq!(host.stats().tasks[2].syscalls, 1);
}

#[test]
fn instances_outlive_their_task() {
    let said = Rc::default();
    let task = Task::new("task", || {
        static KEY: u8 = 0;
        let key = (&raw const KEY).addr();
        let cell =
            seam::with(|machine| machine.instance(key, "RUNS", &|| Rc::new(Cell::new(0_u32))));
        let runs = cell.downcast::<Cell<u32>>().unwrap();
        runs.set(runs.get() + 1);
        if runs.get() < 4 {
            drop(runs);
            panic!("again");
        }
        drop(runs);
        rest();
    });
    let tasks = vec![restarter(&said), task.clone(), task];
    let mut host = Host::new(Image::new(tasks), Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    for task in [1, 2] {
        let instances = host.instances(Some(TaskIndex(task)));
        assert_eq!((instances.len(), instances[0].name), (1, "RUNS"));
        assert_eq!(instances[0].value.downcast_ref::<Cell<u32>>().unwrap().get(), 4);
    }
    assert!(host.instances(None).is_empty());
}

#[test]
fn a_host_can_be_dropped_in_the_middle_and_its_stacks_used_again() {
    for round in 0..50 {
        let said = Rc::default();
        let (mut host, _) = adding(&said, round);
        host.run_until(Time(1_000 * round));
        if round % 2 == 0 {
            let board = host.into_board();
            assert!(matches!(board.records[0].1, Record::Begin { .. }));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let trace = |seed| {
        let said = Rc::default();
        let (mut host, _) = adding(&said, seed);
        host.kill_at(40, None);
        host.run_until(Time::NEVER);
        host.into_board().records
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn simulations_on_other_threads_do_not_meet() {
    let trace = |seed| {
        let said = Rc::default();
        let (mut host, _) = adding(&said, seed);
        host.run_until(Time::NEVER);
        host.into_board().records
    };
    let alone: Vec<_> = (0..8).map(trace).collect();
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(move || trace(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(alone == together);
}
