//! The registers of a task that does not run.
//!
//! The order is what the entry code stores: r0 to r14 of user mode below the
//! pair that SRS writes. Humility reads r4 to r11 and `psp` by name.

use crate::arch::SavedRegisters;
use crate::task::TaskDesc;

/// User mode, Thumb state, nothing masked (ARM ARM B1.3.3).
const CPSR_USER: u32 = 0x10;
const CPSR_THUMB: u32 = 1 << 5;

/// What a new task's link register holds: nothing can be returned to.
const NO_CALLER: u32 = 0xFFFF_FFFF;

/// Registers of a task that does not run.
#[derive(Copy, Clone, Debug)]
#[repr(C)]
pub struct SavedState {
    r0: u32,
    r1: u32,
    r2: u32,
    r3: u32,
    r4: u32,
    r5: u32,
    r6: u32,
    r7: u32,
    r8: u32,
    r9: u32,
    r10: u32,
    r11: u32,
    r12: u32,
    sp: u32,
    lr: u32,
    pc: u32,
    cpsr: u32,
    /// Where Humility looks for a stacked frame. The kernel makes none: whoever
    /// writes a dump does, out of the registers above.
    psp: u32,
}

/// From the start of [`SavedState`] to the pair that SRS writes and RFE reads;
/// the stack pointer of supervisor mode points there while a task runs.
const RETURN_STATE: usize = core::mem::offset_of!(SavedState, pc);

const _: () = assert!(RETURN_STATE == 15 * 4, "r0 to r14 lie below the return state");
const _: () = assert!(core::mem::offset_of!(SavedState, cpsr) == RETURN_STATE + 4, "SRS's order");

impl SavedState {
    /// What running the task from its beginning needs.
    pub(super) fn beginning(descriptor: &TaskDesc) -> Self {
        let entry = descriptor.entry_point;
        let thumb = if entry & 1 == 1 { CPSR_THUMB } else { 0 };
        Self {
            sp: descriptor.initial_stack,
            lr: NO_CALLER,
            pc: entry & !1,
            cpsr: CPSR_USER | thumb,
            ..Self::EMPTY
        }
    }

    /// Moves the program counter back to the instruction that was trapped:
    /// `after` bytes, of which an undefined instruction in Thumb state has two
    /// less (ARM ARM B1.8.3, table B1-7).
    pub(super) fn rewind(&mut self, after: u32, less_in_thumb: u32) {
        let thumb = self.cpsr & CPSR_THUMB != 0;
        self.pc = self.pc.wrapping_sub(if thumb { after - less_in_thumb } else { after });
    }

    pub(super) fn stack_pointer(&self) -> u32 {
        self.sp
    }

    pub(super) fn pc(&self) -> u32 {
        self.pc
    }

    /// The place that the exit code takes: the return state.
    pub(super) fn return_state(&mut self) -> *mut ReturnState {
        core::ptr::from_mut(self).cast::<u8>().wrapping_add(RETURN_STATE).cast()
    }
}

/// pc and cpsr of a [`SavedState`], with r0 to r14 below them.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ReturnState {
    pc: u32,
    cpsr: u32,
}

impl SavedRegisters for SavedState {
    const EMPTY: Self = Self {
        r0: 0,
        r1: 0,
        r2: 0,
        r3: 0,
        r4: 0,
        r5: 0,
        r6: 0,
        r7: 0,
        r8: 0,
        r9: 0,
        r10: 0,
        r11: 0,
        r12: 0,
        sp: 0,
        lr: 0,
        pc: 0,
        cpsr: 0,
        psp: 0,
    };

    #[inline(always)]
    fn argument(&self, n: usize) -> usize {
        (match n {
            0 => self.r4,
            1 => self.r5,
            2 => self.r6,
            3 => self.r7,
            4 => self.r8,
            5 => self.r9,
            6 => self.r10,
            _ => unreachable!("a system call has seven arguments"),
        }) as usize
    }

    #[inline(always)]
    fn number(&self) -> u32 {
        self.r11
    }

    #[inline(always)]
    fn set_result(&mut self, n: usize, value: usize) {
        *match n {
            0 => &mut self.r4,
            1 => &mut self.r5,
            2 => &mut self.r6,
            3 => &mut self.r7,
            4 => &mut self.r8,
            5 => &mut self.r9,
            6 => &mut self.r10,
            _ => unreachable!("a system call has seven results"),
        } = value as u32;
    }
}
