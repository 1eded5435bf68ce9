//! The program from outside: what it says, when it plays, what it plays, and
//! how it ends. The gate of every test refuses by panicking, so what the program
//! publishes here always passes.

mod core;

use addr::Bus;
use core::{BROKER, SLOT, Said, TestCore, begin, granted, granted_nth, playing, start};
use dsp_abi::port::{self, Ending, Kind};
use program::Program;
use proptest::prelude::*;
use qmi::qrtr::{Address, Control, Node, Port, Server};
use qmi::{Event, Speed, Status, StreamIndication, StreamRequest, Txn};

fn pcm(frames: u32) -> Vec<u8> {
    (0..frames * 4).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect()
}

/// The requests among what was said.
fn requests(said: &[Said]) -> Vec<(Txn, StreamRequest)> {
    said.iter()
        .filter_map(|said| match said {
            Said::Request(txn, request) => Some((*txn, *request)),
            _ => None,
        })
        .collect()
}

fn reports(said: &[Said]) -> Vec<port::Message> {
    said.iter()
        .filter_map(|said| match said {
            Said::Port(message) => Some(*message),
            _ => None,
        })
        .collect()
}

/// Answers the disable request and takes the final report.
fn finish(core: &TestCore, program: &mut Program) -> port::Message {
    program.step(core);
    let said = core.sent();
    let (txn, request) = *requests(&said).last().expect("a disable request");
    assert_eq!(request.enable, 0);
    assert!(request.audio_format.is_some() && request.number_of_ch.is_some(), "B2");
    let mut response = granted(Speed::FULL, 192, 1, false);
    response.status = Some(Status::SUCCESS);
    core.respond(txn, &response);
    program.step(core);
    program.step(core);
    let reports = reports(&core.sent());
    *reports.iter().find(|report| report.kind == Kind::Done as u32).expect("a report")
}

/// Plays until nothing is left; the packets.
fn play(core: &TestCore, program: &mut Program) -> Vec<core::Packet> {
    let mut packets = vec![];
    while let Some(packet) = core.take_packet() {
        let reported = packet.reported;
        packets.push(packet);
        if reported {
            program.step(core);
        }
    }
    packets
}

#[test]
fn it_announces_itself_and_asks_for_nothing_unless_told_p1() {
    let core = TestCore::new();
    let mut program = Program::new();
    program.step(&core);
    let said = core.sent();
    assert!(matches!(said[0], Said::Control(Control::Hello)));
    assert!(matches!(
        said[1],
        Said::Control(Control::NewServer(Server { service: port::SERVICE, .. }))
    ));
    core.announce_broker();
    program.step(&core);
    assert!(core.sent().is_empty());
    assert_eq!(core.touched.get(), 0);
}

#[test]
fn a_stream_is_played_bit_for_bit_and_given_back_48_khz() {
    let core = TestCore::new();
    let mut program = Program::new();
    let pcm = pcm(48_000);
    core.load_pcm(&pcm);
    let start = start(7, 48_000, 48_000);
    playing(&core, &mut program, &start, &granted(Speed::FULL, 192, 1, false), 192);
    let packets = play(&core, &mut program);
    assert_eq!(packets.len(), 1000);
    assert!(packets.iter().all(|packet| packet.bytes.len() == 192));
    assert_eq!(packets.concat_bytes(), pcm);
    let spacing = packets.split(|packet| packet.reported).map(<[_]>::len).max();
    assert_eq!(spacing, Some(7), "one completion in eight is reported");
    let report = finish(&core, &mut program);
    assert_eq!((report.cookie, report.result), (7, Ending::Played as u32));
    assert_eq!((report.played, report.underruns), (48_000, 0));
}

/// Nothing else may ever happen: the Ring Underrun that follows the last packet
/// may have come before its completion, or never come.
#[test]
fn a_stream_is_given_back_in_the_step_that_sees_its_last_packet() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(4_800));
    let start = start(7, 48_000, 4_800);
    playing(&core, &mut program, &start, &granted(Speed::FULL, 192, 1, false), 192);
    play(&core, &mut program);
    let (_, request) = *requests(&core.sent()).last().expect("a disable request");
    assert_eq!(request.enable, 0);
}

#[test]
fn packets_of_44_1_khz_carry_44_and_45_frames_and_lose_nothing() {
    let core = TestCore::new();
    let mut program = Program::new();
    let pcm = pcm(44_100);
    core.load_pcm(&pcm);
    let start = start(1, 44_100, 44_100);
    playing(&core, &mut program, &start, &granted(Speed::FULL, 180, 1, false), 180);
    let packets = play(&core, &mut program);
    assert_eq!(packets.len(), 1000);
    let long = packets.iter().filter(|packet| packet.bytes.len() == 180).count();
    let short = packets.iter().filter(|packet| packet.bytes.len() == 176).count();
    assert_eq!((long, short), (100, 900));
    assert_eq!(packets.concat_bytes(), pcm);
}

/// Slower than a frame per microframe, so that some rounds are empty packets
/// only: they are published all the same, or the next publication would begin
/// behind them.
#[test]
fn packets_without_a_frame_are_published_too() {
    let core = TestCore::new();
    let mut program = Program::new();
    let pcm = pcm(500);
    core.load_pcm(&pcm);
    let response = granted(Speed::HIGH, 64, 1, false);
    playing(&core, &mut program, &start(1, 500, 500), &response, 64);
    let mut heard = vec![];
    let mut empty = 0;
    while let Some(packet) = core.take_packet() {
        empty += u32::from(packet.bytes.is_empty());
        heard.extend(packet.bytes);
        // A round as short as can be: after every packet.
        program.step(&core);
    }
    assert!(empty > 7000, "{empty} empty packets");
    assert_eq!(heard, pcm);
}

#[test]
fn the_last_packet_is_filled_up_with_silence() {
    let core = TestCore::new();
    let mut program = Program::new();
    let pcm = pcm(100);
    core.load_pcm(&pcm);
    playing(&core, &mut program, &start(1, 48_000, 100), &granted(Speed::FULL, 192, 1, false), 192);
    let packets = play(&core, &mut program);
    let heard = packets.concat_bytes();
    assert_eq!((packets.len(), heard.len()), (3, 3 * 192));
    assert_eq!(heard[..400], pcm);
    assert!(heard[400..].iter().all(|&byte| byte == 0));
    assert!(packets[2].reported);
}

#[test]
fn high_speed_follows_feedback_in_16_16() {
    let core = TestCore::new();
    let mut program = Program::new();
    let pcm = pcm(48_000);
    core.load_pcm(&pcm);
    let mut start = start(1, 48_000, 48_000);
    start.interval_us = 125;
    playing(&core, &mut program, &start, &granted(Speed::HIGH, 28, 1, true), 28);
    // The device's clock is 1 % fast: 6.06 frames a microframe.
    let wish = (6.06 * 65_536.0) as u32;
    let mut heard = vec![];
    let mut count = 0_u32;
    let mut late = 0;
    while let Some(packet) = core.take_packet() {
        count += 1;
        if count.is_multiple_of(8) {
            assert!(core.give_feedback(&wish.to_le_bytes()), "the sync ring is kept full");
        }
        if count > 1000 && count <= 2000 {
            late += packet.bytes.len() / 4;
        }
        let reported = packet.reported;
        heard.extend(packet.bytes);
        if reported || count.is_multiple_of(8) {
            program.step(&core);
        }
    }
    assert!((6055..=6065).contains(&late), "{late} frames in 1000 microframes");
    assert_eq!(heard[..pcm.len()], pcm);
}

#[test]
fn full_speed_follows_feedback_in_10_14() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(48_000));
    playing(
        &core,
        &mut program,
        &start(1, 48_000, 48_000),
        &granted(Speed::FULL, 196, 1, true),
        196,
    );
    let wish = (47.9 * f64::from(1 << 14)) as u32;
    let (mut count, mut late) = (0, 0);
    while let Some(packet) = core.take_packet() {
        count += 1;
        core.give_feedback(&wish.to_le_bytes()[..3]);
        if (401..=900).contains(&count) {
            late += packet.bytes.len() / 4;
        }
        program.step(&core);
    }
    assert!((23_945..=23_955).contains(&late), "{late} frames in 500 ms");
}

#[test]
fn an_empty_or_absurd_feedback_packet_changes_nothing() {
    let core = TestCore::new();
    let mut program = Program::new();
    let pcm = pcm(48_000);
    core.load_pcm(&pcm);
    playing(
        &core,
        &mut program,
        &start(1, 48_000, 48_000),
        &granted(Speed::FULL, 196, 1, true),
        196,
    );
    let mut heard = vec![];
    while let Some(packet) = core.take_packet() {
        core.give_feedback(if heard.len() % 2 == 0 { &[] } else { &[0xFF; 3] });
        assert_eq!(packet.bytes.len(), 192);
        heard.extend(packet.bytes);
        program.step(&core);
    }
    assert_eq!(heard, pcm);
}

#[test]
fn a_dry_ring_is_counted_and_gets_going_again() {
    let core = TestCore::new();
    let mut program = Program::new();
    let pcm = pcm(48_000);
    core.load_pcm(&pcm);
    playing(
        &core,
        &mut program,
        &start(1, 48_000, 48_000),
        &granted(Speed::FULL, 192, 1, false),
        192,
    );
    // The program sleeps through all that was queued.
    let mut heard = vec![];
    while let Some(packet) = core.take_packet() {
        heard.extend(packet.bytes);
    }
    assert!(heard.len() < pcm.len());
    core.event(Bus(0), 14, 2);
    let doorbells = core.doorbells.get();
    program.step(&core);
    assert!(core.doorbells.get() > doorbells, "the doorbell is rung again");
    for packet in play(&core, &mut program) {
        heard.extend(packet.bytes);
    }
    // Dry at the end is no underrun.
    core.event(Bus(0), 14, 2);
    assert_eq!(heard, pcm);
    assert_eq!(finish(&core, &mut program).underruns, 1);
}

#[test]
fn events_are_acknowledged_place_by_place_round_the_ring() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(48_000 * 3));
    let start = start(1, 48_000, 48_000 * 3);
    playing(&core, &mut program, &start, &granted(Speed::FULL, 192, 1, false), 192);
    let packets = play(&core, &mut program);
    let events = packets.iter().filter(|packet| packet.reported).count() as u32;
    assert!(events > 256, "more than a round");
    assert_eq!(core.dequeue.get(), events % 256);
}

/// R21: a slot is that of a controller; another has slots of the same numbers.
#[test]
fn a_disconnect_of_its_slot_ends_in_a_disable_and_of_another_in_nothing_p5() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(48_000));
    playing(
        &core,
        &mut program,
        &start(1, 48_000, 48_000),
        &granted(Speed::FULL, 192, 1, false),
        192,
    );
    core.sent();
    indicate(&core, Event::DISCONNECT, SLOT + 1, 0);
    // R21: another controller has slots of the same numbers.
    indicate(&core, Event::DISCONNECT, SLOT, 1);
    indicate(&core, Event::CONNECT, SLOT, 0);
    program.step(&core);
    assert!(requests(&core.sent()).is_empty());
    indicate(&core, Event::DISCONNECT, SLOT, 0);
    let doorbells = core.doorbells.get();
    let report = finish(&core, &mut program);
    assert_eq!(report.result, Ending::Revoked as u32);
    assert_eq!(core.doorbells.get(), doorbells, "nothing is queued any more");
}

/// D-25: a stream whose device is suspended is given back as at any other end,
/// and its start is told why; that the device is back ends nothing, and the next
/// start is carried out.
#[test]
fn d25_a_suspend_of_its_slot_ends_the_stream_with_its_own_word_and_the_next_one_begins() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(48_000));
    let granted = granted(Speed::FULL, 192, 1, false);
    playing(&core, &mut program, &start(1, 48_000, 48_000), &granted, 192);
    core.sent();
    indicate(&core, Event::SUSPEND, SLOT + 1, 0);
    indicate(&core, Event::RESUME, SLOT, 0);
    program.step(&core);
    assert!(requests(&core.sent()).is_empty());
    indicate(&core, Event::SUSPEND, SLOT, 0);
    let report = finish(&core, &mut program);
    assert_eq!(report.result, Ending::Suspended as u32);
    indicate(&core, Event::RESUME, SLOT, 0);
    program.step(&core);
    assert!(requests(&core.sent()).is_empty(), "it begins nothing by itself");
    playing(&core, &mut program, &start(2, 48_000, 48_000), &granted, 192);
}

/// The broker says what became of a device.
fn indicate(core: &TestCore, event: Event, slot_id: u32, controller: u8) {
    let indication = StreamIndication {
        dev_event: event,
        slot_id,
        controller_num: Some(controller),
        ..StreamIndication::default()
    };
    let mut bytes = [0; 200];
    let len = indication.encode(Txn(0), &mut bytes).unwrap();
    core.qmi(BROKER, &bytes[..len]);
}

/// DCI of the second endpoint, IN.
const MICROPHONE: u32 = 5;

/// A start for `frames` frames of mono 16-bit sound to be recorded.
fn record(cookie: u32, frames: u32) -> port::Message {
    port::Message { token: 0x0001_0001, channels: 1, ..start(cookie, 48_000, frames) }
}

/// A microphone's stream, in session `n`.
fn microphone(n: usize) -> qmi::StreamResponse {
    let mut response = granted_nth(n, Speed::FULL, 98, 1, false);
    if let Some(endpoint) = &mut response.std_as_data_ep_desc {
        endpoint.address = 0x82;
    }
    response
}

#[test]
fn what_a_device_says_is_recorded_packet_behind_packet_whatever_their_lengths() {
    let core = TestCore::new();
    let mut program = Program::new();
    let wanted = 4_410;
    playing(&core, &mut program, &record(3, wanted), &microphone(0), 98);
    let (mut said, mut rang) = (Vec::new(), 0);
    for n in 0.. {
        // 44.1 kHz: nine packets of 44 frames and one of 45; some are empty.
        let frames = if n % 10 == 9 { 45 } else { 44 };
        let packet: Vec<u8> = (0..2 * frames).map(|k| (n * 7 + k) as u8).collect();
        let packet = if n % 13 == 12 { &[][..] } else { &packet };
        let Some(rings) = core.give_packet(0, packet, MICROPHONE) else { break };
        said.extend(packet);
        if rings {
            rang += 1;
            program.step(&core);
        }
    }
    assert!(rang > 10, "{rang}");
    program.step(&core);
    let report = finish(&core, &mut program);
    assert_eq!((report.result, report.played), (Ending::Played as u32, wanted));
    assert_eq!((report.underruns, report.cookie), (0, 3));
    let bytes = 2 * wanted as usize;
    assert_eq!(core.recorded(bytes), said[..bytes]);
}

#[test]
fn a_recording_has_one_place_and_no_more_room_than_there_is() {
    let core = TestCore::new();
    let mut program = Program::new();
    playing(&core, &mut program, &record(3, 1000), &microphone(0), 98);
    core.sent();
    core.port(Kind::Start, &record(4, 1000));
    program.step(&core);
    let report = reports(&core.sent())[0];
    assert_eq!((report.cookie, report.result), (4, Ending::Busy as u32));

    let core = TestCore::new();
    let mut program = Program::new();
    core.announce_broker();
    core.port(Kind::Start, &record(5, dsp_abi::monitor::RECORDING_BYTES / 2 + 1));
    program.step(&core);
    let (txn, _) = requests(&core.sent())[0];
    core.open(98);
    core.respond(txn, &microphone(0));
    assert_eq!(finish(&core, &mut program).result, Ending::BadStart as u32);
}

/// Underrun and overrun follow the slot's interrupter target, which is the older
/// session's: what arrives in its ring is entered where it belongs.
#[test]
fn an_event_in_another_sessions_ring_reaches_the_stream_that_it_is_about() {
    for to_other in [false, true] {
        let core = TestCore::new();
        let mut program = Program::new();
        core.load_pcm(&pcm(48_000));
        let play = start(1, 48_000, 48_000);
        playing(&core, &mut program, &play, &granted(Speed::FULL, 192, 1, false), 192);
        let wanted = 480;
        begin(&core, &mut program, 1, &record(2, wanted), &microphone(1), 98);
        core.sent();
        // In the ring of session 0: its own underrun, or the microphone's overrun.
        let (code, dci) = if to_other { (15, MICROPHONE) } else { (14, 2) };
        core.event_in(0, Bus(0), code << 24, SLOT, dci);
        // And of a slot that none of them has, and of another endpoint.
        core.event_in(0, Bus(0), 14 << 24, SLOT + 1, 2);
        core.event_in(0, Bus(0), 14 << 24, SLOT, 8);
        program.step(&core);
        assert_eq!(core.dequeue.get(), 3, "all of them were taken off that ring");
        while core.give_packet(1, &[7; 96], MICROPHONE).is_some() {
            program.step(&core);
        }
        let recorded = finish(&core, &mut program);
        assert_eq!((recorded.cookie, recorded.underruns), (2, u32::from(to_other)));
        core.port(Kind::Stop, &play);
        let played = finish(&core, &mut program);
        assert_eq!((played.cookie, played.underruns), (1, u32::from(!to_other)));
    }
}

#[test]
fn a_stop_ends_a_stream_that_runs_and_one_that_was_only_asked_for() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(48_000));
    let message = start(1, 48_000, 48_000);
    playing(&core, &mut program, &message, &granted(Speed::FULL, 192, 1, false), 192);
    core.sent();
    core.port(Kind::Stop, &message);
    assert_eq!(finish(&core, &mut program).result, Ending::Stopped as u32);
    // Asked for, not answered: what may have been granted is given back.
    core.port(Kind::Start, &start(2, 48_000, 100));
    program.step(&core);
    assert_eq!(requests(&core.sent()).len(), 1);
    core.port(Kind::Stop, &start(2, 48_000, 100));
    assert_eq!(finish(&core, &mut program).result, Ending::Stopped as u32);
}

#[test]
fn a_refusal_is_reported_and_nothing_was_touched() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.announce_broker();
    core.port(Kind::Start, &start(5, 48_000, 100));
    program.step(&core);
    let (txn, _) = requests(&core.sent())[0];
    let mut response = granted(Speed::FULL, 192, 1, false);
    response.status = Some(Status::FAILURE);
    core.respond(txn, &response);
    program.step(&core);
    program.step(&core);
    let report = reports(&core.sent())[0];
    assert_eq!((report.cookie, report.result), (5, Ending::Refused as u32));
    assert_eq!(core.touched.get(), 0);
}

#[test]
fn a_start_without_sense_is_reported_as_such() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.announce_broker();
    core.port(Kind::Start, &start(5, 0, 100));
    program.step(&core);
    let said = core.sent();
    assert!(requests(&said).is_empty());
    assert_eq!(reports(&said)[0].result, Ending::BadStart as u32);
}

#[test]
fn a_response_that_cannot_be_used_is_given_back() {
    let broken: [fn(&mut qmi::StreamResponse); 6] = [
        |response| response.xhci_mem_info = None,
        |response| response.interrupter_num = None,
        |response| response.usb_audio_subslot_size = Some(0),
        |response| response.speed_info = Some(Speed(0)),
        |response| response.std_as_data_ep_desc.as_mut().unwrap().max_packet = 100,
        |response| response.xhci_mem_info.as_mut().unwrap().xfer_buff.size = 192,
    ];
    for break_it in broken {
        let core = TestCore::new();
        let mut program = Program::new();
        core.announce_broker();
        core.port(Kind::Start, &start(5, 48_000, 100));
        program.step(&core);
        let (txn, _) = requests(&core.sent())[0];
        core.open(192);
        let mut response = granted(Speed::FULL, 192, 1, false);
        break_it(&mut response);
        core.respond(txn, &response);
        program.step(&core);
        let report = finish(&core, &mut program);
        assert_eq!(report.result, Ending::Refused as u32);
        assert_eq!(core.doorbells.get(), 0);
    }
}

#[test]
fn a_stream_whose_packets_do_not_complete_is_given_back() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(48_000));
    let message = start(1, 48_000, 48_000);
    playing(&core, &mut program, &message, &granted(Speed::FULL, 192, 1, false), 192);
    core.sent();
    core.now.set(core.now.get() + 900_000_000);
    program.step(&core);
    assert!(requests(&core.sent()).is_empty(), "it may go on");
    core.now.set(core.now.get() + 200_000_000);
    program.step(&core);
    let enables: Vec<u8> = requests(&core.sent()).iter().map(|(_, r)| r.enable).collect();
    assert_eq!(enables, [0]);
}

#[test]
fn a_gate_that_closes_ends_the_stream() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(48_000));
    playing(
        &core,
        &mut program,
        &start(1, 48_000, 48_000),
        &granted(Speed::FULL, 192, 1, false),
        192,
    );
    while !core.take_packet().expect("packets are queued").reported {}
    core.close();
    program.step(&core);
    assert_eq!(finish(&core, &mut program).result, Ending::Revoked as u32);
}

#[test]
fn a_lost_service_makes_every_address_invalid_and_asks_for_nothing_p6() {
    let losses = [
        Control::Bye(Node(dsp_abi::mailbox::APP_NODE)),
        Control::DelServer(Server {
            service: qmi::SERVICE,
            instance: qmi::INSTANCE_WORD,
            at: BROKER,
        }),
        Control::DelClient(BROKER),
    ];
    for loss in losses {
        let core = TestCore::new();
        let mut program = Program::new();
        core.load_pcm(&pcm(48_000));
        let message = start(1, 48_000, 48_000);
        playing(&core, &mut program, &message, &granted(Speed::FULL, 192, 1, false), 192);
        core.sent();
        core.control(&loss);
        program.step(&core);
        let (touched, doorbells) = (core.touched.get(), core.doorbells.get());
        while core.take_packet().is_some() {}
        core.now.set(u64::MAX / 2);
        program.step(&core);
        assert_eq!((core.touched.get(), core.doorbells.get()), (touched, doorbells));
        assert!(requests(&core.sent()).is_empty());
    }
}

#[test]
fn messages_of_anyone_but_the_broker_are_nothing() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.announce_broker();
    core.port(Kind::Start, &start(5, 48_000, 100));
    program.step(&core);
    let (txn, _) = requests(&core.sent())[0];
    let mut bytes = [0; 256];
    let response = granted(Speed::FULL, 192, 1, false);
    let len = response.encode(txn, &mut bytes).unwrap();
    let stranger = Address { port: Port(0x4999), ..BROKER };
    core.qmi(stranger, &bytes[..len]);
    core.open(192);
    // And an answer to another question.
    let len = response.encode(Txn(txn.0 + 9), &mut bytes).unwrap();
    core.qmi(BROKER, &bytes[..len]);
    for _ in 0..3 {
        core.now.set(core.now.get() + 10_000_000);
        program.step(&core);
    }
    assert_eq!((core.touched.get(), core.doorbells.get()), (0, 0));
}

#[test]
fn an_answer_that_never_comes_ends_in_a_report() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.announce_broker();
    core.port(Kind::Start, &start(5, 48_000, 100));
    program.step(&core);
    for _ in 0..6 {
        core.now.set(core.now.get() + 6_000_000_000);
        program.step(&core);
    }
    let said = core.sent();
    let enables: Vec<u8> = requests(&said).iter().map(|(_, request)| request.enable).collect();
    assert_eq!(enables, [1, 0], "what may have been granted is given back once");
    assert_eq!(reports(&said)[0].result, Ending::Refused as u32);
}

#[test]
fn a_link_that_begins_anew_is_told_again_that_a_stream_is_given_back() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(48_000));
    let message = start(1, 48_000, 48_000);
    playing(&core, &mut program, &message, &granted(Speed::FULL, 192, 1, false), 192);
    core.sent();
    core.announce_broker();
    program.step(&core);
    assert!(requests(&core.sent()).is_empty(), "a stream that runs runs on");
    core.port(Kind::Stop, &message);
    program.step(&core);
    core.announce_broker();
    program.step(&core);
    let said = requests(&core.sent());
    let enables: Vec<u8> = said.iter().map(|(_, request)| request.enable).collect();
    assert_eq!(enables, [0, 0]);
    assert_ne!(said[0].0, said[1].0, "a transaction of its own");
}

#[test]
fn a_link_that_begins_anew_is_asked_again_for_a_stream_as_the_same_transaction() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.announce_broker();
    core.port(Kind::Start, &start(1, 48_000, 480));
    program.step(&core);
    core.announce_broker();
    program.step(&core);
    program.step(&core);
    let said = requests(&core.sent());
    assert_eq!(said.len(), 2, "once for each link");
    assert_eq!(said[0], said[1]);
}

#[test]
fn what_it_reported_it_reports_again_when_asked_and_of_what_it_never_heard_it_says_so() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.load_pcm(&pcm(480));
    let message = start(1, 48_000, 480);
    playing(&core, &mut program, &message, &granted(Speed::FULL, 192, 1, false), 192);
    core.sent();
    core.port(Kind::Ask, &message);
    program.step(&core);
    assert_eq!(reports(&core.sent())[0].kind, Kind::Started as u32);
    play(&core, &mut program);
    let done = finish(&core, &mut program);
    for again in [Kind::Ask, Kind::Start] {
        core.port(again, &message);
        program.step(&core);
        let said = core.sent();
        assert_eq!((reports(&said), requests(&said)), (vec![done], vec![]), "{again:?}");
    }
    core.port(Kind::Ask, &start(2, 48_000, 480));
    program.step(&core);
    let report = reports(&core.sent())[0];
    assert_eq!((report.cookie, report.result), (2, Ending::Forgotten as u32));
    // What is over is in nobody's way.
    for cookie in 3..7 {
        core.port(Kind::Start, &start(cookie, 48_000, 100));
    }
    program.step(&core);
    assert_eq!(requests(&core.sent()).len(), 4);
}

#[test]
fn a_full_mailbox_delays_what_is_said_and_loses_nothing() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.mail_room.set(0);
    core.announce_broker();
    core.port(Kind::Start, &start(5, 48_000, 100));
    program.step(&core);
    assert!(core.sent().is_empty());
    core.mail_room.set(100);
    program.step(&core);
    let said = core.sent();
    assert_eq!(requests(&said).len(), 1);
    assert!(said.iter().any(|said| matches!(said, Said::Control(Control::NewServer(_)))));
}

#[test]
fn more_starts_than_it_can_play_are_answered_busy() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.announce_broker();
    for cookie in 0..5 {
        core.port(Kind::Start, &start(cookie, 48_000, 100));
    }
    program.step(&core);
    let said = core.sent();
    assert_eq!(requests(&said).len(), 4);
    let report = reports(&said)[0];
    assert_eq!((report.cookie, report.result), (4, Ending::Busy as u32));
}

#[test]
fn a_start_said_twice_is_one_stream() {
    let core = TestCore::new();
    let mut program = Program::new();
    core.announce_broker();
    core.port(Kind::Start, &start(5, 48_000, 100));
    core.port(Kind::Start, &start(5, 48_000, 100));
    program.step(&core);
    assert_eq!(requests(&core.sent()).len(), 1);
}

trait Concat {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl Concat for Vec<core::Packet> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|packet| packet.bytes.iter().copied()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is in the mailbox, the event ring and the response, the program
    /// goes on, and what it publishes passes the gate.
    #[test]
    fn garbage_neither_stops_it_nor_gets_past_the_gate(
        datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..6),
        events in proptest::collection::vec((any::<u32>(), 0..40_u32, 0..4_u32), 0..40),
        max_packet in 0..2000_u16,
        interval in 0..20_u8,
        rate in 1..200_000_u32,
        high in any::<bool>(),
    ) {
        let core = TestCore::new();
        let mut program = Program::new();
        core.load_pcm(&pcm(1000));
        core.announce_broker();
        core.port(Kind::Start, &start(1, rate, 1000));
        program.step(&core);
        let (txn, _) = requests(&core.sent())[0];
        core.open(u32::from(max_packet & 0x7FF) * (1 + u32::from(max_packet >> 11 & 3)));
        let speed = if high { Speed::HIGH } else { Speed::FULL };
        core.respond(txn, &granted(speed, max_packet, interval, false));
        for datagram in &datagrams {
            core.qmi(BROKER, datagram);
        }
        for (pointer, code, dci) in events {
            core.now.set(core.now.get() + 5_000_000);
            program.step(&core);
            core.event(Bus(u64::from(pointer)), code, dci);
            core.take_packet();
        }
        program.step(&core);
    }
}
