//! The loop of a server.
//!
//! It owns receiving and replying, and does both in one kernel entry wherever
//! it can: answering a message and taking the next one is REPLY_RECV.

use core::hint::black_box;
use core::marker::PhantomData;

use userlib::{
    ClosedRecvError, RecvMessage, TaskId, sys_recv, sys_recv_open, sys_reply, sys_reply_fault,
    sys_reply_recv,
};

use crate::ClientError;

/// What a server does with notifications.
pub trait NotificationHandler {
    /// The bits that it wants to hear of now.
    fn current_notification_mask(&self) -> u32;

    /// Some of those bits were set.
    fn handle_notification(&mut self, bits: u32);

    /// A client is answered `code`, which is an error of the interface: the
    /// place to count and note refusals, whatever operation they come from.
    fn refused(&mut self, code: u32) {
        let _ = code;
    }
}

/// A server as the loop drives it; generated.
pub trait Server<Op> {
    /// Room for the largest reply.
    type Reply: AsMut<[u8]> + AsRef<[u8]>;

    /// The largest request.
    const INCOMING_SIZE: usize;

    /// A reply with nothing in it yet.
    const NO_REPLY: Self::Reply;

    /// The only task to take messages from now, if not all.
    fn recv_source(&self) -> Option<TaskId>;

    /// The task that was to be waited for is dead.
    fn closed_recv_fail(&mut self);

    /// As in [`NotificationHandler`].
    fn current_notification_mask(&self) -> u32;

    /// As in [`NotificationHandler`].
    fn handle_notification(&mut self, bits: u32);

    /// As in [`NotificationHandler`].
    fn refused(&mut self, code: u32);

    /// Does what `message` asks with `request`, its bytes. Returns the response
    /// code and how much of `reply` goes with it.
    ///
    /// # Errors
    /// When the client is at fault, or gone.
    fn handle(
        &mut self,
        message: &RecvMessage,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<(u32, usize), ClientError>;
}

/// Serves for ever: takes messages and notifications into `buffer`, which has
/// room for `INCOMING_SIZE` bytes, and has `server` handle them.
///
/// # Panics
/// When `buffer` is too small.
#[inline(always)]
pub fn dispatch<'s, S, Op>(server: &'s mut S, buffer: &mut [u8]) -> !
where
    (PhantomData<Op>, &'s mut S): Server<Op>,
{
    serve::<S, Op>(server, buffer);
    ended()
}

/// Of its own, so that what stands behind the call of [`serve`] is the caller's
/// and no panic's.
#[cold]
#[inline(never)]
fn ended() -> ! {
    unreachable!("a server serves for ever")
}

/// The loop. To the compiler it could end: behind a call that never returns it
/// puts another function, for which Humility would then take the caller.
#[inline(never)]
fn serve<'s, S, Op>(server: &'s mut S, buffer: &mut [u8])
where
    (PhantomData<Op>, &'s mut S): Server<Op>,
{
    if black_box(false) {
        return;
    }
    let mut server = (PhantomData, server);
    assert!(buffer.len() >= incoming_size(&server), "dispatch: buffer below INCOMING_SIZE");
    let mut reply = no_reply(&server);
    let mut answer = None;
    loop {
        let Some(message) = receive(&mut server, answer.take(), reply.as_ref(), buffer) else {
            continue;
        };
        if message.sender == TaskId::KERNEL {
            server.handle_notification(message.operation);
        } else {
            answer = respond(&mut server, &message, buffer, reply.as_mut());
        }
    }
}

/// An answer that waits to be given when the next message is taken.
struct Answer {
    to: TaskId,
    code: u32,
    len: usize,
}

fn receive<S: Server<Op>, Op>(
    server: &mut S,
    answer: Option<Answer>,
    reply: &[u8],
    buffer: &mut [u8],
) -> Option<RecvMessage> {
    let mask = server.current_notification_mask();
    let Some(source) = server.recv_source() else {
        return Some(match answer {
            Some(Answer { to, code, len }) => sys_reply_recv(to, code, &reply[..len], buffer, mask),
            None => sys_recv_open(buffer, mask),
        });
    };
    if let Some(Answer { to, code, len }) = answer {
        sys_reply(to, code, &reply[..len]);
    }
    match sys_recv(buffer, mask, Some(source)) {
        Ok(message) => Some(message),
        Err(ClosedRecvError::Dead(_)) => {
            server.closed_recv_fail();
            None
        }
    }
}

fn respond<S: Server<Op>, Op>(
    server: &mut S,
    message: &RecvMessage,
    buffer: &[u8],
    reply: &mut [u8],
) -> Option<Answer> {
    let outcome = match buffer.get(..message.message_len) {
        Some(request) => server.handle(message, request, reply),
        None => Err(ClientError::BadMessageSize),
    };
    match outcome {
        Ok((code, len)) => {
            // Hidden, or what follows would stand there once for each code of
            // each operation.
            let code = black_box(code);
            if code != 0 {
                refused(server, code);
            }
            Some(Answer { to: message.sender, code, len })
        }
        Err(error) => {
            if let Some(reason) = error.into_fault() {
                sys_reply_fault(message.sender, reason);
            }
            None
        }
    }
}

#[cold]
#[inline(never)]
fn refused<S: Server<Op>, Op>(server: &mut S, code: u32) {
    server.refused(code);
}

fn incoming_size<S: Server<Op>, Op>(_: &S) -> usize {
    S::INCOMING_SIZE
}

fn no_reply<S: Server<Op>, Op>(_: &S) -> S::Reply {
    S::NO_REPLY
}
