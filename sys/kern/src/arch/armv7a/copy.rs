//! Copying of user memory through the kernel's window.
//!
//! In assembly, because no Rust reference may exist to what a task can change,
//! and because messages are short: the compiler's `memcpy` spends more on
//! choosing a way than on 16 bytes.

use core::arch::global_asm;

global_asm!(
    // r0 to, r1 from, r2 bytes. Sixteen aligned bytes at once; otherwise eight
    // and four words at a time while both are aligned, then single words, then
    // bytes. Unaligned words are legal in this memory
    // (normal, SCTLR.A clear: ARM ARM A3.2.1), unaligned LDM is not.
    ".section .text.sotto_copy, \"ax\"",
    ".syntax unified",
    ".thumb",
    ".global sotto_copy",
    ".type sotto_copy, %function",
    ".thumb_func",
    "sotto_copy:",
    ".cfi_startproc",
    "   orr r3, r0, r1",
    "   tst r3, #3",
    "   bne 2f",
    "   cmp r2, #16",
    "   bne 1f",
    "   ldmia r1!, {{r2, r3, r12}}",
    "   stmia r0!, {{r2, r3, r12}}",
    "   ldr r2, [r1]",
    "   str r2, [r0]",
    "   bx lr",
    "1: subs r2, #32",
    "   blo 5f",
    "   push {{r4-r10}}",
    ".cfi_remember_state",
    ".cfi_adjust_cfa_offset 28",
    ".cfi_rel_offset r4, 0",
    ".cfi_rel_offset r5, 4",
    ".cfi_rel_offset r6, 8",
    ".cfi_rel_offset r7, 12",
    ".cfi_rel_offset r8, 16",
    ".cfi_rel_offset r9, 20",
    ".cfi_rel_offset r10, 24",
    "4: ldmia r1!, {{r3-r10}}",
    "   subs r2, #32",
    "   stmia r0!, {{r3-r10}}",
    "   bhs 4b",
    "   pop {{r4-r10}}",
    ".cfi_restore_state",
    "5: adds r2, #16",
    "   bmi 6f",
    "   push {{r4-r5}}",
    ".cfi_remember_state",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset r4, 0",
    ".cfi_rel_offset r5, 4",
    "   ldmia r1!, {{r3, r4, r5, r12}}",
    "   stmia r0!, {{r3, r4, r5, r12}}",
    "   pop {{r4-r5}}",
    ".cfi_restore_state",
    "   subs r2, #16",
    "6: adds r2, #16",
    "   it eq",
    "   bxeq lr",
    "2: subs r2, #4",
    "   blo 7f",
    "3: ldr r3, [r1], #4",
    "   subs r2, #4",
    "   str r3, [r0], #4",
    "   bhs 3b",
    "7: adds r2, #4",
    "   it eq",
    "   bxeq lr",
    "8: ldrb r3, [r1], #1",
    "   subs r2, #1",
    "   strb r3, [r0], #1",
    "   bne 8b",
    "   bx lr",
    ".cfi_endproc",
    ".size sotto_copy, . - sotto_copy",
);

unsafe extern "C" {
    fn sotto_copy(to: usize, from: usize, len: usize);
}

/// Copies `len` bytes from address `from` to address `to`.
///
/// # Safety
/// The kernel must be able to read the one and write the other, and no Rust
/// reference to what is written may exist. Where they overlap the bytes that
/// arrive are some of those that were there.
#[inline(always)]
pub(super) unsafe fn copy(to: usize, from: usize, len: usize) {
    if len > 0 {
        // SAFETY: the caller's promise.
        unsafe { sotto_copy(to, from, len) };
    }
}
