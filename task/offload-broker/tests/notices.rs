//! What the monitor says about a session, in each phase (DESIGN rules 6 and 8).

mod world;

use abi::{Generation, TaskId};
use dsp_abi::port::{self, Ending, Kind};
use offload_broker::broker::PEER_DEADLINE_MS;
use offload_broker::ops::{Input, Trouble};
use offload_broker::refusal::{Dialect, Refusal};
use offload_broker_api::{RouteEnding, RouteRequest, RouteState, SessionPhase};
use qmi::{Event, Status, Token};
use usb_types::Direction;
use world::{DOWN, PEER, PORT_SERVICE, UP, World, disable, enable};
use xhci_api::GateOpening;

const PLAYER: TaskId = TaskId::new(7, Generation(0));
const REFUSED: Trouble = Trouble::Refused(8);

fn down() -> &'static [&'static str] {
    &DOWN[..DOWN.len() - 1]
}

fn phase(world: &World) -> SessionPhase {
    world.broker.session(0).expect("a place").phase
}

/// Told as of a device that goes, and not waited for: the gate closes at once,
/// and what follows is the one order. The stream stays owed until the DSP says
/// that it let go, and its late disable harms nobody.
#[test]
fn a_dsp_that_misbehaves_is_told_and_loses_its_session_at_once_in_the_one_order() {
    for dialect in [Dialect::Precise, Dialect::Upstream] {
        let mut world = World::running(dialect);
        world.notice(REFUSED);
        assert_eq!(world.log, down());
        assert_eq!(world.indications.len(), 1);
        let (to, indication) = world.indications[0];
        assert_eq!((to, indication.dev_event, indication.slot_id), (PEER, Event::DISCONNECT, 1));
        let token = (dialect == Dialect::Precise).then(|| Token::new(1, 0, 0));
        assert_eq!(indication.usb_token, token);
        assert_eq!(world.broker.status().misbehaved, 1);
        world.assert_clean();
        world.unplug(1);
        assert!(world.forgotten.is_empty(), "the DSP has not let go of the stream");
        world.request(PEER, 2, disable(1, 0));
        assert_eq!(world.last().status, Some(Status::SUCCESS));
        assert_eq!(world.forgotten, [1]);
    }
}

/// The driver's entry was none that the monitor opens: not the DSP's fault, and
/// nothing that could be played through.
#[test]
fn a_gate_that_was_not_opened_ends_its_session_and_is_not_the_dsps_fault() {
    let mut world = World::running(Dialect::Precise);
    world.notice(Trouble::NotOpened(3));
    assert_eq!((&world.log[..], world.indications.len()), (down(), 1));
    assert_eq!(world.broker.status().misbehaved, 0);
    world.assert_clean();

    let mut world = World::new(Dialect::Precise);
    world.mute.insert("arm");
    world.request(PEER, 1, enable(1, 0));
    world.notice(Trouble::NotOpened(3));
    world.finish_all();
    world.refused_with(Refusal::GateFailed);
    world.assert_clean();
}

#[test]
fn a_program_that_died_loses_its_session_and_nobody_is_told() {
    let mut world = World::running(Dialect::Precise);
    world.notice(Trouble::Restarted);
    assert_eq!(world.log, down());
    assert!(world.indications.is_empty() && world.responses.is_empty());
    assert_eq!(world.broker.status().misbehaved, 0);
    world.assert_clean();
    world.unplug(1);
    assert_eq!(world.forgotten, [1], "whoever died owes nothing");
}

/// DESIGN rule 7, `starve-dsp`: the DSP may come back.
#[test]
fn a_stalled_session_plays_on_and_is_counted() {
    let mut world = World::running(Dialect::Precise);
    world.notice(Trouble::Stalled);
    world.notice(Trouble::Stalled);
    assert_eq!((phase(&world), world.broker.status().stalls), (SessionPhase::Running, 2));
    assert!(world.log.is_empty() && world.indications.is_empty());
    assert_eq!(world.broker.next_deadline(), None);
}

/// Each kind in each step of an enable: before the gate may be open a notice
/// is about nobody; while it opens the enable is refused, or broken off.
#[test]
fn each_notice_in_each_phase_of_an_enable() {
    for trouble in [Trouble::Stalled, REFUSED, Trouble::Restarted] {
        for (step, name) in UP[..UP.len() - 1].iter().enumerate() {
            let mut world = World::new(Dialect::Precise);
            world.mute_all = true;
            world.request(PEER, 1, enable(1, 0));
            (0..step).for_each(|_| assert!(world.finish_one()));
            let arming = *name == "arm";
            if world.has_sideband() {
                world.notice(trouble);
            }
            world.finish_all();
            assert!(world.indications.is_empty(), "it never had the stream");
            match trouble {
                REFUSED if arming => world.refused_with(Refusal::Misbehaved),
                Trouble::Restarted if arming => assert!(world.responses.is_empty()),
                _ => {
                    assert_eq!(phase(&world), SessionPhase::Running, "{trouble:?} at {name}");
                    let counted = u32::from(arming && trouble == Trouble::Stalled);
                    assert_eq!(world.broker.status().stalls, counted);
                    continue;
                }
            }
            world.assert_clean();
        }
    }
}

/// Each kind in each step of an end that someone else began.
#[test]
fn each_notice_in_each_step_of_an_end_leaves_the_order_as_it_is() {
    for trouble in [Trouble::Stalled, REFUSED, Trouble::Restarted] {
        for step in 0..down().len() {
            let mut world = World::running(Dialect::Precise);
            world.mute_all = true;
            world.request(PEER, 2, disable(1, 0));
            for _ in 0..step {
                world.finish_one();
                world.pass(200);
            }
            if world.has_sideband() {
                world.notice(trouble);
            }
            world.finish_all();
            world.pass(PEER_DEADLINE_MS);
            assert_eq!(world.log, down(), "{trouble:?} at {step}");
            let died_first = trouble == Trouble::Restarted && step == 0;
            assert_eq!(world.responses.len(), usize::from(!died_first));
            world.assert_clean();
        }
    }
}

/// A device is gone and the DSP has time to let go; it uses that to misbehave.
#[test]
fn a_dsp_that_misbehaves_while_it_should_let_go_is_not_waited_for_any_more() {
    for trouble in [REFUSED, Trouble::Restarted] {
        let mut world = World::running(Dialect::Precise);
        world.unplug(1);
        assert!(world.log.is_empty() && world.broker.next_deadline().is_some());
        world.notice(trouble);
        assert_eq!(world.log, down());
        assert_eq!(world.indications.len(), 1, "told once");
        world.assert_clean();
    }
}

#[test]
fn a_notice_is_about_one_opening_of_one_gate_and_no_other() {
    let mut world = World::running(Dialect::Precise);
    let opening = world.opening();
    for trouble in [Trouble::Stalled, REFUSED, Trouble::Restarted] {
        for generation in [opening.generation - 1, opening.generation + 1] {
            world.notice_of(GateOpening { generation, ..opening }, trouble);
        }
        world.notice_of(GateOpening { entry: opening.entry ^ 1, ..opening }, trouble);
        world.input(Input::Notice { controller: 1, opening, trouble });
    }
    assert_eq!((phase(&world), world.broker.status().stalls), (SessionPhase::Running, 0));
    assert!(world.log.is_empty() && world.indications.is_empty());
}

#[test]
fn the_same_notice_twice_changes_nothing_more_and_the_next_session_is_not_meant() {
    for first in [REFUSED, Trouble::Restarted] {
        let mut world = World::running(Dialect::Precise);
        let old = world.opening();
        world.mute.insert("close_gate");
        world.notice(first);
        let told = world.indications.len();
        world.notice(first);
        world.notice(REFUSED);
        world.finish_all();
        assert_eq!((&world.log[..], world.indications.len()), (down(), told));
        world.assert_clean();
        world.request(PEER, 3, enable(1, 0));
        world.notice_of(old, REFUSED);
        assert_eq!(phase(&world), SessionPhase::Running);
    }
}

/// Two sessions on one device: one is lost, the other plays on (rule 8).
#[test]
fn only_the_session_that_was_misused_is_lost() {
    let mut world = World::running(Dialect::Precise);
    world.request(PEER, 2, enable(1, 1));
    world.notice(REFUSED);
    assert_eq!((world.broker.status().sessions, world.holds()), (1, 1));
    assert_eq!(world.broker.session(1).expect("a place").phase, SessionPhase::Running);
}

#[test]
fn the_route_of_a_lost_session_ends_with_its_own_reason_whatever_the_dsp_says() {
    let request = RouteRequest {
        direction: Direction::Out,
        rate: 48000,
        format: 2,
        channels: 2,
        frames: 1000,
        buffer_us: 10_000,
    };
    for (trouble, why) in
        [(REFUSED, RouteEnding::Misbehaved), (Trouble::Restarted, RouteEnding::DspGone)]
    {
        let mut world = World::new(Dialect::Precise);
        world.input(Input::PortUp(PORT_SERVICE));
        let target = world.broker.backend.target(&request, world.broker.cards()).expect("a device");
        let (route, _, start) =
            world.broker.backend.start(PLAYER, &request, &target).expect("a route");
        let pcm = Token(start.token).pcm();
        world.request(PEER, 1, enable(1, pcm));
        let say =
            |kind, ending| port::Message { kind: kind as u32, result: ending as u32, ..start };
        world.input(Input::PortMessage(PORT_SERVICE, say(Kind::Started, Ending::Played)));
        let hints = world.hints;
        world.notice(trouble);
        assert_eq!(world.hints, hints + 1, "the owner is told");
        world.input(Input::PortMessage(PORT_SERVICE, say(Kind::Done, Ending::Played)));
        let state = world.broker.backend.state(route, PLAYER);
        assert_eq!(state, Ok(RouteState::Ended { why, frames: 0 }));
    }
}
