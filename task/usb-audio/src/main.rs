//! The audio class's binary.

#![no_std]
#![no_main]

userlib::task!(usb_audio::main(&usb_audio::Config {
    neighbours: image::NEIGHBOURS,
    peer_changed: image::notifications::PEER_CHANGED,
    usb_core: image::notifications::USB_CORE,
}));
