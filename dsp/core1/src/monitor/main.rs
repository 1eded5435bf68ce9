//! The monitor of core 1: what `dsp/monitor` stands on, on a board.
//!
//! The kernel starts the core once, through PSCI CPU_ON, at `Reset`. From then
//! on it runs on its own: privileged on one stack with interrupts masked, and
//! below that the program, unprivileged. An SVC, an interrupt or a fault of the
//! program is handled to its end; then the program goes on, or the core sleeps
//! until it can. No UART and no semihosting: what there is to say is in the
//! answer page, and a debugger finds `CORE1_EPITAPH`.
//!
//! Sections cited are those of the ARM Architecture Reference Manual ARMv7-A,
//! issue C.d (ARM ARM).

#![no_std]
#![no_main]

use runtime as _;

mod board;
mod boot;
mod context;
mod cp15;
mod epitaph;
mod gic;
mod machine;
mod mmu;
mod streams;
mod timer;
mod trace;
mod vectors;

// Links again when the script changes.
const _: &str = include_str!("../../monitor.x");

/// What the build says: where things are.
mod image {
    use addr::Phys;
    use monitor::{Controller, Places, Span};

    /// The program that the core runs.
    #[derive(Copy, Clone, Debug)]
    pub(crate) struct Program {
        /// Where it begins; bit 0 set for Thumb.
        pub(crate) entry: u32,
        /// First byte above its stack.
        pub(crate) stack_top: u32,
        /// Its code.
        pub(crate) text: Span,
        /// Its constants.
        pub(crate) constants: Span,
        /// Its RAM: stack, and what is zero at first.
        pub(crate) ram: Span,
    }

    include!(env!("SOTTO_CORE1"));
}
