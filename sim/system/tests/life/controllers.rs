//! Two controllers, and a headset on each: what befalls one is not the other's
//! business.

use crate::world::{LIMIT, MODELS, World, route, sound};
use dsp_abi::bell;
use dsp_abi::media::Path;
use fabric::{IntId, Rng, Time};
use judge::sound::Sound;
use offload_broker_api::{RouteEnding, RouteHandle, RouteState};
use system::scene::{Mark, Port};
use usb_types::Direction;
use xhc::Death;

/// The drivers, by controller.
const DRIVERS: [&str; 2] = ["xhci", "xhci1"];

/// Whose sound it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Client {
    Player(u32),
    Other(RouteHandle),
}

/// One headset, and the sound that is on its way to it.
struct Stream {
    port: Port,
    mark: Mark,
    client: Client,
}

/// A sound on a headset of each controller; the first one's is as long as the other
/// one takes to begin and to end. Index 0 is the first controller's.
struct Both {
    world: World,
    streams: [Stream; 2],
    music: Sound,
}

impl Both {
    /// Begins both; the seed says at which controller first.
    fn begin(seed: u64, ms: u32) -> Self {
        let (mut world, ports) = World::with_two_controllers(seed);
        let music = sound(ms);
        let first = (seed % 2) as usize;
        let plug = |world: &mut World, n: usize| {
            let model = MODELS[((seed + n as u64) % MODELS.len() as u64) as usize];
            world.scene.plug(ports[n], model, seed + n as u64);
        };
        plug(&mut world, first);
        world.scene.run_for(Time::ms(450));
        let mark = world.scene.mark(ports[first]);
        let sequence = world.begin(&music, Path::Offload, 20);
        let one = Stream { port: ports[first], mark, client: Client::Player(sequence) };
        plug(&mut world, 1 - first);
        world.scene.run_for(Time::ms(450));
        // The same PCM, to the newest headset, for another client.
        let mark = world.scene.mark(ports[1 - first]);
        let before = world.scene.packets();
        let handle = world.start_route(route(Direction::Out, music.frames()));
        let handle = handle.unwrap_or_else(|refused| panic!("seed {seed}: {refused:?}"));
        let two = Stream { port: ports[1 - first], mark, client: Client::Other(handle) };
        world.scene.run_for(Time::ms(100));
        assert!(world.scene.packets() > before, "seed {seed}");
        let streams = if first == 0 { [one, two] } else { [two, one] };
        let both = Self { world, streams, music };
        for n in 0..2 {
            assert!(both.packets(n) > 0, "seed {seed}: nothing is sent at controller {n}");
        }
        both
    }

    /// Packets that went over the wire of a controller.
    fn packets(&self, n: usize) -> usize {
        let board = self.world.scene.machine.board();
        board.parts.controllers[n].wire().log().packets().len()
    }

    /// The sound at controller `n` is played to its end, bit for bit.
    #[track_caller]
    fn assert_exact(&mut self, n: usize, why: &str) {
        let Stream { port, mark, client } = self.streams[n];
        let (seed, world) = (self.world.seed, &mut self.world);
        match client {
            Client::Player(sequence) => {
                world.port = port;
                let answer = world.scene.wait(sequence, LIMIT);
                world.assert_exact(mark, &self.music, answer, why);
            }
            Client::Other(handle) => {
                let frames = self.music.frames();
                let ended = world.end_route(handle, LIMIT);
                assert_eq!(ended, RouteState::Played { frames, underruns: 0 }, "{seed}, {why}");
                world.scene.run_for(Time::ms(300));
                let verdict = world.scene.judge(port, mark, &self.music);
                assert!(verdict.is_right(), "seed {seed}, {why}: {verdict:?}");
            }
        }
    }

    /// The sound at controller `n` was broken off, and who wanted it is told.
    #[track_caller]
    fn assert_revoked(&mut self, n: usize, why: &str) {
        let (seed, world) = (self.world.seed, &mut self.world);
        match self.streams[n].client {
            Client::Player(sequence) => {
                let revoked = player::ROUTE_ENDED + RouteEnding::Revoked as u32;
                let failed = world.failure(sequence, LIMIT);
                assert_eq!(failed, ("offload_broker", revoked), "seed {seed}, {why}");
            }
            Client::Other(handle) => {
                let ended = world.end_route(handle, LIMIT);
                let revoked = RouteEnding::Revoked;
                let is_revoked = matches!(ended, RouteState::Ended { why, .. } if why == revoked);
                assert!(is_revoked, "seed {seed}, {why}: {ended:?}");
            }
        }
    }

    /// The next sound at controller `n`, whose headset came last, is exact, and in
    /// the end nobody has anything.
    #[track_caller]
    fn assert_next(&mut self, n: usize, why: &str) {
        self.world.port = self.streams[n].port;
        self.world.play(&sound(150), Path::Offload, &format!("the next one, {why}"));
        self.world.assert_at_rest(why);
    }
}

/// R21, D-4: two drivers, two event rings, two interrupters of the same number; and
/// nobody looks for anything while both stream (rule 7).
#[test]
fn r21_headsets_of_two_controllers_play_at_once_and_the_application_core_sleeps() {
    for seed in 0..12 {
        let mut both = Both::begin(seed, 1_500);
        let calls = |both: &Both| -> u64 {
            both.world.scene.machine.stats().tasks.iter().map(|task| task.syscalls).sum()
        };
        let (before, sent) = (calls(&both), [both.packets(0), both.packets(1)]);
        both.world.scene.run_for(Time::ms(300));
        assert_eq!(calls(&both), before, "seed {seed}");
        assert!(!both.world.scene.machine.any_timer_armed(), "seed {seed}");
        for (n, sent) in sent.into_iter().enumerate() {
            assert!(both.packets(n) > sent + 200, "seed {seed}: controller {n} streams");
        }
        both.assert_exact(0, "both play");
        both.assert_exact(1, "both play");
        both.world.assert_at_rest("both play");
        both.world.assert_nobody_died("both play");
    }
}

/// D-26: the headset of one is pulled, at any time.
#[test]
fn r21_headset_pulled_at_one_controller_leaves_the_stream_at_the_other_alone() {
    for seed in 0..12 {
        let mut both = Both::begin(seed, 1_200);
        let pulled = (seed / 2 % 2) as usize;
        both.world.scene.run_for(Time::ms(u64::from(Rng::new(seed).range(0, 200))));
        let port = both.streams[pulled].port;
        both.world.scene.unplug(port);
        both.assert_exact(1 - pulled, "the other headset was pulled");
        both.assert_revoked(pulled, "it was pulled");
        both.world.scene.plug(port, MODELS[0], seed);
        both.world.scene.run_for(Time::ms(450));
        both.assert_next(pulled, "after it was pulled");
        both.world.assert_nobody_died("one of two pulled");
    }
}

/// R21: a driver dies, at any time (rule 9). Its controller plays nothing any more, and
/// is reset; the other one plays on.
#[test]
fn r21_driver_that_dies_leaves_the_other_controller_alone() {
    for seed in 0..16 {
        let mut both = Both::begin(seed, 1_200);
        let dead = (seed / 2 % 2) as usize;
        both.world.scene.run_for(Time::us(u64::from(Rng::new(seed).range(0, 200_000))));
        both.world.scene.kill(DRIVERS[dead]);
        let why = format!("{} died", DRIVERS[dead]);
        both.assert_exact(1 - dead, &why);
        both.assert_revoked(dead, &why);
        both.assert_next(dead, &why);
        let stats = both.world.scene.machine.stats();
        let died: Vec<_> = stats.tasks.iter().filter(|task| task.faults > 0).collect();
        assert_eq!(died.len(), 1, "seed {seed}: {died:?}");
    }
}

/// R21: a controller fails, without a word and with one.
#[test]
fn r21_controller_that_fails_leaves_the_other_alone() {
    let primaries = [bell::CONTROLLER0_PRIMARY, bell::CONTROLLER1_PRIMARY];
    for seed in 0..16 {
        let mut both = Both::begin(seed, 1_500);
        let dead = (seed / 2 % 2) as usize;
        let death = [Death::ControllerError, Death::HostError][(seed / 4 % 2) as usize];
        let word = seed / 8 == 0;
        {
            let board = &mut *both.world.scene.machine.board_mut();
            board.parts.controllers[dead].kill(&mut board.parts.fabric, death);
            if word {
                board.parts.fabric.raise(IntId(primaries[dead]));
            }
        }
        let why = format!("controller {dead}: {death:?}, told {word}");
        both.assert_exact(1 - dead, &why);
        both.assert_revoked(dead, &why);
        both.assert_next(dead, &why);
        both.world.assert_nobody_died(&why);
    }
}
