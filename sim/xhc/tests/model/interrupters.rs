//! Interrupts: EHB, moderation, segments, masks.

use crate::rig::{DOORBELLS, RUNTIME, Rig, code, music};
use fabric::{Core, IntId, Time};
use usb_model::headset::Model;
use xhc::Personality;

const NO_OP: [u32; 4] = [0, 0, 0, 23 << 10];
const PRIMARY: u32 = RUNTIME + 0x20;

/// Queues `count` no-ops and lets them complete, reading no event.
fn no_ops(rig: &mut Rig, count: usize) {
    let mut ring = rig.commands.clone();
    for _ in 0..count {
        rig.push(&mut ring, NO_OP);
    }
    rig.commands = ring;
    rig.write(DOORBELLS, 0);
    rig.run(Time::ms(5));
}

fn taken(rig: &mut Rig) -> usize {
    std::iter::from_fn(|| rig.fabric.interrupts.take(Core::App)).count()
}

#[test]
fn while_the_handler_is_busy_nothing_more_is_raised() {
    let mut rig = Rig::running(Personality::seeded(41));
    rig.write(PRIMARY + 4, 0);
    no_ops(&mut rig, 1);
    assert_eq!(taken(&mut rig), 1);
    no_ops(&mut rig, 3);
    assert_eq!(taken(&mut rig), 0, "EHB is set");
    assert_eq!(rig.read(PRIMARY + 0x18) & 8, 8);
    assert_eq!(rig.drain_primary().len(), 4);
    assert_eq!((taken(&mut rig), rig.read(PRIMARY + 0x18) & 8), (0, 0));
    no_ops(&mut rig, 1);
    assert_eq!(taken(&mut rig), 1);
    rig.clean();
}

#[test]
fn clearing_ehb_with_events_left_raises_again() {
    let mut rig = Rig::running(Personality::qemu());
    no_ops(&mut rig, 3);
    assert_eq!(taken(&mut rig), 1);
    let second = rig.events.segments[0].plus(16);
    rig.write(PRIMARY + 0x18, second.low() | 8);
    assert_eq!(taken(&mut rig), 1);
    rig.clean();
}

#[test]
fn moderation_spaces_interrupts_and_its_timer_ends() {
    let mut rig = Rig::running(Personality::seeded(42));
    rig.write(PRIMARY + 4, 4000);
    no_ops(&mut rig, 1);
    assert_eq!((taken(&mut rig), rig.drain_primary().len()), (1, 1));
    rig.run(Time::ms(5));
    no_ops(&mut rig, 1);
    assert_eq!(taken(&mut rig), 1, "the interval is over");
    let start = rig.fabric.now();
    rig.drain_primary();
    let mut ring = rig.commands.clone();
    rig.push(&mut ring, NO_OP);
    rig.commands = ring;
    rig.write(DOORBELLS, 0);
    while rig.fabric.now().since(start) < Time::ms(4) && taken(&mut rig) == 0 {
        rig.run(Time::us(10));
    }
    rig.run(Time::ms(2));
    assert!(rig.fabric.events.is_empty());
    rig.clean();
}

#[test]
fn a_ring_of_two_segments_is_used_in_turn() {
    let mut personality = Personality::seeded(43);
    personality.segments_log2 = 2;
    let (mut rig, mut slot) = Rig::with_headset(personality, Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    stream.events = rig.event_ring(1, 16, 2);
    let data = music(192 * 800);
    rig.play(&slot, &mut stream, &data, 48_000);
    assert_eq!(rig.xhc.wire().log().bytes(), data);
    assert_eq!(rig.xhc.stats().events_lost, 0);
    rig.clean();
}

#[test]
fn a_masked_vector_stays_pending_until_it_is_unmasked() {
    let mut rig = Rig::running(Personality::seeded(44));
    rig.write(0x300C, 1);
    no_ops(&mut rig, 1);
    assert_eq!((taken(&mut rig), rig.read(0x3800)), (0, 1));
    rig.write(0x300C, 0);
    assert_eq!((taken(&mut rig), rig.read(0x3800)), (1, 0));
    rig.clean();
}

#[test]
fn interrupts_off_at_the_controller_still_leave_events() {
    let mut rig = Rig::running(Personality::seeded(45));
    let op = rig.op;
    rig.write(op, 1);
    assert_eq!(rig.command(NO_OP), code::SUCCESS);
    assert_eq!(taken(&mut rig), 0);
    rig.write(op, 1 | 4);
    assert_eq!(taken(&mut rig), 1, "what waited goes out");
    rig.clean();
}

#[test]
fn enabling_an_interrupter_before_msix_loses_its_interrupts() {
    let mut rig = Rig::running(Personality::qemu());
    rig.config(0x90, 0);
    rig.write(PRIMARY, 0);
    rig.write(PRIMARY, 2);
    rig.config(0x90, 1 << 31);
    assert_eq!(rig.command(NO_OP), code::SUCCESS);
    assert_eq!(taken(&mut rig), 0);
    rig.only("XhcBadAccess");
}

#[test]
fn a_blocked_message_is_lost_and_an_acknowledgement_revives_the_vector() {
    let mut rig = Rig::running(Personality::seeded(46));
    let doorbell = addr::Bus(0x8000_0000).plus(511 * 4096);
    rig.map(doorbell, false);
    no_ops(&mut rig, 2);
    assert!(!rig.fabric.interrupts.is_pending(IntId(80)));
    assert_eq!(rig.read(PRIMARY + 0x18) & 8, 8, "EHB stays");
    rig.map_doorbell();
    assert_eq!(rig.drain_primary().len(), 2);
    no_ops(&mut rig, 1);
    assert!(rig.fabric.interrupts.is_pending(IntId(80)));
    rig.clean();
}
