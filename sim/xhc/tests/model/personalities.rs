//! Every personality brings a headset to play, and the same seed the same way.

use crate::rig::{Rig, code, music};
use fabric::Time;
use usb_model::headset::Model;
use xhc::Personality;

fn run(seed: u64) -> u64 {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(seed), Model::Sync);
    let mut stream = rig.open(&mut slot, 44_100);
    let data = music(176 * 100);
    rig.play(&slot, &mut stream, &data, 44_100);
    rig.run(Time::ms(20));
    assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS, "seed {seed}");
    rig.drain(&mut stream.events);
    assert_eq!(rig.request(&mut slot, [1, 11, 0, 1], &[]), code::SUCCESS, "seed {seed}");
    assert_eq!(rig.drop_endpoint(&slot), code::SUCCESS, "seed {seed}");
    rig.set_target(&slot, 0);
    rig.write(0x1000 + 0x40 + 8, 0);
    assert_eq!(rig.simple(10, slot.id, 0), code::SUCCESS, "seed {seed}");
    let op = rig.op;
    rig.write(op, 0);
    rig.wait(op + 4, 1, 1);
    assert_eq!(rig.heard(slot.port).pcm(), data, "seed {seed}");
    assert_eq!(rig.fabric.violations.total(), 0, "seed {seed}: {:?}", rig.fabric.violations.kept());
    rig.fabric.trace.hash()
}

#[test]
fn every_personality_plays_exactly_and_breaks_no_rule() {
    let hashes: std::collections::BTreeSet<u64> = (100..220).map(run).collect();
    assert_eq!(hashes.len(), 120, "each seed is a run of its own");
}

#[test]
fn a_seed_names_a_run() {
    assert_eq!(run(7), run(7));
}
