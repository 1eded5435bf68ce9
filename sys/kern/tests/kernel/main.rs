//! The kernel core without a machine: each call, each fault, and what must
//! always hold.

mod bench;
mod invariants;
mod kipc;
mod leases;
mod messages;
mod notifications;
