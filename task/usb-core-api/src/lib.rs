//! Client side of the USB core.
