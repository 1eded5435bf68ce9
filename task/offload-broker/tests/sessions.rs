//! A session's way up and its way down, and everything that can come between.

mod world;

use dsp_abi::port;
use dsp_link_api::Address;
use offload_broker::broker::{OP_DEADLINE_MS, PEER_DEADLINE_MS};
use offload_broker::ops::{Input, Server};
use offload_broker::refusal::{Dialect, Failure, Refusal};
use offload_broker::session::RETRY_MS;
use offload_broker_api::SessionPhase;
use qmi::{Event, Region, Speed, Status, StreamIndication, Token};
use usb_core_api::UsbCoreError;
use usb_types::Direction;
use world::{DOWN, OTHER, PEER, PORT_SERVICE, SID, UP, World, disable, enable, handle};
use xhci_api::XhciError;

/// The steps of an enable, without the sentinel.
fn up() -> &'static [&'static str] {
    &UP[..UP.len() - 1]
}

fn down() -> &'static [&'static str] {
    &DOWN[..DOWN.len() - 1]
}

/// What gives back what the first `taken` steps of an enable took.
fn undoes(taken: usize) -> Vec<&'static str> {
    let have = |step: &str| up()[..taken].contains(&step);
    let endpoints = up()[..taken].iter().filter(|step| **step == "add_endpoint").count();
    let mut endpoint = 0;
    down()
        .iter()
        .copied()
        .filter(|undo| match *undo {
            "close_gate" | "halt" | "disarm" => have("arm"),
            "close" => have("open"),
            "unmap_peer" => have("map_event"),
            "displace" => have("place"),
            "displace_buffer" => have("place_buffer"),
            "release_buffer" => have("grant_buffer"),
            // Pages are taken before they are placed.
            "scrub" => have("map_sync"),
            "remove_interrupter" => have("create_interrupter"),
            "remove_endpoint" => {
                endpoint += 1;
                endpoint <= endpoints
            }
            "unregister" => have("register"),
            "close_window" => have("open_window"),
            "unhold" => have("hold"),
            other => panic!("unknown step {other}"),
        })
        .collect()
}

/// D-7: the revision among it.
#[test]
fn an_enable_takes_its_steps_in_order_and_tells_the_peer_everything() {
    let mut world = World::new(Dialect::Precise);
    world.request(PEER, 1, enable(1, 0));
    assert_eq!(world.log, up());
    let response = world.last();
    assert_eq!((response.status, response.internal_status), (Some(Status::SUCCESS), Some(0)));
    assert_eq!((response.slot_id, response.usb_token), (Some(1), Some(Token::new(1, 0, 0))));
    assert_eq!((response.interrupter_num, response.speed_info), (Some(2), Some(Speed::FULL)));
    assert_eq!(
        (response.usb_audio_spec_revision, response.data_path_delay),
        (Some(0x100), Some(1))
    );
    assert_eq!((response.usb_audio_subslot_size, response.controller_num), (Some(2), Some(0)));
    assert!(response.std_as_sync_ep_desc.is_some());
    let memory = response.xhci_mem_info.expect("memory");
    let tagged = |at: u64| at | u64::from(SID) << 32;
    assert_eq!(memory.evt_ring.iova.0, tagged(0x1000));
    assert_eq!((memory.tr_data.iova.0, memory.tr_data.dma.0), (tagged(0x2_2000), 0x8_1000_1000));
    assert_eq!((memory.tr_sync.iova.0, memory.tr_sync.size), (tagged(0x2_3000), 4096));
    assert_eq!((memory.xfer_buff.dma.0, memory.xfer_buff.size), (0x8_2000_0000, 24576));
    assert_eq!(memory.dcba, Region::default());
    let info = world.broker.session(0).expect("a place");
    assert_eq!((info.phase, info.vote, info.id), (SessionPhase::Running, true, 1));
}

#[test]
fn a_stream_without_a_sync_endpoint_has_a_sync_region_of_zeros() {
    let mut world = World::new(Dialect::Precise);
    world.sync = false;
    world.request(PEER, 1, enable(1, 0));
    let response = world.last();
    assert_eq!(response.std_as_sync_ep_desc, None);
    assert_eq!(response.xhci_mem_info.expect("memory").tr_sync, Region::default());
    world.request(PEER, 2, disable(1, 0));
    world.pass(1000);
    world.assert_clean();
}

/// DESIGN rule 7: while a stream only runs, the broker waits for no time.
#[test]
fn a_running_stream_needs_no_timer() {
    let world = World::running(Dialect::Precise);
    assert_eq!(world.broker.next_deadline(), None);
}

/// R29, D-10: unmapped before freed, the vote last (DESIGN rule 6).
#[test]
fn a_disable_takes_the_one_order_and_is_answered_after_it() {
    let mut world = World::running(Dialect::Precise);
    world.request(PEER, 2, disable(1, 0));
    assert_eq!((&world.log[..], world.responses.len()), (&["close_gate"][..], 0));
    world.pass(200);
    assert_eq!(world.log, down());
    assert_eq!((world.responses.len(), world.last().status), (1, Some(Status::SUCCESS)));
    assert_eq!(world.last().usb_token, Some(Token::new(1, 0, 0)));
    world.assert_clean();
    assert!(world.indications.is_empty(), "nobody is told of what it asked for");
}

/// What is queued plays out after the gate is closed, and then the device's
/// tail; only then are the endpoints stopped.
#[test]
fn an_orderly_end_lets_the_sound_end_first() {
    let mut world = World::running(Dialect::Precise);
    world.request(PEER, 2, disable(1, 0));
    let played_out = world.broker.next_deadline().expect("it waits");
    // 24576 bytes are 128 ms of this stream, more than is waited for; 3 of tail.
    assert_eq!(played_out, 100 + 3);
    world.pass(played_out - 1);
    assert_eq!(world.log, ["close_gate"]);
    world.pass(1);
    assert_eq!(world.log, down());
}

/// D-3, D-5: each step fails in turn: what was taken by then is given back exactly
/// once, in the one order, and the peer gets one refusal, after that.
#[test]
fn d3_d5_a_failing_step_gives_back_what_was_taken_exactly_once_and_in_order() {
    for (place, step) in up().iter().enumerate() {
        let mut world = World::new(Dialect::Precise);
        world.fail.insert(step, Failure::Xhci(XhciError::Resource));
        world.request(PEER, 1, enable(1, 0));
        // add_endpoint fails at the first of the two.
        let taken = up().iter().position(|other| other == step).expect("a step");
        assert!(taken <= place);
        let mut expected: Vec<_> = up()[..=taken].to_vec();
        // A handover that failed may have opened the gate, and is taken down
        // like one that did not.
        let undone = undoes(if *step == "arm" { taken + 1 } else { taken });
        expected.extend(undone.iter().copied().filter(|undo| {
            // A vote that was never granted has no hold to end.
            *step != "hold" || *undo != "unhold"
        }));
        assert_eq!(world.log, expected, "after {step} failed");
        world.refused_with(Refusal::NoResources);
        world.fail.clear();
        world.assert_clean();
        world.request(PEER, 2, enable(1, 0));
        assert_eq!(world.last().status, Some(Status::SUCCESS), "after {step} failed");
    }
}

#[test]
fn the_second_endpoint_failing_gives_the_first_back() {
    let mut world = World::new(Dialect::Precise);
    world.mute.insert("add_endpoint");
    world.request(PEER, 1, enable(1, 0));
    world.finish_one();
    let (ask, _) = world.under_way.remove(0);
    let failure = Failure::Xhci(XhciError::EndpointBusy);
    world.input(Input::Answer(ask, Err(failure)));
    assert_eq!(world.log[5..], ["close", "remove_endpoint", "unregister"]);
    world.refused_with(Refusal::EndpointBusy);
    world.assert_clean();
}

/// Something ends the session while each of its steps is under way; the step
/// ends as it may, nothing is left, and nothing is done twice (R2).
fn interrupted(what: impl Fn(&mut World), fails: bool) -> Vec<World> {
    let mut worlds = Vec::new();
    for step in 0..up().len() {
        let mut world = World::new(Dialect::Precise);
        world.mute_all = true;
        world.request(PEER, 1, enable(1, 0));
        for _ in 0..step {
            world.finish_one();
        }
        assert_eq!(world.log.last(), Some(&up()[step]));
        what(&mut world);
        if fails {
            world.fail.insert(up()[step], Failure::Xhci(XhciError::DeviceGone));
        }
        world.finish_one();
        world.fail.clear();
        world.finish_all();
        world.pass(PEER_DEADLINE_MS);
        world.finish_all();
        world.assert_clean();
        worlds.push(world);
    }
    worlds
}

/// R2: unplugged between any two messages of an enable, it is refused as a whole.
#[test]
fn unplugged_at_any_step_of_an_enable_the_peer_gets_one_refusal_and_no_indication() {
    for fails in [false, true] {
        for mut world in interrupted(|world| world.unplug(1), fails) {
            world.refused_with(Refusal::Revoked);
            assert!(world.indications.is_empty(), "it never had the stream");
            assert_eq!(world.forgotten, [1]);
        }
    }
}

#[test]
fn a_peer_that_goes_at_any_step_of_an_enable_is_told_nothing() {
    for fails in [false, true] {
        for world in interrupted(|world| world.input(Input::NodeGone(PEER.node)), fails) {
            assert!(world.responses.is_empty() && world.indications.is_empty());
        }
    }
}

#[test]
fn a_peer_that_disables_at_any_step_of_its_enable_gets_both_answers() {
    for world in interrupted(|world| world.request(PEER, 2, disable(1, 0)), false) {
        let answers: Vec<_> =
            world.responses.iter().map(|(_, txn, response)| (txn.0, response.status)).collect();
        assert_eq!(answers, [(1, Some(Status::FAILURE)), (2, Some(Status::SUCCESS))]);
    }
}

#[test]
fn a_server_that_dies_at_any_step_of_an_enable_leaves_nothing_behind() {
    for server in [Server::Iommu, Server::Xhci, Server::UsbCore, Server::UsbAudio] {
        for step in 0..up().len() {
            let mut world = World::new(Dialect::Precise);
            world.mute_all = true;
            world.request(PEER, 1, enable(1, 0));
            for _ in 0..step {
                world.finish_one();
            }
            world.input(Input::ServerDied(server));
            world.finish_all();
            world.input(Input::ControllerSafe(0));
            world.pass(PEER_DEADLINE_MS);
            if server == Server::UsbAudio && world.broker.status().sessions == 1 {
                assert_eq!(up()[step], "arm", "past its last use of the stream it may go on");
                world.input(Input::NodeGone(PEER.node));
            }
            world.assert_clean();
        }
    }
}

/// D-23: every step of an end is under way when the device goes, the peer goes, or
/// the controller's driver dies: the end goes on.
#[test]
fn an_end_goes_on_whatever_happens_meanwhile() {
    let happenings: [fn(&mut World); 7] = [
        |world| world.unplug(1),
        |world| world.input(Input::NodeGone(PEER.node)),
        |world| world.input(Input::ClientGone(PEER)),
        |world| world.input(Input::DriverDied(0)),
        |world| world.input(Input::ServerDied(Server::Iommu)),
        |world| world.input(Input::ServerDied(Server::UsbCore)),
        |world| world.input(Input::ServerDied(Server::UsbAudio)),
    ];
    for happening in happenings {
        for step in 0..down().len() {
            let mut world = World::running(Dialect::Precise);
            world.mute_all = true;
            world.request(PEER, 2, disable(1, 0));
            for _ in 0..step {
                world.finish_one();
                world.pass(200);
            }
            happening(&mut world);
            world.finish_all();
            world.input(Input::ControllerSafe(0));
            world.pass(PEER_DEADLINE_MS);
            world.assert_clean();
        }
    }
}

/// D-25: a peer is told of a suspend by its name, and when the device is back;
/// both once. The Linux service's dialect has one word for all of it.
#[test]
fn d25_a_suspend_is_told_as_such_and_the_resume_after_it() {
    for (dialect, words) in [
        (Dialect::Precise, &[Event::SUSPEND, Event::RESUME][..]),
        (Dialect::Upstream, &[Event::DISCONNECT]),
    ] {
        let mut world = World::running(dialect);
        let device = world.broker.session(0).and_then(|session| session.device);
        let device = device.expect("it has one");
        world.suspend();
        assert!(world.log.is_empty(), "nothing is taken under the peer's hands");
        world.request(PEER, 2, disable(1, 0));
        assert_eq!(world.last().status, Some(Status::SUCCESS));
        assert_eq!(world.log, down());
        world.input(Input::Resumed(handle(99)));
        for _ in 0..2 {
            world.input(Input::Resumed(device));
        }
        let told: Vec<Event> = world.indications.iter().map(|(_, told)| told.dev_event).collect();
        assert_eq!(told, words);
        let named = |(to, told): &(Address, StreamIndication)| {
            *to == PEER && (told.slot_id, told.controller_num) == (1, Some(0))
        };
        assert!(world.indications.iter().all(named), "{:?}", world.indications);
        world.assert_clean();
        // It may begin again.
        world.request(PEER, 3, enable(1, 0));
        world.finish_all();
        assert_eq!(world.last().status, Some(Status::SUCCESS));
    }
}

/// A suspend that overtakes an enable refuses it by its name.
#[test]
fn suspended_at_any_step_of_an_enable_the_peer_is_refused_for_that() {
    let registered = up().iter().position(|step| *step == "register").expect("it is a step");
    // Before that there is nothing that the driver could revoke.
    let reached = |world: &World| world.log.len() > registered + 1;
    let suspend =
        |world: &mut World| if reached(world) { world.suspend() } else { world.unplug(1) };
    for (step, mut world) in interrupted(suspend, false).into_iter().enumerate() {
        let refusal = if step > registered { Refusal::Suspended } else { Refusal::Revoked };
        world.refused_with(refusal);
        assert!(world.indications.is_empty(), "it never had the stream");
    }
}

/// D-25: who is gone by then, or whose device is, is told of no resume.
#[test]
fn d25_nobody_is_told_of_the_resume_of_what_is_gone() {
    let goings: [fn(&mut World); 5] = [
        |world| world.unplug(1),
        |world| world.input(Input::ClientGone(PEER)),
        |world| world.input(Input::NodeGone(PEER.node)),
        |world| world.input(Input::ServerDied(Server::UsbAudio)),
        |world| world.input(Input::ServerDied(Server::UsbCore)),
    ];
    for goes in goings {
        let mut world = World::running(Dialect::Precise);
        let device = world.broker.session(0).and_then(|session| session.device);
        world.suspend();
        world.request(PEER, 2, disable(1, 0));
        goes(&mut world);
        world.input(Input::Resumed(device.expect("it has one")));
        let told: Vec<Event> = world.indications.iter().map(|(_, told)| told.dev_event).collect();
        assert_eq!(told, [Event::SUSPEND]);
    }
}

/// B23: unplug tells the peer, waits for its disable, and takes down.
#[test]
fn b23_unplug_waits_for_the_peer_to_let_go() {
    let mut world = World::running(Dialect::Precise);
    world.unplug(1);
    assert!(world.log.is_empty(), "nothing is taken under the peer's hands");
    let (_, indication) = world.indications[0];
    assert_eq!((indication.dev_event, indication.slot_id), (Event::DISCONNECT, 1));
    assert_eq!(world.broker.next_deadline(), Some(PEER_DEADLINE_MS));
    assert!(world.forgotten.is_empty(), "its number is still in use");
    world.request(PEER, 2, disable(1, 0));
    // The device is gone, so nothing is played out.
    assert_eq!(world.log, down());
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    assert_eq!(world.forgotten, [1]);
    world.assert_clean();
}

/// How long it is waited for is the image's.
#[test]
fn the_peer_has_the_time_that_the_image_gives_it() {
    for deadline in [50, 25_000] {
        let mut world = World::waiting(Dialect::Precise, deadline);
        world.enable();
        world.unplug(1);
        world.pass(u64::from(deadline) - 1);
        assert!(world.log.is_empty(), "{deadline} ms");
        world.pass(1);
        assert_eq!(world.log, down(), "{deadline} ms");
    }
}

/// D-27: the peer never answers: taken by force. Its number stays away until the late
/// disable, which is answered and harms nobody, not even who was there next.
#[test]
fn a_late_disable_is_answered_from_a_tombstone_and_harms_nobody() {
    let mut world = World::running(Dialect::Precise);
    world.unplug(1);
    world.pass(PEER_DEADLINE_MS - 1);
    assert!(world.log.is_empty());
    world.pass(1);
    assert_eq!(world.log, down());
    world.assert_clean();
    assert!(world.forgotten.is_empty(), "the peer still owes the stream");
    world.plug_as(2, 9);
    world.request(PEER, 2, enable(2, 0));
    world.responses.clear();
    world.request(OTHER, 3, disable(1, 0));
    assert_eq!(world.last().internal_status, Some(Refusal::ShuttingDown as u32));
    assert!(world.forgotten.is_empty(), "another's word is no let-go");
    world.request(PEER, 3, disable(1, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    assert_eq!((world.forgotten.clone(), world.broker.status().sessions), (vec![1], 1));
    world.request(PEER, 3, disable(1, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS), "and again for who did not hear it");
}

/// D-23: the card has vanished and its session still waits for the peer, when the
/// peer goes too: the session ends at once, with nothing to be had of the card.
#[test]
fn a_peer_that_goes_after_the_device_ends_what_waited_for_it() {
    for gone in [Input::NodeGone(PEER.node), Input::ClientGone(PEER)] {
        let mut world = World::running(Dialect::Precise);
        world.unplug(1);
        world.pass(PEER_DEADLINE_MS / 2);
        assert_eq!(world.broker.status().sessions, 1, "it waits");
        world.input(gone);
        assert_eq!((&world.log[..], &world.forgotten[..]), (down(), &[1][..]));
        world.assert_clean();
        assert_eq!(world.broker.next_deadline(), None);
    }
}

#[test]
fn a_peer_that_is_gone_owes_nothing() {
    for gone in [Input::NodeGone(PEER.node), Input::ClientGone(PEER)] {
        let mut world = World::running(Dialect::Precise);
        world.unplug(1);
        world.pass(PEER_DEADLINE_MS);
        assert!(world.forgotten.is_empty());
        world.input(gone);
        assert_eq!(world.forgotten, [1]);
    }
}

#[test]
fn a_route_that_the_dsp_has_not_given_back_keeps_the_cards_number() {
    use offload_broker_api::RouteRequest;
    let mut world = World::new(Dialect::Precise);
    world.input(Input::PortUp(PORT_SERVICE));
    let request = RouteRequest {
        direction: Direction::Out,
        rate: 48000,
        format: 2,
        channels: 2,
        frames: 1,
        buffer_us: 1000,
    };
    let owner = abi::TaskId(7);
    let target = world.broker.backend.target(&request, world.broker.cards()).expect("a device");
    let (_, _, start) = world.broker.backend.start(owner, &request, &target).expect("a route");
    world.unplug(1);
    assert!(world.forgotten.is_empty());
    world.request(PEER, 1, enable(1, 0));
    world.refused_with(Refusal::ShuttingDown);
    let kind = port::Kind::Done as u32;
    let result = port::Ending::Refused as u32;
    world.input(Input::PortMessage(PORT_SERVICE, port::Message { kind, result, ..start }));
    assert_eq!(world.forgotten, [1]);
}

/// D-12, B18, B19: only the client's own going ends its sessions, without a word;
/// what they had is free for the next.
#[test]
fn b18_b19_the_clients_end_is_its_sessions_end_and_nobody_elses() {
    for (gone, ends) in [
        (Input::NodeGone(PEER.node), true),
        (Input::ClientGone(PEER), true),
        (Input::NodeGone(PEER.node + 1), false),
        (Input::ClientGone(OTHER), false),
    ] {
        let mut world = World::running(Dialect::Precise);
        world.input(gone);
        assert_eq!(world.broker.status().sessions == 0, ends);
        if ends {
            assert_eq!(world.log, down());
            assert!(world.indications.is_empty() && world.responses.is_empty(), "B20");
            world.assert_clean();
            // D-12: the stream is free for whoever comes.
            world.request(OTHER, 1, enable(1, 0));
            assert_eq!(world.last().status, Some(Status::SUCCESS));
        } else {
            assert!(world.log.is_empty());
        }
    }
}

#[test]
fn a_revoked_sideband_and_a_window_fault_end_the_session_they_belong_to() {
    for fault in [false, true] {
        let mut world = World::running(Dialect::Precise);
        world.plug(2);
        world.request(PEER, 2, enable(2, 0));
        world.log.clear();
        if fault {
            let window = world.window();
            world.input(Input::WindowFault(window));
        } else {
            world.revoke();
        }
        assert_eq!(world.indications.len(), 1);
        assert_eq!(world.indications[0].1.usb_token, Some(Token::new(1, 0, 0)));
        world.pass(PEER_DEADLINE_MS);
        assert_eq!((&world.log[..], world.broker.status().sessions), (down(), 1));
    }
}

/// The upstream dialect names slots: two streams of one, one indication.
#[test]
fn upstream_is_told_of_a_slot_once_and_precise_of_each_stream() {
    for (dialect, count) in [(Dialect::Upstream, 1), (Dialect::Precise, 2)] {
        let mut world = World::running(dialect);
        world.request(PEER, 2, enable(1, 1));
        assert_eq!(world.broker.status().sessions, 2);
        world.unplug(1);
        assert_eq!(world.indications.len(), count);
    }
}

/// Rule 9: a driver that died leaves its rings mapped until its next life has
/// reset the controller; the window is closed then, and nothing stays behind.
#[test]
fn what_a_dead_driver_left_mapped_is_closed_when_the_controller_is_ready_again() {
    let mut world = World::running(Dialect::Precise);
    world.fail.insert("close_window", Failure::Iommu(iommu_api::IommuError::StillMapped));
    world.input(Input::DriverDied(0));
    world.pass(PEER_DEADLINE_MS);
    assert_eq!(world.broker.status().sessions, 1, "{:?}", world.log);
    world.fail.clear();
    world.log.clear();
    world.input(Input::ControllerSafe(0));
    assert_eq!(world.log, ["displace_buffer", "scrub", "close_window"]);
    assert_eq!(world.broker.status().sessions, 0);
}

/// Rule 6: the driver died with the endpoints running, so the controller plays on
/// until the driver's next life has reset it. Until then nothing is taken from
/// under it; who asks for the end is answered all the same.
#[test]
fn what_a_controller_adrift_may_still_use_is_not_taken_from_it_before_its_reset() {
    let mut world = World::running(Dialect::Precise);
    world.input(Input::DriverDied(0));
    world.request(PEER, 2, disable(1, 0));
    assert_eq!(world.log, ["close", "unmap_peer", "release_buffer", "unhold"]);
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    assert_eq!((world.broker.status().sessions, world.broker.next_deadline()), (1, None));
    // Neither time nor the DSP's new life says anything about the controller.
    world.input(Input::PortUp(PORT_SERVICE));
    world.pass(2 * PEER_DEADLINE_MS);
    assert_eq!(world.log.len(), 4);
    world.input(Input::ControllerSafe(0));
    assert_eq!(world.log[4..], ["displace_buffer", "scrub", "close_window"]);
    world.assert_clean();
}

/// The same before the endpoints were set up: there is nothing to wait for.
#[test]
fn a_session_that_was_never_armed_does_not_wait_for_a_reset() {
    let mut world = World::new(Dialect::Precise);
    world.mute.insert("map_buffer");
    world.request(PEER, 1, enable(1, 0));
    world.input(Input::DriverDied(0));
    world.finish_all();
    world.refused_with(Refusal::ServerDied);
    world.assert_clean();
}

/// Rule 6: what the mapper had let through when it died, the SMMU lets through until
/// the mapper's next life, and that may be long in coming.
#[test]
fn what_a_dead_mapper_let_through_is_not_freed_before_its_next_life() {
    let mut world = World::running(Dialect::Precise);
    world.mute.insert("displace_buffer");
    world.request(PEER, 2, disable(1, 0));
    world.pass(200);
    world.log.clear();
    world.input(Input::ServerDied(Server::Iommu));
    assert!(!world.log.contains(&"scrub"), "{:?}", world.log);
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    world.log.clear();
    world.input(Input::ControllerSafe(0));
    assert_eq!(world.log, ["scrub"]);
    world.assert_clean();
}

/// Not confirmed by its deadline: nothing that may be seen is freed, the vote
/// goes all the same, who waits is answered, and the rest is done once the DSP
/// was reset.
#[test]
fn pages_that_may_still_be_seen_stay_out_of_use_until_the_dsp_was_reset() {
    let mut world = World::running(Dialect::Precise);
    world.fail.insert("unmap_peer", Failure::Iommu(iommu_api::IommuError::Quarantined));
    world.request(PEER, 2, disable(1, 0));
    world.pass(200);
    assert_eq!(world.log, ["close_gate", "halt", "close", "disarm", "unmap_peer", "unhold"]);
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    assert_eq!((world.broker.buffer_pages(), world.holds()), (6, 0));
    assert_eq!((world.broker.status().sessions, world.broker.next_deadline()), (1, None));
    // The stream cannot be had before that, and a repeat is still answered.
    world.responses.clear();
    world.request(PEER, 3, enable(1, 0));
    world.refused_with(Refusal::BusyStream);
    world.request(PEER, 4, disable(1, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    world.fail.clear();
    world.log.clear();
    world.input(Input::NodeGone(PEER.node));
    assert_eq!(world.log, down()[4..down().len() - 1]);
    world.assert_clean();
}

#[test]
fn a_gate_that_is_not_confirmed_closed_keeps_everything_behind_it() {
    let mut world = World::running(Dialect::Precise);
    world.fail.insert("close_gate", Failure::Xhci(XhciError::GateTimeout));
    world.input(Input::NodeGone(PEER.node));
    assert_eq!(world.log, ["close_gate", "unhold"]);
    world.fail.clear();
    world.log.clear();
    world.input(Input::PortUp(PORT_SERVICE));
    assert_eq!(world.log, down()[..down().len() - 1]);
    world.assert_clean();
}

/// The driver takes a revoked session down itself when its own deadline passed,
/// and is busy with that when the broker comes: it is asked again, and what it
/// did already is not asked for.
#[test]
fn a_driver_that_is_busy_is_asked_again_and_what_it_did_itself_is_done() {
    let mut world = World::running(Dialect::Precise);
    world.unplug(1);
    world.fail.insert("close_gate", Failure::Xhci(XhciError::Busy));
    world.request(PEER, 2, disable(1, 0));
    assert_eq!(world.broker.next_deadline(), Some(RETRY_MS));
    world.pass(3 * RETRY_MS);
    assert_eq!(world.log, ["close_gate"; 4]);
    for step in ["close_gate", "halt", "disarm"] {
        world.fail.insert(step, Failure::Xhci(XhciError::WrongPhase));
    }
    world.disarmed();
    world.pass(RETRY_MS);
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    world.assert_clean();
}

/// R9: a server that never ends an operation: its ticket is cancelled, and the
/// session goes its way.
#[test]
fn an_operation_has_a_deadline_of_the_brokers_own() {
    let mut world = World::new(Dialect::Precise);
    world.mute.insert("arm");
    world.request(PEER, 1, enable(1, 0));
    world.pass(OP_DEADLINE_MS);
    assert_eq!(world.cancelled, 1);
    world.refused_with(Refusal::TimedOut);
    world.assert_clean();
    assert_eq!(world.log[up().len()..], *down(), "it may have armed after all");
}

/// D-13: what was true when it was asked for is not believed afterwards.
#[test]
fn a_late_answer_to_a_cancelled_operation_changes_nothing() {
    let mut world = World::new(Dialect::Precise);
    world.mute.insert("open");
    world.request(PEER, 1, enable(1, 0));
    let (ask, op) = world.under_way[0];
    world.pass(OP_DEADLINE_MS);
    let late = world.perform(ask, op);
    world.input(Input::Answer(ask, late));
    assert_eq!(world.broker.status().sessions, 0);
}

/// D-9: an answer of `NotHeld` to the end of a hold is a counted defect (rule 4).
#[test]
fn a_hold_that_was_not_there_is_counted() {
    let mut world = World::running(Dialect::Precise);
    world.fail.insert("unhold", Failure::Core(UsbCoreError::NotHeld));
    world.input(Input::NodeGone(PEER.node));
    assert_eq!(world.broker.status().double_releases, 1);
}

/// Deaths of `usb_audio` leave streams playing (DESIGN rule 9); of the others
/// they end them, and what the dead server gave is not given back to it.
#[test]
fn a_dead_server_is_not_given_back_what_it_gave() {
    let gone = |server: Server| {
        let mut world = World::running(Dialect::Precise);
        world.input(Input::ServerDied(server));
        world.input(Input::ControllerSafe(0));
        world.request(PEER, 2, disable(1, 0));
        world.assert_clean();
        world.log
    };
    let without = |steps: &[&str]| {
        down().iter().copied().filter(|step| !steps.contains(step)).collect::<Vec<_>>()
    };
    assert_eq!(gone(Server::UsbAudio), without(&["close"]));
    assert_eq!(gone(Server::UsbCore), without(&["unhold"]));
    let xhci = [
        "close_gate",
        "halt",
        "disarm",
        "displace",
        "remove_interrupter",
        "remove_endpoint",
        "unregister",
    ];
    assert_eq!(gone(Server::Xhci), without(&xhci));
    let iommu = ["unmap_peer", "displace_buffer", "release_buffer", "close_window"];
    assert_eq!(gone(Server::Iommu), without(&iommu));
}
