//! Client side of the offload broker.
