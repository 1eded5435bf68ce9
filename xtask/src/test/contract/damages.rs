//! The rows can say no: archives from which something vanished.

use ::contract::{Damage, damage};
use archive::Archive;

/// A damage, and a row that it has to break: its section and a part of what it
/// demands.
type Case<'c> = (Damage<'c>, &'c str, &'c str);

const KERNEL: &str = "elf/kernel";

/// A name in the kernel that a compiler could drop or change.
const fn renamed<'c>(name: &'c str, section: &'c str, demand: &'c str) -> Case<'c> {
    (Damage::Renamed { file: KERNEL, name }, section, demand)
}

const fn of_task<'c>(name: &'c str, section: &'c str, demand: &'c str) -> Case<'c> {
    (Damage::Renamed { file: "elf/task/jefe", name }, section, demand)
}

const fn text<'c>(from: &'c str, to: &'c str, section: &'c str, demand: &'c str) -> Case<'c> {
    (Damage::Text { file: "app.toml", from, to }, section, demand)
}

const CASES: &[Case<'_>] = &[
    renamed("CURRENT_TASK_PTR", "3", "CURRENT_TASK_PTR"),
    renamed("HUBRIS_TASK_TABLE_SPACE", "3", "HUBRIS_TASK_TABLE_SPACE"),
    renamed("HUBRIS_TASK_DESCS", "3", "HUBRIS_TASK_DESCS"),
    renamed("HUBRIS_REGION_DESCS", "3", "HUBRIS_REGION_DESCS"),
    renamed("TICKS", "3", "TICKS"),
    renamed("KERNEL_HAS_FAILED", "3", "KERNEL_HAS_FAILED"),
    renamed("KERNEL_EPITAPH", "3", "KERNEL_EPITAPH"),
    renamed("Reset", "3", "Reset"),
    renamed("_stack_base", "2", "_stack_base"),
    renamed("__sbss", "2", "__sbss"),
    renamed("Task", "0.4", "one shape"),
    renamed("SavedState", "4.2", "SavedState"),
    renamed("TaskDesc", "4.4", "TaskDesc"),
    renamed("RegionDesc", "4.4", "RegionDesc"),
    renamed("generation", "4.1", "Task"),
    renamed("psp", "4.2", "SavedState"),
    renamed("r6", "4.2", "SavedState"),
    renamed("deadline", "4.3", "timer"),
    renamed("to_post", "4.3", "timer"),
    renamed("InRecv", "4.3", "states"),
    renamed("original_state", "4.3", "states"),
    renamed("entry_point", "4.4", "TaskDesc"),
    renamed("initial_stack", "4.4", "TaskDesc"),
    renamed("attributes", "4.4", "RegionDesc"),
    renamed(".text", "0.3", "each program has"),
    renamed(".debug_frame", "0.3", "each program has"),
    of_task(".debug_frame", "6.4", "all other code has frames"),
    of_task("buffer", "7 ringbuf", "ring buffers"),
    of_task("payload", "7 ringbuf", "ring buffers"),
    of_task("AtomicU32", "7 counters", "counters are"),
    of_task("JefeError", "7 hiffy -l", "types of replies"),
    text("board = ", "plank = ", "1.1", "app.toml has"),
    text("\"smmu.eventq\"", "\"smmu.nothing\"", "1.1", "interrupts"),
    text("notifications = [\"fault\"]", "notifications = [7]", "1.1", "lists of names"),
    (
        Damage::Text { file: "chip.toml", from: "address = ", to: "place = " },
        "1.2",
        "chip.toml has",
    ),
];

/// Damages `archive` in every way; how many were seen, and in `wrong` those that
/// were not.
pub(super) fn check(archive: &Archive, wrong: &mut Vec<String>) -> usize {
    let mut seen = 0;
    for &(done, section, demand) in CASES {
        match seen_as(archive, done, section, demand) {
            Ok(()) => seen += 1,
            Err(why) => wrong.push(format!("{done:?}: {why}")),
        }
    }
    seen
}

/// Whether a damaged archive breaks the row that it should.
fn seen_as(archive: &Archive, done: Damage<'_>, section: &str, demand: &str) -> Result<(), String> {
    let bytes = damage(archive, done).ok_or("there is nothing to damage")?;
    // What cannot even be opened was seen.
    let Ok(damaged) = Archive::read(bytes) else { return Ok(()) };
    let Ok(broken) = ::contract::check(&damaged, None) else { return Ok(()) };
    let row = broken.iter().any(|row| row.section == section && row.demand.contains(demand));
    row.then_some(()).ok_or_else(|| {
        let sections: Vec<&str> = broken.iter().map(|row| row.section).collect();
        format!("not seen by {section} {demand:?}, but by {sections:?}")
    })
}
