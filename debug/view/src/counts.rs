//! The table of counters.

use crate::programs::Programs;
use crate::types::Variable;
use crate::{Error, Object, Value};
use dump::Memory;
use serde_json::{Map, Value as Json, json};
use std::fmt::{self, Display, Formatter};

/// The counters of one static.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The task, or other program, that has them.
    pub task: String,
    /// Name of the static.
    pub name: String,
    /// Each event, in the order of the source, and how often it happened.
    pub counts: Vec<(String, u64)>,
}

impl Counts {
    /// The counters that `value` holds: a struct of counters, or a ring buffer
    /// with one.
    #[must_use]
    pub fn of(task: &str, name: &str, value: &Value) -> Self {
        let value = value.field("counters").unwrap_or(value);
        let mut counts = Vec::new();
        collect(value, "", &mut counts);
        Self { task: task.into(), name: name.into(), counts }
    }

    /// For programs: an object with a number for each event.
    #[must_use]
    pub fn json(&self) -> Json {
        self.counts
            .iter()
            .map(|(name, count)| (name.clone(), json!(count)))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// Adds the counters in `value`, which is the field `name`.
fn collect(value: &Value, name: &str, counts: &mut Vec<(String, u64)>) {
    if let Some(count) = count(value) {
        counts.push((name.into(), count));
        return;
    }
    for (field, inner) in value.children() {
        let Some(field) = field else { continue };
        let name = if name.is_empty() { field.to_owned() } else { format!("{name}({field})") };
        collect(inner, &name, counts);
    }
}

/// What a counter stands at: a word in a cell, or a number.
fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Struct(of) if of.name.starts_with("AtomicU32") => {
            value.field("v")?.field("value")?.number()
        }
        Value::Unsigned(_) => value.number(),
        _ => None,
    }
}

/// Whether a variable holds counters.
fn has_counters(program: &Object<'_>, variable: &Variable) -> bool {
    let name = program.types().name(variable.of);
    variable.short_name().ends_with("COUNTERS")
        || name.contains("Counts")
        || name.contains("CountedRingbuf")
}

/// All counters, program by program.
///
/// # Errors
/// When a program cannot be read or a counter is not in `memory`.
pub(crate) fn counters(programs: &Programs<'_>, memory: &Memory) -> Result<Vec<Counts>, Error> {
    let mut all = Vec::new();
    for found in programs.variables(has_counters)? {
        let value = found.value(memory)?;
        all.push(Counts::of(found.program.name(), &found.variable.name, &value));
    }
    Ok(all)
}

/// Counters as a table, those of one task together.
#[derive(Debug)]
pub struct Table<'c> {
    /// The counters, those of one task after each other.
    pub counters: &'c [Counts],
    /// Whether events that never happened are listed as well.
    pub full: bool,
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for of_task in self.counters.chunk_by(|one, next| one.task == next.task) {
            let Some((last, others)) = of_task.split_last() else { continue };
            writeln!(f, "{}\n |", last.task)?;
            for counts in others {
                self.one(counts, '|', f)?;
            }
            self.one(last, ' ', f)?;
        }
        Ok(())
    }
}

impl Table<'_> {
    /// One static's; `bar` leads on to the next.
    fn one(&self, counts: &Counts, bar: char, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, " +---> {}:", counts.name)?;
        let mut rows: Vec<&(String, u64)> = counts.counts.iter().collect();
        if !self.full {
            rows.retain(|(_, count)| *count > 0);
            rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        }
        if rows.is_empty() {
            writeln!(f, " {bar}     <no counts recorded>")?;
        }
        for (name, count) in rows {
            writeln!(f, " {bar} {count:>9} {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Table};
    use crate::Value;

    fn counts(task: &str, name: &str, text: &str) -> Counts {
        Counts::of(task, name, &Value::from_debug(text).expect(text))
    }

    fn two() -> [Counts; 2] {
        let atomic = |n: u32| format!("AtomicU32 {{ v: UnsafeCell {{ value: {n} }} }}");
        let first =
            format!("E {{ Never: {}, Some: {}, Often: {} }}", atomic(0), atomic(2), atomic(30));
        [counts("beta", "beta::A", &first), counts("beta", "beta::B", "R { counters: E { X: 0 } }")]
    }

    #[test]
    fn the_most_frequent_comes_first_and_what_never_happened_is_left_out() {
        let table = Table { counters: &two(), full: false }.to_string();
        assert_eq!(
            table,
            "beta\n |\n +---> beta::A:\n |        30 Often\n |         2 Some\n +---> beta::B:\n       \
             <no counts recorded>\n"
        );
    }

    #[test]
    fn in_full_the_order_is_the_sources() {
        let table = Table { counters: &two()[..1], full: true }.to_string();
        assert_eq!(
            table,
            "beta\n |\n +---> beta::A:\n           0 Never\n           2 Some\n          30 Often\n"
        );
        assert_eq!(two()[0].json().to_string(), r#"{"Never":0,"Often":30,"Some":2}"#);
    }

    #[test]
    fn counters_in_counters_name_both() {
        let nested = counts("t", "n", "Outer { Failed: Inner { Late: 4 } }");
        assert_eq!(nested.counts, [("Failed(Late)".to_owned(), 4)]);
    }
}
