//! Client side of the audio class.
