//! The machine is the simulator that runs the task's coroutine.
//!
//! Every call here may not return: the simulator may kill the task inside it.

use super::Registers;

/// A system call.
///
/// # Safety
/// As [`seam::Machine::syscall`].
pub(crate) unsafe fn syscall(registers: &mut Registers) {
    // SAFETY: passed on to the caller.
    seam::with(|machine| unsafe { machine.syscall(registers) });
}

/// A system call with two arguments, none of them an address, and one result.
pub(crate) fn short_syscall(a: usize, b: usize, number: usize) -> usize {
    let mut registers = [a, b, 0, 0, 0, 0, 0, number];
    // SAFETY: names no memory.
    unsafe { syscall(&mut registers) };
    registers[0]
}

pub(crate) fn task_slot(name: &str) -> Option<u16> {
    seam::with(|machine| machine.task_slot(name))
}

pub(crate) fn notify_mask(target: u16) -> u32 {
    seam::with(|machine| machine.notify_mask(target))
}
