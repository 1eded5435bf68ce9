//! What a debugger would see of a simulation, as a file: JSON, with events as the
//! text of their `Debug`.

use serde_json::{Value, json};
use system::image::Description;
use system::look::Look;

/// What marks the file.
pub(crate) const FORMAT: &str = "sotto simulation 1";

/// The file's contents.
pub(crate) fn json(description: &Description, look: &Look) -> Value {
    let known = &description.app().tasks;
    let tasks = look.tasks.iter().zip(known).map(|(task, known)| {
        let bits = known.notifications.iter().enumerate().map(|(bit, name)| {
            let sets = known.interrupts.iter().filter(|of| of.bit.mask() == 1 << bit);
            json!({ "name": name, "interrupts": sets.map(|of| of.intid.0).collect::<Vec<_>>() })
        });
        json!({
            "name": task.name,
            "generation": task.generation,
            "priority": task.priority,
            "state": format!("{:?}", task.state),
            "current": task.current,
            "mask": task.mask,
            "timer": task.timer,
            "notifications": bits.collect::<Vec<_>>(),
        })
    });
    let rings = look.rings.iter().map(|ring| {
        let entries = ring.entries.iter().map(|(index, entry)| {
            json!({
                "index": index,
                "line": entry.line,
                "generation": entry.generation,
                "count": entry.count,
                "time": entry.time,
                "payload": entry.payload,
            })
        });
        json!({ "task": ring.task, "name": ring.name, "entries": entries.collect::<Vec<_>>() })
    });
    let counters = look.counters.iter().map(|counters| {
        json!({ "task": counters.task, "name": counters.name, "counts": counters.counts })
    });
    json!({
        "format": FORMAT,
        "now": look.now,
        "tasks": tasks.collect::<Vec<_>>(),
        "rings": rings.collect::<Vec<_>>(),
        "counters": counters.collect::<Vec<_>>(),
    })
}
