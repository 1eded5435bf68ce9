//! The DSP program tries everything (`test/hostile`), on its own session and on
//! one that it took for itself while another headset plays.

mod outside;

use addr::Peer;
use dsp_abi::media::{Path, PlayerState};
use gate::Refusal;
use hostile::{Plan, Tally};
use offload_broker_api::RouteEnding;
use qmi::Token;
use std::time::Duration;

use super::{FRAMES, Given, SECOND, beginning, left_behind, not_exact, wrong_at_last};
use crate::run::desk::{Ended, Master};
use crate::run::drive::{Board, Sequence};
use crate::run::stage::{Built, PORT, Stage, Stop, order, order_by};
use crate::run::{Wish, freeze, session};
use outside::{Outside, Own};

/// How long anything may take on a loaded host.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts on the program's own session.
const ATTEMPTS: u32 = 3000;
/// What plays meanwhile on the other headset.
const MUSIC: u32 = 12 * SECOND;
/// Places that are none of the program's, tried while the other headset plays:
/// the kernel, contexts, the gate, the USB controller.
const FOREIGN: [u64; 4] = [0x4020_0000, 0x4400_0000, 0x4414_4000, 0x1000_0000];
/// And those that are tried later, since a program that dies again and again
/// waits longer each time: the tasks' code and RAM, the SMMU's tables, the
/// bells, registers of the interrupt controller and the SMMU, the configuration
/// space, and nothing at all.
const MORE: [u64; 8] =
    [0x4030_0000, 0x4040_0000, 0x440C_0000, 0x0802_0040, 0x0800_0000, 0x0905_0000, 0x3F00_0000, 0];

pub(super) fn story(given: &Given) -> Result<Vec<String>, Stop> {
    let (own, others, honest) = (Sequence(1), Sequence(2), Sequence(3));
    let built = Built::hostile()?;
    let stage = Stage::new(&given.long)?;
    let machine = stage.board(&built, false, &[PORT, PORT + 1]);
    let mut board = Board::start(machine, &built.places, &|_| ())?;
    let mut master = Master::of(&built.image, &built.places)?;
    board.begin(own)?;
    let mut wrong = on_its_own(&mut board, &mut master, &built)?;
    board.play(own)?;
    wrong.extend(board.not_ended(own, RouteEnding::Misbehaved)?);
    wrong.extend(left_behind(&board)?);

    board.machine.plug(1)?;
    board.arrive()?;
    let music = beginning(&given.long, MUSIC);
    board.order(&order_by(Path::Player, &music, others))?;
    wrong.extend(beside_another(&mut board, &mut master, &built)?);
    if board.answer()?.state != PlayerState::Playing as u32 {
        wrong.push("the other headset was done before the program was".to_owned());
    }
    board.play(others)?;
    wrong.extend(left_behind(&board)?);
    let played = board.answer()?;
    wrong.extend(let_through(&mut board, &mut master, &MORE)?);
    board.settle()?;

    let sound = beginning(&given.long, FRAMES);
    board.order(&order(&sound, honest))?;
    board.play(honest)?;
    let seen = board.finish(honest)?;
    if played.state != PlayerState::Done as u32 {
        wrong.push(format!("the other headset did not play to the end: {played:?}"));
    }
    wrong.extend(not_exact(&stage, 1, &music)?);
    wrong.extend(wrong_at_last(&built, &stage, 1, &sound, Wish::default(), &seen)?);
    Ok(wrong)
}

/// With core 0 frozen, so that only core 1 and the controller do anything:
/// thousands of attempts, each refused and counted, change nothing outside.
fn on_its_own(
    board: &mut Board<'_>,
    master: &mut Master<'_>,
    built: &Built,
) -> Result<Vec<String>, Stop> {
    let mut wrong = Vec::new();
    let frozen = freeze::freeze(&mut board.machine, &built.places)?;
    let Some(session) = session::only(&board.machine.memory, &built.places)? else {
        return Ok(vec!["there was no session".to_owned()]);
    };
    let own = Own::of(built, &board.machine.memory, session)?;
    let before = Outside::take(&mut board.machine, built)?;
    // What was refused before is not counted here.
    let memory = &board.machine.memory;
    let refused = master.answers(memory)?.refusals - master.tally(memory)?.own;
    if master.carry_out(board, Plan::Calls(ATTEMPTS))? != Ended::Done {
        wrong.push("the program died of its calls".to_owned());
    }
    // At once: the program goes on with its stream.
    let memory = &board.machine.memory;
    let (counted, tally) = (master.answers(memory)?.refusals - refused, master.tally(memory)?);
    wrong.extend(miscounted(&tally, counted));
    let after = Outside::take(&mut board.machine, built)?;
    wrong.extend(before.changes(&after, &own));
    if !freeze::thaw(&mut board.machine, &built.places, frozen)? {
        wrong.push("core 0 did not stay where it was put".to_owned());
    }
    Ok(wrong)
}

/// What is wrong with how the attempts were answered and counted.
fn miscounted(tally: &Tally, counted: u32) -> Option<String> {
    let every = [Refusal::Buffer, Refusal::Interrupter, Refusal::LinkPlace, Refusal::Dequeue];
    let right = tally.surprises == 0
        && tally.closed == 0
        && tally.total() > ATTEMPTS * 4 / 5
        && tally.wrong() == counted
        && every.iter().all(|&code| tally.refused(code) > 0);
    (!right).then(|| format!("the monitor counted {counted} refusals of {tally:?}"))
}

/// The program takes the first headset's stream for itself, which nobody told it
/// to play, misbehaves on it in every way, and reaches for what is not its own.
fn beside_another(
    board: &mut Board<'_>,
    master: &mut Master<'_>,
    built: &Built,
) -> Result<Vec<String>, Stop> {
    let mut wrong = Vec::new();
    let places = &built.places;
    let open = |wanted: bool| {
        move |memory: &qemu::Memory| Ok(session::only(memory, places)?.is_some() == wanted)
    };
    master.order(board, Plan::Begin(Token(0), 60 * SECOND))?;
    board.machine.wait_until("the program's own session", PATIENCE, open(true))?;
    for plan in [Plan::Mail(300), Plan::Busy(500), Plan::Calls(500), Plan::Mail(300)] {
        if master.carry_out(board, plan)? != Ended::Done {
            wrong.push(format!("the program died of {plan:?}"));
        }
    }
    let tally = master.tally(&board.machine.memory)?;
    if tally.surprises > 0 || tally.sent == 0 {
        wrong.push(format!("beside another stream: {tally:?}"));
    }
    board.machine.wait_until("the end of its session", PATIENCE, open(false))?;
    wrong.extend(let_through(board, master, &FOREIGN)?);
    Ok(wrong)
}

/// Which of these places the program reached.
fn let_through(
    board: &mut Board<'_>,
    master: &mut Master<'_>,
    places: &[u64],
) -> Result<Vec<String>, Stop> {
    let mut wrong = Vec::new();
    for at in places.iter().copied().map(Peer) {
        for plan in [Plan::Read(at), Plan::Write(at)] {
            if master.carry_out(board, plan)? != Ended::Died {
                wrong.push(format!("{plan:?} was let through"));
            }
        }
    }
    Ok(wrong)
}
