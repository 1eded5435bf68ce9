//! The system sleeps while a stream plays, and wakes up.

use crate::world::{LIMIT, World, roomy, sound};
use dsp_abi::bell;
use dsp_abi::media::{Path, PlayerState};
use fabric::{Device, Rng, Time, Width};
use judge::report::Leaks;
use offload_broker_api::RouteEnding;
use system::board::Parts;
use system::look::Look;
use system::scene::{Mark, Port};
use usb_audio_api::UsbAudioError;
use usb_core_api::SystemPower;
use usb_model::Speed;
use usb_model::headset::Model;
use xhc::Personality;

/// Time in which the system falls asleep or wakes up: 3 ms until a bus is idle
/// (USB 2.0 7.1.7.6), 40 ms of waking it (7.1.7.7), and what the tasks take.
const TURN: Time = Time::ms(80);
/// Where port 1 has its PORTSC among the operational registers, and how far ports
/// are apart (xHCI 5.4.8).
const PORTSC: u32 = 0x400;
const PORTS_APART: u32 = 0x10;
/// PLS: U0 and U3 (table 5-27).
pub(super) const U0: u32 = 0;
pub(super) const U3: u32 = 3;

impl World {
    /// Two headsets, of which the second one is idle.
    fn with_two(seed: u64) -> (Self, Port) {
        Self::with_two_on(roomy(seed, 2), seed)
    }

    fn with_two_on(personality: Personality, seed: u64) -> (Self, Port) {
        let second = personality.usb2_port(1).expect("it has two");
        let mut world = Self::with(personality, seed);
        let second = Port { controller: 0, port: second };
        world.scene.plug(second, Model::Async(Speed::Full), seed + 1);
        world.scene.run_for(Time::ms(500));
        world.plug();
        world.scene.run_for(Time::ms(500));
        (world, second)
    }

    pub(super) fn ring(&mut self, bell: u16) {
        self.scene.ring(bell);
        self.scene.run_for(TURN);
    }

    /// Where the USB core says that the system is, how many devices are down, and
    /// how many alternate settings are owed.
    pub(super) fn power(&mut self) -> (SystemPower, u8, u8) {
        let audit = self.scene.audit().expect("all servers are up");
        let core = audit.usb_core;
        (core.system, core.suspended, core.owed)
    }

    /// The state of a port's link.
    pub(super) fn link(&mut self, port: Port) -> u32 {
        let mut board = self.scene.machine.board_mut();
        let Parts { fabric, controllers, .. } = &mut board.parts;
        let controller = &mut controllers[port.controller];
        // CAPLENGTH (5.3.1).
        let operational = controller.read(fabric, 0, Width::Word) & 0xFF;
        let at = operational + PORTSC + PORTS_APART * (u32::from(port.port.0) - 1);
        controller.read(fabric, at, Width::Word) >> 5 & 0xF
    }

    /// What the application core did so far.
    fn activity(&self) -> [u64; 5] {
        let stats = self.scene.machine.stats();
        [stats.wakeups, stats.interrupts, stats.ticks, stats.syscalls, stats.points]
    }

    /// Asserts that the application core does nothing at all for so long.
    #[track_caller]
    pub(super) fn assert_core_0_sleeps(&mut self, span: Time) {
        let before = self.activity();
        let packets = self.scene.packets();
        self.scene.run_for(span);
        assert_eq!(self.activity(), before, "seed {}", self.seed);
        assert!(!self.scene.machine.any_timer_armed(), "seed {}", self.seed);
        let played = self.scene.packets() - packets;
        assert!(played + 1 >= span.0 / 1_000_000, "seed {}: {played} packets", self.seed);
    }

    /// What a task noted in its ring buffers.
    pub(super) fn notes(&self, task: &str) -> String {
        let look = Look::at(&self.scene.machine);
        let rings = look.rings.iter().filter(|ring| ring.task == task);
        rings.map(|ring| format!("{:?}", ring.entries)).collect()
    }

    /// Asserts that a command was given up by the broker, for that reason.
    #[track_caller]
    pub(super) fn assert_route_ended(&mut self, sequence: u32, why: RouteEnding) {
        let failure = self.failure(sequence, Time::ms(1_000));
        let expected = ("offload_broker", player::ROUTE_ENDED + why as u32);
        assert_eq!(failure, expected, "seed {}", self.seed);
    }

    /// A mark, and a sound that plays for 100 ms by now, or for as long as the
    /// seed says.
    fn playing(&mut self, ms: u32) -> (Mark, u32) {
        let mark = self.scene.mark(self.port);
        let sequence = self.begin(&sound(ms), Path::Offload, 100);
        (mark, sequence)
    }
}

/// U3, U9, U12, U13, R14: who streams stays up, who does not goes down and comes up;
/// and for as long as the system sleeps the application core executes nothing.
#[test]
fn u3_u9_u12_a_stream_plays_on_while_the_system_and_an_idle_headset_sleep() {
    for seed in 0..12 {
        let (mut world, idle) = World::with_two(seed);
        let (mark, sequence) = world.playing(1_200);
        world.ring(bell::SUSPEND);
        assert_eq!(world.power(), (SystemPower::Suspended, 1, 0), "seed {seed}");
        assert_eq!((world.link(world.port), world.link(idle)), (U0, U3), "seed {seed}");
        world.assert_core_0_sleeps(Time::ms(500));
        world.ring(bell::RESUME);
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
        assert_eq!((world.link(world.port), world.link(idle)), (U0, U0), "seed {seed}");
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &sound(1_200), answer, "asleep and awake again");
        world.play(&sound(100), Path::Offload, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("asleep in mid-stream");
    }
}

/// A second order of the same kind changes nothing, and costs nothing.
#[test]
fn bells_that_ring_twice_are_one_order() {
    let mut world = World::with_headset(1);
    let (mark, sequence) = world.playing(600);
    for _ in 0..2 {
        world.ring(bell::SUSPEND);
        assert_eq!(world.power(), (SystemPower::Suspended, 0, 0));
    }
    for _ in 0..2 {
        world.ring(bell::RESUME);
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0));
    }
    assert_eq!(world.notes("power").matches("Done(").count(), 2, "{}", world.notes("power"));
    let answer = world.scene.wait(sequence, LIMIT);
    world.assert_exact(mark, &sound(600), answer, "rung twice");
    world.assert_at_rest("at the end");
}

/// R15: the end of a stream does not wait for the system: the DSP's disable is
/// answered and everything given back; the device hears of alternate 0 later,
/// and nobody holds it, so that it goes down late.
#[test]
fn a_disable_while_suspended_is_answered_at_once_and_its_alternate_0_is_paid_at_resume() {
    for seed in 0..12 {
        let mut world = World::with_headset(seed);
        let (mark, sequence) = world.playing(400);
        world.ring(bell::SUSPEND);
        let began = world.scene.now();
        let answer = world.scene.wait(sequence, LIMIT);
        assert!(answer.is_some_and(|a| a.state == PlayerState::Done as u32), "seed {seed}");
        // What was left to play, and the device's tail.
        assert!(world.scene.now() - began < Time::ms(450), "seed {seed}");
        world.assert_at_rest("it ended while the system slept");
        assert_eq!(world.power(), (SystemPower::Suspended, 1, 1), "seed {seed}");
        assert_eq!(world.link(world.port), U3, "seed {seed}");
        world.ring(bell::RESUME);
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
        world.assert_exact(mark, &sound(400), answer, "its end was slept through");
        world.play(&sound(100), Path::Offload, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a disable while suspended");
    }
}

/// R17, U10: nothing new begins, over the DSP or over the application core, and
/// who asks is told why.
#[test]
fn u10_an_enable_while_suspended_is_refused_with_its_own_code() {
    for seed in 0..8 {
        let mut world = World::with_headset(seed);
        world.scene.run_for(Time::ms(500));
        world.ring(bell::SUSPEND);
        let sequence = world.scene.order(&sound(100), Path::Offload);
        world.assert_route_ended(sequence, RouteEnding::Refused);
        let notes = world.notes("offload_broker");
        assert!(notes.contains("Refused(Suspended)"), "seed {seed}: {notes}");
        let sequence = world.scene.order(&sound(100), Path::Player);
        let failure = world.failure(sequence, LIMIT);
        assert_eq!(failure, ("usb_audio", UsbAudioError::Suspended as u32), "seed {seed}");
        assert_eq!(world.power(), (SystemPower::Suspended, 1, 0), "seed {seed}");
        world.assert_at_rest("refused");
        world.ring(bell::RESUME);
        world.play(&sound(100), Path::Offload, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("an enable while suspended");
    }
}

/// R13: a device that is pulled is withdrawn at any time; what is plugged in is
/// looked at when the system is awake.
#[test]
fn a_headset_pulled_while_suspended_is_taken_down_whole_and_the_next_waits_for_the_resume() {
    for seed in 0..12 {
        let (mut world, idle) = World::with_two(seed);
        let (_, sequence) = world.playing(2_000);
        world.ring(bell::SUSPEND);
        world.scene.unplug(if seed % 3 == 2 { idle } else { world.port });
        if seed % 3 == 2 {
            world.scene.run_for(Time::ms(50));
            world.scene.unplug(world.port);
        }
        world.assert_route_ended(sequence, RouteEnding::Revoked);
        world.assert_at_rest("pulled");
        let gone = if seed % 3 == 2 { 0 } else { 1 };
        assert_eq!(world.power(), (SystemPower::Suspended, gone, 0), "seed {seed}");
        world.plug();
        world.scene.run_for(Time::ms(500));
        assert_eq!(world.power(), (SystemPower::Suspended, gone, 0), "seed {seed}: not yet");
        world.ring(bell::RESUME);
        world.scene.run_for(Time::ms(500));
        world.play(&sound(100), Path::Offload, "another headset");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("pulled while suspended");
    }
}

/// The steps of rule 6 as the broker asks for them.
pub(super) const DOWN: [&str; 9] = [
    "CloseGate(",
    "Halt(",
    "Close(",
    "Disarm(",
    "UnmapPeer(",
    "Displace(",
    "RemoveInterrupter(",
    "CloseWindow(",
    "Unhold(",
];

/// U8, D-25: hibernation asks nobody. The session ends in the one order of rule 6,
/// as at any other end; the DSP is told that the device sleeps, and when it is
/// back.
#[test]
fn u8_d25_hibernation_ends_the_session_in_order_and_takes_every_device_down() {
    for seed in 0..12 {
        let (mut world, idle) = World::with_two(seed);
        let (_, sequence) = world.playing(2_000);
        // From awake, or deeper from a suspend.
        if seed % 2 == 1 {
            world.ring(bell::SUSPEND);
        }
        world.scene.ring(bell::HIBERNATE);
        world.assert_route_ended(sequence, RouteEnding::Suspended);
        world.scene.run_for(TURN);
        let notes = world.notes("offload_broker");
        let steps = DOWN.map(|step| notes.find(step));
        assert!(steps.iter().all(Option::is_some) && steps.is_sorted(), "seed {seed}: {notes}");
        assert_eq!(world.power(), (SystemPower::Suspended, 2, 1), "seed {seed}");
        assert_eq!((world.link(world.port), world.link(idle)), (U3, U3), "seed {seed}");
        world.assert_at_rest("hibernating");
        world.ring(bell::RESUME);
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
        let notes = world.notes("dsp-program");
        let told = ["Streaming(", "Suspended {", "Released(", "Resumed {"].map(|s| notes.find(s));
        assert!(told.iter().all(Option::is_some) && told.is_sorted(), "seed {seed}: {notes}");
        assert!(!notes.contains("Disconnect {"), "seed {seed}: {notes}");
        world.play(&sound(100), Path::Offload, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("hibernated in mid-stream");
    }
}

/// U4: one that cannot go down has all stay up, and whoever looks in sees why.
/// Whoever ordered it can order it again.
#[test]
fn u4_a_headset_that_cannot_go_down_has_the_system_stay_awake() {
    for seed in 0..6 {
        // Its link does not get into U3; the driver gives it 40 ms.
        let stuck = Personality { suspend: Time::ms(60_000), ..roomy(seed, 2) };
        let (mut world, _) = World::with_two_on(stuck, seed);
        let (mark, sequence) = world.playing(1_000);
        for times in 1..3 {
            world.ring(bell::SUSPEND);
            world.scene.run_for(TURN);
            assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
            let failed = world.notes("power").matches("Failed(Suspend, TimedOut)").count();
            assert_eq!(failed, times, "seed {seed}: {}", world.notes("power"));
        }
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &sound(1_000), answer, "it could not be suspended");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a suspend that failed");
    }
}

/// A stream of the application core's stands still, loses nothing of its order,
/// and goes on.
#[test]
fn a_stream_of_the_application_core_waits_for_the_resume() {
    for seed in 0..6 {
        let mut world = World::with_headset(seed);
        let sequence = world.begin(&sound(600), Path::Player, 100);
        world.ring(bell::SUSPEND);
        assert_eq!(world.power().0, SystemPower::Suspended, "seed {seed}");
        let packets = world.scene.packets();
        world.scene.run_for(Time::ms(300));
        assert_eq!(world.scene.packets(), packets, "seed {seed}");
        assert_eq!(world.scene.answer(sequence), None, "seed {seed}");
        world.ring(bell::RESUME);
        let answer = world.scene.wait(sequence, LIMIT);
        assert!(answer.is_some_and(|a| a.state == PlayerState::Done as u32), "{answer:?}");
        world.assert_at_rest("at the end");
        world.play(&sound(100), Path::Player, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("asleep on the host path");
    }
}

/// A suspended device that may signal wakes the system.
#[test]
fn a_button_on_a_sleeping_headset_wakes_the_system() {
    for seed in 0..6 {
        let mut world = World::new(seed);
        world.scene.plug(world.port, Model::Capture, seed);
        world.scene.run_for(Time::ms(500));
        world.ring(bell::SUSPEND);
        assert_eq!(world.power(), (SystemPower::Suspended, 1, 0), "seed {seed}");
        {
            let port = world.port;
            let mut board = world.scene.machine.board_mut();
            let Parts { fabric, controllers, .. } = &mut board.parts;
            controllers[port.controller].wake_up(fabric, port.port);
        }
        world.scene.run_for(TURN);
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
        assert!(world.notes("power").contains("Woken"), "seed {seed}: {}", world.notes("power"));
        world.play(&sound(100), Path::Offload, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("woken by a device");
    }
}

/// R14: at whatever moment the bells ring, from before the enumeration to after
/// the end.
#[test]
fn r14_orders_at_any_moment_of_enable_stream_and_disable_leave_nothing_behind() {
    for seed in 0..60 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed ^ 0x51EE);
        let sequence = world.scene.order(&sound(120), Path::Offload);
        let deep = rng.one_in(3);
        for (n, longest) in [900_000, 200_000, 300_000, 100_000].into_iter().enumerate() {
            world.scene.run_for(Time::us(rng.range(0, longest).into()));
            let down = if deep { bell::HIBERNATE } else { bell::SUSPEND };
            world.scene.ring(if n % 2 == 0 { down } else { bell::RESUME });
        }
        let answer = world.scene.wait(sequence, LIMIT);
        assert!(answer.is_some(), "seed {seed}: the player is told nothing");
        world.assert_at_rest("awake again");
        assert_eq!(world.power().0, SystemPower::Awake, "seed {seed}");
        assert_eq!(world.power().2, 0, "seed {seed}");
        world.play(&sound(80), Path::Offload, "awake again");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("orders at any moment");
    }
}

/// Rule 9: a task of which nothing plays dies in the middle, or asleep. Its next
/// life does not know what it was told meanwhile, and wakes the system up.
#[test]
fn whoever_orders_dies_at_any_moment_and_the_stream_plays_on() {
    for seed in 0..24 {
        let (mut world, _) = World::with_two(seed);
        let (mark, sequence) = world.playing(900);
        world.scene.ring(bell::SUSPEND);
        // While it goes down, asleep, or while it comes up.
        let late = seed % 3 != 0;
        if late {
            world.scene.run_for(TURN);
        }
        if seed % 3 == 2 {
            world.scene.ring(bell::RESUME);
        }
        world.scene.run_for(Time::us(Rng::new(seed).range(0, 40_000).into()));
        world.scene.kill("power");
        world.scene.run_for(TURN + TURN);
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &sound(900), answer, "the one who orders died");
        world.ring(bell::SUSPEND);
        assert_eq!(world.power(), (SystemPower::Suspended, 2, 0), "seed {seed}");
        world.ring(bell::RESUME);
        world.play(&sound(80), Path::Offload, "and again");
        world.assert_at_rest("at the end");
    }
}

/// The USB core's next life begins awake; it is asked for what stands.
#[test]
fn the_order_stands_when_the_usb_core_dies_at_any_moment() {
    for seed in 0..24 {
        let mut world = World::with_headset(seed);
        let (_, sequence) = world.playing(2_000);
        world.scene.ring(bell::SUSPEND);
        if seed % 2 == 1 {
            world.scene.run_for(TURN);
        }
        world.scene.run_for(Time::us(Rng::new(seed).range(0, 40_000).into()));
        world.scene.kill("usb_core");
        assert!(world.scene.wait(sequence, LIMIT).is_some(), "seed {seed}: told nothing");
        world.scene.run_for(Time::ms(500));
        assert_eq!(world.power().0, SystemPower::Suspended, "seed {seed}");
        let audit = world.scene.audit().expect("all servers are up");
        assert_eq!(audit.leaks(), Leaks::default(), "seed {seed}");
        world.ring(bell::RESUME);
        world.scene.run_for(Time::ms(1_000));
        world.play(&sound(80), Path::Offload, "awake");
        world.assert_at_rest("at the end");
    }
}

/// Rule 9: a suspend that waits for a session's end is its client's, and so is the port
/// meanwhile. When that one dies the port is its successor's, who has the headset again.
#[test]
fn a_suspend_that_waits_is_over_when_the_usb_core_dies() {
    for seed in 0..8 {
        let mut world = World::with_headset(seed);
        let (_, sequence) = world.playing(2_000);
        // Nobody lets go of the stream before the driver takes it.
        world.scene.starve_program(Time::ms(15_000));
        world.scene.ring(bell::HIBERNATE);
        world.scene.run_for(Time::us(Rng::new(seed).range(500, 40_000).into()));
        world.scene.kill("usb_core");
        world.ring(bell::RESUME);
        world.scene.run_for(Time::ms(16_000));
        assert!(world.scene.answer(sequence).is_some(), "seed {seed}: told nothing");
        world.play(&sound(80), Path::Offload, "awake");
        world.assert_at_rest("at the end");
    }
}
