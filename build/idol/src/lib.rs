//! The IDL compiler.
//!
//! Reads one `.idol` file, Hubris' Idol notation in RON, refuses what breaks a
//! rule of the language or of this project with file, line, column and what
//! was expected, and generates the client and the server side of the
//! interface. Generated code runs on `idol_runtime` and contains no `unsafe`.
//!
//! It does not define the types that an interface names: the code that
//! includes the generated stub has them in scope.
//!
//! A `build.rs` calls [`client::build_client_stub`] or
//! [`server::build_server_support`]; tools call [`check`].

mod check;
mod codegen;
mod diagnostic;
mod fields;
mod model;
mod notation;
mod read;
mod rules;
mod scan;
mod types;

pub mod client;
pub mod server;

pub use check::{check, check_foreign, check_text, idolatry};
pub use diagnostic::{Diagnostic, Failure, Position, Rule};
pub use model::{
    Argument, Encoding, ErrorType, Interface, Lease, Name, Operation, Recv, Reply, Typed,
};
pub use rules::{CHANGING_VERBS, OWNED_TYPES};
