//! What playing costs, beside what it costs Linux on the same board.

use crate::run;
use crate::style::{DIM, HEAD};
use anstream::println;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// A row: its key, what it is, what Linux takes, and where ours is in the report
/// of a run.
struct Row {
    key: &'static str,
    what: &'static str,
    linux: u64,
    ours: &'static str,
}

/// Debian's Linux 6.1.176 with aplay at its default period, November 2026
/// (docs/bench.md). Its path has no offload: that needs other hardware.
const ROWS: [Row; 5] = [
    Row {
        key: "cpu_instructions_per_second",
        what: "instructions of the CPU, a second of sound",
        linux: 3_920_000,
        ours: "instructions_core0_while_streaming",
    },
    Row {
        key: "interrupts_per_second",
        what: "interrupts of the CPU, a second of sound",
        linux: 1_034,
        ours: "core0_wakeups_while_streaming",
    },
    Row {
        key: "first_packet_ms",
        what: "machine start to first packet, ms",
        linux: 4_900,
        ours: "boot_to_first_packet_ms",
    },
    Row {
        key: "disk_bytes",
        what: "image (kernel, modules, player), bytes",
        linux: 9_500_000,
        ours: "image_bytes",
    },
    Row {
        key: "ram_bytes",
        what: "RAM without DMA pools and sound, bytes",
        linux: 49_000_000,
        ours: "ram_bytes",
    },
];

/// A full-speed headset's.
const PACKETS_PER_SECOND: f64 = 1000.0;

/// Plays and prints the table; the rows as JSON, and whether all was right.
pub(super) fn compare() -> Result<(Value, bool), ExitCode> {
    let report = run::built_in()?;
    let (right, seconds) =
        (report.is_right(), f64::from(report.common.packets) / PACKETS_PER_SECOND);
    let report = report.json();
    println!("{HEAD}{:<44} {:>12} {:>12}{HEAD:#}", "playing USB audio", "Linux", "here");
    let mut rows = Map::new();
    for Row { key, what, linux, ours } in &ROWS {
        let ours = report[ours].as_f64().map(|sum| match *key {
            "cpu_instructions_per_second" | "interrupts_per_second" => {
                (sum / seconds).ceil() as u64
            }
            _ => sum.ceil() as u64,
        });
        let shown = ours.map_or("-".into(), |number| number.to_string());
        println!("{what:<44} {linux:>12} {shown:>12}");
        rows.insert((*key).into(), json!({ "linux": linux, "here": ours }));
    }
    let heard = if right { "every frame, the last included" } else { "not right" };
    println!("{:<44} {:>25}", "heard, Linux all but the last 240 frames", heard);
    println!("{DIM}a CPU that stalls ends the sound on Linux; here: run --freeze-core0 10{DIM:#}");
    Ok((Value::Object(rows), right))
}
