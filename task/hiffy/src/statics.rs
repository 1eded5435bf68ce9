//! What the debugger and the task share: statics by Humility's names.
//!
//! One side has them at a time. While `HIFFY_READY` is 1 they are the debugger's:
//! it writes text and data, then `HIFFY_KICK`, and rings. Then they are the
//! task's, until `HIFFY_REQUESTS` or `HIFFY_ERRORS` has changed.

#![allow(unsafe_code, reason = "statics that a debugger writes while the task waits")]

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use hif::{Failure, Room, Target};

/// Bytes of a program. A call with the longest message there can be has 200.
const TEXT: usize = 512;
/// Bytes that can be lent to be read: the longest lease, and a list of lengths.
const DATA: usize = 4096 + 64;
/// Bytes of a reply and of what the server wrote: the longest lease and a reply.
const SCRATCH: usize = 4096 + 256;
/// Bytes of results.
const RESULTS: usize = SCRATCH + 16;

/// A static that a debugger reads and writes from outside.
#[repr(transparent)]
pub(crate) struct StaticCell<T> {
    cell: UnsafeCell<T>,
}

// SAFETY: a task is one thread of execution, and statics belong to one task. A
// second thread in it would break this.
unsafe impl<T> Sync for StaticCell<T> {}

impl<T> StaticCell<T> {
    const fn new(value: T) -> Self {
        Self { cell: UnsafeCell::new(value) }
    }
}

impl<T: Copy> StaticCell<T> {
    fn get(&self) -> T {
        // SAFETY: nothing holds a reference to one of the words: `run` makes
        // references to the arrays alone. The debugger writes whole words.
        unsafe { self.cell.get().read_volatile() }
    }

    fn set(&self, value: T) {
        // SAFETY: as above.
        unsafe { self.cell.get().write_volatile(value) };
    }
}

/// A server, by its index.
#[derive(Debug)]
pub(crate) struct Server(#[allow(dead_code, reason = "for the debug information")] u16);

/// A message's bytes.
#[derive(Debug)]
pub(crate) struct Buffer(#[allow(dead_code, reason = "for the debug information")] u8);

/// The functions and what each takes, for debuggers: parameters, and the type of
/// its error. The order is that of `hif::Function`.
#[derive(Debug)]
#[allow(dead_code, reason = "for the debug information")]
pub(crate) enum Functions {
    /// Sends a message.
    Send((Server, u16, Buffer, usize), u32),
    /// With a lease to read.
    SendLeaseRead((Server, u16, Buffer, usize, usize), u32),
    /// With a lease to write.
    SendLeaseWrite((Server, u16, Buffer, usize, usize), u32),
    /// With one to read and one to write.
    SendLeaseReadWrite((Server, u16, Buffer, usize, usize, usize), u32),
    /// With two to read.
    SendLeaseReadRead((Server, u16, Buffer, usize, usize, usize), u32),
}

macro_rules! statics {
    ($($(#[$doc:meta])* $name:ident: $of:ty = $value:expr;)*) => {
        $(
            $(#[$doc])*
            #[used]
            #[unsafe(no_mangle)]
            pub(crate) static $name: $of = $value;
        )*
    };
}

statics! {
    /// The program.
    HIFFY_TEXT: StaticCell<[u8; TEXT]> = StaticCell::new([0; TEXT]);
    /// What it lends to be read.
    HIFFY_DATA: StaticCell<[u8; DATA]> = StaticCell::new([0; DATA]);
    /// What its calls came to.
    HIFFY_RSTACK: StaticCell<[u8; RESULTS]> = StaticCell::new([0; RESULTS]);
    /// Room for one call's value; a debugger asks for its size.
    HIFFY_SCRATCH: StaticCell<[u8; SCRATCH]> = StaticCell::new([0; SCRATCH]);
    /// Programs that came to their end.
    HIFFY_REQUESTS: StaticCell<u32> = StaticCell::new(0);
    /// Programs that did not.
    HIFFY_ERRORS: StaticCell<u32> = StaticCell::new(0);
    /// Why the last of them did not. Nothing is `None` before the task has begun.
    HIFFY_FAILURE: StaticCell<MaybeUninit<Option<Failure>>> =
        StaticCell::new(MaybeUninit::zeroed());
    /// Not 0: there is a program.
    HIFFY_KICK: StaticCell<u32> = StaticCell::new(0);
    /// 1: the task waits for one.
    HIFFY_READY: StaticCell<u32> = StaticCell::new(0);
    /// The version of the language, once the task has begun.
    HIFFY_VERSION_MAJOR: StaticCell<u32> = StaticCell::new(0);
    /// The version of the language, once the task has begun.
    HIFFY_VERSION_MINOR: StaticCell<u32> = StaticCell::new(0);
    /// The version of the language, once the task has begun.
    HIFFY_VERSION_PATCH: StaticCell<u32> = StaticCell::new(0);
    /// The functions; their description is all that there is of it.
    HIFFY_FUNCTIONS: Option<&'static Functions> = None;
}

/// Says which language the task speaks, what it can call, and that nothing failed
/// yet. Statics begin as zeros, and nothing else uses some of these, so that they
/// would not be in the image.
pub(crate) fn announce() {
    HIFFY_VERSION_MAJOR.set(hif::VERSION[0]);
    HIFFY_VERSION_MINOR.set(hif::VERSION[1]);
    HIFFY_VERSION_PATCH.set(hif::VERSION[2]);
    HIFFY_FAILURE.set(MaybeUninit::new(None));
    core::hint::black_box(&HIFFY_FUNCTIONS);
}

/// Waits, and lets the debugger know.
pub(crate) fn wait(sleep: impl FnOnce()) {
    HIFFY_READY.set(1);
    sleep();
    HIFFY_READY.set(0);
}

/// Runs the program, if there is one.
pub(crate) fn run(target: &mut impl Target) -> Option<Result<(), Failure>> {
    if HIFFY_KICK.get() == 0 {
        return None;
    }
    HIFFY_KICK.set(0);
    // SAFETY: the debugger kicked, so the arrays are the task's until one of the
    // counts below changes; these references end before that, and no others are
    // made: `run` is called from the task's loop alone.
    let (text, room) = unsafe {
        let room = Room {
            data: &*HIFFY_DATA.cell.get(),
            scratch: &mut *HIFFY_SCRATCH.cell.get(),
            results: &mut *HIFFY_RSTACK.cell.get(),
        };
        (&*HIFFY_TEXT.cell.get(), room)
    };
    let outcome = hif::run(text, room, target);
    let count = match outcome {
        Ok(()) => &HIFFY_REQUESTS,
        Err(failure) => {
            HIFFY_FAILURE.set(MaybeUninit::new(Some(failure)));
            &HIFFY_ERRORS
        }
    };
    // What the debugger is to find is in memory before the count says so.
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::Release);
    count.set(count.get().wrapping_add(1));
    Some(outcome)
}
