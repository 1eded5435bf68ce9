//! The IOMMU mapper: SMMUv3 tables, the peer space, windows, grants.
