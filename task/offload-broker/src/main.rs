//! The broker's binary.

#![no_std]
#![no_main]

use offload_broker::refusal::Dialect;

userlib::task!(offload_broker::main(&offload_broker::Config {
    dialect: if image::PRECISE_DIALECT { Dialect::Precise } else { Dialect::Upstream },
    sid: image::config::SID as u8,
    peer_deadline_ms: image::config::PEER_DEADLINE_MS as u32,
    media: dma::pool!(image::pools::DMA_MEDIA),
    answers: dma::pool!(image::pools::ANSWERS),
    controllers: image::CONTROLLERS.len() as u8,
    index: image::INDEX,
    hints: image::notifications::USB_AUDIO
        | image::notifications::USB_CORE
        | image::notifications::XHCI
        | image::notifications::DSP_LINK
        | image::notifications::IOMMU,
    notice: image::notifications::NOTICE,
    peer_changed: image::notifications::PEER_CHANGED,
    neighbours: image::NEIGHBOURS,
}));
