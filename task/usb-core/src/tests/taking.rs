//! An interface changes hands (U16, R13).

use abi::{Generation, TaskId};
use usb_core_api::{DeviceHandle, Event, TicketHandle, UsbCoreError};

use crate::claims::LET_GO_MS;
use crate::fake::{Bench, CLIENT, OTHER};

/// A device whose interface 1 is [`CLIENT`]'s and wanted by [`OTHER`]; both know it.
fn wanted() -> (Bench, DeviceHandle, TicketHandle) {
    let (mut bench, device) = Bench::claimed();
    assert_eq!(bench.core.pull(OTHER), Event::Attached(device));
    let ticket = bench.core.start_take(OTHER, device, 1, bench.now).expect("it is less important");
    assert_eq!(bench.core.clients.take_hint(), Some(CLIENT));
    (bench, device, ticket)
}

fn is_done(bench: &mut Bench, ticket: TicketHandle) -> Result<(), UsbCoreError> {
    assert_eq!(bench.core.pull(OTHER), Event::TicketDone(ticket));
    bench.core.result(OTHER, ticket).and_then(|ended| ended.result)
}

#[test]
fn what_nobody_has_is_taken_at_once() {
    let (mut bench, device) = Bench::attached();
    assert_eq!(bench.core.pull(OTHER), Event::Attached(device));
    let ticket = bench.core.start_take(OTHER, device, 1, 0).expect("it is free");
    assert_eq!(is_done(&mut bench, ticket), Ok(()));
    assert_eq!(bench.core.claim(CLIENT, device, 1), Err(UsbCoreError::InterfaceBusy));
    assert_eq!(bench.core.release(OTHER, device, 1), Ok(()));
}

/// R13: the owner is told, and nobody waits for it.
#[test]
fn u16_r13_an_owner_is_told_once_and_lets_go_in_its_own_time() {
    let (mut bench, device, ticket) = wanted();
    let wants = Event::Wanted { device, interface: 1 };
    assert_eq!([bench.core.pull(CLIENT), bench.core.pull(CLIENT)], [wants, Event::None]);
    // Until it lets go all is its own.
    assert_eq!(bench.core.claim(CLIENT, device, 1), Ok(()));
    assert_eq!(bench.core.result(OTHER, ticket).err(), Some(UsbCoreError::NotYet));
    assert_eq!(bench.core.release(CLIENT, device, 1), Ok(()));
    assert_eq!(is_done(&mut bench, ticket), Ok(()));
    assert_eq!(bench.core.claim(CLIENT, device, 1), Err(UsbCoreError::InterfaceBusy));
    assert_eq!(bench.core.deadline(), None);
    // Given back, it is there for all as if it had just come.
    assert_eq!(bench.core.release(OTHER, device, 1), Ok(()));
    for client in [CLIENT, OTHER] {
        assert_eq!(bench.core.pull(client), Event::Attached(device));
        assert_eq!(bench.core.pull(client), Event::None);
    }
    assert_eq!(bench.core.claim(CLIENT, device, 1), Ok(()));
    assert_eq!(bench.core.release(CLIENT, device, 1), Ok(()));
    assert_eq!(bench.core.pull(OTHER), Event::None, "nobody was promised anything");
}

/// R13: and when it does not, there is an end to it.
#[test]
fn r13_from_an_owner_that_does_not_let_go_it_is_taken_at_the_deadline() {
    let (mut bench, device, ticket) = wanted();
    let until = bench.now + LET_GO_MS;
    assert_eq!(bench.core.deadline(), Some(until));
    bench.core.tick(until - 1);
    assert_eq!(bench.core.result(OTHER, ticket).err(), Some(UsbCoreError::NotYet));
    bench.core.tick(until);
    assert_eq!(is_done(&mut bench, ticket), Ok(()));
    assert_eq!(bench.core.release(CLIENT, device, 1), Err(UsbCoreError::InterfaceBusy));
    assert_eq!(bench.core.deadline(), None);
    assert_eq!(bench.core.release(OTHER, device, 1), Ok(()));
}

#[test]
fn who_may_not_take_it_has_its_refusal() {
    let (mut bench, device, _) = wanted();
    let now = bench.now;
    let third = TaskId::new(7, Generation(0));
    let refused = |taken: Result<TicketHandle, UsbCoreError>| taken.err();
    let busy = refused(bench.core.start_take(third, device, 1, now));
    assert_eq!(busy, Some(UsbCoreError::Busy));
    let unknown = refused(bench.core.start_take(third, device, 9, now));
    assert_eq!(unknown, Some(UsbCoreError::NoInterface));
    // A less important task is never taken from: its owner would be waited for.
    bench.core.release(CLIENT, device, 1).expect("its own");
    let uphill = refused(bench.core.start_take(CLIENT, device, 1, now));
    assert_eq!(uphill, Some(UsbCoreError::NotAllowed));
    bench.fake.unplug(1);
    bench.settle();
    let gone = refused(bench.core.start_take(third, device, 1, now));
    assert_eq!(gone, Some(UsbCoreError::DeviceGone));
}

#[test]
fn a_device_that_goes_meanwhile_ends_the_wait() {
    let (mut bench, device, ticket) = wanted();
    bench.fake.unplug(1);
    bench.settle();
    assert_eq!(bench.core.pull(OTHER), Event::Detached(device));
    assert_eq!(is_done(&mut bench, ticket), Err(UsbCoreError::DeviceGone));
}

/// Rule 9: whoever waits may die, or want it no more; the owner may have begun to
/// let go by then, and is told that it need not have.
#[test]
fn who_let_go_for_nobody_is_told_of_the_device_anew() {
    for dies in [false, true] {
        let (mut bench, device, ticket) = wanted();
        assert!(matches!(bench.core.pull(CLIENT), Event::Wanted { .. }));
        if dies {
            bench.core.forget_client(OTHER);
        } else {
            bench.core.cancel(OTHER, ticket).expect("it is its");
        }
        assert_eq!(bench.core.release(CLIENT, device, 1), Ok(()));
        assert_eq!(bench.core.pull(CLIENT), Event::Attached(device));
        assert_eq!(bench.core.claim(CLIENT, device, 1), Ok(()));
        assert_eq!(bench.core.deadline(), None);
    }
}

/// Rule 9: of an owner that dies it is the other's at once, and of that one's it is
/// everybody's.
#[test]
fn what_the_dead_had_goes_to_who_waits_for_it() {
    let (mut bench, device, ticket) = wanted();
    bench.core.forget_client(CLIENT);
    assert_eq!(is_done(&mut bench, ticket), Ok(()));
    let next = TaskId::new(5, Generation(1));
    assert_eq!(bench.core.pull(next), Event::Attached(device));
    assert_eq!(bench.core.claim(next, device, 1), Err(UsbCoreError::InterfaceBusy));
    bench.core.forget_client(OTHER);
    assert_eq!(bench.core.pull(next), Event::Attached(device));
    assert_eq!(bench.core.claim(next, device, 1), Ok(()));
}
