//! What must hold whatever the program tries.

use crate::world::{LIMIT, REST, ROOM, World, image, sound};
use addr::{PAGE, Peer};
use dsp_abi::control::AnswerPage;
use dsp_abi::media::{PCM, Path, PlayerState};
use dsp_abi::monitor::{MAIL_OUT, MEDIA, PEER_END};
use fabric::{Rng, Time, Violation};
use hostile::Plan;
use offload_broker_api::RouteEnding;
use qmi::Token;
use std::rc::Rc;
use system::scene::Port;
use usb_model::headset::Model;
use xhc::Personality;

/// A core cannot be interrupted more often than this many times per datagram
/// that it lets in, and then once per answer that it sends.
const INTERRUPTS_EACH: u64 = 4;

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
        let tally = world.shared.tally.get();
        let answers: AnswerPage = world.peek(image().pool("answers").base);
        let counted = tally.wrong();
        assert_eq!(answers.refusals, counted, "seed {seed}: every attempt is counted: {tally:?}");
        assert!(tally.total() > 2_500 && tally.closed == 0, "seed {seed}: {tally:?}");
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
        let (shared, lives) = (Rc::clone(&world.shared), world.shared.lives.get());
        // From its second attempt on it may find the session gone.
        let answer = {
            world.tell(Plan::Calls(6_000));
            world.scene.wait(sequence, LIMIT)
        };
        assert!(answer.is_some(), "seed {seed}");
        world.ended(sequence, RouteEnding::Misbehaved);
        // It goes on until a ring is no longer there that it writes to.
        world.scene.run_while(LIMIT, |_| !shared.done.get() && shared.lives.get() == lives);
        let heard = world.scene.machine.stats().interrupts - interrupts;
        assert!(heard < 96, "seed {seed}: {heard} interrupts");
        let tally = world.shared.tally.get();
        assert_eq!(tally.surprises, 0, "seed {seed}: {:?}", tally.first);
        assert!(tally.closed > 0, "seed {seed}: the gate was not closed in time");
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
            let place = Peer(u64::from(at));
            world.carry_out(if write { Plan::Write(place) } else { Plan::Read(place) });
            let survived = world.shared.done.get();
            assert_eq!(survived, allowed, "seed {seed}: {at:#x}, write {write}");
            for (was, is) in before.iter().zip(world.foreign_memory(&own)) {
                assert!(*was == is, "seed {seed}: {} at {:#x} changed", was.0, was.1);
            }
            world.listen(true);
            world.scene.run_for(Time::ms(20));
            assert_eq!(world.shared.lives.get() - lives, u32::from(!survived), "seed {seed}");
            if !survived && std::mem::take(&mut first) {
                world.ended(sequence, RouteEnding::DspGone);
                // The idle headset is suspended now, not under a probe.
                world.scene.run_for(Time::ms(2_200));
            }
        }
        assert!(!first, "seed {seed}: no probe hit anything");
        world.assert_at_rest("after the probes");
        world.assert_clean("after the probes");
        world.next_life_plays();
    }
}

/// R27: mail as fast as it goes, QMI garbage and foreign ports: the application core
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
        let tally = world.shared.tally.get();
        let (sent, full) = (tally.sent, tally.full);
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
        world.carry_out(Plan::Write(Peer(0)));
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

/// A controller with room for the streams of two headsets.
fn roomy(seed: u64) -> Personality {
    (0..)
        .map(|n| Personality::seeded(seed + 1000 * n))
        .find(|p| p.usb2_ports >= 2 && p.interrupters >= 3)
        .expect("some controller is like that")
}

/// It asks for a headset's stream that nobody told it to play, and misbehaves on
/// it in every way, its own death among them: the sound that the player plays on
/// another headset meanwhile is exact.
#[test]
fn the_stream_of_another_headset_plays_on_whatever_it_does() {
    for seed in 0..12 {
        let personality = roomy(seed);
        let second = personality.usb2_port(1).expect("it has two");
        let mut world = World::with(personality, seed);
        world.scene.run_for(Time::ms(700));
        let second = Port { controller: 0, port: second };
        world.scene.plug(second, Model::Sync, seed);
        world.scene.run_for(Time::ms(700));
        let mark = world.scene.mark(second);
        let music = sound(1_500);
        let sequence = world.scene.order(&music, Path::Player);
        world.scene.run_for(Time::ms(100));
        // The first headset is card 0.
        world.carry_out(Plan::Begin(Token(0), 3 * 48_000));
        world.scene.run_for(Time::ms(200));
        assert!(world.own_pages().len() >= 3, "seed {seed}: it got no session");
        for plan in [Plan::Mail(300), Plan::Busy(500), Plan::Calls(500), Plan::Mail(300)] {
            world.carry_out(plan);
            world.scene.run_for(Time::ms(20));
        }
        assert_eq!(world.own_pages().len(), 0, "seed {seed}: it keeps its session");
        for at in [0x4400_0000, 0x0802_0040, 0x1000_0000, 0x4414_4000, 0] {
            world.carry_out(Plan::Read(Peer(at)));
            world.carry_out(Plan::Write(Peer(at)));
        }
        let answer = world.scene.wait(sequence, Time::ms(8_000));
        let played = answer.is_some_and(|answer| answer.state == PlayerState::Done as u32);
        assert!(played, "seed {seed}: {answer:?}");
        world.scene.run_for(REST);
        let verdict = world.scene.judge(second, mark, &music);
        assert!(verdict.is_right(), "seed {seed}: {verdict:?}");
        world.assert_at_rest("after all of it");
        let broker = world.scene.audit().expect("the servers are up").broker;
        assert_eq!(broker.misbehaved, 1, "seed {seed}: {broker:?}");
        world.assert_clean("after all of it");
    }
}
