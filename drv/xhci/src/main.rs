//! The binary of a controller's driver.

#![no_std]
#![no_main]

use dsp_abi::bell;

userlib::task!(xhci::main(&xhci::Config {
    controller: image::config::CONTROLLER as u8,
    function: mmio::registers!(image::registers::XHCI0_ECAM),
    bar: mmio::registers!(image::registers::XHCI0),
    bells: mmio::registers!(image::registers::GICV2M),
    dma_xhci: dma::pool!(image::pools::DMA_XHCI),
    dma_ring: dma::pool!(image::pools::DMA_RING),
    gate: dma::pool!(image::pools::GATE),
    answers: dma::pool!(image::pools::ANSWERS),
    primary_vector: bell::CONTROLLER0_PRIMARY,
    dsp_vectors: bell::CONTROLLER0_DSP,
    irq: image::notifications::IRQ,
    gate_bell: image::notifications::GATE,
    iommu: image::notifications::IOMMU,
    peer_changed: image::notifications::PEER_CHANGED,
    usb_core: image::tasks::USB_CORE,
    offload_broker: image::tasks::OFFLOAD_BROKER,
    hubs: cfg!(feature = "hubs"),
}));
