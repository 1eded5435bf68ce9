//! The binary of the place that a bridge to the network answers for.

#![no_std]
#![no_main]

userlib::task!(udprpc::main());
