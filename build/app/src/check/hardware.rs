//! Rules about registers, interrupts, pools and the gate.

use super::{Checker, MONITOR, Tasks, find, names};
use crate::model::Intid;
use crate::raw;
use crate::refusal::Rule;
use addr::PAGE;
use std::collections::{BTreeMap, BTreeSet};

/// Pools through which the cores, or a task and its next life, tell one another
/// something by numbers that they raise.
const TOLD_THROUGH: [&str; 4] = ["answers", "gate", "mailbox", "tables"];

/// The number of the interrupt `<peripheral>.<interrupt>` of the chip.
pub(super) fn intid(name: &str, chip: &raw::ChipFile) -> Option<Intid> {
    let (peripheral, interrupt) = name.split_once('.')?;
    chip.get(peripheral)?.interrupts.get(interrupt).copied().map(Intid)
}

impl Checker<'_> {
    pub(super) fn check_hardware(
        &mut self,
        file: &raw::File,
        tasks: &Tasks<'_>,
        chip: &raw::ChipFile,
        memory: &raw::MemoryFile,
    ) {
        self.check_peripherals(file, tasks, chip);
        self.check_interrupts(file, tasks, chip);
        self.check_pools(file, tasks, memory);
        self.check_gate(file);
    }

    fn check_gate(&mut self, file: &raw::File) {
        if let Some(gate) = &file.gate
            && matches!(gate.get_ref(), raw::Gate::Direct)
        {
            self.refuse(
                gate.span(),
                Rule::GateBuilt,
                "the gate `direct` is not built yet",
                "\"shadow\" is what there is: the DSP's monitor writes the rings, after checking",
            );
        }
    }

    fn check_peripherals(&mut self, file: &raw::File, tasks: &Tasks<'_>, chip: &raw::ChipFile) {
        let known = || chip.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, task) in tasks {
            for used in &task.uses {
                let peripheral = used.get_ref().as_str();
                if !chip.contains_key(peripheral) {
                    self.refuse(
                        used.span(),
                        Rule::PeripheralKnown,
                        format!("the chip has no `{peripheral}`"),
                        format!("chip.toml has: {}", known()),
                    );
                }
                let users = users.entry(peripheral).or_default();
                let shared = file.shared.keys().any(|shared| shared.get_ref() == peripheral);
                if let (Some(first), false) = (users.first(), shared) {
                    self.refuse(
                        used.span(),
                        Rule::PeripheralOneTask,
                        format!("`{}` uses `{peripheral}`, and so does `{first}`", name.get_ref()),
                        format!(
                            "registers have one task; if these can be shared, say why under \
                             [shared]: {peripheral} = \"...\""
                        ),
                    );
                }
                users.push(name.get_ref());
            }
        }
        for shared in file.shared.keys() {
            if users.get(shared.get_ref().as_str()).is_none_or(|users| users.len() < 2) {
                self.refuse(
                    shared.span(),
                    Rule::SharedUseful,
                    format!("`{}` is not used by two tasks", shared.get_ref()),
                    "[shared] lists the registers that several tasks use, each with the reason why \
                     that is safe",
                );
            }
        }
    }

    fn check_interrupts(&mut self, file: &raw::File, tasks: &Tasks<'_>, chip: &raw::ChipFile) {
        let mut owners: BTreeMap<Intid, &str> = BTreeMap::new();
        for (name, task) in tasks {
            for (interrupt, notification) in &task.interrupts {
                let text = interrupt.get_ref();
                if !task.notifications.iter().any(|n| n.get_ref() == notification.get_ref()) {
                    self.refuse(
                        notification.span(),
                        Rule::InterruptNotification,
                        format!(
                            "`{}` has no notification `{}`",
                            name.get_ref(),
                            notification.get_ref()
                        ),
                        "an interrupt becomes a notification of its own task: add it to the list",
                    );
                }
                let Some(intid) = intid(text, chip) else {
                    self.refuse(
                        interrupt.span(),
                        Rule::InterruptKnown,
                        format!("the chip has no interrupt `{text}`"),
                        known_interrupts(text, chip),
                    );
                    continue;
                };
                let peripheral = text.split_once('.').map_or("", |(peripheral, _)| peripheral);
                let shared = file.shared.keys().any(|shared| shared.get_ref() == peripheral);
                if !shared && !task.uses.iter().any(|used| used.get_ref() == peripheral) {
                    self.refuse(
                        interrupt.span(),
                        Rule::InterruptUsed,
                        format!("`{}` does not use `{peripheral}`", name.get_ref()),
                        format!(
                            "an interrupt goes to a task with `{peripheral}` in its `uses`, unless \
                             those registers are [shared]"
                        ),
                    );
                }
                if let Some(other) = owners.insert(intid, name.get_ref()) {
                    self.refuse(
                        interrupt.span(),
                        Rule::InterruptOneTask,
                        format!("interrupt {} is already `{other}`'s", intid.0),
                        "an interrupt has one task, which hints others if it must",
                    );
                }
            }
        }
    }

    fn check_pools(&mut self, file: &raw::File, tasks: &Tasks<'_>, memory: &raw::MemoryFile) {
        let page = u64::from(PAGE);
        let mut placed: Vec<(u64, u64, &str)> = Vec::new();
        for (name, pool) in &file.pools {
            let owner = Some(&pool.owner).filter(|owner| owner.get_ref() != MONITOR);
            for user in pool.readers.iter().chain(owner) {
                if find(tasks, user.get_ref()).is_none() {
                    self.refuse(
                        user.span(),
                        Rule::PoolOwner,
                        format!("there is no task `{}`", user.get_ref()),
                        format!("owner (or `{MONITOR}`) and readers are among: {}", names(tasks)),
                    );
                }
            }
            let mut seen = BTreeSet::from([pool.owner.get_ref()]);
            for reader in &pool.readers {
                if !seen.insert(reader.get_ref()) {
                    self.refuse(
                        reader.span(),
                        Rule::PoolOwner,
                        format!("`{}` already has this pool", reader.get_ref()),
                        "a pool has one owner, who may read it as well, and each reader once",
                    );
                }
            }
            let (base, pages) = (*pool.base.get_ref(), u64::from(*pool.pages.get_ref()));
            let end = pages.checked_mul(page).and_then(|bytes| base.checked_add(bytes));
            let in_ram =
                end.is_some_and(|end| {
                    memory.get("ram").into_iter().flatten().any(|stretch| {
                        stretch.address <= base && end <= stretch.address + stretch.size
                    })
                });
            let Some(end) = end.filter(|_| in_ram && pages > 0 && base.is_multiple_of(page)) else {
                self.refuse(
                    pool.base.span(),
                    Rule::PoolPlace,
                    format!("`{}` has {pages} page(s) from {base:#x} on", name.get_ref()),
                    format!("a pool is one page or more, at a multiple of {page}, inside RAM"),
                );
                continue;
            };
            if let Some((_, _, other)) =
                placed.iter().find(|&&(from, to, _)| base < to && from < end)
            {
                self.refuse(
                    pool.base.span(),
                    Rule::PoolOverlap,
                    format!("`{}` overlaps `{other}`", name.get_ref()),
                    format!("each page has one pool; this one ends at {end:#x}"),
                );
            }
            placed.push((base, end, name.get_ref()));
            let kind = name.get_ref().trim_end_matches(|c: char| c.is_ascii_digit());
            if TOLD_THROUGH.contains(&kind) && !pool.zeroed {
                self.refuse(
                    pool.base.span(),
                    Rule::PoolZeroed,
                    format!("`{}` begins with what memory holds", name.get_ref()),
                    "the cores read one another's pages from the start: zeroed = true",
                );
            }
        }
    }
}

/// What could have been meant instead of the interrupt `text`.
fn known_interrupts(text: &str, chip: &raw::ChipFile) -> String {
    let peripheral =
        text.split_once('.').and_then(|(peripheral, _)| chip.get_key_value(peripheral));
    match peripheral {
        Some((name, peripheral)) if !peripheral.interrupts.is_empty() => {
            let known: Vec<_> =
                peripheral.interrupts.keys().map(|known| format!("{name}.{known}")).collect();
            format!("chip.toml has: {}", known.join(", "))
        }
        _ => "an interrupt is written `peripheral.interrupt`, both from chip.toml".into(),
    }
}
