//! What goes wrong: devices pulled, controllers, clients and the monitor dying.

use crate::clients::{DEVICE, Driver, say};
use crate::devices::{OUT, idle};
use crate::machine::{
    BROKER, CORE, Diary, MAPPER, Machine, Plan, XHCI, cut, deaf, personalities, plug, port,
};
use crate::program::{self, Desk};
use crate::sideband::{Between, Session, clean};
use dsp_abi::bell;
use fabric::{Fault, IntId, Point, Site, Time};
use system::board::Parts;
use usb_model::headset::Model;
use userlib::hl;
use xhc::{Death, Personality};
use xhci_api::{Event, RevokeReason, SidebandPhase, Xhci, XhciError};

/// Milliseconds from power-on by which a session plays.
const PLAYING: u64 = 400;

/// A `usb_core` that starts streams on whatever is plugged in, over its own and
/// the driver's deaths.
fn core(diary: &Diary, between: &Between) {
    between.slot.set(None);
    let mut driver = Driver::new();
    loop {
        driver.pull();
        match driver.xhci.info() {
            Ok(info) if info.alive && driver.ready => {}
            Err(_) => {
                // Another incarnation: what this one said is void.
                driver = Driver::new();
                hl::sleep_for(5);
                continue;
            }
            Ok(_) => {
                driver.wait();
                continue;
            }
        }
        let Some(port) = connected(&driver.xhci) else {
            driver.wait();
            continue;
        };
        let slot = match driver.enumerate(port) {
            Ok(slot) => slot,
            Err(_) => {
                hl::sleep_for(5);
                continue;
            }
        };
        if driver.start_stream(slot, &[OUT]).is_ok() {
            between.slot.set(Some(slot));
            say(diary, "attached");
            let deaths = driver.deaths;
            while driver.deaths == deaths && connected(&driver.xhci).is_some() {
                driver.wait();
            }
            between.slot.set(None);
        }
        let disable = driver.xhci.start_disable_slot(slot);
        let ended = driver.end(disable);
        say(diary, format!("detached {ended:?}"));
    }
}

/// The lowest port that has a device.
fn connected(xhci: &Xhci) -> Option<u8> {
    let ports = xhci.info().map_or(0, |info| info.ports);
    (1..=ports).find(|&port| xhci.port(port).is_ok_and(|status| status.connected))
}

/// How a broker takes a revocation.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Manners {
    /// At once, in order.
    Good,
    /// Not at all.
    None,
}

/// A broker that has a session on whatever is there.
fn broker(diary: &Diary, between: &Between, desk: &Desk, manners: Manners) {
    let mut driver = Driver::new();
    loop {
        let Some(slot) = between.slot.take() else {
            hl::sleep_for(1);
            continue;
        };
        let session = Session::open(&mut driver, slot, &[2], desk);
        between.armed.set(true);
        driver.revoked.clear();
        let server = driver.xhci.task_id();
        while driver.revoked.is_empty() && driver.xhci.task_id() == server {
            driver.wait();
        }
        if driver.revoked.is_empty() {
            between.armed.set(false);
            session.bury(&mut driver);
            say(diary, "buried");
            continue;
        }
        say(diary, format!("{:?}", driver.revoked[0].1));
        between.armed.set(false);
        if manners == Manners::None {
            hl::sleep_for(u64::from(xhci_api::REVOKE_MS) + 500);
            let status = driver.xhci.sideband(session.sideband).expect("it is there");
            assert_eq!((status.phase, status.device_present), (SidebandPhase::Placed, false));
            let late = driver.xhci.start_close_gate(session.sideband).err();
            assert_eq!(late, Some(XhciError::WrongPhase), "it was taken down");
            session.give_back(&mut driver, &[2]);
        } else {
            session.halt(&mut driver);
            session.finish(&mut driver, &[2]);
        }
        let status = driver.xhci.status().expect("it answers");
        assert!(clean(&status), "{status:?}");
        say(diary, "clean");
    }
}

fn machine(
    personality: Personality,
    seed: u64,
    plan: Plan,
    manners: Manners,
) -> (Machine, Between) {
    let plan = plan.at(Time::ms(2), plug(&personality, Model::Sync, seed));
    let (between, desk) = (Between::default(), Desk::default());
    let (with_core, with_broker) = (between.clone(), between.clone());
    let (on_dsp, on_core) = (desk.clone(), desk);
    let machine = Machine::with_program(
        personality,
        seed,
        plan,
        move |diary| core(diary, &with_core),
        move |diary| broker(diary, &with_broker, &on_core, manners),
        move || program::play(&on_dsp),
    );
    (machine, between)
}

pub(crate) fn able(count: u64) -> impl Iterator<Item = (u64, Personality)> {
    personalities(count).filter(|(_, personality)| personality.interrupters >= 2)
}

pub(crate) fn unplug(personality: &Personality) -> impl FnMut(&mut Parts) + use<> {
    let port = port(personality);
    move |parts| drop(parts.unplug_at(0, port.into()).expect("it was plugged in"))
}

#[test]
fn a_device_pulled_in_mid_stream_is_let_go_in_order_and_may_come_back() {
    for (seed, personality) in able(10) {
        let again = plug(&personality, Model::Sync, seed);
        let plan = Plan::default()
            .at(Time::us(PLAYING * 1000 + 137 * seed), unplug(&personality))
            .at(Time::ms(PLAYING + 300), again);
        let (mut machine, between) = machine(personality, seed, plan, Manners::Good);
        machine.run(2500);
        let diary = machine.diary.borrow().clone();
        assert!(machine.said("SlotDisabled"), "seed {seed}: {diary:?}");
        assert!(machine.said("clean"), "seed {seed}: {diary:?}");
        assert!(machine.said("detached Ok(Done)"), "seed {seed}: {diary:?}");
        assert!(between.armed.get(), "seed {seed}: it plays again: {diary:?}");
        machine.check();
    }
}

/// What the controller keeps, it may still reach: a command that takes something
/// away is carried out, or the controller is reset.
#[test]
fn a_controller_that_refuses_to_let_go_is_started_over() {
    /// Event Lost Error, Context State Error, and Slot Not Enabled Error of a slot
    /// that is.
    const CODES: [u8; 3] = [32, 19, 11];
    let unplugged = Time::ms(PLAYING);
    let scene = |seed: u64, personality: Personality| {
        let again = plug(&personality, Model::Sync, seed);
        let plan =
            Plan::default().at(unplugged, unplug(&personality)).at(Time::ms(PLAYING + 300), again);
        machine(personality, seed, plan, Manners::Good)
    };
    for (seed, personality) in able(6) {
        let (mut machine, _) = scene(seed, personality.clone());
        machine.host.board_mut().parts.fabric.points.record();
        machine.run(PLAYING + 300);
        let points = machine.host.board_mut().parts.fabric.points.take_record();
        let commands = points
            .iter()
            .filter(|reached| reached.point.site == Site::Command(0) && reached.at > unplugged);
        let commands: Vec<u32> = commands.map(|reached| reached.point.nth).collect();
        assert!(commands.len() >= 2, "seed {seed}: {commands:?}");
        for (nth, code) in commands.into_iter().flat_map(|n| CODES.map(|code| (n, code))) {
            let (mut machine, between) = scene(seed, personality.clone());
            let point = Point { site: Site::Command(0), nth };
            machine.host.board_mut().parts.fabric.points.plan(point, Fault::Code(code));
            machine.run(4000);
            let diary = machine.diary.borrow().clone();
            let plays = between.armed.get() && machine.said("clean");
            assert!(plays, "command {nth}, code {code}, seed {seed}: {diary:?}");
            machine.check();
        }
    }
}

/// 4.19.2: a port with a change that was not acknowledged tells of no other.
#[test]
fn a_device_that_goes_before_its_reset_was_acknowledged_is_told_gone() {
    const RESET_CHANGE: u8 = 1 << 4;
    for (seed, personality) in able(5) {
        let plan = Plan::default()
            .at(Time::ms(2), plug(&personality, Model::Sync, seed))
            .at(Time::ms(300), unplug(&personality));
        let core = |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            hl::sleep_for(110);
            driver.xhci.acknowledge_port(port, 0x7F).expect("acknowledged");
            let reset = driver.xhci.start_port_reset(port);
            driver.end(reset).expect("reset");
            while driver.xhci.pull() != Ok(Event::None) {}
            hl::sleep_until(310);
            driver.xhci.acknowledge_port(port, RESET_CHANGE).expect("acknowledged");
            assert_eq!(driver.xhci.pull(), Ok(Event::PortChanged { port }));
            say(diary, "told");
            idle(diary);
        };
        let mut machine = Machine::new(personality, seed, plan, core, idle);
        machine.run(400);
        assert!(machine.said("told"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
    }
}

/// R13: "revoked" does not come: forced when the time is over.
#[test]
fn a_session_whose_owner_does_not_let_go_is_taken_down_by_the_driver() {
    for (seed, personality) in able(5) {
        let plan = Plan::default().at(Time::ms(PLAYING), unplug(&personality));
        let (mut machine, _) = machine(personality, seed, plan, Manners::None);
        machine.run(PLAYING + 2000 - 100);
        assert!(!machine.said("detached Ok(Done)"), "its owner has its time");
        machine.run(PLAYING + 3500);
        assert!(machine.said("detached Ok(Done)"), "seed {seed}: {:?}", machine.diary.borrow());
        assert!(machine.said("clean"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
    }
}

#[test]
fn a_controller_that_fails_is_started_over_and_its_sessions_end() {
    for death in [Death::ControllerError, Death::HostError] {
        for (seed, personality) in able(8) {
            let plan = Plan::default().at(Time::us(PLAYING * 1000 + 91 * seed), move |parts| {
                let Parts { fabric, controllers, .. } = parts;
                controllers[0].kill(fabric, death);
            });
            // A controller that failed tells nobody: the next thing that is
            // asked of it finds out.
            let plan = plan.at(Time::us(PLAYING * 1000 + 91 * seed + 1), |parts| {
                parts.fabric.raise(IntId(bell::CONTROLLER0_PRIMARY));
            });
            let (mut machine, between) = machine(personality, seed, plan, Manners::Good);
            machine.run(3000);
            let diary = machine.diary.borrow().clone();
            assert!(machine.said("ControllerDied"), "{death:?}, seed {seed}: {diary:?}");
            assert!(machine.said("clean"), "{death:?}, seed {seed}: {diary:?}");
            assert!(between.armed.get(), "{death:?}, seed {seed}: it plays again: {diary:?}");
            machine.check();
        }
    }
}

/// Nobody hears from it again, so the next thing that is asked of it shows it; what was
/// under way, when its time is up.
#[test]
fn a_controller_that_fails_without_a_word_is_found_out_by_who_wants_something() {
    for (seed, personality) in personalities(6) {
        let (again, is_gone) = (seed % 2 == 0, seed % 3 == 0);
        let at = Time::ms(PLAYING);
        let plan = Plan::default()
            .at(Time::ms(5), plug(&personality, Model::Sync, seed))
            .at(at, move |parts| {
                let Parts { fabric, controllers, .. } = parts;
                let death = if is_gone { Death::Gone } else { Death::ControllerError };
                controllers[0].kill(fabric, death);
            })
            .at(at + Time::ms(1), |parts| {
                let Parts { fabric, controllers, .. } = parts;
                controllers[0].come_back(fabric);
            });
        let core = move |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let slot = driver.enumerate(port).expect("it enumerates");
            let mut device = [0; 18];
            if again {
                // One transfer after the other, until one is under way when it fails.
                while driver.control(slot, DEVICE, &mut device).is_ok() {}
            } else {
                while userlib::sys_get_timer().now < PLAYING + 20 {
                    hl::sleep_for(1);
                }
                assert!(driver.xhci.start_port_reset(port).is_err(), "not the next life's");
            }
            say(diary, format!("{}", userlib::sys_get_timer().now));
            driver.until_ready();
            assert_eq!(driver.deaths, 1);
            let port = driver.until_connected();
            let slot = driver.enumerate(port).expect("it enumerates again");
            assert_eq!(driver.control(slot, DEVICE, &mut device), Ok(18));
            say(diary, "done");
            idle(diary);
        };
        let mut machine = Machine::new(personality, seed, plan, core, idle);
        machine.run(8_000);
        let diary = machine.diary.borrow().clone();
        assert!(machine.said("done"), "seed {seed}: {diary:?}");
        let noticed: u64 = diary[0].parse().expect("a time");
        let limit = PLAYING + if again { 5_050 } else { 50 };
        assert!(noticed < limit, "seed {seed}: {diary:?}");
        machine.check();
    }
}

/// Half of what was read is its own, and half is ones: that is no other function.
#[test]
fn a_controller_that_leaves_its_bus_while_it_is_looked_at_is_found_when_it_is_back() {
    for nth in 1..60 {
        let plan = Plan::default()
            .at(Time::ms(100_000), |parts| {
                let Parts { fabric, controllers, .. } = parts;
                controllers[0].kill(fabric, Death::Gone);
            })
            .at(Time::ms(20), |parts| {
                let Parts { fabric, controllers, .. } = parts;
                controllers[0].come_back(fabric);
            });
        let core = |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            say(diary, "ready");
            idle(diary);
        };
        let mut machine = Machine::new(Personality::qemu(), 0, plan, core, idle);
        let point = Point { site: Site::Register(XHCI as u8), nth };
        let leave = Fault::Wake { device: system::board::SCRIPT, token: 0 };
        machine.host.board_mut().parts.fabric.points.plan(point, leave);
        machine.run(4_000);
        // One that is there again before anybody missed it says nothing, either.
        let asked = machine.host.board().parts.controllers[0].bar().is_some();
        assert!(asked && machine.said("ready"), "register {nth}");
        machine.check();
    }
}

#[test]
fn a_controller_that_left_the_bus_is_given_up_without_a_loop() {
    let plan = Plan::default()
        .at(Time::ms(PLAYING), |parts| {
            let Parts { fabric, controllers, .. } = parts;
            controllers[0].kill(fabric, Death::Gone);
        })
        .at(Time::ms(PLAYING + 10), |parts| {
            parts.fabric.raise(IntId(bell::CONTROLLER0_PRIMARY));
        });
    let (mut machine, _) = machine(Personality::qemu(), 0, plan, Manners::Good);
    machine.run(10_000);
    assert!(machine.said("ControllerDied"), "{:?}", machine.diary.borrow());
    assert!(machine.said("clean"), "pages come back: {:?}", machine.diary.borrow());
    machine.check();
}

/// What cannot be reset is kept from memory, and who waited for a reset is told.
#[test]
fn the_broker_is_told_of_a_controller_that_is_gone_that_it_reaches_nothing() {
    let plan = Plan::default().at(Time::ms(PLAYING), |parts| {
        let Parts { fabric, controllers, .. } = parts;
        controllers[0].kill(fabric, Death::Gone);
        fabric.raise(IntId(bell::CONTROLLER0_PRIMARY));
    });
    let broker = |diary: &Diary| {
        let mut driver = Driver::new();
        driver.until_ready();
        assert!(!driver.safe, "it runs");
        while !driver.safe {
            driver.wait();
        }
        say(diary, "safe");
        idle(diary);
    };
    let mut machine = Machine::new(Personality::qemu(), 0, plan, idle, broker);
    machine.run(PLAYING + 1_000);
    assert!(machine.said("safe"), "{:?}", machine.diary.borrow());
    machine.check();
}

/// It costs nothing while nobody wants it, and whoever does finds out whether it is
/// back: each question is one attempt.
#[test]
fn a_controller_that_was_given_up_is_tried_again_when_somebody_asks() {
    let (gone, back) = (PLAYING, PLAYING + 9_000);
    let plan = Plan::default()
        .at(Time::ms(gone), |parts| {
            let Parts { fabric, controllers, .. } = parts;
            controllers[0].kill(fabric, Death::Gone);
        })
        .at(Time::ms(back), |parts| {
            let Parts { fabric, controllers, .. } = parts;
            controllers[0].come_back(fabric);
        });
    let core = move |diary: &Diary| {
        let mut driver = Driver::new();
        driver.until_ready();
        let until = |time| {
            while userlib::sys_get_timer().now < time {
                hl::sleep_for(10);
            }
        };
        until(gone + 10);
        // Asked for while it is away: an attempt, in vain.
        for at in [gone + 6_000, gone + 7_000] {
            assert!(!driver.xhci.info().expect("it answers").alive);
            until(at);
        }
        until(back + 2_000);
        assert!(!driver.xhci.info().expect("it answers").alive, "nobody looked");
        driver.until_ready();
        assert!(driver.xhci.info().expect("it answers").alive);
        say(diary, "back");
        idle(diary);
    };
    let mut machine = Machine::new(Personality::qemu(), 0, plan, core, idle);
    machine.run(back + 8_000);
    assert!(machine.said("back"), "{:?}", machine.diary.borrow());
    machine.check();
}

/// Kills `task` while a session plays; what must be true afterwards.
fn survives(task: u16, seeds: u64) {
    for (seed, personality) in able(seeds) {
        let (mut machine, between) = machine(personality, seed, Plan::default(), Manners::Good);
        machine.run(PLAYING + seed);
        assert!(between.armed.get(), "seed {seed}: {:?}", machine.diary.borrow());
        between.armed.set(false);
        machine.kill(task);
        machine.run(PLAYING + 2500);
        let diary = machine.diary.borrow().clone();
        assert!(between.armed.get(), "task {task}, seed {seed}: it plays again: {diary:?}");
        if task == MAPPER {
            // Without its mapper the controller reached for what was there.
            machine.check_rules();
        } else {
            machine.check_models();
        }
    }
}

#[test]
fn a_dead_broker_leaves_nothing_and_its_successor_plays() {
    // The broker's successor needs a slot, which `usb_core` tells once; a death
    // of both is the hardest case.
    for (seed, personality) in able(8) {
        let (mut machine, _) = machine(personality, seed, Plan::default(), Manners::Good);
        machine.run(PLAYING + seed);
        machine.kill(BROKER);
        machine.run(PLAYING + 500);
        machine.check_models();
        let board = machine.host.board();
        let controller = &board.parts.controllers[0];
        assert_eq!(controller.configured_endpoints(), 0, "seed {seed}: dropped");
        let id = xhc::InterrupterId(1);
        assert!(!controller.interrupter_in_use(id), "seed {seed}: switched off");
    }
}

#[test]
fn a_dead_usb_core_is_succeeded_by_one_that_starts_over() {
    survives(CORE, 8);
}

#[test]
fn a_dead_driver_is_succeeded_by_one_that_starts_over() {
    survives(XHCI, 8);
}

#[test]
fn a_dead_mapper_takes_the_controller_with_it_and_both_come_back() {
    survives(MAPPER, 5);
}

/// Tasks die at random points, over and over: no model sees a rule broken.
#[test]
fn no_death_at_any_point_breaks_a_rule() {
    for (seed, personality) in able(24) {
        let (mut machine, _) = machine(personality, seed, Plan::default(), Manners::Good);
        for round in 0..6_u64 {
            let task = [XHCI, CORE, BROKER, XHCI, MAPPER, CORE][round as usize];
            let points = 50 + (seed * 7919 + round * 104_729) % 4000;
            machine.kill_after(points, task);
            machine.run(PLAYING + 300 * (round + 1));
        }
        machine.run(5000);
        machine.check_rules();
    }
}

/// Fact 84: a command that does not end is aborted, and a controller that needs
/// that for a command of its own is started over.
#[test]
fn a_command_that_does_not_end_is_aborted_and_told() {
    for (seed, personality) in personalities(6) {
        let slow = Personality { command: (Time::ms(5500), Time::ms(5600)), ..personality };
        let plan = Plan::default().at(Time::ms(2), plug(&slow, Model::Sync, seed));
        let core = |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let began = userlib::sys_get_timer().now;
            assert_eq!(driver.enumerate(port), Err(XhciError::ControllerDead));
            let took = userlib::sys_get_timer().now - began;
            assert!((5000..5300).contains(&took), "{took}");
            let status = driver.xhci.status().expect("it answers");
            assert_eq!((status.command_timeouts, status.deaths), (1, 1));
            driver.until_ready();
            say(diary, "told");
            idle(diary);
        };
        let mut machine = Machine::new(slow, seed, plan, core, idle);
        machine.run(8000);
        assert!(machine.said("told"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
    }
}

/// X16: a device that does not answer.
#[test]
fn a_device_that_is_pulled_while_it_is_addressed_is_an_error_and_no_more() {
    for (seed, personality) in personalities(12) {
        // Somewhere between reset and the last control transfer.
        let at = Time::us(115_000 + 4_000 * seed);
        let again = plug(&personality, Model::Sync, seed);
        let plan = Plan::default()
            .at(Time::ms(2), plug(&personality, Model::Sync, seed))
            .at(at, unplug(&personality))
            .at(Time::ms(800), again);
        let core = |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let first = driver.enumerate(port);
            say(diary, format!("first {first:?}"));
            hl::sleep_for(900);
            driver.pull();
            driver.replug(first.ok().or(driver.last));
            say(diary, "again");
        };
        let core = move |diary: &Diary| {
            core(diary);
            idle(diary);
        };
        let mut machine = Machine::new(personality, seed, plan, core, idle);
        machine.run(12_000);
        let diary = machine.diary.borrow().clone();
        assert!(!diary.is_empty(), "seed {seed}: it ended");
        assert!(machine.said("again"), "seed {seed}: {diary:?}");
        machine.check_models();
    }
}

/// A monitor that does not answer: the handover fails by its deadline, and what
/// it had set up is gone.
#[test]
fn without_the_monitors_word_no_gate_opens() {
    for (seed, personality) in able(5) {
        let plan = Plan::default()
            .at(Time::ms(2), plug(&personality, Model::Sync, seed))
            .at(Time::ms(60), deaf)
            .at(Time::ms(61), cut);
        let between = Between::default();
        let (with_core, with_broker) = (between.clone(), between);
        let broker = move |diary: &Diary| {
            let mut driver = Driver::new();
            let slot = loop {
                match with_broker.slot.get() {
                    Some(slot) => break slot,
                    None => hl::sleep_for(1),
                }
            };
            let (session, armed) = Session::try_open(&mut driver, slot, &[2], 0, &Desk::default());
            assert_eq!(armed, Err(XhciError::GateTimeout));
            let status = driver.xhci.sideband(session.sideband).expect("it is there");
            assert_eq!(status.phase, SidebandPhase::Placed);
            session.give_back(&mut driver, &[2]);
            let status = driver.xhci.status().expect("it answers");
            assert!(clean(&status), "{status:?}");
            say(diary, "clean");
            idle(diary);
        };
        let core = move |diary: &Diary| core(diary, &with_core);
        let mut machine = Machine::new(personality, seed, plan, core, broker);
        machine.run(2000);
        assert!(machine.said("clean"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
        let board = machine.host.board();
        assert_eq!(board.parts.controllers[0].configured_endpoints(), 0);
    }
}

/// A monitor that stops answering while a session is up: its end goes on.
#[test]
fn a_gate_whose_closing_is_not_confirmed_does_not_hold_up_the_end() {
    for (seed, personality) in able(5) {
        let plan = Plan::default()
            .at(Time::ms(2), plug(&personality, Model::Sync, seed))
            .at(Time::ms(PLAYING), deaf)
            .at(Time::ms(PLAYING + 1), cut);
        let between = Between::default();
        let (with_core, with_broker) = (between.clone(), between);
        let broker = move |diary: &Diary| {
            let mut driver = Driver::new();
            let slot = loop {
                match with_broker.slot.get() {
                    Some(slot) => break slot,
                    None => hl::sleep_for(1),
                }
            };
            let session = Session::open(&mut driver, slot, &[2], &Desk::default());
            hl::sleep_until(PLAYING + 20);
            let close = driver.xhci.start_close_gate(session.sideband);
            assert_eq!(driver.end(close), Err(XhciError::GateTimeout));
            let status = driver.xhci.sideband(session.sideband).expect("it is there");
            assert_eq!(status.phase, SidebandPhase::GateClosed);
            let halt = driver.xhci.start_halt(session.sideband);
            driver.end(halt).expect("halted");
            session.finish(&mut driver, &[2]);
            assert!(clean(&driver.xhci.status().expect("it answers")));
            // The endpoint went with the session.
            let sideband = driver.xhci.register(slot, xhci_api::SidebandKind::Vendor);
            let sideband = sideband.expect("registered");
            assert_eq!(driver.xhci.add_endpoint(sideband, 2), Err(XhciError::NoEndpoint), "X4");
            driver.xhci.unregister(sideband).expect("unregistered");
            say(diary, "clean");
            idle(diary);
        };
        let core = move |diary: &Diary| core(diary, &with_core);
        let mut machine = Machine::new(personality, seed, plan, core, broker);
        machine.run(2000);
        assert!(machine.said("clean"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
    }
}

/// R13, R33: a reset (U15) tells the session's owner, and waits for it with a deadline.
#[test]
fn a_reset_under_a_session_revokes_it_first() {
    for (seed, personality) in able(5) {
        let plan = Plan::default().at(Time::ms(2), plug(&personality, Model::Sync, seed));
        let (between, desk) = (Between::default(), Desk::default());
        let (with_core, with_broker) = (between.clone(), between);
        let on_dsp = desk.clone();
        let core = move |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let slot = driver.enumerate(port).expect("it enumerates");
            driver.start_stream(slot, &[OUT]).expect("it starts");
            with_core.slot.set(Some(slot));
            crate::sideband::until(&with_core.armed);
            hl::sleep_for(50);
            // Bandwidth away from under the session, then the whole device.
            driver.configure(slot, 1 << 2, &[]).expect("dropped");
            say(diary, "dropped");
            let reset = driver.xhci.start_reset_device(slot);
            driver.end(reset).expect("the device");
            driver.xhci.acknowledge_port(port, 0x7F).expect("a port");
            say(diary, "reset");
            idle(diary);
        };
        let broker = move |diary: &Diary| broker(diary, &with_broker, &desk, Manners::Good);
        let mut machine = Machine::with_program(personality, seed, plan, core, broker, move || {
            program::play(&on_dsp)
        });
        machine.run(1500);
        let dropped = format!("{:?}", RevokeReason::EndpointDropped);
        for line in [dropped.as_str(), "clean", "dropped", "reset"] {
            assert!(machine.said(line), "seed {seed}: {line}: {:?}", machine.diary.borrow());
        }
        machine.check();
    }
}
