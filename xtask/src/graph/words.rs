//! The graph as text, and the argument that it has no cycle of waiting.
//!
//! At most 80 columns.

use crate::style::{DIM, HEAD};
use app::{App, Graph, TaskIndex};
use std::fmt::{Display, Formatter, Result};

/// Columns.
const WIDTH: usize = 80;

/// What `cargo xtask graph` prints.
pub(super) struct Words<'a> {
    pub(super) app: &'a App,
}

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let app = self.app;
        let graph = Graph::of(app);
        let hints = graph.edges.iter().filter(|edge| edge.hint.is_some()).count();
        let (tasks, edges) = (app.tasks.len(), graph.edges.len());
        writeln!(
            f,
            "{HEAD}{} on {}{HEAD:#}: {tasks} tasks, {edges} SENDs down, {hints} hints up",
            app.name, app.board
        )?;
        writeln!(f)?;
        self.table(f, &graph)?;
        writeln!(f)?;
        writeln!(f, "{HEAD}Why no task can wait for itself{HEAD:#}")?;
        for reason in self.reasons(&graph) {
            wrapped(f, "- ", &reason)?;
        }
        Ok(())
    }
}

impl Words<'_> {
    /// Least important first, as in a picture where SENDs go down.
    fn table(&self, f: &mut Formatter<'_>, graph: &Graph) -> Result {
        writeln!(f, "{DIM}rank  task                  sends to{DIM:#}")?;
        for (index, task) in self.app.indexed().collect::<Vec<_>>().into_iter().rev() {
            let mut servers: Vec<String> = graph
                .of_client(index)
                .map(|edge| match edge.hint {
                    Some(_) => format!("{}*", self.name(edge.server)),
                    None => self.name(edge.server).to_owned(),
                })
                .collect();
            if servers.is_empty() {
                servers.push(if index.0 == 0 { "the kernel" } else { "-" }.to_owned());
            }
            let head = format!("{:>4}  {:<20}  ", index.0, task.name);
            list(f, &head, &servers)?;
        }
        writeln!(f)?;
        wrapped(f, "", "* hints the sender when it has news for it, which the sender then pulls")?;
        wrapped(
            f,
            "",
            "Anyone may also send to jefe, which hints whoever has a neighbour when one dies.",
        )
    }

    fn reasons(&self, graph: &Graph) -> Vec<String> {
        let deepest = self.app.indexed().map(|(index, _)| index).max_by_key(|&i| graph.depth(i));
        let chain = deepest.map(|task| self.chain(graph, task)).unwrap_or_default();
        let mut reasons = vec![
            "A task waits for another only inside a SEND, until the reply. A hint waits for \
             nobody, and a server takes whatever message comes next."
                .to_owned(),
            format!(
                "All {} SENDs above, and every SEND to jefe, go to a smaller rank: no two tasks \
                 have the same, and the kernel faults a task that sends where it has no slot.",
                graph.edges.len()
            ),
            "So ranks fall along every chain of waiting tasks. A chain that came back to where it \
             began would need a rank below itself: there is none."
                .to_owned(),
            "A chain ends with a task that does not wait. jefe, at the bottom, sends to the \
             kernel alone. A SEND to a task that died is answered at once."
                .to_owned(),
        ];
        if chain.len() > 1 {
            let names: Vec<&str> = chain.iter().map(|&task| self.name(task)).collect();
            reasons.push(format!(
                "The longest chain has {} SENDs: {}.",
                chain.len() - 1,
                names.join(" -> ")
            ));
        }
        reasons
    }

    /// A longest way down from `task`.
    fn chain(&self, graph: &Graph, task: TaskIndex) -> Vec<TaskIndex> {
        let next = graph.of_client(task).map(|edge| edge.server).max_by_key(|&s| graph.depth(s));
        let below = next.map(|next| self.chain(graph, next)).unwrap_or_default();
        std::iter::once(task).chain(below).collect()
    }

    fn name(&self, task: TaskIndex) -> &str {
        &self.app.task(task).name
    }
}

/// Prints `items` after `head`, separated by commas, continued below.
pub(super) fn list(f: &mut Formatter<'_>, head: &str, items: &[String]) -> Result {
    let indent = head.chars().count();
    let mut line = head.to_owned();
    for (n, item) in items.iter().enumerate() {
        let comma = if n + 1 < items.len() { "," } else { "" };
        if line.chars().count() + item.len() + 1 > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(indent);
        }
        line += &format!("{item}{comma} ");
    }
    writeln!(f, "{}", line.trim_end())
}

/// Prints `text` after `bullet`, wrapped.
pub(super) fn wrapped(f: &mut Formatter<'_>, bullet: &str, text: &str) -> Result {
    let mut line = bullet.to_owned();
    for word in text.split_whitespace() {
        if line.len() + word.len() > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(bullet.chars().count());
        }
        line += word;
        line += " ";
    }
    writeln!(f, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, Words};
    use app::App;

    fn words_of(name: &str) -> String {
        let app = App::load(&crate::root().join(name)).unwrap_or_else(|e| panic!("{e}"));
        anstream::adapter::strip_str(&Words { app: &app }.to_string()).to_string()
    }

    #[test]
    fn the_text_fits_80_columns() {
        for name in ["app.toml", "app-two.toml"] {
            let words = words_of(name);
            assert!(words.lines().all(|line| line.chars().count() <= WIDTH), "{words}");
        }
    }

    #[test]
    fn the_text_names_the_longest_chain() {
        let words = words_of("app.toml").split_whitespace().collect::<Vec<_>>().join(" ");
        let chain = "player -> offload_broker -> usb_audio -> usb_core -> xhci -> iommu.";
        assert!(words.contains(chain), "{words}");
    }
}
