//! A headset is pulled in mid-stream and another one plugged in: the first
//! stream is taken down in the one order and leaves nothing, the second one is
//! exact.

use offload_broker_api::RouteEnding;

use super::teardown::{Among, out_of_order};
use super::{Given, left_behind, wrong_at_last};
use crate::run::Wish;
use crate::run::drive::{Board, Sequence};
use crate::run::rings::Rings;
use crate::run::stage::{PORT, Stage, Stop, order};

/// What is noted among the steps of the end: the news from the device tree up to
/// the broker, the broker's steps, the audio class' part in them, the player's
/// end.
const AMONG: [Among; 4] = [
    ("Detached", "usb_core", None, Some("Draining")),
    ("CardRemoved", "usb_audio", None, Some("Draining")),
    ("Closed", "usb_audio", Some("Close"), Some("Disarm")),
    ("Failed", "player", Some("Draining"), None),
];

pub(super) fn story(given: &Given) -> Result<Vec<String>, Stop> {
    let Given { built, sound, .. } = given;
    let (first, second) = (Sequence(1), Sequence(2));
    let rings = Rings::of(&built.image)?;
    let stage = Stage::new(sound)?;
    let machine = stage.board(built, true, &[PORT, PORT]);
    let mut board = Board::start(machine, &built.places, &|_| ())?;
    let mut wrong = Vec::new();
    board.begin(first)?;
    board.machine.unplug(0)?;
    board.play(first)?;
    wrong.extend(board.not_ended(first, RouteEnding::Revoked)?);
    wrong.extend(left_behind(&board)?);
    wrong.extend(out_of_order(&rings, &board.machine.memory, &AMONG)?);
    board.machine.plug(1)?;
    board.order(&order(sound, second))?;
    board.play(second)?;
    let seen = board.finish(second)?;
    let wish = Wish { realtime: true, ..Wish::default() };
    wrong.extend(wrong_at_last(built, &stage, 1, sound, wish, &seen)?);
    Ok(wrong)
}
