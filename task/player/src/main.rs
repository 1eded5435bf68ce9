//! The player's binary.

#![no_std]
#![no_main]

userlib::task!(player::main(&player::Config {
    media: dma::pool!(image::pools::MEDIA),
    bell: image::notifications::COMMAND,
    peer_changed: image::notifications::PEER_CHANGED,
    mask: image::notifications::ALL,
    index: image::INDEX,
}));
