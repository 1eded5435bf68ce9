//! Client side of the xHCI driver.
