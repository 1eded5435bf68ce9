//! Several sessions of one slot, and whose ring takes the slot's own events.

use crate::clients::{Driver, say, set_interface};
use crate::devices::OUT;
use crate::machine::{Diary, Machine, Plan, personalities, plug};
use crate::program::Desk;
use crate::sideband::{BUFFER_PAGES, Between, Session, clean, until};
use fabric::Time;
use usb_model::headset::Model;
use userlib::hl;
use xhc::{InterrupterId, Personality, SlotId};
use xhci_api::{EndpointSpec, XhciError};

/// The microphone of the headset that has one.
const MICROPHONE: EndpointSpec =
    EndpointSpec { dci: 5, kind: 5, max_packet: 98, esit_payload: 98, ..OUT };
/// What the broker leaves running between two of its steps, in milliseconds.
const STEP: u64 = 20;

/// `usb_core`: a headset with loudspeakers and microphone configured.
fn core(diary: &Diary, between: &Between) {
    let mut driver = Driver::new();
    driver.until_ready();
    let port = driver.until_connected();
    let slot = driver.enumerate(port).expect("it enumerates");
    driver.start_stream(slot, &[OUT]).expect("it starts");
    driver.configure(slot, 0, &[MICROPHONE]).expect("configured");
    let microphone = usb_types::Setup { index: 2, ..set_interface(1) };
    driver.control(slot, microphone, &mut []).expect("alternate 1");
    between.slot.set(Some(slot));
    until(&between.over);
    // One endpoint is configured away while the other one's session lives on.
    let dropped = driver.configure(slot, 1 << MICROPHONE.dci, &[]);
    say(diary, format!("dropped: {dropped:?}"));
    crate::devices::idle(diary);
}

fn slot_of(between: &Between) -> xhci_api::SlotHandle {
    loop {
        match between.slot.get() {
            Some(slot) => break slot,
            None => hl::sleep_for(1),
        }
    }
}

fn machine(
    personality: Personality,
    seed: u64,
    broker: impl Fn(&Diary, &Between) + 'static,
) -> Machine {
    let plan = Plan::default().at(Time::ms(2), plug(&personality, Model::Capture, seed));
    let between = Between::default();
    let with_core = between.clone();
    Machine::new(
        personality,
        seed,
        plan,
        move |diary| core(diary, &with_core),
        move |diary| broker(diary, &between),
    )
}

/// Where the slot's own events go, whenever that or the diary's last line
/// changes.
fn targets(machine: &mut Machine, ms: u64) -> Vec<(String, u16)> {
    let mut seen: Vec<(String, u16)> = Vec::new();
    for now in 1..ms {
        machine.run(now);
        let target = machine.host.board().parts.controllers[0].slot_target(SlotId(1));
        let line = machine.diary.borrow().last().cloned().unwrap_or_default();
        let now = (line, target.map_or(0, |InterrupterId(number)| number));
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    seen
}

/// DESIGN "Handover": the target is the oldest live session's, and goes back to
/// 0 with the last, whichever of the two ends first.
#[test]
fn the_slots_own_events_go_to_the_session_that_has_listened_longest() {
    for (seed, personality) in personalities(12) {
        if personality.interrupters < 3 {
            continue;
        }
        let oldest_first = seed % 2 == 0;
        let broker = move |diary: &Diary, between: &Between| {
            let mut driver = Driver::new();
            let slot = slot_of(between);
            let desk = Desk::default();
            let one = Session::open(&mut driver, slot, &[OUT.dci], &desk);
            say(diary, "one");
            hl::sleep_for(STEP);
            let two = Session::open_with(&mut driver, slot, &[MICROPHONE.dci], BUFFER_PAGES, &desk);
            say(diary, "one and two");
            hl::sleep_for(STEP);
            let mut sessions = [(one, OUT.dci), (two, MICROPHONE.dci)];
            if !oldest_first {
                sessions.reverse();
            }
            for (session, dci) in &sessions {
                session.halt(&mut driver);
                session.finish(&mut driver, &[*dci]);
                say(diary, if *dci == OUT.dci { "one ended" } else { "two ended" });
                hl::sleep_for(STEP);
            }
            assert!(clean(&driver.xhci.status().expect("it answers")));
            say(diary, "broker done");
            crate::devices::idle(diary);
        };
        let mut machine = machine(personality, seed, broker);
        let seen = targets(&mut machine, 1500);
        let last_with =
            |line: &str| seen.iter().rev().find(|(at, _)| at == line).map(|(_, target)| *target);
        assert_eq!(last_with("one"), Some(1), "seed {seed}: {seen:?}");
        assert_eq!(last_with("one and two"), Some(1), "seed {seed}: {seen:?}");
        if oldest_first {
            assert_eq!(last_with("one ended"), Some(2), "seed {seed}: {seen:?}");
        } else {
            assert_eq!(last_with("two ended"), Some(1), "seed {seed}: {seen:?}");
        }
        assert_eq!(last_with("broker done"), Some(0), "seed {seed}: {seen:?}");
        machine.check();
    }
}

/// D-15, X13: what is configured away, an IN endpoint at that, ends its own session
/// and no other; the driver takes down what its owner does not.
#[test]
fn an_endpoint_that_is_configured_away_ends_its_own_session_and_no_other() {
    for (seed, personality) in personalities(6) {
        if personality.interrupters < 3 {
            continue;
        }
        let broker = |diary: &Diary, between: &Between| {
            let mut driver = Driver::new();
            let slot = slot_of(between);
            let desk = Desk::default();
            let one = Session::open(&mut driver, slot, &[OUT.dci], &desk);
            let two = Session::open_with(&mut driver, slot, &[MICROPHONE.dci], BUFFER_PAGES, &desk);
            between.over.set(true);
            while driver.revoked.is_empty() {
                driver.wait();
            }
            let revoked: Vec<_> = driver.revoked.iter().map(|(sideband, _)| *sideband).collect();
            assert_eq!(revoked, [two.sideband]);
            // Nobody lets go of it: the driver does, after its own deadline.
            hl::sleep_for(u64::from(xhci_api::REVOKE_MS) + 500);
            let halt = driver.xhci.start_halt(two.sideband).err();
            assert_eq!(halt, Some(XhciError::WrongPhase), "taken down");
            let status = driver.xhci.sideband(one.sideband).expect("it lives");
            assert_eq!(status.phase, xhci_api::SidebandPhase::Armed);
            assert!(status.device_present);
            two.give_back(&mut driver, &[MICROPHONE.dci]);
            one.halt(&mut driver);
            one.finish(&mut driver, &[OUT.dci]);
            assert!(clean(&driver.xhci.status().expect("it answers")));
            say(diary, "broker done");
            crate::devices::idle(diary);
        };
        let mut machine = machine(personality, seed, broker);
        machine.run(5000);
        assert!(machine.said("broker done"), "seed {seed}: {:?}", machine.diary.borrow());
        assert!(machine.said("dropped: Ok(Done)"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
    }
}
