//! A simulated board that runs the whole image.

pub mod judge;
pub mod piece;
pub mod report;
pub mod sound;
