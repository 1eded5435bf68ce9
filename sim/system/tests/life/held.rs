//! A task is held still, and the others go on (R9).
//!
//! A task that dies over and over is held back by the supervisor for seconds, and
//! that is the only way in which one can stand still for its neighbours: who sends
//! to it is told so at once.

use crate::world::{World, sound};
use abi::{Generation, SchedState, TaskId, TaskState};
use dsp_abi::media::Path;
use dsp_link_api::DspLink;
use fabric::Time;
use host::TaskIndex;
use iommu_api::Iommu;
use jefe_api::Jefe;
use offload_broker_api::OffloadBroker;
use usb_audio_api::UsbAudio;
use usb_core_api::UsbCore;
use userlib::sys_refresh_task_id;
use xhci_api::Xhci;

/// How long an answer to what has nothing to do with the one that stands still may
/// take.
const BOUND: Time = Time::ms(1);
/// Deaths in a row, after which a task is held back as long as ever: 5 s.
const DEATHS: u32 = 10;

const VICTIMS: [&str; 8] =
    ["iommu", "dsp_link", "xhci", "usb_core", "usb_audio", "offload_broker", "player", "power"];

/// Has a server answer what it can answer by itself; whether it did.
type Question = fn(TaskId) -> bool;

const SERVERS: [(&str, Question); 7] = [
    ("jefe", |to| Jefe::from(to).record(1).is_ok()),
    ("iommu", |to| Iommu::from(to).status().is_ok()),
    ("dsp_link", |to| DspLink::from(to).status().is_ok()),
    ("xhci", |to| Xhci::from(to).status().is_ok()),
    ("usb_core", |to| UsbCore::from(to).status().is_ok()),
    ("usb_audio", |to| UsbAudio::from(to).status().is_ok()),
    ("offload_broker", |to| OffloadBroker::from(to).status().is_ok()),
];

/// Asks a server; whether it answered as it should, and how long that took.
fn ask(world: &mut World, server: &str, question: Question) -> (Option<bool>, Time) {
    let index = world.scene.machine.task_named(server).expect("the image has it");
    let from = world.scene.now();
    let answer = world.scene.visit(Time::ms(500), move || {
        question(sys_refresh_task_id(TaskId::new(u16::from(index.0), Generation::default())))
    });
    (answer, world.scene.now() - from)
}

fn lives(world: &World, task: TaskIndex) -> bool {
    let state = world.scene.machine.task_state(task);
    matches!(state, TaskState::Healthy(state) if state != SchedState::Stopped)
}

/// Kills `victim` until it is held back for as long as any task ever is.
fn hold_still(world: &mut World, victim: &str) {
    let index = world.scene.machine.task_named(victim).expect("the image has it");
    for death in 1..=DEATHS {
        world.scene.kill(victim);
        world.scene.run_for(Time::ms(1));
        let mut waited = 0;
        while death < DEATHS && !lives(world, index) {
            world.scene.run_for(Time::ms(5));
            waited += 5;
            assert!(waited < 6_000, "{victim} is never started again");
        }
    }
}

/// R9: nobody waits for who stands still, but who asks for what only that one has.
#[test]
fn r9_while_any_task_is_held_still_every_other_answers_within_a_millisecond() {
    for (seed, victim) in (0..).zip(VICTIMS) {
        let mut world = World::with_headset(seed);
        world.scene.run_for(Time::ms(700));
        hold_still(&mut world, victim);
        // Something that every server has a part in comes upon it.
        let command = world.scene.order(&sound(60), Path::Offload);
        let index = world.scene.machine.task_named(victim).expect("the image has it");
        let mut rounds = 0;
        while !lives(&world, index) {
            for (server, question) in SERVERS {
                let (answer, took) = ask(&mut world, server, question);
                assert!(took <= BOUND, "{victim} stands still, and {server} took {took:?}");
                if !lives(&world, index) {
                    assert_eq!(answer, Some(server != victim), "{victim} stands still: {server}");
                }
            }
            world.scene.run_for(Time::ms(50));
            rounds += 1;
        }
        assert!(rounds >= 30, "{victim} was held still for {rounds} rounds");
        // What it left undone is done, and all goes on.
        world.scene.run_for(Time::ms(11_000));
        assert!(world.scene.answer(command).is_some(), "{victim}: the player is told nothing");
        if victim == "iommu" {
            world.accept_mapper_death();
        }
        world.play(&sound(60), Path::Offload, &format!("{victim} stood still"));
        world.assert_at_rest(&format!("{victim} stood still"));
    }
}
