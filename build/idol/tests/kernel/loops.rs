//! The loop itself: one kernel entry per message, notifications, closed
//! receives.

use abi::{FaultInfo, Generation, TaskId};
use host::Task;
use userlib::sys_post;

use crate::server::{Orders, cramped, server};
use crate::{Run, client, everything, rest, server_id};

#[test]
fn answer_and_next_message_are_one_kernel_entry() {
    let talk = client(|| {
        for value in 0..50 {
            assert_eq!(everything().ping(value), value);
        }
    });
    let run = Run::of(server(&Orders::default()), vec![talk]);
    run.assert_well();
    // The first receive, and one call per message.
    assert_eq!(run.host.stats().tasks[1].syscalls, 51);
}

#[test]
fn notifications_of_the_mask_reach_the_server() {
    let orders = Orders::default();
    let poster = Task::new("poster", || {
        sys_post(server_id(), 0b010);
        // Not in the mask, so not taken.
        sys_post(server_id(), 0b001);
        sys_post(server_id(), 0b100);
        rest();
    })
    .notifies(1, 0b111);
    let run = Run::of(server(&orders), vec![poster]);
    run.assert_well();
    assert_eq!(orders.notified.get(), 0b110);
}

#[test]
fn answer_is_given_before_a_notification_is_handled() {
    let orders = Orders::default();
    let talk = client(|| {
        for value in 0..10 {
            sys_post(server_id(), 0b010);
            assert_eq!(everything().ping(value), value);
        }
    });
    let run = Run::of(server(&orders), vec![talk.notifies(1, 0b010)]);
    run.assert_well();
    assert_eq!(orders.notified.get(), 0b010);
}

#[test]
fn server_with_one_source_hears_the_others_later() {
    let orders = Orders::default();
    let second = TaskId::new(3, Generation(0));
    orders.only.set(Some(second));
    let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let noting = |index: u8, release: Option<Orders>| {
        let order = std::rc::Rc::clone(&order);
        client(move || {
            assert_eq!(everything().ping(1), 1);
            order.borrow_mut().push(index);
            if let Some(orders) = &release {
                orders.only.set(None);
                assert_eq!(everything().ping(2), 2);
            }
        })
    };
    let run = Run::of(server(&orders), vec![noting(2, None), noting(3, Some(orders.clone()))]);
    run.assert_well();
    assert_eq!(*order.borrow(), [3, 2]);
}

#[test]
fn dead_source_is_told_to_the_server() {
    let orders = Orders::default();
    orders.only.set(Some(TaskId::new(3, Generation(5))));
    let talk = client(|| assert_eq!(everything().ping(1), 1));
    let run = Run::of(server(&orders), vec![talk, Task::new("other", || rest())]);
    run.assert_well();
    assert_eq!(orders.found_dead.get(), 1);
}

#[test]
fn buffer_below_the_largest_request_is_a_panic_at_once() {
    let run = Run::of(cramped(&Orders::default()), vec![]);
    assert_eq!(run.faults().first(), Some(&(1, FaultInfo::Panic)));
    assert!(run.said.borrow()[0].starts_with("dispatch: buffer below INCOMING_SIZE"));
}
