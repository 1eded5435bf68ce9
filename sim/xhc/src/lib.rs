//! The model of an xHCI controller.
