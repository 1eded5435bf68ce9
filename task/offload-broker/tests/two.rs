//! Sessions on two controllers: each asks its own driver, has an interrupter and a
//! window of that controller's, and ends with that controller only (R21).
//!
//! The world's drivers count alike, and an operation that reaches the wrong one
//! finds nothing there.

mod world;

use offload_broker::broker::PEER_DEADLINE_MS;
use offload_broker::ops::{Input, Trouble};
use offload_broker::refusal::{Dialect, Failure, Refusal};
use offload_broker_api::SessionPhase;
use qmi::Status;
use world::{DOWN, PEER, World, disable, enable, handle, opening_of};
use xhci_api::{RevokeReason, XhciError};

/// Card 1 at the first controller and card 2 at the second, a stream on each.
fn both() -> World {
    let mut world = World::running(Dialect::Precise);
    world.plug_at(1, 2, 2);
    world.request(PEER, 2, enable(2, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    world.log.clear();
    world.responses.clear();
    world
}

fn phases(world: &World) -> [SessionPhase; 2] {
    [0, 1].map(|place| world.broker.session(place).expect("a place").phase)
}

/// R21, D-4: at each controller they are counted from its first on.
#[test]
fn r21_sessions_of_two_controllers_have_interrupters_and_windows_of_their_own() {
    let mut world = World::new(Dialect::Precise);
    world.plug_at(1, 2, 2);
    let mut answers = Vec::new();
    // Two at each, turn by turn.
    for (txn, (card, pcm)) in (1..).zip([(1, 0), (2, 0), (1, 1), (2, 1)]) {
        world.request(PEER, txn, enable(card, pcm));
        let answer = world.last();
        answers.push((answer.controller_num, answer.interrupter_num));
    }
    // The same numbers at both: neither knows of the other's.
    let numbers = [(0, 2), (1, 2), (0, 3), (1, 3)];
    assert_eq!(answers, numbers.map(|(controller, number)| (Some(controller), Some(number))));
    assert_eq!([0, 1].map(|controller| world.interrupters(controller)), [[2, 3], [2, 3]]);
    assert_eq!(world.windows(), [0, 1, 0, 1]);
}

/// The sidebands have the same number, so each end would meet the other's if it
/// went to the wrong driver.
#[test]
fn r21_end_of_one_session_asks_its_own_driver_and_leaves_the_other() {
    for (card, controller) in [(1, 0), (2, 1)] {
        let mut world = both();
        world.request(PEER, 3, disable(card, 0));
        world.pass(200);
        assert_eq!(world.log, DOWN[..DOWN.len() - 1]);
        assert_eq!(world.interrupters(controller), []);
        assert_eq!(world.interrupters(1 - controller), [2]);
        assert_eq!(world.windows(), [1 - controller]);
    }
}

#[test]
fn r21_revocation_is_of_the_controller_that_says_it() {
    for controller in [0, 1] {
        let mut world = both();
        // Both have this sideband.
        let (sideband, reason) = (handle(1), RevokeReason::DeviceReset);
        world.input(Input::Revoked { controller, sideband, reason });
        let mut expected = [SessionPhase::Running; 2];
        expected[usize::from(controller)] = SessionPhase::Draining;
        assert_eq!(phases(&world), expected);
    }
}

#[test]
fn r21_notice_is_about_the_session_of_the_controller_that_it_names() {
    for controller in [0, 1] {
        let mut world = both();
        let opening = opening_of(1);
        world.input(Input::Notice { controller, opening, trouble: Trouble::Restarted });
        assert_eq!(world.broker.status().sessions, 1);
        assert_eq!(world.interrupters(1 - controller), [2]);
    }
}

/// R21: the driver of one dies: the other's session plays on; and the reset of the one
/// is no reset of the other.
#[test]
fn r21_death_of_a_driver_ends_the_sessions_of_its_controller_only() {
    for (dead, alive) in [(0, 1), (1, 0)] {
        let mut world = both();
        world.input(Input::DriverDied(dead));
        let mut expected = [SessionPhase::Running; 2];
        expected[usize::from(dead)] = SessionPhase::Draining;
        assert_eq!(phases(&world), expected);
        // The peer lets go of what is lost; it runs until its controller's reset.
        world.request(PEER, 3, disable(1 + u16::from(dead), 0));
        assert_eq!(world.last().status, Some(Status::SUCCESS));
        let before = world.log.len();
        world.input(Input::ControllerSafe(alive));
        assert_eq!(world.log.len(), before, "nothing is taken before its own reset");
        assert_eq!(world.broker.status().sessions, 2);
        world.input(Input::ControllerSafe(dead));
        assert_eq!(world.broker.status().sessions, 1);
        assert_eq!(world.interrupters(alive), [2]);
        // And it is good for the next one.
        world.request(PEER, 4, enable(1 + u16::from(dead), 0));
        assert_eq!(world.last().status, Some(Status::SUCCESS));
        for card in [1, 2] {
            world.request(PEER, 10 + card, disable(card, 0));
        }
        world.pass(PEER_DEADLINE_MS);
        world.assert_clean();
    }
}

/// A death in the middle of an enable at the other controller changes nothing there.
#[test]
fn r21_enable_at_one_controller_goes_on_when_the_driver_of_the_other_dies() {
    let mut world = World::running(Dialect::Precise);
    world.plug_at(1, 2, 2);
    world.mute_all = true;
    world.request(PEER, 2, enable(2, 0));
    while !world.under_way.is_empty() {
        world.input(Input::DriverDied(0));
        world.finish_one();
    }
    assert_eq!(world.responses.len(), 1);
    assert_eq!(world.last().status, Some(Status::SUCCESS));
    assert_eq!(world.interrupters(1), [2]);
}

/// Capacity is each controller's own: what one has run out of, the other has.
#[test]
fn r21_controller_without_interrupters_refuses_by_name_and_the_other_serves() {
    let mut world = World::new(Dialect::Precise);
    world.plug_at(1, 2, 2);
    let full = Failure::Xhci(XhciError::InterruptersExhausted);
    world.fail.insert("create_interrupter", full);
    world.request(PEER, 1, enable(1, 0));
    world.refused_with(Refusal::InterrupterRange);
    world.fail.clear();
    world.request(PEER, 2, enable(2, 0));
    assert_eq!(world.last().status, Some(Status::SUCCESS));
}
