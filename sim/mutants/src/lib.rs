//! Which of the seeded defects is switched on in this process.
//!
//! No source of the project asks: the patches beside this crate do, and they are
//! applied to a copy (`cargo xtask explore --mutants`).

#![forbid(unsafe_code)]

use std::sync::OnceLock;

/// The environment variable that names the defect; without it there is none.
pub const VARIABLE: &str = "SOTTO_MUTANT";

/// Whether the defect called `name` is switched on. It is asked for once, so that
/// all threads of a process agree for as long as it lives.
#[must_use]
pub fn on(name: &str) -> bool {
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(name)
}
