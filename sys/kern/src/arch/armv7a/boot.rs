//! From the loader to the first task.
//!
//! The image is loaded whole, statics with their first values; the loader
//! leaves the MMU off and enters in supervisor mode with all masked. Only core
//! 0 runs the kernel; it starts core 1 if the image has something for it.

use core::arch::global_asm;

use super::context::ReturnState;
use super::fill::fill;
use super::image::{Span, image};
use super::platform::Board;
use super::timer::Timer;
use super::{core1, cp15, gic, machine, mmu, vectors};
use crate::kernel::Kernel;

global_asm!(
    ".section .text.boot, \"ax\"",
    ".syntax unified",
    ".arm",
    ".global Reset",
    ".type Reset, %function",
    "Reset:",
    "   cpsid aif, #0x17", // abort mode
    "   ldr sp, 2f",
    "   cpsid aif, #0x1b", // undefined mode
    "   ldr sp, 2f",
    "   cpsid aif, #0x13", // supervisor mode
    "   ldr sp, 1f",
    "   mov lr, #0xffffffff", // a backtrace ends here
    "   bl sotto_boot",
    "   b sotto_resume",
    "1: .word sotto_stack_top",
    "2: .word sotto_scratch + {scratch}",
    ".size Reset, . - Reset",
    ".section .bss.sotto_scratch, \"aw\", %nobits",
    ".align 2",
    "sotto_scratch: .space {scratch}",
    scratch = const vectors::SCRATCH,
);

unsafe extern "C" {
    static sotto_vectors: u8;
}

/// Sets up the machine; the return state of the first task.
#[unsafe(no_mangle)]
extern "C" fn sotto_boot() -> *mut ReturnState {
    let image = image();
    // SAFETY: the first code that runs, once: the MMU is off, interrupts are
    // masked, and nothing else has the tables, the tasks or the pools. What core
    // 1 runs is linked by `build/image` to memory that is nobody's on this core.
    unsafe {
        cp15::set_vbar((&raw const sotto_vectors) as u32);
        image.zeroed.iter().for_each(|pool| zero(pool));
        let spaces = mmu::start(image);
        gic::start();
        let options = image.options;
        let board = Board { timer: Timer::start(options.slice) };
        if let Some(entry) = image.core1 {
            core1::start(entry);
        }
        let kernel = Kernel::new(&mut *image.tasks.get());
        machine::begin(kernel, board, spaces)
    }
}

/// Zeroes a pool, past the caches, which are off.
///
/// # Safety
/// It must be RAM that nothing else uses yet.
unsafe fn zero(pool: &Span) {
    // SAFETY: the caller's promise, and a pool is whole pages.
    unsafe { fill(pool.base as usize, pool.size as usize, 0) };
}
