//! The controller is reset under its driver in mid-stream, and says nothing. The
//! stream stands still, of which the monitor tells; the driver looks, and starts
//! the controller over; the session ends in order, and the next stream is exact.

use offload_broker_api::RouteEnding;

use super::teardown::{Among, out_of_order};
use super::{Given, left_behind, next_is_exact};
use crate::run::drive::{Board, Sequence};
use crate::run::rings::Rings;
use crate::run::stage::{PORT, Stage, Stop};

/// USBCMD.HCRST (xHCI 5.4.1). Nothing else is set, so the controller halts too.
const RESET: u32 = 1 << 1;

/// What is noted among the steps of the end: the monitor's notice, the driver's
/// finding, the session's end, the player's.
const AMONG: [Among; 3] = [
    ("Notice", "offload_broker", None, Some("Draining")),
    ("Died", "xhci", None, Some("Draining")),
    ("Failed", "player", Some("Draining"), None),
];

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
    wrong.extend(out_of_order(&rings, &board.machine.memory, &AMONG)?);
    wrong.extend(next_is_exact(board, given, &stage, second)?);
    Ok(wrong)
}
