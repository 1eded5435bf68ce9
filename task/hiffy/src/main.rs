//! The binary of the task that makes calls for a debugger.

#![no_std]
#![no_main]

userlib::task!(hiffy::main(&hiffy::Config {
    servers: image::SLOTS,
    bell: image::notifications::BELL,
    mask: image::notifications::ALL,
}));
