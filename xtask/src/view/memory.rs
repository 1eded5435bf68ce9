//! `cargo xtask map` and `cargo xtask stackmargin`

use super::{Failure, Target};
use ::view::{Programs, Region, System, margin, regions};
use abi::RegionAttributes;
use anstream::println;
use archive::Archive;
use dump::Memory;
use serde_json::json;
use std::process::ExitCode;
use toml::{Table, Value};

/// `cargo xtask map`
#[derive(Debug, clap::Args)]
pub(crate) struct Map {
    #[command(flatten)]
    target: Target,
}

/// `cargo xtask stackmargin`
#[derive(Debug, clap::Args)]
pub(crate) struct Stackmargin {
    #[command(flatten)]
    target: Target,
}

impl Map {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        self.target.look_up(|archive| self.show(archive))
    }

    fn show(&self, archive: &Archive) -> Result<(), Failure> {
        let programs = Programs::of(archive);
        let image = Memory::of_image(archive.image())
            .ok_or_else(|| Failure::bad("`img/final.elf` in the archive is damaged"))?;
        let names = names(archive);
        println!(
            "{:<10} {:<10}   {:<10} {:>7} {:6} ID TASK",
            "DESC", "LOW", "HIGH", "SIZE", "ATTR"
        );
        let mut list = Vec::new();
        for region in regions(&programs, &image)? {
            let Region { descriptor, base, size, attributes, tasks } = &region;
            let name = names.iter().find(|(at, _)| *at == base.0).map(|(_, name)| name.as_str());
            let users: Vec<&str> = tasks.iter().filter_map(|t| programs.task_name(*t)).collect();
            let user = if users.is_empty() { "kernel".to_owned() } else { users.join(", ") };
            println!(
                "{:<10} {:#010x} - {:#010x} {:>7} {} {:<2} {}{user}",
                descriptor.map_or_else(|| "-".into(), |at| format!("{:#010x}", at.0)),
                base.0,
                base.0 + size.saturating_sub(1),
                in_units(*size),
                letters(*attributes),
                tasks.first().map_or_else(|| "-".into(), ToString::to_string),
                name.map_or_else(String::new, |name| format!("[{name}] ")),
            );
            list.push(json!({
                "descriptor": descriptor.map(|at| at.0),
                "base": base.0,
                "size": size,
                "attributes": attributes.0,
                "name": name,
                "tasks": users,
            }));
        }
        if self.target.json {
            println!("{}", json!({ "regions": list }));
        }
        Ok(())
    }
}

fn in_units(size: u64) -> String {
    if size < 1024 { size.to_string() } else { format!("{}KiB", size.div_ceil(1024)) }
}

/// Readable, writable, executable, device, DMA; Humility's sixth is for memory
/// beyond the image, of which there is none.
fn letters(attributes: RegionAttributes) -> String {
    let letters = [
        (RegionAttributes::READ, 'r'),
        (RegionAttributes::WRITE, 'w'),
        (RegionAttributes::EXECUTE, 'x'),
        (RegionAttributes::DEVICE, 'd'),
        (RegionAttributes::DMA, 'm'),
    ];
    let letter = |(bit, letter)| if attributes.contains(bit) { letter } else { '-' };
    letters.into_iter().map(letter).chain(['-']).collect()
}

/// Addresses of pools and peripherals, with their names.
fn names(archive: &Archive) -> Vec<(u64, String)> {
    let read = |text: &str| text.parse::<Table>().unwrap_or_default();
    let app = read(archive.app());
    let chip = read(archive.text("chip.toml").unwrap_or_default());
    let of = |table: &Table, key: &str| {
        let at = |(name, entry): (&String, &Value)| {
            let at = entry.get(key)?.as_integer()?;
            Some((u64::try_from(at).ok()?, name.clone()))
        };
        table.iter().filter_map(at).collect::<Vec<_>>()
    };
    let pools = app.get("pools").and_then(Value::as_table);
    let mut names = pools.map(|pools| of(pools, "base")).unwrap_or_default();
    names.extend(of(&chip, "address"));
    names
}

impl Stackmargin {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        self.target.look(|system| self.show(system))
    }

    fn show(&self, system: &System<'_>) -> Result<(), Failure> {
        println!(
            "ID {:<18} {:>10} {:>10} {:>10} {:>10}",
            "TASK", "STACKBASE", "STACKSIZE", "MAXDEPTH", "MARGIN"
        );
        let mut list = Vec::new();
        for (index, name) in system.programs().task_names().iter().enumerate() {
            let stack = margin(system.programs(), system.memory(), index)?;
            let (base, size, margin) = (stack.base.0, stack.size, stack.untouched);
            let depth = size - margin;
            println!("{index:2} {name:<18} {base:#010x} {size:>10} {depth:>10} {margin:>10}");
            list.push(json!({ "task": name, "base": base, "size": size, "margin": margin }));
        }
        if self.target.json {
            println!("{}", json!({ "stacks": list }));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{in_units, letters};
    use abi::RegionAttributes;

    #[test]
    fn attributes_and_sizes_are_in_humilitys_form() {
        let pool = RegionAttributes::READ.with(RegionAttributes::DMA);
        assert_eq!(letters(pool), "r---m-");
        assert_eq!((in_units(744).as_str(), in_units(4096).as_str()), ("744", "4KiB"));
    }
}
