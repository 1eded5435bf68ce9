//! The system falls asleep and wakes up, and idle devices go down by themselves.

use usb_core_api::{Depth, DeviceHandle, Event, PowerState, SystemPower, UsbCoreError};
use usb_types::{EndpointAddress, Setup};
use xhci_api::XhciError;

use crate::fake::{Bench, CLIENT, OTHER, POWER};

const GET: Setup = Setup { request_type: 0xA1, request: 0x81, value: 0, index: 1, length: 2 };
const TELL_0: &str = "control 01 11 0000 1 0";
const TELL_1: &str = "control 01 11 0001 1 0";
const MAY_WAKE: &str = "control 00 3 0001 0 0";
const MAY_NOT_WAKE: &str = "control 00 1 0001 0 0";
const DROP_1: &str = "configure drop=0x4 add=[]";

impl Bench {
    /// Suspends the system and says how that ended.
    pub(super) fn suspend(&mut self, depth: Depth) -> Result<(), UsbCoreError> {
        let ticket = self.core.start_suspend(POWER, depth, self.now)?;
        self.settle();
        self.core.result(POWER, ticket).and_then(|ended| ended.result)
    }

    pub(super) fn resume(&mut self) -> Result<(), UsbCoreError> {
        let ticket = self.core.start_resume(POWER, self.now)?;
        self.settle();
        self.core.result(POWER, ticket).and_then(|ended| ended.result)
    }

    pub(super) fn state(&self, device: DeviceHandle) -> PowerState {
        self.core.info(device).expect("it is there").power
    }

    pub(super) fn system(&self) -> SystemPower {
        self.core.status().system
    }
}

/// A device whose configuration says that it can signal.
fn able() -> (Bench, DeviceHandle) {
    let mut bench = Bench::new();
    bench.fake.0.borrow_mut().configurations[0][7] |= 1 << 5;
    bench.fake.plug(1);
    bench.settle();
    let Event::Attached(device) = bench.core.pull(CLIENT) else { panic!("no device") };
    bench.core.claim(CLIENT, device, 1).expect("nobody has it");
    bench.fake.log();
    (bench, device)
}

#[test]
fn system_suspends_and_resumes_with_its_devices() {
    let (mut bench, device) = Bench::claimed();
    assert_eq!(bench.suspend(Depth::AllButHeld), Ok(()));
    assert_eq!(bench.fake.log(), ["suspend 1"]);
    assert_eq!(
        (bench.system(), bench.state(device)),
        (SystemPower::Suspended, PowerState::Suspended)
    );
    assert_eq!(bench.core.deadline(), None, "nothing is timed while it sleeps");
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.fake.log(), ["resume 1"]);
    assert_eq!((bench.system(), bench.state(device)), (SystemPower::Awake, PowerState::Active));
}

#[test]
fn only_power_suspends_the_system() {
    let (mut bench, _) = Bench::attached();
    for depth in [Depth::AllButHeld, Depth::All] {
        let refused = bench.core.start_suspend(CLIENT, depth, 0).err();
        assert_eq!(refused, Some(UsbCoreError::NotAllowed));
    }
    assert_eq!(bench.core.start_resume(OTHER, 0).err(), Some(UsbCoreError::NotAllowed));
}

/// R14, R17, R28, U3: who is held stays up, is asked nothing, and does not come up
/// twice. That it is up gives nobody else a right to it.
#[test]
fn u3_r14_held_device_stays_up_and_the_way_up_follows_the_decision() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.plug(2);
    bench.settle();
    bench.core.hold(CLIENT, device, 0).expect("active");
    bench.fake.log();
    assert_eq!(bench.suspend(Depth::AllButHeld), Ok(()));
    assert_eq!(bench.fake.log(), ["suspend 2"]);
    assert_eq!(bench.state(device), PowerState::Active);
    // Nobody gets to it now, U10.
    assert_eq!(bench.core.hold(OTHER, device, 0), Err(UsbCoreError::Suspended));
    let refused = bench.core.start_control(CLIENT, device, GET, &[], 0).err();
    assert_eq!(refused, Some(UsbCoreError::Suspended));
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.fake.log(), ["resume 2"]);
    assert!(bench.core.start_control(CLIENT, device, GET, &[], 0).is_ok());
}

/// U8: hibernation asks nobody.
#[test]
fn u8_suspend_of_everything_takes_held_devices_and_goes_deeper_on_request() {
    let (mut bench, device) = Bench::claimed();
    bench.core.hold(CLIENT, device, 0).expect("active");
    assert_eq!(bench.suspend(Depth::AllButHeld), Ok(()));
    assert_eq!(bench.state(device), PowerState::Active);
    assert_eq!(bench.suspend(Depth::All), Ok(()));
    assert_eq!(bench.state(device), PowerState::Suspended);
    // All but held is less than that: nothing to do.
    assert_eq!(bench.suspend(Depth::AllButHeld), Ok(()));
    assert_eq!(bench.fake.log(), ["suspend 1"]);
    assert_eq!(bench.core.unhold(CLIENT, device, 0), Ok(()), "R15: never refused");
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.core.status().holds, 0);
}

/// R15: no error, and no count that is left (DESIGN rule 4).
#[test]
fn r15_last_release_in_steady_suspend_suspends_late() {
    let (mut bench, device) = Bench::claimed();
    bench.core.hold(CLIENT, device, 0).expect("active");
    bench.core.hold(OTHER, device, 0).expect("active");
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    assert_eq!(bench.core.unhold(CLIENT, device, 0), Ok(()));
    bench.settle();
    assert_eq!(bench.fake.log(), Vec::<String>::new());
    assert_eq!(bench.core.unhold(OTHER, device, 0), Ok(()));
    bench.settle();
    assert_eq!(bench.fake.log(), ["suspend 1"]);
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.fake.log(), ["resume 1"]);
}

/// R15, U7: a release in the middle waits for the transition's end, and no more.
#[test]
fn r15_release_in_a_transition_is_applied_at_its_end() {
    // On the way down: the device goes down late.
    let (mut bench, device) = Bench::claimed();
    bench.fake.plug(2);
    bench.settle();
    bench.core.hold(CLIENT, device, 0).expect("active");
    bench.fake.0.borrow_mut().stuck.push("suspend 2");
    bench.fake.log();
    bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("awake");
    bench.settle();
    assert_eq!(bench.core.unhold(CLIENT, device, 0), Ok(()));
    bench.settle();
    assert_eq!(bench.fake.log(), ["suspend 2"], "not before the end");
    bench.fake.release();
    bench.settle();
    assert_eq!(bench.fake.log(), ["suspend 1"]);
    // On the way up: it stays up.
    let (mut bench, device) = Bench::claimed();
    bench.fake.plug(2);
    bench.settle();
    bench.core.hold(CLIENT, device, 0).expect("active");
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    bench.fake.0.borrow_mut().stuck.push("resume 2");
    bench.core.start_resume(POWER, 0).expect("suspended");
    bench.settle();
    assert_eq!(bench.core.unhold(CLIENT, device, 0), Ok(()));
    bench.fake.release();
    bench.settle();
    assert_eq!((bench.system(), bench.state(device)), (SystemPower::Awake, PowerState::Active));
    assert_eq!(bench.core.status().holds, 0);
}

/// A hold that died with its holder is one that was given back.
#[test]
fn death_of_the_holder_in_steady_suspend_suspends_late() {
    let (mut bench, device) = Bench::claimed();
    bench.core.hold(CLIENT, device, 0).expect("active");
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    bench.core.forget_client(CLIENT);
    bench.core.advance(0);
    bench.settle();
    assert_eq!(bench.state(device), PowerState::Suspended);
}

/// U4: there is no half-way.
#[test]
fn one_device_that_cannot_be_suspended_has_all_come_up_again() {
    for at_once in [false, true] {
        let (mut bench, first) = Bench::claimed();
        bench.fake.plug(2);
        bench.settle();
        let rule = ("suspend 2", XhciError::TimedOut);
        let mut state = bench.fake.0.borrow_mut();
        if at_once {
            state.refuse.push(rule)
        } else {
            state.fail.push(rule)
        }
        state.log.clear();
        drop(state);
        assert_eq!(bench.suspend(Depth::AllButHeld), Err(UsbCoreError::TimedOut));
        let log = bench.fake.log();
        assert_eq!(log, ["suspend 1", "suspend 2", "resume 1"]);
        assert_eq!((bench.system(), bench.state(first)), (SystemPower::Awake, PowerState::Active));
        assert!(bench.core.start_control(CLIENT, first, GET, &[], 0).is_ok());
    }
}

/// U5: the others come up all the same, and the system is awake.
#[test]
fn device_that_does_not_come_up_is_gone_and_tried_anew() {
    let (mut bench, device) = Bench::claimed();
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    bench.fake.0.borrow_mut().fail.push(("resume", XhciError::TimedOut));
    let ticket = bench.core.start_control(CLIENT, device, GET, &[], 0).err();
    assert_eq!(ticket, Some(UsbCoreError::Suspended));
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)));
    let log = bench.fake.log();
    assert!(log.iter().any(|line| line == "disable slot"), "{log:?}");
    assert_eq!(bench.fake.0.borrow().open_slots.len(), 1);
}

/// U13: EP0 traffic is finished or stopped before sleep.
#[test]
fn what_has_begun_ends_first_and_what_has_not_is_refused() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.0.borrow_mut().stuck.push("control");
    let begun = bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    let waits = bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    let up = bench.core.start_set_interface(CLIENT, device, (1, 1), 0).expect("in order");
    let sleep = bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("awake");
    bench.settle();
    let ended = |bench: &mut Bench, ticket| {
        bench.core.result(CLIENT, ticket).and_then(|ended| ended.result)
    };
    assert_eq!(ended(&mut bench, waits), Err(UsbCoreError::Suspended));
    assert_eq!(ended(&mut bench, up), Err(UsbCoreError::Suspended));
    assert_eq!(ended(&mut bench, begun), Err(UsbCoreError::NotYet));
    assert_eq!(bench.core.result(POWER, sleep).err(), Some(UsbCoreError::NotYet));
    bench.fake.release();
    bench.settle();
    assert_eq!(ended(&mut bench, begun), Ok(()));
    assert!(bench.core.result(POWER, sleep).is_ok());
    assert_eq!(bench.fake.log(), ["control a1 129 0000 1 2", "suspend 1"]);
}

/// A switch is never left half done.
#[test]
fn switch_that_has_begun_is_brought_to_its_end_first() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.0.borrow_mut().stuck.push("configure");
    let up = bench.core.start_set_interface(CLIENT, device, (1, 1), 0).expect("in order");
    bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("awake");
    bench.fake.release();
    bench.settle();
    assert!(bench.core.result(CLIENT, up).is_ok_and(|ended| ended.result == Ok(())));
    assert_eq!(bench.fake.log(), ["configure drop=0x0 add=[(2, 192)]", TELL_1, "suspend 1"]);
    assert_eq!(bench.system(), SystemPower::Suspended);
}

/// A disable while suspended: the endpoints go now, the device hears of it when
/// the system resumes.
#[test]
fn alternate_0_is_owed_while_suspended_and_paid_at_resume() {
    for held in [false, true] {
        let (mut bench, device) = Bench::claimed();
        bench.switch(device, 1).expect("in order");
        if held {
            bench.core.hold(CLIENT, device, 0).expect("active");
        }
        bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
        bench.fake.log();
        let up = bench.core.start_set_interface(CLIENT, device, (1, 2), 0).err();
        assert_eq!(up, Some(UsbCoreError::Suspended));
        let ticket = bench.core.start_set_interface(CLIENT, device, (1, 0), 0).expect("owed");
        bench.settle();
        assert!(bench.core.result(CLIENT, ticket).is_ok_and(|ended| ended.result == Ok(())));
        assert_eq!(bench.fake.log(), [DROP_1]);
        assert_eq!(bench.core.status().owed, 1);
        if held {
            bench.core.unhold(CLIENT, device, 0).expect("it was held");
            bench.settle();
            assert_eq!(bench.fake.log(), ["suspend 1"]);
        }
        assert_eq!(bench.resume(), Ok(()));
        assert_eq!(bench.fake.log(), ["resume 1", TELL_0]);
        assert_eq!(bench.core.status().owed, 0);
        // And what follows finds it so.
        assert_eq!(bench.switch_back(device), Ok(()));
    }
}

impl Bench {
    fn switch_back(&mut self, device: DeviceHandle) -> Result<(), UsbCoreError> {
        while self.core.pull(CLIENT) != Event::None {}
        self.switch(device, 1)
    }
}

/// One that was on its way when the system began to suspend is owed as well.
#[test]
fn alternate_0_that_has_not_begun_is_owed_too() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.fake.log();
    bench.fake.0.borrow_mut().stuck.push("control");
    bench.core.start_control(CLIENT, device, GET, &[], 0).expect("in order");
    let down = bench.core.start_set_interface(CLIENT, device, (1, 0), 0).expect("in order");
    bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("awake");
    bench.fake.release();
    bench.settle();
    assert!(bench.core.result(CLIENT, down).is_ok_and(|ended| ended.result == Ok(())));
    assert_eq!(bench.fake.log(), ["control a1 129 0000 1 2", DROP_1, "suspend 1"]);
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.fake.log(), ["resume 1", TELL_0]);
}

#[test]
fn debt_of_a_device_that_is_pulled_is_forgiven() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 1).expect("in order");
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    bench.core.start_set_interface(CLIENT, device, (1, 0), 0).expect("owed");
    bench.settle();
    bench.fake.unplug(1);
    bench.settle();
    assert_eq!(bench.core.status().owed, 0);
    while bench.core.pull(CLIENT) != Event::None {}
    bench.fake.log();
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.fake.log(), Vec::<String>::new());
}

#[test]
fn packets_are_refused_while_suspended() {
    let (mut bench, device) = Bench::claimed();
    bench.switch(device, 2).expect("in order");
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    let (out, feedback) = (EndpointAddress(0x01), EndpointAddress(0x81));
    let written = bench.core.write_isoch(CLIENT, device, out, (&[2, 0], &[9, 9]));
    assert_eq!(written, Err(UsbCoreError::Suspended));
    let read = bench.core.read_isoch(CLIENT, device, feedback, &mut [0; 4]);
    assert_eq!(read, Err(UsbCoreError::Suspended));
    assert!(bench.core.isoch_status(CLIENT, device, out).is_ok(), "the books are open");
}

#[test]
fn clients_hear_that_a_device_is_out_of_reach_and_back() {
    let (mut bench, device) = Bench::claimed();
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    assert_eq!(bench.core.pull(CLIENT), Event::Suspended(device));
    assert_eq!(bench.core.pull(CLIENT), Event::None);
    // One who comes now hears of both.
    assert_eq!(bench.core.pull(OTHER), Event::Attached(device));
    assert_eq!(bench.core.pull(OTHER), Event::Suspended(device));
    bench.resume().expect("nothing goes wrong");
    for task in [CLIENT, OTHER] {
        assert_eq!(bench.core.pull(task), Event::Resumed(device));
        assert_eq!(bench.core.pull(task), Event::None);
    }
    // Whoever sleeps through it hears that there was something.
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    bench.resume().expect("nothing goes wrong");
    assert_eq!(bench.core.pull(CLIENT), Event::Resumed(device));
    assert_eq!(bench.core.pull(CLIENT), Event::None);
}

#[test]
fn what_is_on_its_way_into_the_tree_begins_again_after_the_sleep() {
    for step in ["reset", "enable", "address", "control 80", "control 00"] {
        let mut bench = Bench::new();
        bench.fake.0.borrow_mut().stuck.push(step);
        bench.fake.plug(1);
        bench.settle();
        let sleep = bench.core.start_suspend(POWER, Depth::AllButHeld, bench.now).expect("awake");
        bench.settle();
        bench.fake.release();
        bench.settle();
        assert!(
            bench.core.result(POWER, sleep).is_ok_and(|ended| ended.result == Ok(())),
            "{step}"
        );
        assert_eq!(bench.fake.0.borrow().open_slots.len(), 0, "{step}");
        assert_eq!(bench.core.deadline(), None, "{step}");
        // What comes meanwhile waits as well.
        bench.fake.plug(2);
        bench.settle();
        assert_eq!(bench.core.status().devices, 0);
        assert_eq!(bench.resume(), Ok(()));
        assert_eq!(bench.core.status().devices, 2, "{step}");
    }
}

/// An unplug while suspended runs the whole teardown.
#[test]
fn device_pulled_in_any_power_state_is_withdrawn() {
    for held in [false, true] {
        for stuck in [None, Some("suspend"), Some("resume")] {
            let (mut bench, device) = Bench::claimed();
            if held {
                bench.core.hold(CLIENT, device, 0).expect("active");
            }
            let mut tickets = vec![];
            bench.fake.0.borrow_mut().stuck.extend(stuck);
            tickets.extend(bench.core.start_suspend(POWER, Depth::AllButHeld, 0));
            bench.settle();
            if stuck == Some("resume") {
                tickets.extend(bench.core.start_resume(POWER, 0));
                bench.settle();
            }
            bench.fake.unplug(1);
            bench.settle();
            bench.fake.release();
            bench.settle();
            while bench.core.pull(CLIENT) != Event::Detached(device) {}
            assert_eq!(bench.core.status().devices, 0);
            assert_eq!(bench.fake.0.borrow().open_slots.len(), 0);
            // The transition comes to its end without it.
            for ticket in tickets {
                assert!(bench.core.result(POWER, ticket).is_ok(), "{stuck:?}");
            }
        }
    }
}

#[test]
fn driver_that_finds_the_device_gone_is_believed() {
    for what in ["suspend", "resume"] {
        let (mut bench, device) = Bench::claimed();
        bench.fake.0.borrow_mut().fail.push((what, XhciError::DeviceGone));
        assert_eq!(bench.suspend(Depth::AllButHeld), Ok(()), "that is no failure");
        assert_eq!(bench.resume(), Ok(()));
        // Its port says that something is there, so that is tried.
        assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
        assert!(matches!(bench.core.pull(CLIENT), Event::Attached(_)));
    }
}

#[test]
fn transition_can_be_asked_for_again_and_is_not_turned_half_way() {
    let (mut bench, _) = Bench::attached();
    bench.fake.0.borrow_mut().stuck.push("suspend");
    let first = bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("awake");
    bench.settle();
    assert_eq!(bench.core.start_resume(POWER, 0).err(), Some(UsbCoreError::Busy));
    assert_eq!(bench.core.start_suspend(POWER, Depth::All, 0).err(), Some(UsbCoreError::Busy));
    let second = bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("the same");
    let ended = bench.core.result(POWER, first).expect("it made way").result;
    assert_eq!(ended, Err(UsbCoreError::Busy));
    bench.fake.release();
    bench.settle();
    assert!(bench.core.result(POWER, second).is_ok_and(|ended| ended.result == Ok(())));
    bench.fake.0.borrow_mut().stuck.push("resume");
    bench.core.start_resume(POWER, 0).expect("suspended");
    bench.settle();
    let busy = bench.core.start_suspend(POWER, Depth::AllButHeld, 0).err();
    assert_eq!(busy, Some(UsbCoreError::Busy));
    let again = bench.core.start_resume(POWER, 0).expect("the same");
    bench.fake.release();
    bench.settle();
    assert!(bench.core.result(POWER, again).is_ok_and(|ended| ended.result == Ok(())));
    // What is there already is there at once.
    let idle = bench.core.start_resume(POWER, 0).expect("awake");
    assert!(bench.core.result(POWER, idle).is_ok());
}

#[test]
fn controller_that_is_lost_takes_the_transition_to_its_end() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.0.borrow_mut().stuck.push("suspend");
    let ticket = bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("awake");
    bench.settle();
    let events = [xhci_api::Event::ControllerDied, xhci_api::Event::ControllerReady];
    bench.fake.0.borrow_mut().events.extend(events);
    bench.settle();
    assert!(bench.core.result(POWER, ticket).is_ok_and(|ended| ended.result == Ok(())));
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(device));
    assert_eq!(bench.core.status().devices, 0, "it is looked at when the system is awake");
    bench.fake.release();
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.core.status().devices, 1);
}

#[test]
fn busy_driver_is_asked_again() {
    let (mut bench, device) = Bench::claimed();
    bench.fake.0.borrow_mut().refuse.push(("suspend", XhciError::Busy));
    let ticket = bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("awake");
    bench.core.pull_all(0);
    assert_eq!(bench.core.result(POWER, ticket).err(), Some(UsbCoreError::NotYet));
    bench.fake.0.borrow_mut().refuse.clear();
    bench.now = bench.core.deadline().expect("it is asked again");
    bench.core.tick(bench.now);
    bench.settle();
    assert_eq!(bench.state(device), PowerState::Suspended);
}

// ---- signals ----

#[test]
fn device_that_can_signal_is_told_that_it_may_and_may_not() {
    let (mut bench, device) = able();
    assert_eq!(bench.suspend(Depth::AllButHeld), Ok(()));
    assert_eq!(bench.fake.log(), [MAY_WAKE, "suspend 1"]);
    assert_eq!(bench.resume(), Ok(()));
    bench.settle();
    assert_eq!(bench.fake.log(), ["resume 1", MAY_NOT_WAKE]);
    // One that refuses to be told is suspended all the same.
    bench.fake.0.borrow_mut().fail.push((MAY_WAKE, XhciError::Stall));
    assert_eq!(bench.suspend(Depth::AllButHeld), Ok(()));
    assert_eq!(bench.state(device), PowerState::Suspended);
}

#[test]
fn device_that_signals_comes_up_and_power_hears_of_it() {
    let (mut bench, device) = able();
    assert_eq!(bench.core.pull(POWER), Event::Attached(device));
    bench.suspend(Depth::AllButHeld).expect("nothing goes wrong");
    assert_eq!(bench.core.pull(POWER), Event::Suspended(device));
    while bench.core.clients.take_hint().is_some() {}
    bench.fake.signal(1);
    bench.settle();
    assert_eq!(bench.state(device), PowerState::Active);
    assert_eq!(bench.core.clients.take_hint(), Some(POWER));
    assert_eq!(bench.core.pull(POWER), Event::Woken(device));
    assert_eq!(bench.core.pull(POWER), Event::None);
    // Its clients have to wait for the system.
    let early = bench.core.start_control(CLIENT, device, GET, &[], 0).err();
    assert_eq!(early, Some(UsbCoreError::Suspended));
    bench.fake.log();
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.fake.log(), Vec::<String>::new(), "it is up");
    assert!(bench.core.start_control(CLIENT, device, GET, &[], 0).is_ok());
}

#[test]
fn signal_that_comes_before_the_suspend_is_complete_is_not_lost() {
    let (mut bench, device) = able();
    assert_eq!(bench.core.pull(POWER), Event::Attached(device));
    bench.fake.0.borrow_mut().stuck.push("suspend");
    let ticket = bench.core.start_suspend(POWER, Depth::AllButHeld, 0).expect("awake");
    bench.settle();
    bench.fake.signal(1);
    bench.settle();
    bench.fake.release();
    bench.settle();
    assert!(bench.core.result(POWER, ticket).is_ok());
    assert_eq!(bench.state(device), PowerState::Active);
    assert_eq!(bench.core.pull(POWER), Event::Woken(device));
}

// ---- idle devices ----

/// A device that goes down by itself after 200 ms, and [`CLIENT`] on it.
fn drowsy() -> (Bench, DeviceHandle) {
    let mut bench = Bench::with_autosuspend(Some(200));
    bench.fake.plug(1);
    while bench.core.status().devices == 0 {
        bench.core.pull_all(bench.now);
        bench.now += 1;
        bench.core.tick(bench.now);
    }
    let Event::Attached(device) = bench.core.pull(CLIENT) else { panic!("no device") };
    bench.core.claim(CLIENT, device, 1).expect("nobody has it");
    bench.fake.log();
    (bench, device)
}

impl Bench {
    /// Lets so many milliseconds pass.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.core.pull_all(self.now);
            self.now += 1;
            self.core.tick(self.now);
        }
        self.core.pull_all(self.now);
    }
}

#[test]
fn idle_device_goes_down_by_itself_and_comes_up_for_a_request() {
    let (mut bench, device) = drowsy();
    bench.pass(190);
    assert_eq!(bench.state(device), PowerState::Active);
    bench.pass(11);
    assert_eq!(bench.state(device), PowerState::Suspended);
    assert_eq!(bench.core.deadline(), None, "one that is down needs no timer");
    assert_eq!(bench.core.pull(CLIENT), Event::None, "nobody need know");
    bench.fake.log();
    let ticket = bench.core.start_control(CLIENT, device, GET, &[], bench.now).expect("in reach");
    bench.pass(1);
    assert!(bench.core.result(CLIENT, ticket).is_ok_and(|ended| ended.result == Ok(())));
    assert_eq!(bench.fake.log(), ["resume 1", "control a1 129 0000 1 2"]);
    bench.pass(201);
    assert_eq!(bench.state(device), PowerState::Suspended, "and down again");
}

/// U6: autosuspend of idle devices, never of a held one.
#[test]
fn device_that_is_held_or_streams_does_not_go_down() {
    let (mut bench, device) = drowsy();
    bench.core.hold(CLIENT, device, bench.now).expect("active");
    assert_eq!(bench.core.deadline(), None, "rule 7: no timer while it is held");
    bench.pass(1000);
    assert_eq!(bench.state(device), PowerState::Active);
    bench.core.unhold(CLIENT, device, bench.now).expect("it was held");
    bench.pass(100);
    bench.core.start_set_interface(CLIENT, device, (1, 1), bench.now).expect("in order");
    bench.pass(1000);
    assert_eq!(bench.state(device), PowerState::Active);
    assert_eq!(bench.core.deadline(), None, "rule 7: nor while it streams");
    bench.core.start_set_interface(CLIENT, device, (1, 0), bench.now).expect("in order");
    bench.pass(205);
    assert_eq!(bench.state(device), PowerState::Suspended);
    // U10: a hold needs an active device.
    assert_eq!(bench.core.hold(CLIENT, device, bench.now), Err(UsbCoreError::Suspended));
}

#[test]
fn request_while_an_idle_device_goes_down_turns_it_round_or_waits_for_its_end() {
    // Before the driver was asked: it is told whether it may signal first.
    let (mut bench, device) = drowsy();
    bench.pass(150);
    bench.fake.0.borrow_mut().stuck.push("suspend");
    bench.pass(60);
    assert_eq!(bench.state(device), PowerState::Suspending);
    let ticket = bench.core.start_control(CLIENT, device, GET, &[], bench.now).expect("in reach");
    bench.pass(5);
    assert_eq!(bench.core.result(CLIENT, ticket).err(), Some(UsbCoreError::NotYet));
    bench.fake.release();
    bench.pass(5);
    assert!(bench.core.result(CLIENT, ticket).is_ok_and(|ended| ended.result == Ok(())));
    let log = bench.fake.log();
    assert_eq!(log, ["suspend 1", "resume 1", "control a1 129 0000 1 2"]);
}

/// U1: one that is down already is left alone, down and up.
#[test]
fn u1_device_that_went_down_by_itself_sleeps_through_the_systems_sleep() {
    let (mut bench, device) = drowsy();
    bench.pass(210);
    assert_eq!(bench.state(device), PowerState::Suspended);
    bench.fake.log();
    assert_eq!(bench.suspend(Depth::All), Ok(()));
    assert_eq!(bench.resume(), Ok(()));
    assert_eq!(bench.fake.log(), Vec::<String>::new());
    assert_eq!(bench.state(device), PowerState::Suspended);
    bench.core.start_control(CLIENT, device, GET, &[], bench.now).expect("in reach");
    bench.pass(2);
    assert_eq!(bench.state(device), PowerState::Active);
}

#[test]
fn idle_device_that_cannot_be_suspended_stays_up_and_is_tried_again_later() {
    let (mut bench, device) = drowsy();
    bench.fake.0.borrow_mut().fail.push(("suspend", XhciError::TimedOut));
    bench.pass(210);
    assert_eq!(bench.state(device), PowerState::Active);
    assert_eq!(bench.fake.log(), ["suspend 1"]);
    bench.fake.0.borrow_mut().fail.clear();
    bench.pass(150);
    assert_eq!(bench.fake.log(), Vec::<String>::new(), "not at once");
    bench.pass(60);
    assert_eq!(bench.state(device), PowerState::Suspended);
}

#[test]
fn switch_of_a_device_that_went_down_by_itself_begins_when_it_is_up() {
    let (mut bench, device) = drowsy();
    bench.pass(210);
    assert_eq!(bench.state(device), PowerState::Suspended);
    bench.fake.log();
    bench.core.start_set_interface(CLIENT, device, (1, 1), bench.now).expect("in reach");
    bench.pass(5);
    assert_eq!(bench.fake.log(), ["resume 1", "configure drop=0x0 add=[(2, 192)]", TELL_1]);
}
