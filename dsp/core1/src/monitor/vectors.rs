//! Exception vectors of core 1, and the way in and out.
//!
//! While the program runs, supervisor mode's stack pointer points into its
//! saved registers: SRS and one STM save it, one LDM and RFE resume it. The
//! monitor runs on one stack from its top and leaves nothing there.
//!
//! A32, because only its STM stores user mode's registers. The linker script
//! puts `.text.vectors` at the start of `.text`, where it is aligned as VBAR
//! wants it.

use super::context::RETURN_STATE;
use core::arch::global_asm;

/// Exceptions, as the vectors tell of them.
pub(super) const UNDEFINED: u32 = 0;
pub(super) const PREFETCH_ABORT: u32 = 1;
pub(super) const DATA_ABORT: u32 = 2;
/// What nothing here causes.
const UNEXPECTED: u32 = 3;

global_asm!(
    ".section .text.vectors, \"ax\"",
    ".syntax unified",
    ".arm",
    ".align 5",
    ".global core1_vectors",
    ".type core1_vectors, %function",
    "core1_vectors:",
    "   b core1_unexpected", // Reset is not taken through VBAR.
    "   b core1_undefined",
    "   b core1_svc",
    "   b core1_prefetch_abort",
    "   b core1_data_abort",
    "   b core1_unexpected",
    "   b core1_irq",
    "   b core1_unexpected", // FIQ: the GIC raises none.
    ".size core1_vectors, . - core1_vectors",

    // An SVC of the monitor itself would save onto its own stack; there is none.
    ".type core1_svc, %function",
    "core1_svc:",
    "   srsia sp, #0x13",
    "   stmdb sp, {{r0-r14}}^",
    "   ldr sp, 1f",
    "   bl core1_call",
    ".global core1_resume",
    "core1_resume:", // r0: the program's registers.
    "   add sp, r0, #{return_state}",
    "   ldmdb sp, {{r0-r14}}^",
    "   rfeia sp",
    "1: .word core1_stack_top",
    ".size core1_svc, . - core1_svc",

    // Only the program runs with interrupts unmasked.
    ".type core1_irq, %function",
    "core1_irq:",
    "   sub lr, lr, #4",
    "   srsia sp, #0x13",
    "   cps #0x13",
    "   stmdb sp, {{r0-r14}}^",
    "   ldr sp, 1b",
    "   bl core1_interrupt",
    "   b core1_resume",
    ".size core1_irq, . - core1_irq",

    // A fault of user mode (low bits of its mode are zero) ends the program,
    // whose registers nobody needs; any other is the monitor's.
    ".macro fault name, kind",
    ".type \\name, %function",
    "\\name:",
    "   mrs r0, spsr",
    "   tst r0, #0xf",
    "   mov r1, lr",
    "   cps #0x13",
    "   ldr sp, 3f",
    "   mov r0, #\\kind",
    "   bne 2f",
    "   bl core1_fault",
    "   b core1_resume",
    "2: bl core1_own_fault",
    "3: .word core1_stack_top",
    ".size \\name, . - \\name",
    ".endm",
    "fault core1_undefined, {undefined}",
    "fault core1_prefetch_abort, {prefetch_abort}",
    "fault core1_data_abort, {data_abort}",

    ".type core1_unexpected, %function",
    "core1_unexpected:",
    "   mov r1, lr",
    "   cps #0x13",
    "   ldr sp, 1f",
    "   mov r0, #{unexpected}",
    "   bl core1_own_fault",
    "1: .word core1_stack_top",
    ".size core1_unexpected, . - core1_unexpected",
    return_state = const RETURN_STATE,
    undefined = const UNDEFINED,
    prefetch_abort = const PREFETCH_ABORT,
    data_abort = const DATA_ABORT,
    unexpected = const UNEXPECTED,
);
