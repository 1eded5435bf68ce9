//! Devices, DMA memory, hangs, and whose mistake is whose.

use addr::{PAGE, Phys};
use host::{Access, Bare, Host, Image, Irq, Limits, Outcome, Span, Task, TaskIndex, Time};
use userlib::{FaultInfo, FaultSource, TaskState, sys_get_timer, sys_recv_notification};

use crate::{faults, indifferent, rest, settle};

const RAM: Span = Span { base: Phys(0x4000_0000), len: 0x1000, access: Access::Dma };
const ROM: Span = Span { base: Phys(0x5000_0000), len: 0x1000, access: Access::DmaRead };

fn pool(span: Span) -> dma::Pool {
    // SAFETY: on a host there is nothing to promise.
    unsafe { dma::Pool::new(0, span.base, (span.len / u64::from(PAGE)) as u16 + 1) }
}

fn registers(base: Phys) -> mmio::Registers {
    // SAFETY: as in `pool`.
    unsafe { mmio::Registers::new(base, 0x2000) }
}

fn refused(at: u64) -> FaultInfo {
    FaultInfo::MemoryAccess { address: Some(at as u32), source: FaultSource::User }
}

#[test]
fn dma_memory_is_shared_between_those_who_have_it() {
    let writer = Task::new("writer", || {
        pool(RAM).write(16, b"shared");
        dma::publish();
        rest();
    });
    let reader = Task::new("reader", || {
        dma::acquire();
        let mut bytes = [0; 6];
        pool(RAM).read(16, &mut bytes);
        assert_eq!(&bytes, b"shared");
        rest();
    });
    let reading = Span { access: Access::DmaRead, ..RAM };
    let host = settle(vec![indifferent(), writer.memory(RAM), reader.memory(reading)]);
    assert_eq!(faults(&host), []);
}

#[test]
fn an_access_that_the_image_does_not_give_is_a_fault() {
    let cases: [(fn(), u64); 7] = [
        (
            || {
                let _ = pool(RAM).read32(0x1000);
            },
            0x4000_1000,
        ),
        (|| pool(RAM).write(0xFFC, &[0; 8]), 0x4000_0FFC),
        (|| pool(ROM).write32(4, 1), 0x5000_0004),
        (
            || {
                let _ = registers(RAM.base).read32(8);
            },
            0x4000_0008,
        ),
        (|| registers(RAM.base).write32(8, 0), 0x4000_0008),
        (
            || {
                let _ = registers(Phys(0x900_0000)).read8(3);
            },
            0x900_0003,
        ),
        (
            || {
                let _ = pool(Span { base: Phys(0x900_0000), ..RAM }).read32(0);
            },
            0x900_0000,
        ),
    ];
    for (access, at) in cases {
        let task = Task::new("task", access).memory(RAM).memory(ROM);
        let host = settle(vec![indifferent(), task]);
        assert_eq!(faults(&host), [(1, refused(at))]);
    }
}

#[test]
fn registers_are_the_boards() {
    let device = Span { base: Phys(0x900_0000), len: 0x1000, access: Access::Device };
    let task = Task::new("task", || {
        let registers = registers(Phys(0x900_0000));
        registers.write32(8, 5);
        assert_eq!(registers.read32(8), 6);
        assert_eq!(registers.read8(11), 6);
        rest();
    });
    let mut board = Bare::new(1);
    let mut register = 0;
    board.registers = Box::new(move |at, written| {
        assert!(at == Phys(0x900_0008) || at == Phys(0x900_000B));
        register = written.map_or(register, |value| value + 1);
        Ok(register)
    });
    let image = Image::new(vec![indifferent(), task.memory(device)]);
    let mut host = Host::new(image, board);
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(faults(&host), []);
}

#[test]
fn what_the_bus_refuses_is_a_bus_fault() {
    let device = Span { base: Phys(0x900_0000), len: 0x1000, access: Access::Device };
    let task = Task::new("task", || {
        registers(Phys(0x900_0000)).write32(0x18, 1);
    });
    let host = settle(vec![indifferent(), task.memory(device)]);
    let fault = FaultInfo::BusError { address: Some(0x900_0018), source: FaultSource::User };
    assert_eq!(faults(&host), [(1, fault)]);
}

#[test]
fn a_task_has_no_monitor_and_no_peer_space() {
    let calls: [fn(); 3] = [
        || {
            let _ = seam::with(|machine| machine.monitor([0; 6]));
        },
        || seam::with(|machine| machine.peer_read(0, &mut [0])),
        || seam::with(|machine| machine.peer_write(0, &[0])),
    ];
    for call in calls {
        let host = settle(vec![indifferent(), Task::new("task", call)]);
        assert_eq!(faults(&host), [(1, FaultInfo::IllegalInstruction)]);
    }
}

#[test]
fn a_loop_that_never_waits_is_a_hang() {
    let spinner = Task::new("spinner", || {
        loop {
            let _ = sys_get_timer();
        }
    });
    let mut image = Image::new(vec![indifferent(), spinner]);
    image.limits = Limits { spin: 1000, busy: 10_000 };
    let mut host = Host::new(image, Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Hang(Some(TaskIndex(1))));
    assert_eq!(host.points(), 1002);
}

#[test]
fn two_tasks_that_keep_each_other_busy_are_a_hang() {
    let post = |to: u16| {
        move || {
            let to = userlib::TaskId::new(to, userlib::Generation(0));
            loop {
                userlib::sys_post(to, 1);
                sys_recv_notification(1);
            }
        }
    };
    let one = Task::new("one", post(2)).notifies(2, 1);
    let two = Task::new("two", post(1)).notifies(1, 1);
    let mut image = Image::new(vec![indifferent(), one, two]);
    image.limits = Limits { spin: 1000, busy: 10_000 };
    let mut host = Host::new(image, Bare::new(1));
    assert!(matches!(host.run_until(Time::NEVER), Outcome::Hang(Some(_))));
}

#[test]
fn time_stops_where_it_was_asked_to() {
    let task = Task::new("task", || {
        loop {
            userlib::hl::sleep_for(10);
        }
    });
    let mut host = Host::new(Image::new(vec![indifferent(), task]), Bare::new(1));
    for ms in [5, 35, 36] {
        assert_eq!(host.run_until(Time::from_millis(ms)), Outcome::Time);
        assert_eq!(host.now(), Time::from_millis(ms));
    }
    assert_eq!(host.stats().ticks, 3);
    let mut left = 20;
    let outcome = host.run_while(Time::NEVER, |_| {
        left -= 1;
        left > 0
    });
    assert_eq!(outcome, Outcome::Condition);
}

#[test]
fn waking_up_is_counted_once_per_sleep() {
    let task = Task::new("task", || {
        for _ in 0..3 {
            userlib::hl::sleep_for(10);
            let _ = sys_get_timer();
        }
        rest();
    });
    let host = settle(vec![indifferent(), task]);
    // At the start, and at the end of each sleep.
    assert_eq!((host.stats().wakeups, host.stats().ticks), (4, 3));
}

#[test]
#[should_panic(expected = "model bug at Phys(0x9000000)")]
fn a_models_panic_is_not_the_tasks() {
    let device = Span { base: Phys(0x900_0000), len: 0x1000, access: Access::Device };
    let task = Task::new("task", || {
        let _ = registers(Phys(0x900_0000)).read32(0);
    });
    let image = Image::new(vec![indifferent(), task.memory(device)]);
    let mut board = Bare::new(1);
    board.registers = Box::new(|at, _| panic!("model bug at {at:?}"));
    let mut host = Host::new(image, board);
    host.run_until(Time::NEVER);
}

#[test]
#[should_panic(expected = "two owners")]
fn an_interrupt_with_two_owners_is_refused() {
    let task = || Task::new("task", || rest()).irq(Irq(3), 1);
    let _ = Host::new(Image::new(vec![indifferent(), task(), task()]), Bare::new(1));
}

#[test]
fn a_faulted_task_keeps_its_state_for_who_looks() {
    let host = settle(vec![indifferent(), Task::new("task", || panic!("x"))]);
    assert!(matches!(host.task_state(TaskIndex(1)), TaskState::Faulted { .. }));
    assert_eq!(host.task_name(TaskIndex(1)), "task");
    assert_eq!(host.task_named("task"), Some(TaskIndex(1)));
    assert_eq!(host.task_named("nobody"), None);
}

#[test]
fn time_passes_where_nothing_can_happen_and_not_past_what_can() {
    let task = Task::new("task", || {
        userlib::sys_set_timer(Some(20), 1);
        sys_recv_notification(1);
        rest();
    });
    let mut host = Host::new(Image::new(vec![indifferent(), task]), Bare::new(1));
    let before = Time::from_millis(10);
    assert_eq!(host.run_until(before), Outcome::Time);
    host.pass(Time::from_millis(30));
    assert_eq!(host.now(), before, "a timer is due at 20");
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert!(host.now() < Time::from_millis(30));
    host.pass(Time::from_millis(30));
    assert_eq!(host.now(), Time::from_millis(30));
    assert_eq!(faults(&host), []);
}
