//! A simulated board that runs the whole image.

pub mod piece;
pub mod sound;
