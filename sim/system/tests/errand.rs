//! Messages to the servers of a simulated board, from outside.

use dsp_link_api::DspLinkError;
use iommu_api::IommuError;
use jefe_api::JefeError;
use offload_broker_api::BrokerError;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;
use system::errand::{Errands, Message, Unsendable};
use system::image::Description;
use system::look::Look;
use system::piece::piece;
use usb_audio_api::UsbAudioError;
use usb_core_api::UsbCoreError;
use view::{Counts, Value};
use xhci_api::XhciError;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn playing() -> (&'static Description, Errands) {
    let description =
        Description::load(&root().join("app.toml")).expect("the image keeps every rule");
    let errands = Errands::new(description, 1, &piece(48_000, 96_000));
    (description, errands.expect("the board has a port"))
}

fn ask(
    (description, errands): &mut (&'static Description, Errands),
    (task, interface, operation): (&str, &str, &str),
    bytes: &[u8],
    reply: usize,
) -> Result<(u32, Vec<u8>), Unsendable> {
    let interface = root().join("idl").join(interface).with_extension("idol");
    let interface = idol::check(interface).expect("it is in order");
    let op = interface.ops.iter().find(|op| op.name.text == operation).expect("it has one");
    errands.send(Message {
        server: description.app().index(task).expect("a task of the image").0,
        operation: op.number,
        bytes: bytes.to_vec(),
        reply,
        read: Vec::new(),
        write: None,
    })
}

fn status_of(
    board: &mut (&'static Description, Errands),
    (task, interface): (&str, &str),
    reply: usize,
) -> Result<(u32, Vec<u8>), Unsendable> {
    ask(board, (task, interface, "status"), &[], reply)
}

#[test]
fn a_server_answers_while_a_piece_plays() {
    let mut board = playing();
    for _ in 0..2 {
        let (code, reply) =
            status_of(&mut board, ("usb_core", "usb_core"), 64).expect("it is answered");
        // The first fields: devices, and holds.
        assert_eq!((code, &reply[..2]), (0, &[1, 1][..]));
        board.1.run_for(Duration::from_millis(100));
    }
    // Every server of the image can be asked.
    for server in ["dsp_link", "iommu", "offload_broker"] {
        let answer = status_of(&mut board, (server, server), 128);
        assert_eq!(answer.map(|(code, _)| code), Ok(0), "{server}");
    }
}

#[test]
fn a_task_that_nobody_sends_to_is_refused() {
    let mut board = playing();
    let player = status_of(&mut board, ("player", "usb_core"), 64);
    assert_eq!(player, Err(Unsendable::NoSlot));
    let long = status_of(&mut board, ("usb_core", "usb_core"), 257);
    assert_eq!(long, Err(Unsendable::TooLong));
}

/// A question that a server refuses: its task, the operation, and the arguments; the
/// codes' names.
type Refused = (&'static str, &'static str, &'static [u8], fn(u32) -> String);

/// The name of a code.
fn name_of<E: TryFrom<u32> + Debug>(code: u32) -> String {
    let Ok(error) = E::try_from(code) else { panic!("{code} is no code of the interface") };
    format!("{error:?}")
}

/// How often each client of `task` was refused for what, and what its ring tells of it.
fn refusals(look: &Look, task: &str) -> (Vec<(String, u64)>, Vec<String>) {
    let is_refusal = |event: &str| event.split('(').next().is_some_and(|of| of.ends_with("efused"));
    let counts = look.counters.iter().filter(|of| of.task == task).flat_map(|of| {
        let value = Value::from_debug(&of.counts).expect("counters can be read");
        Counts::of(task, of.name, &value).counts
    });
    let entries = look.rings.iter().filter(|ring| ring.task == task);
    let told = entries.flat_map(|ring| &ring.entries).map(|(_, entry)| entry.payload.clone());
    (
        counts.filter(|(event, _)| is_refusal(event)).collect(),
        told.filter(|event| is_refusal(event)).collect(),
    )
}

#[test]
fn each_server_counts_a_refusal_by_its_code_and_tells_of_it() {
    const NO_HANDLE: &[u8] = &[0xff; 8];
    let questions: [Refused; 7] = [
        ("jefe", "record", &[0xff; 2], name_of::<JefeError>),
        ("iommu", "result", NO_HANDLE, name_of::<IommuError>),
        ("dsp_link", "withdraw", &[0xff; 4], name_of::<DspLinkError>),
        ("xhci", "port", &[200], name_of::<XhciError>),
        ("usb_core", "device", NO_HANDLE, name_of::<UsbCoreError>),
        ("usb_audio", "card", &[99], name_of::<UsbAudioError>),
        ("offload_broker", "session", &[200], name_of::<BrokerError>),
    ];
    let mut board = playing();
    for (task, operation, arguments, name) in questions {
        let (before, _) = refusals(&board.1.look(), task);
        let answer = ask(&mut board, (task, task, operation), arguments, 256);
        let (code, _) = answer.expect("it is answered");
        let (after, told) = refusals(&board.1.look(), task);
        let code = format!("efused({})", name(code));
        for (event, count) in after {
            // A task that noted nothing yet has no counters in the simulator.
            let known = before.iter().find(|(known, _)| *known == event);
            let counted = count - known.map_or(0, |(_, before)| *before);
            assert_eq!(counted, u64::from(event.ends_with(&code)), "{task}: {event}");
        }
        assert!(told.last().is_some_and(|event| event.ends_with(&code)), "{task}: {told:?}");
    }
}
