//! From PSCI to the program.
//!
//! The image was loaded whole, statics with their first values; the core starts
//! with the MMU off, all masked (PSCI 6.4), in supervisor mode on a machine
//! without a hypervisor.

use super::board::Board;
use super::context::Context;
use super::{cp15, gic, machine, mmu};
use core::arch::global_asm;

global_asm!(
    ".section .text.boot, \"ax\"",
    ".syntax unified",
    ".arm",
    ".global Reset",
    ".type Reset, %function",
    "Reset:",
    "   cpsid aif, #0x13", // the stack of no other mode is used
    "   ldr sp, 1f",
    "   mov lr, #0xffffffff", // a backtrace ends here
    "   bl core1_boot",
    "   b core1_resume",
    "1: .word core1_stack_top",
    ".size Reset, . - Reset",
);

unsafe extern "C" {
    static core1_vectors: u8;
}

/// Sets up the core and brings the monitor up; where the program goes on.
#[unsafe(no_mangle)]
extern "C" fn core1_boot() -> *const Context {
    // SAFETY: the first code that runs, once: the MMU is off, interrupts are
    // masked, and nothing else of this core has the tables or the machine.
    unsafe {
        cp15::set_vbar((&raw const core1_vectors) as u32);
        mmu::start();
        gic::start();
        machine::begin(Board::new())
    }
}
