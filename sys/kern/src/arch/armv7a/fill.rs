//! Filling of memory: stacks with paint, pools with zeros.
//!
//! In assembly, because half a megabyte of both is filled before the first task
//! runs, and the compiler writes a word at a time.

use core::arch::naked_asm;

/// Writes `word` all over `len` bytes from address `at` on.
///
/// # Safety
/// Both must be multiples of 4, the kernel must be able to write there, and no
/// Rust reference to any of it may exist.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn fill(at: usize, len: usize, word: u32) {
    naked_asm!(
        ".cfi_startproc",
        "push {{r4-r9}}",
        ".cfi_adjust_cfa_offset 24",
        ".cfi_rel_offset r4, 0",
        ".cfi_rel_offset r5, 4",
        ".cfi_rel_offset r6, 8",
        ".cfi_rel_offset r7, 12",
        ".cfi_rel_offset r8, 16",
        ".cfi_rel_offset r9, 20",
        "mov r3, r2",
        "mov r4, r2",
        "mov r5, r2",
        "mov r6, r2",
        "mov r7, r2",
        "mov r8, r2",
        "mov r9, r2",
        "b 2f",
        "1:",
        "stmia r0!, {{r2-r9}}",
        "2:",
        "subs r1, r1, #32",
        "bhs 1b",
        "adds r1, r1, #32",
        "b 4f",
        "3:",
        "str r2, [r0], #4",
        "4:",
        "subs r1, r1, #4",
        "bhs 3b",
        "pop {{r4-r9}}",
        "bx lr",
        ".cfi_endproc",
    )
}
