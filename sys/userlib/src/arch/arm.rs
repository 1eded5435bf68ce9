//! The machine is an ARMv7-A core under the kernel; a call is an SVC.
//!
//! A stub is naked, has no unwind information and changes the stack with `push`
//! alone, leaving lr as it was: that is what Humility undoes to find a waiting
//! task's caller. It goes on there with the stack pointer of the stub. So the
//! caller has a frame in r7, by which anybody finds the next one; nothing else
//! in a task needs a frame pointer.

use core::arch::naked_asm;
use core::cell::UnsafeCell;

use runtime as _;

use super::Registers;

// Tasks are linked again when the script changes.
const _: &str = include_str!("../../task.x");

/// The body of a naked function that calls `$stub` in a frame of its own.
macro_rules! framed {
    ($stub:ident) => {
        naked_asm!(
            ".cfi_sections .debug_frame",
            ".cfi_startproc",
            "push {{r7, lr}}",
            ".cfi_def_cfa_offset 8",
            ".cfi_offset lr, -4",
            ".cfi_offset r7, -8",
            "mov r7, sp",
            ".cfi_def_cfa_register r7",
            "bl {stub}",
            "pop {{r7, pc}}",
            ".cfi_endproc",
            stub = sym $stub
        )
    };
}

/// A system call.
///
/// # Safety
/// Registers that the call's ABI declares to be pointers must describe memory
/// that the caller may give away for the length of the call: the kernel checks
/// them against the task's regions, but cannot check lifetimes.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn syscall(registers: &mut Registers) {
    framed!(stub)
}

/// # Safety
/// As [`syscall`].
#[unsafe(naked)]
unsafe extern "C" fn stub(registers: &mut Registers) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldm r0, {{r4-r11}}",
        "svc #0",
        "stm r0, {{r4-r11}}",
        "pop {{r4-r11, pc}}",
    )
}

/// A system call with two arguments, none of them an address, and one result.
pub(crate) fn short_syscall(a: usize, b: usize, number: usize) -> usize {
    // SAFETY: names no memory.
    unsafe { short_framed(a, b, number) }
}

/// # Safety
/// The call must take no address.
#[unsafe(naked)]
unsafe extern "C" fn short_framed(a: usize, b: usize, number: usize) -> usize {
    framed!(short_stub)
}

/// # Safety
/// As [`short_framed`].
#[unsafe(naked)]
unsafe extern "C" fn short_stub(a: usize, b: usize, number: usize) -> usize {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "mov r4, r0",
        "mov r5, r1",
        "mov r11, r2",
        "svc #0",
        "mov r0, r4",
        "pop {{r4-r11, pc}}",
    )
}

/// What the build says of a task to the task itself.
#[derive(Debug)]
pub struct Tables {
    /// Task slots: name and task index.
    pub slots: &'static [(&'static str, u16)],
    /// Whom it may post to: task index and bits.
    pub notifies: &'static [(u16, u32)],
}

unsafe extern "Rust" {
    /// Written by `build/image` into each task's binary.
    safe static SOTTO_TASK: Tables;
}

pub(crate) fn task_slot(name: &str) -> Option<u16> {
    SOTTO_TASK.slots.iter().find(|slot| slot.0 == name).map(|slot| slot.1)
}

pub(crate) fn notify_mask(target: u16) -> u32 {
    SOTTO_TASK.notifies.iter().filter(|row| row.0 == target).fold(0, |all, row| all | row.1)
}

/// Where a supervisor keeps what is left of the task that died last: a static of
/// `N` bytes that a debugger finds by its name, and nobody else reads.
pub struct Remains<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: a task is one thread of execution, and statics belong to one task. A
// second thread in a task would break this.
unsafe impl<const N: usize> Sync for Remains<N> {}

impl<const N: usize> core::fmt::Debug for Remains<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Remains")
    }
}

impl<const N: usize> Remains<N> {
    /// Those of nobody.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; N]))
    }

    /// Keeps those of task `task`.
    pub fn keep(&self, task: usize) {
        if N > 0 {
            // SAFETY: no other reference to the bytes lives: the only one is made
            // here, and the kernel, which fills them, calls nothing of this task.
            crate::kipc::read_remains(task, unsafe { &mut *self.0.get() });
        }
    }
}

unsafe extern "Rust" {
    safe fn sotto_main() -> !;
}

/// Where a task begins: on an empty stack, of which it uses nothing.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!("bl {main}", "udf #0", main = sym main)
}

extern "C" fn main() -> ! {
    sotto_main()
}

/// Bytes of a panic message that are kept: as many as the kernel hands on.
const MESSAGE: usize = abi::PANIC_MESSAGE_MAX_LEN;

/// Text, up to a length.
struct Message {
    bytes: [u8; MESSAGE],
    len: usize,
}

impl core::fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let len = text.len().min(MESSAGE - self.len);
        self.bytes[self.len..][..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

/// Ends the task with what `info` says; the panic handler of every task.
pub fn abort(info: &core::panic::PanicInfo<'_>) -> ! {
    use core::fmt::Write;
    let mut message = Message { bytes: [0; MESSAGE], len: 0 };
    // `Message` takes everything. A host's message reads the same way.
    let _ = match info.location() {
        Some(at) => write!(message, "{}, {}:{}", info.message(), at.file(), at.line()),
        None => write!(message, "{}", info.message()),
    };
    crate::sys_panic(&message.bytes[..message.len])
}
