//! Messages to the servers of a simulated board, from outside.

use std::path::{Path, PathBuf};
use system::errand::{Message, Unsendable, send};
use system::image::Description;
use system::piece::piece;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn status_of(task: &str, reply: usize) -> Result<(u32, Vec<u8>), Unsendable> {
    let description =
        Description::load(&root().join("app.toml")).expect("the image keeps every rule");
    let interface = idol::check(root().join("idl/usb_core.idol")).expect("it is in order");
    let op = interface.ops.iter().find(|op| op.name.text == "status").expect("it has one");
    let message = Message {
        server: description.app().index(task).expect("a task of the image").0,
        operation: op.number,
        bytes: Vec::new(),
        reply,
        read: Vec::new(),
        write: None,
    };
    send(description, 1, &piece(48_000, 96_000), message)
}

#[test]
fn a_server_answers_while_a_piece_plays() {
    let (code, reply) = status_of("usb_core", 64).expect("it is answered");
    // The first fields: devices, and holds.
    assert_eq!((code, &reply[..2]), (0, &[1, 1][..]));
}

#[test]
fn a_task_that_nobody_sends_to_is_refused() {
    assert_eq!(status_of("player", 64), Err(Unsendable::NoSlot));
    assert_eq!(status_of("usb_core", 257), Err(Unsendable::TooLong));
}
