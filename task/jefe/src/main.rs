//! The supervisor's binary.

#![no_std]
#![no_main]

userlib::task!(jefe::main(&jefe::Config {
    neighbours: image::NEIGHBOUR_SETS,
    fault: image::notifications::FAULT,
    backoff: jefe::Backoff {
        first: image::config::FIRST_DELAY_MS as u64,
        longest: image::config::LONGEST_DELAY_MS as u64,
        quiet: image::config::QUIET_MS as u64,
    },
}));
