//! Cards and clients that come and go, at any moment.

use super::*;
use usb_core_api::Event as CoreEvent;

#[test]
fn a_card_is_announced_with_its_streams_and_its_interfaces_claimed() {
    let mut bench = Bench::empty();
    assert_eq!(bench.news(BROKER), []);
    let device = bench.world.plug(0, Model::default());
    bench.settle();
    assert_eq!(bench.world.hints, [BROKER]);
    assert_eq!(bench.news(BROKER), [Event::CardAdded { card: 0 }]);
    let info = bench.engine.op_card(0).unwrap();
    assert_eq!((info.device, info.slot_number), (device, 3));
    assert_eq!((info.playback, info.capture, info.present), (1, 0, true));
    assert_eq!(bench.world.claimed, [(device, 0), (device, 1)]);
    assert_eq!(bench.engine.op_card(1), Err(UsbAudioError::NoCard));
}

/// R18: there is a place for each task that the image names, and for no other.
#[test]
fn a_client_too_many_is_refused() {
    let mut bench = Bench::new();
    for n in 2..crate::MAX_CLIENTS as u16 {
        bench.news(TaskId::new(10 + n, Generation(0)));
    }
    let stranger = TaskId::new(20, Generation(0));
    assert_eq!(bench.engine.op_pull(stranger), Err(UsbAudioError::NotAllowed));
    assert_eq!(bench.start(stranger, Drive::Peer), Err(UsbAudioError::NotAllowed));
    let muted = bench.engine.op_mute(&mut bench.world, stranger, 0, true);
    assert_eq!(muted, Err(UsbAudioError::NotAllowed));
    bench.open(BROKER, Drive::Peer).expect("the known ones are served");
}

#[test]
fn a_device_whose_interface_another_task_has_does_not_become_a_card() {
    let mut bench = Bench::empty();
    bench.world.claim_error = Some(UsbCoreError::InterfaceBusy);
    bench.world.plug(0, Model::default());
    bench.settle();
    assert_eq!(bench.engine.op_status().cards, 0);
    assert!(bench.world.claimed.is_empty(), "what was claimed is given back");
}

/// Unplugged at each step of an open: one answer, nothing left.
#[test]
fn a_device_that_goes_at_any_step_of_an_open_leaves_nothing() {
    for steps in 0..10 {
        let (mut bench, device) = Bench::with(Model::default());
        bench.world.stuck = true;
        let ticket = bench.start(BROKER, Drive::Peer).unwrap();
        for _ in 0..steps {
            bench.world.stuck = false;
            let event = crate::world::World::news(&mut bench.world).unwrap();
            bench.world.stuck = true;
            bench.world.events.push_back(event);
            bench.settle();
        }
        bench.world.unplug(device);
        bench.settle();
        assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::DeviceGone), "step {steps}");
        assert_eq!(bench.news(BROKER), [Event::CardRemoved { card: 0 }]);
        // `usb_core` still tells of the request that was under way.
        bench.world.stuck = false;
        bench.settle();
        bench.assert_at_rest();
        assert_eq!(bench.start(BROKER, Drive::Peer), Err(UsbAudioError::DeviceGone));
    }
}

#[test]
fn a_stream_of_a_vanished_device_says_so_and_closes_at_once() {
    let (mut bench, device) = Bench::with(Model::default());
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.world.unplug(device);
    bench.settle();
    assert_eq!(bench.write(stream, &[0; 400]), Err(UsbAudioError::DeviceGone));
    assert_eq!(bench.engine.op_describe(PLAYER, stream), Err(UsbAudioError::DeviceGone));
    assert_eq!(bench.engine.op_forget(0), Err(UsbAudioError::StreamBusy));
    bench.world.told.clear();
    assert_eq!(bench.close(PLAYER, stream), Ok(Completed::Done));
    assert!(bench.world.told.is_empty());
    bench.assert_at_rest();
}

/// Issue 2, gate 4: a number is given out again only after the peer let go.
#[test]
fn a_card_number_is_reused_only_after_it_was_forgotten() {
    let (mut bench, device) = Bench::with(Model::default());
    assert_eq!(bench.engine.op_forget(0), Err(UsbAudioError::CardPresent));
    bench.world.unplug(device);
    bench.world.plug(1, Model::default());
    bench.settle();
    let news = [Event::CardRemoved { card: 0 }, Event::CardAdded { card: 1 }];
    assert_eq!(bench.news(BROKER), news);
    assert_eq!(bench.engine.op_card(0).map(|info| info.present), Ok(false));
    assert_eq!(bench.engine.op_forget(0), Ok(()));
    assert_eq!(bench.engine.op_forget(0), Err(UsbAudioError::NoCard));
    assert_eq!(bench.engine.op_status().cards, 1);
}

#[test]
fn a_broker_that_starts_anew_hears_of_vanished_cards_too() {
    let (mut bench, device) = Bench::with(Model::default());
    bench.world.unplug(device);
    bench.world.plug(1, Model::default());
    bench.settle();
    let again = TaskId::new(6, Generation(1));
    let news = [Event::CardRemoved { card: 0 }, Event::CardAdded { card: 1 }];
    assert_eq!(bench.news(again), news);
}

#[test]
fn a_cancelled_open_is_undone_when_it_ends() {
    let mut bench = Bench::new();
    bench.world.stuck = true;
    let ticket = bench.start(BROKER, Drive::Peer).unwrap();
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::NotYet));
    bench.engine.op_cancel(&mut bench.world, BROKER, ticket).unwrap();
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::Stale));
    assert_eq!(bench.start(PLAYER, Drive::Host), Err(UsbAudioError::StreamBusy));
    bench.world.stuck = false;
    bench.settle();
    assert_eq!(bench.world.told.last(), Some(&Told::Interface(1, 0)));
    bench.assert_at_rest();
}

#[test]
fn an_open_that_nobody_fetched_is_closed_when_it_is_cancelled() {
    let mut bench = Bench::new();
    let ticket = bench.start(BROKER, Drive::Peer).unwrap();
    bench.settle();
    assert_eq!(bench.news(BROKER), [Event::TicketDone(ticket)]);
    bench.engine.op_cancel(&mut bench.world, BROKER, ticket).unwrap();
    bench.settle();
    assert_eq!(bench.world.told.last(), Some(&Told::Interface(1, 0)));
    bench.assert_at_rest();
}

/// DESIGN rule 9: a client may die at any moment.
#[test]
fn what_a_dead_client_had_is_closed_whatever_it_was_doing() {
    for stage in 0..4 {
        let mut bench = Bench::new();
        bench.world.stuck = stage == 0;
        let ticket = bench.start(PLAYER, Drive::Host).unwrap();
        bench.settle();
        if stage >= 2
            && let Ok(Completed::Stream(stream)) = bench.result(PLAYER, ticket)
            && stage == 3
        {
            bench.world.stuck = true;
            bench.engine.op_close(&mut bench.world, PLAYER, stream).unwrap();
        }
        bench.engine.client_died(&mut bench.world, PLAYER);
        bench.world.stuck = false;
        bench.settle();
        assert_eq!(bench.world.told.last(), Some(&Told::Interface(1, 0)), "stage {stage}");
        bench.assert_at_rest();
        assert!(bench.open(BROKER, Drive::Peer).is_ok());
    }
}

/// The sideband of a dead broker is still in place: the close waits for it.
#[test]
fn a_close_is_tried_again_while_someone_else_has_the_endpoint() {
    let mut bench = Bench::new();
    let stream = bench.open(BROKER, Drive::Peer).unwrap();
    bench.world.refusals.push((Told::Interface(1, 0), UsbCoreError::EndpointBusy));
    let ticket = bench.engine.op_close(&mut bench.world, BROKER, stream).unwrap();
    bench.settle();
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::NotYet));
    let due = bench.engine.deadline(bench.world.now).unwrap();
    bench.world.refusals.clear();
    bench.world.now = due;
    bench.engine.tick(&mut bench.world);
    bench.settle();
    assert_eq!(bench.result(BROKER, ticket), Ok(Completed::Done));
    assert_eq!(bench.engine.deadline(bench.world.now), None, "no timer is left");
    bench.assert_at_rest();
}

#[test]
fn usb_cores_death_ends_everything_and_its_devices_come_again_as_new_cards() {
    let mut bench = Bench::new();
    bench.world.stuck = true;
    let ticket = bench.start(BROKER, Drive::Peer).unwrap();
    bench.engine.core_died(&mut bench.world);
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::CoreDied));
    bench.world.stuck = false;
    bench.world.plug(5, Model::default());
    bench.settle();
    let news = [Event::CardRemoved { card: 0 }, Event::CardAdded { card: 1 }];
    assert_eq!(bench.news(BROKER), news);
    bench.assert_at_rest();
}

/// R1: each capacity is a clean refusal, and comes back.
#[test]
fn streams_and_tickets_beyond_their_number_are_refused_by_their_codes() {
    let mut bench = Bench::empty();
    for index in 0..9 {
        bench.world.plug(index, Model::default());
    }
    bench.settle();
    bench.news(BROKER);
    let open = |bench: &mut Bench, client, card, drive| {
        let stream = StreamId { card, ..STREAM };
        bench.engine.op_open(&mut bench.world, client, stream, CD, drive)
    };
    let mut tickets = Vec::new();
    for card in 0..2 {
        tickets.push(open(&mut bench, PLAYER, card, Drive::Host).unwrap());
    }
    let third = open(&mut bench, PLAYER, 2, Drive::Host);
    assert_eq!(third, Err(UsbAudioError::NoStreams), "host streams");
    for card in 2..8 {
        open(&mut bench, BROKER, card, Drive::Peer).unwrap();
    }
    let ninth = open(&mut bench, BROKER, 8, Drive::Peer);
    assert_eq!(ninth, Err(UsbAudioError::NoStreams), "lanes");
    bench.settle();
    bench.engine.op_cancel(&mut bench.world, PLAYER, tickets[0]).unwrap();
    bench.settle();
    assert!(open(&mut bench, BROKER, 8, Drive::Peer).is_ok());
    bench.world.stuck = true;
    let mut refused = Ok(());
    for _ in 0..9 {
        if let Err(error) = bench.engine.op_volume(&mut bench.world, BROKER, 8, 0) {
            refused = Err(error);
        }
    }
    assert_eq!(refused, Err(UsbAudioError::NoTickets));
}

/// `usb_core` has no more tickets for us: the request waits for one of ours.
#[test]
fn a_job_without_a_ticket_below_goes_on_when_there_is_one() {
    let mut bench = Bench::empty();
    bench.world.tickets = 1;
    bench.world.plug(0, Model::default());
    bench.world.plug(1, Model::default());
    bench.settle();
    let other = StreamId { card: 1, ..STREAM };
    let first = bench.start(BROKER, Drive::Peer).unwrap();
    let second = bench.engine.op_open(&mut bench.world, BROKER, other, CD, Drive::Peer).unwrap();
    for _ in 0..40 {
        bench.settle();
    }
    assert!(bench.result(BROKER, first).is_ok());
    assert!(bench.result(BROKER, second).is_ok());
}

/// The same while others have them all: whoever of them ends is not told here.
#[test]
fn a_job_without_a_ticket_below_asks_again_when_others_have_them() {
    let mut bench = Bench::new();
    bench.world.tickets = 0;
    let ticket = bench.start(BROKER, Drive::Peer).unwrap();
    bench.settle();
    assert_eq!(bench.result(BROKER, ticket), Err(UsbAudioError::NotYet));
    bench.world.tickets = 1;
    while let Some(deadline) = bench.engine.deadline(bench.world.now) {
        bench.world.now = deadline;
        bench.engine.tick(&mut bench.world);
        bench.settle();
    }
    assert!(bench.result(BROKER, ticket).is_ok());
}

/// U16: an idle card's interfaces are free at once; when they can be had again it is
/// a card again.
#[test]
fn a_card_that_somebody_takes_is_no_card_until_it_is_free_again() {
    let (mut bench, device) = Bench::with(Model::default());
    bench.news(BROKER);
    bench.world.events.push_back(CoreEvent::Wanted { device, interface: 1 });
    bench.settle();
    assert_eq!(bench.news(BROKER), [Event::CardRemoved { card: 0 }]);
    assert!(bench.world.claimed.is_empty(), "{:?}", bench.world.claimed);
    assert_eq!(bench.start(BROKER, Drive::Peer), Err(UsbAudioError::InterfaceTaken));
    bench.world.events.push_back(CoreEvent::Attached(device));
    bench.settle();
    assert_eq!(bench.news(BROKER), [Event::CardAdded { card: 1 }]);
    assert_eq!(bench.world.claimed, [(device, 0), (device, 1)]);
}

/// U16: its streams are closed as ever, alternate 0 included, before it lets go.
#[test]
fn streams_of_a_card_that_somebody_takes_are_closed_before_it_lets_go() {
    let (mut bench, device) = Bench::with(Model::default());
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.world.told.clear();
    bench.world.events.push_back(CoreEvent::Wanted { device, interface: 1 });
    bench.settle();
    assert_eq!(bench.write(stream, &[0; 400]), Err(UsbAudioError::InterfaceTaken));
    assert_eq!(bench.world.claimed.len(), 2, "its stream is open still");
    assert!(bench.world.told.is_empty(), "{:?}", bench.world.told);
    assert_eq!(bench.close(PLAYER, stream), Ok(Completed::Done));
    assert_eq!(bench.world.told, [Told::Interface(1, 0)]);
    assert!(bench.world.claimed.is_empty(), "{:?}", bench.world.claimed);
    bench.assert_at_rest();
}

/// U16: a card that leaves can be pulled, too.
#[test]
fn a_device_that_is_pulled_while_its_card_leaves_owes_nothing() {
    let (mut bench, device) = Bench::with(Model::default());
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.world.events.push_back(CoreEvent::Wanted { device, interface: 1 });
    bench.settle();
    bench.world.unplug(device);
    bench.settle();
    assert_eq!(bench.write(stream, &[0; 400]), Err(UsbAudioError::DeviceGone));
    bench.world.told.clear();
    assert_eq!(bench.close(PLAYER, stream), Ok(Completed::Done));
    assert!(bench.world.told.is_empty());
    bench.assert_at_rest();
}
