//! Reads and checks a file.

use std::fs;
use std::path::Path;

use crate::diagnostic::{Complaint, Diagnostic, Failure};
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
    match fs::read_to_string(path) {
        Ok(text) => check_text(path, &text),
        Err(error) => Err(vec![Diagnostic {
            file: path.into(),
            line: 1,
            column: 1,
            message: format!("cannot be read: {error}"),
            expected: "a readable file in UTF-8".into(),
        }]),
    }
}

/// Reads the interface in `text`, which came from `path`.
///
/// # Errors
/// All that is wrong with it, in the order of the file.
pub fn check_text(path: &Path, text: &str) -> Result<Interface, Vec<Diagnostic>> {
    let diagnose = |complaint: Complaint| Diagnostic {
        file: path.into(),
        line: complaint.at.line,
        column: complaint.at.column,
        message: complaint.message,
        expected: complaint.expected,
    };
    let (root, implicit_some) = notation::parse(text).map_err(|error| vec![diagnose(error)])?;
    let mut reader = Reader { implicit_some, complaints: Complaints::default() };
    let interface = reader.interface(&root);
    let mut complaints = reader.complaints;
    if let Some(interface) = &interface {
        rules::check(interface, &mut complaints);
    }
    match interface {
        Some(interface) if complaints.0.is_empty() => Ok(interface),
        _ => {
            complaints.0.sort_by_key(|complaint| complaint.at);
            Err(complaints.0.into_iter().map(diagnose).collect())
        }
    }
}

/// The text of the interface in `path` for an `.idolatry` section, where a
/// debugger finds out what the server understands.
///
/// # Errors
/// When the file is not in order.
pub fn idolatry(path: impl AsRef<Path>) -> Result<String, Failure> {
    let path = path.as_ref();
    check(path).map_err(Failure)?;
    fs::read_to_string(path).map_err(|error| {
        Failure(vec![Diagnostic {
            file: path.into(),
            line: 1,
            column: 1,
            message: format!("cannot be read: {error}"),
            expected: "a readable file in UTF-8".into(),
        }])
    })
}
