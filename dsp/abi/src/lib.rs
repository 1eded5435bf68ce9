//! What the DSP and the application core share: pages, bells, calls.
