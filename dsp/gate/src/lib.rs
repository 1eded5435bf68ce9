//! The gate: which TRBs, doorbells and pointers the DSP may publish.
