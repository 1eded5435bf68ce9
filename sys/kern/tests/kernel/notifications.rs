//! POST, timers, interrupts.

use crate::bench::Bench;
use abi::{FaultInfo, IrqStatus, SchedState, Sysnum, TaskId, UsageError, dead_response_code};
use kern::{Irq, TaskIndex};

fn usage(error: UsageError) -> Option<FaultInfo> {
    Some(FaultInfo::SyscallUsage(error))
}

#[test]
fn posted_bits_wait_for_a_receive_that_wants_them() {
    let mut bench = Bench::new();
    bench.platform.posts.push((1, 3, 0b1110));
    bench.post(1, bench.id(3), 0b0110);
    bench.post(1, bench.id(3), 0b1010);
    assert_eq!(bench.recv(3, 0b0011)[..3], [0, 0xFFFF, 0b0010]);
    assert_eq!(bench.recv(3, 0b1111)[2], 0b1100);
    bench.recv(3, 0b1111);
    assert!(bench.is(3, SchedState::InRecv(None)));
}

#[test]
fn a_receive_wakes_for_its_bits_only() {
    let mut bench = Bench::new();
    bench.platform.posts.push((1, 3, u32::MAX));
    bench.recv(3, 0b01);
    bench.post(1, bench.id(3), 0b10);
    assert!(bench.is(3, SchedState::InRecv(None)));
    bench.post(1, bench.id(3), 0b01);
    assert!(bench.is(3, SchedState::Runnable));
}

#[test]
fn notifications_come_before_messages() {
    let mut bench = Bench::new();
    bench.platform.posts.push((1, 2, 1));
    bench.send(3, bench.id(2), 5, 0);
    bench.post(1, bench.id(2), 1);
    assert_eq!(bench.recv(2, 1)[1], 0xFFFF);
    assert_eq!(bench.recv(2, 1)[2], 5);
}

#[test]
fn post_to_itself_is_as_the_table_says() {
    let mut bench = Bench::new();
    bench.platform.posts.push((2, 2, 1));
    assert_eq!(bench.post(2, bench.id(2), 1), 0);
    assert_eq!(bench.recv(2, 1)[2], 1);
    bench.post(3, bench.id(3), 1);
    assert_eq!(bench.fault(3), usage(UsageError::IllegalTask));
}

#[test]
fn post_outside_the_table_is_a_fault() {
    let mut bench = Bench::new();
    bench.platform.posts.push((1, 3, 0b10));
    bench.post(1, bench.id(3), 0b11);
    assert_eq!(bench.fault(1), usage(UsageError::IllegalTask));
    let mut bench = Bench::new();
    bench.post(1, TaskId(5), 0);
    assert_eq!(bench.fault(1), usage(UsageError::TaskOutOfRange));
}

#[test]
fn post_to_the_dead_is_answered_a_dead_code() {
    let mut bench = Bench::new();
    bench.platform.posts.push((1, 3, 1));
    let old = bench.id(3);
    let dead = |generation| dead_response_code(abi::Generation(generation)) as usize;
    bench.break_task(3);
    assert_eq!(bench.post(1, old, 1), dead(1));
    bench.restart(3, true);
    assert_eq!(bench.post(1, old, 1), dead(1));
    bench.restart(3, false);
    assert_eq!(bench.post(1, bench.id(3), 1), dead(3));
}

#[test]
fn a_new_incarnation_has_no_old_notifications() {
    let mut bench = Bench::new();
    bench.platform.posts.push((1, 3, 1));
    bench.post(1, bench.id(3), 1);
    bench.restart(3, true);
    bench.recv(3, 1);
    assert!(bench.is(3, SchedState::InRecv(None)));
}

#[test]
fn a_more_important_task_runs_at_once_when_woken() {
    let mut bench = Bench::new();
    bench.platform.posts.push((3, 1, 1));
    for task in 0..3 {
        bench.recv(task, 1);
    }
    assert_eq!(bench.kernel.current(), Some(TaskIndex(3)));
    bench.post(3, bench.id(1), 1);
    assert_eq!(bench.kernel.current(), Some(TaskIndex(1)));
}

fn set_timer(bench: &mut Bench, task: u8, deadline: Option<u64>, bits: u32) {
    let ticks = deadline.unwrap_or(0);
    let (low, high) = (ticks as u32 as usize, (ticks >> 32) as usize);
    let set = usize::from(deadline.is_some());
    bench.call(task, Sysnum::SetTimer, [set, low, high, bits as usize, 0, 0, 0]);
}

fn tick(bench: &mut Bench, now: u64) {
    bench.platform.now = now;
    bench.kernel.tick(&mut bench.platform);
    bench.check();
}

#[test]
fn a_timer_posts_once_at_its_deadline() {
    let mut bench = Bench::new();
    set_timer(&mut bench, 3, Some(10), 0b100);
    bench.recv(3, 0b100);
    tick(&mut bench, 9);
    assert!(bench.is(3, SchedState::InRecv(None)));
    tick(&mut bench, 10);
    assert_eq!(bench.registers(3)[2], 0b100);
    assert_eq!(bench.kernel.next_deadline(), None);
}

#[test]
fn the_earliest_of_all_timers_is_the_kernels_deadline() {
    let mut bench = Bench::new();
    let big = 1 << 40;
    set_timer(&mut bench, 1, Some(big), 1);
    set_timer(&mut bench, 2, Some(7), 1);
    set_timer(&mut bench, 3, Some(5), 1);
    assert_eq!(bench.platform.deadline.unwrap().0, 5);
    set_timer(&mut bench, 3, None, 0);
    assert_eq!(bench.platform.deadline.unwrap().0, 7);
    set_timer(&mut bench, 2, Some(9), 1);
    assert_eq!(bench.platform.deadline.unwrap().0, 9);
    bench.restart(2, true);
    assert_eq!(bench.platform.deadline.unwrap().0, big);
    tick(&mut bench, big + 3);
    assert_eq!(bench.platform.deadline, None);
    assert_eq!(bench.recv(1, 1)[2], 1);
}

#[test]
fn a_deadline_that_has_passed_posts_at_once() {
    let mut bench = Bench::new();
    bench.platform.now = 50;
    for deadline in [0, 49, 50] {
        set_timer(&mut bench, 3, Some(deadline), 1);
        assert_eq!(bench.kernel.next_deadline(), None);
        assert_eq!(bench.recv(3, 1)[2], 1);
    }
}

#[test]
fn get_timer_tells_time_deadline_and_bits() {
    let mut bench = Bench::new();
    bench.platform.now = (3 << 32) + 4;
    let get = |bench: &mut Bench| bench.call(3, Sysnum::GetTimer, [9; 7]);
    assert_eq!(get(&mut bench)[..6], [4, 3, 0, 0, 0, 0]);
    set_timer(&mut bench, 3, Some((5 << 32) + 6), 0b11);
    assert_eq!(get(&mut bench)[..6], [4, 3, 1, 6, 5, 0b11]);
}

#[test]
fn a_fault_stops_the_timer() {
    let mut bench = Bench::new();
    set_timer(&mut bench, 3, Some(10), 1);
    bench.break_task(3);
    assert_eq!(bench.kernel.next_deadline(), None);
}

/// Task 3 owns interrupts 40 (bit 0) and 41 (bit 1).
fn with_irqs() -> Bench {
    let mut bench = Bench::new();
    bench.platform.irqs = vec![(40, 3, 0b01), (41, 3, 0b10), (42, 2, 0b01)];
    bench
}

fn irq_control(bench: &mut Bench, mask: usize, flags: usize) {
    bench.call(3, Sysnum::IrqControl, [mask, flags, 0, 0, 0, 0, 0]);
}

#[test]
fn an_interrupt_is_disabled_when_it_is_delivered() {
    let mut bench = with_irqs();
    irq_control(&mut bench, 0b11, abi::IRQ_ENABLE);
    assert_eq!(bench.platform.enabled, [40, 41]);
    bench.recv(3, 0b11);
    bench.kernel.interrupt(&mut bench.platform, Irq(41));
    assert_eq!(bench.registers(3)[..3], [0, 0xFFFF, 0b10]);
    assert_eq!(bench.platform.enabled, [40]);
    irq_control(&mut bench, 0b10, abi::IRQ_ENABLE);
    assert_eq!(bench.platform.enabled, [40, 41]);
    irq_control(&mut bench, 0b01, 0);
    assert_eq!(bench.platform.enabled, [41]);
}

#[test]
fn an_interrupt_can_be_enabled_without_its_past() {
    let mut bench = with_irqs();
    bench.platform.pending = vec![40, 41];
    irq_control(&mut bench, 0b01, abi::IRQ_ENABLE | abi::IRQ_CLEAR_PENDING);
    assert_eq!(bench.platform.pending, [41]);
}

#[test]
fn an_interrupt_without_an_owner_is_disabled_and_ignored() {
    let mut bench = with_irqs();
    bench.platform.enabled = vec![7];
    bench.kernel.interrupt(&mut bench.platform, Irq(7));
    assert_eq!(bench.platform.enabled, [0; 0]);
    bench.check();
}

#[test]
fn bits_without_an_interrupt_of_the_caller_are_a_fault() {
    for number in [Sysnum::IrqControl, Sysnum::IrqStatus] {
        let mut bench = with_irqs();
        bench.call(3, number, [0b100, 1, 0, 0, 0, 0, 0]);
        assert_eq!(bench.fault(3), usage(UsageError::NoIrq));
        bench.call(1, number, [0b001, 1, 0, 0, 0, 0, 0]);
        assert_eq!(bench.fault(1), usage(UsageError::NoIrq));
        assert_eq!(bench.platform.enabled, [0; 0]);
    }
}

#[test]
fn irq_status_tells_enabled_pending_and_posted() {
    let mut bench = with_irqs();
    let status = |bench: &mut Bench, mask| {
        IrqStatus(bench.call(3, Sysnum::IrqStatus, [mask, 0, 0, 0, 0, 0, 0])[0] as u32)
    };
    assert_eq!(status(&mut bench, 0b01), IrqStatus::EMPTY);
    irq_control(&mut bench, 0b01, abi::IRQ_ENABLE);
    assert_eq!(status(&mut bench, 0b01), IrqStatus::ENABLED);
    bench.platform.pending = vec![41];
    assert_eq!(status(&mut bench, 0b11), IrqStatus::ENABLED.with(IrqStatus::PENDING));
    bench.kernel.interrupt(&mut bench.platform, Irq(40));
    assert_eq!(status(&mut bench, 0b01), IrqStatus::POSTED);
    assert_eq!(status(&mut bench, 0b10), IrqStatus::PENDING);
}

#[test]
fn a_restarted_task_has_its_interrupts_disabled() {
    let mut bench = with_irqs();
    irq_control(&mut bench, 0b11, abi::IRQ_ENABLE);
    bench.platform.enabled.push(42);
    bench.restart(3, true);
    assert_eq!(bench.platform.enabled, [42]);
}

#[test]
fn a_software_irq_makes_the_tasks_interrupt_pending() {
    let mut bench = with_irqs();
    bench.kipc(8, &[3, 0, 0, 0, 0b10, 0, 0, 0]);
    assert_eq!(bench.platform.pending, [41]);
    bench.kipc(8, &[3, 0, 0, 0, 0b100, 0, 0, 0]);
    assert!(bench.platform.panic.is_some(), "no such interrupt: the supervisor's mistake");
}
