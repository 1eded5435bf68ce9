//! Models of USB devices, and the record of the wire.
//!
//! A device here is what USB 2.0 chapter 9 and the audio class (UAC 1.0) make
//! visible on its wire; a host controller model talks to it through
//! [`UsbDevice`], and everything that passes between the two goes through
//! [`Wire`], which records it and where packets can be harmed on purpose. The
//! headsets are strict: what a lenient device would forgive, they stall,
//! ignore or count.

#![forbid(unsafe_code)]

mod bus;
mod descriptor;
pub mod headset;
pub mod hub;
mod pcap;
mod standard;
mod wire;

pub use bus::{
    Address, Answer, Endpoint, Interface, Microframe, Setup, Speed, UsbDevice, standard_request,
};
pub use descriptor::{Builder, Descriptors, EndpointInfo};
pub use headset::heard::Heard;
pub use headset::microphone::{Spoken, Take};
pub use hub::Hub;
pub use pcap::{Direction, Pcap, Status, TransferKind};
pub use standard::{Chapter9, Function, Stall};
pub use wire::{IsochPacket, Wire, WireFault, WireFaultKind, WireLog};
