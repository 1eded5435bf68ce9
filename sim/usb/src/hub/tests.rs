use super::{Hub, Note, RECOVERY, RESET, RESUME, SUSPENDED};
use crate::bus::{Answer, Endpoint, Microframe, Setup, Speed, UsbDevice};
use crate::headset::{Model, headset};
use fabric::{Time, UsbWait};

const SUSPEND: u16 = 2;
const POWER: u16 = 8;
const RESET_PORT: u16 = 4;
const C_CONNECTION: u16 = 16;

/// A hub that is configured, and a clock.
struct Bench {
    hub: Hub,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self { hub: Hub::new(Speed::High, 4), now: Time::ms(1) };
        bench.hub.reset(bench.now);
        for (request, value) in [(5, 3), (9, 1)] {
            let setup = Setup { kind: 0, request, value, index: 0, length: 0 };
            assert!(bench.out(setup));
        }
        bench
    }

    fn out(&mut self, setup: Setup) -> bool {
        self.hub.setup(self.now, setup);
        self.hub.status(self.now) == Answer::Ack
    }

    fn set(&mut self, what: u16, port: u16) -> bool {
        self.out(Setup { kind: 0x23, request: 3, value: what, index: port, length: 0 })
    }

    fn clear(&mut self, what: u16, port: u16) -> bool {
        self.out(Setup { kind: 0x23, request: 1, value: what, index: port, length: 0 })
    }

    /// wPortStatus and wPortChange.
    fn status(&mut self, port: u16) -> Option<(u16, u16)> {
        let setup = Setup { kind: 0xA3, request: 0, value: 0, index: port, length: 4 };
        self.hub.setup(self.now, setup);
        let mut bytes = [0; 64];
        let answer = self.hub.control_in(&mut bytes);
        let word = |at| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        (answer == Answer::Data(4)).then(|| (word(0), word(2)))
    }

    /// What the status pipe says.
    fn report(&mut self) -> Option<u8> {
        let mut bytes = [0; 2];
        let at = Microframe::at(self.now);
        match self.hub.interrupt_in(at, Endpoint::input(1), &mut bytes) {
            Answer::Data(1) => Some(bytes[0]),
            Answer::Nak => None,
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self, span: Time) {
        self.now += span;
    }

    /// A headset at port 2 that can be talked to.
    fn with_headset() -> Self {
        let mut bench = Self::new();
        bench.hub.plug(bench.now, 2, headset(Model::Sync, 0));
        bench.set(POWER, 2);
        bench.wait(Time::ms(201));
        bench.status(2);
        bench.set(RESET_PORT, 2);
        bench.wait(RESET + RECOVERY);
        assert_eq!(bench.status(2), Some((0x103, 0x11)));
        assert_eq!(bench.hub.take_notes(), [Note::Closed(2)]);
        bench
    }
}

#[test]
fn a_port_shows_nothing_before_its_power_is_good() {
    let mut bench = Bench::new();
    bench.hub.plug(bench.now, 2, headset(Model::Sync, 0));
    assert_eq!((bench.status(2), bench.report()), (Some((0, 0)), None));
    bench.set(POWER, 2);
    bench.wait(Time::ms(99));
    assert_eq!((bench.status(2), bench.report()), (Some((0x100, 0)), None));
    bench.wait(Time::ms(1));
    assert_eq!((bench.status(2), bench.report()), (Some((0x101, 1)), Some(1 << 2)));
    bench.clear(C_CONNECTION, 2);
    assert_eq!((bench.status(2), bench.report()), (Some((0x101, 0)), None));
}

#[test]
fn packets_pass_a_port_that_is_enabled_and_awake() {
    let mut bench = Bench::with_headset();
    let now = bench.now;
    assert!(bench.hub.reachable(now, 2).is_some());
    assert!(bench.hub.reachable(now, 1).is_none());
    bench.set(SUSPEND, 2);
    assert_eq!(bench.hub.take_notes(), [Note::Suspended(2)]);
    assert_eq!(bench.status(2), Some((0x107, 0x11)));
    assert!(bench.hub.reachable(now, 2).is_none());
    bench.wait(SUSPENDED);
    bench.clear(SUSPEND, 2);
    bench.wait(RESUME);
    assert_eq!(bench.status(2), Some((0x103, 0x15)));
    let now = bench.now;
    assert_eq!(bench.hub.recovers(now, 2), Some((UsbWait::ResumeRecovery, Time::ZERO)));
    assert!(bench.hub.reachable(now, 2).is_some());
    assert!(bench.hub.take_notes().is_empty());
}

#[test]
fn waits_that_are_cut_short_are_noted() {
    let mut bench = Bench::new();
    bench.hub.plug(bench.now, 1, headset(Model::Sync, 0));
    bench.set(POWER, 1);
    bench.wait(Time::ms(150));
    bench.set(RESET_PORT, 1);
    let early = Note::Hurried(UsbWait::Debounce, Time::ms(50));
    assert_eq!(bench.hub.take_notes(), [Note::Closed(1), early]);
    let mut bench = Bench::with_headset();
    bench.set(SUSPEND, 2);
    bench.wait(Time::ms(4));
    bench.clear(SUSPEND, 2);
    let early = Note::Hurried(UsbWait::Suspended, Time::ms(4));
    assert_eq!(bench.hub.take_notes(), [Note::Suspended(2), early]);
}

#[test]
fn what_is_pulled_is_told_of_and_what_the_hub_does_not_have_is_stalled() {
    let mut bench = Bench::with_headset();
    bench.clear(C_CONNECTION, 2);
    bench.clear(20, 2);
    let now = bench.now;
    assert!(bench.hub.unplug(now, 2).is_some() && bench.hub.just_lost(now, 2));
    assert_eq!(bench.status(2), Some((0x100, 1)));
    assert_eq!(bench.report(), Some(1 << 2));
    assert!(!bench.set(POWER, 0) && !bench.set(POWER, 5) && !bench.set(9, 1));
    assert_eq!(bench.status(5), None);
}

#[test]
fn a_hub_that_sleeps_wakes_its_host_when_it_may() {
    for may in [false, true] {
        let mut bench = Bench::with_headset();
        bench.clear(C_CONNECTION, 2);
        bench.clear(20, 2);
        if may {
            assert!(bench.out(Setup { kind: 0, request: 3, value: 1, index: 0, length: 0 }));
        }
        let now = bench.now;
        bench.hub.suspend(now);
        assert!(!bench.hub.wants_out() && bench.hub.reachable(now, 2).is_none());
        bench.hub.unplug(now, 2);
        assert_eq!(bench.hub.wants_out(), may);
    }
}

#[test]
fn a_hub_that_is_reset_has_its_ports_without_power() {
    let mut bench = Bench::with_headset();
    let now = bench.now;
    bench.hub.reset(now);
    assert!(bench.hub.reachable(now, 2).is_none());
    assert!(bench.hub.device(2).is_some(), "it is still plugged in");
}
