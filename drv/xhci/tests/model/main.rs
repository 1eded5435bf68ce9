//! The driver against the model of a controller, on the simulated board.
//!
//! The real driver, mapper and supervisor run on the real kernel; two test
//! tasks stand for `usb_core` and the broker. Every test ends with the question
//! whether the models saw a rule broken.

mod clients;
mod codes;
mod devices;
mod hubs;
mod machine;
mod program;
mod sessions;
mod sideband;
mod suspend;
mod trouble;
