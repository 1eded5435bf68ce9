//! What each request is worth, and what the peer reads of it, in both dialects.

mod world;

use offload_broker::ops::Input;
use offload_broker::refusal::{Dialect, Failure, Refusal};
use offload_broker::service::{Heard, hear};
use offload_broker_api::SessionPhase;
use qmi::{QmiResult, Status, StreamRequest, StreamResponse, Token, Txn};
use usb_audio_api::UsbAudioError;
use usb_core_api::UsbCoreError;
use world::{OTHER, PEER, World, disable, enable};
use xhci_api::XhciError;

const EINVAL: u32 = 22_u32.wrapping_neg();
const ENODEV: u32 = 19_u32.wrapping_neg();
const EBUSY: u32 = 16_u32.wrapping_neg();

/// The request is refused with this code in the precise dialect, and with this
/// errno in upstream's, and leaves no trace in either.
#[track_caller]
fn refused(request: StreamRequest, refusal: Refusal, errno: u32) {
    for dialect in [Dialect::Precise, Dialect::Upstream] {
        let mut world = World::new(dialect);
        world.request(PEER, 9, request);
        let wire = match dialect {
            Dialect::Precise => (refusal.status(), refusal as u32),
            Dialect::Upstream => (Status::FAILURE, errno),
        };
        let (to, txn, response) = world.responses[0];
        assert_eq!((to, txn), (PEER, Txn(9)), "B12: same transaction, to the sender");
        assert_eq!(response.usb_token, Some(request.usb_token), "B12: the token is echoed");
        assert_eq!(response.resp, QmiResult::OK);
        assert_eq!(world.refused(), wire, "{refusal:?}");
        world.assert_clean();
        assert_eq!(world.broker.status().begun, 0);
    }
}

#[test]
fn b2_each_of_the_four_fields_is_required_on_enable_and_on_disable() {
    for whole in [enable(1, 0), disable(1, 0)] {
        for strip in [
            |r: &mut StreamRequest| r.audio_format = None,
            |r: &mut StreamRequest| r.bit_rate = None,
            |r: &mut StreamRequest| r.number_of_ch = None,
            |r: &mut StreamRequest| r.xfer_buff_size = None,
        ] {
            let mut request = whole;
            strip(&mut request);
            refused(request, Refusal::MissingField, EINVAL);
        }
    }
}

/// D-1: 0x100 is not card 0.
#[test]
fn b4_d1_a_card_number_is_checked_in_all_its_sixteen_bits() {
    refused(enable(32, 0), Refusal::BadCard, EINVAL);
    refused(enable(0x100, 0), Refusal::BadCard, EINVAL);
    refused(enable(0x101, 0), Refusal::BadCard, EINVAL);
    refused(enable(31, 255), Refusal::NoDevice, ENODEV);
}

#[test]
fn b5_formats_end_at_seventeen() {
    refused(StreamRequest { audio_format: Some(18), ..enable(1, 0) }, Refusal::BadFormat, EINVAL);
    let mut world = World::new(Dialect::Precise);
    world.request(PEER, 1, StreamRequest { audio_format: Some(17), ..enable(1, 0) });
    assert_eq!(world.last().status, Some(Status::SUCCESS));
}

#[test]
fn b6_card_direction_and_stream_must_exist() {
    refused(enable(2, 0), Refusal::NoDevice, ENODEV);
    refused(enable(1, 2), Refusal::NoStream, ENODEV);
    let direction =
        |direction| StreamRequest { usb_token: Token::new(1, 0, direction), ..enable(1, 0) };
    refused(direction(2), Refusal::BadDirection, ENODEV);
    refused(direction(255), Refusal::BadDirection, ENODEV);
    let capture = StreamRequest { usb_token: Token::new(1, 1, 1), ..enable(1, 0) };
    refused(capture, Refusal::NoStream, ENODEV);
}

#[test]
fn b6_a_card_whose_device_is_gone_is_shutting_down() {
    let mut world = World::running(Dialect::Precise);
    world.unplug(1);
    world.request(PEER, 2, enable(1, 1));
    world.refused_with(Refusal::ShuttingDown);
}

#[test]
fn b8_a_second_enable_of_a_stream_is_busy_whatever_phase_it_is_in() {
    for phase in ["open", "arm", "", "close_gate"] {
        let mut world = World::new(Dialect::Precise);
        world.mute.insert(phase);
        world.request(PEER, 1, enable(1, 0));
        if phase == "close_gate" {
            world.request(PEER, 2, disable(1, 0));
        }
        world.responses.clear();
        world.request(PEER, 3, enable(1, 0));
        world.refused_with(Refusal::BusyStream);
    }
    assert_eq!(Refusal::BusyStream.errno(), EBUSY);
}

/// D-4: one event ring and one interrupter for everything made a second stream
/// of a device EBUSY. Here it has its own of all, and ends alone.
#[test]
fn d4_a_second_stream_of_a_device_has_a_session_of_its_own() {
    for first_ends in [0, 1] {
        let mut world = World::running(Dialect::Precise);
        world.request(PEER, 2, enable(1, 1));
        assert_eq!(world.last().status, Some(Status::SUCCESS));
        let session = |world: &World, place| world.broker.session(place).expect("a place");
        let interrupters = [0, 1].map(|place| session(&world, place).interrupter);
        assert_ne!(interrupters[0], interrupters[1]);
        assert_eq!(session(&world, 0).device, session(&world, 1).device);
        world.request(PEER, 3, disable(1, first_ends));
        world.pass(1000);
        let phases = [0, 1].map(|place| session(&world, place).phase);
        let (ended, lives) = (usize::from(first_ends), usize::from(1 - first_ends));
        assert_eq!((phases[ended], phases[lives]), (SessionPhase::Free, SessionPhase::Running));
        assert_eq!(world.holds(), 1, "the other one still needs the device");
        world.request(PEER, 4, disable(1, 1 - first_ends));
        world.pass(1000);
        world.assert_clean();
    }
}

/// D-4: nor is a second device in want of memory.
#[test]
fn d4_a_second_device_gets_a_session_of_its_own() {
    let mut world = World::running(Dialect::Precise);
    world.plug(2);
    world.request(PEER, 2, enable(2, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    assert_eq!((world.broker.status().sessions, world.broker.status().votes), (2, 2));
    assert_eq!(world.holds(), 2);
}

#[test]
fn b9_intervals_are_powers_of_two_of_the_frame() {
    let with = |us| StreamRequest { service_interval: Some(us), ..enable(1, 0) };
    for bad in [0, 125, 375, 500, 1500, 3000, 65_536_000] {
        refused(with(bad), Refusal::BadInterval, EINVAL);
    }
    for good in [1000, 2000, 32_768_000] {
        let mut world = World::new(Dialect::Precise);
        world.request(PEER, 1, with(good));
        assert_eq!(world.last().status, Some(Status::SUCCESS));
    }
    let mut world = World::new(Dialect::Precise);
    world.request(PEER, 1, StreamRequest { service_interval: None, ..enable(1, 0) });
    assert_eq!(world.last().status, Some(Status::SUCCESS));
}

#[test]
fn b11_disable_of_what_is_not_enabled_is_refused() {
    refused(disable(1, 0), Refusal::NotEnabled, EINVAL);
    refused(disable(2, 0), Refusal::NoDevice, ENODEV);
}

/// B13: a failure at the data endpoint sends slot, descriptors and interrupter
/// 0, byte for byte as the vector `resp_fail_partial_memory_absent`.
#[test]
fn b13_what_was_filled_before_the_failing_step_stays_in_upstreams_response() {
    let mut world = World::new(Dialect::Upstream);
    world.plug_as(2, 3);
    world.fail.insert("add_endpoint", Failure::Xhci(XhciError::NoRingMemory));
    world.request(PEER, 11, enable(2, 0));
    let (_, txn, response) = world.responses[0];
    let vector = StreamResponse { usb_token: Some(Token(65536)), ..response };
    let mut bytes = [0; qmi::MAX_DATAGRAM];
    let len = vector.encode(txn, &mut bytes).expect("fits");
    let hex: String = bytes[..len].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "020b0001004c000204000000000010040001000000110400f4ffffff1204000300000013040000000100\
         14090009040101020102000015090009050109c000010000170200000118010001190100021b010000"
    );
}

#[test]
fn b13_each_further_step_adds_what_it_knew_and_precise_adds_nothing() {
    let known = |step: &'static str, dialect| {
        let mut world = World::new(dialect);
        world.fail.insert(step, Failure::Xhci(XhciError::TimedOut));
        world.request(PEER, 1, enable(1, 0));
        *world.last()
    };
    let at = |step| known(step, Dialect::Upstream);
    assert_eq!(at("open").slot_id, None);
    assert_eq!(at("describe").std_as_opr_intf_desc, None);
    assert!(at("register").std_as_data_ep_desc.is_some());
    assert_eq!(at("register").std_as_sync_ep_desc, None);
    let interrupter = at("create_interrupter");
    assert!(interrupter.std_as_sync_ep_desc.is_some() && interrupter.controller_num.is_some());
    assert_eq!((interrupter.interrupter_num, interrupter.speed_info), (Some(0), None));
    let arm = at("arm");
    assert_eq!((arm.interrupter_num, arm.xhci_mem_info), (Some(2), None));
    assert!(arm.speed_info.is_some());
    let precise = known("arm", Dialect::Precise);
    assert_eq!((precise.slot_id, precise.interrupter_num), (None, None));
}

#[test]
fn b17_a_request_that_upstream_would_read_as_zeros_is_answered_einval() {
    let header_only = [0, 7, 0, 1, 0, 0, 0];
    let Heard::Answer(txn, response) = hear(Dialect::Upstream, &header_only) else {
        panic!("upstream answers this");
    };
    assert_eq!((txn, response.internal_status), (Txn(7), Some(EINVAL)));
    assert_eq!(response.usb_token, Some(Token(0)));
}

/// D-2, D-22: the malformed entries of the vectors: `upstream` answers EINVAL where the
/// Linux decoder accepts what ours refuses, and nothing where it fails too
/// (B14 to B16, D-22); what both accept is served. `precise` names the fault.
#[test]
fn b14_b15_b16_malformed_messages_get_what_their_dialect_owes_them() {
    let entries = include_str!("data/malformed_requests.txt");
    let mut seen = 0;
    for line in entries.lines().filter(|line| !line.starts_with('#')) {
        let [name, hex, upstream, precise] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..][..2], 16).expect("hex"))
            .collect();
        let verdict = |dialect| match hear(dialect, &bytes) {
            Heard::Request(..) => "served",
            Heard::Silence => "silence",
            Heard::Answer(_, response) if response.resp == QmiResult::MALFORMED => "malformed",
            Heard::Answer(_, response) if response.resp == QmiResult::NOT_SUPPORTED => {
                "unsupported"
            }
            Heard::Answer(_, response) => {
                assert_eq!(response.internal_status, Some(EINVAL), "{name}");
                "einval"
            }
        };
        assert_eq!(verdict(Dialect::Upstream), upstream, "{name}, upstream");
        assert_eq!(verdict(Dialect::Precise), precise, "{name}, precise");
        seen += 1;
    }
    assert_eq!(seen, 30);
}

/// D-2: what is no message of ours has no handler.
#[test]
fn b15_what_is_too_short_or_no_request_is_never_answered() {
    for dialect in [Dialect::Precise, Dialect::Upstream] {
        for len in 0..7 {
            assert_eq!(hear(dialect, &[0; 7][..len]), Heard::Silence);
        }
        for kind in 1..=255 {
            assert_eq!(hear(dialect, &[kind, 1, 0, 1, 0, 0, 0]), Heard::Silence);
        }
    }
}

/// D-11: a request that is refused makes nobody the client; who has live
/// sessions is not pushed aside by another; after it is gone anyone may come
/// (B1, B21, B22).
#[test]
fn d11_the_client_is_who_has_sessions() {
    let mut world = World::new(Dialect::Precise);
    world.request(OTHER, 1, enable(9, 0));
    world.refused_with(Refusal::NoDevice);
    world.request(PEER, 1, enable(1, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    world.responses.clear();
    world.request(OTHER, 2, enable(1, 1));
    world.refused_with(Refusal::ForeignClient);
    world.request(OTHER, 3, disable(1, 0));
    world.refused_with(Refusal::ForeignClient);
    assert_eq!(world.broker.status().sessions, 1, "it did not end another's stream");
    world.input(Input::ClientGone(PEER));
    world.request(OTHER, 4, enable(1, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS));
}

#[test]
fn indications_go_to_the_client_and_name_the_stream_in_the_precise_dialect_only() {
    for dialect in [Dialect::Precise, Dialect::Upstream] {
        let mut world = World::running(dialect);
        world.unplug(1);
        let (to, indication) = world.indications[0];
        assert_eq!((to, indication.slot_id, indication.controller_num), (PEER, 1, Some(0)));
        assert_eq!(indication.usb_token.is_some(), dialect == Dialect::Precise);
    }
}

#[test]
fn a_repeated_enable_is_not_done_twice_and_is_answered_the_same_again() {
    let mut world = World::new(Dialect::Precise);
    world.mute.insert("arm");
    world.request(PEER, 1, enable(1, 0));
    world.request(PEER, 1, enable(1, 0));
    assert_eq!((world.responses.len(), world.broker.status().begun), (0, 1));
    world.finish_all();
    let first = *world.last();
    world.request(PEER, 1, enable(1, 0));
    assert_eq!((world.responses.len(), *world.last()), (2, first));
    world.request(PEER, 2, enable(1, 0));
    assert_eq!(world.last().internal_status, Some(Refusal::BusyStream as u32));
}

/// Whoever was refused and asks again has not heard it: were it granted now, the
/// first answer would still be on its way, and nobody would take the stream.
#[test]
fn a_repeated_enable_that_was_refused_is_refused_again() {
    let stalled = Failure::Audio(usb_audio_api::UsbAudioError::ControlFailed);
    for (step, refusal) in [("open", Refusal::ControlFailed), ("", Refusal::NoDevice)] {
        let mut world = World::new(Dialect::Precise);
        world.fail.insert(step, stalled);
        let card = if step.is_empty() { 9 } else { 1 };
        world.request(PEER, 1, enable(card, 0));
        world.refused_with(refusal);
        world.fail.clear();
        if card == 9 {
            world.plug(9);
        }
        let begun = world.broker.status().begun;
        world.request(PEER, 1, enable(card, 0));
        world.refused_with(refusal);
        assert_eq!(world.broker.status().begun, begun);
        // Another request is another matter.
        world.request(PEER, 2, enable(card, 0));
        assert_eq!(world.last().status, Some(Status::SUCCESS));
    }
}

#[test]
fn a_repeated_disable_is_answered_the_same_again_and_another_is_not() {
    let mut world = World::running(Dialect::Precise);
    world.mute.insert("close_gate");
    world.request(PEER, 2, disable(1, 0));
    world.request(PEER, 2, disable(1, 0));
    assert_eq!(world.responses.len(), 0);
    world.request(PEER, 3, disable(1, 0));
    world.refused_with(Refusal::NotEnabled);
    world.finish_all();
    world.pass(1000);
    assert_eq!((world.responses.len(), world.last().status), (1, Some(Status::SUCCESS)));
    world.request(PEER, 2, disable(1, 0));
    assert_eq!((world.responses.len(), world.last().status), (2, Some(Status::SUCCESS)));
    world.request(PEER, 4, disable(1, 0));
    assert_eq!(world.last().internal_status, Some(Refusal::NotEnabled as u32));
    world.assert_clean();
}

#[test]
fn a_transaction_of_a_restarted_client_is_not_taken_for_the_old_ones() {
    let mut world = World::running(Dialect::Precise);
    world.input(Input::NodeGone(PEER.node));
    world.assert_clean();
    world.request(PEER, 1, enable(1, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    assert_eq!(world.broker.status().begun, 2);
}

/// S13: Linux never had a backend that records; here a capture stream is one
/// like any other, but that nothing of it is played out at its end.
#[test]
fn s13_a_capture_stream_is_served_beside_the_playback_of_its_device() {
    let mut world = World::running(Dialect::Precise);
    world.sync = false;
    let token = Token::new(1, 0, 1);
    world.request(PEER, 2, StreamRequest { usb_token: token, ..enable(1, 0) });
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    let endpoint = world.last().std_as_data_ep_desc.expect("an endpoint");
    assert_eq!(endpoint.address, 0x82);
    let status = world.broker.status();
    assert_eq!((status.sessions, status.votes), (2, 2));
    assert_eq!(world.holds(), 1, "one bit for the device, whoever votes");
    world.responses.clear();
    world.request(PEER, 3, StreamRequest { usb_token: token, ..disable(1, 0) });
    assert_eq!(world.last().status, Some(Status::SUCCESS), "at once");
    assert_eq!((world.broker.status().sessions, world.holds()), (1, 1));
    world.request(PEER, 4, disable(1, 0));
    world.pass(1000);
    world.assert_clean();
}

/// R1: one more than there is room for is refused by its code; all come back.
#[test]
fn the_ninth_session_is_refused_and_the_eight_play_on() {
    let mut world = World::new(Dialect::Precise);
    for card in 2..10 {
        world.plug(card);
    }
    for card in 1..9 {
        world.request(PEER, card, StreamRequest { xfer_buff_size: Some(0), ..enable(card, 0) });
        assert_eq!(world.last().status, Some(Status::SUCCESS), "card {card}");
    }
    world.responses.clear();
    world.request(PEER, 9, enable(9, 0));
    world.refused_with(Refusal::NoSessions);
    assert_eq!(world.broker.status().sessions, 8);
    for card in 1..9 {
        world.request(PEER, 10 + card, disable(card, 0));
    }
    world.pass(1000);
    world.assert_clean();
    world.request(PEER, 20, enable(9, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS), "there is room again");
}

/// R18, R32: each way to be refused on the way is told apart on the wire (rule 10).
#[test]
fn every_cause_that_a_server_can_give_reaches_the_peer_with_its_own_code() {
    use Failure as F;
    let causes = [
        ("open", F::Audio(UsbAudioError::StreamBusy), Refusal::BusyStream),
        ("open", F::Audio(UsbAudioError::NoRate), Refusal::FormatUnsupported),
        ("open", F::Audio(UsbAudioError::SyncUnsupported), Refusal::SyncUnsupported),
        ("open", F::Audio(UsbAudioError::ControlFailed), Refusal::ControlFailed),
        ("open", F::Audio(UsbAudioError::Bandwidth), Refusal::Bandwidth),
        ("open", F::Audio(UsbAudioError::NoStreams), Refusal::NoResources),
        ("open", F::Audio(UsbAudioError::TimedOut), Refusal::TimedOut),
        ("hold", F::Core(UsbCoreError::Suspended), Refusal::Suspended),
        ("hold", F::Core(UsbCoreError::DeviceGone), Refusal::Revoked),
        ("add_endpoint", F::Xhci(XhciError::NoEndpoint), Refusal::NoEndpoint),
        ("add_endpoint", F::Xhci(XhciError::EndpointBusy), Refusal::EndpointBusy),
        ("create_interrupter", F::Xhci(XhciError::InterrupterTaken), Refusal::InterrupterTaken),
        ("create_interrupter", F::Xhci(XhciError::InterrupterRange), Refusal::InterrupterRange),
        ("place", F::Xhci(XhciError::NoRingMemory), Refusal::NoMemoryRing),
        ("place", F::Xhci(XhciError::MapFailed), Refusal::MapFailed),
        ("open_window", F::Iommu(iommu_api::IommuError::NoWindows), Refusal::IovaExhausted),
        ("map_data", F::Iommu(iommu_api::IommuError::Quarantined), Refusal::MapFailed),
        ("arm", F::Xhci(XhciError::GateTimeout), Refusal::GateFailed),
        ("arm", F::Xhci(XhciError::ControllerDead), Refusal::ControllerFailed),
        ("register", F::Xhci(XhciError::ServerDied), Refusal::ServerDied),
        ("register", F::Xhci(XhciError::KindUnsupported), Refusal::BrokerDefect),
    ];
    for (step, failure, refusal) in causes {
        let mut world = World::new(Dialect::Precise);
        world.fail.insert(step, failure);
        world.request(PEER, 1, enable(1, 0));
        world.refused_with(refusal);
        world.fail.clear();
        world.assert_clean();
    }
}

#[test]
fn a_buffer_that_does_not_fit_is_refused_as_that() {
    let mut world = World::new(Dialect::Precise);
    for card in 2..5 {
        world.plug(card);
    }
    let big = |card| StreamRequest { xfer_buff_size: Some(u32::MAX), ..enable(card, 0) };
    for card in 1..3 {
        world.request(PEER, card, big(card));
        let memory = world.last().xhci_mem_info.expect("a success");
        assert_eq!(memory.xfer_buff.size, 24 * 4096, "I16: cut to 24 pages");
    }
    world.responses.clear();
    world.request(PEER, 3, big(3));
    world.refused_with(Refusal::NoMemoryBuffer);
    assert_eq!(world.broker.status().sessions, 2);
}

/// R18, D-24: the wire statuses of the two dialects, for every refusal there is; an
/// errno is sent in upstream's only.
#[test]
fn statuses_are_those_of_the_service_or_what_upstream_sends() {
    use Refusal as R;
    let all = [
        (R::BadMessage, 3),
        (R::MissingField, 3),
        (R::BadFormat, 3),
        (R::BadDirection, 3),
        (R::BadCard, 3),
        (R::NoDevice, 2),
        (R::NoStream, 2),
        (R::ShuttingDown, 1),
        (R::Suspended, 1),
        (R::BusyStream, 1),
        (R::BadInterval, 3),
        (R::FormatUnsupported, 1),
        (R::NoEndpoint, 1),
        (R::EndpointBusy, 1),
        (R::InterrupterTaken, 1),
        (R::InterrupterRange, 1),
        (R::NoMemoryRing, 4),
        (R::NoMemoryBuffer, 4),
        (R::IovaExhausted, 4),
        (R::MapFailed, 1),
        (R::ControlFailed, 1),
        (R::Bandwidth, 1),
        (R::TimedOut, 1),
        (R::Revoked, 1),
        (R::NotEnabled, 1),
        (R::ForeignClient, 1),
        (R::NoSessions, 1),
        (R::SyncUnsupported, 1),
        (R::NoResources, 1),
        (R::ControllerFailed, 1),
        (R::GateFailed, 1),
        (R::ServerDied, 1),
        (R::BrokerDefect, 1),
        (R::Misbehaved, 1),
    ];
    let codes: Vec<u32> = all.iter().map(|(refusal, _)| *refusal as u32).collect();
    let complete: Vec<u32> = (1..=36).filter(|code| ![11, 29].contains(code)).collect();
    assert_eq!(codes, complete, "in order, and none forgotten");
    for (refusal, status) in all {
        assert_eq!(refusal.on_wire(Dialect::Precise), (Status(status), refusal as u32));
        let (status, errno) = refusal.on_wire(Dialect::Upstream);
        assert_eq!(status, Status::FAILURE, "a real DSP has only ever seen 0 and 1");
        assert!((errno as i32) < 0, "an errno is negative");
    }
}
