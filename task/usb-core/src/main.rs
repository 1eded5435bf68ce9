//! The USB core's binary.

#![no_std]
#![no_main]

userlib::task!(usb_core::main::<{ image::CONTROLLERS.len() }>(&usb_core::Config {
    neighbours: image::NEIGHBOURS,
    peer_changed: image::notifications::PEER_CHANGED,
    xhci: image::notifications::XHCI,
    power: Some(image::tasks::POWER),
    autosuspend_ms: image::config::AUTOSUSPEND_MS as u32,
}));
