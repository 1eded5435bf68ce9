//! The parser on descriptors of real devices, and on broken ones.

mod corpus;
mod dump;
mod hostile;
mod limits;
mod malformed;
