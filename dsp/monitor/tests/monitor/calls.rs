//! Each call, and each refusal of it.

use crate::bench::{
    BUFFER_BUS, Bench, Deed, EVENTS_PEER, RAM, REAL, REAL_BUS, REGISTERS, SHADOW, entry, packet,
};
use addr::{Bus, Phys};
use dsp_abi::bell;
use dsp_abi::control::NoticeKind;
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE, SLOTS};
use dsp_abi::monitor::{Call, MAIL_IN, MAIL_OUT, Status};
use gate::Refusal;
use monitor::{Answer, Time};
use proptest::prelude::*;
use qmi::qrtr::{Address, Frame, FrameKind, Node, Port};
use trb::{CYCLE, Trb};

const OK: u32 = Status::Ok as u32;

fn refused(refusal: Refusal) -> [u32; 4] {
    [Status::Refused as u32, refusal as u32, 0, 0]
}

fn closed() -> [u32; 4] {
    [Status::Closed as u32, 0, 0, 0]
}

/// A datagram from `node` with `payload`.
fn datagram(node: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [0; DATAGRAM];
    let from = Address { node: Node(node), port: Port(0x10) };
    let to = Address { node: Node(APP_NODE), port: Port(2) };
    let frame = Frame { kind: FrameKind::Data, from, to, confirm: false };
    let len = frame.encode(payload, &mut bytes).expect("it fits");
    bytes[..len].to_vec()
}

#[test]
fn now_is_the_time_in_two_words() {
    let mut bench = Bench::new();
    bench.ground.now = Time(0x1_2345_6789);
    assert_eq!(bench.call(Call::Now, [0; 4]), [OK, 0x2345_6789, 1, 0]);
}

#[test]
fn a_number_that_is_no_call_is_refused_and_counted() {
    let mut bench = Bench::new();
    let answer = bench.monitor.call(&mut bench.ground, [8, 0, 0, 0, 0, 0]);
    assert_eq!(answer, Answer::Return([Status::BadCall as u32, 0, 0, 0]));
    assert_eq!(bench.answers().refusals, 1);
}

#[test]
fn a_legal_packet_gets_to_the_real_ring_and_its_first_cycle_bit_last() {
    let mut bench = Bench::open();
    for place in 0..3 {
        bench.shadow(place, packet());
    }
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 3]), [OK, 0, 0, 0]);
    assert_eq!([bench.real(0), bench.real(1), bench.real(2)], [packet().0; 3]);
    let at = Phys(REAL.into());
    let order = [
        Deed::Write { at, len: 48 },
        Deed::Publish,
        Deed::Write { at: at.plus(12), len: 4 },
        Deed::Publish,
    ];
    assert_eq!(bench.deeds(), order, "no bell and nothing else");
}

/// The controller must not see the first TRB as its own before the rest stands.
#[test]
fn the_first_write_leaves_the_ring_the_controllers_end_where_it_was() {
    let mut bench = Bench::open();
    bench.shadow(0, packet());
    bench.ground.written.clear();
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 1])[0], OK);
    let cycle = |control: u8| u32::from(control) & CYCLE;
    assert_eq!(cycle(bench.ground.written[0][12]), 0);
    assert_eq!(cycle(bench.ground.written[1][0]), 1);
}

#[test]
fn what_the_gate_refuses_leaves_the_real_ring_alone() {
    let mut bench = Bench::open();
    let mut outside = packet();
    outside.0[0] = BUFFER_BUS - 1;
    bench.shadow(0, packet());
    bench.shadow(1, outside);
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 2]), refused(Refusal::Buffer));
    assert_eq!(bench.real(0), [0; 4], "nothing is published in part");
    for (arguments, refusal) in [
        ([0, 0, 0, 0], Refusal::Places),
        ([0, 0, 0, 257], Refusal::Places),
        ([0, 0, 256, 1], Refusal::Places),
        ([0, 0, 255, 2], Refusal::Places),
        ([0, 0, u32::MAX, u32::MAX], Refusal::Places),
        ([0, 0, 1, 1], Refusal::NotNext),
        ([0, 1, 0, 1], Refusal::NoRing),
        ([0, 2, 0, 1], Refusal::NoRing),
        ([0, u32::MAX, 0, 1], Refusal::NoRing),
    ] {
        assert_eq!(bench.call(Call::Publish, arguments), refused(refusal), "{arguments:?}");
    }
    let writes = bench.deeds();
    let ring = Phys(REAL.into())..Phys(u64::from(REAL) + 4096);
    let into_ring = |deed: &Deed| matches!(deed, Deed::Write { at, .. } if ring.contains(at));
    assert!(!writes.iter().any(into_ring));
    assert_eq!(bench.answers().refusals, 10);
}

#[test]
fn a_whole_round_with_its_link_is_one_publication() {
    let mut bench = Bench::open();
    for place in 0..255 {
        bench.shadow(place, packet());
    }
    bench.shadow(255, trb::link(Bus(REAL_BUS.into()), true).with_cycle(true));
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 256])[0], OK);
    assert_eq!(bench.real(254), packet().0);
    bench.shadow(0, packet().with_cycle(false));
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 1])[0], OK, "the cycle has turned");
}

/// What is checked is what is published, whatever happens to the shadow ring
/// after it was read.
#[test]
fn the_shadow_ring_is_read_once() {
    let mut bench = Bench::open();
    bench.shadow(0, packet());
    bench.ground.reads = 0;
    bench.ground.meanwhile = Some(|ram, _| {
        let shadow = (u64::from(SHADOW) - RAM) as usize;
        ram[shadow..shadow + 16].fill(0xEE);
    });
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 1])[0], OK);
    assert_eq!(bench.real(0), packet().0);
}

#[test]
fn the_doorbell_is_the_sessions_own() {
    let mut bench = Bench::open();
    assert_eq!(bench.call(Call::Doorbell, [0, 0, 0, 0])[0], OK);
    let at = Phys(REGISTERS[0] + 0x2004);
    assert_eq!(bench.deeds(), [Deed::Register { at, value: 2 }]);
    assert_eq!(bench.call(Call::Doorbell, [0, 1, 0, 0]), refused(Refusal::NoRing));
    assert!(!bench.deeds().iter().any(|deed| matches!(deed, Deed::Register { .. })));
}

#[test]
fn erdp_gets_low_then_high_and_stays_in_the_sessions_ring() {
    let mut bench = Bench::open();
    assert_eq!(bench.call(Call::Dequeue, [0, 3, 0, 0])[0], OK);
    let at = Phys(REGISTERS[0] + 0x1058);
    let low = Deed::Register { at, value: 0x1038 };
    assert_eq!(bench.deeds(), [low, Deed::Register { at: at.plus(4), value: 0 }]);
    assert_eq!(bench.call(Call::Dequeue, [0, 256, 0, 0]), refused(Refusal::Dequeue));
}

#[test]
fn a_session_is_found_by_the_page_behind_its_event_ring() {
    let mut bench = Bench::open();
    let at = EVENTS_PEER.0 as u32;
    assert_eq!(bench.call(Call::FindSession, [at, 0, 0, 0]), [OK, 0, 0, 0]);
    // Not mapped, not a page, not of iommu's part of the space.
    for at in [0x2000, at + 16, 0x0180_0000, u32::MAX] {
        assert_eq!(bench.call(Call::FindSession, [at, 0, 0, 0]), closed());
    }
    let mut shut = entry();
    shut.open = 0;
    bench.gate(0, 0, &shut);
    assert_eq!(bench.call(Call::FindSession, [at, 0, 0, 0]), closed());
}

#[test]
fn calls_on_a_session_that_is_not_open_answer_closed_and_do_nothing() {
    let mut bench = Bench::open();
    for session in [1, 15, 16, u32::MAX] {
        assert_eq!(bench.call(Call::Publish, [session, 0, 0, 1]), closed());
        assert_eq!(bench.call(Call::Doorbell, [session, 0, 0, 0]), closed());
        assert_eq!(bench.call(Call::Dequeue, [session, 0, 0, 0]), closed());
    }
    assert_eq!(bench.deeds(), []);
    assert_eq!(bench.answers().refusals, 0, "a gate may close at any time");
}

#[test]
fn a_refusal_is_told_once_for_each_opening_and_counted_each_time() {
    let mut bench = Bench::open();
    for _ in 0..1000 {
        bench.call(Call::Publish, [0, 0, 9, 1]);
        bench.call(Call::Doorbell, [0, 7, 0, 0]);
        bench.call(Call::Dequeue, [0, u32::MAX, 0, 0]);
    }
    assert_eq!(bench.rings(bell::NOTICE), 1);
    let notice = bench.answers().notices[0][0];
    assert_eq!(notice.kind, NoticeKind::Refused as u32);
    assert_eq!((notice.generation, notice.count), (1, 1));
    assert_eq!(notice.detail, Refusal::NotNext as u32);
    assert_eq!(bench.answers().refusals, 3000);
    let mut again = entry();
    again.generation = 2;
    bench.gate(0, 0, &again);
    bench.call(Call::Doorbell, [0, 7, 0, 0]);
    assert_eq!(bench.answers().notices[0][0].generation, 2);
}

#[test]
fn a_datagram_goes_out_of_the_programs_page_and_another_comes_in() {
    let mut bench = Bench::new();
    bench.link(1);
    bench.deeds();
    let out = datagram(DSP_NODE, b"out");
    assert_eq!(bench.send(&out), OK);
    assert_eq!(bench.rings(bell::MAIL_TO_APP), 1);
    assert_eq!(bench.link_gets(), Some(out));
    let incoming = datagram(APP_NODE, b"in");
    bench.link_sends(&incoming);
    let len = incoming.len() as u32;
    assert_eq!(bench.call(Call::MailReceive, [0; 4]), [OK, len, 0, 0]);
    let place = MAIL_IN.offset_from(MAIL_OUT).expect("one page") as usize;
    assert_eq!(&bench.ground.own[place..place + incoming.len()], incoming);
    assert_eq!(bench.call(Call::MailReceive, [0; 4]), [OK, 0, 0, 0]);
}

#[test]
fn a_datagram_that_is_none_or_comes_from_elsewhere_is_refused() {
    let mut bench = Bench::new();
    bench.link(1);
    let bad = Status::BadDatagram as u32;
    assert_eq!(bench.send(&datagram(APP_NODE, b"forged")), bad);
    assert_eq!(bench.send(b"no frame"), bad);
    assert_eq!(bench.send(&[]), bad);
    for len in [DATAGRAM as u32 + 1, 4097, u32::MAX] {
        assert_eq!(bench.call(Call::MailSend, [len, 0, 0, 0])[0], bad);
    }
    assert_eq!(bench.link_gets(), None);
    assert_eq!(bench.answers().refusals, 6);
}

#[test]
fn a_mailbox_without_room_or_without_another_side_is_full() {
    let mut bench = Bench::new();
    let out = datagram(DSP_NODE, b"out");
    assert_eq!(bench.send(&out), Status::MailFull as u32, "nobody is there");
    bench.link(1);
    for _ in 0..SLOTS {
        assert_eq!(bench.send(&out), OK);
    }
    assert_eq!(bench.send(&out), Status::MailFull as u32);
    assert_eq!(bench.answers().refusals, 0);
}

proptest! {
    /// Whatever the program calls, the monitor lives, touches only what is its
    /// own (the ground asserts it), and what got to the real ring and the
    /// registers is the session's.
    #[test]
    fn no_call_reaches_beyond_the_session(
        calls in proptest::collection::vec(
            (0_u32..9, any::<[u8; 4]>(), any::<[bool; 4]>()),
            0..100,
        ),
        shadow in proptest::collection::vec((0_u32..256, any::<[u32; 4]>()), 0..20),
    ) {
        let mut bench = Bench::open();
        bench.link(1);
        for place in 0..256 {
            bench.shadow(place, packet());
        }
        for (place, words) in shadow {
            bench.shadow(place, Trb(words));
        }
        for (number, small, huge) in calls {
            let argument = |n: usize| {
                if huge[n] { u32::MAX - u32::from(small[n]) } else { u32::from(small[n]) }
            };
            let words = [number, argument(0), argument(1), argument(2), argument(3), 0];
            bench.monitor.call(&mut bench.ground, words);
        }
        let doorbell = Phys(REGISTERS[0] + 0x2004);
        let erdp = Phys(REGISTERS[0] + 0x1058);
        for deed in bench.deeds() {
            if let Deed::Register { at, value } = deed {
                let own = at == doorbell && value == 2
                    || at == erdp && (0x1000..0x2000).contains(&value)
                    || at == erdp.plus(4) && value == 0;
                prop_assert!(own, "{:?}", deed);
            }
        }
        for place in 0..256 {
            let trb = Trb(bench.real(place));
            if trb.type_number() == 5 {
                prop_assert!(trb.pointer() >= Bus(BUFFER_BUS.into()));
            }
        }
    }
}
