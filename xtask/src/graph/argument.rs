//! Why no task can wait for itself, with every edge that this rests on.
//!
//! At most 80 columns.

use super::words::{list, wrapped};
use crate::style::{DIM, GOOD, HEAD};
use app::{App, Graph, TaskIndex};
use serde_json::{Value, json};
use std::fmt::{Display, Formatter, Result};

/// What `cargo xtask graph --check` states.
pub(super) struct Argument<'a> {
    app: &'a App,
    graph: Graph,
}

/// A part of the argument: what holds, where it is checked, and on what it rests.
struct Part {
    holds: String,
    checked: &'static str,
}

impl<'a> Argument<'a> {
    pub(super) fn of(app: &'a App) -> Self {
        Self { app, graph: Graph::of(app) }
    }

    /// The waits that lead to no smaller rank: what the argument would fail on.
    /// An image with one does not load, and is not believed here either.
    pub(super) fn uphill(&self) -> Vec<String> {
        let up = self.graph.edges.iter().filter(|edge| edge.server.0 >= edge.client.0);
        up.map(|edge| format!("{} -> {}", self.name(edge.client), self.name(edge.server))).collect()
    }

    /// The same for a program.
    pub(super) fn json(&self) -> Value {
        let task =
            |(index, task): (TaskIndex, &app::Task)| json!({ "rank": index.0, "name": task.name });
        let waits = self.graph.edges.iter().map(|edge| {
            json!({
                "from": self.name(edge.client),
                "from_rank": edge.client.0,
                "to": self.name(edge.server),
                "to_rank": edge.server.0,
                "hint": edge.hint,
            })
        });
        let parts = self.parts();
        let parts =
            parts.iter().map(|part| json!({ "holds": part.holds, "checked_in": part.checked }));
        json!({
            "app": self.app.name,
            "board": self.app.board,
            "tasks": self.app.indexed().map(task).collect::<Vec<_>>(),
            "waits": waits.collect::<Vec<_>>(),
            "uphill": self.uphill(),
            "argument": parts.collect::<Vec<_>>(),
            "holds": self.uphill().is_empty(),
        })
    }

    fn parts(&self) -> Vec<Part> {
        // Over a circle there is no depth.
        let sound = self.uphill().is_empty();
        let depths = self.app.indexed().filter(|_| sound).map(|(index, _)| self.graph.depth(index));
        let deepest = depths.max();
        vec![
            Part {
                holds: format!(
                    "A task waits for another only in a SEND. The {} below, and one to jefe from \
                     each, are all there are: the kernel faults a task that sends elsewhere.",
                    self.graph.edges.len()
                ),
                checked: "sys/kern/src/syscalls.rs",
            },
            Part {
                holds:
                    "Each leads to a smaller rank, and no two tasks have the same. So ranks fall \
                        along every chain of waits, and none comes back to where it began."
                        .to_owned(),
                checked: "build/app/src/check/edges.rs",
            },
            Part {
                holds: format!(
                    "A chain ends: after {} SENDs at most, with a task that waits for nobody. A SEND \
                     to a task that is dead or held back is answered at once.",
                    deepest.unwrap_or(0)
                ),
                checked: "sys/kern/src/syscalls.rs",
            },
            Part {
                holds: "A hint, up from a server to its client, waits for nobody: it sets a bit."
                    .to_owned(),
                checked: "sys/kern/src/syscalls.rs",
            },
            Part {
                holds: "What a controller, a device or the DSP answers is not waited for in a \
                        handler: it has a ticket and a deadline, and its server goes on."
                    .to_owned(),
                checked: "lib/handles/src/tickets.rs",
            },
            Part {
                holds:
                    "Between the cores neither side waits for the other: whatever either asks is \
                        answered, or out of use, by its deadline. Searched within bounds."
                        .to_owned(),
                checked: "sim/handshake (cargo xtask handshake)",
            },
        ]
    }

    fn name(&self, task: TaskIndex) -> &str {
        &self.app.task(task).name
    }
}

impl Display for Argument<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let tasks = self.app.tasks.len();
        let app = self.app;
        writeln!(
            f,
            "{GOOD}✓{GOOD:#} {} on {}: none of {tasks} tasks can wait for itself",
            app.name, app.board
        )?;
        writeln!(f)?;
        writeln!(f, "{HEAD}Because{HEAD:#}")?;
        for (n, part) in self.parts().iter().enumerate() {
            wrapped(f, &format!("{}. ", n + 1), &part.holds)?;
            writeln!(f, "   {DIM}{}{DIM:#}", part.checked)?;
        }
        writeln!(f)?;
        writeln!(f, "{HEAD}The waits that it rests on{HEAD:#}, each with the two ranks")?;
        for (client, task) in app.indexed() {
            let waits: Vec<String> = self
                .graph
                .of_client(client)
                .map(|edge| format!("{} {}>{}", self.name(edge.server), client.0, edge.server.0))
                .collect();
            if !waits.is_empty() {
                list(f, &format!("{:<16} ", task.name), &waits)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Argument;
    use app::App;

    fn app() -> App {
        app_of("app.toml")
    }

    fn app_of(name: &str) -> App {
        App::load(&crate::root().join(name)).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_argument_fits_80_columns_and_names_every_wait() {
        for name in ["app.toml", "app-two.toml"] {
            let app = app_of(name);
            let argument = Argument::of(&app);
            let text = anstream::adapter::strip_str(&argument.to_string()).to_string();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            for edge in &argument.graph.edges {
                let wait =
                    format!("{} {}>{}", argument.name(edge.server), edge.client.0, edge.server.0);
                assert!(text.contains(&wait), "{wait} is missing in {text}");
            }
            assert!(argument.uphill().is_empty());
            assert_eq!(
                argument.json()["waits"].as_array().map(Vec::len),
                Some(argument.graph.edges.len())
            );
        }
    }

    #[test]
    fn a_wait_uphill_is_not_believed() {
        let app = app();
        let mut argument = Argument::of(&app);
        let edge = argument.graph.edges[0].clone();
        let (client, server) = (edge.server, edge.client);
        argument.graph.edges.push(app::Edge { client, server, hint: None });
        assert_eq!(argument.uphill().len(), 1);
        assert_eq!(argument.json()["holds"], false);
    }

    #[test]
    fn what_is_named_is_there() {
        let app = app();
        for part in Argument::of(&app).parts() {
            let path = part.checked.split_whitespace().next().unwrap_or_default();
            assert!(crate::root().join(path).exists(), "{path}");
        }
    }
}
