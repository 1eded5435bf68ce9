//! Devices behind hubs: the way to them, and what of them is the hub's.

use crate::clients::{DEVICE, Driver, SET_CONFIGURATION, say};
use crate::devices::{OUT, idle};
use crate::machine::{Diary, Machine, Plan, personalities, port};
use fabric::Time;
use system::board::Parts;
use usb_model::Hub;
use usb_model::headset::{Model, headset};
use usb_types::{Setup, Speed};
use userlib::{hl, sys_get_timer};
use xhc::{Personality, Place, Route};
use xhci_api::{Completed, EndpointSpec, SlotHandle, XhciError};

/// A hub's status pipe: one byte, every 256 ms at high speed.
const PIPE: EndpointSpec =
    EndpointSpec { dci: 3, kind: 7, interval: 11, max_packet: 1, esit_payload: 1, ..OUT };
/// The same at full speed, where it is asked every 128 ms.
const SLOW_PIPE: EndpointSpec = EndpointSpec { interval: 10, ..PIPE };
/// Features of a port (USB 2.0 table 11-17).
const SUSPEND: u16 = 2;
const RESET: u16 = 4;
const POWER: u16 = 8;
const C_CONNECTION: u16 = 16;
const C_RESET: u16 = 20;
/// Ports of the hubs here, and how long their translators think.
const PORTS: u8 = 4;
const THINK: u8 = 1;

impl Driver {
    fn set(&mut self, hub: SlotHandle, what: u16, port: u8) {
        let setup =
            Setup { request_type: 0x23, request: 3, value: what, index: port.into(), length: 0 };
        assert_eq!(self.control(hub, setup, &mut []), Ok(0));
    }

    fn clear(&mut self, hub: SlotHandle, what: u16, port: u8) {
        let setup =
            Setup { request_type: 0x23, request: 1, value: what, index: port.into(), length: 0 };
        assert_eq!(self.control(hub, setup, &mut []), Ok(0));
    }

    fn status(&mut self, hub: SlotHandle, port: u8) -> u16 {
        let setup =
            Setup { request_type: 0xA3, request: 0, value: 0, index: port.into(), length: 4 };
        let mut status = [0; 4];
        assert_eq!(self.control(hub, setup, &mut status), Ok(4));
        u16::from_le_bytes([status[0], status[1]])
    }

    /// Configures a hub, and gives its ports power.
    fn start_hub(&mut self, hub: SlotHandle, speed: Speed) {
        let fast = speed == Speed::High;
        self.control(hub, SET_CONFIGURATION, &mut []).expect("configured");
        self.configure(hub, 0, &[if fast { PIPE } else { SLOW_PIPE }]).expect("its pipe");
        let told = self.xhci.start_configure_hub(hub, PORTS, if fast { THINK } else { 0 });
        assert_eq!(self.end(told), Ok(Completed::Done));
        for port in 1..=PORTS {
            self.set(hub, POWER, port);
        }
        hl::sleep_for(210);
    }

    fn reset_behind(&mut self, hub: SlotHandle, port: u8) -> Speed {
        self.clear(hub, C_CONNECTION, port);
        self.set(hub, RESET, port);
        hl::sleep_for(20);
        self.clear(hub, C_RESET, port);
        hl::sleep_for(11);
        match self.status(hub, port) >> 9 & 3 {
            0 => Speed::Full,
            1 => Speed::Low,
            _ => Speed::High,
        }
    }

    /// Addresses the device at a port of a hub.
    fn enumerate_behind(&mut self, hub: SlotHandle, port: u8) -> SlotHandle {
        let speed = self.reset_behind(hub, port);
        let enable = self.xhci.start_enable_slot_behind(hub, port, speed);
        let Ok(Completed::Slot { slot, .. }) = self.end(enable) else { panic!("no slot") };
        self.address(slot, speed).expect("addressed");
        slot
    }

    fn is_there(&mut self, slot: SlotHandle) {
        let mut device = [0; 18];
        assert_eq!(self.control(slot, DEVICE, &mut device), Ok(18));
        assert_eq!(device[..2], [18, 1]);
    }
}

/// Hubs one behind the other at these ports, and a device behind the last one.
fn chain(
    speeds: &'static [usb_model::Speed],
    ports: &'static [u8],
    model: Model,
) -> impl Fn(&mut Parts, Place) {
    move |parts: &mut Parts, root: Place| {
        let mut place = root;
        for (&speed, &port) in speeds.iter().zip(ports) {
            parts.plug_at(0, place, Box::new(Hub::new(speed, PORTS)));
            place.route = place.route.through(port);
        }
        parts.plug_at(0, place, headset(model, 1));
    }
}

fn run(
    (seed, personality): (u64, Personality),
    plug: impl Fn(&mut Parts, Place) + 'static,
    script: impl Fn(&mut Driver, SlotHandle, &Diary) + Copy + 'static,
) -> Machine {
    let root = Place::from(port(&personality));
    let plan = Plan::default().at(Time::ms(5), move |parts: &mut Parts| plug(parts, root));
    let core = move |diary: &Diary| {
        let mut driver = Driver::new();
        driver.until_ready();
        let port = driver.until_connected();
        let hub = driver.enumerate(port).expect("the hub enumerates");
        script(&mut driver, hub, diary);
        say(diary, "done");
        idle(diary);
    };
    let mut machine = Machine::new(personality, seed, plan, core, idle);
    machine.run(4000);
    assert!(machine.said("done"), "seed {seed}: {:?}", machine.diary.borrow());
    machine.check();
    machine
}

#[test]
fn a_device_behind_a_hub_is_found_by_its_route_and_its_translator() {
    use usb_model::Speed::{Full, High};
    for (seed, personality) in personalities(8) {
        let both = [Model::Sync, Model::Async(High)];
        for model in both {
            let plug = chain(&[High], &[3], model);
            run((seed, personality.clone()), plug, |driver, hub, _| {
                driver.start_hub(hub, Speed::High);
                let slot = driver.enumerate_behind(hub, 3);
                driver.is_there(slot);
                driver.is_there(hub);
            });
        }
        // A hub of full speed splits nothing.
        run((seed, personality), chain(&[Full], &[1], Model::Sync), |driver, hub, _| {
            driver.start_hub(hub, Speed::Full);
            let slot = driver.enumerate_behind(hub, 1);
            driver.is_there(slot);
        });
    }
}

/// The translator is that of the nearest hub of high speed, not of the nearest hub
/// (fact 42).
#[test]
fn behind_two_hubs_the_nearest_fast_one_translates() {
    use usb_model::Speed::{Full, High};
    for (seed, personality) in personalities(4) {
        for second in [High, Full] {
            let speeds: &[_] = if second == High { &[High, High] } else { &[High, Full] };
            let plug = chain(speeds, &[2, 4], Model::Sync);
            run((seed, personality.clone()), plug, |driver, hub, _| {
                driver.start_hub(hub, Speed::High);
                let next = driver.enumerate_behind(hub, 2);
                let speed = match driver.status(hub, 2) >> 9 & 3 {
                    0 => Speed::Full,
                    _ => Speed::High,
                };
                driver.start_hub(next, speed);
                let slot = driver.enumerate_behind(next, 4);
                driver.is_there(slot);
            });
        }
    }
}

#[test]
fn a_hub_says_on_its_pipe_which_port_changed_and_is_quiet_otherwise() {
    for (seed, personality) in personalities(4) {
        let root = Place::from(port(&personality));
        let hub = move |parts: &mut Parts| {
            parts.plug_at(0, root, Box::new(Hub::new(usb_model::Speed::High, PORTS)));
        };
        let device = move |parts: &mut Parts| {
            let place = Place { route: Route::ROOT.through(3), ..root };
            parts.plug_at(0, place, headset(Model::Sync, 1));
        };
        let plan = Plan::default().at(Time::ms(5), hub).at(Time::ms(1500), device);
        let core = move |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let hub = driver.enumerate(port).expect("the hub enumerates");
            driver.start_hub(hub, Speed::High);
            let mut report = [0; 4];
            let read = |driver: &Driver, report: &mut [u8]| driver.xhci.read_isoch(hub, 3, report);
            assert_eq!(read(&driver, &mut report), Err(XhciError::NotYet));
            driver.progress = false;
            say(diary, format!("armed at {}", sys_get_timer().now));
            while !driver.progress {
                driver.wait();
            }
            let at = sys_get_timer().now;
            assert!((1500..1760).contains(&at), "{at}");
            assert_eq!((read(&driver, &mut report), report[0]), (Ok(1), 1 << 3));
            driver.clear(hub, C_CONNECTION, 3);
            let again = driver.xhci.isoch_status(hub, 3).expect("it is there");
            assert_eq!((again.queued, again.completed, again.errors), (1, 1, 0), "armed again");
            say(diary, "done");
            idle(diary);
        };
        let mut machine = Machine::new(personality, seed, plan, core, idle);
        machine.run(3000);
        assert!(machine.said("done"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
    }
}

#[test]
fn what_is_behind_a_hub_sleeps_and_is_reset_through_it() {
    for (seed, personality) in personalities(8) {
        let plug = chain(&[usb_model::Speed::High], &[2], Model::Sync);
        run((seed, personality), plug, |driver, hub, _| {
            driver.start_hub(hub, Speed::High);
            let slot = driver.enumerate_behind(hub, 2);
            for _ in 0..2 {
                let down = driver.xhci.start_suspend_device(slot);
                assert_eq!(driver.end(down), Ok(Completed::Done));
                driver.set(hub, SUSPEND, 2);
                hl::sleep_for(11);
                assert_eq!(
                    driver.xhci.start_control(slot, DEVICE, &[]).err(),
                    Some(XhciError::Suspended)
                );
                driver.clear(hub, SUSPEND, 2);
                hl::sleep_for(25);
                let up = driver.xhci.start_resume_device(slot);
                assert_eq!(driver.end(up), Ok(Completed::Done));
                driver.is_there(slot);
            }
            let reset = driver.xhci.start_reset_device(slot);
            assert_eq!(driver.end(reset), Ok(Completed::Done));
            let speed = driver.reset_behind(hub, 2);
            let address = driver.xhci.start_address(slot, false, 64);
            assert_eq!((speed, driver.end(address)), (Speed::Full, Ok(Completed::Done)));
            hl::sleep_for(3);
            driver.is_there(slot);
        });
    }
}

#[test]
fn what_is_no_way_to_a_device_is_refused_with_its_code() {
    let plug = chain(&[usb_model::Speed::High], &[2], Model::Sync);
    run((0, Personality::qemu()), plug, |driver, hub, _| {
        let behind = |driver: &Driver, hub, port| {
            driver.xhci.start_enable_slot_behind(hub, port, Speed::Full).err()
        };
        assert_eq!(behind(driver, hub, 2), Some(XhciError::NotAHub), "not told of yet");
        assert_eq!(driver.xhci.start_configure_hub(hub, 0, 0).err(), Some(XhciError::BadPort));
        assert_eq!(driver.xhci.start_configure_hub(hub, 4, 4).err(), Some(XhciError::BadPort));
        driver.start_hub(hub, Speed::High);
        assert_eq!(behind(driver, hub, 0), Some(XhciError::BadPort));
        assert_eq!(behind(driver, hub, PORTS + 1), Some(XhciError::BadPort));
        let slot = driver.enumerate_behind(hub, 2);
        assert_eq!(behind(driver, hub, 2), Some(XhciError::Busy), "it has its slot");
        assert_eq!(behind(driver, slot, 1), Some(XhciError::NotAHub));
    });
}

/// A route string names five hubs (6.2.2): a device can be behind a fifth one, and
/// none behind a sixth.
#[test]
fn no_device_is_behind_six_hubs() {
    let plug = |parts: &mut Parts, mut place: Place| {
        for tier in 1..=6 {
            parts.plug_at(0, place, Box::new(Hub::new(usb_model::Speed::High, PORTS)));
            if tier < 6 {
                place.route = place.route.through(1);
            }
        }
    };
    run((0, Personality::qemu()), plug, |driver, hub, _| {
        let mut last = hub;
        for _ in 0..5 {
            driver.start_hub(last, Speed::High);
            last = driver.enumerate_behind(last, 1);
        }
        driver.start_hub(last, Speed::High);
        let beyond = driver.xhci.start_enable_slot_behind(last, 1, Speed::Full).err();
        assert_eq!(beyond, Some(XhciError::TooDeep));
    });
}

/// Feature `hubs` off: a hub is a device like any other.
#[test]
fn a_driver_without_hubs_says_so() {
    let personality = Personality::qemu();
    let root = Place::from(port(&personality));
    let plug = chain(&[usb_model::Speed::High], &[2], Model::Sync);
    let plan = Plan::default().at(Time::ms(5), move |parts: &mut Parts| plug(parts, root));
    let mut machine = Machine::without_hubs(personality, plan, |diary| {
        let mut driver = Driver::new();
        driver.until_ready();
        let port = driver.until_connected();
        let hub = driver.enumerate(port).expect("the hub enumerates");
        driver.is_there(hub);
        let unsupported = Some(XhciError::HubsUnsupported);
        assert_eq!(driver.xhci.start_configure_hub(hub, 4, 1).err(), unsupported);
        let behind = driver.xhci.start_enable_slot_behind(hub, 2, Speed::Full).err();
        assert_eq!(behind, unsupported);
        say(diary, "done");
        idle(diary);
    });
    machine.run(1000);
    assert!(machine.said("done"), "{:?}", machine.diary.borrow());
    machine.check();
}
