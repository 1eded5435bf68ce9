//! Hubs: what is behind them comes, goes, sleeps and is reset through them.

use handles::Handle;
use proptest::prelude::*;
use usb_core_api::{
    Depth, DeviceHandle, Event, PowerState, SystemPower, TicketHandle, UsbCoreError,
};
use usb_types::Setup;
use xhci_api::{Event as Below, SlotHandle, XhciError};

use crate::enumerate::ATTEMPTS;
use crate::fake::{Bench, CLIENT, Fake, OTHER, POWER};
use crate::hubs::Limits;

const GET: Setup = Setup { request_type: 0xA1, request: 0x81, value: 0, index: 1, length: 2 };

impl Bench {
    fn next_device(&mut self) -> DeviceHandle {
        let Event::Attached(device) = self.core.pull(CLIENT) else { panic!("no device") };
        device
    }

    /// With a hub at port 1, which has slot 1.
    fn with_hub() -> (Self, DeviceHandle) {
        Self::with_hub_and(None)
    }

    fn with_hub_and(autosuspend_ms: Option<u64>) -> (Self, DeviceHandle) {
        let mut bench = Self::with_autosuspend(autosuspend_ms);
        bench.fake.plug_hub(1);
        bench.settle();
        let hub = bench.next_device();
        (bench, hub)
    }

    /// With a device behind it, at port 2, which has slot 2.
    fn with_child() -> (Self, DeviceHandle, DeviceHandle) {
        let (mut bench, hub) = Self::with_hub();
        bench.fake.plug_behind(1, 2, false);
        bench.settle();
        let child = bench.next_device();
        bench.core.claim(CLIENT, child, 1).expect("nobody has it");
        bench.fake.log();
        (bench, hub, child)
    }

    fn sleep(&mut self, depth: Depth) {
        assert_eq!(self.suspend(depth), Ok(()));
        assert_eq!(self.system(), SystemPower::Suspended);
    }

    fn wake(&mut self) {
        assert_eq!(self.resume(), Ok(()));
        assert_eq!(self.system(), SystemPower::Awake);
    }

    fn ended(&mut self, ticket: TicketHandle) -> Result<(), UsbCoreError> {
        self.settle();
        self.core.result(CLIENT, ticket).and_then(|ended| ended.result)
    }

    fn left(&self) -> (usize, u8, usize) {
        let hubs = self.core.hubs.iter().count();
        (self.fake.0.borrow().open_slots.len(), self.core.stores_taken, hubs)
    }
}

/// The lines of a log that begin like one of these.
fn only(fake: &Fake, starts: &[&str]) -> Vec<String> {
    let mut log = fake.log();
    log.retain(|line| starts.iter().any(|start| line.starts_with(start)));
    log
}

#[test]
fn hub_is_set_up_and_what_is_behind_it_comes_like_any_device() {
    let (mut bench, hub) = Bench::with_hub();
    let log = bench.fake.log();
    let at = log.iter().position(|line| line == "control 00 9 0001 0 0").expect("configured");
    assert_eq!(log[at - 1], "configure drop=0x0 add=[(3, 1)]", "its status pipe");
    let power = (1..=4).map(|port| format!("control 23 3 0008 {port} 0"));
    let set_up: Vec<_> = ["control a0 6 2900 0 11".into(), "hub 1 4 1".into()]
        .into_iter()
        .chain(power)
        .chain((1..=4).map(|port| format!("control a3 0 0000 {port} 4")))
        .collect();
    assert_eq!(log[at + 1..], set_up);
    bench.fake.plug_behind(1, 2, false);
    bench.settle();
    let device = bench.next_device();
    assert_eq!(
        bench.fake.log(),
        [
            "control a3 0 0000 2 4",
            "control 23 1 0010 2 0",
            // The connection stayed.
            "control a3 0 0000 2 4",
            "control 23 3 0004 2 0",
            "control a3 0 0000 2 4",
            "control 23 1 0014 2 0",
            // The device has recovered.
            "control a3 0 0000 2 4",
            "enable slot behind 1 2 Full",
            "address block=true 8",
            "control 80 6 0100 0 8",
            "evaluate 64",
            "address block=false 64",
            "control a3 0 0000 2 4",
            "control 80 6 0100 0 18",
            "control 80 6 0200 0 9",
            "control 80 6 0200 0 66",
            "control 00 9 0001 0 0",
        ]
    );
    let info = bench.core.info(device).expect("it is there");
    assert_eq!((info.slot_number, info.controller), (2, 0));
    assert_eq!(bench.core.claim(CLIENT, hub, 0), Err(UsbCoreError::InterfaceBusy));
}

#[test]
fn waits_of_the_specification_are_kept_behind_a_hub_as_well() {
    let (mut bench, _) = Bench::with_hub();
    bench.fake.log();
    bench.fake.plug_behind(1, 2, false);
    let began = bench.now;
    let mut reset = None;
    for _ in 0..100 {
        bench.core.pull_all(bench.now);
        let log = bench.fake.log();
        if log.contains(&"control 23 3 0004 2 0".into()) {
            assert!(bench.now - began > 100, "debounced");
            reset = Some(bench.now);
        }
        if log.iter().any(|line| line.starts_with("enable slot")) {
            let waited = bench.now - reset.expect("reset before");
            assert!(waited > 20 + 10, "{waited}: the hub's reset, and the device's rest");
            return;
        }
        if let Some(at) = bench.core.deadline() {
            bench.now = bench.now.max(at);
            bench.core.tick(bench.now);
        }
    }
    panic!("no slot was asked for");
}

#[test]
fn hub_that_the_image_has_no_place_for_is_left_alone() {
    // Two hubs one behind the other, and three of them, are what the bench serves.
    let (mut bench, _) = Bench::with_hub();
    bench.fake.plug_behind(1, 1, true);
    bench.settle();
    assert_eq!(bench.core.hubs.iter().count(), 2);
    bench.fake.plug_behind(2, 1, true);
    bench.settle();
    assert_eq!(bench.core.hubs.iter().count(), 2, "a third one is too deep");
    assert_eq!(bench.core.status().devices, 3, "it is a device like any other");
    bench.fake.plug_hub(2);
    bench.settle();
    bench.fake.plug_hub(3);
    bench.settle();
    assert_eq!((bench.core.hubs.iter().count(), bench.core.status().devices), (3, 5));
    // And none at all.
    let mut bench = Bench::new();
    bench.core.settings.hubs = Limits::default();
    bench.fake.plug_hub(1);
    bench.settle();
    let hub = bench.next_device();
    assert_eq!((bench.core.hubs.iter().count(), bench.core.status().devices), (0, 1));
    assert_eq!(bench.core.claim(CLIENT, hub, 0), Ok(()));
    assert!(!bench.fake.log().contains(&"control a0 6 2900 0 11".into()));
}

#[test]
fn device_that_is_pulled_at_its_hub_is_gone_and_the_next_is_another() {
    let (mut bench, _, child) = Bench::with_child();
    bench.fake.unplug_behind(1, 2);
    bench.settle();
    assert_eq!(bench.core.pull(CLIENT), Event::Detached(child));
    assert_eq!(bench.core.info(child), Err(UsbCoreError::DeviceGone));
    assert_eq!(bench.fake.0.borrow().closed, [2]);
    bench.fake.plug_behind(1, 2, false);
    bench.settle();
    assert_ne!(bench.next_device(), child);
}

/// Whatever is below goes first, what is furthest before all.
#[test]
fn hub_that_is_pulled_takes_everything_below_it_along() {
    let (mut bench, _) = Bench::with_hub();
    bench.fake.plug_behind(1, 3, true);
    bench.settle();
    bench.fake.plug_behind(2, 1, false);
    bench.fake.plug_behind(1, 1, false);
    bench.settle();
    assert_eq!(bench.core.status().devices, 4);
    bench.fake.unplug(1);
    bench.settle();
    let closed = bench.fake.0.borrow().closed.clone();
    let at = |slot: u16| closed.iter().position(|&closed| closed == slot).expect("closed");
    assert!(at(3) < at(2) && at(2) < at(1) && at(4) < at(1), "{closed:?}");
    assert_eq!((bench.left(), bench.core.status().devices), ((0, 0, 0), 0));
    // And another hub there begins anew.
    bench.fake.plug_hub(1);
    bench.settle();
    assert_eq!(bench.core.hubs.iter().count(), 1);
}

/// D-19: pulled at any step, at the hub or with it, nothing stays.
#[test]
fn unplug_behind_a_hub_at_any_step_leaves_nothing_behind() {
    let steps = [
        "control a3 0 0000 2 4",
        "control 23 1 0010 2 0",
        "control 23 3 0004 2 0",
        "control 23 1 0014 2 0",
        "enable slot behind 1 2 Full",
        "address block=true 8",
        "control 80 6 0100 0 8",
        "evaluate 64",
        "address block=false 64",
        "control 80 6 0200 0 66",
        "control 00 9 0001 0 0",
    ];
    for step in steps {
        for with_hub in [false, true] {
            let (mut bench, _) = Bench::with_hub();
            bench.fake.0.borrow_mut().stuck.push(step);
            bench.fake.plug_behind(1, 2, false);
            bench.settle();
            if with_hub {
                bench.fake.unplug(1);
            } else {
                bench.fake.unplug_behind(1, 2);
            }
            bench.settle();
            bench.fake.release();
            bench.settle();
            let (slots, stores, hubs) = bench.left();
            let stay = usize::from(!with_hub);
            assert_eq!((slots, stores.count_ones() as usize, hubs), (stay, stay, stay), "{step}");
        }
    }
}

/// What is outside is hostile: a hub that does not answer any more ends what is
/// behind it, and once it was set up anew in vain it is not asked again before it was
/// pulled.
#[test]
fn hub_that_fails_is_left_alone_until_it_is_pulled() {
    for report in [false, true] {
        let (mut bench, _, child) = Bench::with_child();
        bench.fake.0.borrow_mut().fail.push(("control a3", XhciError::Transaction));
        if report {
            bench.fake.signal_behind(1, 4);
        } else {
            bench.core.start_reset(CLIENT, child, bench.now).expect("it is up");
        }
        bench.settle();
        assert_eq!(bench.core.info(child), Err(UsbCoreError::DeviceGone));
        assert_eq!(bench.core.status().devices, 1, "it is there");
        assert_eq!((bench.left().0, bench.left().2), (1, 0));
        let tries =
            bench.fake.log().iter().filter(|line| *line == "control a0 6 2900 0 11").count();
        assert_eq!(tries, usize::from(ATTEMPTS));
        bench.fake.log();
        bench.fake.0.borrow_mut().fail.clear();
        bench.fake.plug_behind(1, 1, false);
        bench.settle();
        assert_eq!(bench.fake.log(), [""; 0]);
        bench.fake.unplug(1);
        bench.settle();
        bench.fake.plug_hub(1);
        bench.settle();
        assert_eq!(bench.core.hubs.iter().count(), 1);
    }
}

/// A disturbance on the wire does not silence what is behind a hub for ever: the hub is
/// set up anew. How often in a row is bounded.
#[test]
fn hub_whose_pipe_failed_is_set_up_anew_as_long_as_it_reports_now_and_then() {
    let (mut bench, _, mut child) = Bench::with_child();
    let fail = |bench: &mut Bench| {
        bench.fake.0.borrow_mut().deaf_pipe = true;
        let slot = bench.core.hubs.iter().next().expect("there is one").slot;
        bench.fake.0.borrow_mut().events.push_back(Below::IsochProgress { slot, dci: 3 });
        bench.settle();
        bench.fake.0.borrow_mut().deaf_pipe = false;
    };
    for _ in 0..2 * ATTEMPTS {
        fail(&mut bench);
        assert_eq!(bench.core.info(child), Err(UsbCoreError::DeviceGone));
        assert_eq!((bench.core.status().devices, bench.left().2), (1, 1));
        let slot = bench.core.hubs.iter().next().expect("there is one").slot.raw().index;
        bench.fake.plug_behind(slot, 2, false);
        bench.settle();
        assert_eq!(bench.core.status().devices, 2);
        child = bench.core.handles().into_iter().flatten().last().expect("it came");
    }
    for n in 1..=ATTEMPTS {
        assert_eq!(bench.left().2, 1, "{n}");
        fail(&mut bench);
    }
    assert_eq!((bench.core.status().devices, bench.left().2), (1, 1));
    fail(&mut bench);
    assert_eq!((bench.core.status().devices, bench.left().2), (1, 0), "it is left alone");
}

/// U9: whatever is above a device that streams stays up; what is beside it does not.
#[test]
fn u9_hub_above_a_held_device_stays_up_and_listens() {
    let (mut bench, hub, child) = Bench::with_child();
    bench.fake.plug_behind(1, 1, true);
    bench.settle();
    let beside = bench.next_device();
    bench.core.hold(OTHER, child, bench.now).expect("it is up");
    bench.fake.log();
    bench.sleep(Depth::AllButHeld);
    assert_eq!(bench.state(child), PowerState::Active);
    assert_eq!(bench.state(hub), PowerState::Active);
    assert_eq!(bench.state(beside), PowerState::Suspended);
    assert_eq!(only(&bench.fake, &["suspend"]), ["suspend 3"]);
    // A port that changes is looked at: what is pulled while the system sleeps is
    // gone at once, and the hub, held by nobody any more, goes down late.
    bench.fake.unplug_behind(1, 2);
    bench.settle();
    assert_eq!(bench.core.info(child), Err(UsbCoreError::DeviceGone));
    assert_eq!(bench.state(hub), PowerState::Suspended);
    bench.wake();
    assert_eq!([hub, beside].map(|device| bench.state(device)), [PowerState::Active; 2]);
}

/// U9: the same over two hubs.
#[test]
fn u9_each_hub_above_a_held_device_stays_up() {
    let (mut bench, hub) = Bench::with_hub();
    bench.fake.plug_behind(1, 3, true);
    bench.settle();
    let second = bench.next_device();
    bench.fake.plug_behind(2, 1, false);
    bench.settle();
    let child = bench.next_device();
    bench.core.hold(OTHER, child, bench.now).expect("it is up");
    bench.sleep(Depth::AllButHeld);
    assert_eq!([hub, second, child].map(|one| bench.state(one)), [PowerState::Active; 3]);
    // DESIGN rule 4: who is held no more goes down late, and so does what is above.
    bench.fake.log();
    bench.core.unhold(OTHER, child, bench.now).expect("it was held");
    bench.settle();
    assert_eq!([hub, second, child].map(|one| bench.state(one)), [PowerState::Suspended; 3]);
    assert_eq!(only(&bench.fake, &["suspend"]), ["suspend 3", "suspend 2", "suspend 1"]);
    bench.wake();
    assert_eq!([hub, second, child].map(|one| bench.state(one)), [PowerState::Active; 3]);
    assert_eq!(only(&bench.fake, &["resume"]), ["resume 1", "resume 2", "resume 3"]);
}

/// Down: the device, then its port, then the hub. Up: the other way round.
#[test]
fn devices_sleep_before_their_hub_and_wake_after_it() {
    let (mut bench, hub, child) = Bench::with_child();
    bench.sleep(Depth::AllButHeld);
    assert_eq!([hub, child].map(|one| bench.state(one)), [PowerState::Suspended; 2]);
    let starts = ["suspend", "resume", "control 23 3", "control 23 1 0002"];
    assert_eq!(only(&bench.fake, &starts), ["suspend 2", "control 23 3 0002 2 0", "suspend 1"]);
    bench.wake();
    assert_eq!([hub, child].map(|one| bench.state(one)), [PowerState::Active; 2]);
    assert_eq!(only(&bench.fake, &starts), ["resume 1", "control 23 1 0002 2 0", "resume 2"]);
}

/// U8: hibernation takes what is held as well, in that order.
#[test]
fn u8_suspend_of_everything_takes_hubs_and_what_is_behind_them() {
    let (mut bench, hub, child) = Bench::with_child();
    bench.core.hold(OTHER, child, bench.now).expect("it is up");
    bench.sleep(Depth::AllButHeld);
    bench.fake.log();
    bench.sleep(Depth::All);
    assert_eq!([hub, child].map(|one| bench.state(one)), [PowerState::Suspended; 2]);
    assert_eq!(only(&bench.fake, &["suspend"]), ["suspend 2", "suspend 1"]);
    bench.core.unhold(OTHER, child, bench.now).expect("it was held");
    bench.wake();
}

#[test]
fn u4_device_behind_a_hub_that_cannot_sleep_has_all_come_up_again() {
    let (mut bench, hub, child) = Bench::with_child();
    bench.fake.0.borrow_mut().fail.push(("suspend 2", XhciError::TimedOut));
    assert_eq!(bench.suspend(Depth::All), Err(UsbCoreError::TimedOut));
    assert_eq!([hub, child].map(|one| bench.state(one)), [PowerState::Active; 2]);
    assert_eq!(bench.system(), SystemPower::Awake);
}

/// Nobody wants anything: the device goes down, then its hub; a request brings both
/// up.
#[test]
fn u6_idle_hub_goes_down_after_what_is_behind_it_and_comes_up_before_it() {
    let (mut bench, hub) = Bench::with_hub_and(Some(500));
    assert_eq!(bench.state(hub), PowerState::Suspended);
    bench.fake.0.borrow_mut().ports[0].link_state = 0;
    bench.fake.plug_behind(1, 2, false);
    // It signals, since it may.
    bench.fake.signal(1);
    bench.settle();
    let child = bench.next_device();
    bench.core.claim(CLIENT, child, 1).expect("nobody has it");
    bench.settle();
    assert_eq!([hub, child].map(|one| bench.state(one)), [PowerState::Suspended; 2]);
    bench.fake.log();
    let ticket = bench.core.start_control(CLIENT, child, GET, &[], bench.now).expect("asked");
    assert_eq!(bench.ended(ticket), Ok(()));
    let starts = ["resume", "control 23 1 0002", "control a1"];
    let order = ["resume 1", "control 23 1 0002 2 0", "resume 2", "control a1 129 0000 1 2"];
    assert_eq!(only(&bench.fake, &starts), order);
    assert_eq!([hub, child].map(|one| bench.state(one)), [PowerState::Suspended; 2], "idle again");
}

/// A hub that cannot signal would not tell of what is plugged in.
#[test]
fn hub_that_cannot_signal_does_not_go_down_by_itself() {
    let mut bench = Bench::with_autosuspend(Some(500));
    bench.fake.0.borrow_mut().mute_hubs = true;
    bench.fake.plug_hub(1);
    bench.settle();
    let hub = bench.next_device();
    assert_eq!((bench.state(hub), bench.core.deadline()), (PowerState::Active, None));
    bench.sleep(Depth::AllButHeld);
    assert_eq!(bench.state(hub), PowerState::Suspended, "with the system it does");
}

/// Issue 5: port changes wake. A button behind a hub that stayed up, and behind one
/// that sleeps.
#[test]
fn u9_signal_from_behind_a_hub_wakes_the_system() {
    for held in [false, true] {
        let (mut bench, _, child) = Bench::with_child();
        bench.fake.0.borrow_mut().configurations[0][7] |= 1 << 5;
        bench.fake.plug_behind(1, 3, false);
        bench.settle();
        let button = bench.next_device();
        if held {
            bench.core.hold(OTHER, child, bench.now).expect("it is up");
        }
        bench.sleep(Depth::AllButHeld);
        while bench.core.pull(POWER) != Event::None {}
        bench.fake.signal_behind(1, 3);
        if !held {
            bench.fake.signal(1);
        }
        bench.settle();
        assert!(matches!(bench.core.pull(POWER), Event::Woken(_)), "held: {held}");
        bench.wake();
        assert_eq!([child, button].map(|one| bench.state(one)), [PowerState::Active; 2]);
    }
}

#[test]
fn what_is_plugged_in_while_the_system_sleeps_comes_when_it_is_awake() {
    let (mut bench, _, child) = Bench::with_child();
    bench.core.hold(OTHER, child, bench.now).expect("it is up");
    bench.sleep(Depth::AllButHeld);
    bench.fake.plug_behind(1, 4, false);
    bench.settle();
    assert_eq!(bench.core.status().devices, 2);
    bench.wake();
    assert_eq!(bench.core.status().devices, 3);
}

#[test]
fn device_behind_a_hub_is_reset_by_its_hub() {
    let (mut bench, _, child) = Bench::with_child();
    let ticket = bench.core.start_reset(CLIENT, child, bench.now).expect("it is up");
    assert_eq!(bench.ended(ticket), Ok(()));
    let log = bench.fake.log();
    assert_eq!(
        log[..5],
        [
            "reset device 2",
            "control 23 3 0004 2 0",
            "control a3 0 0000 2 4",
            "control 23 1 0014 2 0",
            "control a3 0 0000 2 4",
        ]
    );
    assert_eq!(log[5], "address block=false 64");
    assert!(bench.core.info(child).is_ok());
    assert!(!log.iter().any(|line| line.starts_with("reset port")));
}

#[test]
fn nobody_resets_a_hub() {
    let (mut bench, hub, _) = Bench::with_child();
    let refused = bench.core.start_reset(CLIENT, hub, bench.now);
    assert_eq!(refused, Err(UsbCoreError::NotAllowed));
}

#[test]
fn controller_that_died_brings_hubs_back_with_what_is_behind_them() {
    let (mut bench, _, child) = Bench::with_child();
    {
        let mut state = bench.fake.0.borrow_mut();
        state.events.push_back(Below::ControllerDied);
        state.open_slots.clear();
    }
    bench.settle();
    assert_eq!(bench.core.info(child), Err(UsbCoreError::DeviceGone));
    assert_eq!((bench.core.stores_taken, bench.left().2), (0, 0));
    bench.fake.0.borrow_mut().events.push_back(Below::ControllerReady);
    bench.settle();
    assert_eq!(bench.left().2, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 400 }))]

    /// Whatever is plugged and pulled, sleeps and wakes, at whatever moment: in the
    /// end nothing is left, and no timer runs.
    #[test]
    fn no_disorder_behind_hubs_leaves_anything(
        script in prop::collection::vec((0_u8..9, 0_u8..5, 0_u64..150), 1..60),
    ) {
        let mut bench = Bench::with_autosuspend(Some(300));
        let mut held = None;
        for (deed, which, pause) in script {
            let port = usize::from(which % 4) + 1;
            let root = which % 2 + 1;
            let slots: Vec<u16> = bench.fake.0.borrow().hubs.keys().copied().collect();
            let live = |slot: &u16| {
                let open = &bench.fake.0.borrow().open_slots;
                open.iter().any(|open| handles::Handle::raw(*open).index == *slot)
            };
            let slots: Vec<u16> = slots.into_iter().filter(live).collect();
            let slot = slots.get(usize::from(which) % slots.len().max(1)).copied();
            match (deed, slot) {
                (0, _) => bench.fake.plug_hub(root),
                (1, _) => bench.fake.unplug(root),
                (2 | 3, Some(slot)) => bench.fake.plug_behind(slot, port, deed == 3),
                (4, Some(slot)) => bench.fake.unplug_behind(slot, port),
                (5, Some(slot)) => bench.fake.signal_behind(slot, port),
                (6, _) => {
                    // Busy is an answer as well.
                    let begun = bench.core.start_suspend(POWER, Depth::AllButHeld, bench.now);
                    let _ = begun.map(|ticket| bench.core.cancel(POWER, ticket));
                }
                (7, _) => {
                    let begun = bench.core.start_resume(POWER, bench.now);
                    let _ = begun.map(|ticket| bench.core.cancel(POWER, ticket));
                }
                (8, _) => {
                    while let Event::Attached(device) = bench.core.pull(CLIENT) {
                        if bench.core.hold(OTHER, device, bench.now).is_ok() {
                            held = Some(device);
                        }
                    }
                }
                _ => {}
            }
            let until = bench.now + pause;
            for _ in 0..50 {
                bench.core.pull_all(bench.now);
                let due = bench.core.deadline().filter(|&at| at <= until);
                let Some(at) = due else { break };
                bench.now = bench.now.max(at);
                bench.core.tick(bench.now);
            }
            bench.now = until.max(bench.now);
        }
        bench.settle();
        if let Some(device) = held {
            // It may be gone.
            let _ = bench.core.unhold(OTHER, device, bench.now);
        }
        if bench.system() == SystemPower::Suspended {
            bench.core.start_resume(POWER, bench.now).expect("it begins");
        }
        bench.settle();
        prop_assert_eq!(bench.system(), SystemPower::Awake);
        for root in [1, 2] {
            bench.fake.unplug(root);
        }
        bench.settle();
        prop_assert_eq!(bench.left(), (0, 0, 0));
        prop_assert_eq!(bench.core.status().devices, 0);
        prop_assert!(bench.core.jobs.is_idle() || bench.core.deadline().is_none());
    }
}

#[test]
fn slots_of_hubs_are_told_apart_by_their_handles() {
    let (bench, hub) = Bench::with_hub();
    let info = bench.core.info(hub).expect("it is there");
    let slot: SlotHandle = bench.core.hubs.iter().next().expect("it is served").slot;
    assert_eq!(info.slot, slot);
}
