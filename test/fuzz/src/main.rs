//! The fuzzer: libFuzzer's command line over the target that `SOTTO_FUZZ` names.

#![no_main]

use fuzz::Target;
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("SOTTO_FUZZ").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| panic!("SOTTO_FUZZ names no target: {name:?}"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
