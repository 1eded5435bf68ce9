//! News, holds, and clients that die.

use abi::{Generation, TaskId};
use handles::{Handle, Raw};
use usb_core_api::{DeviceHandle, Event, TicketHandle, UsbCoreError};
use usb_types::Setup;

use crate::fake::{Bench, CLIENT, OTHER};

const GET: Setup = Setup { request_type: 0xA1, request: 0x81, value: 0, index: 1, length: 2 };

#[test]
fn client_that_starts_late_hears_of_what_is_there() {
    let (mut bench, device) = Bench::attached();
    assert_eq!(bench.core.pull(OTHER), Event::Attached(device));
    assert_eq!(bench.core.pull(OTHER), Event::None);
    assert_eq!(bench.core.pull(CLIENT), Event::None);
}

#[test]
fn device_that_came_and_went_unseen_is_no_news() {
    let (mut bench, device) = Bench::attached();
    bench.fake.unplug(1);
    bench.settle();
    assert_eq!(bench.core.pull(OTHER), Event::None);
    for _ in 0..20 {
        bench.fake.plug(1);
        bench.settle();
        bench.fake.unplug(1);
        bench.settle();
    }
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    assert_eq!(bench.core.pull(CLIENT), Event::None);
}

#[test]
fn everyone_known_is_hinted_of_a_device() {
    let mut bench = Bench::new();
    assert_eq!(bench.core.pull(CLIENT), Event::None);
    assert_eq!(bench.core.pull(OTHER), Event::None);
    bench.fake.plug(1);
    bench.settle();
    let mut hinted = [bench.core.clients.take_hint(), bench.core.clients.take_hint()];
    hinted.sort_by_key(|task| task.map(|task| task.0));
    assert_eq!(hinted, [Some(CLIENT), Some(OTHER)]);
    assert_eq!(bench.core.clients.take_hint(), None);
}

/// R12, U11: a hold needs no endpoint and no interrupter.
#[test]
fn hold_is_one_bit_per_caller_and_incarnation_of_the_device() {
    let (mut bench, device) = Bench::attached();
    assert_eq!(bench.core.hold(CLIENT, device, 0), Ok(()));
    assert_eq!(bench.core.hold(CLIENT, device, 0), Err(UsbCoreError::AlreadyHeld));
    assert_eq!(bench.core.hold(OTHER, device, 0), Ok(()));
    assert_eq!(bench.core.status().holds, 2);
    assert_eq!(bench.core.unhold(CLIENT, device, 0), Ok(()));
    assert_eq!(bench.core.unhold(CLIENT, device, 0), Err(UsbCoreError::NotHeld));
    bench.fake.unplug(1);
    bench.settle();
    assert_eq!(bench.core.status().holds, 0);
    assert_eq!(bench.core.unhold(OTHER, device, 0), Err(UsbCoreError::DeviceGone));
    assert_eq!(bench.core.hold(OTHER, device, 0), Err(UsbCoreError::DeviceGone));
}

/// What a dead client had is free, and what it started ends by itself.
#[test]
fn death_of_a_client_frees_what_it_had() {
    let (mut bench, device) = Bench::claimed();
    bench.core.hold(CLIENT, device, 0).expect("active");
    bench.fake.0.borrow_mut().stuck.push("control");
    let ticket = bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    bench.core.forget_client(CLIENT);
    assert_eq!(bench.core.status().holds, 0);
    assert_eq!(bench.core.claim(OTHER, device, 1), Ok(()));
    assert_eq!(bench.core.result(CLIENT, ticket).err(), Some(UsbCoreError::Stale));
    bench.fake.release();
    bench.settle();
    let next = TaskId::new(CLIENT.index() as u16, Generation(1));
    assert_eq!(bench.core.pull(next), Event::Attached(device));
    assert_eq!(bench.core.pull(next), Event::None);
}

/// R18: what an earlier life of the core gave out is not mistaken for its own.
#[test]
fn handles_of_an_earlier_life_are_told_apart() {
    let (mut bench, device) = Bench::claimed();
    let ticket = bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    let earlier = |raw: Raw| Raw { epoch: raw.epoch.wrapping_sub(1), ..raw };
    let ticket = TicketHandle::from_raw(earlier(ticket.raw()));
    assert_eq!(bench.core.result(CLIENT, ticket).err(), Some(UsbCoreError::StaleServer));
    let device = DeviceHandle::from_raw(earlier(device.raw()));
    assert_eq!(bench.core.hold(CLIENT, device, 0), Err(UsbCoreError::StaleServer));
}

/// Rule 9: a stream goes on when `usb_audio` dies; its next life finds the
/// interface as it was.
#[test]
fn death_of_a_client_does_not_touch_the_alternate_setting() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.fake.log();
    bench.core.forget_client(CLIENT);
    bench.settle();
    assert_eq!(bench.fake.log().len(), 0);
    bench.core.claim(CLIENT, device, 1).expect("free");
    assert_eq!(bench.core.pull(CLIENT), Event::Attached(device));
    assert_eq!(bench.switch(device, 0), Ok(()));
    assert_eq!(bench.fake.log().len(), 2, "told, and the endpoint dropped");
}

/// A message of the next incarnation may come before `jefe`'s word.
#[test]
fn next_incarnation_takes_over_before_the_supervisor_tells() {
    let (mut bench, device) = Bench::claimed();
    let next = TaskId::new(CLIENT.index() as u16, Generation(1));
    bench.core.meet(next);
    assert_eq!(bench.core.claim(next, device, 1), Ok(()));
    assert_eq!(bench.core.pull(next), Event::Attached(device));
}
