//! `cargo xtask idl`: interface descriptions.

use crate::style::{BAD, GOOD};
use crate::{BAD_INPUT, WRONG};
use anstream::{eprintln, println};
use std::path::PathBuf;
use std::process::ExitCode;

/// `cargo xtask idl …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Idl {
    /// Check .idol files: their notation, and the project's rules for interfaces
    Check {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

impl Idl {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let Self::Check { files } = self;
        let mut code = 0;
        for file in files {
            if let Err(error) = std::fs::read_to_string(file) {
                eprintln!("{BAD}✗{BAD:#} {} cannot be read: {error}", file.display());
                code = BAD_INPUT;
                continue;
            }
            match idol::check(file) {
                Ok(interface) => println!("{GOOD}✓{GOOD:#} {}", summary(file, &interface)),
                Err(diagnostics) => {
                    for diagnostic in diagnostics {
                        eprintln!("{BAD}✗{BAD:#} {diagnostic}");
                    }
                    code = code.max(WRONG);
                }
            }
        }
        ExitCode::from(code)
    }
}

fn summary(file: &std::path::Path, interface: &idol::Interface) -> String {
    let operations = interface.ops.len();
    let plural = if operations == 1 { "" } else { "s" };
    format!("{}: {}, {operations} operation{plural}", file.display(), interface.name.text)
}
