//! Headsets behind hubs (U9): they play, are pulled with and without their hubs,
//! and keep those awake that are above them.

use crate::reset::{start_reset, until_over};
use crate::sleep::{DOWN, U0, U3};
use crate::world::{LIMIT, World, roomy, sound};
use dsp_abi::bell;
use dsp_abi::media::{Path, PlayerState};
use fabric::{Rng, Time};
use offload_broker_api::RouteEnding;
use system::board::Parts;
use system::scene::{Port, Socket};
use usb_core_api::SystemPower;
use usb_model::Speed::{self, Full, High};
use usb_model::headset::{Model, headset};
use usb_model::{Hub, UsbDevice};
use xhc::{Personality, Place, Route};

/// Hubs one behind the other, and the headset behind the last one: a translator, no
/// translator, two hubs, a slow hub behind a fast one.
const CHAINS: [(&[Speed], Model); 6] = [
    (&[High], Model::Sync),
    (&[High], Model::Async(High)),
    (&[Full], Model::Sync),
    (&[High, High], Model::Async(Full)),
    (&[High, Full], Model::Sync),
    (&[High, High], Model::Async(High)),
];

/// For a hub and a headset to be there, and a hub behind a hub.
const ARRIVAL: Time = Time::ms(1_500);
/// What a hub takes to tell of a change at its ports: it is asked every 256 ms.
const TOLD: Time = Time::ms(300);

impl World {
    /// Hubs and a headset behind them.
    fn behind(speeds: &[Speed], model: Model, seed: u64) -> Self {
        let mut world = Self::of_hubs(roomy(seed, 2), seed);
        world.plug_hubs(speeds, model);
        world.scene.run_for(ARRIVAL);
        world
    }

    fn plug_hubs(&mut self, speeds: &[Speed], model: Model) {
        self.route = Route::ROOT;
        let mut rng = Rng::new(self.seed);
        for &speed in speeds {
            self.scene.plug_at(self.socket(), Box::new(Hub::new(speed, 4)));
            self.scene.run_for(Time::us(1));
            self.route = self.route.through(rng.range(1, 4) as u8);
        }
        self.scene.plug_at(self.socket(), headset(model, self.seed));
    }

    /// Whether the port that something is plugged into is suspended.
    fn is_suspended(&mut self, at: Socket) -> bool {
        let mut board = self.scene.machine.board_mut();
        let now = board.parts.fabric.now();
        let place = Place { port: at.port.port, route: at.route };
        board.parts.controllers[at.port.controller].is_suspended_at(now, place)
    }

    /// The socket of the hub that so many others are above.
    fn hub(&self, tier: usize) -> Socket {
        let ports = self.route.ports().take(tier);
        let route = ports.fold(Route::ROOT, |route, port| route.through(port));
        Socket { port: self.port, route }
    }
}

/// U9: what is above a stream stays up for it.
#[test]
fn u9_a_headset_behind_hubs_plays_exactly_while_core_0_sleeps() {
    for (seed, (speeds, model)) in (0..24).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, model, seed);
        world.play(&sound(100), Path::Player, "the application core plays");
        let mark = world.scene.mark(world.socket());
        let sequence = world.begin(&sound(900), Path::Offload, 100);
        // The hubs' pipes are armed, and silent.
        world.assert_core_0_sleeps(Time::ms(600));
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &sound(900), answer, "behind hubs");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("behind hubs");
    }
}

#[test]
fn a_headset_pulled_from_its_hub_while_it_plays_is_taken_down_whole() {
    for (seed, (speeds, model)) in (0..18).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, model, seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, u64::from(rng.range(0, 400)));
        let at = world.socket();
        world.scene.unplug_at(at);
        world.assert_route_ended(sequence, RouteEnding::Revoked);
        world.assert_down_in_order();
        world.assert_at_rest("pulled from its hub");
        world.scene.plug_at(at, headset(model, seed));
        world.play(&sound(150), Path::Offload, "it is back");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("pulled from its hub");
    }
}

/// U9: what is above a stream takes it along when it goes: the hub next to the
/// controller, or the one next to the headset.
#[test]
fn u9_a_hub_pulled_while_a_headset_behind_it_plays_takes_it_along() {
    for (seed, (speeds, model)) in (0..18).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, model, seed);
        let mut rng = Rng::new(seed);
        let tier = if seed % 2 == 0 { 0 } else { speeds.len() - 1 };
        let sequence = world.begin(&sound(2_000), Path::Offload, u64::from(rng.range(0, 400)));
        let at = world.hub(tier);
        world.scene.unplug_at(at);
        world.assert_route_ended(sequence, RouteEnding::Revoked);
        world.assert_down_in_order();
        world.assert_at_rest("its hub was pulled");
        // With all that was below it.
        let hub = world.scene.pulled().pop().expect("it was pulled");
        world.scene.plug_at(at, hub);
        world.play(&sound(150), Path::Offload, "the hub is back");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("its hub was pulled");
    }
}

/// At any moment of enumeration, enable, stream and disable, at the hub or with it.
#[test]
fn a_headset_or_its_hub_pulled_at_any_moment_leaves_nothing_behind() {
    for (seed, (speeds, model)) in (0..60).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::of_hubs(roomy(seed, 2), seed);
        world.plug_hubs(speeds, model);
        let mut rng = Rng::new(seed ^ 0xDEAD);
        let sequence = world.scene.order(&sound(120), Path::Offload);
        let at = Time::us(u64::from(rng.range(0, 2_000_000)));
        world.scene.run_for(at);
        let tier = rng.range(0, speeds.len() as u32) as usize;
        let socket = world.hub(tier);
        world.scene.unplug_at(socket);
        world.scene.run_for(TOLD);
        let why = format!("pulled at {at:?}");
        world.assert_at_rest(&why);
        let pulled: Box<dyn UsbDevice> = world.scene.pulled().pop().expect("it was pulled");
        let over = world.scene.answer(sequence).is_some();
        world.scene.plug_at(socket, pulled);
        if !over {
            // The command waited for a headset; here one is.
            let answer = world.scene.wait(sequence, LIMIT);
            let done = answer.is_some_and(|answer| answer.state == PlayerState::Done as u32);
            assert!(done, "seed {seed}, {why}: {answer:?}");
        }
        world.play(&sound(80), Path::Offload, &format!("replugged, {why}"));
        world.assert_at_rest("at the end");
        world.assert_nobody_died("pulled at any moment");
    }
}

/// U9: whatever is above a device that streams stays up, its pipe armed;
/// an idle hub beside it, and what is behind that, sleep.
#[test]
fn u9_hubs_above_a_stream_stay_up_while_the_system_and_an_idle_hub_sleep() {
    for (seed, (speeds, model)) in (0..12).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::of_hubs(roomy(seed, 2), seed);
        let beside = second(&world);
        let idle = Socket { route: Route::ROOT.through(2), ..beside };
        world.scene.plug_at(beside, Box::new(Hub::new(High, 4)));
        world.scene.run_for(Time::us(1));
        world.scene.plug_at(idle, headset(Model::Sync, seed + 1));
        // Before it goes down by itself.
        world.scene.run_for(Time::ms(700));
        world.plug_hubs(speeds, model);
        world.scene.run_for(Time::ms(1_000));
        let mark = world.scene.mark(world.socket());
        let sequence = world.begin(&sound(1_900), Path::Offload, 100);
        world.ring(bell::SUSPEND);
        world.scene.run_for(Time::ms(60));
        // The idle hub, and the headset behind it.
        assert_eq!(world.power(), (SystemPower::Suspended, 2, 0), "seed {seed}");
        assert_eq!((world.link(world.port), world.link(beside.port)), (U0, U3), "seed {seed}");
        for tier in 0..=speeds.len() {
            let at = world.hub(tier);
            assert!(!world.is_suspended(at), "seed {seed}, tier {tier}");
        }
        assert!(world.is_suspended(idle), "seed {seed}");
        world.assert_core_0_sleeps(Time::ms(500));
        world.ring(bell::RESUME);
        world.scene.run_for(Time::ms(100));
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
        assert!(!world.is_suspended(idle), "seed {seed}");
        let answer = world.scene.wait(sequence, LIMIT);
        world.assert_exact(mark, &sound(1_900), answer, "asleep and awake again");
        world.play(&sound(100), Path::Offload, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("asleep behind hubs");
    }
}

/// Issue 5: port changes wake. What is pulled from a hub that stayed up is gone at
/// once, while the system sleeps, and the hub goes down late.
#[test]
fn u9_a_headset_pulled_from_its_hub_while_the_system_sleeps_lets_the_hub_sleep_too() {
    for (seed, (speeds, model)) in (0..12).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, model, seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, 100);
        world.ring(bell::SUSPEND);
        assert_eq!(world.power(), (SystemPower::Suspended, 0, 0), "seed {seed}");
        let at = world.socket();
        world.scene.unplug_at(at);
        world.assert_route_ended(sequence, RouteEnding::Revoked);
        world.assert_at_rest("pulled");
        let hubs = speeds.len() as u8;
        assert_eq!(world.power(), (SystemPower::Suspended, hubs, 0), "seed {seed}");
        assert_eq!(world.link(world.port), U3, "seed {seed}");
        world.scene.plug_at(at, headset(model, seed));
        world.scene.run_for(Time::ms(500));
        world.ring(bell::RESUME);
        world.scene.run_for(ARRIVAL);
        world.play(&sound(100), Path::Offload, "another headset");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("pulled while suspended");
    }
}

/// U8: hibernation takes everything down, what is furthest first.
#[test]
fn u8_hibernation_takes_a_headset_and_the_hubs_above_it_down() {
    for (seed, (speeds, model)) in (0..12).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, model, seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, 100);
        world.scene.ring(bell::HIBERNATE);
        world.assert_route_ended(sequence, RouteEnding::Suspended);
        world.scene.run_for(Time::ms(200));
        world.assert_down_in_order();
        let all = speeds.len() as u8 + 1;
        let (system, asleep, _) = world.power();
        assert_eq!((system, asleep), (SystemPower::Suspended, all), "seed {seed}");
        world.assert_at_rest("hibernating");
        world.ring(bell::RESUME);
        world.scene.run_for(Time::ms(300));
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
        world.play(&sound(100), Path::Offload, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("hibernated behind hubs");
    }
}

/// U9: port changes wake, behind hubs as well. A button on a headset that sleeps
/// behind a hub that sleeps.
#[test]
fn u9_a_button_behind_sleeping_hubs_wakes_the_system() {
    for (seed, (speeds, _)) in (0..12).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, Model::Capture, seed);
        world.ring(bell::SUSPEND);
        world.scene.run_for(Time::ms(100));
        let all = speeds.len() as u8 + 1;
        assert_eq!(world.power(), (SystemPower::Suspended, all, 0), "seed {seed}");
        {
            let place = Place { port: world.port.port, route: world.route };
            let mut board = world.scene.machine.board_mut();
            let Parts { fabric, controllers, .. } = &mut board.parts;
            assert!(controllers[0].wake_up_at(fabric, place), "seed {seed}");
        }
        world.scene.run_for(Time::ms(600));
        assert_eq!(world.power(), (SystemPower::Awake, 0, 0), "seed {seed}");
        assert!(world.notes("power").contains("Woken"), "seed {seed}: {}", world.notes("power"));
        world.play(&sound(100), Path::Offload, "awake");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("woken from behind hubs");
    }
}

/// R33: a device behind a hub is reset by its hub.
#[test]
fn a_headset_behind_a_hub_that_is_reset_while_it_plays_plays_the_next_sound_exactly() {
    for (seed, (speeds, model)) in (0..12).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, model, seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, u64::from(rng.range(0, 400)));
        let ticket = start_reset(&mut world);
        world.assert_route_ended(sequence, RouteEnding::Revoked);
        until_over(&mut world, ticket);
        world.play(&sound(150), Path::Offload, "after the reset");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a reset behind hubs");
    }
}

/// U6: nobody wants anything: the headset goes down, then what is above it; the next
/// sound wakes all of it.
#[test]
fn u6_an_idle_headset_and_the_hubs_above_it_go_down_by_themselves() {
    for (seed, (speeds, model)) in (0..12).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, model, seed);
        world.scene.run_for(Time::ms(7_500));
        let all = speeds.len() as u8 + 1;
        assert_eq!(world.power(), (SystemPower::Awake, all, 0), "seed {seed}");
        assert_eq!(world.link(world.port), U3, "seed {seed}");
        world.play(&sound(100), Path::Offload, "woken");
        world.assert_at_rest("at the end");
        // What is plugged in while the hubs sleep is found.
        world.scene.run_for(Time::ms(7_500));
        let at = world.socket();
        world.scene.unplug_at(at);
        world.scene.run_for(Time::ms(600));
        world.scene.plug_at(at, headset(model, seed));
        world.play(&sound(100), Path::Offload, "plugged in while they slept");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("idle behind hubs");
    }
}

/// Rule 9: whoever serves the hubs may die at any instruction.
#[test]
fn usb_core_dies_and_what_is_behind_hubs_comes_back() {
    for (seed, (speeds, model)) in (0..18).zip(CHAINS.into_iter().cycle()) {
        let mut world = World::behind(speeds, model, seed);
        let mut rng = Rng::new(seed);
        let playing = seed % 2 == 0;
        if playing {
            world.begin(&sound(300), Path::Offload, u64::from(rng.range(0, 250)));
        } else {
            world.scene.run_for(Time::us(u64::from(rng.range(0, 900_000))));
        }
        world.scene.kill(if seed % 6 == 5 { "xhci" } else { "usb_core" });
        world.scene.run_for(Time::ms(3_000));
        world.play(&sound(100), Path::Offload, "it died");
        world.assert_at_rest("it died");
    }
}

/// A hub without the feature is a device like any other, and noted.
#[test]
fn the_image_without_hubs_leaves_a_hub_alone() {
    let mut world = World::with(roomy(1, 2), 1);
    let hub = Socket::from(world.port);
    world.scene.plug_at(hub, Box::new(Hub::new(High, 4)));
    world.scene.run_for(Time::us(1));
    let behind = Socket { route: Route::ROOT.through(1), ..hub };
    world.scene.plug_at(behind, headset(Model::Sync, 1));
    world.scene.run_for(ARRIVAL);
    let audit = world.scene.audit().expect("all servers are up");
    assert_eq!(audit.usb_core.devices, 1, "the hub, and nobody behind it");
    assert!(world.notes("usb_core").contains("Unserved"), "{}", world.notes("usb_core"));
    let beside = second(&world);
    world.scene.plug(beside.port, Model::Sync, 1);
    world.scene.run_for(ARRIVAL);
    let mark = world.scene.mark(beside);
    let sequence = world.scene.order(&sound(100), Path::Offload);
    let answer = world.scene.wait(sequence, LIMIT);
    world.route = Route::ROOT;
    world.port = beside.port;
    world.assert_exact(mark, &sound(100), answer, "beside it");
    world.assert_at_rest("at the end");
}

/// The other port of a world's controller.
fn second(world: &World) -> Socket {
    let personality: &Personality = &roomy(world.seed, 2);
    let port = personality.usb2_port(1).expect("it has two");
    Socket::from(Port { controller: 0, port })
}

impl World {
    /// Asserts that the broker took its session down in the one order of rule 6.
    #[track_caller]
    fn assert_down_in_order(&self) {
        let notes = self.notes("offload_broker");
        let mut at = 0;
        for step in DOWN {
            // What a device that is gone cannot do any more is left out.
            if let Some(found) = notes.find(step) {
                assert!(at <= found, "seed {}: {step} in {notes}", self.seed);
                at = found;
            }
        }
        assert!(at > 0, "seed {}: {notes}", self.seed);
    }
}
