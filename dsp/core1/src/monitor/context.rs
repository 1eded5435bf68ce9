//! The registers of the program while the monitor runs.
//!
//! The order is what the entry code stores: r0 to r14 of user mode below the
//! pair that SRS writes.

/// User mode, Thumb state, nothing masked (ARM ARM B1.3.3).
const CPSR_USER: u32 = 0x10;
const CPSR_THUMB: u32 = 1 << 5;

/// What the program's link register holds at first: nothing can be returned to.
const NO_CALLER: u32 = 0xFFFF_FFFF;

/// Registers of the program.
#[derive(Copy, Clone, Debug)]
#[repr(C)]
pub(super) struct Context {
    /// r0 to r12, sp, lr.
    registers: [u32; 15],
    pc: u32,
    cpsr: u32,
}

/// From the start of [`Context`] to the pair that SRS writes and RFE reads; the
/// stack pointer of supervisor mode points there while the program runs.
pub(super) const RETURN_STATE: usize = core::mem::offset_of!(Context, pc);

const _: () = assert!(RETURN_STATE == 15 * 4, "r0 to r14 lie below the return state");
const _: () = assert!(size_of::<Context>() == RETURN_STATE + 8, "SRS's order");

impl Context {
    /// Nobody's.
    pub(super) const EMPTY: Self = Self { registers: [0; 15], pc: 0, cpsr: CPSR_USER };

    /// What running the program from `entry` on needs.
    pub(super) const fn beginning(entry: u32, stack_top: u32) -> Self {
        let thumb = if entry & 1 == 1 { CPSR_THUMB } else { 0 };
        let mut registers = [0; 15];
        registers[13] = stack_top;
        registers[14] = NO_CALLER;
        Self { registers, pc: entry & !1, cpsr: CPSR_USER | thumb }
    }

    /// The words of a call.
    pub(super) fn call(&self) -> [u32; 6] {
        let [r0, r1, r2, r3, r4, r5, ..] = self.registers;
        [r0, r1, r2, r3, r4, r5]
    }

    /// Answers a call.
    pub(super) fn answer(&mut self, words: [u32; 4]) {
        self.registers[..4].copy_from_slice(&words);
    }
}
