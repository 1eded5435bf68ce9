//! Rules about tasks on their own: names, priorities, sizes, notifications.

use super::{Checker, SUPERVISOR, Tasks};
use crate::raw;
use crate::refusal::Rule;
use abi::MAX_TASKS;
use addr::PAGE;
use std::collections::{BTreeMap, BTreeSet};

/// Humility's `tasks` cuts names that are longer.
const LONGEST_NAME: usize = 20;
/// Bit 31 of the notification word is the task's timer.
const MOST_NOTIFICATIONS: usize = 31;
/// The AAPCS wants a stack pointer that is a multiple of this.
const STACK_ALIGN: u32 = 8;

impl Checker<'_> {
    pub(super) fn check_tasks(&mut self, file: &raw::File, tasks: &Tasks<'_>) {
        self.check_names(file, tasks);
        self.check_count(tasks);
        self.check_supervisor(tasks);
        self.check_priorities(tasks);
        for (_, task) in tasks {
            self.check_notifications(task);
        }
    }

    fn check_names(&mut self, file: &raw::File, tasks: &Tasks<'_>) {
        let of_tasks = tasks.iter().map(|(name, _)| ("task", *name));
        let of_pools = file.pools.keys().map(|name| ("pool", name));
        let of_bits = tasks
            .iter()
            .flat_map(|(_, task)| &task.notifications)
            .map(|name| ("notification", name));
        for (kind, name) in of_tasks.chain(of_pools).chain(of_bits) {
            let text = name.get_ref();
            let word = text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !word || text.len() > LONGEST_NAME {
                self.refuse(
                    name.span(),
                    Rule::Name,
                    format!("`{text}` is no name for a {kind}"),
                    format!(
                        "a name is lower-case letters, digits and `_`, starts with a letter, and \
                         has at most {LONGEST_NAME} characters"
                    ),
                );
            }
        }
    }

    fn check_count(&mut self, tasks: &Tasks<'_>) {
        if let Some((name, _)) = tasks.get(MAX_TASKS) {
            self.refuse(
                name.span(),
                Rule::TaskCount,
                format!("`{}` is task number {}", name.get_ref(), MAX_TASKS + 1),
                format!("an image has at most {MAX_TASKS} tasks: the kernel's sets are one word"),
            );
        }
    }

    fn check_supervisor(&mut self, tasks: &Tasks<'_>) {
        match tasks.iter().position(|(name, _)| name.get_ref() == SUPERVISOR) {
            Some(0) => {}
            Some(at) => self.refuse(
                tasks[at].1.priority.span(),
                Rule::Supervisor,
                format!("`{SUPERVISOR}` is less important than `{}`", tasks[0].0.get_ref()),
                "the supervisor has the lowest priority number: nobody may delay a restart",
            ),
            None => self.refuse(
                tasks.first().map_or(0..0, |(name, _)| name.span()),
                Rule::Supervisor,
                format!("there is no task `{SUPERVISOR}`"),
                format!("every image has the supervisor, [tasks.{SUPERVISOR}]"),
            ),
        }
    }

    fn check_priorities(&mut self, tasks: &Tasks<'_>) {
        let mut taken = BTreeMap::new();
        for (name, task) in tasks {
            let priority = *task.priority.get_ref();
            if let Some(other) = taken.insert(priority, name.get_ref()) {
                self.refuse(
                    task.priority.span(),
                    Rule::OwnPriority,
                    format!("`{}` has priority {priority}, and so has `{other}`", name.get_ref()),
                    "every task has a priority of its own: which of two runs is never left open",
                );
            }
        }
    }

    fn check_notifications(&mut self, task: &raw::Task) {
        let mut seen = BTreeSet::new();
        for name in &task.notifications {
            if !seen.insert(name.get_ref()) {
                self.refuse(
                    name.span(),
                    Rule::NotificationUnique,
                    format!("the notification `{}` is there twice", name.get_ref()),
                    "position n in the list names bit n, once",
                );
            }
        }
        if let Some(name) = task.notifications.get(MOST_NOTIFICATIONS) {
            self.refuse(
                name.span(),
                Rule::NotificationCount,
                format!("`{}` would be bit {MOST_NOTIFICATIONS}", name.get_ref()),
                format!(
                    "a task has at most {MOST_NOTIFICATIONS} notifications: bit 31 is its timer"
                ),
            );
        }
    }

    pub(super) fn check_sizes(
        &mut self,
        file: &raw::File,
        tasks: &Tasks<'_>,
        memory: &raw::MemoryFile,
    ) {
        for (name, task) in tasks {
            let (stack, ram) = (*task.stacksize.get_ref(), *task.max_sizes.ram.get_ref());
            if stack == 0 || !stack.is_multiple_of(STACK_ALIGN) || stack > ram {
                self.refuse(
                    task.stacksize.span(),
                    Rule::StackSize,
                    format!("`{}` has a stack of {stack} bytes in {ram} of RAM", name.get_ref()),
                    format!(
                        "a stack is a multiple of {STACK_ALIGN} bytes and lies in its task's RAM"
                    ),
                );
            }
        }
        let have: u64 = memory.get("ram").into_iter().flatten().map(|stretch| stretch.size).sum();
        let pools = file.pools.values().map(|pool| u64::from(*pool.pages.get_ref()));
        let in_pools: u64 = pools.sum::<u64>() * u64::from(PAGE);
        // On this board images run from RAM, so code counts as well.
        let mut used = in_pools;
        for (name, task) in tasks {
            let sizes = &task.max_sizes;
            used += u64::from(*sizes.ram.get_ref()) + u64::from(*sizes.flash.get_ref());
            if used > have {
                self.refuse(
                    sizes.ram.span(),
                    Rule::MemorySize,
                    format!(
                        "with `{}` the image may take {used} bytes, {in_pools} of them in pools",
                        name.get_ref()
                    ),
                    format!("the chip's memory.toml has {have} bytes of RAM"),
                );
                return;
            }
        }
    }
}
