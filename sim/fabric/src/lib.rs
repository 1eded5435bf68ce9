//! Simulated memory, SMMU, interrupts, time and trace.
