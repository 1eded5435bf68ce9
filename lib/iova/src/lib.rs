//! The allocator of device addresses, and service intervals.
