//! The few colours that the commands use; `anstream` drops them off a terminal.

use anstyle::{AnsiColor, Style};

/// Names and headings.
pub(crate) const HEAD: Style = Style::new().bold();
/// As it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Not as it should be.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What may be skipped.
pub(crate) const DIM: Style = Style::new().dimmed();
