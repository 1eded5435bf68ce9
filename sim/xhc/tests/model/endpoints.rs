//! Endpoint commands: stop, restart, move on, configure.

use crate::rig::{Rig, Slot, Stream, code, music};
use fabric::{Record, Time};
use std::cell::RefCell;
use std::rc::Rc;
use usb_model::headset::Model;
use xhc::{Personality, StoppedEvent};

/// A stream with `count` packets queued, playing.
fn playing(personality: Personality, count: u64) -> (Rig, Slot, Stream) {
    let (mut rig, mut slot) = Rig::with_headset(personality, Model::Sync);
    let mut stream = rig.open(&mut slot, 48_000);
    let data = music(192 * count as usize);
    let mut ring = stream.ring.clone();
    for n in 0..count {
        let place = stream.buffer.plus(512 * n);
        rig.store(place, &data[192 * n as usize..192 * (n as usize + 1)]);
        rig.push(&mut ring, Rig::isoch(place, 192, false));
    }
    stream.ring = ring;
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    (rig, slot, stream)
}

#[test]
fn stopping_tells_on_the_streams_own_ring_before_after_late_or_never() {
    for stopped in
        [StoppedEvent::Before, StoppedEvent::After, StoppedEvent::Late, StoppedEvent::Never]
    {
        let mut personality = Personality::seeded(31);
        personality.stopped = stopped;
        let (mut rig, slot, mut stream) = playing(personality, 60);
        let (event, others) = rig.command_with([0, 0, 0, 15 << 10 | 1 << 24 | 2 << 16]);
        assert_eq!(event.code(), code::SUCCESS);
        assert!(others.is_empty(), "not on interrupter 0");
        assert_eq!(rig.endpoint_state(slot.id, 2), 3);
        rig.run(Time::us(1));
        let early = rig.drain(&mut stream.events).len();
        rig.run(Time::ms(2));
        let late = rig.drain(&mut stream.events);
        assert_eq!(rig.simple(15, slot.id, 2), code::CONTEXT_STATE, "stopped already");
        match stopped {
            StoppedEvent::Before | StoppedEvent::After => assert_eq!((early, late.len()), (1, 0)),
            StoppedEvent::Late => {
                assert_eq!((early, late.len()), (0, 1));
                assert_eq!((late[0].code(), late[0].residual()), (code::STOPPED, 192));
            }
            StoppedEvent::Never => assert_eq!((early, late.len()), (0, 0)),
        }
        rig.clean();
    }
}

#[test]
fn a_late_stopped_event_for_a_ring_that_is_gone_is_not_written() {
    let mut personality = Personality::seeded(32);
    personality.stopped = StoppedEvent::Late;
    let (mut rig, slot, _) = playing(personality, 60);
    assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
    rig.write(0x1000 + 0x40 + 8, 0);
    rig.run(Time::ms(5));
    rig.clean();
}

#[test]
fn a_doorbell_restarts_a_stopped_endpoint_where_it_stopped() {
    let mut personality = Personality::seeded(33);
    personality.dequeue_past_stopped = false;
    let (mut rig, slot, _) = playing(personality, 60);
    assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
    rig.ring_stream(&slot);
    rig.run(Time::ms(80));
    assert_eq!(rig.xhc.wire().log().bytes(), music(192 * 60));
    rig.clean();
}

#[test]
fn the_qemu_like_controller_stops_behind_the_packet_it_names() {
    let (mut rig, slot, mut stream) = playing(Personality::qemu(), 60);
    let sent = rig.xhc.wire().log().packets().len() as u64;
    assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
    let stopped = rig.drain(&mut stream.events)[0];
    assert_eq!((stopped.code(), stopped.residual()), (code::STOPPED, 192));
    assert_eq!(stopped.pointer(), stream.ring.base.plus(16 * sent));
    let dequeue = rig.output(slot.id, 2)[2] & !0xF;
    assert_eq!(dequeue, stopped.pointer().plus(16).low());
    assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS, "again");
    // Back to the packet that was named: nothing is lost.
    assert_eq!(rig.set_dequeue(slot.id, 2, stopped.pointer(), true), code::SUCCESS);
    rig.ring_stream(&slot);
    rig.run(Time::ms(80));
    assert_eq!(rig.xhc.wire().log().bytes(), music(192 * 60));
    rig.clean();
}

#[test]
fn the_orderly_end_of_a_stream_breaks_no_rule_and_leaves_nothing() {
    for seed in 0..24 {
        let (mut rig, mut slot, mut stream) = playing(Personality::seeded(seed), 20);
        rig.run(Time::ms(60));
        assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
        rig.drain(&mut stream.events);
        assert_eq!(rig.request(&mut slot, [1, 11, 0, 1], &[]), code::SUCCESS);
        assert_eq!(rig.drop_endpoint(&slot), code::SUCCESS);
        rig.set_target(&slot, 0);
        rig.write(0x1000 + 0x40 + 8, 0);
        assert_eq!(rig.simple(10, slot.id, 0), code::SUCCESS);
        rig.run(Time::ms(5));
        assert_eq!((rig.xhc.enabled_slots(), rig.xhc.configured_endpoints()), (0, 0));
        assert!(!rig.xhc.interrupter_in_use(xhc::InterrupterId(1)));
        assert_eq!(rig.heard(slot.port).pcm(), music(192 * 20));
        rig.clean();
    }
}

#[test]
fn drop_and_add_in_one_command_gives_a_fresh_ring() {
    let (mut rig, mut slot, _) = playing(Personality::seeded(34), 60);
    assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
    let fresh = rig.producer();
    let context = rig.slot_context(slot.port, 2);
    let endpoint = Rig::isoch_context(&fresh, 388);
    rig.fill_input(1 << 2, 1 | 1 << 2, &[(0, context), (2, endpoint)]);
    assert_eq!(rig.with_input(12, slot.id, 0), code::SUCCESS);
    assert_eq!(rig.output(slot.id, 2)[2], fresh.base.low() | 1);
    let before = rig.xhc.wire().log().packets().len();
    let mut stream =
        Stream { ring: fresh, events: rig.event_ring(1, 256, 1), buffer: rig.pages(16) };
    rig.play(&slot, &mut stream, &music(192 * 10), 48_000);
    rig.run(Time::ms(20));
    assert_eq!(rig.xhc.wire().log().packets().len(), before + 10);
    assert_eq!(rig.request(&mut slot, [1, 11, 0, 1], &[]), code::SUCCESS);
    rig.clean();
}

#[test]
fn too_much_for_the_bus_is_a_bandwidth_error_and_changes_nothing() {
    let (mut rig, slot) = Rig::with_headset(Personality::seeded(35), Model::Capture);
    let (first, second) = (rig.producer(), rig.producer());
    let context = rig.slot_context(slot.port, 4);
    let (one, two) = (Rig::isoch_context(&first, 600), Rig::isoch_context(&second, 600));
    rig.fill_input(0, 1 | 1 << 2 | 1 << 4, &[(0, context), (2, one), (4, two)]);
    assert_eq!(rig.with_input(12, slot.id, 0), code::BANDWIDTH);
    assert_eq!((rig.endpoint_state(slot.id, 2), rig.xhc.configured_endpoints()), (0, 0));
    let context = rig.slot_context(slot.port, 2);
    rig.fill_input(0, 1 | 1 << 2, &[(0, context), (2, one)]);
    assert_eq!(rig.with_input(12, slot.id, 0), code::SUCCESS);
    rig.clean();
}

#[test]
fn commands_in_the_wrong_state_are_context_state_errors() {
    let (mut rig, slot, _) = playing(Personality::seeded(36), 60);
    let dequeue = rig.pages(1);
    assert_eq!(rig.set_dequeue(slot.id, 2, dequeue, true), code::CONTEXT_STATE, "running");
    assert_eq!(rig.simple(14, slot.id, 2), code::CONTEXT_STATE, "reset of one not halted");
    assert_eq!(rig.simple(15, slot.id, 5), code::CONTEXT_STATE, "stop of a disabled one");
    assert_eq!(rig.with_input(11, slot.id, 0), code::CONTEXT_STATE, "address again");
    assert_eq!(rig.simple(15, slot.id + 1, 2), code::SLOT_NOT_ENABLED);
    rig.clean();
}

#[test]
fn reset_device_disables_all_but_endpoint_0_and_the_device_can_be_addressed_anew() {
    let (mut rig, mut slot, _) = playing(Personality::seeded(37), 60);
    assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
    rig.reset_port(slot.port);
    rig.run(Time::ms(11));
    assert_eq!(rig.simple(17, slot.id, 0), code::SUCCESS);
    assert_eq!((rig.endpoint_state(slot.id, 2), rig.output(slot.id, 0)[3] >> 27), (0, 1));
    let fresh = rig.producer();
    let context = rig.slot_context(slot.port, 1);
    let endpoint = [0, 4 << 3 | 3 << 1 | 64 << 16, fresh.base.low() | 1, 0, 8];
    rig.fill_input(0, 3, &[(0, context), (1, endpoint)]);
    assert_eq!(rig.with_input(11, slot.id, 0), code::SUCCESS);
    rig.run(Time::ms(3));
    slot.control = fresh;
    assert_eq!(rig.request(&mut slot, [0, 9, 1, 0], &[]), code::SUCCESS);
    rig.clean();
}

#[test]
fn evaluate_context_changes_the_packet_size_of_endpoint_0_and_the_target_only() {
    let (mut rig, slot) = Rig::with_headset(Personality::seeded(38), Model::Sync);
    let context = rig.slot_context(slot.port, 1);
    let mut target = context;
    target[2] = 1 << 22;
    rig.fill_input(0, 3, &[(0, target), (1, [0, 32 << 16, 0, 0, 0])]);
    assert_eq!(rig.with_input(13, slot.id, 0), code::SUCCESS);
    assert_eq!(rig.output(slot.id, 1)[1] >> 16, 32);
    assert_eq!(rig.output(slot.id, 0)[2] >> 22, 1);
    rig.clean();
    rig.fill_input(0, 1 << 2, &[(2, [0; 5])]);
    assert_eq!(rig.with_input(13, slot.id, 0), code::PARAMETER);
    rig.only("ContextMalformed");
}

/// Who watches for the order of rule 6 reads it from the trace.
#[test]
fn a_target_that_moves_is_told_with_the_endpoints_that_still_name_it() {
    for dropped in [true, false] {
        let (mut rig, slot, _) = playing(Personality::seeded(40), 60);
        let told = Rc::new(RefCell::new(Vec::new()));
        let told_here = Rc::clone(&told);
        rig.fabric.trace.set_listener(Box::new(move |_, record| {
            if let Record::Target { slot, from, to, left, .. } = *record {
                told_here.borrow_mut().push((slot, from, to, left));
            }
        }));
        assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
        if dropped {
            assert_eq!(rig.drop_endpoint(&slot), code::SUCCESS);
        }
        for to in [1, 0, 0, 1] {
            rig.set_target(&slot, to);
        }
        let left = if dropped { 0 } else { 1 << 2 };
        // Endpoint 0 names the primary one.
        assert_eq!(*told.borrow(), [(slot.id, 1, 0, left), (slot.id, 0, 1, 1 << 1)]);
    }
}

#[test]
fn too_small_a_packet_size_for_endpoint_0_is_babble() {
    let (mut rig, mut slot) = Rig::with_headset(Personality::seeded(39), Model::Sync);
    rig.fill_input(0, 2, &[(1, [0, 8 << 16, 0, 0, 0])]);
    assert_eq!(rig.with_input(13, slot.id, 0), code::SUCCESS);
    assert_eq!(rig.control(&mut slot, [0x80, 6, 0, 1, 0, 0, 18, 0]).code(), 3);
    rig.clean();
}
