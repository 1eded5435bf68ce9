//! Each rule of the language has a file that breaks it and nothing else.
//!
//! `reject/<rule>.idol` breaks the rule; `reject/expected.txt` says per file
//! what is reported. `BLESS=1 cargo test -p idol` renews the list, for someone
//! to read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reject")
}

/// What `check` says of each file, in the order of their names.
fn reports() -> String {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .expect("folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "idol"))
        .collect();
    files.sort();
    let mut report = String::new();
    for file in files {
        let rule = file.file_stem().expect("has a name").to_string_lossy().into_owned();
        match idol::check(&file) {
            Ok(_) => writeln!(report, "{rule}: accepted"),
            Err(diagnostics) => diagnostics.iter().try_for_each(|diagnostic| {
                assert_eq!(diagnostic.file, file);
                let idol::Diagnostic { line, column, message, expected, .. } = diagnostic;
                writeln!(report, "{rule}:{line}:{column}: {message}; expected {expected}")
            }),
        }
        .expect("strings take everything");
    }
    report
}

#[test]
fn each_broken_rule_is_reported_where_it_is_broken() {
    let list = folder().join("expected.txt");
    let reports = reports();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&list, &reports).expect("list is writable");
    }
    let expected = std::fs::read_to_string(&list).expect("list is there");
    for (found, expected) in reports.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(reports.lines().count(), expected.lines().count());
    assert!(!reports.contains(": accepted"), "a file that breaks its rule is accepted");
}

#[test]
fn unreadable_file_is_a_diagnostic() {
    let diagnostics = idol::check(folder().join("absent.idol")).expect_err("it is not there");
    assert_eq!((diagnostics.len(), diagnostics[0].line, diagnostics[0].column), (1, 1, 1));
    assert!(diagnostics[0].message.starts_with("cannot be read"));
}

#[test]
fn diagnostic_prints_as_compilers_do() {
    let file = folder().join("no_reply.idol");
    let diagnostics = idol::check(&file).expect_err("it has no reply");
    let printed = idol::Failure(diagnostics).to_string();
    assert!(printed.starts_with(&format!("{}:4:16: ", file.display())), "{printed}");
}
