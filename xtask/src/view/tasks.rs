//! `cargo xtask tasks`

use super::{Failure, Target};
use ::view::{Lines, ShowStack, System, Tasks as Table};
use anstream::println;
use serde_json::{Value, json};
use std::process::ExitCode;

/// `cargo xtask tasks`
#[derive(Debug, clap::Args)]
pub(crate) struct Tasks {
    #[command(flatten)]
    target: Target,
    /// Who called whom in each task
    #[arg(long, short)]
    stack: bool,
    /// With source lines
    #[arg(long, short, requires = "stack")]
    line: bool,
    /// The registers of each task
    #[arg(long, short)]
    registers: bool,
    /// The kernel's record of each task
    #[arg(long, short)]
    verbose: bool,
    /// This task only
    task: Option<String>,
}

/// Columns that a record is indented by.
const RECORD: usize = 16;

impl Tasks {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        self.target.look_either(
            |simulated| self.show(simulated.tasks()?, None),
            |system| self.show(system.tasks()?, Some(system)),
        )
    }

    /// Of a simulation there is no more than the table.
    fn show(&self, mut tasks: Table, system: Option<&System<'_>>) -> Result<(), Failure> {
        if system.is_none() && (self.stack || self.registers || self.verbose) {
            return Err(Failure::bad("a simulation has no stacks, registers or records"));
        }
        if let Some(wanted) = &self.task {
            tasks.tasks.retain(|task| task.name == *wanted);
            if tasks.tasks.is_empty() {
                let known = tasks.names.clone();
                return Err(::view::Error::Unknown("task", wanted.clone(), known).into());
            }
        }
        println!("{}", tasks.head());
        let mut object = tasks.json();
        for (n, task) in tasks.tasks.iter().enumerate() {
            println!("{}", tasks.row(task));
            let Some(system) = system else { continue };
            let entry = &mut object["tasks"][n];
            if self.stack {
                entry["stack"] = self.show_stack(system, task.index);
            }
            if self.registers
                && let Some(registers) = system.registers(task.index)?
            {
                print_block(&registers.to_string());
                entry["registers"] = json!(registers.r);
            }
            if self.verbose {
                let record = system.record(task.index)?;
                let lines = Lines(&record.value, RECORD).to_string();
                println!("   |\n   +-----------> {:#010x} {lines}\n", record.at.0);
                entry["record"] = Value::from(&record.value);
            }
        }
        if self.target.json {
            println!("{object}");
        }
        Ok(())
    }

    /// A stack that cannot be had does not keep the other tasks from being
    /// shown.
    fn show_stack(&self, system: &System<'_>, task: usize) -> Value {
        match system.stack(task) {
            Ok(stack) => {
                print_block(&ShowStack { stack: &stack, lines: self.line }.to_string());
                stack.json()
            }
            Err(error) => {
                println!("   stack unwind failed: {error}");
                json!({ "frames": [], "broken": error.to_string() })
            }
        }
    }
}

/// Prints lines that end with an end of line.
fn print_block(block: &str) {
    println!("{}", block.trim_end_matches('\n'));
}
