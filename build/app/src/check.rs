//! The rules, and the checked image out of what keeps them.

mod controllers;
mod edges;
mod hardware;
mod sockets;
mod tasks;

use crate::model::{
    App, Bit, Dialect, Interrupt, Intid, Memory, MonitorAccess, Notify, Owner, Panics, Peripheral,
    Pool, PoolId, Slot, Task, TaskIndex,
};
use crate::raw;
use crate::refusal::{Refusal, Refusals, Rule, Source, Span};
use abi::Priority;
use addr::Phys;
use std::path::PathBuf;

/// The task that restarts the others, and that anyone may send to.
const SUPERVISOR: &str = "jefe";
/// The DSP's monitor, as the owner of a pool.
const MONITOR: &str = "monitor";
/// The notification by which the supervisor tells of deaths and restarts.
const PEER_CHANGED: &str = "peer_changed";

/// Collects what is wrong with one file.
struct Checker<'s> {
    source: &'s Source,
    refusals: Vec<Refusal>,
}

impl Checker<'_> {
    fn refuse(
        &mut self,
        span: Span,
        rule: Rule,
        wrong: impl Into<String>,
        right: impl Into<String>,
    ) {
        self.refusals.push(self.source.refuse(span, rule, wrong.into(), right.into()));
    }
}

/// A task as written, with its name; most important first.
type Tasks<'f> = Vec<(&'f raw::Text, &'f raw::Task)>;

fn find(tasks: &Tasks<'_>, name: &str) -> Option<TaskIndex> {
    tasks.iter().position(|(known, _)| known.get_ref() == name).map(|index| TaskIndex(index as u16))
}

/// Names of the image's tasks, for a message that says what would be right.
fn names(tasks: &Tasks<'_>) -> String {
    tasks.iter().map(|(name, _)| name.get_ref().as_str()).collect::<Vec<_>>().join(", ")
}

/// A slot as written: its name and its task's.
fn slot_names(slot: &raw::TaskSlot) -> Vec<(&str, &str)> {
    match slot {
        raw::TaskSlot::Same(name) => vec![(name, name)],
        raw::TaskSlot::Renamed(names) => {
            names.iter().map(|(slot, task)| (slot.as_str(), task.as_str())).collect()
        }
    }
}

pub(crate) fn check(
    source: &Source,
    file: raw::File,
    chip: &raw::ChipFile,
    memory: &raw::MemoryFile,
) -> Result<App, Refusals> {
    let mut checker = Checker { source, refusals: Vec::new() };
    let mut tasks: Tasks<'_> = file.tasks.iter().collect();
    // A stable order even for the file that is about to be refused.
    tasks.sort_by_key(|(name, task)| (*task.priority.get_ref(), name.span().start));

    checker.check_tasks(&file, &tasks);
    checker.check_edges(&tasks);
    checker.check_hardware(&file, &tasks, chip, memory);
    checker.check_controllers(&file, &tasks, chip);
    checker.check_sizes(&file, &tasks, memory);
    checker.check_sockets(&file, &tasks);

    if checker.refusals.is_empty() {
        return Ok(build(source.text(), &file, &tasks, chip, memory));
    }
    checker.refusals.sort_by_key(|refusal| (refusal.line, refusal.column, refusal.rule));
    Err(Refusals(checker.refusals))
}

/// The image out of a file that keeps every rule; each name in it resolves.
fn build(
    text: &str,
    file: &raw::File,
    tasks: &Tasks<'_>,
    chip: &raw::ChipFile,
    memory: &raw::MemoryFile,
) -> App {
    App {
        text: text.to_owned(),
        name: file.name.get_ref().clone(),
        target: file.target.clone(),
        cpu: file.cpu.clone(),
        board: file.board.clone(),
        chip: PathBuf::from(file.chip.get_ref()),
        kernel: file.kernel.name.clone(),
        kernel_features: file.kernel.features.clone(),
        dialect: match file.qmi.dialect {
            raw::Dialect::Precise => Dialect::Precise,
            raw::Dialect::Upstream => Dialect::Upstream,
        },
        panics: match file.panics {
            raw::Panics::Messages => Panics::Messages,
            raw::Panics::Places => Panics::Places,
        },
        memory: memory
            .iter()
            .flat_map(|(kind, stretches)| stretches.iter().map(move |stretch| (kind, stretch)))
            .map(|(kind, stretch)| Memory {
                kind: kind.clone(),
                address: Phys(stretch.address),
                size: stretch.size,
            })
            .collect(),
        peripherals: chip.iter().map(|(name, raw)| peripheral(name, raw)).collect(),
        pools: pools(file, tasks),
        tasks: tasks.iter().map(|(name, raw)| task(name.get_ref(), raw, tasks, chip)).collect(),
    }
}

fn peripheral(name: &str, raw: &raw::Peripheral) -> Peripheral {
    Peripheral {
        name: name.to_owned(),
        address: Phys(raw.address),
        size: raw.size,
        interrupts: raw.interrupts.iter().map(|(name, id)| (name.clone(), Intid(*id))).collect(),
    }
}

/// The pools, numbered by address.
fn pools(file: &raw::File, tasks: &Tasks<'_>) -> Vec<Pool> {
    let mut raw: Vec<_> = file.pools.iter().collect();
    raw.sort_by_key(|(_, pool)| *pool.base.get_ref());
    let pool = |(id, (name, raw)): (usize, (&raw::Text, &raw::Pool))| {
        Some(Pool {
            id: PoolId(id as u8),
            name: name.get_ref().clone(),
            base: Phys(*raw.base.get_ref()),
            pages: *raw.pages.get_ref(),
            owner: if raw.owner.get_ref() == MONITOR {
                Owner::Monitor
            } else {
                Owner::Task(find(tasks, raw.owner.get_ref())?)
            },
            readers: raw.readers.iter().filter_map(|name| find(tasks, name.get_ref())).collect(),
            monitor: match raw.monitor {
                raw::MonitorAccess::None => MonitorAccess::None,
                raw::MonitorAccess::Read => MonitorAccess::Read,
                raw::MonitorAccess::Write => MonitorAccess::Write,
            },
            zeroed: raw.zeroed,
        })
    };
    raw.into_iter().enumerate().filter_map(pool).collect()
}

fn task(name: &str, raw: &raw::Task, tasks: &Tasks<'_>, chip: &raw::ChipFile) -> Task {
    let bit = |task: &raw::Task, name: &str| {
        task.notifications.iter().position(|known| known.get_ref() == name).map(|n| Bit(n as u8))
    };
    let mut slots: Vec<Slot> = raw
        .task_slots
        .iter()
        .flat_map(|slot| slot_names(slot.get_ref()))
        .filter_map(|(slot, task)| Some(Slot { name: slot.to_owned(), task: find(tasks, task)? }))
        .collect();
    // Anyone may send to the supervisor, declared or not.
    if name != SUPERVISOR && !slots.iter().any(|slot| slot.task == TaskIndex(0)) {
        slots.push(Slot { name: SUPERVISOR.to_owned(), task: TaskIndex(0) });
    }
    let notify = |text: &raw::Text| {
        let (client, wanted) = text.get_ref().split_once('.')?;
        let index = find(tasks, client)?;
        Some(Notify { client: index, bit: bit(tasks[usize::from(index.0)].1, wanted)? })
    };
    let interrupt = |(name, notification): (&raw::Text, &raw::Text)| {
        Some(Interrupt {
            name: name.get_ref().clone(),
            intid: hardware::intid(name.get_ref(), chip)?,
            bit: bit(raw, notification.get_ref())?,
        })
    };
    Task {
        name: name.to_owned(),
        krate: raw.name.get_ref().clone(),
        features: raw.features.clone(),
        priority: Priority(*raw.priority.get_ref()),
        stack: *raw.stacksize.get_ref(),
        flash: *raw.max_sizes.flash.get_ref(),
        ram: *raw.max_sizes.ram.get_ref(),
        start: raw.start,
        slots,
        notifications: raw.notifications.iter().map(|name| name.get_ref().clone()).collect(),
        notifies: raw.notifies.iter().filter_map(notify).collect(),
        interrupts: raw.interrupts.iter().filter_map(interrupt).collect(),
        uses: raw
            .uses
            .iter()
            .filter_map(|name| Some(peripheral(name.get_ref(), chip.get(name.get_ref())?)))
            .collect(),
        config: raw.config.clone(),
    }
}
