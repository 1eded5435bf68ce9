//! Messages to the servers of a simulated board, from outside.

use std::path::{Path, PathBuf};
use std::time::Duration;
use system::errand::{Errands, Message, Unsendable};
use system::image::Description;
use system::piece::piece;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn playing() -> (&'static Description, Errands) {
    let description =
        Description::load(&root().join("app.toml")).expect("the image keeps every rule");
    let errands = Errands::new(description, 1, &piece(48_000, 96_000));
    (description, errands.expect("the board has a port"))
}

fn status_of(
    (description, errands): &mut (&'static Description, Errands),
    (task, interface): (&str, &str),
    reply: usize,
) -> Result<(u32, Vec<u8>), Unsendable> {
    let interface = root().join("idl").join(interface).with_extension("idol");
    let interface = idol::check(interface).expect("it is in order");
    let op = interface.ops.iter().find(|op| op.name.text == "status").expect("it has one");
    errands.send(Message {
        server: description.app().index(task).expect("a task of the image").0,
        operation: op.number,
        bytes: Vec::new(),
        reply,
        read: Vec::new(),
        write: None,
    })
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
