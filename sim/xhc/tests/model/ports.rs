//! Root hub ports: connection, reset, power.

use crate::rig::{Rig, code, music};
use fabric::Time;
use usb_model::headset::Model;
use xhc::Personality;

#[test]
fn the_qemu_like_port_reads_as_qemus_through_a_reset() {
    let mut rig = Rig::cold(Personality::qemu());
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    assert_eq!(port.0, 5);
    rig.plug(port, Model::Qemu);
    rig.bring_up();
    rig.run(Time::ms(1));
    assert!(rig.drain_primary().is_empty(), "who was there at start is not announced");
    let register = rig.portsc(port);
    assert_eq!(rig.read(register), 0x206E1);
    rig.run(Time::ms(101));
    rig.write(register, 1 << 9 | 1 << 4);
    assert_eq!(rig.read(register), 0x22_0603);
    assert_eq!(rig.drain_primary().len(), 1);
    rig.clean();
}

#[test]
fn a_reset_takes_50_ms_and_then_the_port_is_enabled() {
    let mut rig = Rig::cold(Personality::seeded(51));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    rig.plug(port, Model::Sync);
    rig.bring_up();
    let register = rig.portsc(port);
    rig.run(Time::ms(101));
    rig.write(register, 1 << 9 | 1 << 4);
    rig.run(Time::ms(45));
    assert_eq!(rig.read(register) & 0x12, 0x10, "still in reset, not enabled");
    rig.run(Time::ms(15));
    assert_eq!(rig.read(register) & 0x20_0012, 0x20_0002);
    rig.clean();
}

#[test]
fn no_second_event_comes_while_a_change_bit_is_set() {
    let mut rig = Rig::running(Personality::seeded(52));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    rig.plug(port, Model::Sync);
    rig.run(Time::ms(1));
    let device = rig.xhc.unplug(&mut rig.fabric, port).unwrap();
    assert_eq!(rig.drain_primary().len(), 1);
    let register = rig.portsc(port);
    rig.write(register, 1 << 9 | 0x7F << 17);
    rig.plug_device(port, device);
    assert_eq!(rig.drain_primary().len(), 1);
    rig.clean();
}

#[test]
fn to_address_a_device_that_was_just_pulled_is_no_mistake_but_one_that_was_never_reset_is() {
    // Milliseconds since software acknowledged the change, if it did.
    for (pulled, told) in [(true, None), (true, Some(0)), (true, Some(2)), (false, Some(2))] {
        let mut rig = Rig::running(Personality::seeded(53));
        let port = rig.xhc.personality().usb2_port(0).unwrap();
        rig.plug(port, Model::Sync);
        let register = rig.portsc(port);
        if pulled {
            rig.connect(port);
        } else {
            rig.run(Time::ms(1));
        }
        let slot = rig.prepare_address(port);
        if pulled {
            drop(rig.xhc.unplug(&mut rig.fabric, port));
        }
        // However long it took until software heard.
        rig.run(Time::ms(2));
        if let Some(ago) = told {
            rig.write(register, 1 << 9 | 0x7F << 17);
            rig.run(Time::ms(ago));
        }
        // With BSR nothing goes over the wire that could fail.
        // After 2 ms whatever was under way then is over.
        let expected = if pulled && told != Some(2) { code::SUCCESS } else { code::PARAMETER };
        assert_eq!(rig.with_input(11, slot, 1), expected, "pulled {pulled}, told {told:?}");
        if expected == code::SUCCESS {
            assert_eq!(rig.with_input(11, slot, 0), code::TRANSACTION);
            rig.clean();
        } else {
            rig.only("ContextMalformed");
        }
    }
}

#[test]
fn a_port_that_is_not_told_to_keep_its_power_loses_its_device() {
    let mut personality = Personality::seeded(54);
    personality.port_power = true;
    let (mut rig, slot) = Rig::with_headset(personality, Model::Sync);
    let register = rig.portsc(slot.port);
    rig.write(register, 1 << 21);
    assert_eq!(rig.read(register) & 0x203, 0);
    rig.clean();
}

#[test]
fn a_port_reset_under_a_stream_silences_it() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(55), Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let mut ring = stream.ring.clone();
    for n in 0..60 {
        rig.push(&mut ring, Rig::isoch(stream.buffer.plus(512 * n), 192, true));
    }
    stream.ring = ring;
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    rig.reset_port(slot.port);
    let sent = rig.xhc.wire().log().packets().len();
    rig.run(Time::ms(50));
    assert_eq!(rig.xhc.wire().log().packets().len(), sent);
    assert!(rig.heard(slot.port).pcm().len() <= music(192 * sent).len());
    rig.clean();
}
