//! Anything in any order: what must hold holds.
//!
//! The world panics on every operation on what is gone or not yet there, on
//! pages freed while someone may see them and on every step of an end that
//! comes before one that it depends on. Here the rest is watched: votes are as
//! many as sessions that passed that step, every request of a living client is
//! answered exactly once, and when everything has come to rest nothing is held.

mod world;

use std::collections::BTreeMap;

use iommu_api::IommuError;
use offload_broker::broker::PEER_DEADLINE_MS;
use offload_broker::ops::{Input, Server, Trouble};
use offload_broker::refusal::{Dialect, Failure};
use offload_broker::teardown::{ORDER, Steps, next};
use offload_broker_api::SessionPhase;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use usb_audio_api::UsbAudioError;
use usb_core_api::UsbCoreError;
use world::{DOWN, OTHER, PEER, PORT_SERVICE, UP, World, disable, enable};
use xhci_api::{GateOpening, XhciError};

#[derive(Clone, Debug)]
enum Happening {
    Enable {
        card: u8,
        pcm: u8,
        other: bool,
    },
    Disable {
        card: u8,
        pcm: u8,
        other: bool,
    },
    Repeat,
    Plug(u8),
    Unplug(u8),
    Revoke,
    NodeGone,
    ClientGone {
        other: bool,
    },
    PortUp,
    /// What, and whether about an older opening of the gate.
    Notice(Trouble, bool),
    Died(Server),
    DriverDied(u8),
    Mute(usize),
    Fail(usize, bool),
    Heal,
    FinishOne,
    FinishAll,
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let card = || 1_u8..4;
    let pcm = || 0_u8..2;
    let other = || proptest::bool::weighted(0.1);
    prop_oneof![
        8 => (card(), pcm(), other())
            .prop_map(|(card, pcm, other)| H::Enable { card, pcm, other }),
        6 => (card(), pcm(), other())
            .prop_map(|(card, pcm, other)| H::Disable { card, pcm, other }),
        2 => Just(H::Repeat),
        2 => card().prop_map(H::Plug),
        2 => card().prop_map(H::Unplug),
        1 => Just(H::Revoke),
        1 => Just(H::NodeGone),
        1 => any::<bool>().prop_map(|other| H::ClientGone { other }),
        1 => Just(H::PortUp),
        2 => (
            proptest::sample::select(vec![
                Trouble::Stalled,
                Trouble::Refused(8),
                Trouble::NotOpened(3),
                Trouble::Restarted,
            ]),
            proptest::bool::weighted(0.2),
        )
            .prop_map(|(trouble, stale)| H::Notice(trouble, stale)),
        1 => proptest::sample::select(vec![
            Server::Iommu,
            Server::UsbCore,
            Server::UsbAudio,
        ])
        .prop_map(H::Died),
        1 => (0_u8..2).prop_map(H::DriverDied),
        3 => any::<usize>().prop_map(H::Mute),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(step, busy)| H::Fail(step, busy)),
        3 => Just(H::Heal),
        6 => Just(H::FinishOne),
        3 => Just(H::FinishAll),
        3 => prop_oneof![1_u64..200, Just(PEER_DEADLINE_MS)].prop_map(H::Pass),
    ]
}

/// Operations that can stay under way; the others are answered in the call.
const TICKETS: [&str; 8] =
    ["open", "arm", "close_gate", "halt", "close", "disarm", "unmap_peer", "remove_endpoint"];

/// A step of an enable or of an end.
fn step(index: usize) -> &'static str {
    let all: Vec<_> = UP.iter().chain(&DOWN).filter(|name| !name.is_empty()).collect();
    all[index % all.len()]
}

/// How that step's server fails, for the moment or for long; releasing a vote
/// and clearing pages never fail.
fn failure(step: &str, busy: bool) -> Option<Failure> {
    Some(match step {
        "unhold" | "scrub" => return None,
        "open" | "describe" | "close" if busy => Failure::Audio(UsbAudioError::NoTickets),
        "open" | "describe" | "close" => Failure::Audio(UsbAudioError::TimedOut),
        "hold" => Failure::Core(UsbCoreError::Suspended),
        "unmap_peer" if busy => Failure::Iommu(IommuError::NoTickets),
        "unmap_peer" => Failure::Iommu(IommuError::Quarantined),
        _ if busy => Failure::Xhci(XhciError::Busy),
        _ => Failure::Xhci(XhciError::TimedOut),
    })
}

fn happen(world: &mut World, happening: &Happening, txn: u16, last: &mut Option<Input>) {
    let who = |other| if other { OTHER } else { PEER };
    match *happening {
        Happening::Enable { card, pcm, other } => {
            let (from, request) = (who(other), enable(u16::from(card), pcm));
            *last = Some(Input::Request { from, txn: qmi::Txn(txn), request });
            world.request(from, txn, request);
        }
        Happening::Disable { card, pcm, other } => {
            let (from, request) = (who(other), disable(u16::from(card), pcm));
            *last = Some(Input::Request { from, txn: qmi::Txn(txn), request });
            world.request(from, txn, request);
        }
        Happening::Repeat => {
            if let Some(again) = *last {
                world.input(again);
            }
        }
        Happening::Plug(card) => {
            if world.broker.cards().get(u16::from(card)).is_none() {
                // The last one is at the second controller.
                world.plug_at(card / 3, card, card.into());
            }
        }
        Happening::Unplug(card) => world.unplug(card),
        Happening::Revoke => {
            if world.has_sideband() {
                world.revoke();
            }
        }
        Happening::NodeGone => world.input(Input::NodeGone(PEER.node)),
        Happening::ClientGone { other } => world.input(Input::ClientGone(who(other))),
        Happening::PortUp => world.input(Input::PortUp(PORT_SERVICE)),
        Happening::Notice(trouble, stale) => {
            if world.has_sideband() {
                let opening = world.opening();
                let generation = opening.generation - u32::from(stale);
                world.notice_of(GateOpening { generation, ..opening }, trouble);
            }
        }
        Happening::Died(server) => world.input(Input::ServerDied(server)),
        Happening::DriverDied(controller) => world.input(Input::DriverDied(controller)),
        Happening::Mute(index) => {
            world.mute.insert(TICKETS[index % TICKETS.len()]);
        }
        Happening::Fail(index, busy) => {
            world.fail.extend(failure(step(index), busy).map(|failure| (step(index), failure)));
        }
        Happening::Heal => world.fail = BTreeMap::new(),
        Happening::FinishOne => {
            world.finish_one();
        }
        Happening::FinishAll => world.finish_all(),
        Happening::Pass(ms) => world.pass(ms),
    }
}

/// What holds after every input.
fn check(world: &World) {
    let status = world.broker.status();
    assert_eq!(status.double_releases, 0, "a vote was released twice");
    let sessions: Vec<_> = (0..8)
        .filter_map(|place| world.broker.session(place))
        .filter(|session| session.phase != SessionPhase::Free)
        .collect();
    assert_eq!(usize::from(status.sessions), sessions.len());
    let votes = sessions.iter().filter(|session| session.vote).count();
    assert_eq!(usize::from(status.votes), votes, "votes are those of live sessions");
    for session in &sessions {
        let running = session.phase == SessionPhase::Running;
        assert!(session.vote || !running, "a stream runs without a vote");
    }
    let tokens: Vec<_> = sessions.iter().map(|session| session.token).collect();
    let mut distinct = tokens.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(tokens.len(), distinct.len(), "a stream has one session");
    assert_eq!(status.begun - status.ended, u32::from(status.sessions));
    check_story(world, usize::from(status.sessions));
}

/// R3: whoever reads the trace can tell each session's life from its first moment
/// to its one end, and no other way through its phases.
fn check_story(world: &World, live: usize) {
    use SessionPhase as P;
    let mut at: BTreeMap<u32, SessionPhase> = BTreeMap::new();
    for &(id, phase) in &world.phases {
        let before = at.insert(id, phase);
        let follows = match before {
            None => phase == P::Reserved,
            Some(P::Reserved) => matches!(phase, P::Mapped | P::Draining),
            Some(P::Mapped) => phase == P::Armed,
            Some(P::Armed) => matches!(phase, P::Running | P::Draining),
            Some(P::Running) => phase == P::Draining,
            Some(P::Draining) => phase == P::Free,
            Some(P::Free) => false,
        };
        assert!(follows, "session {id} went from {before:?} to {phase:?}");
    }
    assert_eq!(at.values().filter(|&&phase| phase != P::Free).count(), live);
}

/// The steps that a session still owes are done in the one order, whatever it
/// holds and whatever is stuck: the next is never above one that was given
/// before, and nothing comes before what it depends on.
#[test]
fn the_next_step_is_the_first_that_is_owed_and_free() {
    let mut world = World::running(Dialect::Precise);
    world.request(PEER, 2, disable(1, 0));
    let mut held = *world.broker.held(0).expect("a session");
    for stuck in ORDER {
        let (mut held_here, mut blocked, mut done) = (held, Steps::default(), Vec::new());
        blocked.insert(stuck);
        while let Some((step, _)) = next(&held_here, &mut blocked) {
            assert!(done.last().is_none_or(|last| *last < step), "{step:?} is out of order");
            step.settle(&mut held_here);
            done.push(step);
        }
        assert!(!done.contains(&stuck));
    }
    let mut none = Steps::default();
    while let Some((step, _)) = next(&held, &mut none) {
        step.settle(&mut held);
    }
    assert!(offload_broker::teardown::is_over(&held));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// R3, R16: each session has one way through its phases and one end, and votes are
    /// those of live sessions; no vote is ever released twice.
    #[test]
    fn whatever_happens_the_books_balance(
        happenings in proptest::collection::vec(happening(), 1..80),
        upstream in any::<bool>(),
        sync in any::<bool>(),
    ) {
        let dialect = if upstream { Dialect::Upstream } else { Dialect::Precise };
        let mut world = World::new(dialect);
        world.sync = sync;
        let mut last = None;
        for (txn, happening) in (1_u16..).zip(&happenings) {
            happen(&mut world, happening, txn, &mut last);
            check(&world);
        }
        // Everything comes to rest: no more failures, no more peer, no more devices.
        world.fail.clear();
        world.finish_all();
        world.input(Input::ControllerSafe(0));
        world.input(Input::ControllerSafe(1));
        world.input(Input::NodeGone(PEER.node));
        world.finish_all();
        for card in 1..4 {
            world.unplug(card);
        }
        world.pass(2 * PEER_DEADLINE_MS);
        world.finish_all();
        check(&world);
        world.assert_clean();
        for card in 1..4_u16 {
            prop_assert!(world.broker.cards().get(card).is_none(), "a card is never forgotten");
        }
    }

    /// Each request that a living client makes is answered exactly once.
    #[test]
    fn every_request_is_answered_once(
        steps in proptest::collection::vec((1_u8..3, 0_u8..2, any::<bool>(), any::<usize>()), 1..30)
    ) {
        let mut world = World::new(Dialect::Precise);
        world.plug(2);
        let mut asked = 0;
        for (txn, (card, pcm, on, mute)) in (1_u16..).zip(steps) {
            if mute % 3 == 0 {
                world.mute.insert(TICKETS[mute % TICKETS.len()]);
            } else if mute % 3 == 1 {
                world.finish_all();
            }
            let card = u16::from(card);
            world.request(PEER, txn, if on { enable(card, pcm) } else { disable(card, pcm) });
            asked += 1;
        }
        world.finish_all();
        world.pass(1000);
        world.finish_all();
        world.pass(1000);
        let mut answered: Vec<_> = world.responses.iter().map(|(_, txn, _)| txn.0).collect();
        answered.sort_unstable();
        prop_assert_eq!(answered, (1..=asked).collect::<Vec<u16>>());
    }
}
