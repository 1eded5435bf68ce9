//! Random sequences of system calls, faults, restarts and interrupts.
//!
//! After each step [`Bench::check`] holds: the ready set is who is runnable,
//! each senders word is who waits in SEND, nobody waits for the dead, nobody
//! sleeps over what it waits for, and the deadline is the earliest.

use crate::bench::{Bench, RAM, TASKS};
use abi::{Generation, SchedState, Sysnum, TaskId, TaskState};
use kern::{Irq, TaskIndex};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{collection, proptest};

/// What happens next. System calls are the running task's.
#[derive(Copy, Clone, Debug)]
enum Step {
    Send { to: u8, len: u8, stale: bool },
    Recv { mask: u8, from: Option<u8> },
    Reply { to: u8, code: u32, len: u8 },
    ReplyRecv { to: u8, code: u32, len: u8, mask: u8 },
    ReplyFault { to: u8 },
    Post { to: u8, bits: u8 },
    Timer { after: Option<u8>, bits: u8 },
    Borrow { from: u8, write: bool },
    Irq { irq: u8 },
    IrqControl { enable: bool },
    Tick { after: u8 },
    Fault { task: u8 },
    Restart { task: u8, start: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let task = 0..TASKS as u8;
    let mask = 0..16u8;
    let len = 0..100u8;
    prop_oneof![
        4 => (task.clone(), len.clone(), proptest::bool::weighted(0.1))
            .prop_map(|(to, len, stale)| Step::Send { to, len, stale }),
        4 => (mask.clone(), proptest::option::weighted(0.3, task.clone()))
            .prop_map(|(mask, from)| Step::Recv { mask, from }),
        4 => (task.clone(), any::<u32>(), len.clone())
            .prop_map(|(to, code, len)| Step::Reply { to, code, len }),
        4 => (task.clone(), any::<u32>(), len, mask.clone())
            .prop_map(|(to, code, len, mask)| Step::ReplyRecv { to, code, len, mask }),
        1 => task.clone().prop_map(|to| Step::ReplyFault { to }),
        2 => (task.clone(), mask.clone()).prop_map(|(to, bits)| Step::Post { to, bits }),
        2 => (proptest::option::of(0..20u8), mask)
            .prop_map(|(after, bits)| Step::Timer { after, bits }),
        2 => (task.clone(), any::<bool>()).prop_map(|(from, write)| Step::Borrow { from, write }),
        1 => (40..44u8).prop_map(|irq| Step::Irq { irq }),
        1 => any::<bool>().prop_map(|enable| Step::IrqControl { enable }),
        1 => (0..10u8).prop_map(|after| Step::Tick { after }),
        1 => (1..TASKS as u8).prop_map(|task| Step::Fault { task }),
        1 => (1..TASKS as u8, any::<bool>())
            .prop_map(|(task, start)| Step::Restart { task, start }),
        1 => Just(Step::Tick { after: 0 }),
    ]
}

fn bench() -> Bench {
    with_tables(Bench::new())
}

fn with_tables(mut bench: Bench) -> Bench {
    let n = TASKS as u8;
    bench.platform.posts = (0..n).flat_map(|a| (0..n).map(move |b| (a, b, 0xF))).collect();
    bench.platform.irqs = (0..n).map(|task| (u32::from(task) + 40, task, 1)).collect();
    bench
}

/// Does `step`; `split` makes REPLY_RECV two system calls.
fn apply(bench: &mut Bench, step: Step, split: bool) {
    match step {
        Step::Irq { irq } => bench.kernel.interrupt(&mut bench.platform, Irq(u32::from(irq))),
        Step::Tick { after } => {
            bench.platform.now += u64::from(after);
            bench.kernel.tick(&mut bench.platform);
        }
        Step::Fault { task } => bench.break_task(task),
        // The supervisor runs when it is asked to restart somebody.
        Step::Restart { task, start } if bench.is(0, SchedState::Runnable) => {
            bench.restart(task, start);
        }
        Step::Restart { .. } => {}
        _ => {
            if let Some(task) = bench.kernel.current() {
                system_call(bench, task.0, step, split);
            }
        }
    }
    bench.check();
}

fn system_call(bench: &mut Bench, task: u8, step: Step, split: bool) {
    let id = |to: u8, stale: bool| {
        let id = TaskId::new(u16::from(to), bench.kernel.task(TaskIndex(to)).generation());
        if stale { TaskId::new(id.index() as u16, Generation(id.generation().0 ^ 1)) } else { id }
    };
    let ram = bench.memory[usize::from(task)].ram;
    let words =
        |id: TaskId, code: u32, len: u8| [usize::from(id.0), code as usize, ram, len.into()];
    match step {
        // Only what a correct task may do: faults have tests of their own.
        Step::Send { to, .. } if to >= task => {}
        Step::Send { to, len, stale } => {
            let to = id(to, stale);
            let table = bench.lease_table(task, &[(abi::LeaseAttributes(3), ram, 16)]);
            let target = usize::from(to.0) << 16 | 1;
            let arguments = [target, ram, len.into(), ram + RAM / 2, 64, table, 1];
            bench.call(task, Sysnum::Send, arguments);
        }
        Step::Recv { mask, from: Some(from) } => {
            let from = if from == task { TaskId::KERNEL } else { id(from, false) };
            bench.recv_from(task, mask.into(), from);
        }
        Step::Recv { mask, from: None } => {
            bench.recv(task, mask.into());
        }
        Step::Reply { to, code, len } => {
            let to = id(to, false);
            bench.reply(task, to, code, len.into());
        }
        Step::ReplyRecv { to, code, len, mask } => {
            let [a, b, c, d] = words(id(to, false), code, len);
            if split {
                bench.call(task, Sysnum::Reply, [a, b, c, d, 0, 0, 0]);
                bench.call(task, Sysnum::Recv, [ram, 64, mask.into(), 0, 0, 0, 0]);
            } else {
                bench.call(task, Sysnum::ReplyRecv, [a, b, c, d, ram, 64, mask.into()]);
            }
        }
        Step::ReplyFault { to: 0 } => {}
        Step::ReplyFault { to } => {
            let to = id(to, false);
            bench.call(task, Sysnum::ReplyFault, [to.0.into(), 0, 0, 0, 0, 0, 0]);
        }
        Step::Post { to, bits } => {
            let to = id(to, false);
            bench.post(task, to, bits.into());
        }
        Step::Timer { after, bits } => {
            let deadline = bench.platform.now as usize + usize::from(after.unwrap_or(0));
            let set = usize::from(after.is_some());
            bench.call(task, Sysnum::SetTimer, [set, deadline, 0, bits.into(), 0, 0, 0]);
        }
        Step::Borrow { from, write } => {
            let from = id(from, false);
            let number = if write { Sysnum::BorrowWrite } else { Sysnum::BorrowRead };
            bench.call(task, number, [from.0.into(), 0, 3, ram, 8, 0, 0]);
        }
        Step::IrqControl { enable } => {
            bench.call(task, Sysnum::IrqControl, [1, usize::from(enable), 0, 0, 0, 0, 0]);
        }
        Step::Irq { .. } | Step::Tick { .. } | Step::Fault { .. } | Step::Restart { .. } => {
            unreachable!("no system call")
        }
    }
}

/// What tells two tasks apart, without the addresses of their memory.
#[derive(Debug, PartialEq)]
struct Picture {
    state: TaskState,
    generation: Generation,
    notifications: u32,
    senders: u32,
    memory: Vec<u8>,
    /// Of a running task alone: what a waiting one's registers hold is addresses.
    results: Option<[usize; 2]>,
}

fn picture(bench: &Bench) -> Vec<Picture> {
    let tasks = bench.kernel.tasks().iter().enumerate();
    tasks
        .map(|(index, task)| {
            let registers = task.save().registers();
            Picture {
                state: task.state(),
                generation: task.generation(),
                notifications: task.notifications().0,
                senders: task.senders(),
                memory: bench.read(index as u8, 0, 256),
                results: bench
                    .is(index as u8, SchedState::Runnable)
                    .then_some([registers[0], registers[1]]),
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn invariants_hold_after_any_sequence(steps in collection::vec(step(), 1..200)) {
        let mut bench = bench();
        for step in steps {
            apply(&mut bench, step, false);
        }
    }

    /// REPLY_RECV is REPLY, then RECV: two kernels that differ in nothing else
    /// stay equal.
    #[test]
    fn reply_recv_equals_reply_then_recv(steps in collection::vec(step(), 1..100)) {
        let (mut one, mut two) = (bench(), bench());
        for step in steps {
            apply(&mut one, step, false);
            apply(&mut two, step, true);
            assert_eq!(picture(&one), picture(&two));
        }
    }

    /// The short way of a message (`quick.rs`) does what the full one does.
    #[test]
    fn the_short_way_equals_the_full_one(steps in collection::vec(step(), 1..100)) {
        let (mut short, mut full) = (bench(), with_tables(Bench::on_the_full_way()));
        for step in steps {
            apply(&mut short, step, false);
            apply(&mut full, step, false);
            assert_eq!(picture(&short), picture(&full));
        }
    }
}
