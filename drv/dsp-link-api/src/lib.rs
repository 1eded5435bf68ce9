//! Client side of the DSP link.
