//! Typed trace rings that a debugger reads.
