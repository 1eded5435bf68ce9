//! What the stories share: a machine, a headset, what must be so at rest.

use dsp_abi::media::{Answer, Path, PlayerState};
use fabric::Time;
use judge::report::Leaks;
use judge::sound::Sound;
use offload_broker_api::{BrokerError, OffloadBroker, RouteHandle, RouteRequest, RouteState};
use std::sync::OnceLock;
use system::auditor::OFFLOAD_BROKER;
use system::image::Description;
use system::piece::piece;
use system::scene::{Beginning, Port, Scene, Socket};
use usb_audio_api::SampleFormat;
use usb_model::headset::{Model, headset};
use usb_model::{Speed, Take};
use usb_types::Direction;
use xhc::{Personality, Route};

/// How long anything may take.
pub(crate) const LIMIT: Time = Time::ms(4_000);
/// Time in which everything that is owed must be given back.
pub(crate) const REST: Time = Time::ms(600);

/// The headsets that the stories are told with.
pub(crate) const MODELS: [Model; 3] =
    [Model::Sync, Model::Async(Speed::Full), Model::Async(Speed::High)];

/// The project's image.
pub(crate) fn image() -> &'static Description {
    static IMAGE: OnceLock<&'static Description> = OnceLock::new();
    IMAGE.get_or_init(|| load("app.toml"))
}

/// The same with a second controller.
pub(crate) fn image_with_two() -> &'static Description {
    static IMAGE: OnceLock<&'static Description> = OnceLock::new();
    IMAGE.get_or_init(|| load("app-two.toml"))
}

fn load(name: &str) -> &'static Description {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    Description::load(&path.join(name)).expect("the image keeps every rule")
}

/// A machine, and one port of it.
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) port: Port,
    /// The way from there to the world's headset.
    pub(crate) route: Route,
    pub(crate) seed: u64,
    description: &'static Description,
    /// Faults of the SMMU that the story accounts for.
    faults: u64,
    /// Violations that the story accounts for.
    violations: u64,
}

impl World {
    /// The machine of that seed, with nothing plugged in.
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(Personality::seeded(seed), seed)
    }

    /// A machine with that controller.
    pub(crate) fn with(personality: Personality, seed: u64) -> Self {
        Self::with_program(personality, seed, || program::main(&program::core::Simulated))
    }

    /// A machine with two controllers, each with a port for a headset.
    pub(crate) fn with_two_controllers(seed: u64) -> (Self, [Port; 2]) {
        // As the scene seeds the second one.
        let personalities = [Personality::seeded(seed), Personality::seeded(seed + 1)];
        let port = |n: usize| Port {
            controller: n,
            port: personalities[n].usb2_port(0).expect("every controller has one"),
        };
        let ports = [port(0), port(1)];
        let [first, _] = personalities;
        let program = || program::main(&program::core::Simulated);
        (Self::over(image_with_two(), first, seed, program), ports)
    }

    /// The same with another program on the DSP than the project's.
    pub(crate) fn with_program(
        personality: Personality,
        seed: u64,
        program: impl Fn() + 'static,
    ) -> Self {
        Self::over(image(), personality, seed, program)
    }

    fn over(
        description: &'static Description,
        personality: Personality,
        seed: u64,
        program: impl Fn() + 'static,
    ) -> Self {
        let first = personality.usb2_port(0).expect("every controller has one");
        let beginning = Beginning {
            description,
            personality,
            room: sound(LONGEST).pcm.len(),
            deeds: Vec::new(),
            seed,
        };
        let scene = Scene::power_on_with(beginning, program, |_| {});
        let port = Port { controller: 0, port: first };
        let route = Route::ROOT;
        Self { scene, port, route, seed, description, faults: 0, violations: 0 }
    }

    /// A machine of an image with hubs, on which nothing is plugged in.
    pub(crate) fn of_hubs(personality: Personality, seed: u64) -> Self {
        static IMAGE: OnceLock<&'static Description> = OnceLock::new();
        let description = IMAGE.get_or_init(|| load("app-hubs.toml"));
        let program = || program::main(&program::core::Simulated);
        Self::over(description, personality, seed, program)
    }

    /// Where the world's headset is plugged in.
    pub(crate) fn socket(&self) -> Socket {
        Socket { port: self.port, route: self.route }
    }

    /// The machine of that seed with a headset at its port.
    pub(crate) fn with_headset(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.plug();
        world
    }

    /// Plugs the seed's headset in.
    pub(crate) fn plug(&mut self) {
        let model = MODELS[(self.seed % MODELS.len() as u64) as usize];
        self.scene.plug_at(self.socket(), headset(model, self.seed));
    }

    /// Begins a sound and lets it play for `ms` milliseconds from its first
    /// packet on; the command's sequence.
    pub(crate) fn begin(&mut self, sound: &Sound, path: Path, ms: u64) -> u32 {
        let before = self.scene.packets();
        let sequence = self.scene.order(sound, path);
        let mut last = 0;
        self.scene.run_while(LIMIT, |parts| {
            let packets = parts.controllers.iter().map(|it| it.wire().log().packets().len() as u64);
            last = packets.sum();
            last == before
        });
        assert!(
            last > before,
            "seed {}: the stream began: {:?}",
            self.seed,
            self.scene.answer(sequence)
        );
        self.scene.run_for(Time::ms(ms));
        sequence
    }

    /// Plays a sound from its beginning to its end and asserts that the headset
    /// got it bit for bit.
    #[track_caller]
    pub(crate) fn play(&mut self, sound: &Sound, path: Path, why: &str) {
        let mark = self.scene.mark(self.socket());
        let sequence = self.scene.order(sound, path);
        let answer = self.scene.wait(sequence, LIMIT);
        self.assert_exact(mark, sound, answer, why);
    }

    /// Asserts that a command was carried out and the headset got the sound bit
    /// for bit.
    #[track_caller]
    pub(crate) fn assert_exact(
        &mut self,
        mark: system::scene::Mark,
        sound: &Sound,
        answer: Option<Answer>,
        why: &str,
    ) {
        let seed = self.seed;
        let answer = answer.unwrap_or_else(|| panic!("seed {seed}, {why}: no answer"));
        assert_eq!(answer.state, PlayerState::Done as u32, "seed {seed}, {why}: {answer:?}");
        // The headset is behind the wire by what its buffer holds.
        self.scene.run_for(REST);
        let verdict = self.scene.judge(self.socket(), mark, sound);
        assert!(verdict.is_right(), "seed {seed}, {why}: {verdict:?}");
        assert_eq!(answer.underruns, 0, "seed {seed}, {why}");
    }

    /// The answer of a command that is expected to fail: who refused, and the
    /// code.
    #[track_caller]
    pub(crate) fn failure(&mut self, sequence: u32, limit: Time) -> (&'static str, u32) {
        let seed = self.seed;
        let answer = self.scene.wait(sequence, limit);
        let answer = answer.unwrap_or_else(|| panic!("seed {seed}: the player is told nothing"));
        assert_eq!(answer.state, PlayerState::Failed as u32, "seed {seed}: {answer:?}");
        let server = &self.description.app().tasks[answer.server as usize];
        (&server.name, answer.code)
    }

    /// Asks the broker for a route, as another client than the player would.
    pub(crate) fn start_route(
        &mut self,
        request: RouteRequest,
    ) -> Result<RouteHandle, BrokerError> {
        let broker = || OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        let started = self.scene.visit(LIMIT, move || broker().start_route(request));
        started.expect("the broker answers")
    }

    /// How such a route is doing; telling of its end ends it.
    pub(crate) fn route(&mut self, route: RouteHandle) -> Result<RouteState, BrokerError> {
        let broker = || OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        self.scene.visit(LIMIT, move || broker().route(route)).expect("the broker answers")
    }

    /// Waits for such a route's end.
    #[track_caller]
    pub(crate) fn end_route(&mut self, route: RouteHandle, limit: Time) -> RouteState {
        let until = self.scene.now() + limit;
        while self.scene.now() < until {
            match self.route(route).expect("the route is ours") {
                RouteState::Starting | RouteState::Running => self.scene.run_for(Time::ms(5)),
                over => return over,
            }
        }
        panic!("seed {}: the route never ends", self.seed);
    }

    /// What the microphone of the headset at the world's port heard in its last
    /// take.
    pub(crate) fn last_take(&mut self) -> Option<Take> {
        let board = self.scene.machine.board();
        let device = board.parts.controllers[self.port.controller].device(self.port.port)?;
        device.spoken()?.takes.last().cloned()
    }

    /// Asserts that everything was given back, and that nobody did anything that
    /// no hardware stands for.
    #[track_caller]
    pub(crate) fn assert_at_rest(&mut self, why: &str) {
        self.scene.run_for(REST);
        let seed = self.seed;
        let audit = self.scene.audit();
        let audit = audit.unwrap_or_else(|| panic!("seed {seed}, {why}: a server is down"));
        assert_eq!(audit.leaks(), Leaks::default(), "seed {seed}, {why}: {audit:?}");
        let broker = audit.broker;
        assert_eq!(broker.sessions, 0, "seed {seed}, {why}: {broker:?}");
        assert_eq!(broker.begun, broker.ended, "seed {seed}, {why}: {broker:?}");
        assert_eq!(broker.double_releases, 0, "seed {seed}, {why}");
        self.assert_clean(why);
    }

    /// Asserts that no model complains, no task faulted and the SMMU recorded
    /// nothing.
    #[track_caller]
    pub(crate) fn assert_clean(&mut self, why: &str) {
        let seed = self.seed;
        let board = self.scene.machine.board();
        let fabric = &board.parts.fabric;
        let violations = fabric.violations.kept();
        assert_eq!(
            fabric.violations.total(),
            self.violations,
            "seed {seed}, {why}: {violations:?}"
        );
        assert_eq!(fabric.smmu.faults(), self.faults, "seed {seed}, {why}");
    }

    /// The mapper died and came back. Until then the SMMU stopped whatever the
    /// controller did, and the model held that against the driver: an event ring
    /// that it could not read, contexts rewritten before its reset.
    pub(crate) fn accept_mapper_death(&mut self) {
        let board = self.scene.machine.board();
        self.faults = board.parts.fabric.smmu.faults();
        self.violations = board.parts.fabric.violations.total();
    }

    /// Asserts that no task of the image died by itself.
    #[track_caller]
    pub(crate) fn assert_nobody_died(&self, why: &str) {
        let stats = self.scene.machine.stats();
        let faults: Vec<_> = stats.tasks.iter().map(|task| task.faults).collect();
        assert!(faults.iter().all(|&faults| faults == 0), "seed {}, {why}: {faults:?}", self.seed);
    }
}

/// A controller with so many ports for headsets, and interrupters for two
/// sessions.
pub(crate) fn roomy(seed: u64, headsets: u8) -> Personality {
    (0..)
        .map(|n| Personality::seeded(seed + 1000 * n))
        .find(|p| p.usb2_ports >= headsets && p.interrupters >= 3)
        .expect("some controller is like that")
}

/// What another client than the player asks for: 48 kHz, 16 bits.
pub(crate) fn route(direction: Direction, frames: u32) -> RouteRequest {
    RouteRequest {
        direction,
        rate: 48_000,
        format: SampleFormat::S16Le as u8,
        channels: if direction == Direction::Out { 2 } else { 1 },
        frames,
        buffer_us: 96_000,
    }
}

/// Milliseconds of the longest sound.
const LONGEST: u32 = 2_000;

/// `ms` milliseconds of music.
pub(crate) fn sound(ms: u32) -> Sound {
    static WHOLE: OnceLock<Sound> = OnceLock::new();
    let whole = WHOLE.get_or_init(|| piece(48_000, 48 * LONGEST));
    let bytes = (48 * ms) as usize * whole.frame_bytes();
    Sound { pcm: whole.pcm[..bytes].to_vec(), ..*whole }
}
