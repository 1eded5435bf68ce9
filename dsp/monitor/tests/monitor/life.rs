//! Waiting, the watch over streams, the program's lives, and floods.

use crate::bench::{Bench, Deed, GATES, REGISTERS, WINDOWS, entry, packet};
use dsp_abi::bell;
use dsp_abi::control::{GatePage, NoticeKind};
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE, SLOTS};
use dsp_abi::monitor::{Call, EVENT_GATE, EVENT_MAIL, EVENT_TIME, Status, event_ring};
use monitor::{BURST, BURST_SPAN, QUIET, RESTART, RESTART_LONGEST, Time, WATCH};
use qmi::qrtr::{Address, Control, Frame, FrameKind, Node};
use std::mem::offset_of;

const OK: u32 = Status::Ok as u32;
const NEVER: u64 = u64::MAX;

fn hello() -> Vec<u8> {
    let mut bytes = [0; DATAGRAM];
    let hello = Control::Hello;
    let frame = Frame {
        kind: hello.kind(),
        from: Address::control(Node(DSP_NODE)),
        to: Address::control(Node(APP_NODE)),
        confirm: false,
    };
    let len = frame.encode(&hello.encode(), &mut bytes).expect("it fits");
    bytes[..len].to_vec()
}

fn publish(bench: &mut Bench, place: u32) {
    bench.shadow(place, packet());
    assert_eq!(bench.call(Call::Publish, [0, 0, place, 1])[0], OK);
}

fn die(bench: &mut Bench) {
    bench.monitor.program_died(&mut bench.ground);
}

/// When the program is started after it died, from now on.
fn time_to_life(bench: &mut Bench) -> Time {
    let died = bench.ground.now;
    bench.deeds();
    loop {
        let at = bench.ground.alarm.expect("it will be started");
        bench.pass(Time(at.0 - bench.ground.now.0));
        if bench.deeds().contains(&Deed::Start) {
            return Time(bench.ground.now.0 - died.0);
        }
    }
}

#[test]
fn a_wait_ends_at_its_time_and_says_so() {
    let mut bench = Bench::new();
    bench.wait(0);
    let until = bench.ground.now + Time::ms(3);
    assert_eq!(bench.wait(until.0), None);
    assert_eq!(bench.ground.alarm, Some(until));
    bench.pass(Time::ms(2));
    assert!(!bench.deeds().contains(&Deed::Wake));
    bench.pass(Time::ms(1));
    assert!(bench.deeds().contains(&Deed::Wake));
    assert_eq!(bench.wait(until.0), Some(EVENT_TIME));
    assert_eq!(bench.ground.alarm, None, "and the time is not asked for again");
}

#[test]
fn a_wait_without_time_sets_none_and_ends_with_an_event() {
    let mut bench = Bench::new();
    bench.wait(0);
    assert_eq!(bench.wait(NEVER), None);
    assert_eq!(bench.ground.alarm, None);
    bench.interrupt(bell::MAIL_TO_DSP);
    assert_eq!(bench.wait(NEVER), Some(EVENT_MAIL));
    assert_eq!(bench.wait(NEVER), None, "events are taken");
}

#[test]
fn a_tick_without_reason_does_nothing() {
    let mut bench = Bench::open();
    bench.monitor.tick(&mut bench.ground);
    assert_eq!(bench.deeds(), []);
}

#[test]
fn a_stream_that_stands_still_is_told_once_until_it_goes_on() {
    let mut bench = Bench::open();
    bench.pass(WATCH + WATCH);
    assert_eq!(bench.rings(bell::NOTICE), 0, "it has not begun");
    publish(&mut bench, 0);
    bench.pass(WATCH);
    assert_eq!(bench.rings(bell::NOTICE), 0, "it went on in this period");
    bench.pass(WATCH);
    assert_eq!(bench.rings(bell::NOTICE), 1);
    assert_eq!(bench.answers().notices[0][0].kind, NoticeKind::Stalled as u32);
    bench.pass(Time::ms(10_000));
    assert_eq!(bench.rings(bell::NOTICE), 0, "it was said");
    assert_eq!(bench.call(Call::Dequeue, [0, 0, 0, 0])[0], OK);
    bench.pass(WATCH);
    assert_eq!(bench.rings(bell::NOTICE), 0);
    bench.pass(WATCH + WATCH);
    assert_eq!(bench.rings(bell::NOTICE), 1, "and again");
}

#[test]
fn a_stream_that_goes_on_is_never_told() {
    let mut bench = Bench::open();
    publish(&mut bench, 0);
    for _ in 0..100 {
        bench.call(Call::Dequeue, [0, 0, 0, 0]);
        bench.pass(Time(WATCH.0 - 1));
    }
    assert_eq!(bench.rings(bell::NOTICE), 0);
}

/// The page has room for one notice per session: the reason that ends it stays.
#[test]
fn a_stall_is_not_said_of_a_session_that_is_lost_anyway() {
    let mut bench = Bench::open();
    publish(&mut bench, 0);
    assert_eq!(bench.call(Call::Dequeue, [0, 256, 0, 0])[0], Status::Refused as u32);
    assert_eq!(bench.rings(bell::NOTICE), 1);
    bench.pass(Time::ms(10_000));
    assert_eq!(bench.rings(bell::NOTICE), 0);
    assert_eq!(bench.answers().notices[0][0].kind, NoticeKind::Refused as u32);

    let mut bench = Bench::open();
    publish(&mut bench, 0);
    bench.monitor.program_died(&mut bench.ground);
    bench.pass(Time::ms(10_000));
    assert_eq!(bench.rings(bell::NOTICE), 1);
    assert_eq!(bench.answers().notices[0][0].kind, NoticeKind::Restarted as u32);
}

#[test]
fn nobody_is_watched_when_nothing_is_open() {
    let mut bench = Bench::open();
    publish(&mut bench, 0);
    let mut shut = entry();
    shut.open = 0;
    bench.gate(0, 0, &shut);
    bench.pass(WATCH + WATCH);
    assert_eq!((bench.rings(bell::NOTICE), bench.ground.alarm), (0, None));
}

/// With a controller that runs, whose primary interrupter is watched.
fn watching() -> (Bench, u64) {
    let mut bench = Bench::new();
    let register = REGISTERS[0] + 0x1038;
    let at = GATES[0].plus(offset_of!(GatePage, primary) as u64);
    bench.ground.poke(at, &(register as u32));
    bench.announce(0);
    bench.wait(0);
    bench.wait(NEVER);
    bench.deeds();
    (bench, register)
}

#[test]
fn events_that_the_driver_was_not_told_of_are_rung_for() {
    let (mut bench, register) = watching();
    const WAITS: u32 = 1 << 3;
    for (value, rings) in [(0x4000, 0), (0x4010 | WAITS, 0), (0x4020 | WAITS, 0)] {
        bench.ground.registers.insert(register, value);
        bench.pass(WATCH);
        assert_eq!(bench.rings(bell::CONTROLLER0_PRIMARY), rings, "{value:#x}: it goes on");
    }
    bench.pass(WATCH);
    assert_eq!(bench.rings(bell::CONTROLLER0_PRIMARY), 1, "nobody looked");
    bench.ground.registers.insert(register, 0x4020);
    bench.pass(WATCH + WATCH);
    assert_eq!(bench.rings(bell::CONTROLLER0_PRIMARY), 0);
    bench.ground.poke(GATES[0].plus(offset_of!(GatePage, primary) as u64), &0_u32);
    bench.announce(0);
    bench.pass(WATCH);
    assert_eq!(bench.ground.alarm, None, "a controller that does not run is not watched");
}

#[test]
fn a_register_of_nobody_is_not_watched() {
    for strange in [REGISTERS[0] as u32 + 0x103C, REGISTERS[1] as u32 + 0x1038, 0x4400_0000] {
        let mut bench = Bench::new();
        let at = GATES[0].plus(offset_of!(GatePage, primary) as u64);
        bench.ground.poke(at, &strange);
        bench.announce(0);
        assert_eq!(bench.ground.alarm, None, "{strange:#x}");
    }
}

#[test]
fn what_a_lost_bell_would_have_told_is_seen_within_a_period() {
    let (mut bench, _) = watching();
    bench.ground.poke(GATES[0], &77_u32);
    bench.ground.poke(WINDOWS, &88_u32);
    bench.pass(WATCH);
    let deeds = bench.deeds();
    for bell in [bell::GATE0_TO_APP, bell::TLB_TO_APP] {
        assert!(deeds.contains(&Deed::Ring(bell)), "{bell}: {deeds:?}");
    }
    assert_eq!((bench.answers().gate_done[0], bench.answers().window_done), (77, 88));
    bench.pass(WATCH);
    assert!(!bench.deeds().iter().any(|deed| matches!(deed, Deed::Ring(_))), "once");
}

#[test]
fn mail_whose_bell_was_lost_is_found_and_mail_that_nobody_fetches_is_rung_for() {
    let (mut bench, _) = watching();
    bench.link(1);
    bench.wait(0);
    assert_eq!(bench.wait(NEVER), None);
    bench.link_sends_unheard(&hello());
    bench.pass(WATCH);
    assert_eq!(bench.wait(NEVER), Some(EVENT_MAIL));
    assert_ne!(bench.call(Call::MailReceive, [0; 4])[1], 0);
    assert_eq!(bench.send(&hello()), OK);
    bench.deeds();
    bench.pass(WATCH);
    assert_eq!(bench.rings(bell::MAIL_TO_APP), 1);
    assert!(bench.link_gets().is_some());
    bench.pass(WATCH);
    assert_eq!(bench.rings(bell::MAIL_TO_APP), 0);
}

#[test]
fn a_program_whose_streams_interrupt_was_lost_looks_at_its_ring() {
    let mut bench = Bench::open();
    publish(&mut bench, 0);
    bench.wait(0);
    bench.wait(NEVER);
    bench.pass(WATCH);
    assert_eq!(bench.wait(NEVER), None, "it went on in this period");
    bench.pass(WATCH);
    assert_eq!(bench.wait(NEVER), Some(event_ring(0)));
}

#[test]
fn a_dead_program_says_bye_is_told_per_session_and_starts_anew() {
    let mut bench = Bench::open();
    bench.link(1);
    bench.deeds();
    die(&mut bench);
    let deeds = bench.deeds();
    assert_eq!(deeds.iter().filter(|deed| **deed == Deed::Ring(bell::NOTICE)).count(), 1);
    assert_eq!(bench.answers().notices[0][0].kind, NoticeKind::Restarted as u32);
    assert_eq!(bench.answers().program_epoch, 2);
    let bye = bench.link_gets().expect("a datagram");
    assert_eq!(Frame::decode(&bye).expect("a frame").0.kind, FrameKind::Bye);
    assert_eq!(time_to_life(&mut bench), RESTART);
    assert_eq!(bench.wait(NEVER), None, "what happened to its former life is forgotten");
}

#[test]
fn a_program_that_does_not_live_cannot_die() {
    let mut bench = Bench::open();
    die(&mut bench);
    let died = bench.answers().program_epoch;
    bench.deeds();
    die(&mut bench);
    assert_eq!((bench.deeds(), bench.answers().program_epoch), (vec![], died));
}

#[test]
fn a_program_that_dies_in_a_wait_is_not_woken() {
    let mut bench = Bench::new();
    bench.wait(0);
    assert_eq!(bench.wait(NEVER), None);
    die(&mut bench);
    bench.interrupt(bell::MAIL_TO_DSP);
    assert!(!bench.deeds().contains(&Deed::Wake));
    time_to_life(&mut bench);
    assert_eq!(bench.wait(NEVER), Some(EVENT_MAIL), "its next life hears of it");
}

#[test]
fn with_a_full_mailbox_the_bye_is_a_new_life_of_the_mailbox() {
    let mut bench = Bench::new();
    bench.link(1);
    while bench.send(&hello()) == OK {}
    die(&mut bench);
    bench.settle_link();
    assert_eq!(bench.link_gets(), None, "all that was under way is void");
    time_to_life(&mut bench);
    assert_eq!(bench.send(&hello()), OK);
    assert_eq!(bench.link_gets(), Some(hello()));
}

/// A flood of lives: the application core hears of a program that does not live
/// less and less often.
#[test]
fn a_program_that_dies_again_and_again_waits_longer_each_time_up_to_a_limit() {
    let mut bench = Bench::new();
    let mut expected = RESTART;
    for _ in 0..14 {
        die(&mut bench);
        assert_eq!(time_to_life(&mut bench), expected);
        expected = (expected + expected).min(RESTART_LONGEST);
    }
    assert_eq!(expected, RESTART_LONGEST);
    bench.pass(QUIET);
    die(&mut bench);
    assert_eq!(time_to_life(&mut bench), RESTART, "that was something new");
}

/// A flood of datagrams, from a program that is never content, with an
/// application core that takes all of them at once.
#[test]
fn a_flood_of_datagrams_is_a_burst_in_each_span() {
    let mut bench = Bench::new();
    bench.link(1);
    bench.wait(0);
    bench.deeds();
    let mut sent = 0;
    let spans = 5;
    for _ in 0..spans {
        while bench.send(&hello()) == OK {
            sent += 1;
            assert_eq!(bench.link_gets(), Some(hello()));
        }
        assert_eq!(bench.wait(NEVER), None);
        assert!(bench.ground.alarm.is_some(), "it is told when it may go on");
        bench.pass(BURST_SPAN);
        assert_eq!(bench.wait(NEVER), Some(EVENT_MAIL));
    }
    assert_eq!(sent, spans * BURST);
    assert_eq!(bench.rings(bell::MAIL_TO_APP), sent as usize);
    const { assert!(BURST > SLOTS, "a full mailbox comes first") };
}

/// A flood of calls of every kind rings the application core once.
#[test]
fn a_flood_of_refused_calls_rings_once() {
    let mut bench = Bench::open();
    bench.link(1);
    bench.deeds();
    for n in 0..20_000_u32 {
        let call = [n % 9, n / 9 % 3, n % 5, n % 7, n % 3, 0];
        if call[0] != Call::Wait as u32 {
            bench.monitor.call(&mut bench.ground, call);
        }
    }
    let rings = bench.deeds().iter().filter(|deed| matches!(deed, Deed::Ring(_))).count();
    assert_eq!(rings, 1);
    assert!(bench.answers().refusals > 5_000);
    assert_eq!(bench.wait(0).map(|bits| bits & EVENT_GATE), Some(EVENT_GATE));
}
