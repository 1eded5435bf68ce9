//! The hostile DSP program (DESIGN rule 8, crate `hostile`): it comes to a
//! session in all honesty and then tries everything, by calls of its monitor and
//! by accesses all over its address space. Nothing outside its windows may change, each
//! attempt is refused with its code, the application core is not kept busy, the
//! session is lost, and the honest program that comes after it plays exactly.

mod master;
mod stories;
mod world;
