//! The DSP's program on core 1.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use addr::Phys;
use host::{
    Access, Bare, Core1Death, Core1Order, Host, Image, Limits, MonitorAnswer, Outcome, Span, Task,
    Time,
};
use userlib::sys_get_timer;

use crate::{faults, indifferent, rest};

fn call(number: u32) -> [u32; 4] {
    seam::with(|machine| machine.monitor([number, 0, 0, 0, 0, 0]))
}

/// A machine whose program is `program`, started at 1 ms.
fn dsp(program: impl Fn() + 'static, board: Bare) -> Host<Bare> {
    let mut board = board;
    board.order_at(Time::from_millis(1), Core1Order::Start);
    Host::new(Image::new(vec![indifferent()]).core1(program), board)
}

#[test]
fn the_program_runs_when_it_is_ordered_and_its_calls_are_answered() {
    let mut board = Bare::new(1);
    let calls = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&calls);
    board.monitor = Box::new(move |call| {
        seen.borrow_mut().push(call[0]);
        match call[0] {
            3 => MonitorAnswer::Wait,
            number => MonitorAnswer::Return([number + 1; 4]),
        }
    });
    let program = || {
        assert_eq!(call(1), [2; 4]);
        assert_eq!(call(8), [9; 4]);
        call(3);
        unreachable!("nobody wakes it");
    };
    let mut host = dsp(program, board);
    assert_eq!(host.run_until(Time(999_999)), Outcome::Time);
    assert!(calls.borrow().is_empty());
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(*calls.borrow(), [1, 8, 3]);
    assert_eq!(host.stats().core1_points, 3);
    // Core 0 saw nothing of it.
    assert_eq!(host.stats().wakeups, 1);
    assert_eq!(host.board().deaths, []);
}

#[test]
fn a_waiting_call_is_made_again_at_each_wake() {
    let mut board = Bare::new(1);
    let left = Rc::new(Cell::new(3));
    let count = Rc::clone(&left);
    board.monitor = Box::new(move |_| {
        if count.get() == 0 {
            return MonitorAnswer::Fault;
        }
        count.set(count.get() - 1);
        if count.get() == 0 { MonitorAnswer::Return([7; 4]) } else { MonitorAnswer::Wait }
    });
    for ms in 2..6 {
        board.order_at(Time::from_millis(ms), Core1Order::Wake);
    }
    let mut host = dsp(|| while call(1) == [7; 4] {}, board);
    assert_eq!(host.run_until(Time::from_millis(2)), Outcome::Time);
    assert_eq!(left.get(), 2);
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(left.get(), 0);
    let board = host.board();
    assert!(matches!(board.deaths[..], [(at, Core1Death::Monitor)] if at.millis() == 3));
}

#[test]
fn its_space_is_the_boards_peer_space() {
    let program = || {
        let mut bytes = [0; 4];
        seam::with(|machine| machine.peer_write(0x1000, &[1, 2, 3, 4]));
        seam::with(|machine| machine.peer_read(0x1000, &mut bytes));
        assert_eq!(bytes, [1, 2, 3, 4]);
        seam::with(|machine| machine.peer_read(1 << 20, &mut bytes));
    };
    let mut host = dsp(program, Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert!(matches!(host.board().deaths[..], [(_, Core1Death::Memory)]));
}

#[test]
fn its_panic_and_its_end_are_told_the_monitor() {
    let mut host = dsp(|| panic!("ring lost"), Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    let says = |host: &Host<Bare>| match &host.board().deaths[..] {
        [(_, Core1Death::Panic(text))] => text.clone(),
        other => panic!("{other:?}"),
    };
    assert!(says(&host).starts_with("ring lost, "));
    let mut host = dsp(|| (), Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(says(&host), "main returned");
}

#[test]
fn what_only_tasks_and_the_monitor_may_do_ends_it() {
    let pool = || {
        // SAFETY: on a host there is nothing to promise.
        unsafe { dma::Pool::new(0, Phys(0x4000_0000), 1) }
    };
    let registers = || {
        // SAFETY: as above.
        unsafe { mmio::Registers::new(Phys(0x4000_0000), 4) }
    };
    let programs: [Box<dyn Fn()>; 4] = [
        Box::new(|| {
            userlib::sys_post(userlib::TaskId(0), 1);
        }),
        Box::new(move || pool().write32(0, 1)),
        Box::new(move || {
            let _ = pool().read32(0);
        }),
        Box::new(move || registers().write32(0, 1)),
    ];
    for program in programs {
        let mut host = dsp(program, Bare::new(1));
        assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
        assert!(matches!(host.board().deaths[..], [(_, Core1Death::Illegal)]));
        assert_eq!(faults(&host), []);
    }
}

#[test]
fn it_can_be_halted_and_started_afresh() {
    let runs = Rc::new(Cell::new(0));
    let counted = Rc::clone(&runs);
    let program = move || {
        counted.set(counted.get() + 1);
        loop {
            call(1);
        }
    };
    let mut board = Bare::new(1);
    board.monitor = Box::new(|_| MonitorAnswer::Wait);
    board.order_at(Time::from_millis(2), Core1Order::Halt);
    board.order_at(Time::from_millis(3), Core1Order::Wake);
    board.order_at(Time::from_millis(4), Core1Order::Start);
    board.order_at(Time::from_millis(5), Core1Order::Start);
    let mut host = dsp(program, board);
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert_eq!(runs.get(), 3);
    assert_eq!(host.stats().core1_points, 3);
}

#[test]
fn a_program_that_never_waits_is_a_hang() {
    let mut board = Bare::new(1);
    board.monitor = Box::new(|_| MonitorAnswer::Return([0; 4]));
    board.order_at(Time::from_millis(1), Core1Order::Start);
    let program = || {
        loop {
            call(1);
        }
    };
    let mut image = Image::new(vec![indifferent()]).core1(program);
    image.limits = Limits { spin: 1000, busy: 10_000 };
    let mut host = Host::new(image, board);
    assert_eq!(host.run_until(Time::NEVER), Outcome::Hang(None));
}

#[test]
fn the_cores_run_side_by_side_in_virtual_time() {
    // Each writes the other's mailbox for 1 ms and sees the other's writes of
    // the last microseconds at the latest.
    const RAM: Span = Span { base: Phys(0), len: 0x1000, access: Access::Dma };
    let lag = Rc::new(Cell::new(0));
    let worst = Rc::clone(&lag);
    let program = || {
        for round in 1..=2000_u32 {
            seam::with(|machine| machine.peer_write(0, &round.to_le_bytes()));
        }
        call(1);
    };
    let task = Task::new("task", move || {
        // SAFETY: on a host there is nothing to promise.
        let pool = unsafe { dma::Pool::new(0, RAM.base, 1) };
        let mut last = 0;
        while last < 2000 {
            let seen = pool.read32(0);
            if last > 0 {
                worst.set(worst.get().max(seen - last));
            }
            last = seen;
        }
        let _ = sys_get_timer();
        rest();
    });
    let mut board = Bare::new(1);
    board.monitor = Box::new(|_| MonitorAnswer::Wait);
    board.order_at(Time(500), Core1Order::Start);
    let image = Image::new(vec![indifferent(), task.memory(RAM)]).core1(program);
    let mut host = Host::new(image, board);
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    assert!((1..=4).contains(&lag.get()), "{}", lag.get());
}
