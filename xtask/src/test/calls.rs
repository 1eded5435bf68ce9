//! Calls of servers on a board, made by `hiffy`: straight, and through the bridge
//! by a client that speaks its protocol.

use super::board::{self, COUNTED};
use crate::bridge;
use crate::setup::{self, Need};
use crate::style::BAD;
use crate::view::of_board;
use crate::{WRONG, root};
use ::view::{Programs, System, Value};
use anstream::eprintln;
use archive::Archive;
use calls::{Answer, Board, Call, Error, Servers};
use dump::{Monitor, take};
use qemu::{Headset, Machine, Qmp};
use std::net::{Ipv6Addr, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tempfile::TempDir;

/// A server that answers, and one that refuses.
const STATUS: &str = "UsbCore.status";
const DEVICE: &str = "UsbCore.device";

/// Builds the image with `hiffy`, starts it, and calls. How many calls went as
/// they should, or what did not.
pub(super) fn run() -> Result<Result<String, String>, ExitCode> {
    setup::ensure(&[Need::Emulator])?;
    let image = board::build(&root().join("app-debug.toml"))?;
    let said = |why: String| {
        eprintln!("{BAD}✗{BAD:#} {why}");
        ExitCode::from(WRONG)
    };
    let archive = Archive::open(&image.archive).map_err(|error| said(error.to_string()))?;
    let programs = Programs::of(&archive);
    let servers = Servers::of(&programs).map_err(|error| said(error.to_string()))?;
    let folder = TempDir::with_prefix("sotto-").map_err(|error| said(error.to_string()))?;
    let headset = Headset {
        wav: folder.path().join("0.wav"),
        pcap: None,
        controller: 0,
        port: 1,
        plugged: true,
    };
    let machine = Machine::new(&image.elf, COUNTED).headset(headset);
    let mut running = machine.start().map_err(|error| board::failed(&error))?;
    let debugger = folder.path().join("gdb");
    let mut made = 0;
    // Each command comes to the board anew.
    let qmp = &mut running.qmp;
    let image_id = archive.image_id().0;
    let mut met = |ask: &dyn Fn(&mut Board<'_>) -> Result<u32, String>| {
        let board = Board::new(qmp, &debugger, &archive, &programs);
        made += ask(&mut board.map_err(|error| error.to_string())?)?;
        Ok::<_, String>(made)
    };
    let made = met(&|board| straight(board, &servers))
        .and_then(|_| met(&|board| bridged(board, &servers, image_id)));
    Ok(made.and_then(|calls| {
        told(&mut running.qmp, &image.archive)?;
        Ok(format!("{calls} calls, and all of it told"))
    }))
}

/// The story of the same board has an event of each program that did something.
fn told(qmp: &mut Qmp, archive: &Path) -> Result<(), String> {
    let archive = Archive::open(archive).map_err(|error| error.to_string())?;
    let mut monitor = Monitor::new(qmp).map_err(|error| error.to_string())?;
    let taken = take(&mut monitor, archive).map_err(|error| error.to_string())?;
    let story = of_board(&System::of(&taken.dump)).map_err(|error| format!("{error:?}"))?;
    let words = story.to_string();
    for (who, what) in [
        ("hiffy", "called: server usb_core"),
        ("usb_core", "attached: port"),
        ("usb_core", "refused: DeviceGone"),
        ("jefe", "refused: NoSuchTask"),
        ("dsp_link", "link: CameUp"),
        ("dsp-monitor", "program started"),
        ("dsp-program", "service found"),
    ] {
        let is = |line: &str| line.contains(&format!("  {who:<14} {what}"));
        if !words.lines().any(is) {
            return Err(format!("no `{what}` of {who} in the story:\n{words}"));
        }
    }
    Ok(())
}

fn call(
    board: &mut Board<'_>,
    servers: &Servers<'_>,
    name: &str,
    arguments: &[&str],
) -> Result<Answer, Error> {
    let (server, op) = servers.find(name, None)?;
    let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    let call = Call::new(server, op, &arguments)?;
    let outcome = board.call(&call)?;
    call.answer(&outcome)
}

/// Times that are asked for the headset.
const TRIES: u32 = 200;

fn straight(board: &mut Board<'_>, servers: &Servers<'_>) -> Result<u32, String> {
    let mut made = 0;
    let is_value = |name: &'static str| move |answer: &Answer| matches!(answer, Answer::Value(value, _) if value.name() == Some(name));
    // The headset is enumerated meanwhile.
    let has_device = |answer: &Answer| match answer {
        Answer::Value(value, _) => value.field("devices").and_then(Value::number) == Some(1),
        _ => false,
    };
    for _ in 0..TRIES {
        if call(board, servers, STATUS, &[]).is_ok_and(|answer| has_device(&answer)) {
            break;
        }
    }
    let mut answers = |name: &str, arguments: &[&str], right: &dyn Fn(&Answer) -> bool| {
        let answer = call(board, servers, name, arguments);
        let answer = answer.map_err(|error| format!("{name} {arguments:?}: {error}"))?;
        if !right(&answer) {
            return Err(format!("{name} {arguments:?}: {answer:?}"));
        }
        made += 1;
        Ok(())
    };
    answers(STATUS, &[], &has_device)?;
    answers("OffloadBroker.status", &[], &is_value("BrokerStatus"))?;
    answers("Jefe.record", &["task=1"], &is_value("Record"))?;
    // Nobody has such a device, and the refusal has its name.
    answers(DEVICE, &["device=(7, 9, 0)"], &|answer| matches!(answer, Answer::Error(_, Some(_))))?;
    answers("Jefe.record", &["task=99"], &|answer| matches!(answer, Answer::Error(_, Some(_))))?;
    // A lease that the server writes comes back whole.
    answers("Jefe.panic_message", &["task=1", "into=16"], &|answer| match answer {
        Answer::Value(_, written) => written.len() == 16,
        Answer::Error(_, name) => name.is_some(),
        Answer::Died => false,
    })?;
    let refused = |error: Result<Answer, Error>| match error {
        Err(Error::Bad(why)) => Ok(why),
        other => Err(format!("taken for a call: {other:?}")),
    };
    refused(call(board, servers, "UsbCore.nothing", &[]))?;
    refused(call(board, servers, DEVICE, &["device=3"]))?;
    Ok(made)
}

/// The same call by datagrams, and one for another image.
fn bridged(board: &mut Board<'_>, servers: &Servers<'_>, image_id: u64) -> Result<u32, String> {
    let io = |error: std::io::Error| format!("the bridge: {error}");
    let bridge = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).map_err(io)?;
    let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).map_err(io)?;
    client.connect(bridge.local_addr().map_err(io)?).map_err(io)?;
    client.set_read_timeout(Some(Duration::from_secs(10))).map_err(io)?;
    let (server, op) = servers.find(STATUS, None).map_err(|error| error.to_string())?;
    let call = Call::new(server, op, &[]).map_err(|error| error.to_string())?;
    let mut ask = |id: u64| {
        let mut datagram = id.to_le_bytes().to_vec();
        for half in [call.index, call.number, call.reply as u16, 0] {
            datagram.extend(half.to_le_bytes());
        }
        client.send(&datagram).map_err(io)?;
        bridge::one(&bridge, image_id, |asked| bridge::on_board(board, asked))
            .map_err(|error| format!("the bridge: {error}"))?;
        let mut answer = [0; 64];
        let len = client.recv(&mut answer).map_err(io)?;
        Ok::<_, String>(answer[..len].to_vec())
    };
    let answer = ask(image_id)?;
    if answer.len() != 5 + call.reply as usize || answer[..5] != [0; 5] {
        return Err(format!("the bridge answers {answer:02x?}"));
    }
    let answer = ask(!image_id)?;
    if answer[0] != 2 || answer[1..] != image_id.to_le_bytes() {
        return Err(format!("the bridge answers for another image: {answer:02x?}"));
    }
    Ok(2)
}
