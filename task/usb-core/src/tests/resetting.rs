//! A device is reset while somebody uses it (U15, R33).

use usb_core_api::{Depth, DeviceHandle, Event, SystemPower, UsbCoreError};
use usb_types::Setup;
use xhci_api::XhciError;

use crate::controllers::ControllerNumber;
use crate::fake::{Bench, CLIENT, OTHER, POWER};

const GET: Setup = Setup { request_type: 0xA1, request: 0x81, value: 0, index: 1, length: 2 };

/// A device with a stream of [`CLIENT`]'s, held by [`OTHER`], whose reset has
/// begun and does not end before the fake lets go.
fn stuck() -> (Bench, DeviceHandle, usb_core_api::TicketHandle) {
    let (mut bench, device) = Bench::claimed();
    assert_eq!(bench.core.pull(OTHER), Event::Attached(device));
    bench.core.hold(OTHER, device, 0).expect("it is up");
    bench.switch(device, 1).expect("there is one");
    bench.fake.log();
    bench.fake.0.borrow_mut().stuck.push("reset device");
    let ticket = bench.core.start_reset(CLIENT, device, bench.now).expect("it is ours");
    bench.settle();
    (bench, device, ticket)
}

/// R33: the slot stays, all else is as after a plug; handle, claim and hold stand.
#[test]
fn r33_a_reset_device_goes_the_way_to_its_configuration_again_and_its_clients_are_told() {
    let (mut bench, device, ticket) = stuck();
    assert_eq!(bench.core.result(CLIENT, ticket).err(), Some(UsbCoreError::NotYet));
    bench.fake.release();
    bench.settle();
    let log = bench.fake.log();
    // From the state Default, in which the slot is then (xHCI 4.6.5).
    assert_eq!(log[..2], ["reset device 1", "address block=false 64"], "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some("control 00 9 0001 0 0"), "{log:?}");
    for client in [CLIENT, OTHER] {
        assert_eq!(bench.core.pull(client), Event::Reset(device));
    }
    assert_eq!(bench.core.pull(CLIENT), Event::TicketDone(ticket));
    assert!(bench.core.result(CLIENT, ticket).is_ok_and(|ended| ended.result.is_ok()));
    assert_eq!(bench.core.status().holds, 1);
    // At alternate 0: nothing is dropped for the next one.
    bench.switch(device, 1).expect("it is claimed still");
    let log = bench.fake.log();
    assert_eq!(log[0], "configure drop=0x0 add=[(2, 192)]", "{log:?}");
    assert_eq!(bench.fake.0.borrow().open_slots.len(), 1);
    assert_eq!(bench.core.stores_taken.count_ones(), 1);
}

#[test]
fn meanwhile_it_answers_that_and_alternate_0_needs_no_device() {
    let (mut bench, device, ticket) = stuck();
    let now = bench.now;
    let asked = bench.core.start_control(CLIENT, device, GET, &[], now).err();
    assert_eq!(asked, Some(UsbCoreError::Resetting));
    let switched = bench.core.start_set_interface(CLIENT, device, (1, 2), now).err();
    assert_eq!(switched, Some(UsbCoreError::Resetting));
    assert_eq!(bench.core.hold(POWER, device, now).err(), Some(UsbCoreError::Resetting));
    assert_eq!(bench.core.start_reset(CLIENT, device, now).err(), Some(UsbCoreError::Resetting));
    assert_eq!(bench.core.unhold(OTHER, device, now), Ok(()));
    bench.fake.log();
    assert_eq!(bench.switch(device, 0), Ok(()));
    assert_eq!(bench.fake.log(), ["configure drop=0x4 add=[]"]);
    bench.fake.release();
    bench.settle();
    assert_eq!(bench.core.status().owed, 0, "the reset did it");
    assert_eq!(bench.core.pull(CLIENT), Event::Reset(device));
    assert_eq!(bench.core.pull(CLIENT), Event::TicketDone(ticket));
    assert_eq!(bench.switch(device, 1).err(), None);
}

/// Nobody waits for what cannot happen before the reset is over: with a deadline in the
/// past the core would run without end.
#[test]
fn an_idle_device_that_is_reset_does_not_go_down_meanwhile() {
    let mut bench = Bench::with_autosuspend(Some(200));
    bench.fake.plug(1);
    let device = loop {
        bench.core.pull_all(bench.now);
        if let Event::Attached(device) = bench.core.pull(CLIENT) {
            break device;
        }
        if bench.fake.0.borrow().events.is_empty() {
            bench.now = bench.now.max(bench.core.deadline().expect("it is on its way"));
            bench.core.tick(bench.now);
        }
    };
    bench.fake.0.borrow_mut().stuck.push("reset device");
    let ticket = bench.core.start_reset(CLIENT, device, bench.now).expect("nobody has it");
    bench.now += 500;
    bench.core.tick(bench.now);
    bench.settle();
    assert_eq!(bench.core.result(CLIENT, ticket).err(), Some(UsbCoreError::NotYet));
    bench.fake.release();
    bench.settle();
    assert!(bench.core.result(CLIENT, ticket).is_ok_and(|ended| ended.result.is_ok()));
    assert_eq!(bench.core.status().suspended, 1, "then it does");
}

#[test]
fn a_device_that_is_not_as_it_was_comes_as_another() {
    let (mut bench, device, ticket) = stuck();
    bench.fake.0.borrow_mut().configurations[0][8] ^= 1;
    bench.fake.release();
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    let Event::Attached(other) = bench.core.pull(CLIENT) else { panic!("it is there") };
    assert_ne!(device, other);
    assert_eq!(bench.core.pull(CLIENT), Event::TicketDone(ticket));
    let ended = bench.core.result(CLIENT, ticket).expect("it is ready").result;
    assert_eq!(ended, Err(UsbCoreError::DeviceGone));
    assert_eq!(bench.core.status().holds, 0);
    assert_eq!(bench.fake.0.borrow().open_slots.len(), 1);
}

#[test]
fn one_that_is_pulled_meanwhile_is_gone() {
    let (mut bench, device, ticket) = stuck();
    bench.fake.unplug(1);
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    let ended = bench.core.result(CLIENT, ticket).expect("it is ready").result;
    assert_eq!(ended, Err(UsbCoreError::DeviceGone));
    bench.fake.release();
    bench.settle();
    assert!(bench.fake.0.borrow().open_slots.is_empty());
    assert_eq!((bench.core.stores_taken, bench.core.status().holds), (0, 0));
}

#[test]
fn one_that_cannot_be_reset_is_gone_and_tried_anew() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.0.borrow_mut().fail.push(("reset device", XhciError::TimedOut));
    let ticket = bench.core.start_reset(CLIENT, device, bench.now).expect("it is ours");
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    assert!(matches!(bench.core.pull(CLIENT), Event::Attached(other) if other != device));
    let ended = bench.core.result(CLIENT, ticket).expect("it is ready").result;
    assert_eq!(ended, Err(UsbCoreError::DeviceGone));
    assert_eq!(bench.fake.0.borrow().open_slots.len(), 1);
    assert_eq!(bench.core.stores_taken.count_ones(), 1);
}

#[test]
fn who_lost_the_controller_lost_the_device_that_was_being_reset() {
    let (mut bench, device, ticket) = stuck();
    bench.core.lose_controller(ControllerNumber(0));
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    let ended = bench.core.result(CLIENT, ticket).expect("it is ready").result;
    assert_eq!(ended, Err(UsbCoreError::DeviceGone));
    assert_eq!((bench.core.stores_taken, bench.core.status().devices), (0, 0));
}

#[test]
fn only_an_owner_or_who_is_less_important_than_all_of_them_may_ask() {
    let (mut bench, device) = Bench::attached();
    bench.core.claim(OTHER, device, 1).expect("nobody has it");
    let refused = bench.core.start_reset(CLIENT, device, 0).err();
    assert_eq!(refused, Some(UsbCoreError::NotAllowed));
    bench.core.start_reset(POWER, device, 0).expect("nobody who claimed it waits for that one");
    bench.settle();
    bench.core.claim(CLIENT, device, 0).expect("nobody has it");
    bench.core.start_reset(CLIENT, device, bench.now).expect("one is its own");
}

#[test]
fn the_system_suspends_when_the_reset_is_over() {
    let (mut bench, device, _) = stuck();
    bench.core.unhold(OTHER, device, bench.now).expect("it was held");
    let ticket = bench.core.start_suspend(POWER, Depth::AllButHeld, bench.now).expect("awake");
    bench.settle();
    assert_eq!(bench.core.status().system, SystemPower::Suspending);
    bench.fake.release();
    bench.settle();
    assert_eq!(bench.core.status().system, SystemPower::Suspended);
    assert!(bench.core.result(POWER, ticket).is_ok_and(|ended| ended.result.is_ok()));
}
