//! What is wrong with a file, and where.

use std::fmt;
use std::path::PathBuf;

/// A place in a text; both numbers count from 1, columns in characters.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Character in the line.
    pub column: u32,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Whose rule a file breaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Idol's: nobody's compiler reads the file.
    Notation,
    /// This project's, which Idol itself does not have.
    Project,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whose rule it breaks.
    pub rule: Rule,
    /// The file as it was named by whoever asked.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: u32,
    /// Character in the line, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)?;
        write!(f, "; expected {}", self.expected)
    }
}

/// All that is wrong with a file, as the error of a build script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub Vec<Diagnostic>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// A diagnostic before it knows its file.
#[derive(Clone, Debug)]
pub(crate) struct Complaint {
    pub(crate) rule: Rule,
    pub(crate) at: Position,
    pub(crate) message: String,
    pub(crate) expected: String,
}

impl Complaint {
    pub(crate) fn new(
        at: Position,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let (message, expected) = (message.into(), expected.into());
        Self { rule: Rule::Notation, at, message, expected }
    }
}
