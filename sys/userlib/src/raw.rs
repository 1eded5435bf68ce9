//! System calls with any registers, for tests of the kernel.

use crate::arch;

/// System call `number` with `arguments`; r4 to r11 afterwards.
///
/// # Safety
/// Arguments that the call takes for memory must describe what the caller may
/// give away for the length of the call, or what the kernel refuses.
pub unsafe fn syscall(number: u32, arguments: [usize; 7]) -> [usize; 8] {
    let [a, b, c, d, e, f, g] = arguments;
    let mut registers = [a, b, c, d, e, f, g, number as usize];
    // SAFETY: passed on to the caller.
    unsafe { arch::syscall(&mut registers) };
    registers
}
