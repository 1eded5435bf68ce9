//! Suspend and resume by the driver: times, refusals, and what comes between.

use crate::clients::{DEVICE, Driver, say, set_interface};
use crate::devices::{OUT, idle, play, run};
use crate::machine::{CORE, Diary, Machine, Plan, personalities, plug, port};
use crate::program::{self, Desk};
use crate::sideband::{Between, Session, clean, until};
use crate::trouble::{able, unplug};
use dsp_abi::bell;
use fabric::{IntId, Time};
use system::board::Parts;
use usb_model::headset::Model;
use usb_types::Setup;
use userlib::{hl, sys_get_timer};
use xhc::{Death, Personality};
use xhci_api::{
    Completed, Event, LINK_RESUME, LINK_SUSPENDED, RevokeReason, SlotHandle, XhciError,
};

/// SET_FEATURE(DEVICE_REMOTE_WAKEUP).
const MAY_WAKE: Setup = Setup { request_type: 0, request: 3, value: 1, index: 0, length: 0 };

impl Driver {
    fn suspend(&mut self, slot: SlotHandle) -> Result<Completed, XhciError> {
        let ticket = self.xhci.start_suspend_device(slot);
        self.end(ticket)
    }

    fn resume(&mut self, slot: SlotHandle) -> Result<Completed, XhciError> {
        let ticket = self.xhci.start_resume_device(slot);
        self.end(ticket)
    }

    fn answers(&mut self, slot: SlotHandle) {
        let mut device = [0; 18];
        assert_eq!(self.control(slot, DEVICE, &mut device), Ok(18));
    }
}

/// How long `act` takes, in milliseconds.
fn took(act: impl FnOnce()) -> u64 {
    let began = sys_get_timer().now;
    act();
    sys_get_timer().now - began
}

#[test]
fn a_device_goes_down_and_comes_up_within_the_times_of_the_specification() {
    for (seed, personality) in personalities(24) {
        let (model, port) = (Model::Sync, port(&personality));
        let slow = personality.suspend;
        let machine = run(personality, seed, model, Time::ms(5), 3000, move |driver, slot, _| {
            driver.start_stream(slot, &[OUT]).expect("it starts");
            for _ in 0..3 {
                let down = took(|| assert_eq!(driver.suspend(slot), Ok(Completed::Done)));
                assert!(Time::ms(down) + Time::ms(1) >= slow && down <= 15, "{down}");
                let status = driver.xhci.port(port.0).expect("a port");
                assert_eq!((status.link_state, status.enabled), (LINK_SUSPENDED, true));
                assert_eq!(driver.xhci.status().expect("it answers").suspended, 1);
                let up = took(|| assert_eq!(driver.resume(slot), Ok(Completed::Done)));
                // 10 ms of suspend, 20 of signalling, 10 of rest.
                assert!((30..=50).contains(&up), "{up}");
                assert_eq!(driver.xhci.status().expect("it answers").suspended, 0);
                driver.answers(slot);
            }
        });
        drop(machine);
    }
}

/// SP is set for every endpoint that ran, endpoint 0 among them.
#[test]
fn every_endpoint_of_a_suspended_device_was_stopped_for_it() {
    for (seed, personality) in personalities(8) {
        let machine = run(personality, seed, Model::Sync, Time::ms(5), 2000, |driver, slot, _| {
            driver.start_stream(slot, &[OUT]).expect("it starts");
            driver.suspend(slot).expect("it goes down");
        });
        let board = machine.host.board();
        let controller = &board.parts.controllers[0];
        assert_eq!(controller.suspended_endpoints(), 2, "seed {seed}");
    }
}

#[test]
fn what_a_suspended_device_cannot_do_is_refused_with_its_code() {
    for (seed, personality) in personalities(4) {
        run(personality, seed, Model::Sync, Time::ms(5), 2000, |driver, slot, _| {
            let suspended = Some(XhciError::Suspended);
            let busy = Some(XhciError::Busy);
            driver.start_stream(slot, &[OUT]).expect("it starts");
            let transfer = driver.xhci.start_control(slot, DEVICE, &[]);
            assert_eq!(driver.xhci.start_suspend_device(slot).err(), busy, "a transfer runs");
            driver.end(transfer).expect("it ends");
            let down = driver.xhci.start_suspend_device(slot);
            // From the first moment on.
            assert_eq!(driver.xhci.start_control(slot, DEVICE, &[]).err(), suspended);
            assert_eq!(driver.xhci.start_resume_device(slot).err(), busy);
            driver.end(down).expect("it goes down");
            assert_eq!(driver.xhci.start_suspend_device(slot).err(), suspended);
            assert_eq!(driver.xhci.start_control(slot, DEVICE, &[]).err(), suspended);
            assert_eq!(driver.xhci.start_address(slot, false, 64).err(), suspended);
            assert_eq!(driver.xhci.start_evaluate(slot, 64).err(), suspended);
            assert_eq!(driver.xhci.write_isoch(slot, 2, &[2, 0], &[0, 0]).err(), suspended);
            assert_eq!(driver.configure(slot, 1 << 2, &[OUT]).err(), suspended);
            // Its endpoints can be given up all the same.
            driver.configure(slot, 1 << 2, &[]).expect("dropped");
            driver.resume(slot).expect("it comes up");
            driver.answers(slot);
            // One that is up is as it should be.
            driver.resume(slot).expect("nothing to do");
            driver.control(slot, set_interface(0), &mut []).expect("it answers");
        });
    }
}

/// Packets that were queued wait, and go out in their order.
#[test]
fn a_host_stream_goes_on_behind_its_suspend_where_it_stood() {
    for (seed, personality) in personalities(12) {
        let passes = personality.dequeue_past_stopped;
        let machine = run(personality, seed, Model::Sync, Time::ms(5), 4000, |driver, slot, _| {
            driver.start_stream(slot, &[OUT]).expect("it starts");
            play(driver, slot, 100);
            let lengths = [192_u16; 16];
            for batch in 0..2_u8 {
                let data: [u8; 16 * 192] =
                    std::array::from_fn(|n| 100 + batch * 16 + (n / 192) as u8);
                let lengths = zerocopy::IntoBytes::as_bytes(&lengths);
                let taken = driver.xhci.write_isoch(slot, 2, lengths, &data);
                assert_eq!(taken, Ok(16));
            }
            hl::sleep_for(13);
            driver.suspend(slot).expect("it goes down");
            let queued = driver.xhci.isoch_status(slot, 2).expect("it waits").queued;
            assert!(queued > 8, "{queued}");
            hl::sleep_for(100);
            let still = driver.xhci.isoch_status(slot, 2).expect("it waits").queued;
            assert_eq!(still, queued);
            driver.resume(slot).expect("it comes up");
            while driver.xhci.isoch_status(slot, 2).expect("it plays").queued > 0 {
                driver.wait();
            }
        });
        let board = machine.host.board();
        let log = board.parts.controllers[0].wire().log();
        let numbers: Vec<u8> = log.packets().iter().map(|p| log.data(p)[0]).collect();
        // Of a controller that leaves the packet that it stopped on behind.
        let lost = 132 - numbers.len();
        assert!(lost <= usize::from(passes), "seed {seed}: {lost}");
        assert!(numbers.is_sorted_by(|a, b| a < b), "seed {seed}: {numbers:?}");
    }
}

/// A controller that leaves the packet behind that it stopped on may say nothing of
/// it; behind the last one there is nothing that speaks for it later.
#[test]
fn the_last_packet_of_a_host_stream_is_over_when_its_controller_stopped_behind_it() {
    for (seed, personality) in personalities(24) {
        run(personality, seed, Model::Sync, Time::ms(5), 4000, |driver, slot, _| {
            driver.start_stream(slot, &[OUT]).expect("it starts");
            for _ in 0..8 {
                let taken = driver.xhci.write_isoch(slot, 2, &[192, 0], &[0; 192]);
                assert_eq!(taken, Ok(1));
            }
            while driver.xhci.isoch_status(slot, 2).expect("it plays").queued > 1 {
                driver.wait();
            }
            driver.suspend(slot).expect("it goes down");
            driver.resume(slot).expect("it comes up");
            hl::sleep_for(50);
            let status = driver.xhci.isoch_status(slot, 2).expect("it is over");
            assert_eq!((status.queued, status.completed), (0, 8));
        });
    }
}

#[test]
fn a_device_that_signals_is_told_of_and_brought_up() {
    for (seed, personality) in personalities(12) {
        let port = port(&personality);
        // At some moment of the suspend, or before it is complete.
        let at = Time::us(600_000 + 1_700 * seed);
        let plan = Plan::default()
            .at(Time::ms(2), plug(&personality, Model::Capture, seed))
            .at(at, move |parts| {
                let Parts { fabric, controllers, .. } = parts;
                controllers[0].wake_up(fabric, port);
            })
            .at(at + Time::ms(60), move |parts| {
                let Parts { fabric, controllers, .. } = parts;
                controllers[0].wake_up(fabric, port);
            });
        let core = move |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            driver.until_connected();
            let slot = driver.enumerate(port.0).expect("it enumerates");
            driver.control(slot, MAY_WAKE, &mut []).expect("it can");
            hl::sleep_for(600 - sys_get_timer().now);
            driver.suspend(slot).expect("it goes down");
            while driver.xhci.port(port.0).expect("a port").link_state != LINK_RESUME {
                driver.wait();
            }
            driver.resume(slot).expect("it comes up");
            driver.answers(slot);
            say(diary, "woken");
            idle(diary);
        };
        let mut machine = Machine::new(personality, seed, plan, core, idle);
        machine.run(1500);
        // Where Resume cannot be seen, nobody waits for it.
        let seen = seed != 0;
        assert_eq!(machine.said("woken"), seen, "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
    }
}

#[test]
fn a_device_pulled_at_any_moment_of_a_suspend_or_resume_is_an_error_and_no_more() {
    for step in 0..80_u64 {
        let personality =
            if step % 9 == 0 { Personality::qemu() } else { Personality::seeded(step) };
        let at = Time::us(500_000 + 900 * step);
        let plan = Plan::default()
            .at(Time::ms(2), plug(&personality, Model::Sync, step))
            .at(at, unplug(&personality))
            .at(Time::ms(700), plug(&personality, Model::Sync, step));
        let core = |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let slot = driver.enumerate(port).expect("it enumerates");
            hl::sleep_for(500 - sys_get_timer().now);
            for n in 0..10 {
                let went = if n % 2 == 0 { driver.suspend(slot) } else { driver.resume(slot) };
                if let Err(error) = went {
                    let known = [XhciError::DeviceGone, XhciError::Suspended];
                    assert!(known.contains(&error), "{error:?}");
                    break;
                }
            }
            hl::sleep_for(705 - sys_get_timer().now.min(704));
            driver.replug(Some(slot));
            say(diary, "again");
            idle(diary);
        };
        let mut machine = Machine::new(personality, step, plan, core, idle);
        machine.run(2500);
        assert!(machine.said("again"), "step {step}: {:?}", machine.diary.borrow());
        machine.check();
    }
}

#[test]
fn a_controller_that_fails_meanwhile_ends_it_and_starts_over() {
    for step in 0..24_u64 {
        let personality = Personality::seeded(step);
        let death = if step % 2 == 0 { Death::ControllerError } else { Death::HostError };
        let at = Time::us(500_000 + 2_100 * step);
        let plan = Plan::default().at(Time::ms(2), plug(&personality, Model::Sync, step)).at(
            at,
            move |parts| {
                let Parts { fabric, controllers, .. } = parts;
                controllers[0].kill(fabric, death);
                parts.fabric.raise(IntId(bell::CONTROLLER0_PRIMARY));
            },
        );
        let core = |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let slot = driver.enumerate(port).expect("it enumerates");
            hl::sleep_for(500 - sys_get_timer().now);
            let ended = loop {
                match driver.suspend(slot).and_then(|_| driver.resume(slot)) {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            let known = [XhciError::ControllerDead, XhciError::NotReady, XhciError::Stale];
            assert!(known.contains(&ended), "{ended:?}");
            driver.until_ready();
            driver.replug(None);
            say(diary, "again");
            idle(diary);
        };
        let mut machine = Machine::new(personality, step, plan, core, idle);
        machine.run(3000);
        assert!(machine.said("again"), "step {step}: {:?}", machine.diary.borrow());
        machine.check();
    }
}

#[test]
fn a_usb_core_that_dies_meanwhile_is_succeeded_by_one_that_starts_over() {
    for step in 0..30_u64 {
        let personality = Personality::seeded(step);
        let plan = Plan::default().at(Time::ms(2), plug(&personality, Model::Sync, step));
        let core = |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let slot = driver.enumerate(port).expect("it enumerates");
            driver.answers(slot);
            say(diary, "up");
            loop {
                driver.suspend(slot).expect("it goes down");
                driver.resume(slot).expect("it comes up");
                driver.answers(slot);
            }
        };
        let mut machine = Machine::new(personality, step, plan, core, idle);
        machine.run(500 + 2 * step);
        machine.kill(CORE);
        machine.run(1500);
        let lives = machine.diary.borrow().iter().filter(|line| *line == "up").count();
        assert_eq!(lives, 2, "step {step}: {:?}", machine.diary.borrow());
        machine.check_models();
    }
}

/// R12: an interrupter keeps no device awake, that is the vote's; and rule 6 holds
/// for the suspend of a device that somebody streams on.
#[test]
fn a_session_on_a_device_that_is_suspended_ends_in_order_first() {
    for (seed, personality) in able(10) {
        for polite in [true, false] {
            let plan = Plan::default().at(Time::ms(2), plug(&personality, Model::Sync, seed));
            let (between, desk) = (Between::default(), Desk::default());
            let (with_core, with_broker, on_dsp) = (between.clone(), between, desk.clone());
            let core = move |diary: &Diary| {
                let mut driver = Driver::new();
                driver.until_ready();
                let port = driver.until_connected();
                let slot = driver.enumerate(port).expect("it enumerates");
                driver.start_stream(slot, &[OUT]).expect("it starts");
                with_core.slot.set(Some(slot));
                until(&with_core.armed);
                hl::sleep_for(100);
                let down = took(|| assert_eq!(driver.suspend(slot), Ok(Completed::Done)));
                assert_eq!(down >= 2000, !polite, "{down}");
                driver.resume(slot).expect("it comes up");
                driver.answers(slot);
                say(diary, "core done");
                idle(diary);
            };
            let broker = move |diary: &Diary| {
                let mut driver = Driver::new();
                while with_broker.slot.get().is_none() {
                    hl::sleep_for(1);
                }
                let slot = with_broker.slot.get().expect("it is set");
                let session = Session::open(&mut driver, slot, &[2], &desk);
                with_broker.armed.set(true);
                while driver.revoked.is_empty() {
                    driver.wait();
                }
                assert_eq!(driver.revoked, [(session.sideband, RevokeReason::DeviceSuspended)]);
                if polite {
                    session.halt(&mut driver);
                    session.finish(&mut driver, &[2]);
                } else {
                    hl::sleep_for(2500);
                    session.give_back(&mut driver, &[2]);
                }
                assert!(clean(&driver.xhci.status().expect("it answers")));
                assert_eq!(driver.xhci.pull(), Ok(Event::None));
                say(diary, "broker done");
                idle(diary);
            };
            let personality = personality.clone();
            let mut machine =
                Machine::with_program(personality, seed, plan, core, broker, move || {
                    program::play(&on_dsp)
                });
            machine.run(6000);
            let diary = machine.diary.borrow().clone();
            assert!(machine.said("core done") && machine.said("broker done"), "{seed}: {diary:?}");
            machine.check();
        }
    }
}
