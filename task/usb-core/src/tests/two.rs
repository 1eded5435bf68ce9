//! Two controllers: each has numbers of its own, and a death of its own (R21).
//!
//! The made-up drivers count alike, so ports, slots and tickets of one always
//! look like those of the other.

use usb_core_api::{Depth, DeviceHandle, Event, PowerState, SystemPower, UsbCoreError};
use usb_types::{EndpointAddress, Setup};
use xhci_api::{Event as Below, XhciError};

use crate::controllers::ControllerNumber;
use crate::fake::{Bench, CLIENT, Fake, POWER};

const GET: Setup = Setup { request_type: 0xA1, request: 0x81, value: 0, index: 1, length: 2 };
const PLAYBACK: EndpointAddress = EndpointAddress(0x01);

fn two() -> Bench<2> {
    Bench::over([Fake::new(), Fake::new()], None)
}

impl Bench<2> {
    /// The next device that [`CLIENT`] hears of.
    fn next_device(&mut self) -> DeviceHandle {
        let Event::Attached(device) = self.core.pull(CLIENT) else { panic!("no device") };
        self.core.claim(CLIENT, device, 1).expect("nobody has it");
        device
    }

    fn state(&self, device: DeviceHandle) -> PowerState {
        self.core.info(device).expect("it is there").power
    }
}

/// A device at port 1 of each, claimed.
fn both() -> (Bench<2>, [DeviceHandle; 2]) {
    let mut bench = two();
    let devices = [0, 1].map(|n: usize| {
        bench.fakes[n].plug(1);
        bench.settle();
        bench.next_device()
    });
    for fake in &bench.fakes {
        fake.log();
    }
    (bench, devices)
}

/// R21: numbers of ports and slots are each controller's own.
#[test]
fn r21_same_port_and_slot_of_two_controllers_are_two_devices() {
    let (bench, devices) = both();
    assert_ne!(devices[0], devices[1]);
    let infos = devices.map(|device| bench.core.info(device).expect("it is there"));
    let places = infos.map(|info| (info.controller, info.port, info.slot_number));
    assert_eq!(places, [(0, 1, 1), (1, 1, 1)]);
    assert_eq!(infos[0].slot, infos[1].slot, "a slot says nothing without its controller");
}

/// They are on their way at once, with the same tickets.
#[test]
fn r21_devices_of_two_controllers_are_enumerated_at_once() {
    let mut bench = two();
    for fake in &bench.fakes {
        fake.plug(3);
    }
    bench.settle();
    let devices = [bench.next_device(), bench.next_device()];
    let of = devices.map(|device| bench.core.info(device).expect("it is there").controller);
    assert_eq!(of, [0, 1]);
    let [first, second] = bench.fakes.each_ref().map(Fake::log);
    assert_eq!(first, second, "each was asked for all of it, once");
}

/// R21: whatever is asked of a device goes to its own controller's driver.
#[test]
fn r21_requests_go_to_the_driver_of_the_device() {
    let (mut bench, devices) = both();
    for (n, device) in devices.into_iter().enumerate() {
        let ticket = bench.core.start_set_interface(CLIENT, device, (1, 1), 0).expect("in order");
        bench.settle();
        assert_eq!(bench.core.result(CLIENT, ticket).map(|ended| ended.result), Ok(Ok(())));
        let packets = (&[2, 0][..], &[7, 7][..]);
        assert_eq!(bench.core.write_isoch(CLIENT, device, PLAYBACK, packets), Ok(1));
        let asked = bench.fakes.each_ref().map(|fake| fake.log().len());
        assert_eq!((asked[n], asked[1 - n]), (3, 0), "reserved, told, written");
    }
    // And one reset, which is a port's and a slot's.
    bench.core.start_reset(CLIENT, devices[1], bench.now).expect("it is up");
    bench.settle();
    let asked = bench.fakes.each_ref().map(Fake::log);
    assert_eq!((asked[0].len(), asked[1][0].as_str()), (0, "reset device 1"));
}

/// The answers of one are not taken for the other's: each keeps its own back.
#[test]
fn r21_tickets_of_two_drivers_are_told_apart() {
    let (mut bench, devices) = both();
    for fake in &bench.fakes {
        fake.0.borrow_mut().stuck.push("control");
    }
    let tickets =
        devices.map(|device| bench.core.start_control(CLIENT, device, GET, &[], 0).expect("up"));
    bench.fakes[1].release();
    bench.settle();
    let answers = tickets.map(|ticket| bench.core.result(CLIENT, ticket).map(|end| end.result));
    assert_eq!(answers, [Err(UsbCoreError::NotYet), Ok(Ok(()))]);
    bench.fakes[0].release();
    bench.settle();
    assert_eq!(bench.core.result(CLIENT, tickets[0]).map(|end| end.result), Ok(Ok(())));
}

/// The same for what a device is told on its way down.
#[test]
fn r21_changes_of_two_drivers_are_told_apart() {
    let (mut bench, devices) = both();
    for fake in &bench.fakes {
        fake.0.borrow_mut().stuck.push("suspend");
    }
    let ticket = bench.core.start_suspend(POWER, Depth::All, 0).expect("awake");
    bench.settle();
    bench.fakes[1].release();
    bench.settle();
    let states = devices.map(|device| bench.state(device));
    assert_eq!(states, [PowerState::Suspending, PowerState::Suspended]);
    bench.fakes[0].release();
    bench.settle();
    assert_eq!(bench.core.result(POWER, ticket).map(|end| end.result), Ok(Ok(())));
    assert_eq!(bench.core.status().system, SystemPower::Suspended);
}

/// Packets of one device are not told of the other, whose slot looks the same.
#[test]
fn r21_progress_is_told_of_the_device_that_made_it() {
    let (mut bench, devices) = both();
    for device in devices {
        bench.core.start_set_interface(CLIENT, device, (1, 1), 0).expect("in order");
    }
    bench.settle();
    while bench.core.pull(CLIENT) != Event::None {}
    let slot = bench.core.info(devices[1]).expect("it is there").slot;
    bench.fakes[1].0.borrow_mut().events.push_back(Below::IsochProgress { slot, dci: 2 });
    bench.settle();
    let told = Event::IsochProgress { device: devices[1], endpoint: PLAYBACK };
    assert_eq!((bench.core.pull(CLIENT), bench.core.pull(CLIENT)), (told, Event::None));
}

/// R21: the death of a driver is that of its controller's devices, in whatever state,
/// and of no other.
#[test]
fn r21_death_of_one_driver_leaves_the_devices_of_the_other() {
    for (lost, lives) in [(0, 1), (1, 0)] {
        let (mut bench, devices) = both();
        for device in devices {
            bench.core.hold(CLIENT, device, 0).expect("active");
        }
        for fake in &bench.fakes {
            fake.0.borrow_mut().stuck.push("control");
        }
        let tickets = devices
            .map(|device| bench.core.start_control(CLIENT, device, GET, &[], 0).expect("up"));
        // One more is on its way at each.
        for fake in &bench.fakes {
            fake.plug(2);
        }
        bench.settle();
        bench.core.lose_controller(ControllerNumber(lost as u8));
        let ended = bench.core.result(CLIENT, tickets[lost]).map(|end| end.result);
        assert_eq!(ended, Ok(Err(UsbCoreError::DeviceGone)));
        let pending = bench.core.result(CLIENT, tickets[lives]).map(|end| end.result);
        assert_eq!(pending, Err(UsbCoreError::NotYet));
        assert_eq!(bench.core.info(devices[lost]), Err(UsbCoreError::DeviceGone));
        assert_eq!(bench.state(devices[lives]), PowerState::Active);
        assert_eq!(bench.core.status().holds, 1, "the hold of the other stands");
        bench.fakes[lives].release();
        bench.settle();
        let answer = bench.core.result(CLIENT, tickets[lives]).map(|end| end.result);
        assert_eq!(answer, Ok(Ok(())));
        let status = bench.core.status();
        assert_eq!(status.devices, 2, "what was on its way at the other has arrived");
        // The next life finds what is plugged in, and it is another device.
        bench.fakes[lost].release();
        bench.core.begin(ControllerNumber(lost as u8), bench.now);
        bench.settle();
        assert_eq!(bench.core.status().devices, 4);
        assert_eq!(bench.core.info(devices[lost]), Err(UsbCoreError::DeviceGone));
    }
}

/// A driver that does not answer is a controller lost; the other's news is taken
/// all the same.
#[test]
fn r21_news_of_one_is_taken_when_the_other_is_dead() {
    for dead in [0, 1] {
        let (mut bench, devices) = both();
        bench.fakes[dead].0.borrow_mut().deaf = Some(XhciError::ServerDied);
        bench.fakes[1 - dead].plug(2);
        bench.settle();
        assert_eq!(bench.core.info(devices[dead]), Err(UsbCoreError::DeviceGone));
        assert_eq!(bench.core.status().devices, 2);
    }
}

/// A slot that is given up at one is not forgotten when the other dies.
#[test]
fn r21_slot_is_given_up_whatever_happens_to_the_other_controller() {
    let (mut bench, _) = both();
    bench.fakes[0].0.borrow_mut().refuse.push(("disable", XhciError::Busy));
    bench.fakes[0].unplug(1);
    bench.core.pull_all(bench.now);
    bench.core.lose_controller(ControllerNumber(1));
    bench.fakes[0].0.borrow_mut().refuse.clear();
    bench.settle();
    assert!(bench.fakes[0].0.borrow().open_slots.is_empty());
    assert!(bench.core.closing.as_flattened().iter().all(Option::is_none));
}

/// A port that no controller has is nobody else's.
#[test]
fn r21_port_beyond_the_last_is_not_the_next_controllers_first() {
    let (mut bench, devices) = both();
    bench.fakes[1].unplug(1);
    bench.fakes[1].0.borrow_mut().events.clear();
    for port in [0, 33, 255] {
        bench.fakes[0].0.borrow_mut().events.push_back(Below::PortChanged { port });
    }
    bench.settle();
    assert!(bench.core.info(devices[1]).is_ok(), "its own driver has said nothing yet");
}
