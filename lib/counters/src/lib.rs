//! Event counters that a debugger reads.
