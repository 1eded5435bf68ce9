//! Telling a task's panic from a panic of the simulator.
//!
//! Both unwind the same stack, because models run on the stack of the task that
//! accesses them. What tells them apart is where the thread was when the panic
//! began: in task code, or inside the machine.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread runs task code right now.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    /// Whether the panic that unwinds began inside the machine.
    static FOREIGN: Cell<bool> = const { Cell::new(false) };
    /// Calls to the machine since the last panic began to unwind.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// What the last panic of task code said.
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes panics of task code silent: they are the simulated system's business,
/// and it has its own ways to tell. All others go to the hook that was there.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IN_TASK.get() {
                previous(info);
                return;
            }
            MESSAGE.with_borrow_mut(|message| {
                message.clear();
                let text = info.payload_as_str().unwrap_or("no message");
                // Writing to a string does not fail.
                let _ = write!(message, "{text}");
                if let Some(at) = info.location() {
                    let _ = write!(message, ", {}:{}", at.file(), at.line());
                }
            });
        }));
    });
}

/// Marks that the thread is inside the machine, until dropped.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter() -> Self {
        IN_TASK.set(false);
        Self(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if std::thread::panicking() {
            FOREIGN.set(true);
        } else {
            IN_TASK.set(true);
        }
    }
}

/// Calls to the machine that destructors may make while one panic unwinds. A
/// destructor that waits for an answer would make them for ever.
const DEAD_CALLS: u32 = 100_000;

/// Whether a panic unwinds: what destructors ask of the machine is ignored.
pub(crate) fn unwinding() -> bool {
    if !std::thread::panicking() {
        return false;
    }
    let calls = CALLS.get() + 1;
    CALLS.set(calls);
    if calls > DEAD_CALLS {
        // A panic within a panic cannot be caught.
        eprintln!(
            "a destructor waits for the machine while a task's panic unwinds: {}",
            MESSAGE.take()
        );
        std::process::abort();
    }
    true
}

/// How task code ended.
pub(crate) enum End {
    /// It returned.
    Returned,
    /// It panicked with this message.
    Panicked(String),
    /// The machine panicked under it.
    Foreign(Box<dyn Any + Send>),
}

/// Runs task code to its end.
pub(crate) fn run(code: impl FnOnce()) -> End {
    IN_TASK.set(true);
    CALLS.set(0);
    let result = panic::catch_unwind(AssertUnwindSafe(code));
    IN_TASK.set(false);
    match result {
        Ok(()) => End::Returned,
        Err(payload) if FOREIGN.replace(false) => End::Foreign(payload),
        Err(_) => End::Panicked(MESSAGE.take()),
    }
}
