//! The mailbox driver's binary.

#![no_std]
#![no_main]

userlib::task!(dsp_link::main(&dsp_link::Config {
    mailbox: dma::pool!(image::pools::MAILBOX),
    bells: mmio::registers!(image::registers::GICV2M),
    mail: image::notifications::MAIL,
    peer_changed: image::notifications::PEER_CHANGED,
    clients: image::NEIGHBOURS,
}));
