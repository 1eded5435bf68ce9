//! A simulated board that runs the whole image.
//!
//! The models (`sim/fabric`, `sim/xhc`, `sim/usb`) are put around the real
//! kernel core and the real tasks (`sim/host`), a headset is plugged in, a
//! sound is loaded, and `judge` compares what came out with it.

pub mod auditor;
pub mod board;
pub mod errand;
pub mod image;
pub mod look;
pub mod monitor;
pub mod offer;
pub mod piece;
pub mod run;
pub mod scene;
pub mod words;
