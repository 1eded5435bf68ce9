//! Client side of the IOMMU mapper.
