//! Rules about who may SEND and POST to whom.
//!
//! Together they are the proof that no cycle of waiting can exist: a task only
//! ever waits for a more important one, and importance is a total order.

use super::{Checker, PEER_CHANGED, SUPERVISOR, Tasks, find, names, slot_names};
use crate::raw;
use crate::refusal::Rule;
use std::collections::{BTreeMap, BTreeSet};

impl Checker<'_> {
    pub(super) fn check_edges(&mut self, tasks: &Tasks<'_>) {
        for (name, task) in tasks {
            self.check_slots(tasks, name, task);
        }
        self.check_cycles(tasks);
        for (name, task) in tasks {
            self.check_notifies(tasks, name, task);
        }
        self.check_peer_changed(tasks);
    }

    fn check_slots(&mut self, tasks: &Tasks<'_>, name: &raw::Text, task: &raw::Task) {
        let mut seen = BTreeSet::new();
        for slot in &task.task_slots {
            if name.get_ref() == SUPERVISOR {
                self.refuse(
                    slot.span(),
                    Rule::SupervisorSendsNobody,
                    format!("`{SUPERVISOR}` has a slot"),
                    "the supervisor sends to the kernel only, which has no slot",
                );
                continue;
            }
            for (slot_name, target) in slot_names(slot.get_ref()) {
                if !seen.insert(slot_name) {
                    self.refuse(
                        slot.span(),
                        Rule::SlotTarget,
                        format!("the slot `{slot_name}` is there twice"),
                        "each slot is named once; `{ other_name = \"task\" }` gives a second name",
                    );
                }
                let Some(server) = find(tasks, target) else {
                    self.refuse(
                        slot.span(),
                        Rule::SlotTarget,
                        format!("there is no task `{target}`"),
                        format!("a slot names one of: {}", names(tasks)),
                    );
                    continue;
                };
                let (ours, theirs) =
                    (*task.priority.get_ref(), *tasks[usize::from(server.0)].1.priority.get_ref());
                if theirs >= ours && !reaches(tasks, target, name.get_ref()) {
                    self.refuse(
                        slot.span(),
                        Rule::SlotUphill,
                        format!(
                            "`{}` (priority {ours}) may not send to `{target}` (priority {theirs})",
                            name.get_ref()
                        ),
                        format!(
                            "a SEND goes to a more important task, so to a number below {ours}; \
                             news travels the other way, as a hint (`notifies`)"
                        ),
                    );
                }
            }
        }
    }

    /// A cycle is told as one, by the slot that goes the wrong way, not as a
    /// priority that could be turned round.
    fn check_cycles(&mut self, tasks: &Tasks<'_>) {
        let mut told = BTreeSet::new();
        for (name, task) in tasks {
            for slot in &task.task_slots {
                for (_, target) in slot_names(slot.get_ref()) {
                    let Some(server) = find(tasks, target) else { continue };
                    let downhill = tasks[usize::from(server.0)].1.priority.get_ref()
                        >= task.priority.get_ref();
                    if !downhill || name.get_ref() == SUPERVISOR {
                        continue;
                    }
                    let Some(path) = path(tasks, target, name.get_ref()) else { continue };
                    let members: BTreeSet<&str> = path.iter().copied().collect();
                    if told.insert(members) {
                        let round = path.join("` -> `");
                        self.refuse(
                            slot.span(),
                            Rule::NoCycle,
                            format!("a cycle of waiting: `{}` -> `{round}`", name.get_ref()),
                            "each could wait for the other for ever; turn one of these SENDs into \
                             a hint and a pull",
                        );
                    }
                }
            }
        }
    }

    fn check_notifies(&mut self, tasks: &Tasks<'_>, name: &raw::Text, task: &raw::Task) {
        let mut hinted: BTreeMap<&str, &str> = BTreeMap::new();
        for notify in &task.notifies {
            let text = notify.get_ref();
            let Some((client, bit)) = text.split_once('.') else {
                self.refuse(
                    notify.span(),
                    Rule::NotifyTarget,
                    format!("`{text}` names no notification"),
                    "a hint is written `client.notification`",
                );
                continue;
            };
            let Some(index) = find(tasks, client) else {
                self.refuse(
                    notify.span(),
                    Rule::NotifyTarget,
                    format!("there is no task `{client}`"),
                    format!("a hint goes to one of: {}", names(tasks)),
                );
                continue;
            };
            let client_task = tasks[usize::from(index.0)].1;
            if !client_task.notifications.iter().any(|known| known.get_ref() == bit) {
                let known: Vec<_> =
                    client_task.notifications.iter().map(|n| n.get_ref().as_str()).collect();
                self.refuse(
                    notify.span(),
                    Rule::NotifyTarget,
                    format!("`{client}` has no notification `{bit}`"),
                    format!("it has: {}", known.join(", ")),
                );
            }
            let is_client = client_task
                .task_slots
                .iter()
                .flat_map(|slot| slot_names(slot.get_ref()))
                .any(|(_, server)| server == name.get_ref());
            if !is_client && name.get_ref() != SUPERVISOR {
                self.refuse(
                    notify.span(),
                    Rule::NotifyEdge,
                    format!("`{client}` is no client of `{}`", name.get_ref()),
                    format!(
                        "a hint goes to a task that pulls: give `{client}` the task-slot `{}`, or \
                         drop the hint",
                        name.get_ref()
                    ),
                );
            }
            if let Some(other) = hinted.insert(client, bit) {
                self.refuse(
                    notify.span(),
                    Rule::NotifyOneBit,
                    format!("`{}` already hints `{client}` with `{other}`", name.get_ref()),
                    "a server has one bit per client; what it is about, the client pulls",
                );
            }
        }
    }

    fn check_peer_changed(&mut self, tasks: &Tasks<'_>) {
        let Some(supervisor) = find(tasks, SUPERVISOR) else { return };
        let told: BTreeSet<&str> = tasks[usize::from(supervisor.0)]
            .1
            .notifies
            .iter()
            .filter_map(|notify| notify.get_ref().split_once('.'))
            .filter(|&(_, bit)| bit == PEER_CHANGED)
            .map(|(task, _)| task)
            .collect();
        for (name, _) in tasks {
            if has_neighbour(tasks, name.get_ref()) && !told.contains(name.get_ref().as_str()) {
                self.refuse(
                    name.span(),
                    Rule::PeerChanged,
                    format!("nobody tells `{}` when a neighbour died", name.get_ref()),
                    format!(
                        "a task with clients or servers has a notification `{PEER_CHANGED}`, and \
                         [tasks.{SUPERVISOR}] notifies `{}.{PEER_CHANGED}`",
                        name.get_ref()
                    ),
                );
            }
        }
    }
}

/// Whether `name` shares an edge with another task than the supervisor.
fn has_neighbour(tasks: &Tasks<'_>, name: &str) -> bool {
    if name == SUPERVISOR {
        return false;
    }
    tasks.iter().filter(|(client, _)| client.get_ref() != SUPERVISOR).any(|(client, task)| {
        task.task_slots
            .iter()
            .flat_map(|slot| slot_names(slot.get_ref()))
            .filter(|&(_, server)| server != SUPERVISOR && find(tasks, server).is_some())
            .any(|(_, server)| server == name || client.get_ref() == name)
    })
}

fn reaches(tasks: &Tasks<'_>, from: &str, to: &str) -> bool {
    path(tasks, from, to).is_some()
}

/// A way along slots from task `from` to task `to`, both ends in it.
fn path<'t>(tasks: &Tasks<'t>, from: &'t str, to: &str) -> Option<Vec<&'t str>> {
    let mut ways = vec![vec![from]];
    let mut seen = BTreeSet::from([from]);
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        let Some((_, task)) = tasks.iter().find(|(name, _)| name.get_ref() == last) else {
            continue;
        };
        for (_, next) in task.task_slots.iter().flat_map(|slot| slot_names(slot.get_ref())) {
            if seen.insert(next) {
                ways.push(way.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}
