//! The mapper's binary.

#![no_std]
#![no_main]

use iommu::{ControllerSpec, PoolSpec};

static POOLS: [PoolSpec; image::DMA_POOLS.len()] = {
    let mut pools =
        [PoolSpec { id: 0, base: dma::Phys(0), pages: 0, owner: 0 }; image::DMA_POOLS.len()];
    let mut at = 0;
    while at < pools.len() {
        let (id, base, pages, owner) = image::DMA_POOLS[at];
        pools[at] = PoolSpec { id, base: dma::Phys(base), pages, owner };
        at += 1;
    }
    pools
};

static CONTROLLERS: [ControllerSpec; image::CONTROLLERS.len()] = {
    let mut controllers = [ControllerSpec { stream: 0, driver: 0 }; image::CONTROLLERS.len()];
    let mut at = 0;
    while at < controllers.len() {
        let (stream, driver) = image::CONTROLLERS[at];
        controllers[at] = ControllerSpec { stream, driver };
        at += 1;
    }
    controllers
};

userlib::task!(iommu::main(&iommu::Config {
    smmu: mmio::registers!(image::registers::SMMU),
    bells: mmio::registers!(image::registers::GICV2M),
    tables: dma::pool!(image::pools::TABLES),
    answers: dma::pool!(image::pools::ANSWERS),
    pools: &POOLS,
    controllers: &CONTROLLERS,
    fault: image::notifications::FAULT,
    tlb: image::notifications::TLB,
    peer_changed: image::notifications::PEER_CHANGED,
    clients: image::NEIGHBOURS,
}));
