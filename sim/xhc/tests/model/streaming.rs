//! Isochronous streams on interrupter 1.

use crate::rig::{Rig, code, music};
use fabric::{IntId, Time};
use usb_model::headset::Model;
use usb_model::{Microframe, Speed};
use xhc::Personality;

fn frames(rig: &Rig) -> Vec<u64> {
    rig.xhc.wire().log().packets().iter().map(|packet| packet.at.frame()).collect()
}

fn consecutive(frames: &[u64]) -> bool {
    frames.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// What is missing at the end is what a stream's own end looks like.
fn close(rig: &mut Rig, slot: &mut crate::rig::Slot) {
    rig.run(Time::ms(30));
    assert_eq!(rig.request(slot, [1, 11, 0, 1], &[]), code::SUCCESS);
}

#[test]
fn a_stream_is_heard_bit_for_bit_at_48_and_44_1_khz() {
    for (seed, rate) in [(1, 48_000), (2, 44_100), (3, 96_000), (4, 8_000)] {
        let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(seed), Model::Sync);
        let mut stream = rig.open(&mut slot, rate as u32);
        let data = music(rate * 4 / 5);
        let events = rig.play(&slot, &mut stream, &data, rate);
        close(&mut rig, &mut slot);
        assert!(events.iter().all(|event| event.slot() == slot.id && event.dci() == 2));
        assert_eq!(rig.xhc.wire().log().bytes(), data);
        assert!(consecutive(&frames(&rig)), "{rate}");
        let heard = rig.heard(slot.port);
        assert_eq!((heard.gaps, heard.pcm() == data), (0, true), "{rate}");
        rig.clean();
    }
}

#[test]
fn underrun_is_told_once_to_the_slots_interrupter_and_a_doorbell_goes_on() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(6), Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let data = music(192 * 20);
    rig.play(&slot, &mut stream, &data[..192 * 10], 48_000);
    rig.run(Time::ms(20));
    let late: Vec<u32> = rig.drain(&mut stream.events).iter().map(|event| event.code()).collect();
    let primary = rig.drain_primary();
    assert!(primary.is_empty(), "{primary:?}");
    assert_eq!(rig.xhc.stats().dry_rings, 1);
    assert!(late.len() <= 1 && late.iter().all(|&code| code == code::UNDERRUN));
    rig.play(&slot, &mut stream, &data[192 * 10..], 48_000);
    close(&mut rig, &mut slot);
    assert_eq!(rig.xhc.wire().log().bytes(), data);
    assert_eq!(rig.heard(slot.port).gaps, 1);
    assert_eq!(rig.xhc.stats().dry_rings, 2);
    rig.clean();
}

#[test]
fn nothing_is_scheduled_while_nothing_plays() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(8), Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    rig.run(Time::ms(50));
    assert!(rig.fabric.events.is_empty());
    rig.play(&slot, &mut stream, &music(1920), 48_000);
    rig.run(Time::ms(50));
    assert!(rig.fabric.events.is_empty());
}

#[test]
fn an_event_ring_that_nobody_reads_fills_drops_and_the_stream_plays_on() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(11), Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let small = rig.event_ring(1, 16, 1);
    let mut ring = stream.ring.clone();
    for n in 0..40 {
        rig.push(&mut ring, Rig::isoch(stream.buffer.plus(512 * n), 192, true));
    }
    stream.ring = ring;
    rig.ring_stream(&slot);
    rig.run(Time::ms(60));
    assert_eq!(rig.xhc.wire().log().packets().len(), 40);
    assert!(consecutive(&frames(&rig)));
    assert_eq!(rig.xhc.stats().rings_full, 1);
    // 15 places, the last of them for the error: 14 of 40 and the underrun.
    assert_eq!(rig.xhc.stats().events_lost, 41 - 14);
    let events = rig.drain(&mut small.clone());
    assert_eq!(events.len(), 15);
    assert_eq!((events[14].kind(), events[14].code()), (37, code::RING_FULL));
    rig.clean();
}

#[test]
fn unplugging_drops_the_packet_in_flight_without_a_word_on_the_streams_ring() {
    for personality in [Personality::qemu(), Personality::seeded(12)] {
        let (mut rig, mut slot) = Rig::with_headset(personality, Model::Sync);
        let mut stream = rig.open(&mut slot, 48_000);
        let mut ring = stream.ring.clone();
        for n in 0..60 {
            rig.push(&mut ring, Rig::isoch(stream.buffer.plus(512 * n), 192, true));
        }
        stream.ring = ring;
        rig.ring_stream(&slot);
        rig.run(Time::ms(20));
        rig.drain(&mut stream.events);
        let sent = rig.xhc.wire().log().packets().len();
        let port = slot.port;
        let device = rig.xhc.unplug(&mut rig.fabric, port).unwrap();
        rig.run(Time::ms(50));
        assert_eq!(rig.xhc.wire().log().packets().len(), sent);
        assert!(rig.drain(&mut stream.events).len() <= 1, "only what was on its way");
        let register = rig.portsc(port);
        assert_eq!(rig.read(register), 0x202A0);
        let events = rig.drain_primary();
        assert_eq!((events.len(), events[0].kind()), (1, 34));
        assert_eq!(events[0].0[0] >> 24, u32::from(port.0));
        // Taking down a device that is gone.
        assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
        assert!(rig.drain(&mut stream.events).is_empty(), "no Stopped event");
        assert_eq!(rig.drop_endpoint(&slot), code::SUCCESS);
        assert_eq!(rig.simple(10, slot.id, 0), code::SUCCESS);
        assert!(device.heard().unwrap().pcm().len() >= 192 * (sent - 2));
        // And plugging it in again.
        rig.write(register, 1 << 9 | 1 << 17);
        rig.plug_device(port, device);
        rig.connect(port);
        rig.enumerate(port);
        rig.clean();
    }
}

#[test]
fn a_control_transfer_to_a_device_that_is_gone_is_a_transaction_error() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(13), Model::Sync);
    rig.xhc.unplug(&mut rig.fabric, slot.port);
    assert_eq!(rig.request(&mut slot, [0, 9, 1, 0], &[]), code::TRANSACTION);
    rig.clean();
}

#[test]
fn frame_ids_are_met_exactly_and_missed_ones_are_told_of() {
    let mut personality = Personality::seeded(21);
    personality.contiguous_frame_ids = true;
    let (mut rig, mut slot) = Rig::with_headset(personality, Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let now = rig.read(0x1000) / 8;
    let first = now + 20;
    let mut ring = stream.ring.clone();
    // Two that have passed, then three in a row, then one a little later.
    for frame in [now - 2, now - 1, first, first + 1, first + 2, first + 6] {
        let mut trb = Rig::isoch(stream.buffer, 192, true);
        trb[3] = trb[3] & 0x000F_FFFF | (frame & 0x7FF) << 20;
        rig.push(&mut ring, trb);
    }
    stream.ring = ring;
    rig.ring_stream(&slot);
    rig.run(Time::ms(40));
    let codes: Vec<u32> = rig.drain(&mut stream.events).iter().map(|e| e.code()).collect();
    assert_eq!(codes, [code::MISSED, code::MISSED, 1, 1, 1, 1, code::UNDERRUN]);
    let sent = frames(&rig);
    assert_eq!(sent.len(), 4);
    let offsets: Vec<u64> = sent.iter().map(|frame| frame - sent[0]).collect();
    assert_eq!(offsets, [0, 1, 2, 6]);
    // MFINDEX and the bus count differently, but in step.
    let index = rig.read(0x1000);
    let bus = Microframe::at(rig.fabric.now()).0;
    let shift = (u64::from(index) + 0x4000 - bus % 0x4000) % 0x4000;
    assert_eq!((sent[0] * 8 + shift) / 8 % 2048, u64::from(first & 0x7FF));
    assert_eq!(rig.xhc.stats().missed_services, 2);
    rig.clean();
}

#[test]
fn the_first_packet_keeps_its_distance_and_none_is_fetched_too_late() {
    let mut personality = Personality::seeded(2);
    (personality.lead, personality.ist_field) = (8, 9);
    let (mut rig, mut slot) = Rig::with_headset(personality, Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let start = rig.fabric.now();
    let mut ring = stream.ring.clone();
    rig.push(&mut ring, Rig::isoch(stream.buffer, 192, true));
    stream.ring = ring;
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    let first = rig.xhc.wire().log().packets()[0].at;
    assert!(first.starts() > start + Time::ms(1), "a frame and the threshold");
    rig.clean();
}

#[test]
fn a_high_speed_headset_with_feedback_streams_and_answers() {
    let mut rig = Rig::cold(Personality::seeded(14));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    rig.plug(port, Model::Async(Speed::High));
    rig.bring_up();
    rig.connect(port);
    let mut slot = rig.enumerate(port);
    let (out, feedback) = (rig.producer(), rig.producer());
    let mut events = rig.event_ring(1, 256, 1);
    let context = rig.slot_context(port, 3);
    let endpoint = Rig::isoch_context(&out, 388);
    let value = [6 << 16, 5 << 3 | 4 << 16, feedback.base.low() | 1, 0, 4 << 16 | 4];
    rig.fill_input(0, 1 | 1 << 2 | 1 << 3, &[(0, context), (2, endpoint), (3, value)]);
    assert_eq!(rig.with_input(12, slot.id, 0), code::SUCCESS);
    let mut target = context;
    target[2] = 1 << 22;
    rig.fill_input(0, 1, &[(0, target)]);
    assert_eq!(rig.with_input(13, slot.id, 0), code::SUCCESS);
    assert_eq!(rig.request(&mut slot, [1, 11, 1, 1], &[]), code::SUCCESS);
    assert_eq!(rig.request(&mut slot, [0x22, 1, 0x100, 1], &[0x80, 0xBB, 0]), code::SUCCESS);
    let (mut out, mut feedback) = (out, feedback);
    let buffer = rig.pages(2);
    for n in 0..64 {
        rig.push(&mut out, Rig::isoch(buffer, 192, false));
        let into = buffer.plus(4096 + 4 * n);
        rig.push(&mut feedback, Rig::isoch(into, 4, true));
    }
    rig.write(0x2000 + 4 * u32::from(slot.id), 2);
    rig.write(0x2000 + 4 * u32::from(slot.id), 3);
    rig.run(Time::ms(60));
    let seen = rig.drain(&mut events);
    let values: Vec<u32> = (0..7)
        .map(|n| rig.load_words::<1>(buffer.plus(4096 + 4 * n))[0])
        .filter(|&value| value != 0)
        .collect();
    assert!(values.len() >= 4, "{values:x?}");
    for value in values {
        let rate = f64::from(value) / 65_536.0 * 8.0;
        assert!((rate - 48.0).abs() < 5.0, "{rate}");
    }
    assert!(seen.iter().filter(|event| event.dci() == 3).count() >= 6);
    let gaps: Vec<u64> = rig.xhc.wire().log().packets().iter().map(|p| p.at.0 % 8).collect();
    assert!(gaps.iter().all(|&phase| phase == gaps[0]));
    rig.clean();
}

#[test]
fn a_descriptor_of_several_trbs_is_one_packet() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(15), Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let data = music(192);
    rig.store(stream.buffer, &data[..100]);
    rig.store(stream.buffer.plus(4096), &data[100..]);
    let mut ring = stream.ring.clone();
    // Not yet the last byte of the packet: one is left after the first TRB.
    let mut first = Rig::isoch(stream.buffer, 100, false);
    first[2] |= 1 << 17;
    first[3] |= 1 << 4;
    rig.push(&mut ring, first);
    let rest = stream.buffer.plus(4096);
    rig.push(&mut ring, [rest.low(), 0, 92 | 1 << 22, 1 << 10 | 1 << 4]);
    // An Event Data TRB tells how much went out.
    rig.push(&mut ring, [0xABCD, 7, 1 << 22, 7 << 10 | 1 << 5]);
    stream.ring = ring;
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    assert_eq!(rig.xhc.wire().log().bytes(), data);
    let events = rig.drain(&mut stream.events);
    assert_eq!(events[0].pointer().0, 0x7_0000_ABCD);
    assert_eq!((events[0].residual(), events[0].0[3] >> 2 & 1), (192, 1));
    rig.clean();
}

#[test]
fn interrupter_1_raises_its_own_vector() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(16), Model::Sync);
    rig.write(0x1000 + 0x40, 2);
    let mut stream = rig.open(&mut slot, 48_000);
    rig.play(&slot, &mut stream, &music(192 * 16), 48_000);
    assert!(rig.fabric.interrupts.is_pending(IntId(81)));
    rig.clean();
}

#[test]
fn a_packet_costs_little() {
    // No time is measured here; that nothing grows is what a minute relies on.
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(17), Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    rig.play(&slot, &mut stream, &music(192 * 3_000), 48_000);
    close(&mut rig, &mut slot);
    let heard = rig.heard(slot.port);
    assert_eq!((heard.packets, heard.gaps), (3_000, 0));
    assert!(rig.fabric.events.len() < 4);
    rig.clean();
}
