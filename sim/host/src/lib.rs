//! The host architecture: tasks as coroutines on the real kernel core.
//!
//! A [`Host`] is one simulated machine: core 0 runs the kernel of `sys/kern`
//! with a coroutine for each task of an [`Image`], core 1 runs the DSP's
//! program, and everything around them is a [`Board`]. Task code is the code
//! that runs on a board; it reaches its machine through `seam`. One host runs
//! on one thread; any number may run one after another or on other threads.
//!
//! # Time
//! Time is virtual and passes only at *points*: system calls, register
//! accesses, DMA accesses, barriers and monitor calls, each of which costs what
//! [`Costs`] says and a little jitter that the board's seed decides. Each core
//! has a clock; the core with the smaller clock runs, and neither runs past the
//! board's next event. At a point a task can be preempted, by a more important
//! task that an interrupt or an event made ready, and it can be killed there
//! ([`Host::kill_at`]). Code between two points takes no time; code that never
//! reaches a point again hangs the simulator itself, code that reaches points
//! for ever without waiting is reported as [`Outcome::Hang`].
//!
//! # Death
//! A killed or restarted task's stack is reset, never unwound: no destructor
//! runs, as on a board. A Rust panic in a task is caught at the root of its
//! coroutine and becomes the PANIC system call; while it unwinds, whatever
//! destructors ask of the machine is ignored. A panic of a model or of this
//! crate is not a task's: it goes on to the caller of [`Host::run_until`].
//!
//! # Memory
//! A task's regions for the kernel's checks are its stack and the program's
//! read-only data. A slice on the heap or in writable static memory is a fault,
//! as it would be on a board, where neither exists.
//!
//! The host never makes an idle task run: when no task can run, core 0 sleeps.

mod bare;
mod board;
mod engine;
mod hub;
mod image;
mod machine;
mod panic;
mod places;
mod platform;
mod record;
mod stats;
mod time;

pub use bare::{Bare, Monitor, Registers};
pub use board::{Act, Board, BusError, By, Core, Core1Death, Core1Order, Fate, MonitorAnswer};
pub use engine::{Host, Outcome};
pub use hub::Instance;
pub use image::{Access, Costs, Entry, Image, Limits, Span, Task};
pub use kern::{Irq, KernelPanic, TaskIndex};
pub use record::Record;
pub use seam::{Barrier, MonitorCall, Width};
pub use stats::{Stats, TaskStats};
pub use time::Time;
