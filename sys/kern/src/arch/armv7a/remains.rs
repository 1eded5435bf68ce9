//! What is left of a task that does not run, for who keeps it for a debugger.

use abi::{RemainsHead, TaskId};

use super::copy::copy;
use super::mmu;
use crate::arch;
use crate::task::{Task, Timestamp};
use crate::umem::Writable;

/// Copies head, record and stack of task `of`, as far as they fit; how many bytes.
pub(super) fn copy_out(of: &Task, id: TaskId, now: Timestamp, to: Writable) -> usize {
    const HEAD: usize = size_of::<RemainsHead>();
    let behind = to.behind(HEAD);
    let record = size_of::<Task>().min(behind.len());
    // SAFETY: `to` is memory of a task, which the window shows; the record is the
    // kernel's own, and only its bytes are taken, whatever they mean.
    unsafe {
        copy(mmu::in_window(behind.base()), core::ptr::from_ref(of).addr(), record);
    }
    let sp = of.save().stack_pointer();
    let top = of.descriptor().initial_stack;
    let stack = of.readable(sp, top.saturating_sub(sp) as usize);
    let stack = stack.map_or(0, |stack| arch::copy(stack, behind.behind(record)));
    let bytes = (record + stack) as u32;
    let words = [u32::from(id.0), bytes, now.0 as u32, (now.0 >> 32) as u32];
    // SAFETY: as above; the words are those of a head.
    unsafe {
        copy(mmu::in_window(to.base()), words.as_ptr().addr(), HEAD.min(to.len()));
    }
    HEAD + bytes as usize
}
