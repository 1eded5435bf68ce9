//! What must hold whatever the program tries.

use crate::program::{Plan, Shared, run};
use addr::{PAGE, Phys};
use dsp_abi::control::{AnswerPage, GatePage, PEER_TABLES_PAGE, WindowPage};
use dsp_abi::media::{PCM, Path, PlayerState};
use dsp_abi::monitor::{MAIL_OUT, MEDIA, PEER_END, Status};
use dsp_abi::{SESSIONS, bell};
use fabric::{Core, Rng, Time, Violation};
use host::{Board as _, Irq};
use offload_broker_api::RouteEnding;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::OnceLock;
use system::image::Description;
use system::piece::piece;
use system::report::Leaks;
use system::scene::{Beginning, Deed, Port, Scene};
use system::sound::Sound;
use usb_model::Speed;
use usb_model::headset::Model;
use xhc::Personality;
use zerocopy::{FromZeros, IntoBytes};

/// How long anything may take.
const LIMIT: Time = Time::ms(4_000);
/// Time in which everything that is owed must be given back.
const REST: Time = Time::ms(600);
/// Bytes of PCM that the longest sound needs.
const ROOM: usize = 3 * 48_000 * 4;
/// A core cannot be interrupted more often than this many times per datagram
/// that it lets in, and then once per answer that it sends.
const INTERRUPTS_EACH: u64 = 4;

fn image() -> &'static Description {
    static IMAGE: OnceLock<&'static Description> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app.toml");
        Description::load(path.as_ref()).expect("the image keeps every rule")
    })
}

fn sound(ms: u32) -> Sound {
    piece(48_000, 48 * ms)
}

struct World {
    scene: Scene,
    port: Port,
    shared: Rc<Shared>,
    seed: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let personality = Personality::seeded(seed);
        let first = personality.usb2_port(0).expect("every controller has one");
        let beginning =
            Beginning { description: image(), personality, room: ROOM, deeds: Vec::new(), seed };
        let shared = Shared::new(seed);
        let program = Rc::clone(&shared);
        let scene = Scene::power_on_with(beginning, move || run(&program), |_| {});
        let mut world = Self { scene, port: Port { controller: 0, port: first }, shared, seed };
        let models = [Model::Sync, Model::Async(Speed::Full), Model::Async(Speed::High)];
        world.scene.plug(world.port, models[(seed % 3) as usize], seed);
        world
    }

    /// Has a long sound begun and playing for a while; the command's sequence.
    fn begin(&mut self) -> u32 {
        let before = self.scene.packets();
        let sequence = self.scene.order(&sound(3_000), Path::Offload);
        self.scene.run_while(LIMIT, |parts| {
            parts.controllers[0].wire().log().packets().len() as u64 == before
        });
        assert!(self.shared.granted.get().is_some(), "seed {}: nothing was granted", self.seed);
        let more = self.shared.rng.borrow_mut().range(5, 120);
        self.scene.run_for(Time::ms(u64::from(more)));
        sequence
    }

    /// Has the program carry a plan out, the next time that it would wait.
    fn carry_out(&mut self, plan: Plan) {
        self.shared.done.set(false);
        self.shared.plan.set(plan);
        // It may be waiting already, for nothing that would come.
        self.scene.after(Time::ZERO, Deed::Ring(bell::MAIL_TO_DSP));
        let (shared, lives) = (Rc::clone(&self.shared), self.shared.lives.get());
        self.scene.run_while(LIMIT, |_| !shared.done.get() && shared.lives.get() == lives);
        let over = self.shared.done.get() || self.shared.lives.get() > lives;
        assert!(over, "seed {}: {plan:?} is never carried out", self.seed);
        // What the DSP's core wrote is in memory then, and in no store buffer.
        self.scene.machine.board_mut().parts.fabric.barrier(Core::Dsp);
        let tally = self.shared.tally.borrow();
        assert_eq!(tally.surprises, [""; 0], "seed {}: {plan:?}", self.seed);
    }

    /// Whether the application core hears of notices and of mail.
    fn listen(&mut self, on: bool) {
        let mut board = self.scene.machine.board_mut();
        for line in [bell::NOTICE, bell::MAIL_TO_APP] {
            let line = Irq(u32::from(line));
            if on { board.irq_enable(line) } else { board.irq_disable(line) }
        }
    }

    fn peek<R: FromZeros + IntoBytes + zerocopy::FromBytes>(&self, at: Phys) -> R {
        let mut record = R::new_zeroed();
        let board = self.scene.machine.board();
        board.parts.fabric.memory.peek(at, record.as_mut_bytes()).expect("it is RAM");
        record
    }

    /// Where the program sees `at`, as the tables have it now.
    fn translate(&self, at: u64) -> Option<(Phys, bool)> {
        let tables = image().pool("tables").base;
        let offset = u64::from(PEER_TABLES_PAGE) * u64::from(PAGE) + at / u64::from(PAGE) * 4;
        let entry: u32 = self.peek(tables.plus(offset));
        // Small pages; AP 0b011 may be written (ARM ARM B3.5.1).
        let writable = entry >> 9 & 1 == 0 && entry >> 4 & 3 == 3;
        (entry & 2 != 0).then(|| (Phys(u64::from(entry & !(PAGE - 1))), writable))
    }

    /// The pages that belong to the session: what the program may change, and
    /// what its monitor and the controller change on its behalf.
    fn own_pages(&self) -> BTreeSet<u64> {
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
    fn foreign_memory(&self, own: &BTreeSet<u64>) -> Vec<(&'static str, u64, Vec<u8>)> {
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

    fn ended(&mut self, sequence: u32, why: RouteEnding) {
        let seed = self.seed;
        let answer = self.scene.wait(sequence, LIMIT);
        let answer = answer.unwrap_or_else(|| panic!("seed {seed}: the player is told nothing"));
        assert_eq!(answer.state, PlayerState::Failed as u32, "seed {seed}: {answer:?}");
        assert_eq!(answer.code, player::ROUTE_ENDED + why as u32, "seed {seed}");
    }

    fn assert_at_rest(&mut self, why: &str) {
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

    fn assert_clean(&self, why: &str) {
        let board = self.scene.machine.board();
        let fabric = &board.parts.fabric;
        let violations = fabric.violations.kept();
        assert_eq!(fabric.violations.total(), 0, "seed {}, {why}: {violations:?}", self.seed);
        assert_eq!(fabric.smmu.faults(), 0, "seed {}, {why}", self.seed);
    }

    /// The program's next life is honest, and plays exactly.
    fn next_life_plays(&mut self) {
        let lives = self.shared.lives.get();
        // Nothing is mapped there, in any program's space.
        self.carry_out(Plan::Probe(0xFFFF_FFF0, true));
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

/// While the application core cannot hear of it, thousands of attempts change
/// no byte outside the session; once it hears, the session is lost with its own
/// reason, nothing is left, and the next program plays.
#[test]
fn whatever_it_asks_for_nothing_outside_its_windows_changes_and_its_session_is_lost() {
    for seed in 0..24 {
        let mut world = World::new(seed);
        let sequence = world.begin();
        world.listen(false);
        let own = world.own_pages();
        assert!(own.len() >= 3, "seed {seed}: an event ring, a ring, its shadow, a buffer");
        let before = world.foreign_memory(&own);
        let interrupts = world.scene.machine.stats().interrupts;
        world.carry_out(Plan::Calls(3_000));
        for (was, is) in before.iter().zip(world.foreign_memory(&own)) {
            assert!(*was == is, "seed {seed}: {} at {:#x} changed", was.0, was.1);
        }
        let heard = world.scene.machine.stats().interrupts - interrupts;
        assert_eq!(heard, 0, "seed {seed}: nothing else may ring the application core");
        let tally = world.shared.tally.borrow();
        let answers: AnswerPage = world.peek(image().pool("answers").base);
        let not_counted = Status::Closed as u32;
        let counted: u32 = tally
            .statuses
            .iter()
            .filter(|(status, _)| **status != not_counted)
            .map(|(_, n)| n)
            .sum();
        assert_eq!(answers.refusals, counted, "seed {seed}: every attempt is counted: {tally:?}");
        assert!(tally.total() > 2_500 && tally.closed == 0, "seed {seed}: {tally:?}");
        drop(tally);
        world.assert_clean("after the attempts");

        world.listen(true);
        world.ended(sequence, RouteEnding::Misbehaved);
        let heard = world.scene.machine.stats().interrupts - interrupts;
        assert!(heard < 64, "seed {seed}: {heard} interrupts to take a session down");
        world.assert_at_rest("after the session was lost");
        let broker = world.scene.audit().expect("the servers are up").broker;
        assert_eq!((broker.misbehaved, broker.stalls), (1, 0), "seed {seed}: {broker:?}");
        world.assert_clean("after the session was lost");
        world.next_life_plays();
        world.assert_clean("at the end");
    }
}

/// The same while the application core listens and takes the session down in
/// the middle of it: one notice per opening, whatever else is tried.
#[test]
fn it_is_told_once_however_often_it_tries() {
    for seed in 0..24 {
        let mut world = World::new(seed);
        let sequence = world.begin();
        let interrupts = world.scene.machine.stats().interrupts;
        // From its second attempt on it may find the session gone.
        let answer = {
            world.shared.done.set(false);
            world.shared.plan.set(Plan::Calls(20_000));
            world.scene.wait(sequence, LIMIT)
        };
        assert!(answer.is_some(), "seed {seed}");
        world.ended(sequence, RouteEnding::Misbehaved);
        let shared = Rc::clone(&world.shared);
        world.scene.run_while(LIMIT, |_| !shared.done.get());
        let heard = world.scene.machine.stats().interrupts - interrupts;
        assert!(heard < 96, "seed {seed}: {heard} interrupts");
        let tally = world.shared.tally.borrow();
        assert_eq!(tally.surprises, [""; 0], "seed {seed}");
        assert!(tally.closed > 0, "seed {seed}: the gate was not closed in time");
        drop(tally);
        world.assert_at_rest("after the session was lost");
        let broker = world.scene.audit().expect("the servers are up").broker;
        assert_eq!(broker.misbehaved, 1, "seed {seed}: {broker:?}");
        world.assert_clean("after the session was lost");
        world.next_life_plays();
    }
}

/// Reads and writes all over the 32-bit space: what is not the program's own
/// memory, its windows or, to read, the media pool, is the end of it.
#[test]
fn an_access_outside_its_space_is_its_end_and_reaches_nothing() {
    for seed in 0..12 {
        let mut world = World::new(seed);
        let sequence = world.begin();
        let mut rng = Rng::new(seed ^ 0x9A0B);
        // The scene has no more memory there than its sounds need.
        let media = (u64::from(PCM) + ROOM as u64).next_multiple_of(u64::from(PAGE));
        let mut first = true;
        for _ in 0..60 {
            let at = match rng.below(6) {
                0 => rng.bits() as u32,
                1 => 0x4000_0000 | rng.below(0x0080_0000),
                2 => rng.below(0x0100_0000),
                3 => 0x0180_0000 + rng.below(0x2000),
                4 => 0x0200_0000 + rng.below(0x1000_0000),
                _ => [0x0802_0040, 0x1000_0000, 0x0905_0000, 0x3F00_0000, 0, 0xFFFF_FFFC]
                    [rng.below(6) as usize],
            } & !3;
            let write = rng.one_in(2);
            let within = |from: u64, len: u64| {
                u64::from(at).checked_sub(from).is_some_and(|offset| offset + 4 <= len)
            };
            let window = u64::from(at) < PEER_END.0
                && world.translate(u64::from(at)).is_some_and(|(_, writable)| writable || !write);
            let allowed =
                window || within(MAIL_OUT.0, u64::from(PAGE)) || (!write && within(MEDIA.0, media));
            let own = world.own_pages();
            world.listen(false);
            let before = world.foreign_memory(&own);
            let lives = world.shared.lives.get();
            let probed = world.shared.tally.borrow().probed.len();
            world.carry_out(Plan::Probe(at, write));
            let survived = world.shared.tally.borrow().probed.len() > probed;
            assert_eq!(survived, allowed, "seed {seed}: {at:#x}, write {write}");
            for (was, is) in before.iter().zip(world.foreign_memory(&own)) {
                assert!(*was == is, "seed {seed}: {} at {:#x} changed", was.0, was.1);
            }
            world.listen(true);
            world.scene.run_for(Time::ms(20));
            assert_eq!(world.shared.lives.get() - lives, u32::from(!survived), "seed {seed}");
            if !survived && std::mem::take(&mut first) {
                world.ended(sequence, RouteEnding::DspGone);
            }
        }
        assert!(!first, "seed {seed}: no probe hit anything");
        world.assert_at_rest("after the probes");
        world.assert_clean("after the probes");
        world.next_life_plays();
    }
}

/// Mail as fast as it goes, QMI garbage and foreign ports: the application core
/// is interrupted a bounded number of times, and the stream plays on exactly.
#[test]
fn a_flood_of_mail_costs_a_bounded_number_of_interrupts_and_no_sound() {
    for seed in 0..12 {
        let mut world = World::new(seed);
        let mark = world.scene.mark(world.port);
        let sequence = world.begin();
        let interrupts = world.scene.machine.stats().interrupts;
        for _ in 0..4 {
            world.carry_out(Plan::Mail(1_500));
            world.scene.run_for(Time::ms(20));
        }
        let heard = world.scene.machine.stats().interrupts - interrupts;
        let (sent, full) = {
            let tally = world.shared.tally.borrow();
            (tally.sent, tally.full)
        };
        assert!(heard <= INTERRUPTS_EACH * u64::from(sent), "seed {seed}: {heard} for {sent}");
        println!("seed {seed}: {heard} interrupts, {sent} sent, {full} found no room");
        let answer = world.scene.wait(sequence, Time::ms(8_000));
        let played = answer.is_some_and(|answer| answer.state == PlayerState::Done as u32);
        assert!(played, "seed {seed}: {answer:?}");
        world.scene.run_for(REST);
        let verdict = world.scene.judge(world.port, mark, &sound(3_000));
        assert!(verdict.is_right(), "seed {seed}: {verdict:?}");
        world.assert_at_rest("after the flood");
        world.assert_clean("after the flood");
        world.next_life_plays();
    }
}

/// Calls that are allowed, as fast as they go, are the program's own time.
#[test]
fn a_flood_of_allowed_calls_is_not_heard_by_the_application_core() {
    for seed in 0..6 {
        let mut world = World::new(seed);
        let mark = world.scene.mark(world.port);
        let sequence = world.begin();
        let interrupts = world.scene.machine.stats().interrupts;
        world.carry_out(Plan::Busy(20_000));
        let heard = world.scene.machine.stats().interrupts - interrupts;
        assert_eq!(heard, 0, "seed {seed}");
        let answer = world.scene.wait(sequence, Time::ms(8_000));
        assert!(answer.is_some(), "seed {seed}");
        world.scene.run_for(REST);
        let verdict = world.scene.judge(world.port, mark, &sound(3_000));
        assert!(verdict.is_right(), "seed {seed}: {verdict:?}");
        world.assert_at_rest("after the flood");
        world.assert_clean("after the flood");
    }
}

/// A dequeue pointer that is inside the ring but not at its events is a rule
/// that only the program's own ring can break: it hears wrong of its own stream,
/// and nobody else of anything.
#[test]
fn dequeue_pointers_inside_its_ring_harm_its_own_stream_alone() {
    for seed in 0..12 {
        let mut world = World::new(seed);
        world.begin();
        let own = world.own_pages();
        world.listen(false);
        let before = world.foreign_memory(&own);
        world.carry_out(Plan::Dequeue(500));
        for (was, is) in before.iter().zip(world.foreign_memory(&own)) {
            assert!(*was == is, "seed {seed}: {} at {:#x} changed", was.0, was.1);
        }
        world.listen(true);
        world.carry_out(Plan::Probe(0, true));
        world.assert_at_rest("after it died");
        let board = world.scene.machine.board();
        let interrupter = board.parts.fabric.violations.kept().iter().all(|(_, violation)| {
            matches!(violation, Violation::DequeueBeyondEnqueue { controller: 0, .. })
        });
        assert!(interrupter, "seed {seed}: {:?}", board.parts.fabric.violations.kept());
        assert_eq!(board.parts.fabric.smmu.faults(), 0, "seed {seed}");
        drop(board);
        world.next_life_plays();
    }
}
