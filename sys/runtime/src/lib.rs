//! Functions that the compiler calls (run-time ABI for the Arm architecture,
//! 4.3.1 and 4.3.4), small rather than fast: every task and both programs of
//! core 1 carry their own, what they copy often is a few words, and 64 bits are
//! rarely divided. A host has its own, and nothing is here.
//!
//! They are written in assembly because the compiler would make calls of
//! themselves out of their loops. Words are moved as words where both ends are
//! aligned, and never otherwise: the memory may be the kind that refuses it. The
//! `.cfi` lines are no code: with them a debugger finds the caller of one.

#![no_std]
#![cfg(target_arch = "arm")]

use core::arch::naked_asm;

/// # Safety
/// As C's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "mov r12, r0",
        "orr r3, r0, r1",
        "lsls r3, r3, #30",
        "bne 3f",
        // A task's state is moved into place once, and is long.
        "subs r2, r2, #16",
        "blo 5f",
        "push {{r4-r6}}",
        ".cfi_remember_state",
        ".cfi_adjust_cfa_offset 12",
        ".cfi_rel_offset r4, 0",
        ".cfi_rel_offset r5, 4",
        ".cfi_rel_offset r6, 8",
        "4:",
        "ldmia r1!, {{r3-r6}}",
        "stmia r12!, {{r3-r6}}",
        "subs r2, r2, #16",
        "bhs 4b",
        "pop {{r4-r6}}",
        ".cfi_restore_state",
        "5:",
        "adds r2, r2, #16",
        "b 2f",
        "1:",
        "ldr r3, [r1], #4",
        "str r3, [r12], #4",
        "2:",
        "subs r2, r2, #4",
        "bhs 1b",
        "adds r2, r2, #4",
        "3:",
        "subs r2, r2, #1",
        "itt hs",
        "ldrbhs r3, [r1], #1",
        "strbhs r3, [r12], #1",
        "bhs 3b",
        "bx lr",
        ".cfi_endproc",
    )
}

/// # Safety
/// As C's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        // Forwards, unless `to` lies in the source.
        "subs r3, r0, r1",
        "cmp r3, r2",
        "bhs {memcpy}",
        "orr r3, r0, r1",
        "orr r3, r3, r2",
        "lsls r3, r3, #30",
        "bne 3f",
        "b 2f",
        "1:",
        "ldr r3, [r1, r2]",
        "str r3, [r0, r2]",
        "2:",
        "subs r2, r2, #4",
        "bhs 1b",
        "bx lr",
        "3:",
        "subs r2, r2, #1",
        "itt hs",
        "ldrbhs r3, [r1, r2]",
        "strbhs r3, [r0, r2]",
        "bhs 3b",
        "bx lr",
        ".cfi_endproc",
        memcpy = sym memcpy,
    )
}

/// # Safety
/// As C's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "mov r12, r0",
        "uxtb r1, r1",
        "lsls r3, r0, #30",
        "bne 3f",
        "orr r3, r1, r1, lsl #8",
        "orr r3, r3, r3, lsl #16",
        "b 5f",
        "4:",
        "strd r3, r3, [r12], #8",
        "strd r3, r3, [r12], #8",
        "5:",
        "subs r2, r2, #16",
        "bhs 4b",
        "adds r2, r2, #16",
        "b 2f",
        "1:",
        "str r3, [r12], #4",
        "2:",
        "subs r2, r2, #4",
        "bhs 1b",
        "adds r2, r2, #4",
        "3:",
        "subs r2, r2, #1",
        "it hs",
        "strbhs r1, [r12], #1",
        "bhs 3b",
        "bx lr",
        ".cfi_endproc",
    )
}

/// # Safety
/// As C's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
    naked_asm!(
        ".cfi_startproc",
        "mov r12, r0",
        "1:",
        "subs r2, r2, #1",
        "itt lo",
        "movlo r0, #0",
        "bxlo lr",
        "ldrb r0, [r12], #1",
        "ldrb r3, [r1], #1",
        "subs r0, r0, r3",
        "beq 1b",
        "bx lr",
        ".cfi_endproc",
    )
}

/// # Safety
/// As C's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
    naked_asm!(
        ".cfi_startproc",
        "b {memcmp}",
        ".cfi_endproc",
        memcmp = sym memcmp,
    )
}

/// The run-time ABI's names for the same; 4 and 8 promise an alignment.
macro_rules! same {
    ($($name:ident: $function:ident;)*) => { $(
        /// # Safety
        /// As the function's whose other name it is.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                "b {function}",
                ".cfi_endproc",
                function = sym $function,
            )
        }
    )* };
}

same! {
    __aeabi_memcpy: memcpy;
    __aeabi_memcpy4: memcpy;
    __aeabi_memcpy8: memcpy;
    __aeabi_memmove: memmove;
    __aeabi_memmove4: memmove;
    __aeabi_memmove8: memmove;
    __aeabi_memclr4: __aeabi_memclr;
    __aeabi_memclr8: __aeabi_memclr;
    __aeabi_memset4: __aeabi_memset;
    __aeabi_memset8: __aeabi_memset;
}

/// # Safety
/// As [`memset`], of zeros.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn __aeabi_memclr(to: *mut u8, len: usize) {
    naked_asm!(
        ".cfi_startproc",
        "mov r2, r1",
        "movs r1, #0",
        "b {memset}",
        ".cfi_endproc",
        memset = sym memset,
    )
}

/// # Safety
/// As [`memset`], with length and byte changed over.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn __aeabi_memset(to: *mut u8, len: usize, byte: i32) {
    naked_asm!(
        ".cfi_startproc",
        "mov r3, r1",
        "mov r1, r2",
        "mov r2, r3",
        "b {memset}",
        ".cfi_endproc",
        memset = sym memset,
    )
}

/// Quotient (r0, r1) and remainder (r2, r3) of two 64-bit numbers, bit by bit.
///
/// # Safety
/// The divisor must not be 0; Rust checks that before.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn __aeabi_uldivmod() {
    naked_asm!(
        ".cfi_startproc",
        "push {{r4-r7, lr}}",
        ".cfi_adjust_cfa_offset 20",
        ".cfi_rel_offset r4, 0",
        ".cfi_rel_offset r5, 4",
        ".cfi_rel_offset r6, 8",
        ".cfi_rel_offset r7, 12",
        ".cfi_rel_offset lr, 16",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #64",
        // The dividend moves up into the remainder, the quotient in behind it.
        "1:",
        "adds r0, r0, r0",
        "adcs r1, r1, r1",
        "adcs r4, r4, r4",
        "adcs r5, r5, r5",
        // A 65th bit: more than any divisor.
        "bcs 2f",
        "cmp r4, r2",
        "sbcs r7, r5, r3",
        "blo 3f",
        "2:",
        "subs r4, r4, r2",
        "sbc r5, r5, r3",
        "adds r0, r0, #1",
        "3:",
        "subs r6, r6, #1",
        "bne 1b",
        "mov r2, r4",
        "mov r3, r5",
        "pop {{r4-r7, pc}}",
        ".cfi_endproc",
    )
}
