//! The controller model under a small driver that does every step by hand.
//!
//! Not the system's driver: it writes registers and TRBs directly, so that a
//! test can leave one step out or do it wrong.

mod bring_up;
mod buttons;
mod endpoints;
mod faults;
mod hubs;
mod interrupters;
mod personalities;
mod ports;
mod rig;
mod streaming;
mod suspend;
mod violations;
