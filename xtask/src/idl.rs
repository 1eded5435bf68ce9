//! `cargo xtask idl`: interface descriptions.

use crate::style::{BAD, GOOD};
use crate::{BAD_INPUT, WRONG};
use anstream::{eprintln, println};
use idol::Rule;
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
        /// Files of another project, Hubris for one: what breaks the rules of this project alone
        /// is a remark
        #[arg(long)]
        foreign: bool,
    },
}

impl Idl {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let Self::Check { files, foreign } = self;
        let (mut code, mut of_project) = (0, false);
        for file in files {
            if let Err(error) = std::fs::read_to_string(file) {
                eprintln!("{BAD}✗{BAD:#} {} cannot be read: {error}", file.display());
                code = BAD_INPUT;
                continue;
            }
            let read = if *foreign {
                idol::check_foreign(file)
            } else {
                idol::check(file).map(|interface| (interface, Vec::new()))
            };
            match read {
                Ok((interface, remarks)) => {
                    println!("{GOOD}✓{GOOD:#} {}", summary(file, &interface));
                    for remark in remarks {
                        println!("  not in this project: {remark}");
                    }
                }
                Err(diagnostics) => {
                    for diagnostic in diagnostics {
                        of_project |= diagnostic.rule == Rule::Project;
                        eprintln!("{BAD}✗{BAD:#} {diagnostic}");
                    }
                    code = code.max(WRONG);
                }
            }
        }
        if of_project && !foreign {
            eprintln!(
                "Idol itself does not ask for all of this: `--foreign` for other projects' files."
            );
        }
        ExitCode::from(code)
    }
}

fn summary(file: &std::path::Path, interface: &idol::Interface) -> String {
    let operations = interface.ops.len();
    let plural = if operations == 1 { "" } else { "s" };
    format!("{}: {}, {operations} operation{plural}", file.display(), interface.name.text)
}
