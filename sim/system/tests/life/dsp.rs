//! The DSP's program dies, falls silent, or floods the mailbox.

use crate::world::{LIMIT, World, sound};
use dsp_abi::media::Path;
use fabric::{Fault, Point, Rng, Site, Time};
use offload_broker_api::RouteEnding;

#[test]
fn a_program_that_dies_in_mid_stream_loses_its_stream_and_the_next_command_is_exact() {
    for seed in 0..24 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, u64::from(rng.range(0, 400)));
        world.scene.kill_program();
        let failure = world.failure(sequence, Time::ms(1_000));
        let expected = player::ROUTE_ENDED + RouteEnding::DspGone as u32;
        assert_eq!(failure, ("offload_broker", expected), "seed {seed}");
        world.assert_at_rest("after the program died");
        world.play(&sound(150), Path::Offload, "the program's next life");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("the program died in mid-stream");
    }
}

#[test]
fn a_program_that_dies_at_any_moment_of_a_command_leaves_nothing_behind() {
    for seed in 0..40 {
        let mut world = World::with_headset(seed);
        let mut rng = Rng::new(seed ^ 0xBEEF);
        world.scene.run_for(Time::ms(5));
        let sequence = world.scene.order(&sound(120), Path::Offload);
        let at = Time::us(u64::from(rng.range(0, 900_000)));
        world.scene.run_for(at);
        world.scene.kill_program();
        let answer = world.scene.wait(sequence, Time::ms(2_000));
        assert!(answer.is_some(), "seed {seed}, died at {at:?}: the player is told nothing");
        world.assert_at_rest(&format!("the program died at {at:?}"));
        world.play(&sound(80), Path::Offload, &format!("after its death at {at:?}"));
        world.assert_at_rest("at the end");
        world.assert_nobody_died("the program died");
    }
}

/// The word of its death can be lost with the link. Its next life asks for the same
/// stream, from the same address, in an exchange of the same number: that is no
/// repetition of what was refused before.
#[test]
fn a_program_that_dies_together_with_the_link_is_another_one_for_the_broker() {
    let mut refusals = 0;
    for nth in 1..24 {
        let mut world = World::with_headset(1);
        let driver = world.scene.machine.task_named("xhci").expect("the image has one");
        let point = Point { site: Site::Allocation(driver.0), nth };
        world.scene.machine.board_mut().parts.fabric.points.plan(point, Fault::Refuse);
        let sequence = world.scene.order(&sound(60), Path::Offload);
        let answer = world.scene.wait(sequence, LIMIT).expect("the player is told");
        if answer.code != player::ROUTE_ENDED + RouteEnding::Refused as u32 {
            continue;
        }
        refusals += 1;
        world.scene.kill_program();
        world.scene.kill("dsp_link");
        world.scene.run_for(Time::ms(100));
        world.play(&sound(60), Path::Offload, "what is asked for anew");
        world.assert_at_rest("at the end");
    }
    assert!(refusals > 0, "nothing was refused");
}

/// R9, D-14: the wait for a DSP that does not answer is nobody else's.
#[test]
fn a_silent_program_is_waited_for_and_then_its_stream_is_taken_while_others_are_served() {
    for seed in 0..8 {
        let mut world = World::with_headset(seed);
        let sequence = world.begin(&sound(2_000), Path::Offload, 100);
        world.scene.starve_program(Time::ms(30_000));
        world.scene.unplug(world.port);
        // The peer's deadline is not over: the session still stands.
        world.scene.run_for(Time::ms(5_000));
        let audit = world.scene.audit().expect("all servers answer meanwhile");
        assert_eq!(audit.broker.sessions, 1, "seed {seed}: {audit:?}");
        // Others are served: another headset comes, and the host path plays. The
        // player still has the first command in hand, so the auditor asks.
        world.scene.run_for(Time::ms(5_500));
        let audit = world.scene.audit().expect("all servers are up");
        assert_eq!(audit.broker.sessions, 0, "seed {seed}: {audit:?}");
        assert_eq!(audit.leaks(), Default::default(), "seed {seed}: {audit:?}");
        // The program goes on, finds its stream gone, and says so.
        world.scene.run_for(Time::ms(20_000));
        let (server, _) = world.failure(sequence, Time::ms(1_000));
        assert_eq!(server, "offload_broker", "seed {seed}");
        world.plug();
        world.play(&sound(120), Path::Offload, "after the silence");
        world.assert_at_rest("at the end");
        world.assert_nobody_died("a silent program");
    }
}
