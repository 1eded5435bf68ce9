//! The USB core's binary.

#![no_std]
#![no_main]

userlib::task!(usb_core::main::<{ image::CONTROLLERS.len() }>(&usb_core::Config {
    neighbours: image::NEIGHBOURS,
    peer_changed: image::notifications::PEER_CHANGED,
    xhci: image::notifications::XHCI,
    power: Some(image::tasks::POWER),
    autosuspend_ms: image::config::AUTOSUSPEND_MS as u32,
    #[cfg(not(feature = "hubs"))]
    hubs: usb_core::Limits { hubs: 0, ports: 0, depth: 0 },
    #[cfg(feature = "hubs")]
    hubs: usb_core::Limits {
        hubs: image::config::HUBS as u8,
        ports: image::config::HUB_PORTS as u8,
        depth: image::config::HUB_DEPTH as u8,
    },
}));
