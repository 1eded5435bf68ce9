//! What must hold of the tables of an image.
//!
//! - No memory that anybody may write may anybody execute, under any address.
//! - A task reaches what app.toml gives it, with those rights, and nothing else;
//!   none of it stays behind in the TLB for another task. What is the kernel's
//!   is the same for all.
//! - The kernel reaches its own memory, its window on the tasks' and the
//!   interrupt controller, and nothing else by an address of its own.
//! - All that a task or the kernel is to have is there, cached or not as it
//!   has to be.
//! - Everything is where it is: below 2^31 at its own address, above in the
//!   window.
//! - The page below each task's RAM and that below the kernel's stack is nobody's.

use super::walk::{Mapped, Memory};
use super::{Rights, Translation};
use crate::layout::{Area, PAGE, Place, Places, Region};
use abi::RegionAttributes;
use app::{App, Owner, TaskIndex};
use std::collections::BTreeSet;
use std::fmt;
use tables::{KernelMemory, Span, WINDOW};

/// Who meets a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// This task.
    Task(String),
    /// The kernel.
    Kernel,
}

/// What is wrong with the tables of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The page at this physical address is written by somebody and executed by
    /// somebody.
    WriteExecute(u32),
    /// Somebody may do at this address what nothing gives them.
    Foreign(Who, u32, Rights),
    /// Somebody has not, from this address on, what they are to have as they
    /// are to have it.
    Lost(Who, u32),
    /// What a task finds at this address another may find there too.
    Global(Who, u32),
    /// What somebody finds at the first address is at the second.
    Moved(Who, u32, u32),
    /// A page that must be nobody's is mapped in this one's space.
    Guard(Who, u32),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(name) => write!(f, "task `{name}`"),
            Self::Kernel => f.write_str("the kernel"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteExecute(at) => write!(f, "{at:#010x} is both written and executed"),
            Self::Foreign(who, at, rights) => write!(f, "{who} may {rights} at {at:#010x}"),
            Self::Lost(who, at) => write!(f, "{who} has not what it is to have at {at:#010x}"),
            Self::Global(who, at) => write!(f, "what {who} has at {at:#010x} is not its alone"),
            Self::Moved(who, at, to) => write!(f, "{who} finds {to:#010x} at {at:#010x}"),
            Self::Guard(who, at) => write!(f, "{who} reaches the guard page at {at:#010x}"),
        }
    }
}

/// A run of addresses, what may be done there, and of what kind it is.
#[derive(Copy, Clone)]
struct Allowed {
    area: Area,
    rights: Rights,
    memory: Memory,
}

impl Allowed {
    const fn new(area: Area, rights: Rights, memory: Memory) -> Self {
        Self { area, rights, memory }
    }
}

/// Everything that is wrong with `translation`, which was made for the tasks of
/// `app` with these regions.
pub(crate) fn check<'r>(
    translation: &Translation,
    app: &App,
    places: &Places,
    kernel: &KernelMemory,
    regions: impl Iterator<Item = &'r [Region]>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut written = BTreeSet::new();
    let mut executed = BTreeSet::new();
    let mut note = |mapped: &Mapped| {
        let Mapped { privileged, unprivileged, .. } = mapped;
        let pages = mapped.physical / PAGE..(mapped.physical / PAGE) + mapped.bytes / PAGE;
        if privileged.write || unprivileged.write {
            written.extend(pages.clone());
        }
        if privileged.execute || unprivileged.execute {
            executed.extend(pages);
        }
    };

    let own = kernel_memory(kernel);
    let guards = guards(places, kernel);
    for ((index, task), regions) in app.indexed().zip(regions) {
        let who = || Who::Task(task.name.clone());
        let allowed = allowed(app, index, places.tasks[usize::from(index.0)]);
        let mapped = translation.of_task(usize::from(index.0));
        for entry in &mapped {
            note(entry);
            findings.extend(strayed(entry, who(), 0));
            if !may(&allowed, entry, entry.unprivileged) {
                findings.push(Finding::Foreign(who(), entry.at, entry.unprivileged));
            }
            // What a task has the kernel may touch as far as the task, but not
            // execute; the rest is its own.
            let own_or_tasks =
                entry.unprivileged.read && entry.privileged.within(Rights::READ_WRITE);
            if !own_or_tasks && !may(&own, entry, entry.privileged) {
                findings.push(Finding::Foreign(Who::Kernel, entry.at, entry.privileged));
            }
            let guard = guards.iter().find(|guard| overlap(**guard, entry));
            findings.extend(guard.map(|guard| Finding::Guard(who(), guard.base)));
            if entry.global && entry.unprivileged != Rights::NONE {
                findings.push(Finding::Global(who(), entry.at));
            }
        }
        let given: Vec<_> = regions.iter().map(given).collect();
        let has = |entry: &Mapped| entry.unprivileged;
        findings.extend(lost(&mapped, &given, has).map(|at| Finding::Lost(who(), at)));
        let has = |entry: &Mapped| entry.privileged;
        findings.extend(lost(&mapped, &own, has).map(|at| Finding::Lost(Who::Kernel, at)));
    }

    let window = window(places);
    let mapped = translation.of_kernel();
    for entry in &mapped {
        note(entry);
        findings.extend(strayed(entry, Who::Kernel, WINDOW));
        let Mapped { privileged, unprivileged, .. } = *entry;
        if unprivileged != Rights::NONE || !may(&window, entry, privileged) {
            findings.push(Finding::Foreign(Who::Kernel, entry.at, privileged));
        }
    }
    let has = |entry: &Mapped| entry.privileged;
    findings.extend(lost(&mapped, &window, has).map(|at| Finding::Lost(Who::Kernel, at)));
    findings.extend(written.intersection(&executed).map(|page| Finding::WriteExecute(page * PAGE)));
    findings
}

/// What app.toml gives task `index`, which lies at `place`.
fn allowed(app: &App, index: TaskIndex, place: Place) -> Vec<Allowed> {
    let mut all = vec![
        Allowed::new(place.flash, Rights::READ_EXECUTE, Memory::Cached),
        Allowed::new(place.ram, Rights::READ_WRITE, Memory::Cached),
    ];
    all.extend(app.task(index).uses.iter().map(|registers| {
        let size = registers.size.next_multiple_of(PAGE);
        let area = Area { base: registers.address.0 as u32, size };
        Allowed::new(area, Rights::READ_WRITE, Memory::Device)
    }));
    for pool in &app.pools {
        let area = Area { base: pool.base.0 as u32, size: pool.pages * PAGE };
        if pool.owner == Owner::Task(index) {
            all.push(Allowed::new(area, Rights::READ_WRITE, Memory::Uncached));
        } else if pool.readers.contains(&index) {
            all.push(Allowed::new(area, Rights::READ, Memory::Uncached));
        }
    }
    all
}

/// A region as it is to be mapped.
fn given(region: &Region) -> Allowed {
    let has = |attribute| region.attributes.contains(attribute);
    let rights = Rights {
        read: has(RegionAttributes::READ),
        write: has(RegionAttributes::WRITE),
        execute: has(RegionAttributes::EXECUTE),
    };
    let memory = if has(RegionAttributes::DEVICE) {
        Memory::Device
    } else if has(RegionAttributes::DMA) {
        Memory::Uncached
    } else {
        Memory::Cached
    };
    Allowed::new(region.area, rights, memory)
}

fn kernel_memory(kernel: &KernelMemory) -> Vec<Allowed> {
    let KernelMemory { text, constants, tables, data } = *kernel;
    let part =
        |Span { base, size }, rights| Allowed::new(Area { base, size }, rights, Memory::Cached);
    vec![
        part(text, Rights::READ_EXECUTE),
        part(constants, Rights::READ),
        part(tables, Rights::READ),
        part(data, Rights::READ_WRITE),
    ]
}

/// What the kernel's window shows, where it shows it.
fn window(places: &Places) -> Vec<Allowed> {
    let Span { base, size } = tables::INTERRUPT_CONTROLLER;
    let part = |Area { base, size }, rights, memory| {
        Allowed::new(Area { base: base | WINDOW, size }, rights, memory)
    };
    vec![
        part(places.flash, Rights::READ, Memory::Cached),
        part(places.ram, Rights::READ_WRITE, Memory::Cached),
        part(Area { base, size }, Rights::READ_WRITE, Memory::Device),
    ]
}

/// The pages that are nobody's.
fn guards(places: &Places, kernel: &KernelMemory) -> Vec<Area> {
    let below = |base: u32| Area { base: base - PAGE, size: PAGE };
    let tasks = places.tasks.iter().map(|place| below(place.ram.base));
    tasks.chain([below(kernel.data.base)]).collect()
}

/// Whether `entry` lies in one of `allowed`, with no more than its rights.
fn may(allowed: &[Allowed], entry: &Mapped, rights: Rights) -> bool {
    let inside = |area: &Area| {
        let end = |base: u32, bytes: u32| u64::from(base) + u64::from(bytes);
        area.base <= entry.at && end(entry.at, entry.bytes) <= end(area.base, area.size)
    };
    rights == Rights::NONE
        || allowed.iter().any(|given| inside(&given.area) && rights.within(given.rights))
}

fn overlap(area: Area, entry: &Mapped) -> bool {
    area.base < entry.at.saturating_add(entry.bytes) && entry.at < area.base + area.size
}

/// What `entry` is when it is elsewhere than its address says.
fn strayed(entry: &Mapped, who: Who, window: u32) -> Option<Finding> {
    let (at, physical) = (entry.at, entry.physical);
    (physical != at - window).then_some(Finding::Moved(who, at, physical))
}

/// Where one of `given` is not mapped as it is to be; what somebody `has` in a
/// mapping are their rights.
fn lost(mapped: &[Mapped], given: &[Allowed], has: fn(&Mapped) -> Rights) -> Option<u32> {
    let mut pages = given.iter().flat_map(|given| {
        let pages = (0..given.area.size).step_by(PAGE as usize);
        pages.map(move |page| (given.area.base + page, given))
    });
    let is_there = |at: u32, given: &Allowed| {
        // They are in the order of their addresses.
        let after = mapped.partition_point(|entry| entry.at <= at);
        let entry = after.checked_sub(1).map(|before| &mapped[before]);
        entry.is_some_and(|entry| {
            at - entry.at < entry.bytes
                && has(entry) == given.rights
                && entry.memory == given.memory
                && (entry.global || entry.unprivileged != Rights::NONE)
        })
    };
    pages.find(|&(at, given)| !is_there(at, given)).map(|(at, _)| at)
}
