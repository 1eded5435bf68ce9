//! Suspend and resume of a port: the lawful way, what wakes it, and each rule
//! broken (xHCI 4.15, USB 2.0 7.1.7).

use crate::rig::{DOORBELLS, Rig, Slot, code};
use fabric::{Time, UsbWait, Violation};
use usb_model::headset::Model;
use xhc::Personality;

const POWER: u32 = 1 << 9;
const LINK_WRITE: u32 = 1 << 16;
const LINK_CHANGE: u32 = 1 << 22;
const STOP: u32 = 15;
const SUSPEND: u32 = 1 << 23;

/// State of an endpoint.
const RUNNING: u32 = 1;

const U0: u32 = 0;
const U3: u32 = 3;
const RESUME: u32 = 15;

fn headset(model: Model) -> (Rig, Slot) {
    let mut personality = Personality::seeded(53);
    (personality.suspend, personality.resume) = (Time::ms(5), Time::us(500));
    Rig::with_headset(personality, model)
}

impl Rig {
    fn link(&mut self, slot: &Slot) -> u32 {
        let register = self.portsc(slot.port);
        self.read(register) >> 5 & 0xF
    }

    fn set_link(&mut self, slot: &Slot, state: u32) {
        let register = self.portsc(slot.port);
        self.write(register, POWER | LINK_WRITE | state << 5);
    }

    fn stop_for_suspend(&mut self, slot: &Slot, dci: u32) -> u32 {
        self.command([0, 0, 0, STOP << 10 | u32::from(slot.id) << 24 | dci << 16 | SUSPEND])
    }

    /// The lawful way down.
    fn suspend(&mut self, slot: &Slot) {
        if self.endpoint_state(slot.id, 1) == RUNNING {
            assert_eq!(self.stop_for_suspend(slot, 1), code::SUCCESS);
        }
        self.set_link(slot, U3);
        let register = self.portsc(slot.port);
        self.wait(register, 0xF << 5, U3 << 5);
        self.run(Time::ms(10));
    }

    /// The lawful way up.
    fn resume(&mut self, slot: &Slot) {
        if self.link(slot) == U3 {
            self.set_link(slot, RESUME);
        }
        self.run(Time::ms(20));
        self.set_link(slot, U0);
        let register = self.portsc(slot.port);
        self.wait(register, 0xF << 5, U0);
        self.run(Time::ms(10));
        self.write(register, POWER | LINK_CHANGE);
    }

    fn waited_too_little(&self, wanted: UsbWait) {
        self.only("WaitTooShort");
        let (_, first) = self.fabric.violations.kept()[0];
        let Violation::WaitTooShort { wait, .. } = first else { panic!("{first:?}") };
        assert_eq!(wait, wanted);
    }
}

#[test]
fn a_device_keeps_its_settings_over_a_suspend_and_answers_again() {
    for seed in [53, 54, 55, 56] {
        let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(seed), Model::Sync);
        rig.suspend(&slot);
        assert_eq!(rig.xhc.suspended_endpoints(), 1);
        assert_eq!(rig.endpoint_state(slot.id, 1), 3, "stopped");
        rig.resume(&slot);
        // Configured still, or the class request would stall.
        assert_eq!(rig.request(&mut slot, [0x21, 1, 0x100, 0x200], &[0]), code::SUCCESS);
        rig.clean();
    }
}

#[test]
fn a_link_needs_its_time_into_u3_and_back_and_tells_of_the_way_back_only() {
    let (mut rig, slot) = headset(Model::Sync);
    rig.stop_for_suspend(&slot, 1);
    rig.set_link(&slot, U3);
    rig.run(Time::ms(4));
    assert_eq!(rig.link(&slot), U0, "not yet");
    rig.run(Time::ms(2));
    assert_eq!(rig.link(&slot), U3);
    assert!(rig.drain_primary().is_empty(), "U3 entry raises no event");
    rig.run(Time::ms(10));
    rig.set_link(&slot, RESUME);
    rig.run(Time::ms(20));
    assert_eq!(rig.link(&slot), RESUME);
    rig.set_link(&slot, U0);
    rig.run(Time::us(100));
    assert_eq!(rig.link(&slot), RESUME, "not yet");
    rig.run(Time::ms(1));
    assert_eq!(rig.link(&slot), U0);
    let register = rig.portsc(slot.port);
    assert_eq!(rig.read(register) & LINK_CHANGE, LINK_CHANGE);
    assert_eq!(rig.drain_primary().len(), 1);
    rig.clean();
}

#[test]
fn a_controller_that_does_not_know_resume_is_lawful_too() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::qemu(), Model::Qemu);
    rig.suspend(&slot);
    rig.set_link(&slot, RESUME);
    assert_eq!(rig.link(&slot), U3);
    rig.run(Time::ms(20));
    rig.set_link(&slot, U0);
    assert_eq!(rig.link(&slot), U0);
    rig.run(Time::ms(10));
    assert_eq!(rig.request(&mut slot, [0, 9, 1, 0], &[]), code::SUCCESS);
    rig.clean();
}

#[test]
fn a_device_wakes_its_host_only_when_it_can_and_was_told_that_it_may() {
    for (model, told) in [(Model::Sync, true), (Model::Capture, false), (Model::Capture, true)] {
        let (mut rig, mut slot) = headset(model);
        if told {
            let answer = rig.request(&mut slot, [0, 3, 1, 0], &[]);
            rig.recover_control(&mut slot);
            let able = if model == Model::Capture { code::SUCCESS } else { code::STALL };
            assert_eq!(answer, able);
        }
        rig.suspend(&slot);
        let wakes = told && model == Model::Capture;
        assert_eq!(rig.xhc.wake_up(&mut rig.fabric, slot.port), wakes);
        rig.run(Time::ms(1));
        assert_eq!(rig.drain_primary().len(), usize::from(wakes));
        assert_eq!(rig.link(&slot), if wakes { RESUME } else { U3 });
        rig.resume(&slot);
        assert_eq!(rig.request(&mut slot, [0, 9, 1, 0], &[]), code::SUCCESS);
        rig.clean();
    }
}

#[test]
fn a_device_that_was_just_suspended_or_is_awake_does_not_wake_anybody() {
    let (mut rig, mut slot) = headset(Model::Capture);
    assert_eq!(rig.request(&mut slot, [0, 3, 1, 0], &[]), code::SUCCESS);
    assert!(!rig.xhc.wake_up(&mut rig.fabric, slot.port), "awake");
    rig.stop_for_suspend(&slot, 1);
    rig.set_link(&slot, U3);
    rig.run(Time::ms(4));
    assert!(!rig.xhc.wake_up(&mut rig.fabric, slot.port), "on its way");
    rig.run(Time::ms(2));
    assert!(rig.xhc.wake_up(&mut rig.fabric, slot.port));
    assert!(!rig.xhc.wake_up(&mut rig.fabric, slot.port), "once");
    rig.clean();
}

#[test]
fn a_suspended_device_may_go_and_be_reset() {
    let (mut rig, slot) = headset(Model::Sync);
    rig.suspend(&slot);
    rig.reset_port(slot.port);
    assert_eq!(rig.link(&slot), U0);
    rig.run(Time::ms(11));
    let (mut rig, slot) = headset(Model::Sync);
    rig.suspend(&slot);
    drop(rig.xhc.unplug(&mut rig.fabric, slot.port));
    assert_eq!(rig.drain_primary().len(), 1);
    // Software that has not heard of it yet resumes nothing.
    rig.set_link(&slot, RESUME);
    rig.run(Time::ms(20));
    rig.set_link(&slot, U0);
    rig.run(Time::ms(5));
    assert_eq!(rig.link(&slot), 5, "RxDetect");
    rig.clean();
}

// ---- rules broken ----

#[test]
fn a_port_suspended_while_an_endpoint_runs() {
    let (mut rig, slot) = headset(Model::Sync);
    rig.set_link(&slot, U3);
    rig.only("SuspendedWhileRunning");
    let (mut rig, mut slot) = headset(Model::Sync);
    let ring = rig.producer();
    rig.configure(&slot, &ring);
    assert_eq!(rig.request(&mut slot, [1, 11, 1, 1], &[]), code::SUCCESS);
    rig.stop_for_suspend(&slot, 1);
    rig.set_link(&slot, U3);
    let running = Violation::SuspendedWhileRunning { controller: 0, slot: slot.id, dci: 2 };
    assert_eq!(rig.fabric.violations.kept()[0].1, running);
}

#[test]
fn a_doorbell_rung_for_a_suspended_device() {
    for state in [U3, RESUME] {
        let (mut rig, mut slot) = headset(Model::Sync);
        rig.suspend(&slot);
        if state == RESUME {
            rig.set_link(&slot, RESUME);
        }
        assert_eq!(rig.request(&mut slot, [0, 9, 1, 0], &[]), code::TRANSACTION);
        rig.only("TransferToSuspended");
    }
    // On its way counts, too.
    let (mut rig, slot) = headset(Model::Sync);
    rig.stop_for_suspend(&slot, 1);
    rig.set_link(&slot, U3);
    rig.write(DOORBELLS + 4 * u32::from(slot.id), 1);
    rig.only("TransferToSuspended");
}

#[test]
fn a_resume_that_comes_too_soon_or_is_cut_short() {
    let (mut rig, slot) = headset(Model::Sync);
    rig.stop_for_suspend(&slot, 1);
    rig.set_link(&slot, U3);
    rig.run(Time::ms(6));
    rig.set_link(&slot, RESUME);
    rig.waited_too_little(UsbWait::Suspended);

    let (mut rig, slot) = headset(Model::Sync);
    rig.suspend(&slot);
    rig.set_link(&slot, RESUME);
    rig.run(Time::ms(19));
    rig.set_link(&slot, U0);
    rig.waited_too_little(UsbWait::Resume);
}

#[test]
fn a_device_that_is_not_left_to_recover_from_its_resume() {
    for dci in [1, 2] {
        let (mut rig, mut slot) = headset(Model::Sync);
        let ring = rig.producer();
        rig.configure(&slot, &ring);
        assert_eq!(rig.request(&mut slot, [1, 11, 1, 1], &[]), code::SUCCESS);
        rig.stop_for_suspend(&slot, 2);
        rig.suspend(&slot);
        rig.set_link(&slot, RESUME);
        rig.run(Time::ms(20));
        rig.set_link(&slot, U0);
        rig.run(Time::ms(9));
        rig.write(DOORBELLS + 4 * u32::from(slot.id), dci);
        rig.waited_too_little(UsbWait::ResumeRecovery);
    }
}

#[test]
fn a_link_state_that_does_not_follow() {
    let (mut rig, slot) = headset(Model::Sync);
    rig.set_link(&slot, RESUME);
    rig.only("BadLinkState");
    let (mut rig, slot) = headset(Model::Sync);
    rig.suspend(&slot);
    // A USB 2 link is resumed first.
    rig.set_link(&slot, U0);
    rig.only("BadLinkState");
    assert_eq!(rig.link(&slot), U3);
}
