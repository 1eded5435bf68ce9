//! The place in an image that a bridge to the network answers for.
//!
//! Humility's `-i` makes calls by datagrams to a task `udprpc`: it looks for a task
//! of that name in the archive, for its socket, and for the names of what it can
//! answer ([`RpcReply`]). A board without a network has `cargo xtask bridge` to
//! answer, which has the calls made by `hiffy`. So this task is never started.

#![no_std]

use hif::RpcReply;

/// What the bridge can answer, where a debugger finds its names.
#[used]
static REPLIES: [RpcReply; 5] = [
    RpcReply::Ok,
    RpcReply::TooShort,
    RpcReply::BadImageId,
    RpcReply::BytesMismatch,
    RpcReply::ReplyOverflow,
];

/// Waits for ever, should a debugger have it started.
pub fn main() -> ! {
    loop {
        userlib::sys_recv_notification(0);
    }
}
