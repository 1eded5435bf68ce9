//! Who may SEND and POST to whom, for people.

use crate::model::{App, TaskIndex};

/// A SEND edge and the hint that answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Who sends.
    pub client: TaskIndex,
    /// Who serves.
    pub server: TaskIndex,
    /// The client's notification with which the server hints it, if it does.
    pub hint: Option<String>,
}

/// The graph of an image, the supervisor's edges left out: anyone may send to
/// it, and it hints all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The edges, most important server last.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// The graph of `app`.
    #[must_use]
    pub fn of(app: &App) -> Self {
        let edge = |client: TaskIndex, server: TaskIndex| {
            let hint =
                app.task(server).notifies.iter().find(|notify| notify.client == client).map(
                    |notify| app.task(client).notifications[usize::from(notify.bit.0)].clone(),
                );
            Edge { client, server, hint }
        };
        let edges = app
            .indexed()
            .flat_map(|(client, task)| task.slots.iter().map(move |slot| (client, slot.task)))
            .filter(|(_, server)| server.0 != 0)
            .map(|(client, server)| edge(client, server))
            .collect();
        Self { edges }
    }

    /// The edges of one client.
    pub fn of_client(&self, client: TaskIndex) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.client == client)
    }

    /// How many SENDs deep a request that starts at `task` can go.
    #[must_use]
    pub fn depth(&self, task: TaskIndex) -> usize {
        // Servers are more important, so the recursion ends.
        self.of_client(task).map(|edge| 1 + self.depth(edge.server)).max().unwrap_or(0)
    }
}
