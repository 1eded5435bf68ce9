//! Models of USB devices, and the record of the wire.
