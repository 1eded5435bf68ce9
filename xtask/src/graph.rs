//! `cargo xtask graph`: who may SEND and POST to whom.
//!
//! The words and the picture come from the same checked `app.toml` that the
//! kernel's masks come from, so they cannot be out of date.

mod argument;
mod svg;
mod words;

use crate::style::BAD;
use crate::{BAD_INPUT, WRONG, root};
use anstream::{eprintln, println};
use app::{App, Rule};
use argument::Argument;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `cargo xtask graph`
#[derive(Debug, clap::Args)]
pub(crate) struct Graph {
    /// Check the rules, and state why no task can wait for itself, with the edges
    /// that this rests on
    #[arg(long)]
    check: bool,
    /// The same as JSON
    #[arg(long, requires = "check")]
    json: bool,
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
            Err(refusals) if self.json => return refuse_as_json(&refusals),
            Err(refusals) => return refuse(&refusals),
        };
        if self.check {
            let argument = Argument::of(&image);
            let uphill = argument.uphill();
            if self.json {
                println!("{}", argument.json());
            } else if uphill.is_empty() {
                anstream::print!("{argument}");
            }
            if !uphill.is_empty() {
                let waits = uphill.join(", ");
                eprintln!("{BAD}✗{BAD:#} a task of no smaller rank is waited for: {waits}");
                return ExitCode::from(WRONG);
            }
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
    for refusal in &refusals.0 {
        eprintln!("{BAD}✗{BAD:#} {refusal}");
    }
    code(refusals)
}

fn refuse_as_json(refusals: &app::Refusals) -> ExitCode {
    let said: Vec<String> = refusals.0.iter().map(ToString::to_string).collect();
    println!("{}", serde_json::json!({ "holds": false, "refusals": said }));
    code(refusals)
}

fn code(refusals: &app::Refusals) -> ExitCode {
    let unread = refusals.0.iter().all(|r| matches!(r.rule, Rule::Readable | Rule::Syntax));
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
