//! Who my neighbours are, and which incarnation of them.
