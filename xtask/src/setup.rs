//! `cargo xtask setup`: what the project needs of this machine, installed where
//! that can be done.
//!
//! The other commands call it for what they need; it says what it does and asks
//! nothing, on a terminal or off it. [`plan`] decides, from what [`machine`]
//! found and what was tried before; here the steps are taken.

mod machine;
mod plan;

use crate::MISSING;
use crate::style::{BAD, DIM, GOOD};
use anstream::{eprintln, println};
use machine::Machine;
use plan::{Plan, Step};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

pub(crate) use plan::Need;

/// `cargo xtask setup`
#[derive(Debug, clap::Args)]
pub(crate) struct Setup {
    /// Say what is missing and install nothing
    #[arg(long)]
    check: bool,
}

impl Setup {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let machine = if self.check {
            let machine = Machine::look(&Need::ALL);
            let lacks = plan::lacks(&machine, &Need::ALL);
            if !lacks.is_empty() {
                return refuse(&lacks, &machine);
            }
            machine
        } else {
            match install(&Need::ALL) {
                Ok(machine) => machine,
                Err(code) => return code,
            }
        };
        for line in machine.summary() {
            println!("{GOOD}✓{GOOD:#} {line}");
        }
        ExitCode::SUCCESS
    }
}

/// Sees to it that `needs` are there, and installs what is missing.
pub(crate) fn ensure(needs: &[Need]) -> Result<(), ExitCode> {
    install(needs).map(|_| ())
}

/// The compiler that builds for the board, installed when there is none.
pub(crate) fn board_compiler() -> Result<PathBuf, ExitCode> {
    let machine = install(&[Need::Board])?;
    machine.builder().map(|compiler| compiler.rustc.clone()).ok_or(ExitCode::from(MISSING))
}

fn install(needs: &[Need]) -> Result<Machine, ExitCode> {
    let mut tried = Vec::new();
    loop {
        let machine = Machine::look(needs);
        match plan::next(&machine, needs, &tried) {
            Plan::Ready => return Ok(machine),
            Plan::Lacking(lacks) => return Err(refuse(&lacks, &machine)),
            Plan::Do(step) => {
                take(&step);
                tried.push(step);
            }
        }
    }
}

/// Takes a step. Whether it helped is seen by looking at the machine again.
fn take(step: &Step) {
    let words = step.command();
    eprintln!("{DIM}{}: {}{DIM:#}", step.reason(), words.join(" "));
    let status = Command::new(&words[0])
        .args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        // A command's own output may be for a program.
        .stdout(std::io::stderr())
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => eprintln!("{BAD}✗{BAD:#} {} failed: {status}", words[0]),
        Err(error) => eprintln!("{BAD}✗{BAD:#} {}: {error}", words[0]),
    }
}

fn refuse(lacks: &[Need], machine: &Machine) -> ExitCode {
    for lack in lacks {
        eprintln!("{BAD}✗{BAD:#} {}", plan::explain(*lack, machine));
    }
    ExitCode::from(MISSING)
}
