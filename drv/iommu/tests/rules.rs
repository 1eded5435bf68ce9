//! Each operation in each state: owners, grantees, counts, tickets, deaths.

mod bench;

use abi::{Generation, TaskId};
use addr::{Bus, Peer};
use bench::{
    BROKER, MEDIA, RINGS, STRANGER, STREAM, TABLES, XHCI, attached, close, on_board, on_board_with,
    session,
};
use dsp_abi::SESSIONS;
use fabric::Core;
use iommu::mapper::{ASK_AGAIN_MS, CONFIRM_MS, MAX_GRANTS, MAX_OWN};
use iommu_api::{Access, Event, IommuError, Part, Status};

const RW: Access = Access::ReadWrite;

#[test]
fn windows_lie_where_a_dsp_expects_them_with_guards() {
    attached(1, |board, mapper| {
        let first = session(mapper, 0);
        let second = session(mapper, 1);
        assert_eq!((first.event, second.event), (Bus(0x1000), Bus(0x3000)));
        assert_eq!((first.ring, second.ring), (Bus(0x2_2000), Bus(0x2_4000)));
        assert_eq!((first.buffer, second.buffer), (Bus(0x42_2000), Bus(0x42_5000)));
        assert_eq!(first.peer, [Peer(0x1000), Peer(0x2_2000), Peer(0x42_2000)]);
        assert_eq!(second.peer, [Peer(0x3000), Peer(0x2_4000), Peer(0x42_5000)]);
        let window = board.window_page().windows[1];
        assert_eq!((window.valid, window.buffer.bus), (1, 0x42_5000));
        assert_eq!((window.buffer.peer, window.buffer.len), (0x42_5000, 0x2000));
        board.assert_clean();
    });
}

#[test]
fn the_peers_tables_have_the_granted_pages_and_no_guard() {
    attached(1, |board, mapper| {
        let session = session(mapper, 0);
        let page = |at: Peer| board.peer_descriptor(at);
        assert_eq!(page(session.peer[0]) & 0xFFFF_F000, RINGS.low());
        assert_eq!(page(session.peer[0]) & 0x230, 0x230, "the event ring is read only");
        assert_eq!(page(session.peer[1]) & 0xFFFF_F000, RINGS.low() + 0x2000, "the shadow");
        assert_eq!(page(session.peer[1]) & 0x230, 0x030);
        assert_eq!(page(session.peer[2].plus(0x1000)) & 0xFFFF_F000, MEDIA.low() + 0x1000);
        assert_eq!(page(session.peer[2].plus(0x2000)), 0);
        assert_eq!(page(session.peer[1].plus(0x1000)), 0);
        assert_eq!(page(Peer(0)), 0);
    });
}

#[test]
fn a_session_comes_and_goes_without_a_trace_as_often_as_one_likes() {
    for seed in 0..8 {
        attached(seed, |board, mapper| {
            for round in 0..20 {
                let first = session(mapper, 0);
                let second = session(mapper, 1);
                assert!(board.device_write(STREAM, first.event));
                assert!(board.device_read(STREAM, second.buffer));
                let status = mapper.status();
                assert_eq!((status.windows, status.grants), (2, 6));
                assert_eq!((status.bus_pages, status.peer_pages), (8, 8));
                let order = if round % 2 == 0 { [first, second] } else { [second, first] };
                for session in order {
                    close(board, mapper, &session);
                }
                for page in 0..16 {
                    board.scrub(RINGS.plus(page * 4096));
                    board.scrub(MEDIA.plus(page * 4096));
                }
                assert_eq!(mapper.status(), Status::default());
                assert!(board.window_page().windows.iter().all(|window| window.valid == 0));
                // Each ended ticket is told once, and not at all once fetched.
                assert_eq!(mapper.pull(BROKER), Event::None);
            }
            board.assert_clean();
        });
    }
}

#[test]
fn only_owners_place_and_grant_and_only_the_grantee_maps() {
    attached(2, |_, mapper| {
        let window = mapper.open_window(BROKER, 0).unwrap();
        let place = |mapper: &mut iommu::mapper::Mapper<'_>, who, part, pages| {
            mapper.place(who, window, part, pages, RW).map(|_| ())
        };
        let not_owner = Err(IommuError::NotPoolOwner);
        assert_eq!(place(mapper, BROKER, Part::EventRing, (1, 0, 1)), not_owner);
        assert_eq!(place(mapper, XHCI, Part::Buffer, (2, 0, 1)), not_owner);
        assert_eq!(mapper.grant(STRANGER, (1, 0, 1), 6).unwrap_err(), IommuError::NotPoolOwner);
        assert_eq!(mapper.map(BROKER, 2, 0, 1, RW), Err(IommuError::NoController));
        assert_eq!(mapper.attach(BROKER).unwrap_err(), IommuError::NoController);
        let grant = mapper.grant(XHCI, (1, 0, 1), 7).unwrap();
        let map = mapper.map_peer(BROKER, window, Part::EventRing, grant, RW);
        assert_eq!(map, Err(IommuError::NotGrantee));
        let foreign = mapper.open_window(STRANGER, 0).unwrap();
        let map = mapper.map_peer(BROKER, foreign, Part::EventRing, grant, RW);
        assert_eq!(map, Err(IommuError::NotOwner));
        assert_eq!(mapper.close_window(BROKER, foreign), Err(IommuError::NotOwner));
        assert_eq!(mapper.release(BROKER, grant), Err(IommuError::NotOwner));
        place(mapper, XHCI, Part::EventRing, (1, 0, 1)).unwrap();
        assert_eq!(mapper.displace(BROKER, window, Part::EventRing), Err(IommuError::NotOwner));
    });
}

#[test]
fn lengths_places_and_double_use_are_refused_each_with_its_code() {
    attached(3, |_, mapper| {
        let window = mapper.open_window(BROKER, 0).unwrap();
        let mut place = |who, part, pages| mapper.place(who, window, part, pages, RW).map(|_| ());
        assert_eq!(place(XHCI, Part::EventRing, (1, 0, 2)), Err(IommuError::PartTooLong));
        assert_eq!(place(BROKER, Part::Buffer, (2, 0, 25)), Err(IommuError::PartTooLong));
        assert_eq!(place(BROKER, Part::Buffer, (2, 60, 5)), Err(IommuError::BadPages));
        assert_eq!(place(BROKER, Part::Buffer, (2, 0, 0)), Err(IommuError::BadPages));
        place(BROKER, Part::Buffer, (2, 0, 24)).unwrap();
        assert_eq!(place(BROKER, Part::Buffer, (2, 30, 1)), Err(IommuError::AlreadyMapped));
        assert_eq!(place(BROKER, Part::DataRing, (2, 3, 1)), Err(IommuError::AlreadyMapped));
        assert_eq!(mapper.displace(XHCI, window, Part::SyncRing), Err(IommuError::NotMapped));
        assert_eq!(mapper.unmap(XHCI, Bus(0x8000_0000)), Err(IommuError::NotMapped));
        assert_eq!(mapper.open_window(BROKER, 2).unwrap_err(), IommuError::BadController);
        let other = mapper.open_window(BROKER, 1).unwrap();
        let place = mapper.place(XHCI, other, Part::DataRing, (1, 0, 1), RW);
        assert_eq!(place, Err(IommuError::NotAttached));
    });
}

/// R18: each number of pages for tables is too few for something, or enough.
#[test]
fn without_a_page_for_tables_nothing_is_mapped() {
    let mut refused = [0; 3];
    for room in 0..16 {
        on_board_with(iommu::layout::FIRST_TABLE + room, 3, |board, mapper| {
            let window = mapper.open_window(BROKER, 0).unwrap();
            let mut steps = [
                mapper.attach(XHCI).map(|_| ()),
                mapper.map(XHCI, 1, 0, 1, RW).map(|_| ()),
                mapper.place(XHCI, window, Part::EventRing, (1, 1, 1), RW).map(|_| ()),
            ]
            .into_iter();
            let Some(at) = steps.clone().position(|step| step.is_err()) else { return };
            assert_eq!(steps.nth(at), Some(Err(IommuError::NoTables)), "step {at}, {room}");
            refused[at] += 1;
            assert_eq!(mapper.status().bus_pages, 0, "{room}");
            board.assert_clean();
        });
    }
    assert!(refused.iter().all(|&times| times > 0), "{refused:?}");
}

#[test]
fn nothing_is_mapped_before_the_controller_attached() {
    on_board(3, |_, mapper| {
        assert_eq!(mapper.map(XHCI, 1, 0, 1, RW), Err(IommuError::NotAttached));
        assert_eq!(mapper.unmap(XHCI, Bus(0x8000_0000)), Err(IommuError::NotAttached));
    });
}

#[test]
fn the_peer_gets_the_placed_event_ring_and_never_the_real_transfer_ring() {
    attached(4, |_, mapper| {
        let window = mapper.open_window(BROKER, 0).unwrap();
        mapper.place(XHCI, window, Part::EventRing, (1, 0, 1), RW).unwrap();
        mapper.place(XHCI, window, Part::DataRing, (1, 1, 1), RW).unwrap();
        let other = mapper.grant(XHCI, (1, 5, 1), 6).unwrap();
        let real = mapper.grant(XHCI, (1, 1, 1), 6).unwrap();
        let map = mapper.map_peer(BROKER, window, Part::EventRing, other, RW);
        assert_eq!(map, Err(IommuError::BadPages));
        let map = mapper.map_peer(BROKER, window, Part::DataRing, real, RW);
        assert_eq!(map, Err(IommuError::BadPages));
        assert!(mapper.map_peer(BROKER, window, Part::DataRing, other, RW).is_ok());
        let twice = mapper.map_peer(BROKER, window, Part::SyncRing, other, RW);
        assert_eq!(twice, Err(IommuError::AlreadyMapped));
    });
}

/// R29: no page is freed before its unmapping was confirmed, on either side.
#[test]
fn what_is_mapped_cannot_be_given_back_under_its_user() {
    attached(5, |board, mapper| {
        let session = session(mapper, 0);
        let still = Err(IommuError::StillMapped);
        assert_eq!(mapper.release(XHCI, session.grants[0]), still);
        assert_eq!(mapper.displace(XHCI, session.window, Part::DataRing), still);
        assert_eq!(mapper.close_window(BROKER, session.window), still);
        let ticket = mapper.start_unmap_peer(BROKER, session.window, 0).unwrap();
        assert_eq!(mapper.displace(XHCI, session.window, Part::DataRing), still);
        assert_eq!(mapper.release(XHCI, session.grants[0]), still);
        assert_eq!(mapper.result(BROKER, ticket), Err(IommuError::NotYet));
        assert_eq!(board.window_page().windows[0].valid, 0, "the gate hears at once");
        assert_eq!(board.peer_descriptor(session.peer[2]), 0);
        mapper.confirmed();
        assert_eq!(mapper.result(BROKER, ticket), Err(IommuError::NotYet));
        board.run_monitor();
        mapper.confirmed();
        assert_eq!(mapper.take_hints().collect::<Vec<_>>(), [6]);
        assert_eq!(mapper.pull(BROKER), Event::TicketDone(ticket));
        assert_eq!(mapper.result(BROKER, ticket), Ok(()));
        assert_eq!(mapper.result(BROKER, ticket), Err(IommuError::Stale));
        assert_eq!(mapper.close_window(BROKER, session.window), still);
        assert_eq!(mapper.displace(XHCI, session.window, Part::DataRing), Ok(()));
    });
}

#[test]
fn unmapping_a_window_that_the_peer_does_not_have_is_done_at_once() {
    attached(6, |_, mapper| {
        let window = mapper.open_window(BROKER, 0).unwrap();
        let ticket = mapper.start_unmap_peer(BROKER, window, 0).unwrap();
        assert_eq!(mapper.result(BROKER, ticket), Ok(()));
        assert_eq!(mapper.result(STRANGER, ticket), Err(IommuError::Stale));
        mapper.close_window(BROKER, window).unwrap();
        assert_eq!(mapper.close_window(BROKER, window), Err(IommuError::Stale));
    });
}

#[test]
fn an_owner_gets_its_pages_back_whatever_they_are_used_for() {
    attached(7, |board, mapper| {
        let session = session(mapper, 0);
        let ticket = mapper.start_revoke(XHCI, session.grants[1], 0).unwrap();
        assert_eq!(mapper.result(XHCI, ticket), Err(IommuError::NotYet));
        // The grant is good for nothing from here on, and the event ring stays.
        let map = mapper.map_peer(BROKER, session.window, Part::SyncRing, session.grants[1], RW);
        assert_eq!(map, Err(IommuError::Stale));
        let twice = mapper.start_revoke(XHCI, session.grants[1], 0);
        assert_eq!(twice.unwrap_err(), IommuError::Stale);
        assert_ne!(board.peer_descriptor(session.peer[0]), 0);
        board.run_monitor();
        mapper.confirmed();
        assert_eq!(mapper.result(XHCI, ticket), Ok(()));
        assert_eq!(mapper.status().grants, 2);
        assert_eq!(mapper.status().peer_pages, 3);
        let unused = mapper.grant(XHCI, (1, 9, 1), 6).unwrap();
        let ticket = mapper.start_revoke(XHCI, unused, 0).unwrap();
        assert_eq!(mapper.result(XHCI, ticket), Ok(()));
    });
}

#[test]
fn without_an_answer_by_the_deadline_pages_are_quarantined_until_the_dsp_was_reset() {
    attached(8, |board, mapper| {
        let session = session(mapper, 0);
        board.monitor.set(0);
        let ticket = mapper.start_unmap_peer(BROKER, session.window, 100).unwrap();
        board.run_monitor();
        assert_eq!(mapper.next_deadline(), Some(100 + ASK_AGAIN_MS));
        mapper.expire(100 + ASK_AGAIN_MS);
        board.run_monitor();
        assert_eq!(mapper.next_deadline(), Some(100 + CONFIRM_MS));
        mapper.expire(99 + CONFIRM_MS);
        assert_eq!(mapper.result(BROKER, ticket), Err(IommuError::NotYet));
        mapper.expire(100 + CONFIRM_MS);
        assert_eq!(mapper.next_deadline(), None);
        assert_eq!(mapper.result(BROKER, ticket), Err(IommuError::Quarantined));
        assert_eq!(mapper.status().quarantined, 4);
        assert_eq!(mapper.status().peer_pages, 0);
        // The controller's side still comes down, and the window closes.
        for (who, part) in [(XHCI, Part::EventRing), (XHCI, Part::DataRing), (BROKER, Part::Buffer)]
        {
            mapper.displace(who, session.window, part).unwrap();
        }
        mapper.release(XHCI, session.grants[0]).unwrap();
        mapper.close_window(BROKER, session.window).unwrap();
        assert_eq!(mapper.status().windows, 0);
        // Neither pages nor addresses come back.
        let grant = mapper.grant(XHCI, (1, 0, 1), 6);
        assert_eq!(grant.unwrap_err(), IommuError::Quarantined);
        assert_eq!(mapper.map(XHCI, 1, 0, 1, RW), Err(IommuError::Quarantined));
        let next = mapper.open_window(BROKER, 0).unwrap();
        let at = mapper.place(XHCI, next, Part::EventRing, (1, 8, 1), RW).unwrap();
        assert_eq!(at, Bus(0x3000));
        // A late answer is no reset.
        board.monitor.set(1);
        board.run_monitor();
        mapper.confirmed();
        assert_eq!(mapper.status().quarantined, 4);
        board.start_monitor(2);
        mapper.confirmed();
        assert_eq!(mapper.status().quarantined, 0);
        assert!(mapper.grant(XHCI, (1, 0, 1), 6).is_ok());
        for _ in 1..SESSIONS {
            mapper.open_window(BROKER, 0).unwrap();
        }
        board.assert_clean();
    });
}

/// The monitor looks by itself only while a controller runs or a stream.
#[test]
fn a_bell_that_was_lost_is_rung_again_while_there_is_time() {
    attached(8, |board, mapper| {
        let session = session(mapper, 0);
        board.run_monitor();
        let ticket = mapper.start_unmap_peer(BROKER, session.window, 100).unwrap();
        assert!(board.fabric.borrow_mut().interrupts.take(Core::Dsp).is_some());
        board.run_monitor();
        mapper.confirmed();
        assert_eq!(mapper.result(BROKER, ticket), Err(IommuError::NotYet));
        mapper.expire(100 + ASK_AGAIN_MS);
        board.run_monitor();
        mapper.confirmed();
        assert_eq!(mapper.result(BROKER, ticket), Ok(()));
        assert_eq!((mapper.next_deadline(), mapper.status().quarantined), (None, 0));
        board.assert_clean();
    });
}

#[test]
fn a_reset_of_the_dsp_confirms_everything_that_waits() {
    attached(9, |board, mapper| {
        let session = session(mapper, 0);
        let ticket = mapper.start_unmap_peer(BROKER, session.window, 0).unwrap();
        board.start_monitor(2);
        mapper.confirmed();
        assert_eq!(mapper.result(BROKER, ticket), Ok(()));
        assert_eq!(mapper.status().peer_pages, 0);
    });
}

/// The DSP may have picked up again what left the tables after its reset.
#[test]
fn a_reset_that_nobody_saw_confirms_nothing_that_was_taken_away_after_it() {
    attached(9, |board, mapper| {
        let session = session(mapper, 0);
        board.start_monitor(2);
        let ticket = mapper.start_unmap_peer(BROKER, session.window, 0).unwrap();
        mapper.confirmed();
        assert_eq!(mapper.result(BROKER, ticket), Err(IommuError::NotYet));
        board.run_monitor();
        mapper.confirmed();
        assert_eq!(mapper.result(BROKER, ticket), Ok(()));
    });
}

/// A driver's next life does not know what its last one had granted.
#[test]
fn what_a_dead_owner_granted_is_not_used_anew_before_the_peer_let_go() {
    attached(9, |board, mapper| {
        let session = session(mapper, 0);
        mapper.died(XHCI, 0);
        let heir = TaskId::new(XHCI.index() as u16, Generation(1));
        let window = mapper.open_window(BROKER, 0).unwrap();
        let ring = |mapper: &mut iommu::mapper::Mapper<'_>| {
            let place = mapper.place(heir, window, Part::DataRing, (1, 2, 1), RW);
            place.and_then(|_| mapper.displace(heir, window, Part::DataRing))
        };
        let own = |mapper: &mut iommu::mapper::Mapper<'_>| {
            mapper.map(heir, 1, 2, 1, RW).and_then(|at| mapper.unmap(heir, at))
        };
        assert_ne!(board.peer_descriptor(session.peer[2]), 0, "another's grant stands");
        assert_eq!(ring(mapper), Err(IommuError::StillMapped));
        assert_eq!(own(mapper), Err(IommuError::StillMapped));
        board.run_monitor();
        mapper.confirmed();
        assert_eq!((ring(mapper), own(mapper)), (Ok(()), Ok(())));
    });
}

#[test]
fn capacity_is_a_code_of_its_own() {
    attached(10, |_, mapper| {
        let windows: Vec<_> =
            (0..SESSIONS).map(|_| mapper.open_window(BROKER, 0).unwrap()).collect();
        assert_eq!(mapper.open_window(BROKER, 0).unwrap_err(), IommuError::NoWindows);
        let grants: Vec<_> =
            (0..MAX_GRANTS).map(|_| mapper.grant(XHCI, (1, 0, 1), 6).unwrap()).collect();
        assert_eq!(mapper.grant(XHCI, (1, 0, 1), 6).unwrap_err(), IommuError::NoGrants);
        mapper.release(XHCI, grants[0]).unwrap();
        assert!(mapper.grant(XHCI, (1, 0, 1), 6).is_ok());
        let mut tickets = 0;
        let refusal = loop {
            match mapper.start_unmap_peer(BROKER, windows[0], 0) {
                Ok(_) => tickets += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((refusal, tickets), (IommuError::NoTickets, 12));
    });
}

#[test]
fn own_maps_end_with_a_code_and_give_their_addresses_back() {
    attached(11, |board, mapper| {
        let mut maps = vec![];
        let refusal = loop {
            match mapper.map(XHCI, 1, maps.len() as u16, 1, RW) {
                Ok(at) => maps.push(at),
                Err(error) => break error,
            }
        };
        assert_eq!((refusal, maps.len()), (IommuError::NoAddresses, MAX_OWN));
        for &at in &maps {
            mapper.unmap(XHCI, at).unwrap();
        }
        assert_eq!(mapper.map(XHCI, 1, 0, 1, RW), Ok(maps[0]));
        board.assert_clean();
    });
}

#[test]
fn when_an_opener_dies_its_windows_go_in_order_and_its_successor_finds_nothing() {
    for seed in 0..16 {
        attached(seed, |board, mapper| {
            let session = session(mapper, 0);
            assert!(board.device_read(STREAM, session.buffer));
            mapper.died(BROKER, 0);
            let reborn = TaskId::new(6, Generation(1));
            assert_eq!(mapper.pull(reborn), Event::None);
            assert_eq!(
                mapper.start_unmap_peer(reborn, session.window, 0).unwrap_err(),
                IommuError::NotOwner
            );
            // The peer is asked first; the controller keeps its half meanwhile.
            assert_eq!(board.peer_descriptor(session.peer[2]), 0);
            assert!(board.device_read(STREAM, session.buffer));
            board.run_monitor();
            mapper.confirmed();
            assert!(board.device_read(STREAM, session.buffer));
            // `xhci` stops the endpoint and takes its rings back: then the
            // buffer goes by itself.
            mapper.displace(XHCI, session.window, Part::DataRing).unwrap();
            assert!(!board.device_read(STREAM, session.buffer));
            board.scrub(MEDIA);
            mapper.displace(XHCI, session.window, Part::EventRing).unwrap();
            mapper.release(XHCI, session.grants[0]).unwrap();
            mapper.release(XHCI, session.grants[1]).unwrap();
            let status = mapper.status();
            assert_eq!((status.windows, status.grants, status.bus_pages), (0, 0, 0));
            mapper.faulted();
            mapper.attach(XHCI).unwrap();
            assert!(!mapper.is_masked());
            board.assert_clean();
        });
    }
}

#[test]
fn when_an_owner_dies_its_grants_are_taken_from_the_peer() {
    attached(12, |board, mapper| {
        let session = session(mapper, 0);
        let pages = session.peer.map(|at| board.peer_descriptor(at) & !0xFFF);
        mapper.died(XHCI, 0);
        let now = session.peer.map(|at| board.peer_descriptor(at));
        assert!(now[0] & !0xFFF != pages[0] && now[1] & !0xFFF != pages[1]);
        assert_eq!(now[2] & !0xFFF, pages[2]);
        // The peer's program has other sessions: it meets an empty page, and lives.
        let empty = TABLES.plus(u64::from(iommu::layout::EMPTY_PAGE) * 4096);
        assert_eq!((now[0], u64::from(now[0] & !0xFFF)), (now[1], empty.0));
        board.run_monitor();
        mapper.confirmed();
        let status = mapper.status();
        assert_eq!((status.grants, status.peer_pages), (1, 2), "the rings are their owner's again");
        // Who opened the window takes the empty page away, and closes it then.
        let refused = mapper.close_window(BROKER, session.window);
        assert_eq!(refused, Err(IommuError::StillMapped));
        // Its next life attaches after resetting the controller.
        let reborn = TaskId::new(3, Generation(1));
        mapper.attach(reborn).unwrap();
        assert_eq!(mapper.status().bus_pages, 0);
        let ticket = mapper.start_unmap_peer(BROKER, session.window, 0).unwrap();
        board.run_monitor();
        mapper.confirmed();
        mapper.result(BROKER, ticket).unwrap();
        assert_eq!(session.peer.map(|at| board.peer_descriptor(at)), [0; 3]);
        mapper.close_window(BROKER, session.window).unwrap();
        board.assert_clean();
    });
}

#[test]
fn tickets_die_with_their_client() {
    attached(13, |board, mapper| {
        let session = session(mapper, 0);
        let ticket = mapper.start_unmap_peer(BROKER, session.window, 0).unwrap();
        mapper.died(BROKER, 0);
        board.run_monitor();
        mapper.confirmed();
        assert_eq!(mapper.result(BROKER, ticket), Err(IommuError::Stale));
        assert_eq!(mapper.take_hints().count(), 0);
    });
}
