//! Has the server hint the client whenever the client sleeps, being the least
//! important of the three.

use userlib::{sys_send, task_slot};

use crate::protocol::HINT_CLIENT;

task_slot!(SERVER, server);

/// Pokes for ever.
pub fn run() -> ! {
    let server = SERVER.get_task_id();
    loop {
        sys_send(server, HINT_CLIENT, &[], &mut [], &[]);
    }
}
