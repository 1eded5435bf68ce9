//! `cargo xtask graph`: who may SEND and POST to whom.
//!
//! The words and the picture come from the same checked `app.toml` that the
//! kernel's masks come from, so they cannot be out of date.

mod svg;
mod words;

use crate::style::{BAD, GOOD};
use crate::{BAD_INPUT, WRONG, root};
use anstream::{eprintln, println};
use app::{App, Rule};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `cargo xtask graph`
#[derive(Debug, clap::Args)]
pub(crate) struct Graph {
    /// Only check the rules, and print what breaks one
    #[arg(long)]
    check: bool,
    /// Write a picture, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The image's description [default: the project's app.toml]
    #[arg(long, value_name = "FILE")]
    app: Option<PathBuf>,
}

impl Graph {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let path = self.app.clone().unwrap_or_else(|| root().join("app.toml"));
        let image = match App::load(&path) {
            Ok(image) => image,
            Err(refusals) => return refuse(&refusals),
        };
        if self.check {
            println!("{GOOD}✓{GOOD:#} {} keeps every rule", path.display());
        } else {
            anstream::print!("{}", words::Words { app: &image });
        }
        match &self.svg {
            Some(file) => write_svg(&image, file),
            None => ExitCode::SUCCESS,
        }
    }
}

fn refuse(refusals: &app::Refusals) -> ExitCode {
    let unread = refusals.0.iter().all(|r| matches!(r.rule, Rule::Readable | Rule::Syntax));
    for refusal in &refusals.0 {
        eprintln!("{BAD}✗{BAD:#} {refusal}");
    }
    ExitCode::from(if unread { BAD_INPUT } else { WRONG })
}

fn write_svg(image: &App, file: &Path) -> ExitCode {
    match std::fs::write(file, svg::draw(image)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{BAD}✗{BAD:#} {} cannot be written: {error}", file.display());
            ExitCode::from(BAD_INPUT)
        }
    }
}
