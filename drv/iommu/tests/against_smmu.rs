//! The driver against the model of the SMMU: what passes, what is blocked, and
//! that a step left out would be noticed.

mod bench;

use addr::{Bus, Phys};
use bench::{
    BROKER, Board, MEDIA, RINGS, STREAM, STREAM1, Sabotage, Session, XHCI, XHCI1, attached, close,
    on_board, session,
};
use fabric::{Core, IntId, StreamId, Time, Width};
use handles::Epoch;
use iommu::Config;
use iommu::mapper::Mapper;
use iommu_api::{Access, Event, IommuError, Part};
use seam::OnBench;

const SEEDS: u64 = 64;

#[test]
fn every_stream_is_invalid_after_bring_up() {
    for seed in 0..SEEDS {
        on_board(seed, |board, mapper| {
            for stream in (0..32).map(StreamId) {
                assert!(!board.device_write(stream, Bus(0x1000)));
            }
            assert!(board.fault_rang());
            mapper.faulted();
            // The image's controllers are named, a function of nobody is counted.
            assert!(matches!(mapper.pull(XHCI), Event::ControllerFault { at: Bus(0), .. }));
            assert!(matches!(mapper.pull(XHCI1), Event::ControllerFault { at: Bus(0), .. }));
            assert!(mapper.status().faults >= 32);
            board.assert_clean();
        });
    }
}

#[test]
fn an_attached_controller_reaches_the_doorbell_and_nothing_else() {
    for seed in 0..SEEDS {
        on_board(seed, |board, mapper| {
            let attached = mapper.attach(XHCI).unwrap();
            assert_eq!((attached.stream, attached.doorbell), (0x10, Bus(0xF000_0040)));
            let rung = board.fabric.borrow_mut().dma_write32(STREAM, attached.doorbell, 81);
            assert!(rung.is_ok() && board.fabric.borrow().interrupts.is_pending(IntId(81)));
            assert!(!board.device_write(STREAM, Bus(0x1000)));
            assert!(!board.device_write(STREAM1, attached.doorbell));
            board.assert_clean();
        });
    }
}

#[test]
fn mapped_pages_pass_and_are_out_of_reach_when_unmap_returns() {
    for seed in 0..SEEDS {
        attached(seed, |board, mapper| {
            let at = mapper.map(XHCI, 1, 4, 3, Access::ReadWrite).unwrap();
            let read_only = mapper.map(XHCI, 1, 8, 1, Access::Read).unwrap();
            for page in 0..3 {
                assert!(board.device_write(STREAM, at.plus(page * 4096)));
            }
            assert!(board.device_read(STREAM, read_only));
            assert!(!board.device_write(STREAM, read_only));
            mapper.unmap(XHCI, at).unwrap();
            for page in 0..3 {
                assert!(!board.device_read(STREAM, at.plus(page * 4096)));
                board.scrub(RINGS.plus((4 + page) * 4096));
            }
            assert_eq!(board.fabric.borrow().smmu.stale(), 0);
            board.assert_clean();
        });
    }
}

#[test]
fn pages_reach_the_memory_they_name() {
    attached(1, |board, mapper| {
        let at = mapper.map(XHCI, 1, 4, 2, Access::ReadWrite).unwrap();
        board.device_write(STREAM, at.plus(4096 + 16));
        let mut bytes = [0; 8];
        let page: Phys = RINGS.plus(5 * 4096 + 16);
        board.fabric.borrow().memory.peek(page, &mut bytes).unwrap();
        assert_eq!(bytes, [7; 8]);
    });
}

/// Whether unmapping and reusing pages under `sabotage` is noticed for a seed.
fn noticed(sabotage: Sabotage) -> bool {
    (0..SEEDS).any(|seed| {
        let mut noticed = false;
        attached(seed, |board, mapper| {
            let at = mapper.map(XHCI, 1, 4, 3, Access::ReadWrite).unwrap();
            (0..3).for_each(|page| assert!(board.device_write(STREAM, at.plus(page * 4096))));
            board.sabotage.set(sabotage);
            mapper.unmap(XHCI, at).unwrap();
            board.sabotage.set(Sabotage::None);
            let reached = (0..3).any(|page| board.device_write(STREAM, at.plus(page * 4096)));
            (0..3).for_each(|page| board.scrub(RINGS.plus((4 + page) * 4096)));
            noticed = reached || board.violations() > 0;
        });
        noticed
    })
}

#[test]
fn a_missing_sync_and_a_wrong_invalidation_are_noticed() {
    assert!(!noticed(Sabotage::None));
    assert!(noticed(Sabotage::NoSync));
    assert!(noticed(Sabotage::WrongPage));
}

#[test]
fn bring_up_without_barriers_is_noticed() {
    let noticed = (0..SEEDS).any(|seed| {
        let board = Board::new(seed);
        board.sabotage.set(Sabotage::NoBarriers);
        let machine = OnBench(bench::OfTask(&board));
        let _installed = seam::install(&machine);
        let config = bench::config();
        let started = Mapper::take_over(&config, Epoch(0), 0);
        let Ok(mut mapper) = started else { return true };
        let attached = mapper.attach(XHCI);
        attached.is_err() || board.violations() > 0 || !board.device_write(STREAM, Bus(0xF000_0040))
    });
    assert!(noticed);
}

#[test]
fn faults_in_or_right_after_a_part_are_the_windows() {
    for seed in 0..8 {
        for offset in [0_u64, 0x1FF8, 0x2000, 0x2FF8] {
            attached(seed, |board, mapper| {
                let session = session(mapper, 0);
                assert!(!board.device_write(STREAM, session.buffer.plus(offset)));
                assert!(board.fault_rang());
                assert!(!mapper.faulted());
                assert_eq!(mapper.take_hints().collect::<Vec<_>>(), [6]);
                let at = session.buffer.plus(offset);
                let event = Event::WindowFault { window: session.window, at, write: true };
                assert_eq!(mapper.pull(BROKER), event);
                assert_eq!(mapper.pull(BROKER), Event::None);
                assert_eq!(mapper.pull(XHCI), Event::None);
                board.assert_clean();
            });
        }
    }
}

#[test]
fn the_real_ring_is_read_only_for_the_controller() {
    attached(3, |board, mapper| {
        let session = session(mapper, 0);
        assert!(board.device_read(STREAM, session.ring));
        assert!(board.device_write(STREAM, session.event));
        assert!(!board.device_write(STREAM, session.ring));
        mapper.faulted();
        let fault = mapper.pull(BROKER);
        assert!(matches!(fault, Event::WindowFault { at, .. } if at == session.ring));
    });
}

#[test]
fn any_other_fault_is_the_controllers() {
    attached(4, |board, mapper| {
        let session = session(mapper, 0);
        assert!(!board.device_read(STREAM, session.buffer.plus(0x3000)));
        mapper.faulted();
        assert_eq!(mapper.take_hints().collect::<Vec<_>>(), [3]);
        let at = session.buffer.plus(0x3000);
        assert_eq!(mapper.pull(XHCI), Event::ControllerFault { at, write: false });
        assert_eq!(mapper.pull(XHCI), Event::None);
        assert_eq!(mapper.pull(BROKER), Event::None);
        assert!(mapper.is_masked());
        mapper.attach(XHCI).unwrap();
        assert!(!mapper.is_masked());
    });
}

#[test]
fn after_the_first_record_faults_are_quiet_until_the_window_is_closed() {
    for seed in 0..8 {
        attached(seed, |board, mapper| {
            let session = session(mapper, 0);
            assert!(!board.device_write(STREAM, session.ring));
            assert!(board.fault_rang());
            assert!(!mapper.faulted());
            // A storm meanwhile: the queue fills, the line is masked by the kernel.
            for _ in 0..200 {
                assert!(!board.device_write(STREAM, session.ring));
            }
            board.fault_rang();
            close(board, mapper, &session);
            assert!(!mapper.is_masked());
            assert!(mapper.status().faults >= 100);
            assert_eq!(mapper.pull(BROKER), Event::None);
            // The queue was emptied and its overflow acknowledged: the next
            // fault rings.
            board.fault_rang();
            assert!(!board.device_write(STREAM, Bus(0x7_0000)));
            assert!(board.fault_rang());
            board.assert_clean();
        });
    }
}

/// R21: what one controller has mapped is nothing to another.
#[test]
fn two_controllers_never_share_a_translation() {
    for seed in 0..SEEDS {
        attached(seed, |board, mapper| {
            mapper.attach(XHCI1).unwrap();
            let at = mapper.map(XHCI, 1, 0, 1, Access::ReadWrite).unwrap();
            assert!(board.device_write(STREAM, at));
            assert!(!board.device_write(STREAM1, at));
            mapper.faulted();
            assert!(matches!(mapper.pull(XHCI1), Event::ControllerFault { .. }));
            assert_eq!(mapper.pull(XHCI), Event::None);
            board.assert_clean();
        });
    }
}

#[test]
fn attaching_again_takes_everything_from_the_controller() {
    for seed in 0..SEEDS {
        attached(seed, |board, mapper| {
            let own = mapper.map(XHCI, 1, 40, 1, Access::ReadWrite).unwrap();
            let session = session(mapper, 0);
            assert!(board.device_write(STREAM, own) && board.device_write(STREAM, session.event));
            mapper.attach(XHCI).unwrap();
            assert!(!board.device_write(STREAM, own));
            assert!(!board.device_write(STREAM, session.event));
            board.scrub(RINGS.plus(40 * 4096));
            board.scrub(RINGS);
            board.scrub(MEDIA);
            assert_eq!(mapper.status().bus_pages, 0);
            assert_eq!(
                mapper.displace(XHCI, session.window, Part::EventRing),
                Err(IommuError::NotMapped)
            );
            assert!(mapper.map(XHCI, 1, 40, 1, Access::Read).is_ok());
            board.assert_clean();
        });
    }
}

/// A mapper's first life, which leaves a session behind that its controller uses.
fn old_life(board: &Board, config: &Config) -> Session {
    let mut first = Mapper::take_over(config, Epoch(0), 0).unwrap();
    first.attach(XHCI).unwrap();
    let old = session(&mut first, 0);
    assert!(board.device_write(STREAM, old.event));
    old
}

#[test]
fn a_restart_of_the_mapper_never_lets_a_controller_through() {
    for seed in 0..SEEDS {
        let board = Board::new(seed);
        let machine = OnBench(bench::OfTask(&board));
        let _installed = seam::install(&machine);
        let config = bench::config();
        let old = old_life(&board, &config);
        let mut second = Mapper::take_over(&config, Epoch(1), 0).unwrap();
        assert!(!board.device_write(STREAM, old.event));
        board.scrub(RINGS);
        assert_eq!(board.peer_descriptor(old.peer[0]), 0);
        second.attach(XHCI).unwrap();
        assert!(!board.device_write(STREAM, old.event));
        // The monitor may still hold the old translations.
        let window = second.open_window(BROKER, 0).unwrap();
        let refused = |mapper: &mut Mapper<'_>| {
            let quarantined = Some(IommuError::Quarantined);
            let place = mapper.place(XHCI, window, Part::DataRing, (1, 1, 1), Access::Read);
            assert_eq!(mapper.grant(XHCI, (1, 0, 1), 6).err(), quarantined);
            assert_eq!(mapper.map(XHCI, 1, 0, 1, Access::Read).err(), quarantined);
            assert_eq!(place.err(), quarantined);
        };
        refused(&mut second);
        // A bell that was lost is rung again for whoever comes back.
        assert!(board.fabric.borrow_mut().interrupts.take(Core::Dsp).is_some());
        second.expire(u64::MAX - 1);
        refused(&mut second);
        board.run_monitor();
        second.confirmed();
        let grant = second.grant(XHCI, (1, 0, 1), 6).unwrap();
        let map = second.map_peer(BROKER, window, Part::EventRing, grant, Access::Read);
        assert!(map.is_ok());
        let stale = second.start_unmap_peer(BROKER, old.window, 0);
        assert_eq!(stale.unwrap_err(), IommuError::StaleServer);
        board.assert_clean();
    }
}

/// The new life makes the SMMU forget configurations before translations: a
/// controller that goes on meanwhile would have it fetch them again by the one that
/// it still has, and nothing would take them away any more.
#[test]
fn a_controller_that_goes_on_during_a_restart_leaves_no_translation_behind() {
    for seed in 0..SEEDS {
        let board = Board::new(seed);
        let machine = OnBench(bench::OfTask(&board));
        let _installed = seam::install(&machine);
        let config = bench::config();
        let old = old_life(&board, &config);
        board.busy.set(Some((STREAM, old.event)));
        let mut second = Mapper::take_over(&config, Epoch(1), 0).unwrap();
        assert!(!board.device_write(STREAM, old.event));
        second.attach(XHCI).unwrap();
        assert_eq!(board.fabric.borrow().smmu.stale(), 0, "seed {seed}");
        board.scrub(RINGS);
        board.assert_clean();
    }
}

#[test]
fn a_dead_smmu_is_an_error_and_its_pages_are_quarantined() {
    attached(5, |board, mapper| {
        let at = mapper.map(XHCI, 1, 4, 1, Access::ReadWrite).unwrap();
        // The command queue stops.
        board.fabric.borrow_mut().smmu_write(0x20, Width::Word, 0b101);
        board.fabric.borrow_mut().spend(Time::ms(1));
        assert_eq!(mapper.unmap(XHCI, at), Err(IommuError::SmmuTimeout));
        assert_eq!(mapper.status().quarantined, 1);
        let again = mapper.map(XHCI, 1, 4, 1, Access::ReadWrite);
        assert_eq!(again, Err(IommuError::Quarantined));
    });
}
