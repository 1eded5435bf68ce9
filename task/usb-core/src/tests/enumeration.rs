//! From the port to the configuration, and every way in which it fails.

use usb_core_api::{Event, PowerState, UsbCoreError};
use usb_types::Speed;
use xhci_api::{Event as Below, XhciError};

use crate::controllers::ControllerNumber;
use crate::enumerate::ATTEMPTS;
use crate::fake::{Bench, CLIENT, OTHER, configuration};
use crate::pause::Pause;
use crate::{MAX_CONFIGURATION, MAX_DEVICES};

/// The order of xHCI 4.3 and USB 2.0 9.1.2 for a full-speed device.
const ORDER: [&str; 10] = [
    "reset port 1",
    "enable slot 1 Full",
    "address block=true 8",
    "control 80 6 0100 0 8",
    "evaluate 64",
    "address block=false 64",
    "control 80 6 0100 0 18",
    "control 80 6 0200 0 9",
    "control 80 6 0200 0 66",
    "control 00 9 0001 0 0",
];

#[test]
fn device_is_enumerated_in_the_order_of_the_specification() {
    let mut bench = Bench::new();
    bench.fake.plug(1);
    bench.settle();
    assert_eq!(bench.fake.log(), ORDER);
    let Event::Attached(device) = bench.core.pull(CLIENT) else { panic!("not announced") };
    let info = bench.core.info(device).expect("it is there");
    assert_eq!((info.vendor, info.product, info.port), (0x46f4, 2, 1));
    assert_eq!((info.speed, info.configuration, info.slot_number), (Speed::Full, 1, 1));
    assert_eq!((info.power, info.configuration_length), (PowerState::Active, 66));
    assert_eq!(bench.core.configuration(device), Ok(&configuration()[..]));
}

/// The clock is cut to whole milliseconds, so a wait of `n` is over at the
/// earliest when it says `n + 1` more.
#[test]
fn waits_of_the_specification_are_kept() {
    let mut bench = Bench::new();
    bench.fake.plug(1);
    bench.core.pull_all(1000);
    assert_eq!(bench.core.deadline(), Some(1001 + Pause::Debounce.ms()));
    bench.core.tick(1000 + Pause::Debounce.ms());
    assert_eq!(bench.fake.log().len(), 0, "reset before the debounce time");
    bench.core.tick(1001 + Pause::Debounce.ms());
    bench.core.pull_all(2000);
    assert_eq!(bench.fake.log(), ["reset port 1"]);
    assert_eq!(bench.core.deadline(), Some(2001 + Pause::ResetRecovery.ms()));
    bench.core.tick(2001 + Pause::ResetRecovery.ms());
    bench.core.pull_all(3000);
    assert_eq!(bench.fake.log(), ORDER[1..6]);
    assert_eq!(bench.core.deadline(), Some(3001 + Pause::AddressRecovery.ms()));
    bench.core.tick(3001 + Pause::AddressRecovery.ms());
    bench.core.pull_all(4000);
    assert_eq!(bench.fake.log(), ORDER[6..]);
    assert_eq!(bench.core.deadline(), None, "a timer is armed for nothing");
}

#[test]
fn connection_that_bounces_is_debounced_anew() {
    let mut bench = Bench::new();
    bench.fake.plug(1);
    bench.core.pull_all(0);
    bench.fake.plug(1);
    bench.core.pull_all(60);
    assert_eq!(bench.core.deadline(), Some(61 + Pause::Debounce.ms()));
    bench.fake.unplug(1);
    bench.core.pull_all(90);
    assert_eq!(bench.core.deadline(), None);
    assert_eq!(bench.fake.log().len(), 0);
}

#[test]
fn device_that_was_there_at_start_is_found_without_news() {
    let mut bench = Bench::new();
    bench.fake.plug(3);
    bench.fake.0.borrow_mut().events.clear();
    bench.core.begin(ControllerNumber(0), 0);
    bench.settle();
    assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)));
}

#[test]
fn known_packet_size_is_not_told_again() {
    let mut bench = Bench::new();
    bench.fake.0.borrow_mut().device[7] = 8;
    bench.fake.plug(1);
    bench.settle();
    let log = bench.fake.log();
    assert!(!log.iter().any(|line| line.starts_with("evaluate")));
    assert!(log.contains(&"address block=false 8".into()));
}

#[test]
fn usb3_port_that_trained_is_not_reset() {
    let mut bench = Bench::new();
    {
        let mut state = bench.fake.0.borrow_mut();
        state.ports[1].usb3 = true;
        state.ports[1].enabled = true;
        state.device[7] = 9;
    }
    bench.fake.plug(2);
    bench.fake.0.borrow_mut().ports[1].speed = Some(Speed::Super);
    bench.settle();
    let log = bench.fake.log();
    assert_eq!(log[0], "enable slot 2 Super");
    assert_eq!(log[1], "address block=true 512");
    assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)));
}

/// Each step that the controller or the device fails is tried again, from the
/// reset on, and then given up; nothing is left behind.
#[test]
fn step_that_fails_is_tried_three_times_and_gives_everything_back() {
    for step in ORDER {
        let mut bench = Bench::new();
        bench.fake.0.borrow_mut().fail.push((step, XhciError::Transaction));
        bench.fake.plug(1);
        bench.settle();
        let log = bench.fake.log();
        let tries = log.iter().filter(|line| *line == step).count();
        assert_eq!(tries, usize::from(ATTEMPTS), "{step}");
        assert_eq!(bench.core.pull(CLIENT), Event::None);
        assert_eq!(bench.core.status().failed_enumerations, 1);
        assert_eq!(bench.core.stores_taken, 0, "{step}");
        assert!(!log.contains(&"cancel".into()), "{step}: there is nothing to cancel");
        assert_eq!(bench.fake.0.borrow().open_slots.len(), 0, "{step}");
        assert!(bench.core.closing.as_flattened().iter().all(Option::is_none));
    }
}

#[test]
fn step_that_is_refused_at_once_is_a_failure_too() {
    for step in ORDER {
        let mut bench = Bench::new();
        bench.fake.0.borrow_mut().refuse.push((step, XhciError::NoSlots));
        bench.fake.plug(1);
        bench.settle();
        assert_eq!(bench.core.status().failed_enumerations, 1, "{step}");
        assert_eq!(bench.fake.0.borrow().open_slots.len(), 0, "{step}");
    }
}

#[test]
fn device_that_works_at_the_second_try_is_taken() {
    let mut bench = Bench::new();
    bench.fake.0.borrow_mut().fail.push(("address block=false", XhciError::Transaction));
    bench.fake.plug(1);
    while !bench.fake.log().contains(&"disable slot".into()) {
        bench.core.pull_all(bench.now);
        bench.now = bench.core.deadline().unwrap_or(bench.now);
        bench.core.tick(bench.now);
    }
    bench.fake.0.borrow_mut().fail.clear();
    bench.settle();
    assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)));
    assert_eq!(bench.core.status().failed_enumerations, 0);
}

#[test]
fn driver_that_is_busy_is_asked_again() {
    for step in ORDER {
        for busy in [XhciError::Busy, XhciError::NoTickets] {
            let mut bench = Bench::new();
            bench.fake.0.borrow_mut().refuse.push((step, busy));
            bench.fake.plug(1);
            for _ in 0..20 {
                bench.core.pull_all(bench.now);
                bench.now = bench.core.deadline().expect("it waits for its turn");
                bench.core.tick(bench.now);
            }
            bench.fake.0.borrow_mut().refuse.clear();
            bench.settle();
            assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)), "{step}");
        }
    }
}

#[test]
fn device_descriptor_that_breaks_a_rule_is_a_failure() {
    for (index, value) in [(7, 24), (1, 9), (0, 7), (17, 0)] {
        let mut bench = Bench::new();
        bench.fake.0.borrow_mut().device[index] = value;
        bench.fake.plug(1);
        bench.settle();
        assert_eq!(bench.core.pull(CLIENT), Event::None, "byte {index}");
        assert_eq!(bench.core.status().failed_enumerations, 1, "byte {index}");
    }
}

#[test]
fn configuration_that_cannot_be_used_is_passed_over_for_the_next() {
    let broken: [Vec<u8>; 4] =
        [vec![9, 2, 9, 0, 0, 1, 0, 0x80, 50], vec![9, 4, 9, 0, 0, 1, 0, 0x80, 50], vec![9, 2], {
            let [low, high] = (MAX_CONFIGURATION as u16 + 1).to_le_bytes();
            vec![9, 2, low, high, 2, 1, 0, 0x80, 50]
        }];
    for first in broken {
        let mut bench = Bench::new();
        {
            let mut state = bench.fake.0.borrow_mut();
            let mut second = configuration();
            second[5] = 7;
            state.configurations = vec![first.clone(), second];
            state.device[17] = 2;
        }
        bench.fake.plug(1);
        bench.settle();
        let Event::Attached(device) = bench.core.pull(CLIENT) else { panic!("{first:?}") };
        assert_eq!(bench.core.info(device).map(|info| info.configuration), Ok(7));
        assert_eq!(bench.fake.log().last().map(|line| &**line), Some("control 00 9 0007 0 0"));
    }
}

/// What is outside is hostile: the length may be another one each time.
#[test]
fn configuration_that_changes_its_length_is_as_long_as_what_arrived() {
    for (total, length) in [(0xFFFF_u16, 66), (40, 40), (200, 66)] {
        let mut bench = Bench::new();
        bench.fake.0.borrow_mut().other_length = Some(total);
        bench.fake.plug(1);
        bench.settle();
        let Event::Attached(device) = bench.core.pull(CLIENT) else { panic!("not announced") };
        assert_eq!(bench.core.configuration(device).map(<[u8]>::len), Ok(length), "{total}");
    }
}

#[test]
fn no_usable_configuration_is_a_failure() {
    let mut bench = Bench::new();
    bench.fake.0.borrow_mut().configurations = vec![vec![9, 2, 9, 0, 0, 1, 0, 0x80, 50]];
    bench.fake.plug(1);
    bench.settle();
    assert_eq!(bench.core.status().failed_enumerations, 1);
}

#[test]
fn endpoints_of_alternate_0_are_configured_before_the_configuration_is_set() {
    let mut bench = Bench::new();
    let mut bytes = vec![9, 2, 25, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 1, 1, 2, 0, 0];
    bytes.extend([7, 5, 0x02, 0x0d, 0x20, 0, 1]);
    bench.fake.0.borrow_mut().configurations = vec![bytes];
    bench.fake.plug(1);
    bench.settle();
    let log = bench.fake.log();
    assert_eq!(log[log.len() - 2..], ["configure drop=0x0 add=[(4, 32)]", "control 00 9 0001 0 0"]);
}

/// R28: what was told of a device is worth nothing once it is gone.
#[test]
fn unplug_voids_the_handle_and_gives_everything_back() {
    let (mut bench, device) = Bench::attached();
    bench.fake.unplug(1);
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    assert_eq!(bench.core.info(device), Err(UsbCoreError::DeviceGone));
    assert_eq!(bench.fake.log(), ["disable slot"]);
    assert_eq!((bench.core.stores_taken, bench.core.status().devices), (0, 0));
    bench.fake.plug(1);
    bench.settle();
    let Event::Attached(next) = bench.core.pull(CLIENT) else { panic!("not announced") };
    assert_ne!(next, device);
    assert_eq!(bench.core.info(device), Err(UsbCoreError::DeviceGone));
}

/// A connection that changed twice between two looks is another device.
#[test]
fn replug_between_two_looks_is_another_device() {
    let (mut bench, device) = Bench::attached();
    bench.fake.plug(1);
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)));
}

#[test]
fn port_that_an_error_disabled_is_enumerated_anew() {
    let (mut bench, device) = Bench::attached();
    {
        let mut state = bench.fake.0.borrow_mut();
        state.ports[0].enabled = false;
        state.ports[0].changes = 1 << 1;
        state.events.push_back(Below::PortChanged { port: 1 });
    }
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)));
}

/// D-19: taking down works without the device; unplugged at any step, nothing
/// stays.
#[test]
fn unplug_at_any_step_leaves_nothing_behind() {
    for step in ORDER {
        let mut bench = Bench::new();
        bench.fake.0.borrow_mut().stuck.push(step);
        bench.fake.plug(1);
        bench.settle();
        bench.fake.unplug(1);
        bench.settle();
        bench.fake.release();
        bench.settle();
        assert_eq!(bench.fake.0.borrow().open_slots.len(), 0, "{step}");
        assert_eq!(bench.core.stores_taken, 0, "{step}");
        assert!(bench.core.closing.as_flattened().iter().all(Option::is_none), "{step}");
        assert_eq!(bench.core.pull(CLIENT), Event::None, "{step}");
    }
}

#[test]
fn slot_that_cannot_be_disabled_yet_is_asked_for_again() {
    let (mut bench, _) = Bench::attached();
    bench.fake.0.borrow_mut().refuse.push(("disable slot", XhciError::Busy));
    bench.fake.unplug(1);
    bench.core.pull_all(bench.now);
    for _ in 0..3 {
        bench.now = bench.core.deadline().expect("it is asked again");
        bench.core.tick(bench.now);
    }
    assert_eq!(bench.fake.0.borrow().open_slots.len(), 1);
    bench.fake.0.borrow_mut().refuse.clear();
    bench.settle();
    assert_eq!(bench.fake.0.borrow().open_slots.len(), 0);
}

/// R1: one more than there is room for is given up and counted; all others work.
#[test]
fn one_device_more_than_there_is_room_for_is_given_up() {
    let mut bench = Bench::new();
    bench.fake.0.borrow_mut().ports.resize(MAX_DEVICES + 1, Default::default());
    for port in 1..=MAX_DEVICES as u8 + 1 {
        bench.fake.plug(port);
    }
    bench.settle();
    assert_eq!(usize::from(bench.core.status().devices), MAX_DEVICES);
    assert_eq!(bench.core.status().failed_enumerations, 1);
    assert_eq!(bench.fake.0.borrow().open_slots.len(), MAX_DEVICES);
}

#[test]
fn dead_controller_takes_every_device_and_a_new_life_brings_them_back() {
    let (mut bench, device) = Bench::attached();
    assert!(matches!(bench.core.pull(OTHER), Event::Attached(_)));
    {
        let mut state = bench.fake.0.borrow_mut();
        state.dead = true;
        state.events.push_back(Below::ControllerDied);
    }
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    assert_eq!(bench.core.pull(OTHER), Event::Detached(device));
    assert_eq!((bench.core.stores_taken, bench.core.deadline()), (0, None));
    {
        let mut state = bench.fake.0.borrow_mut();
        state.dead = false;
        state.events.push_back(Below::ControllerReady);
    }
    bench.settle();
    assert!(matches!(bench.core.pull(CLIENT), Event::Attached(next) if next != device));
}

#[test]
fn controller_that_dies_during_enumeration_is_waited_for() {
    for step in ORDER {
        let mut bench = Bench::new();
        bench.fake.0.borrow_mut().fail.push((step, XhciError::ControllerDead));
        bench.fake.plug(1);
        bench.settle();
        assert_eq!(bench.core.status().failed_enumerations, 0, "{step}: the device is innocent");
        assert_eq!(bench.core.stores_taken, 0, "{step}");
        bench.fake.0.borrow_mut().fail.clear();
        bench.fake.0.borrow_mut().events.push_back(Below::ControllerReady);
        bench.settle();
        assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)), "{step}");
    }
}
