//! The binary of a controller's driver.

#![no_std]
#![no_main]

userlib::task!(xhci::main(&xhci::Config {
    controller: image::controller::NUMBER,
    function: mmio::registers!(image::controller::FUNCTION),
    bar: mmio::registers!(image::controller::REGISTERS),
    bells: mmio::registers!(image::registers::GICV2M),
    dma_xhci: dma::pool!(image::controller::CONTEXTS),
    dma_ring: dma::pool!(image::controller::RINGS),
    gate: dma::pool!(image::controller::GATE),
    answers: dma::pool!(image::pools::ANSWERS),
    primary_vector: image::controller::PRIMARY,
    dsp_vectors: image::controller::DSP_FIRST,
    irq: image::notifications::IRQ,
    gate_bell: image::notifications::GATE,
    iommu: image::notifications::IOMMU,
    peer_changed: image::notifications::PEER_CHANGED,
    usb_core: image::tasks::USB_CORE,
    offload_broker: image::tasks::OFFLOAD_BROKER,
    hubs: cfg!(feature = "hubs"),
}));
