//! The table of a ring buffer.

use crate::programs::Programs;
use crate::types::Variable;
use crate::{Error, Inline, Object, Value};
use dump::Memory;
use serde_json::{Value as Json, json};
use std::fmt::{self, Display, Formatter};

/// A ring buffer.
#[derive(Clone, Debug)]
pub struct Ring {
    /// The task, or other program, that has it.
    pub task: String,
    /// Its name.
    pub name: String,
    /// What it holds, oldest first.
    pub entries: Vec<Entry>,
}

/// An entry of a ring buffer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the ring.
    pub index: usize,
    /// Source line.
    pub line: u64,
    /// How often its place was written.
    pub generation: u64,
    /// How many equal events in a row it stands for.
    pub count: u64,
    /// When the first of them was, in the counts of the system's clock; none in
    /// a ring that does not note it.
    pub time: Option<u64>,
    /// The event.
    pub payload: Value,
}

impl Display for Ring {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "ring buffer {} in {}:", self.name, self.task)?;
        if self.entries.is_empty() {
            return Ok(());
        }
        writeln!(f, " NDX LINE      GEN    COUNT PAYLOAD")?;
        for Entry { index, line, generation, count, payload, .. } in &self.entries {
            writeln!(f, "{index:4} {line:4} {generation:8} {count:8} {}", Inline(payload))?;
        }
        Ok(())
    }
}

impl Ring {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let entries = self.entries.iter().map(|entry| {
            json!({
                "index": entry.index,
                "line": entry.line,
                "generation": entry.generation,
                "count": entry.count,
                "time": entry.time,
                "payload": Json::from(&entry.payload),
            })
        });
        json!({ "task": self.task, "name": self.name, "entries": entries.collect::<Vec<_>>() })
    }

    /// The ring buffer that `value` is: a plain one, one in a cell, or one with
    /// counters.
    #[must_use]
    pub fn of(task: &str, name: &str, value: &Value) -> Option<Self> {
        let mut value = value;
        while let Some(inner) = ["ringbuf", "cell", "value"].iter().find_map(|f| value.field(f)) {
            value = inner;
        }
        let places = value.field("buffer")?.children();
        let last = value.field("last")?.at(0).and_then(Value::number);
        let first = last.map_or(0, |last| last as usize + 1);
        let mut entries = Vec::new();
        for n in 0..places.len() {
            let index = first.wrapping_add(n) % places.len();
            let (_, place) = places[index];
            let number = |field| place.field(field).and_then(Value::number);
            let (Some(line), Some(generation)) = (number("line"), number("generation")) else {
                continue;
            };
            if generation != 0 {
                let payload = place.field("payload")?.clone();
                let count = number("count").unwrap_or(1);
                let time = number("time");
                entries.push(Entry { index, line, generation, count, time, payload });
            }
        }
        Some(Self { task: task.into(), name: name.into(), entries })
    }
}

/// Whether a variable is a ring buffer.
pub(crate) fn is_ring(program: &Object<'_>, variable: &Variable) -> bool {
    let named = variable.short_name().ends_with("RINGBUF");
    named || program.types().name(variable.of).contains("Ringbuf")
}

/// All ring buffers, program by program.
///
/// # Errors
/// When a program cannot be read or a ring is not in `memory`.
pub(crate) fn rings(programs: &Programs<'_>, memory: &Memory) -> Result<Vec<Ring>, Error> {
    let mut rings = Vec::new();
    for found in programs.variables(is_ring)? {
        let name = &found.variable.name;
        let ring = Ring::of(found.program.name(), name, &found.value(memory)?);
        rings.push(ring.ok_or_else(|| Error::Senseless(name.clone(), "no ring buffer".into()))?);
    }
    Ok(rings)
}

#[cfg(test)]
mod tests {
    use super::Ring;
    use crate::Value;

    const RING: &str = "CountedRingbuf { ringbuf: StaticCell { cell: UnsafeCell { value: Ringbuf { \
         last: Some(0), buffer: [RingbufEntry { line: 9, generation: 2, count: 1, time: 70, payload: \
         Opened(3) }, RingbufEntry { line: 8, generation: 1, count: 5, time: 60, payload: Nothing }, \
         RingbufEntry { line: 0, generation: 0, count: 0, time: 0, payload: Nothing }] } } }, \
         counters: () }";

    fn ring(text: &str) -> Option<Ring> {
        Ring::of("beta", "beta::__RINGBUF", &Value::from_debug(text).expect(text))
    }

    #[test]
    fn entries_come_oldest_first_without_empty_places() {
        let text = "ring buffer beta::__RINGBUF in beta:\n NDX LINE      GEN    COUNT PAYLOAD\n   1    \
                    8        1        5 Nothing\n   0    9        2        1 Opened(0x3)\n";
        assert_eq!(ring(RING).expect("a ring").to_string(), text);
    }

    #[test]
    fn a_ring_that_was_never_written_is_empty() {
        let empty = ring(
            "Ringbuf { last: None, buffer: [RingbufEntry { line: 0, generation: 0, \
                          count: 0, payload: 0 }] }",
        );
        assert_eq!(empty.expect("a ring").to_string(), "ring buffer beta::__RINGBUF in beta:\n");
    }

    #[test]
    fn what_is_damaged_is_no_ring_or_an_odd_one_but_shown() {
        assert!(ring("Ringbuf { buffer: 3 }").is_none());
        let far = RING.replace("Some(0)", "Some(4294967295)");
        assert_eq!(ring(&far).expect("a ring").entries.len(), 2);
    }
}
