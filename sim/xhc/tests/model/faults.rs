//! Blocked DMA, and controllers that die.

use crate::rig::{DOORBELLS, RUNTIME, Rig, USBCMD, USBSTS, code, music};
use fabric::Time;
use usb_model::headset::Model;
use xhc::{Death, Personality};

const HSE: u32 = 1 << 2;
const HCE: u32 = 1 << 12;

#[test]
fn blocked_data_completes_with_success_and_plays_zeros() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(61), Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let buffer = stream.buffer;
    rig.store(buffer, &music(192));
    rig.map(buffer, false);
    let mut ring = stream.ring.clone();
    rig.push(&mut ring, Rig::isoch(buffer, 192, true));
    stream.ring = ring;
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    assert_eq!(rig.drain(&mut stream.events)[0].code(), code::SUCCESS);
    assert_eq!(rig.xhc.wire().log().bytes(), [0; 192]);
    assert!(rig.fabric.smmu.faults() > 0);
    rig.clean();
}

#[test]
fn a_blocked_transfer_ring_is_silence() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(62), Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let mut ring = stream.ring.clone();
    rig.push(&mut ring, Rig::isoch(stream.buffer, 192, true));
    stream.ring = ring;
    rig.map(stream.ring.base, false);
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    let op = rig.op;
    assert_eq!(rig.read(op + USBSTS) & (HSE | HCE), 0);
    assert!(rig.xhc.wire().log().packets().is_empty());
    let codes: Vec<u32> = rig.drain(&mut stream.events).iter().map(|e| e.code()).collect();
    assert!(codes.iter().all(|&code| code == code::UNDERRUN), "{codes:?}");
    rig.clean();
}

#[test]
fn a_blocked_event_ring_is_a_host_controller_error_and_a_reset_recovers() {
    let (mut rig, slot) = Rig::with_headset(Personality::seeded(63), Model::Sync);
    let ring = rig.events.segments[0];
    rig.map(ring, false);
    let mut commands = rig.commands.clone();
    rig.push(&mut commands, [0, 0, 0, 23 << 10]);
    rig.write(DOORBELLS, 0);
    rig.run(Time::ms(1));
    let op = rig.op;
    assert_eq!(rig.read(op + USBSTS) & HCE, HCE);
    rig.map(ring, true);
    rig.write(op + USBCMD, 2);
    rig.wait(op + USBCMD, 2, 0);
    rig.bring_up();
    rig.connect(slot.port);
    rig.enumerate(slot.port);
    rig.clean();
}

#[test]
fn a_dead_controller_says_so_and_stops_streaming() {
    for death in [Death::ControllerError, Death::HostError, Death::Gone] {
        let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(64), Model::Sync);
        let mut stream = rig.open(&mut slot, 48_000);
        let mut ring = stream.ring.clone();
        for n in 0..60 {
            rig.push(&mut ring, Rig::isoch(stream.buffer.plus(512 * n), 192, true));
        }
        stream.ring = ring;
        rig.ring_stream(&slot);
        rig.run(Time::ms(10));
        rig.xhc.kill(&mut rig.fabric, death);
        let sent = rig.xhc.wire().log().packets().len();
        // Whoever does not know yet goes on, and somebody pulls the headset.
        rig.ring_stream(&slot);
        rig.write(DOORBELLS, 0);
        let (written, port) = (rig.fabric.trace.hash(), slot.port);
        assert!(rig.xhc.unplug(&mut rig.fabric, port).is_some());
        assert_eq!(rig.fabric.trace.hash(), written, "it says nothing any more");
        rig.run(Time::ms(50));
        assert_eq!(rig.xhc.wire().log().packets().len(), sent);
        let status = rig.op + USBSTS;
        match death {
            Death::ControllerError => assert_eq!(rig.read(status) & HCE, HCE),
            Death::HostError => assert_eq!(rig.read(status) & (HSE | 1), HSE | 1),
            Death::Gone => {
                assert_eq!(rig.read(status), u32::MAX);
                rig.write(RUNTIME + 0x20, 2);
            }
        }
        rig.clean();
    }
}

#[test]
fn a_controller_that_comes_back_to_its_bus_is_as_it_was_when_it_was_switched_on() {
    for seed in 64..72 {
        let (mut rig, slot) = Rig::with_headset(Personality::seeded(seed), Model::Sync);
        let bar = rig.xhc.bar();
        rig.xhc.kill(&mut rig.fabric, Death::Gone);
        rig.run(Time::ms(5));
        rig.xhc.come_back(&mut rig.fabric);
        assert_eq!(rig.xhc.enabled_slots(), 0);
        // Until it is told where its registers are, nobody answers for them.
        assert_eq!(rig.xhc.bar(), bar);
        let command = rig.op + USBCMD;
        assert_eq!(rig.read(command), u32::MAX);
        rig.write(command, 1);
        rig.run(Time::ms(5));
        rig.bring_up();
        rig.connect(slot.port);
        rig.enumerate(slot.port);
        rig.clean();
    }
}

#[test]
fn a_segment_table_larger_than_allowed_kills_the_controller() {
    let mut rig = Rig::running(Personality::qemu());
    rig.event_ring(1, 16, 2);
    let op = rig.op;
    assert_eq!(rig.read(op + USBSTS) & HCE, HCE);
    rig.only("XhcBadAccess");
}
