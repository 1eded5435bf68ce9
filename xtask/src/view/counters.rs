//! `cargo xtask counters`

use super::{Failure, Target, is_wanted};
use ::view::{Counts, CountsTable, Error};
use anstream::print;
use anstream::println;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// `cargo xtask counters`
#[derive(Debug, clap::Args)]
pub(crate) struct Counters {
    #[command(flatten)]
    target: Target,
    /// What never happened as well
    #[arg(long, short)]
    full: bool,
    /// Only those whose name, or task's name, this is part of
    name: Option<String>,
}

impl Counters {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        self.target.look_either(
            |simulated| self.show(simulated.counters()?),
            |system| self.show(system.counters()?),
        )
    }

    fn show(&self, mut counters: Vec<Counts>) -> Result<(), Failure> {
        let known: Vec<String> = counters.iter().map(|counts| counts.name.clone()).collect();
        counters.retain(|counts| is_wanted(self.name.as_deref(), [&counts.name, &counts.task]));
        if let (true, Some(wanted)) = (counters.is_empty(), &self.name) {
            return Err(Error::Unknown("counter", wanted.clone(), known).into());
        }
        print!("{}", CountsTable { counters: &counters, full: self.full });
        if self.target.json {
            println!("{}", json(&counters));
        }
        Ok(())
    }
}

/// An object with one for each task, with one for each static.
pub(crate) fn json(counters: &[Counts]) -> Value {
    let mut tasks = Map::new();
    for counts in counters {
        let task = tasks.entry(counts.task.clone()).or_insert_with(|| json!({}));
        task[&counts.name] = counts.json();
    }
    Value::Object(tasks)
}
