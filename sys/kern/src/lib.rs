//! The kernel: one architecture-free core and its architectures.
