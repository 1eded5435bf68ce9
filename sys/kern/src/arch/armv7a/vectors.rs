//! Exception vectors, and the way in and out.
//!
//! While a task runs, supervisor mode's stack pointer points at the return
//! state in the task's saved registers: two instructions save a task, three
//! resume one. The kernel itself runs on one stack from its top and leaves
//! nothing there.
//!
//! A32, because only its STM stores user mode's registers; SCTLR.TE stays
//! clear. The linker script puts `.text.vectors` at the start of `.text`, which is
//! the start of the image, where it is aligned as VBAR wants it.

use core::arch::global_asm;

/// Kinds of fault, as the vectors tell them to `sotto_fault`.
pub(super) const UNDEFINED: u32 = 0;
pub(super) const PREFETCH_ABORT: u32 = 1;
pub(super) const DATA_ABORT: u32 = 2;
/// What no task can cause.
pub(super) const UNEXPECTED: u32 = 3;

/// Bytes below a banked stack pointer of abort and undefined mode that the
/// vectors use.
pub(super) const SCRATCH: usize = 8;

global_asm!(
    ".section .text.vectors, \"ax\"",
    ".syntax unified",
    ".arm",
    ".align 5",
    ".global sotto_vectors",
    ".type sotto_vectors, %function",
    "sotto_vectors:",
    "   b Reset", // Taken by a loader that starts the image at its first word.
    "   b sotto_undefined",
    "   b sotto_svc",
    "   b sotto_prefetch_abort",
    "   b sotto_data_abort",
    "   b sotto_unexpected",
    "   b sotto_irq",
    "   b sotto_unexpected", // FIQ: the GIC raises none.
    ".size sotto_vectors, . - sotto_vectors",

    ".type sotto_svc, %function",
    "sotto_svc:",
    "   stmdb sp, {{r0-r14}}^",
    "   srsia sp, #19",
    "   ldr sp, 1f",
    "   bl sotto_syscall",
    ".global sotto_resume",
    "sotto_resume:", // r0: return state of who runs next.
    "   mov sp, r0",
    "   ldmdb sp, {{r0-r14}}^",
    "   rfeia sp",
    "1: .word sotto_stack_top",
    ".size sotto_svc, . - sotto_svc",

    // Only tasks run with interrupts unmasked.
    ".type sotto_irq, %function",
    "sotto_irq:",
    "   sub lr, lr, #4",
    "   srsia sp, #19",
    "   cps #19",
    "   stmdb sp, {{r0-r14}}^",
    "   ldr sp, 1b",
    "   bl sotto_interrupt",
    "   b sotto_resume",
    ".size sotto_irq, . - sotto_irq",

    // A fault of user mode (low bits of its mode are zero) is the task's; any
    // other is the kernel's, whose stack may be what is wrong.
    ".macro fault name, kind",
    ".type \\name, %function",
    "\\name:",
    "   str r0, [sp, #-4]",
    "   mrs r0, spsr",
    "   tst r0, #0xf",
    "   ldr r0, [sp, #-4]",
    "   bne 2f",
    "   srsia sp, #19",
    "   cps #19",
    "   stmdb sp, {{r0-r14}}^",
    "   ldr sp, 3f",
    "   mov r0, #\\kind",
    "   bl sotto_fault",
    "   b sotto_resume",
    "2: mov r1, lr",
    "   cps #19",
    "   ldr sp, 3f",
    "   mov r0, #\\kind",
    "   bl sotto_kernel_fault",
    "3: .word sotto_stack_top",
    ".size \\name, . - \\name",
    ".endm",
    "fault sotto_undefined, {undefined}",
    "fault sotto_prefetch_abort, {prefetch_abort}",
    "fault sotto_data_abort, {data_abort}",

    ".type sotto_unexpected, %function",
    "sotto_unexpected:",
    "   mov r1, lr",
    "   cps #19",
    "   ldr sp, 1f",
    "   mov r0, #{unexpected}",
    "   bl sotto_kernel_fault",
    "1: .word sotto_stack_top",
    ".size sotto_unexpected, . - sotto_unexpected",
    undefined = const UNDEFINED,
    prefetch_abort = const PREFETCH_ABORT,
    data_abort = const DATA_ABORT,
    unexpected = const UNEXPECTED,
);
