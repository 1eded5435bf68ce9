//! USB and USB audio descriptors, parsed with every rule checked.
