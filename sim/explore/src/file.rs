//! A case as a file that a person can read and change.

use crate::case::{Case, Strike, What, parse_point, point_text};
use crate::scenario::Scenario;
use crate::search::Failure;
use crate::stage::Stage;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: String,
    seed: u64,
    #[serde(default, rename = "fault")]
    faults: Vec<Fault>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    at: String,
    what: String,
}

/// The text of a case, with what was found as a comment.
///
/// # Panics
/// Never: the file's fields can all be written as TOML.
#[must_use]
pub fn write(stage: Stage, failure: &Failure) -> String {
    let mut text = String::new();
    for finding in &failure.findings {
        writeln!(text, "# {finding}").expect("a string takes everything");
    }
    let Case { scenario, seed, strikes } = &failure.case;
    let description = stage.description(*scenario);
    let fault = |strike: &Strike| Fault {
        at: point_text(description, strike.at),
        what: strike.what.to_string(),
    };
    let faults = strikes.iter().map(fault).collect();
    let file = File { scenario: scenario.name().to_owned(), seed: *seed, faults };
    text.push_str(&toml::to_string(&file).expect("names and numbers are TOML"));
    text
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// What is wrong, where, and what would be right.
pub fn read(stage: Stage, text: &str) -> Result<Case, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let scenario = Scenario::parse(&file.scenario)?;
    let description = stage.description(scenario);
    let strikes = file.faults.iter().map(|fault| {
        Ok(Strike { at: parse_point(description, &fault.at)?, what: What::parse(&fault.what)? })
    });
    Ok(Case { scenario, seed: file.seed, strikes: strikes.collect::<Result<_, String>>()? })
}
