//! What is behind a hub is reached by what its slot context says, and by nothing
//! else.

use crate::rig::{DOORBELLS, Rig, Slot, code};
use fabric::{Time, UsbWait, Violation};
use usb_model::headset::{Model, headset};
use usb_model::{Hub, Speed};
use xhc::{Personality, RootPort, Route};

/// Commands.
const DISABLE: u32 = 10;
const ADDRESS: u32 = 11;
const CONFIGURE: u32 = 12;
const STOP: u32 = 15;
const PARAMETER: u32 = 17;
/// SET_FEATURE and CLEAR_FEATURE of a port, and the features.
const SET: [u16; 2] = [0x23, 3];
const CLEAR: [u16; 2] = [0x23, 1];
const SUSPEND: u16 = 2;
const RESET: u16 = 4;
const POWER: u16 = 8;
/// The port of the hub that has a headset.
const PORT: u16 = 2;
/// Slot contexts: full and high speed, and what is said of a hub of four ports
/// whose translator thinks for 16 bit times.
const FULL: u32 = 1;
const HIGH: u32 = 3;
const HUB: (u32, u32, u32) = (1 << 26, 4 << 24, 1 << 16);

/// A hub at a root port, and its slot.
struct Bench {
    rig: Rig,
    hub: Slot,
    port: RootPort,
}

impl Bench {
    /// A hub that is told of, with a headset of full speed behind it, whose port
    /// was reset.
    fn new() -> Self {
        let mut bench = Self::untold();
        assert_eq!(bench.tell(HUB), code::SUCCESS);
        bench
    }

    fn untold() -> Self {
        let personality = Personality::seeded(53);
        let port = personality.usb2_port(0).expect("a USB 2 port");
        let mut rig = Rig::running(personality);
        let mut hub = Hub::new(Speed::High, 4);
        hub.plug(Time::ZERO, PORT as u8, headset(Model::Sync, 0));
        rig.plug_device(port, Box::new(hub));
        rig.connect(port);
        let hub = rig.enumerate(port);
        let mut bench = Self { rig, hub, port };
        bench.port(SET, POWER);
        bench.rig.run(Time::ms(210));
        bench.port(SET, RESET);
        bench.rig.run(Time::ms(25));
        bench
    }

    fn port(&mut self, [kind, request]: [u16; 2], what: u16) {
        let done = self.rig.request(&mut self.hub, [kind, request, what, PORT], &[]);
        assert_eq!(done, code::SUCCESS);
    }

    /// Configure Endpoint with that said of the hub.
    fn tell(&mut self, (flag, ports, think): (u32, u32, u32)) -> u32 {
        let [a, b, c, ..] = self.rig.output(self.hub.id, 0);
        let context = [a & !(3 << 25) | flag, b | ports, c & 0xFFC0_0000 | think, 0, 0];
        self.rig.fill_input(0, 1, &[(0, context)]);
        self.rig.with_input(CONFIGURE, self.hub.id, 0)
    }

    /// Address Device for what is at that route, with that translator.
    fn address(&mut self, route: u32, speed: u32, translator: u32) -> (u8, u32) {
        let context =
            [1 << 27 | speed << 20 | route, u32::from(self.port.0) << 16, translator, 0, 0];
        let (id, _) = self.rig.prepare_with(context);
        let done = self.rig.with_input(ADDRESS, id, 0);
        if done != code::SUCCESS {
            assert_eq!(self.rig.simple(DISABLE, id, 0), code::SUCCESS);
        }
        (id, done)
    }

    fn translator(&self) -> u32 {
        u32::from(self.hub.id) | u32::from(PORT) << 8
    }
}

#[test]
fn a_device_behind_a_hub_has_its_address_by_route_and_translator() {
    let mut bench = Bench::new();
    let (_, done) = bench.address(PORT.into(), FULL, bench.translator());
    assert_eq!(done, code::SUCCESS);
    bench.rig.run(Time::ms(3));
    bench.rig.clean();
    assert_eq!(Route::ROOT.through(3).through(15).ports().collect::<Vec<_>>(), [3, 15]);
}

#[test]
fn a_slot_context_that_leads_nowhere_or_to_no_translator_is_refused() {
    let mut bench = Bench::new();
    let right = bench.translator();
    let port = u32::from(PORT);
    for (route, speed, translator) in [
        (port, FULL, 0),
        (port, FULL, right + 1),
        (port, FULL, right + (1 << 8)),
        (port, HIGH, 0),
        (port + 1, FULL, right),
        (5, FULL, right),
        (port | 1 << 4, FULL, right),
        (port << 4, FULL, right),
    ] {
        let (_, done) = bench.address(route, speed, translator);
        assert_eq!(done, PARAMETER, "{route:x} {speed} {translator:x}");
    }
    bench.rig.only("ContextMalformed");
}

#[test]
fn a_device_behind_a_hub_that_is_not_told_of_is_refused() {
    let mut bench = Bench::untold();
    let (_, done) = bench.address(PORT.into(), FULL, bench.translator());
    assert_eq!(done, PARAMETER);
    bench.rig.only("ContextMalformed");
}

#[test]
fn what_is_said_of_a_hub_must_be_so_and_is_said_again_each_time() {
    let (flag, ports, think) = HUB;
    for wrong in [(flag, 3 << 24, think), (flag, ports, 0), (0, ports, 0), (0, 0, think)] {
        let mut bench = Bench::untold();
        assert_eq!(bench.tell(wrong), PARAMETER, "{wrong:x?}");
        bench.rig.only("ContextMalformed");
    }
    let mut bench = Bench::new();
    let [a, b, c, ..] = bench.rig.output(bench.hub.id, 0);
    assert_eq!((a >> 26 & 1, b >> 24, c >> 16 & 3), (1, 4, 1), "the controller keeps it");
    bench.rig.fill_input(0, 1, &[(0, [a & !(1 << 26), b & 0xFF_FFFF, c & !(3 << 16), 0, 0])]);
    assert_eq!(bench.rig.with_input(CONFIGURE, bench.hub.id, 0), PARAMETER, "forgotten");
    bench.rig.only("ContextMalformed");
}

#[test]
fn two_devices_do_not_have_one_port_of_a_hub() {
    let mut bench = Bench::new();
    let right = bench.translator();
    assert_eq!(bench.address(PORT.into(), FULL, right).1, code::SUCCESS);
    assert_eq!(bench.address(PORT.into(), FULL, right).1, PARAMETER);
    bench.rig.only("ContextMalformed");
}

#[test]
fn a_device_that_was_not_reset_by_its_hub_has_no_speed_to_be_addressed_with() {
    let mut bench = Bench::new();
    // PORT_ENABLE.
    bench.port(CLEAR, 1);
    bench.rig.run(Time::ms(2));
    assert_eq!(bench.address(PORT.into(), FULL, bench.translator()).1, PARAMETER);
    bench.rig.only("ContextMalformed");
}

#[test]
fn a_port_of_a_hub_is_suspended_when_what_is_behind_it_stands_still() {
    for stopped in [false, true] {
        let mut bench = Bench::new();
        let (id, _) = bench.address(PORT.into(), FULL, bench.translator());
        bench.rig.run(Time::ms(3));
        if stopped {
            let stop = [0, 0, 0, STOP << 10 | u32::from(id) << 24 | 1 << 16 | 1 << 23];
            assert_eq!(bench.rig.command(stop), code::SUCCESS);
        }
        bench.port(SET, SUSPEND);
        if stopped {
            bench.rig.run(Time::ms(12));
            bench.rig.write(DOORBELLS + 4 * u32::from(id), 1);
            bench.rig.only("TransferToSuspended");
        } else {
            bench.rig.only("SuspendedWhileRunning");
        }
    }
}

#[test]
fn a_device_is_left_alone_until_it_has_recovered_from_its_hubs_reset() {
    let mut bench = Bench::new();
    bench.port(SET, RESET);
    bench.rig.run(Time::ms(13));
    assert_eq!(bench.address(PORT.into(), FULL, bench.translator()).1, code::SUCCESS);
    bench.rig.only("WaitTooShort");
    let (_, violation) = bench.rig.fabric.violations.kept()[0];
    assert!(matches!(violation, Violation::WaitTooShort { wait: UsbWait::ResetRecovery, .. }));
}
