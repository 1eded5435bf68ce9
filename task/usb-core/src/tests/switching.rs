//! Alternate settings: the order of steps, and every refusal on the way.

use usb_core_api::{Event, UsbCoreError};
use xhci_api::XhciError;

use crate::fake::{Bench, CLIENT, OTHER, configuration};

const TELL_0: &str = "control 01 11 0000 1 0";
const TELL_1: &str = "control 01 11 0001 1 0";
const TELL_2: &str = "control 01 11 0002 1 0";
const ADD_1: &str = "configure drop=0x0 add=[(2, 192)]";
const FROM_1_TO_2: &str = "configure drop=0x4 add=[(2, 384), (3, 3)]";
const FROM_2_TO_1: &str = "configure drop=0xc add=[(2, 192)]";
const DROP_1: &str = "configure drop=0x4 add=[]";

/// xHCI item 47: Configure Endpoint, then SET_INTERFACE.
#[test]
fn bandwidth_comes_first() {
    let (mut bench, device) = Bench::claimed();
    assert_eq!(bench.switch(device, 1), Ok(()));
    assert_eq!(bench.fake.log(), [ADD_1, TELL_1]);
    assert_eq!(bench.switch(device, 2), Ok(()));
    assert_eq!(bench.fake.log(), [FROM_1_TO_2, TELL_2]);
}

/// DESIGN rule 6: alternate 0, then Configure Endpoint (drop).
#[test]
fn to_alternate_0_the_device_is_told_first() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.fake.log();
    assert_eq!(bench.switch(device, 0), Ok(()));
    assert_eq!(bench.fake.log(), [TELL_0, DROP_1]);
}

#[test]
fn no_bandwidth_leaves_the_old_setting() {
    for (error, refusal) in [
        (XhciError::Bandwidth, UsbCoreError::Bandwidth),
        (XhciError::NoRingMemory, UsbCoreError::NoResources),
    ] {
        let (mut bench, device) = Bench::claimed();
        bench.switch(device, 1).expect("in order");
        bench.fake.0.borrow_mut().fail.push(("configure", error));
        bench.fake.log();
        assert_eq!(bench.switch(device, 2), Err(refusal));
        assert_eq!(bench.fake.log(), [FROM_1_TO_2], "the device was told of it");
        bench.fake.0.borrow_mut().fail.clear();
        assert_eq!(bench.switch(device, 0), Ok(()));
        assert_eq!(bench.fake.log(), [TELL_0, DROP_1], "alternate 1 still stands");
    }
}

#[test]
fn device_that_refuses_is_configured_back() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.fake.0.borrow_mut().fail.push((TELL_2, XhciError::Stall));
    bench.fake.log();
    assert_eq!(bench.switch(device, 2), Err(UsbCoreError::Stall));
    assert_eq!(bench.fake.log(), [FROM_1_TO_2, TELL_2, FROM_2_TO_1]);
}

#[test]
fn what_cannot_be_configured_back_is_not_believed_in() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.fake.0.borrow_mut().fail.push((TELL_2, XhciError::Stall));
    bench.fake.0.borrow_mut().fail.push((FROM_2_TO_1, XhciError::Bandwidth));
    bench.fake.log();
    assert_eq!(bench.switch(device, 2), Err(UsbCoreError::Stall));
    bench.fake.0.borrow_mut().fail.clear();
    bench.fake.log();
    assert_eq!(bench.switch(device, 1), Ok(()));
    assert_eq!(bench.fake.log(), [ADD_1, TELL_1], "nothing was left to drop");
}

#[test]
fn device_that_will_not_be_quiet_loses_its_endpoints_all_the_same() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.fake.0.borrow_mut().fail.push((TELL_0, XhciError::Stall));
    bench.fake.log();
    assert_eq!(bench.switch(device, 0), Err(UsbCoreError::Stall));
    assert_eq!(bench.fake.log(), [TELL_0, DROP_1]);
}

/// The endpoint of a stopped session is dropped by the session's owner.
#[test]
fn endpoint_of_a_sideband_does_not_keep_alternate_0_from_standing() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.fake.0.borrow_mut().fail.push((DROP_1, XhciError::EndpointBusy));
    assert_eq!(bench.switch(device, 0), Ok(()));
}

#[test]
fn drop_that_fails_is_reported_and_alternate_0_stands() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.fake.0.borrow_mut().fail.push((DROP_1, XhciError::TimedOut));
    assert_eq!(bench.switch(device, 0), Err(UsbCoreError::TimedOut));
    bench.fake.0.borrow_mut().fail.clear();
    bench.fake.log();
    assert_eq!(bench.switch(device, 1), Ok(()));
    assert_eq!(bench.fake.log(), [ADD_1, TELL_1]);
}

#[test]
fn settings_without_endpoints_ask_nothing_of_the_controller() {
    let (mut bench, device) = Bench::claimed();
    assert_eq!(bench.switch(device, 0), Ok(()));
    assert_eq!(bench.fake.log(), [TELL_0]);
}

#[test]
fn only_the_one_who_claimed_it_switches_an_interface() {
    let (mut bench, device) = Bench::attached();
    let switch = |bench: &mut Bench, who, number, alternate| {
        bench.core.start_set_interface(who, device, (number, alternate), 0).map(|_| ())
    };
    assert_eq!(switch(&mut bench, CLIENT, 1, 1), Err(UsbCoreError::NotClaimed));
    bench.core.claim(OTHER, device, 1).expect("free");
    assert_eq!(switch(&mut bench, CLIENT, 1, 1), Err(UsbCoreError::InterfaceBusy));
    assert_eq!(bench.core.claim(CLIENT, device, 1), Err(UsbCoreError::InterfaceBusy));
    assert_eq!(switch(&mut bench, OTHER, 2, 1), Err(UsbCoreError::NoInterface));
    assert_eq!(switch(&mut bench, OTHER, 200, 1), Err(UsbCoreError::NoInterface));
    assert_eq!(switch(&mut bench, OTHER, 1, 3), Err(UsbCoreError::NoAlternate));
    assert_eq!(switch(&mut bench, OTHER, 1, 1), Ok(()));
    assert_eq!(switch(&mut bench, OTHER, 1, 2), Err(UsbCoreError::Busy));
    bench.settle();
    assert_eq!(bench.core.release(CLIENT, device, 1), Err(UsbCoreError::InterfaceBusy));
    assert_eq!(bench.core.release(OTHER, device, 1), Ok(()));
    assert_eq!(bench.core.release(OTHER, device, 1), Err(UsbCoreError::NotClaimed));
}

/// Two interfaces with one endpoint address clash when both are selected.
#[test]
fn address_in_use_by_another_interface_is_refused() {
    let mut bench = Bench::new();
    let mut bytes = configuration();
    bytes.extend([9, 4, 0, 1, 1, 1, 2, 0, 0, 7, 5, 0x01, 0x0d, 0x20, 0, 1]);
    bytes[2] = bytes.len() as u8;
    bench.fake.0.borrow_mut().configurations = vec![bytes];
    bench.fake.plug(1);
    bench.settle();
    let Event::Attached(device) = bench.core.pull(CLIENT) else { panic!("not announced") };
    bench.core.claim(CLIENT, device, 0).expect("free");
    bench.core.claim(CLIENT, device, 1).expect("free");
    bench.switch(device, 1).expect("in order");
    let refused = bench.core.start_set_interface(CLIENT, device, (0, 1), 0);
    assert_eq!(refused.err(), Some(UsbCoreError::EndpointBusy));
}

#[test]
fn unplug_during_a_switch_ends_it_with_the_device() {
    for step in [ADD_1, TELL_1] {
        let (mut bench, device) = Bench::claimed();
        bench.fake.0.borrow_mut().stuck.push(step);
        let ticket = bench.core.start_set_interface(CLIENT, device, (1, 1), 0).expect("free");
        bench.settle();
        let pending = bench.core.result(CLIENT, ticket).err();
        assert_eq!(pending, Some(UsbCoreError::NotYet));
        bench.fake.unplug(1);
        bench.settle();
        assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
        assert_eq!(bench.core.pull(CLIENT), Event::TicketDone(ticket));
        let ended = bench.core.result(CLIENT, ticket).and_then(|ended| ended.result);
        assert_eq!(ended, Err(UsbCoreError::DeviceGone));
        let spent = bench.core.result(CLIENT, ticket).err();
        assert_eq!(spent, Some(UsbCoreError::Stale));
    }
}

/// The books are kept even when nobody waits for the end.
#[test]
fn cancelled_switch_goes_on_to_its_end() {
    let (mut bench, device) = Bench::claimed();
    let ticket = bench.core.start_set_interface(CLIENT, device, (1, 1), 0).expect("free");
    assert_eq!(bench.core.cancel(CLIENT, ticket), Ok(()));
    bench.settle();
    assert_eq!(bench.fake.log(), [ADD_1, TELL_1]);
    assert_eq!(bench.core.pull(CLIENT), Event::None);
    assert_eq!(bench.switch(device, 0), Ok(()));
    assert_eq!(bench.fake.log(), [TELL_0, DROP_1]);
}
