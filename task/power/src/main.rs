//! The binary of the task that suspends and resumes the system.

#![no_std]
#![no_main]

userlib::task!(power::main(&power::Config {
    suspend: image::notifications::SUSPEND,
    hibernate: image::notifications::HIBERNATE,
    resume: image::notifications::RESUME,
    peer_changed: image::notifications::PEER_CHANGED,
    mask: image::notifications::ALL,
}));
