//! A board with a headset and the hostile program, and what is asked of both.

use crate::master::{Shared, run};
use addr::{PAGE, Peer, Phys};
use dsp_abi::control::{GatePage, PEER_TABLES_PAGE, WindowPage};
use dsp_abi::media::{Path, PlayerState};
use dsp_abi::{SESSIONS, bell};
use fabric::{Core, Rng, Time};
use host::{Board as _, Irq};
use hostile::{Order, Plan};
use judge::report::Leaks;
use judge::sound::Sound;
use offload_broker_api::RouteEnding;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::OnceLock;
use system::image::Description;
use system::piece::piece;
use system::scene::{Beginning, Deed, Port, Scene};
use usb_model::Speed;
use usb_model::headset::Model;
use xhc::Personality;
use zerocopy::{FromZeros, IntoBytes};

/// How long anything may take.
pub(crate) const LIMIT: Time = Time::ms(4_000);
/// Time in which everything that is owed must be given back.
pub(crate) const REST: Time = Time::ms(600);
/// Bytes of PCM that the longest sound needs.
pub(crate) const ROOM: usize = 3 * 48_000 * 4;
pub(crate) fn image() -> &'static Description {
    static IMAGE: OnceLock<&'static Description> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app.toml");
        Description::load(path.as_ref()).expect("the image keeps every rule")
    })
}

pub(crate) fn sound(ms: u32) -> Sound {
    piece(48_000, 48 * ms)
}

pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) port: Port,
    pub(crate) shared: Rc<Shared>,
    rng: Rng,
    seed: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(Personality::seeded(seed), seed)
    }

    pub(crate) fn with(personality: Personality, seed: u64) -> Self {
        let first = personality.usb2_port(0).expect("every controller has one");
        let beginning =
            Beginning { description: image(), personality, room: ROOM, deeds: Vec::new(), seed };
        let shared = Rc::<Shared>::default();
        let program = Rc::clone(&shared);
        let scene = Scene::power_on_with(beginning, move || run(&program), |_| {});
        let (port, rng) = (Port { controller: 0, port: first }, Rng::new(seed ^ 0xE711));
        let mut world = Self { scene, port, shared, rng, seed };
        let models = [Model::Sync, Model::Async(Speed::Full), Model::Async(Speed::High)];
        world.scene.plug(world.port, models[(seed % 3) as usize], seed);
        world
    }

    /// Has a long sound begun and playing for a while; the command's sequence.
    pub(crate) fn begin(&mut self) -> u32 {
        let before = self.scene.packets();
        let sequence = self.scene.order(&sound(3_000), Path::Offload);
        self.scene.run_while(LIMIT, |parts| {
            parts.controllers[0].wire().log().packets().len() as u64 == before
        });
        let more = self.rng.range(5, 120);
        self.scene.run_for(Time::ms(u64::from(more)));
        sequence
    }

    /// Tells the program what to try, the next time that it would wait.
    pub(crate) fn tell(&mut self, plan: Plan) {
        self.shared.done.set(false);
        self.shared.order.set(Some(Order::new(1, plan, self.rng.bits() as u32)));
    }

    /// Has the program carry a plan out, the next time that it would wait.
    pub(crate) fn carry_out(&mut self, plan: Plan) {
        self.tell(plan);
        // It may be waiting already, for nothing that would come.
        self.scene.after(Time::ZERO, Deed::Ring(bell::MAIL_TO_DSP));
        let (shared, lives) = (Rc::clone(&self.shared), self.shared.lives.get());
        self.scene.run_while(LIMIT, |_| !shared.done.get() && shared.lives.get() == lives);
        let over = self.shared.done.get() || self.shared.lives.get() > lives;
        assert!(over, "seed {}: {plan:?} is never carried out", self.seed);
        // What the DSP's core wrote is in memory then, and in no store buffer.
        self.scene.machine.board_mut().parts.fabric.barrier(Core::Dsp);
        let tally = self.shared.tally.get();
        assert_eq!(tally.surprises, 0, "seed {}: {plan:?}, {:?}", self.seed, tally.first);
    }

    /// Whether the application core hears of notices and of mail.
    pub(crate) fn listen(&mut self, on: bool) {
        let mut board = self.scene.machine.board_mut();
        for line in [bell::NOTICE, bell::MAIL_TO_APP] {
            let line = Irq(u32::from(line));
            if on { board.irq_enable(line) } else { board.irq_disable(line) }
        }
    }

    pub(crate) fn peek<R: FromZeros + IntoBytes + zerocopy::FromBytes>(&self, at: Phys) -> R {
        let mut record = R::new_zeroed();
        let board = self.scene.machine.board();
        board.parts.fabric.memory.peek(at, record.as_mut_bytes()).expect("it is RAM");
        record
    }

    /// Where the program sees `at`, as the tables have it now.
    pub(crate) fn translate(&self, at: u64) -> Option<(Phys, bool)> {
        let tables = image().pool("tables").base;
        let offset = u64::from(PEER_TABLES_PAGE) * u64::from(PAGE) + at / u64::from(PAGE) * 4;
        let entry: u32 = self.peek(tables.plus(offset));
        // Small pages; AP 0b011 may be written (ARM ARM B3.5.1).
        let writable = entry >> 9 & 1 == 0 && entry >> 4 & 3 == 3;
        (entry & 2 != 0).then(|| (Phys(u64::from(entry & !(PAGE - 1))), writable))
    }

    /// The pages that belong to the session: what the program may change, and
    /// what its monitor and the controller change on its behalf.
    pub(crate) fn own_pages(&self) -> BTreeSet<u64> {
        let gate: GatePage = self.peek(image().pool("gate").base);
        let windows: WindowPage = self.peek(image().pool("tables").base);
        let mut pages = BTreeSet::new();
        for entry in gate.entries.iter().filter(|entry| entry.open == 1) {
            pages.insert(u64::from(entry.event_ring));
            for ring in entry.rings.iter().filter(|ring| ring.dci != 0) {
                pages.extend([u64::from(ring.real), u64::from(ring.shadow)]);
            }
            let buffer = windows.windows[entry.window as usize % SESSIONS].buffer;
            for at in (buffer.peer..buffer.peer + buffer.len).step_by(PAGE as usize) {
                let (page, _) = self.translate(u64::from(at)).expect("the buffer is mapped");
                pages.insert(page.0);
            }
        }
        pages
    }

    /// Everything in memory, by page, but what is the session's or how the two
    /// cores talk.
    pub(crate) fn foreign_memory(&self, own: &BTreeSet<u64>) -> Vec<(&'static str, u64, Vec<u8>)> {
        let mut pages = Vec::new();
        for pool in image().app().pools.iter().filter(|pool| pool.name != "media") {
            for n in 0..pool.pages {
                let at = pool.base.plus(u64::from(n) * u64::from(PAGE));
                let dsps = pool.name == "answers"
                    || (pool.name == "mailbox" && n == u32::from(dsp_abi::mailbox::DSP_PAGE));
                if own.contains(&at.0) || dsps {
                    continue;
                }
                let mut bytes = vec![0; PAGE as usize];
                let board = self.scene.machine.board();
                board.parts.fabric.memory.peek(at, &mut bytes).expect("pools are RAM");
                pages.push((&*pool.name, at.0, bytes));
            }
        }
        pages
    }

    pub(crate) fn ended(&mut self, sequence: u32, why: RouteEnding) {
        let seed = self.seed;
        let answer = self.scene.wait(sequence, LIMIT);
        let answer = answer.unwrap_or_else(|| panic!("seed {seed}: the player is told nothing"));
        assert_eq!(answer.state, PlayerState::Failed as u32, "seed {seed}: {answer:?}");
        assert_eq!(answer.code, player::ROUTE_ENDED + why as u32, "seed {seed}");
    }

    pub(crate) fn assert_at_rest(&mut self, why: &str) {
        self.scene.run_for(REST);
        let seed = self.seed;
        let audit = self.scene.audit();
        let audit = audit.unwrap_or_else(|| panic!("seed {seed}, {why}: a server is down"));
        assert_eq!(audit.leaks(), Leaks::default(), "seed {seed}, {why}: {audit:?}");
        let broker = audit.broker;
        assert_eq!(broker.sessions, 0, "seed {seed}, {why}: {broker:?}");
        assert_eq!(broker.double_releases, 0, "seed {seed}, {why}");
        let stats = self.scene.machine.stats();
        let faults: u64 = stats.tasks.iter().map(|task| task.faults).sum();
        assert_eq!(faults, 0, "seed {seed}, {why}: a task faulted");
    }

    pub(crate) fn assert_clean(&self, why: &str) {
        let board = self.scene.machine.board();
        let fabric = &board.parts.fabric;
        let violations = fabric.violations.kept();
        assert_eq!(fabric.violations.total(), 0, "seed {}, {why}: {violations:?}", self.seed);
        assert_eq!(fabric.smmu.faults(), 0, "seed {}, {why}", self.seed);
    }

    /// The program's next life is honest, and plays exactly.
    pub(crate) fn next_life_plays(&mut self) {
        let lives = self.shared.lives.get();
        // Nothing is mapped there, in any program's space.
        self.carry_out(Plan::Write(Peer(0xFFFF_FFF0)));
        self.scene.run_for(Time::ms(20));
        assert!(self.shared.lives.get() > lives, "seed {}: it lives on", self.seed);
        let mark = self.scene.mark(self.port);
        let short = sound(150);
        let sequence = self.scene.order(&short, Path::Offload);
        let answer = self.scene.wait(sequence, LIMIT);
        let played = answer.is_some_and(|answer| answer.state == PlayerState::Done as u32);
        assert!(played, "seed {}: {answer:?}", self.seed);
        self.scene.run_for(REST);
        let verdict = self.scene.judge(self.port, mark, &short);
        assert!(verdict.is_right(), "seed {}: {verdict:?}", self.seed);
        self.assert_at_rest("after the honest program");
    }
}
