//! The commands that look in, run as a user runs them.

use super::bad;
use crate::run::stage::Stop;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The commands, and a word of what each prints.
const COMMANDS: [(&[&str], &str); 7] = [
    (&["tasks", "-sl"], "offload_broker"),
    (&["tasks", "-rv", "player"], "descriptor"),
    (&["ringbuf"], "NDX LINE"),
    (&["counters"], "+--->"),
    (&["readvar", "TICKS"], "TICKS"),
    (&["registers", "-s"], "PSR ="),
    (&["stackmargin"], "MAXDEPTH"),
];

/// Runs all of them; `option` and `place` say where to look. What they should not
/// have done is told in `wrong`.
pub(super) fn check(
    option: &str,
    place: &Path,
    archive: &Path,
    wrong: &mut Vec<String>,
) -> Result<(), Stop> {
    for (command, word) in COMMANDS {
        let program = std::env::current_exe().map_err(bad)?;
        let output = Command::new(program)
            .args(command)
            .arg(option)
            .arg(place)
            .arg("--archive")
            .arg(archive)
            .arg("--json")
            .output()
            .map_err(bad)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = said.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        let right = output.status.success() && said.contains(word) && !said.contains('\x1b');
        if !right || !last.is_some_and(|last| last.is_object()) {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            wrong.push(format!("{} {option}: {said}{complaint}", command.join(" ")));
        }
    }
    Ok(())
}
