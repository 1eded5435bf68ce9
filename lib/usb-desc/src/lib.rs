//! USB and USB audio descriptors, parsed with every rule checked.
//!
//! A device writes its descriptors, and nothing obliges it to write them well.
//! This crate reads them from `&[u8]` without copying, never reads outside a
//! length it has checked, corrects what a host has to correct, and reports
//! each broken rule with its code and place ([`Issue`]). It decides nothing
//! about policy, talks to no device and knows no host controller.
//!
//! - [`Config`] and [`Settings`]: alternate settings with their endpoints.
//! - [`Device`], [`Hub`]: the descriptors that stand alone.
//! - [`uac`]: audio functions, their streams, formats and controls.
//!
//! USB 2.0 chapter 9 and 11, USB 3.2 chapter 9 and 10, Audio 1.0.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod config;
mod endpoint;
mod hub;
mod issue;
mod list;
mod raw;
mod standard;
pub mod uac;

pub use config::{Body, Config, MAX_ENDPOINTS, MAX_INTERFACES, MAX_SETTINGS, Setting, Settings};
pub use endpoint::{
    AudioFields, Companion, Endpoint, MAX_FIXES, Synchronisation, Transfer, Usage, address_index,
};
pub use hub::{Hub, MAX_HUB_PORTS};
pub use issue::{Effect, Issue, Rule};
pub use list::List;
pub use raw::{Chain, Raw, kind};
pub use standard::{
    AlternateNumber, Association, Device, Header, Interface, InterfaceNumber, is_super, unit_us,
};
