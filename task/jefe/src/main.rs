//! The supervisor's binary.

#![no_std]
#![no_main]

/// What is left of the task that died last. `cargo xtask dump --task` reads it by
/// this name.
static JEFE_REMAINS: userlib::Remains<{ image::config::REMAINS as usize }> =
    userlib::Remains::new();

userlib::task!(jefe::main(&jefe::Config {
    neighbours: image::NEIGHBOUR_SETS,
    fault: image::notifications::FAULT,
    backoff: jefe::Backoff {
        first: image::config::FIRST_DELAY_MS as u64,
        longest: image::config::LONGEST_DELAY_MS as u64,
        quiet: image::config::QUIET_MS as u64,
    },
    keep: |task| JEFE_REMAINS.keep(task),
}));
