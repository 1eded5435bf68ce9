//! Reads and checks a file.

use std::fs;
use std::path::Path;

use crate::diagnostic::{Complaint, Diagnostic, Failure, Rule};
use crate::fields::Complaints;
use crate::model::Interface;
use crate::read::Reader;
use crate::{notation, rules};

/// Reads the interface in the file `path`.
///
/// # Errors
/// All that is wrong with it, in the order of the file.
pub fn check(path: impl AsRef<Path>) -> Result<Interface, Vec<Diagnostic>> {
    let path = path.as_ref();
    check_text(path, &text_of(path).map_err(|diagnostic| vec![diagnostic])?)
}

/// Reads the interface in `text`, which came from `path`.
///
/// # Errors
/// All that is wrong with it, in the order of the file.
pub fn check_text(path: &Path, text: &str) -> Result<Interface, Vec<Diagnostic>> {
    match read(path, text) {
        (Some(interface), diagnostics) if diagnostics.is_empty() => Ok(interface),
        (_, diagnostics) => Err(diagnostics),
    }
}

/// Reads an interface of another project: what breaks the rules of this one
/// alone comes with it.
///
/// # Errors
/// All that is wrong with it, in the order of the file, if anything breaks the
/// notation.
pub fn check_foreign(
    path: impl AsRef<Path>,
) -> Result<(Interface, Vec<Diagnostic>), Vec<Diagnostic>> {
    let path = path.as_ref();
    let of_project = |diagnostic: &Diagnostic| diagnostic.rule == Rule::Project;
    match read(path, &text_of(path).map_err(|diagnostic| vec![diagnostic])?) {
        (Some(interface), diagnostics) if diagnostics.iter().all(of_project) => {
            Ok((interface, diagnostics))
        }
        (_, diagnostics) => Err(diagnostics),
    }
}

fn text_of(path: &Path) -> Result<String, Diagnostic> {
    fs::read_to_string(path).map_err(|error| Diagnostic {
        rule: Rule::Notation,
        file: path.into(),
        line: 1,
        column: 1,
        message: format!("cannot be read: {error}"),
        expected: "a readable file in UTF-8".into(),
    })
}

/// What could be read of `text`, and all that is wrong with it.
fn read(path: &Path, text: &str) -> (Option<Interface>, Vec<Diagnostic>) {
    let diagnose = |complaint: Complaint| Diagnostic {
        rule: complaint.rule,
        file: path.into(),
        line: complaint.at.line,
        column: complaint.at.column,
        message: complaint.message,
        expected: complaint.expected,
    };
    let (root, implicit_some) = match notation::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => return (None, vec![diagnose(error)]),
    };
    let mut reader = Reader { implicit_some, complaints: Complaints::default() };
    let interface = reader.interface(&root);
    let mut complaints = reader.complaints;
    if let Some(interface) = &interface {
        rules::check(interface, &mut complaints);
    }
    complaints.0.sort_by_key(|complaint| complaint.at);
    (interface, complaints.0.into_iter().map(diagnose).collect())
}

/// The text of the interface in `path` for an `.idolatry` section, where a
/// debugger finds out what the server understands.
///
/// # Errors
/// When the file is not in order.
pub fn idolatry(path: impl AsRef<Path>) -> Result<String, Failure> {
    let path = path.as_ref();
    check(path).map_err(Failure)?;
    text_of(path).map_err(|diagnostic| Failure(vec![diagnostic]))
}
