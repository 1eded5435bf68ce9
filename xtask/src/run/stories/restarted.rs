//! The DSP's program dies in mid-stream: its monitor says so and starts it anew,
//! the session is taken down in the one order, and its next life plays exactly.

use dsp_abi::mailbox::DSP_NODE;
use offload_broker_api::RouteEnding;
use qemu::Memory;
use qmi::qrtr::{Control, Node};

use super::teardown::{Among, out_of_order};
use super::{Given, left_behind, next_is_exact};
use crate::run::drive::{Board, Sequence};
use crate::run::kill::Killer;
use crate::run::mail;
use crate::run::places::Places;
use crate::run::rings::Rings;
use crate::run::stage::{PORT, Stage, Stop};

/// What is noted among the steps of the end: nobody is waited for, the device is there
/// and gets its alternate 0.
const AMONG: [Among; 2] = [
    ("Closed", "usb_audio", Some("Close"), Some("Disarm")),
    ("Failed", "player", Some("Draining"), None),
];

pub(super) fn story(given: &Given) -> Result<Vec<String>, Stop> {
    let Given { built, long, .. } = given;
    let (first, second) = (Sequence(1), Sequence(2));
    let rings = Rings::of(&built.image)?;
    let killer = Killer::of(&built.image)?;
    let stage = Stage::new(long)?;
    let mut board = Board::start(stage.board(built, false, &[PORT]), &built.places, &|_| ())?;
    board.begin(first)?;
    killer.program(&mut board)?;
    board.play(first)?;
    let mut wrong = Vec::new();
    wrong.extend(board.not_ended(first, RouteEnding::DspGone)?);
    wrong.extend(left_behind(&board)?);
    wrong.extend(out_of_order(&rings, &board.machine.memory, &AMONG)?);
    wrong.extend(not_said(&board.machine.memory, &built.places)?);
    wrong.extend(next_is_exact(board, given, &stage, second)?);
    Ok(wrong)
}

/// What is wrong with what the DSP's side said: that its node goes, and then that
/// its service is there.
fn not_said(memory: &Memory, places: &Places) -> Result<Option<String>, Stop> {
    let said = mail::control_packets(memory, places)?;
    let bye = said.iter().position(|packet| *packet == Control::Bye(Node(DSP_NODE)));
    let after = bye.map_or(&[][..], |bye| &said[bye..]);
    let anew = after.iter().any(|packet| matches!(packet, Control::NewServer(_)));
    Ok((!anew).then(|| format!("no BYE and then a NEW_SERVER, but {said:?}")))
}
