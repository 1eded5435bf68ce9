//! The xHCI driver.
