//! `cargo xtask bench`: how many instructions the kernel's operations take.
//!
//! Two images run in QEMU, which counts instructions: one with the tasks that
//! measure, one with 20 tasks. A counter that counts anything else than
//! instructions is found out by a stretch of known length, and ends the run.
//!
//! Then the shipped image plays a sound, beside what Linux needs for that.

mod linux;

use crate::style::{BAD, DIM, GOOD, HEAD};
use crate::{WRONG, board, root};
use anstream::{eprintln, println};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// `cargo xtask bench`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Instructions of kernel and tasks together, from the one task's last before the \
                  operation to its (or the woken task's) first after it:\n  \
    ipc_empty    SEND of an empty message, and its empty answer\n  \
    ipc_16       the same with 16 bytes each way\n  \
    lease_256    the same, empty, with a lease of 256 bytes that the server reads\n  \
    post_wake    a hint to a task that waits: POST, the server's next RECV, the switch\n  \
    irq_to_task  an interrupt raised, and its task running\n  \
    idol_16      ipc_16 through a generated client and a generated server"
)]
pub(crate) struct Bench {
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// An operation and what it is held against.
struct Row {
    name: &'static str,
    /// Most instructions.
    goal: Option<u32>,
    /// seL4 and Hubris (opt `z`, 4 tasks) on the same board or QEMU's Cortex-M.
    others: [Option<u32>; 2],
}

const ROWS: [Row; 6] = [
    Row { name: "ipc_empty", goal: Some(350), others: [Some(352), Some(979)] },
    Row { name: "ipc_16", goal: Some(380), others: [Some(381), Some(1553)] },
    Row { name: "lease_256", goal: Some(900), others: [Some(1195), Some(1846)] },
    Row { name: "post_wake", goal: Some(250), others: [Some(467), Some(256)] },
    Row { name: "irq_to_task", goal: Some(300), others: [Some(308), Some(308)] },
    Row { name: "idol_16", goal: None, others: [None, Some(1652)] },
];

/// How much more an operation may take with 20 tasks.
const MANY_TASKS_PERCENT: u32 = 5;

/// Instructions of the stretch of known length.
const CALIBRATION: u32 = 20_000;

/// What one image measured, by name.
type Figures = BTreeMap<String, u32>;

impl Bench {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let measured =
            measure("app-bench.toml").and_then(|few| Ok((few, measure("app-bench-20tasks.toml")?)));
        let (few, many) = match measured {
            Ok(measured) => measured,
            Err(code) => return code,
        };
        println!(
            "{HEAD}{:<12} {:>12} {:>9} {:>6} {:>9} {:>7}{HEAD:#}",
            "", "instructions", "20 tasks", "goal", "seL4 A15", "Hubris"
        );
        let mut all_kept = true;
        let mut object = Map::new();
        for Row { name, goal, others } in &ROWS {
            let (few, many) = (few.get(*name).copied(), many.get(*name).copied());
            let kept = few.zip(many).is_some_and(|(few, many)| {
                goal.is_none_or(|goal| few <= goal && many <= goal)
                    && many * 100 <= few * (100 + MANY_TASKS_PERCENT)
            });
            all_kept &= kept;
            let cell = |number: Option<u32>| number.map_or("-".into(), |n: u32| n.to_string());
            let (style, mark) = if kept { (GOOD, "✓") } else { (BAD, "✗") };
            println!(
                "{name:<12} {:>12} {:>9} {:>6} {:>9} {:>7} {style}{mark}{style:#}",
                cell(few),
                cell(many),
                cell(*goal),
                cell(others[0]),
                cell(others[1])
            );
            object.insert((*name).into(), json!(few));
            object.insert(format!("{name}_20tasks"), json!(many));
        }
        println!("{DIM}seL4 and Hubris: counted in the same way, see docs/bench.md{DIM:#}\n");
        match linux::compare() {
            Ok((rows, right)) => {
                object.insert("linux".into(), rows);
                all_kept &= right;
            }
            Err(code) => return code,
        }
        if self.json {
            println!("{}", Value::Object(object));
        }
        if all_kept { ExitCode::SUCCESS } else { ExitCode::from(WRONG) }
    }
}

/// Builds and runs one image.
fn measure(description: &str) -> Result<Figures, ExitCode> {
    let image = board::build(&root().join("test").join(description))?;
    let run = board::run(&image.elf)?;
    let wrong = |why: &str| {
        eprintln!("{BAD}✗{BAD:#} {description}: {why}\n{}", run.said);
        Err(ExitCode::from(WRONG))
    };
    if !run.ended_well {
        return wrong("the image did not end well");
    }
    let figures = read(&run.said);
    if figures.get("calibration") != Some(&CALIBRATION) {
        return wrong("a count of the counter is not an instruction");
    }
    Ok(figures)
}

/// The figures out of lines such as `bench ipc_16 363 363 363`: name, the most
/// frequent value, the smallest, the largest.
fn read(said: &str) -> Figures {
    let figure = |line: &str| {
        let mut words = line.strip_prefix("bench ")?.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    said.lines().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn figures_are_read_and_other_lines_are_not() {
        let figures = read("bench ipc_16 363 360 370\ntask 3: died\nbench broken\n");
        assert_eq!(figures.into_iter().collect::<Vec<_>>(), [("ipc_16".to_owned(), 363)]);
    }
}
