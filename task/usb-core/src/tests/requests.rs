//! Control transfers, tickets, and isochronous packets on their way through.

use usb_core_api::{Event, PipeStatus, UsbCoreError};
use usb_types::{EndpointAddress, Setup};
use xhci_api::{Event as Below, XhciError};

use crate::MAX_CONTROL;
use crate::clients::TICKETS_EACH;
use crate::fake::{Bench, CLIENT, OTHER};

/// SET_CUR to interface 1, unit 2.
const SET: Setup =
    Setup { request_type: 0x21, request: 1, value: 0x0100, index: 0x0201, length: 2 };
/// GET_CUR from interface 1.
const GET: Setup =
    Setup { request_type: 0xA1, request: 0x81, value: 0x0100, index: 0x0201, length: 2 };

#[test]
fn out_data_goes_along_and_in_data_comes_back() {
    let (mut bench, device) = Bench::claimed();
    let set = bench.core.start_control(CLIENT, device, SET, &[7, 8], 0).expect("in order");
    let get = bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    bench.settle();
    assert_eq!(bench.fake.log(), ["control 21 1 0100 513 2 [7, 8]", "control a1 129 0100 513 2"]);
    assert_eq!(bench.core.pull(CLIENT), Event::TicketDone(set));
    assert_eq!(bench.core.pull(CLIENT), Event::TicketDone(get));
    let ended = bench.core.result(CLIENT, get).expect("it ended");
    assert_eq!((ended.result, ended.data()), (Ok(()), &[0x5A, 0x5A][..]));
    let ended = bench.core.result(CLIENT, set).expect("it ended");
    assert_eq!((ended.result, ended.data().len()), (Ok(()), 0));
}

/// One at a time, in the order in which they were asked for.
#[test]
fn device_does_one_thing_at_a_time() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.0.borrow_mut().stuck.push("control 21");
    bench.core.start_control(CLIENT, device, SET, &[7, 8], 0).expect("in order");
    bench.core.start_set_interface(CLIENT, device, (1, 1), 0).expect("in order");
    bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    bench.settle();
    assert_eq!(bench.fake.log().len(), 1);
    bench.fake.release();
    bench.settle();
    let log = bench.fake.log();
    assert!(log[0].starts_with("configure") && log[1].starts_with("control 01"));
    assert!(log[2].starts_with("control a1"));
}

#[test]
fn request_to_what_is_not_the_callers_is_refused() {
    let (mut bench, device) = Bench::claimed();
    let vendor = 0x41;
    for (setup, refusal) in [
        // Standard requests, also of endpoints.
        (Setup { request_type: 0x01, request: 11, ..SET }, UsbCoreError::BadRequest),
        (Setup { request_type: 0x00, request: 9, ..SET }, UsbCoreError::BadRequest),
        // To the device as a whole, to something else, of a reserved type.
        (Setup { request_type: 0x20, ..SET }, UsbCoreError::BadRequest),
        (Setup { request_type: 0x23, ..SET }, UsbCoreError::BadRequest),
        (Setup { request_type: 0x61, ..SET }, UsbCoreError::BadRequest),
        // To an interface that nobody claimed, or that is not there.
        (Setup { index: 0x0200, ..SET }, UsbCoreError::NotClaimed),
        (Setup { request_type: vendor, index: 9, ..SET }, UsbCoreError::NoInterface),
        // To an endpoint that is not in force.
        (Setup { request_type: 0x22, index: 0x0001, ..SET }, UsbCoreError::NoEndpoint),
        (Setup { request_type: 0x22, index: 0x0000, ..SET }, UsbCoreError::NoEndpoint),
    ] {
        let refused = bench.core.start_control(CLIENT, device, setup, &[7, 8], 0);
        assert_eq!(refused.err(), Some(refusal), "{setup:?}");
    }
    let refused = bench.core.start_control(OTHER, device, SET, &[7, 8], 0);
    assert_eq!(refused.err(), Some(UsbCoreError::InterfaceBusy));
    assert_eq!(bench.fake.log().len(), 0);
}

#[test]
fn endpoint_in_force_takes_requests() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    let setup = Setup { request_type: 0x22, index: 0x0001, ..SET };
    assert!(bench.core.start_control(CLIENT, device, setup, &[7, 8], 0).is_ok());
    let other = Setup { index: 0x0081, ..setup };
    let refused = bench.core.start_control(CLIENT, device, other, &[7, 8], 0);
    assert_eq!(refused.err(), Some(UsbCoreError::NoEndpoint));
}

#[test]
fn data_that_does_not_fit_its_request_is_refused() {
    let (mut bench, device) = Bench::claimed();
    let long = Setup { length: MAX_CONTROL as u16 + 1, ..GET };
    for (setup, out) in [(SET, &[7][..]), (SET, &[7, 8, 9]), (GET, &[7, 8]), (long, &[])] {
        let refused = bench.core.start_control(CLIENT, device, setup, out, 0);
        assert_eq!(refused.err(), Some(UsbCoreError::BadRequest));
    }
}

#[test]
fn failure_of_a_transfer_has_its_code() {
    for (error, refusal) in [
        (XhciError::Stall, UsbCoreError::Stall),
        (XhciError::Transaction, UsbCoreError::Transaction),
        (XhciError::Babble, UsbCoreError::Transaction),
        (XhciError::TimedOut, UsbCoreError::TimedOut),
        (XhciError::TransferFailed, UsbCoreError::TransferFailed),
        (XhciError::NoBounceMemory, UsbCoreError::NoResources),
        (XhciError::DeviceGone, UsbCoreError::DeviceGone),
        (XhciError::NotReady, UsbCoreError::ControllerDead),
    ] {
        for at_once in [false, true] {
            let (mut bench, device) = Bench::claimed();
            let rule = ("control", error);
            let mut state = bench.fake.0.borrow_mut();
            if at_once {
                state.refuse.push(rule)
            } else {
                state.fail.push(rule)
            }
            drop(state);
            let ticket = bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
            bench.settle();
            let ended = bench.core.result(CLIENT, ticket).and_then(|ended| ended.result);
            assert_eq!(ended, Err(refusal));
        }
    }
}

#[test]
fn driver_that_is_busy_does_not_fail_a_ticket() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.0.borrow_mut().refuse.push(("control", XhciError::NoTickets));
    let ticket = bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    bench.core.pull_all(0);
    bench.now = bench.core.deadline().expect("it is asked again");
    bench.fake.0.borrow_mut().refuse.clear();
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::TicketDone(ticket));
}

#[test]
fn tickets_are_bounded_per_client_and_anothers_are_not_looked_at() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.0.borrow_mut().stuck.push("control");
    let mut tickets = Vec::new();
    for _ in 0..TICKETS_EACH {
        tickets.push(bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order"));
    }
    let refused = bench.core.start_control(CLIENT, device, GET, &[], 0);
    assert_eq!(refused.err(), Some(UsbCoreError::NoTickets));
    assert_eq!(bench.core.result(OTHER, tickets[0]).err(), Some(UsbCoreError::NotOwner));
    assert_eq!(bench.core.cancel(OTHER, tickets[0]), Err(UsbCoreError::NotOwner));
    // One that has not begun is never begun.
    assert_eq!(bench.core.cancel(CLIENT, tickets[3]), Ok(()));
    bench.fake.release();
    bench.settle();
    assert_eq!(bench.fake.log().len(), TICKETS_EACH - 1);
    for (number, ticket) in tickets.iter().enumerate() {
        let expected = (number == 3).then_some(UsbCoreError::Stale);
        assert_eq!(bench.core.result(CLIENT, *ticket).err(), expected);
    }
}

#[test]
fn collected_ticket_is_no_news_any_more() {
    let (mut bench, device) = Bench::claimed();
    let ticket = bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    bench.settle();
    assert!(bench.core.result(CLIENT, ticket).is_ok());
    assert_eq!(bench.core.pull(CLIENT), Event::None);
}

#[test]
fn isochronous_packets_go_to_an_endpoint_in_force_of_the_callers() {
    let (mut bench, device) = Bench::claimed();
    let (out, feedback) = (EndpointAddress(0x01), EndpointAddress(0x81));
    let packets = (&[2, 0][..], &[9, 9][..]);
    let refused = bench.core.write_isoch(CLIENT, device, out, packets);
    assert_eq!(refused, Err(UsbCoreError::NoEndpoint));
    bench.switch(device, 2).expect("in order");
    bench.fake.log();
    assert_eq!(bench.core.write_isoch(CLIENT, device, out, packets), Ok(1));
    assert_eq!(bench.fake.log(), ["write 2 [2, 0] [9, 9]"]);
    let refused = bench.core.write_isoch(OTHER, device, out, packets);
    assert_eq!(refused, Err(UsbCoreError::InterfaceBusy));
    let mut data = [0; 4];
    assert_eq!(bench.core.read_isoch(CLIENT, device, feedback, &mut data), Ok(1));
    assert_eq!(data[0], 3);
    let status = PipeStatus { queued: 2, room: 1, completed: 2, errors: 3, underruns: 4 };
    assert_eq!(bench.core.isoch_status(CLIENT, device, out), Ok(status));
}

#[test]
fn progress_is_told_to_the_one_who_claimed_the_interface() {
    let (mut bench, device) = Bench::claimed();
    assert!(matches!(bench.core.pull(OTHER), Event::Attached(_)));
    bench.switch(device, 2).expect("in order");
    let slot = bench.core.info(device).expect("it is there").slot;
    for dci in [2, 2, 3] {
        bench.fake.0.borrow_mut().events.push_back(Below::IsochProgress { slot, dci });
    }
    bench.settle();
    assert_eq!(bench.core.clients.take_hint(), Some(CLIENT));
    for endpoint in [EndpointAddress(0x01), EndpointAddress(0x81)] {
        assert_eq!(bench.core.pull(CLIENT), Event::IsochProgress { device, endpoint });
    }
    assert_eq!(bench.core.pull(CLIENT), Event::None);
    assert_eq!(bench.core.pull(OTHER), Event::None);
}
