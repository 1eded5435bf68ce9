//! `cargo xtask registers`

use super::{Failure, Target};
use ::view::{Region, ShowStack, System, TaskRegisters, Which, regions, unwind};
use addr::Virt;
use anstream::println;
use serde_json::json;
use std::process::ExitCode;

/// `cargo xtask registers`
#[derive(Debug, clap::Args)]
pub(crate) struct Registers {
    #[command(flatten)]
    target: Target,
    /// Who called whom there
    #[arg(long, short)]
    stack: bool,
}

const NAMES: [&str; 16] = [
    "R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12", "SP", "LR",
    "PC",
];

impl Registers {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        self.target.look(|system| self.show(system))
    }

    fn show(&self, system: &System<'_>) -> Result<(), Failure> {
        let Some(core) = system.core_registers() else {
            return Err(Failure::bad("the dump has no registers: it is of one task"));
        };
        let regions = regions(system.programs(), system.memory())?;
        for (name, value) in NAMES.iter().zip(core.r) {
            let meaning = meaning(system, &regions, Virt(value.into()))?;
            println!("{name:>5} = {value:#010x}{meaning}");
            if self.stack && *name == "SP" {
                show_stack(system, &regions, &core)?;
            }
        }
        println!("  PSR = {:#010x}", core.psr);
        if self.target.json {
            println!("{}", json!({ "registers": core.r, "psr": core.psr }));
        }
        Ok(())
    }
}

/// What an address is of, if it is one.
fn meaning(system: &System<'_>, regions: &[Region], at: Virt) -> Result<String, Failure> {
    let programs = system.programs();
    let code = Virt(at.0 & !1);
    if let Some(which) = programs.at(code)? {
        let program = programs.get(which)?;
        let name = program.name();
        return Ok(match program.function(code) {
            Some(function) => {
                format!(" <- {name}: {}+{:#x}", function.name, code.0 - function.at.0)
            }
            None => format!(" <- {name}"),
        });
    }
    let region = regions.iter().find(|region| region.holds(at));
    Ok(region.map_or_else(String::new, |Region { base, tasks, .. }| {
        let users: Vec<&str> = tasks.iter().filter_map(|task| programs.task_name(*task)).collect();
        let user = if users.is_empty() { "kernel".to_owned() } else { users.join(", ") };
        format!(" <- {user}: {:#010x}+{:#x}", base.0, at.0 - base.0)
    }))
}

fn show_stack(
    system: &System<'_>,
    regions: &[Region],
    core: &TaskRegisters,
) -> Result<(), Failure> {
    let programs = system.programs();
    let stack = match programs.at(Virt(core.r[15].into()))? {
        Some(Which::Task(task)) => system.stack(task)?,
        Some(which) => {
            let sp = Virt(core.r[13].into());
            let end = regions
                .iter()
                .find(|region| region.holds(sp))
                .map(|region| u32::try_from(region.base.0 + region.size).unwrap_or(u32::MAX));
            unwind(programs.get(which)?, system.memory(), &core.r, end.unwrap_or(u32::MAX))
        }
        None => return Ok(()),
    };
    let shown = ShowStack { stack: &stack, lines: false }.to_string();
    for line in shown.lines() {
        println!("     {line}");
    }
    Ok(())
}
