//! What a generated client's methods have in common.

use core::cell::Cell;

use userlib::{Lease, TaskId, extract_new_generation, sys_refresh_task_id, sys_send};

use crate::{CLikeError, ServerDeath};

/// How often an operation is asked for when each time the server dies.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Attempts(u32);

impl Attempts {
    /// The operation changes something: whether it did before the server died
    /// is not known, so its client must find out.
    pub const ONCE: Self = Self(1);
    /// The operation changes nothing: asked once and, when the server dies
    /// over it, three times more. A server that dies four times in a row over
    /// a question dies of it, or is held back by the supervisor.
    pub const IDEMPOTENT: Self = Self(4);
}

/// Sends `request` to `server` and waits for the answer: the response code and
/// the length of what is in `reply`.
///
/// When the server dies, `server` names the dead incarnation until [`refresh`]:
/// its client takes the death in first. What the next incarnation says would be
/// thrown away with what the dead one said, and is said once.
///
/// # Errors
/// When the server died at the last of `attempts`.
pub fn call(
    server: &Cell<TaskId>,
    operation: u16,
    request: &[u8],
    reply: &mut [u8],
    leases: &[Lease<'_>],
    attempts: Attempts,
) -> Result<(u32, usize), ServerDeath> {
    let mut target = server.get();
    for _ in 0..attempts.0 {
        let (code, len) = sys_send(target, operation, request, reply, leases);
        match extract_new_generation(code) {
            None => return Ok((code, len)),
            Some(generation) => target = TaskId::new(target.index() as u16, generation),
        }
    }
    Err(ServerDeath)
}

/// Brings `server` up to its current incarnation.
pub fn refresh(server: &Cell<TaskId>) {
    server.set(sys_refresh_task_id(server.get()));
}

/// The error that `code` stands for.
///
/// # Panics
/// When it stands for none: client and server were built from different
/// interfaces.
#[inline]
pub fn error<E: CLikeError>(code: u32, operation: &str) -> E {
    match E::try_from(code) {
        Ok(error) => error,
        Err(_) => bad_reply(operation),
    }
}

/// Ends a client whose server answered `operation` with what the interface
/// does not have: the two were built from different interfaces.
///
/// # Panics
/// Always.
#[cold]
#[inline(never)]
pub fn bad_reply(operation: &str) -> ! {
    panic!("{operation}: the server's answer is not of this interface")
}

/// Ends a client whose question `operation` killed the server each time.
///
/// # Panics
/// Always.
#[cold]
#[inline(never)]
pub fn server_keeps_dying(operation: &str) -> ! {
    panic!("{operation}: the server died each time it was asked")
}

/// Ends a client that lends more than the interface allows.
///
/// # Panics
/// Always.
#[cold]
#[inline(never)]
pub fn lease_too_long(operation: &str, lease: &str, max_len: usize) -> ! {
    panic!("{operation}: lease `{lease}` is longer than {max_len}")
}
