//! The controller is reset under its driver in mid-stream, and says nothing. The
//! stream stands still, of which the monitor tells; the driver looks, and starts
//! the controller over; the session ends in order, and the next stream is exact.

use offload_broker_api::RouteEnding;
use qemu::Memory;

use super::teardown::{Other, Teardown, when};
use super::{FRAMES, Given, beginning, left_behind, wrong_at_last};
use crate::run::Wish;
use crate::run::drive::{Board, Sequence};
use crate::run::rings::Rings;
use crate::run::stage::{PORT, Stage, Stop, order};

/// USBCMD.HCRST (xHCI 5.4.1). Nothing else is set, so the controller halts too.
const RESET: u32 = 1 << 1;

pub(super) fn story(given: &Given) -> Result<Vec<String>, Stop> {
    let Given { built, long, .. } = given;
    let (first, second) = (Sequence(1), Sequence(2));
    let rings = Rings::of(&built.image)?;
    let stage = Stage::new(long)?;
    let mut board = Board::start(stage.board(built, false, &[PORT]), &built.places, &|_| ())?;
    board.begin(first)?;
    let registers = built.places.xhci;
    let bus = board.machine.bus()?;
    // CAPLENGTH says where the operational registers begin.
    let operational = registers.plus(u64::from(bus.read(registers)? & 0xFF));
    bus.write(operational, RESET)?;
    board.play(first)?;
    let mut wrong = Vec::new();
    wrong.extend(board.not_ended(first, RouteEnding::Revoked)?);
    wrong.extend(left_behind(&board)?);
    wrong.extend(out_of_order(&rings, &board.machine.memory)?);
    let sound = beginning(long, FRAMES);
    board.order(&order(&sound, second))?;
    board.play(second)?;
    let seen = board.finish(second)?;
    wrong.extend(wrong_at_last(built, &stage, 0, &sound, Wish::default(), &seen)?);
    Ok(wrong)
}

/// What came in another order than it must: the monitor's notice, the driver's
/// finding, the session's end, the player's.
fn out_of_order(rings: &Rings, memory: &Memory) -> Result<Vec<String>, Stop> {
    let Some(teardown) = Teardown::last(rings, memory)? else {
        return Ok(vec!["the session was not taken down".to_owned()]);
    };
    let other = |what, task, after, before| {
        when(rings, memory, task, what).map(|at| Other { what, at, after, before })
    };
    Ok(teardown.wrong(&[
        other("Notice", "offload_broker", None, Some("Draining"))?,
        other("Died", "xhci", None, Some("Draining"))?,
        other("Failed", "player", Some("Draining"), None)?,
    ]))
}
