//! Bring-up, enumeration, and what the registers say (qemu-virt facts of chapter 5).

use crate::rig::{Rig, USBCMD, USBSTS, code};
use fabric::{Device, IntId, Time, Width};
use usb_model::headset::Model;
use xhc::Personality;

#[test]
fn the_qemu_like_controller_has_qemus_registers() {
    let mut rig = Rig::running(Personality::qemu());
    assert_eq!(rig.read(0x00), 0x0100_0040);
    assert_eq!(rig.read(0x04), 0x0800_1040);
    assert_eq!(rig.read(0x08), 0x0000_000F);
    assert_eq!(rig.read(0x10), 0x0008_7001);
    assert_eq!((rig.read(0x14), rig.read(0x18)), (0x2000, 0x1000));
    assert_eq!(rig.xhc.read(&mut rig.fabric, 0, Width::Byte), 0x40);
    assert_eq!(rig.xhc.read(&mut rig.fabric, 2, Width::Half), 0x0100);
    assert_eq!(rig.xhc.bar().unwrap().0, 0x1000_0000);
    rig.clean();
}

#[test]
fn without_memory_decode_every_read_gives_ones() {
    let mut rig = Rig::cold(Personality::qemu());
    assert_eq!(rig.read(0), u32::MAX);
}

#[test]
fn the_microframe_index_runs_with_the_controller() {
    let mut rig = Rig::running(Personality::seeded(5));
    let first = rig.read(0x1000);
    rig.run(Time::ms(10));
    assert_eq!((rig.read(0x1000) + 0x4000 - first) & 0x3FFF, 80);
    let op = rig.op;
    rig.write(op + USBCMD, 0);
    rig.wait(op + USBSTS, 1, 1);
    assert_eq!(rig.read(0x1000), 0);
    rig.clean();
}

#[test]
fn a_no_op_command_completes_and_interrupts_on_vector_0() {
    let mut rig = Rig::running(Personality::seeded(2));
    assert_eq!(rig.command([0, 0, 0, 23 << 10]), code::SUCCESS);
    assert!(rig.fabric.interrupts.is_pending(IntId(80)));
    rig.clean();
}

#[test]
fn a_command_it_does_not_know_is_a_trb_error() {
    let mut rig = Rig::running(Personality::qemu());
    assert_eq!(rig.command([0, 0, 0, 21 << 10]), code::TRB);
    rig.only("TrbMalformed");
}

#[test]
fn the_command_ring_wraps_through_its_link() {
    let mut rig = Rig::running(Personality::seeded(9));
    for n in 0..600 {
        assert_eq!(rig.command([0, 0, 0, 23 << 10]), code::SUCCESS, "command {n}");
    }
    rig.clean();
}

#[test]
fn an_aborted_command_is_told_of_and_the_ring_stops() {
    let mut rig = Rig::running(Personality::seeded(4));
    let mut ring = rig.commands.clone();
    rig.push(&mut ring, [0, 0, 0, 23 << 10]);
    rig.commands = ring;
    rig.write(0x2000, 0);
    let op = rig.op;
    assert_eq!(rig.read(op + 0x18) & 8, 8);
    rig.write(op + 0x18, 4);
    rig.run(Time::ms(1));
    let codes: Vec<u32> = rig.drain_primary().iter().map(|event| event.code()).collect();
    assert_eq!(codes, [25, code::RING_STOPPED]);
    assert_eq!(rig.read(op + 0x18) & 8, 0);
    assert_eq!(rig.command([0, 0, 0, 23 << 10]), code::SUCCESS, "it goes on behind it");
    rig.clean();
}

#[test]
fn every_headset_enumerates_and_its_slot_context_says_so() {
    for model in [Model::Sync, Model::Capture, Model::Qemu] {
        let (mut rig, slot) = Rig::with_headset(Personality::qemu(), model);
        let context = rig.output(slot.id, 0);
        assert_eq!(context[3] >> 27, 2, "addressed");
        assert_ne!(context[3] & 0xFF, 0);
        assert_eq!(context[0] >> 20 & 0xF, 1, "full speed");
        assert_eq!(rig.endpoint_state(slot.id, 1), 1);
        rig.clean();
    }
}

#[test]
fn a_short_answer_is_reported_with_what_is_missing() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::qemu(), Model::Sync);
    let mut ring = slot.control.clone();
    rig.push(&mut ring, [0x0300_0680, 0x00FF_0000, 8, 2 << 10 | 1 << 6 | 3 << 16]);
    let data = rig.push(&mut ring, [slot.buffer.low(), 0, 255, 3 << 10 | 1 << 16 | 1 << 2]);
    let status = rig.push(&mut ring, [0, 0, 0, 4 << 10 | 1 << 5]);
    slot.control = ring;
    rig.write(0x2000 + 4 * u32::from(slot.id), 1);
    rig.run(Time::ms(2));
    let events = rig.drain_primary();
    let ends: Vec<_> = events.iter().map(|e| (e.pointer(), e.code(), e.residual())).collect();
    assert_eq!(ends, [(data, code::SHORT, 251), (status, code::SUCCESS, 0)]);
    rig.clean();
}

#[test]
fn a_stalled_request_halts_endpoint_0_until_it_is_reset_and_moved_on() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(1), Model::Sync);
    assert_eq!(rig.request(&mut slot, [0, 9, 7, 0], &[]), code::STALL);
    assert_eq!(rig.endpoint_state(slot.id, 1), 2);
    assert_eq!(rig.simple(15, slot.id, 1), code::CONTEXT_STATE, "stop of a halted endpoint");
    rig.recover_control(&mut slot);
    assert_eq!(rig.request(&mut slot, [0, 9, 1, 0], &[]), code::SUCCESS);
    rig.clean();
}

#[test]
fn a_transfer_in_several_chained_trbs_is_one_transfer() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(3), Model::Sync);
    let mut ring = slot.control.clone();
    // 128 bytes of the configuration: 50 + 78, one packet of 64 is over after the first TRB.
    rig.push(&mut ring, [0x0200_0680, 0x0080_0000, 8, 2 << 10 | 1 << 6 | 3 << 16]);
    let (low, second) = (slot.buffer.low(), slot.buffer.plus(2048));
    rig.push(&mut ring, [low, 0, 50 | 2 << 17, 3 << 10 | 1 << 16 | 1 << 4]);
    rig.push(&mut ring, [second.low(), 0, 78, 1 << 10]);
    rig.push(&mut ring, [0, 0, 0, 4 << 10 | 1 << 5]);
    slot.control = ring;
    rig.write(0x2000 + 4 * u32::from(slot.id), 1);
    rig.run(Time::ms(2));
    assert_eq!(rig.drain_primary().last().unwrap().code(), code::SUCCESS);
    assert_eq!(rig.load_words::<1>(slot.buffer)[0] & 0xFFFF, 0x0209);
    assert_ne!(rig.load_words::<1>(second)[0], 0);
    rig.clean();
}

#[test]
fn slots_run_out_and_unknown_slots_are_not_enabled() {
    let mut rig = Rig::running(Personality::qemu());
    for _ in 0..64 {
        assert_eq!(rig.command([0, 0, 0, 9 << 10]), code::SUCCESS);
    }
    assert_eq!(rig.command([0, 0, 0, 9 << 10]), code::NO_SLOTS);
    assert_eq!(rig.simple(10, 64, 0), code::SUCCESS);
    assert_eq!(rig.simple(10, 64, 0), code::SLOT_NOT_ENABLED);
    assert_eq!(rig.simple(10, 0, 0), code::SLOT_NOT_ENABLED);
    assert_eq!(rig.xhc.enabled_slots(), 63);
    rig.clean();
}

#[test]
fn after_a_controller_reset_everything_can_be_set_up_again() {
    let (mut rig, slot) = Rig::with_headset(Personality::seeded(7), Model::Sync);
    let op = rig.op;
    rig.write(op + USBCMD, 0);
    rig.wait(op + USBSTS, 1, 1);
    rig.bring_up();
    assert_eq!(rig.xhc.enabled_slots(), 0);
    rig.connect(slot.port);
    rig.enumerate(slot.port);
    rig.clean();
}
