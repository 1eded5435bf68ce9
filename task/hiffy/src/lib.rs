//! Makes calls for a debugger.
//!
//! A debugger lays a program (crate `hif`) into `HIFFY_TEXT`, sets `HIFFY_KICK`
//! and rings this task's bell; the task runs the program, whose calls are
//! messages to the servers that it has a slot for, and counts up
//! `HIFFY_REQUESTS` or `HIFFY_ERRORS`. Names and meanings of the statics are
//! Humility's. It sleeps until the bell rings: nothing is polled, and an image
//! that does not name the task has nothing of it.

#![no_std]

#[cfg(target_os = "none")]
mod statics;

use hif::{Failure, Fault, Leases, Request, Target};
use ringbuf::{counted_ringbuf, ringbuf_entry};
use userlib::{Generation, Lease, TaskId, extract_new_generation, sys_refresh_task_id, sys_send};

/// What went on; for whoever looks in with a debugger. An empty ring is zeros.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
#[repr(u8)]
enum Trace {
    #[count(skip)]
    None,
    Called {
        server: u16,
        operation: u16,
        code: u32,
    },
    /// A server that this task has no slot for.
    NotAServer(u16),
    ServerDied(u16),
    Failed(Failure),
}

counted_ringbuf!(Trace, 16, Trace::None);

/// Servers by the slots that the image gives the task: name and index.
#[derive(Copy, Clone, Debug)]
pub struct Servers(pub &'static [(&'static str, u16)]);

impl Servers {
    /// Notes why a program did not come to its end.
    pub fn failed(&self, failure: Failure) {
        ringbuf_entry!(Trace::Failed(failure));
    }
}

impl Target for Servers {
    /// A message to a task without a slot would be this task's fault, and end it.
    fn send(
        &mut self,
        request: &Request<'_>,
        reply: &mut [u8],
        leases: Leases<'_>,
    ) -> Result<u32, Failure> {
        let &Request { server, operation, message } = request;
        if !self.0.iter().any(|&(_, index)| index == server) {
            ringbuf_entry!(Trace::NotAServer(server));
            return Err(Fault::BadParameter(0).into());
        }
        let to = sys_refresh_task_id(TaskId::new(server, Generation::default()));
        let code = match (leases.read, leases.write) {
            ([None, _], None) => sys_send(to, operation, message, reply, &[]),
            ([None, _], Some(write)) => {
                sys_send(to, operation, message, reply, &[Lease::write_only(write)])
            }
            ([Some(first), None], None) => {
                sys_send(to, operation, message, reply, &[Lease::read_only(first)])
            }
            ([Some(first), Some(second)], None) => {
                let leases = [Lease::read_only(first), Lease::read_only(second)];
                sys_send(to, operation, message, reply, &leases)
            }
            ([Some(first), _], Some(write)) => {
                let leases = [Lease::read_only(first), Lease::write_only(write)];
                sys_send(to, operation, message, reply, &leases)
            }
        }
        .0;
        match extract_new_generation(code) {
            Some(_) => ringbuf_entry!(Trace::ServerDied(server)),
            None => ringbuf_entry!(Trace::Called { server, operation, code }),
        }
        Ok(code)
    }
}

/// What the image gives the task.
#[derive(Debug)]
pub struct Config {
    /// The servers that it may call.
    pub servers: &'static [(&'static str, u16)],
    /// Notification bit of the bell.
    pub bell: u32,
    /// All notification bits. A neighbour's death needs no answer: each call
    /// asks for the server's present life.
    pub mask: u32,
}

/// Serves the debugger for ever.
#[cfg(target_os = "none")]
pub fn main(config: &Config) -> ! {
    let mut servers = Servers(config.servers);
    statics::announce();
    loop {
        statics::wait(|| {
            // What was rung while it was disabled is delivered at once.
            userlib::sys_irq_control(config.bell, true);
            userlib::sys_recv_notification(config.mask);
        });
        if let Some(Err(failure)) = statics::run(&mut servers) {
            servers.failed(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Servers;
    use hif::{Failure, Fault, Leases, Request, Target};

    #[test]
    fn a_task_without_a_slot_is_refused_before_the_kernel_would() {
        let request = Request { server: 4, operation: 1, message: &[] };
        let mut servers = Servers(&[("xhci", 3)]);
        let refused = servers.send(&request, &mut [], Leases::default());
        assert_eq!(refused, Err(Failure::Fault(Fault::BadParameter(0))));
    }
}
