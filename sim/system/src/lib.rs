//! A simulated board that runs the whole image.
