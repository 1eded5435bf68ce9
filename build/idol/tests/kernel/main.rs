//! Generated clients and servers on the real kernel.

#![forbid(unsafe_code)]

mod deaths;
mod faults;
mod loops;
mod server;
mod talk;
#[path = "../types.rs"]
mod types;

/// The generated code, as an api crate and a task would include it.
mod stubs {
    pub(crate) mod client {
        use crate::types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};

        include!("../golden/client.rs");
    }

    pub(crate) mod server {
        use crate::types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};

        include!("../golden/server.rs");
    }
}

use std::cell::RefCell;
use std::rc::Rc;

use abi::{FaultInfo, Generation, TaskId};
use host::{Bare, Host, Image, Outcome, Record, Task, Time};
use stubs::client::Everything;
use userlib::kipc;

userlib::task_slot!(SERVER, server);

/// Index of the server; the supervisor is 0, clients follow.
const SERVER_INDEX: u16 = 1;

fn everything() -> Everything {
    Everything::from(SERVER.get_task_id())
}

/// A task that talks to the server and then rests.
fn client(talk: impl Fn() + 'static) -> Task {
    Task::new("client", move || {
        talk();
        rest();
    })
    .slot("server", SERVER_INDEX)
}

/// Waits for ever.
fn rest() -> ! {
    loop {
        userlib::sys_recv_notification(0);
    }
}

/// Restarts whatever faults, and keeps what it panicked with.
fn supervisor(said: &Rc<RefCell<Vec<String>>>) -> Task {
    let said = Rc::clone(said);
    Task::new("supervisor", move || {
        loop {
            userlib::sys_recv_notification(abi::FAULT_NOTIFICATION);
            let mut next = 1;
            while let Some(task) = kipc::find_faulted_task(next) {
                let mut text = [0; abi::PANIC_MESSAGE_MAX_LEN];
                if let Ok(message) = kipc::read_panic_message(task.get(), &mut text) {
                    said.borrow_mut().push(String::from_utf8_lossy(message).into_owned());
                }
                // Clients are tests: they are run once.
                kipc::restart_task(task.get(), task.get() == usize::from(SERVER_INDEX));
                next = task.get() + 1;
            }
        }
    })
}

/// What a run led to.
struct Run {
    host: Host<Bare>,
    said: Rc<RefCell<Vec<String>>>,
}

impl Run {
    /// Runs server and clients until nothing happens any more.
    fn of(server: Task, clients: Vec<Task>) -> Self {
        let mut run = Self::before(server, clients);
        run.finish();
        run
    }

    fn before(server: Task, clients: Vec<Task>) -> Self {
        let said = Rc::default();
        let tasks = [supervisor(&said), server].into_iter().chain(clients).collect();
        Self { host: Host::new(Image::new(tasks), Bare::new(1)), said }
    }

    fn finish(&mut self) {
        assert_eq!(self.host.run_until(Time::NEVER), Outcome::Idle);
    }

    /// Who was faulted, and why.
    fn faults(&self) -> Vec<(u8, FaultInfo)> {
        let records = &self.host.board().records;
        let faults = records.iter().filter_map(|(_, record)| match record {
            Record::Fault { task, fault } => Some((task.0, *fault)),
            _ => None,
        });
        faults.collect()
    }

    /// Checks that nobody was faulted, which is also how a failed assertion in
    /// a task shows.
    fn assert_well(&self) {
        assert_eq!(self.faults(), [], "{:?}", self.said.borrow());
    }
}

/// The server's first incarnation.
const fn server_id() -> TaskId {
    TaskId::new(SERVER_INDEX, Generation(0))
}
