//! The IDL compiler.
