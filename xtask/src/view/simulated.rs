//! What `sim --dump` wrote, as the tables that a dump of a board is shown in.

use super::Failure;
use crate::sim::FORMAT;
use ::view::{Counts, Entry, Notification, Ring, Task, Tasks, Timer, Value};
use serde_json::Value as Json;
use std::path::Path;

/// A simulation that was looked at.
pub(crate) struct Simulated {
    file: Json,
}

/// The file at `path`, if `sim --dump` wrote it; none when it is another kind of
/// file.
pub(crate) fn open(path: &Path) -> Result<Option<Simulated>, Failure> {
    // What cannot be read is the dump's to complain of.
    let Ok(bytes) = std::fs::read(path) else { return Ok(None) };
    if bytes.first() != Some(&b'{') {
        return Ok(None);
    }
    let damaged = |why: &str| Failure::bad(format!("{}: {why}", path.display()));
    let file: Json = serde_json::from_slice(&bytes)
        .map_err(|error| damaged(&format!("no dump of a simulation, or a damaged one: {error}")))?;
    match file["format"].as_str() {
        Some(FORMAT) => Ok(Some(Simulated { file })),
        Some(other) => Err(damaged(&format!("a dump of format {other:?}, which is not known"))),
        None => Err(damaged("no dump of a simulation")),
    }
}

fn number(of: &Json) -> Result<u64, Failure> {
    of.as_u64().ok_or_else(|| lacks("a number"))
}

fn text(of: &Json) -> Result<&str, Failure> {
    of.as_str().ok_or_else(|| lacks("a text"))
}

fn list(of: &Json) -> Result<&[Json], Failure> {
    of.as_array().map(Vec::as_slice).ok_or_else(|| lacks("a list"))
}

fn lacks(what: &str) -> Failure {
    Failure::bad(format!("the dump of a simulation is damaged: {what} is missing in it"))
}

/// The value whose `Debug` text is in `of`.
fn value(of: &Json) -> Result<Value, Failure> {
    let text = text(of)?;
    Ok(Value::from_debug(text).unwrap_or_else(|| Value::Text(text.to_owned())))
}

impl Simulated {
    /// Its tasks.
    pub(crate) fn tasks(&self) -> Result<Tasks, Failure> {
        let tasks = list(&self.file["tasks"])?.iter().enumerate().map(task);
        let tasks = tasks.collect::<Result<Vec<_>, _>>()?;
        let names = tasks.iter().map(|task| task.name.clone()).collect();
        Ok(Tasks { now: number(&self.file["now"])?, epitaph: None, names, tasks })
    }

    /// Its ring buffers.
    pub(crate) fn rings(&self) -> Result<Vec<Ring>, Failure> {
        list(&self.file["rings"])?.iter().map(ring).collect()
    }

    /// Its counters.
    pub(crate) fn counters(&self) -> Result<Vec<Counts>, Failure> {
        let counts = |of: &Json| {
            Ok(Counts::of(text(&of["task"])?, text(&of["name"])?, &value(&of["counts"])?))
        };
        list(&self.file["counters"])?.iter().map(counts).collect()
    }
}

fn task((index, of): (usize, &Json)) -> Result<Task, Failure> {
    let notification = |bit: &Json| {
        let interrupts = list(&bit["interrupts"])?.iter();
        let interrupts =
            interrupts.map(|of| Ok(number(of)? as u32)).collect::<Result<_, Failure>>()?;
        Ok::<_, Failure>(Notification { name: text(&bit["name"])?.to_owned(), interrupts })
    };
    let timer = match &of["timer"] {
        Json::Null => None,
        timer => Some(Timer { deadline: number(&timer[0])?, to_post: number(&timer[1])? as u32 }),
    };
    Ok(Task {
        index,
        name: text(&of["name"])?.to_owned(),
        generation: number(&of["generation"])?,
        priority: number(&of["priority"])?,
        state: value(&of["state"])?,
        current: of["current"] == true,
        mask: number(&of["mask"])? as u32,
        timer,
        last_words: None,
        gave_up: None,
        notifications: list(&of["notifications"])?
            .iter()
            .map(notification)
            .collect::<Result<_, _>>()?,
    })
}

fn ring(of: &Json) -> Result<Ring, Failure> {
    let entry = |of: &Json| {
        Ok(Entry {
            index: number(&of["index"])? as usize,
            line: number(&of["line"])?,
            generation: number(&of["generation"])?,
            count: number(&of["count"])?,
            time: Some(number(&of["time"])?),
            payload: value(&of["payload"])?,
        })
    };
    Ok(Ring {
        task: text(&of["task"])?.to_owned(),
        name: text(&of["name"])?.to_owned(),
        entries: list(&of["entries"])?.iter().map(entry).collect::<Result<_, Failure>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{FORMAT, Simulated, open};
    use serde_json::{Value as Json, json};

    fn whole() -> Json {
        json!({
            "format": FORMAT,
            "now": 20,
            "tasks": [{
                "name": "jefe", "generation": 0, "priority": 0, "current": false, "mask": 3,
                "state": "Healthy(InRecv(None))", "timer": [32, 2],
                "notifications": [
                    { "name": "fault", "interrupts": [] },
                    { "name": "late", "interrupts": [80] },
                ],
            }],
            "rings": [{ "task": "jefe", "name": "RING", "entries": [{
                "index": 1, "line": 9, "generation": 2, "count": 3, "time": 4,
                "payload": "Died { task: 7 }",
            }] }],
            "counters": [{ "task": "jefe", "name": "COUNTS", "counts": "Counts { Died: 5 }" }],
        })
    }

    #[test]
    fn a_simulation_is_shown_in_the_words_of_a_board() {
        let file = Simulated { file: whole() };
        let tasks = file.tasks().expect("tasks");
        assert_eq!(tasks.state(&tasks.tasks[0]), "recv, notif: fault late(T+12/irq80)");
        let rings = file.rings().expect("rings");
        assert!(rings[0].to_string().ends_with("1    9        2        3 Died { task: 0x7 }\n"));
        assert_eq!(file.counters().expect("counters")[0].counts, [("Died".to_owned(), 5)]);
    }

    #[test]
    fn whatever_is_missing_is_a_message() {
        for key in ["now", "tasks", "rings", "counters"] {
            let mut file = whole();
            file[key] = Json::Null;
            let file = Simulated { file };
            let all = [file.tasks().err(), file.rings().err(), file.counters().err()];
            assert!(all.iter().flatten().any(|f| f.message.contains("damaged")), "{key}");
        }
        for key in ["name", "generation", "state", "mask", "timer", "notifications"] {
            let mut file = whole();
            file["tasks"][0][key] = json!({});
            assert!(Simulated { file }.tasks().is_err(), "{key}");
        }
    }

    #[test]
    fn another_file_is_told_from_a_damaged_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let open = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            open(&path)
        };
        assert!(matches!(open("\x7fELF"), Ok(None)));
        assert!(matches!(open(&whole().to_string()), Ok(Some(_))));
        for bad in ["{", "{}", "{\"format\": \"sotto simulation 0\"}"] {
            assert!(open(bad).is_err(), "{bad}");
        }
    }
}
