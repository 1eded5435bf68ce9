//! Tests of the whole core over a made-up driver and device.

mod clients;
mod disorder;
mod enumeration;
mod hubs;
mod requests;
mod resetting;
mod sleeping;
mod switching;
mod taking;
mod two;
