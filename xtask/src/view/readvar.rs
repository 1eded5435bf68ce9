//! `cargo xtask readvar`

use super::{Failure, Target};
use ::view::{Error, Lines, Programs, System};
use anstream::println;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// `cargo xtask readvar`
#[derive(Debug, clap::Args)]
pub(crate) struct Readvar {
    #[command(flatten)]
    target: Target,
    /// All variables there are, without their values
    #[arg(long, short, conflicts_with = "name")]
    list: bool,
    /// The variable's name, with or without the modules it is in
    #[arg(required_unless_present = "list")]
    name: Option<String>,
}

impl Readvar {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        match &self.name {
            Some(name) => self.target.look(|system| self.show(system, name)),
            None => self.target.look_up(|archive| self.show_list(&Programs::of(archive))),
        }
    }

    fn show(&self, system: &System<'_>, name: &str) -> Result<(), Failure> {
        let found = system.programs().variables(|_, variable| variable.goes_by(name))?;
        if found.is_empty() {
            let all = system.programs().variables(|_, _| true)?;
            let near = all.iter().map(|found| found.variable.name.clone());
            let part = name.to_lowercase();
            let near = near.filter(|known| known.to_lowercase().contains(&part)).collect();
            return Err(Error::Unknown("variable", name.into(), near).into());
        }
        let mut object = Map::new();
        for found in &found {
            let value = found.value(system.memory())?;
            let (variable, program) = (found.variable, found.program.name());
            println!("{} ({:#010x}) = {}", variable.name, variable.at.0, Lines(&value, 0));
            object.insert(format!("{program}/{}", variable.name), Value::from(&value));
        }
        if self.target.json {
            println!("{}", Value::Object(object));
        }
        Ok(())
    }

    fn show_list(&self, programs: &Programs<'_>) -> Result<(), Failure> {
        let found = programs.variables(|_, _| true)?;
        println!("{:18} {:42} {:<10} SIZE", "MODULE", "VARIABLE", "ADDR");
        let mut list = Vec::new();
        for found in &found {
            let (module, name) = (found.program.name(), &found.variable.name);
            let (at, size) = (found.variable.at.0, found.size());
            println!("{module:18} {name:42} {at:#010x} {size}");
            list.push(json!({ "module": module, "variable": name, "address": at, "size": size }));
        }
        if self.target.json {
            println!("{}", json!({ "variables": list }));
        }
        Ok(())
    }
}
