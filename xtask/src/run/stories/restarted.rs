//! The DSP's program dies in mid-stream: its monitor says so and starts it anew,
//! the session is taken down in the one order, and its next life plays exactly.

use dsp_abi::mailbox::DSP_NODE;
use offload_broker_api::RouteEnding;
use qemu::Memory;
use qmi::qrtr::{Control, Node};

use super::teardown::{Other, Teardown, when};
use super::{FRAMES, Given, beginning, left_behind, wrong_at_last};
use crate::run::drive::{Board, Sequence};
use crate::run::kill::Killer;
use crate::run::places::Places;
use crate::run::rings::Rings;
use crate::run::stage::{PORT, Stage, Stop, order};
use crate::run::{Wish, mail};

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
    wrong.extend(out_of_order(&rings, &board.machine.memory)?);
    wrong.extend(not_said(&board.machine.memory, &built.places)?);
    let sound = beginning(long, FRAMES);
    board.order(&order(&sound, second))?;
    board.play(second)?;
    let seen = board.finish(second)?;
    wrong.extend(wrong_at_last(built, &stage, 0, &sound, Wish::default(), &seen)?);
    Ok(wrong)
}

/// What is wrong with how the session ended: nobody is waited for, the device is
/// there and gets its alternate 0.
fn out_of_order(rings: &Rings, memory: &Memory) -> Result<Vec<String>, Stop> {
    let Some(teardown) = Teardown::last(rings, memory)? else {
        return Ok(vec!["the session was not taken down".to_owned()]);
    };
    let other = |what, task, after, before| {
        when(rings, memory, task, what).map(|at| Other { what, at, after, before })
    };
    Ok(teardown.wrong(&[
        other("Closed", "usb_audio", Some("Close"), Some("Disarm"))?,
        other("Failed", "player", Some("Draining"), None)?,
    ]))
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
