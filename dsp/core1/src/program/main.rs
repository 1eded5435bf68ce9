//! The DSP program as core 1 runs it: unprivileged, its monitor below.

#![no_std]
#![no_main]

core1::program!(program::main(&core1::Supervised));
