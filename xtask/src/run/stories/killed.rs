//! Tasks die in mid-stream, each by a fault of its own (DESIGN rule 9). Of those
//! that a stream does not need, it plays on; of the others it ends in order, and
//! the next one is exact.

use dsp_abi::media::PlayerState;
use judge::report::Leaks;
use offload_broker_api::{BrokerError, RouteEnding};
use program::playing::SPACING;
use qemu::Memory;
use std::time::Duration;
use view::Value;

use super::{FRAMES, Given, beginning, left_behind, not_exact, wrong_at_last};
use crate::run::drive::{Board, Sequence};
use crate::run::evidence::Stream;
use crate::run::kill::Killer;
use crate::run::rings::{Noted, Rings, words};
use crate::run::stage::{Built, PORT, Stage, Stop, order};
use crate::run::{Wish, session};

/// Those that a stream does not need. The player is last: with it goes whoever
/// could say how the stream ended.
const NOT_NEEDED: [&str; 3] = ["usb_audio", "dsp_link", "player"];
/// Those that it needs.
const NEEDED: [Needed; 4] = [
    // The next lives of these two take their pages back at once: the DSP's program
    // may be the first who notices, and die of it.
    Needed { task: "iommu", ends: &[REVOKED, DSP_GONE], held: NOTHING },
    Needed { task: "xhci", ends: &[REVOKED, DSP_GONE], held: NOTHING },
    Needed { task: "usb_core", ends: &[REVOKED], held: Leaks { holds: 1, ..NOTHING } },
    Needed {
        task: "offload_broker",
        ends: &[BrokerError::ServerDied as u32, BrokerError::StaleServer as u32],
        held: Leaks { votes: 1, ..NOTHING },
    },
];
const REVOKED: u32 = player::ROUTE_ENDED + RouteEnding::Revoked as u32;
const DSP_GONE: u32 = player::ROUTE_ENDED + RouteEnding::DspGone as u32;
const NOTHING: Leaks = Leaks {
    votes: 0,
    holds: 0,
    interrupters: 0,
    endpoints: 0,
    peer_pages: 0,
    bus_pages: 0,
    quarantined: 0,
};

/// A task that a stream needs.
struct Needed {
    task: &'static str,
    /// What the player may be told of the stream's end.
    ends: &'static [u32],
    /// What the counters that outlive it say is held: what its dead life held.
    held: Leaks,
}

/// How long the long sound may take on a loaded host.
const PATIENCE: Duration = Duration::from_secs(240);

/// Three die under one stream, which plays on to its end.
pub(super) fn plays_on(given: &Given) -> Result<Vec<String>, Stop> {
    let Given { built, long, .. } = given;
    let places = &built.places;
    let (first, second) = (Sequence(1), Sequence(2));
    let rings = Rings::of(&built.image)?;
    let killer = Killer::of(&built.image)?;
    let stage = Stage::new(long)?;
    let mut board = Board::start(stage.board(built, false, &[PORT]), places, &|_| ())?;
    let mut wrong = Vec::new();
    board.begin(first)?;
    for victim in NOT_NEEDED {
        killer.task(&mut board, places, victim)?;
        board.settle()?;
        if session::only(&board.machine.memory, places)?.is_none() {
            wrong.push(format!("{victim}: with it the stream ended"));
        }
        wrong.extend(not_faulted(built, &rings, &board.machine.memory, victim)?);
    }
    let answer = board.answer()?;
    if (answer.state, answer.code) != (PlayerState::Failed as u32, player::INTERRUPTED) {
        wrong.push(format!("the player's next life did not say what happened: {answer:?}"));
    }
    board.machine.wait_until("the stream's end", PATIENCE, |memory| {
        Ok(session::only(memory, places)?.is_none())
    })?;
    board.settle()?;
    wrong.extend(left_behind(&board)?);
    let packets = long.frames().div_ceil(long.rate / 1000);
    let pace = Stream::read(&board.machine.memory, places.streams)?.pace(packets, SPACING);
    if pace.as_ref().is_none_or(|pace| pace.late > 0 || pace.early > 0) {
        wrong.push(format!("packets were not on time: {pace:?}"));
    }
    let sound = beginning(long, FRAMES);
    board.order(&order(&sound, second))?;
    board.play(second)?;
    let mut seen = board.finish(second)?;
    seen.restarts -= NOT_NEEDED.len() as u32;
    wrong.extend(not_exact(&stage, 0, long)?);
    wrong.extend(wrong_at_last(built, &stage, 0, &sound, Wish::default(), &seen)?);
    Ok(wrong)
}

/// Four die, each on a board of its own, and with each a stream.
pub(super) fn ends(given: &Given) -> Result<Vec<String>, Stop> {
    let mut wrong = Vec::new();
    for needed in &NEEDED {
        let of_it = end(given, needed)?;
        wrong.extend(of_it.into_iter().map(|what| format!("{}: {what}", needed.task)));
    }
    Ok(wrong)
}

fn end(given: &Given, needed: &Needed) -> Result<Vec<String>, Stop> {
    let Given { built, long, .. } = given;
    let places = &built.places;
    let (first, second) = (Sequence(1), Sequence(2));
    let rings = Rings::of(&built.image)?;
    let killer = Killer::of(&built.image)?;
    let stage = Stage::new(long)?;
    let mut board = Board::start(stage.board(built, false, &[PORT]), places, &|_| ())?;
    board.begin(first)?;
    killer.task(&mut board, places, needed.task)?;
    board.play(first)?;
    let mut wrong = Vec::new();
    wrong.extend(not_faulted(built, &rings, &board.machine.memory, needed.task)?);
    let answer = board.answer()?;
    if answer.state != PlayerState::Failed as u32 || !needed.ends.contains(&answer.code) {
        wrong.push(format!("the player was told {answer:?}"));
    }
    let left = board.leaks()?;
    if left != needed.held {
        wrong.push(format!("it left behind {left:?}"));
    }
    let (faults, complaints) = (board.faults()?, board.machine.complaints()?);
    let sound = beginning(long, FRAMES);
    board.order(&order(&sound, second))?;
    board.play(second)?;
    let mut seen = board.finish(second)?;
    if seen.leaks == left {
        seen.leaks = Leaks::default();
    }
    seen.restarts -= 1;
    seen.iommu_faults = seen.iommu_faults.wrapping_sub(faults);
    seen.complaints -= complaints;
    wrong.extend(wrong_at_last(built, &stage, 0, &sound, Wish::default(), &seen)?);
    Ok(wrong)
}

/// What is wrong with what the supervisor noted of `victim`: that it died once, of
/// executing what it may not.
fn not_faulted(
    built: &Built,
    rings: &Rings,
    memory: &Memory,
    victim: &str,
) -> Result<Option<String>, Stop> {
    let index = built.image.app.index(victim).map(|index| u64::from(index.0));
    let noted = rings.of_task(memory, "jefe")?;
    let task = |noted: &Noted| noted.what.field("task").and_then(Value::number);
    let died = noted.iter().filter(|noted| noted.is("Died") && task(noted) == index);
    let faults: Vec<_> = died.filter_map(|noted| noted.what.field("fault")).collect();
    let right = matches!(faults[..], [fault] if fault.name() == Some("IllegalText"));
    let faults: Vec<_> = faults.into_iter().map(words).collect();
    Ok((!right).then(|| format!("{victim} did not die of one jump gone wrong: {faults:?}")))
}
