//! Tasks that gave up, and a kernel that did.
//!
//! Two small images with the supervisor of the board's and a task that gives up
//! as soon as it starts: one with messages, one with places alone.

use super::bad;
use crate::board::{self, COUNTED, PATIENCE};
use crate::dump::fallen;
use crate::root;
use crate::run::stage::Stop;
use addr::Phys;
use archive::Archive;
use dump::{Dump, Monitor, take};
use image::Image;
use qemu::{Machine, Running};
use std::time::{Duration, Instant};
use view::{Programs, System, Which};

/// Longest until the task of both images gives up again.
const A_DEATH: Duration = Duration::from_secs(6);

/// What the task of both images gives up with, and in which file.
const MESSAGE: &str = "the panicker gives up";
const FILE: &str = "test/suite/src/main.rs";

/// Both images.
pub(super) struct Built {
    pub(super) messages: Image,
    places: Image,
}

impl Built {
    pub(super) fn new() -> Result<Self, Stop> {
        let build = |name: &str| board::build(&root().join("test").join(name)).map_err(Stop::Said);
        Ok(Self { messages: build("app-panics.toml")?, places: build("app-panics-places.toml")? })
    }
}

/// Runs both; says what was seen.
pub(super) fn check(built: &Built, wrong: &mut Vec<String>) -> Result<String, Stop> {
    let kept = one_task("messages", &built.messages, MESSAGE, wrong)?;
    one_task("places", &built.places, FILE, wrong)?;
    kernel(&built.messages, wrong)?;
    Ok(format!("a panic with its message, one with its place ({kept} frames), an epitaph"))
}

fn open(image: &Image) -> Result<Archive, Stop> {
    Archive::open(&image.archive).map_err(bad)
}

/// Waits until a task has died, and takes the dump of it.
fn fallen_task(image: &Image, running: &mut Running) -> Result<Vec<u8>, Stop> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut monitor = Monitor::new(&mut running.qmp)?;
        match fallen(&mut monitor, open(image)?) {
            Ok(dump) => return Ok(dump.write()),
            Err((_, why)) if Instant::now() > until => return Err(bad(why)),
            // Nobody has died yet.
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
}

/// The dump of the task that gave up in `image` says `words`; how many frames its
/// stack has.
fn one_task(
    name: &str,
    image: &Image,
    words: &str,
    wrong: &mut Vec<String>,
) -> Result<usize, Stop> {
    let mut running = Machine::new(&image.elf, COUNTED).start()?;
    let bytes = fallen_task(image, &mut running)?;
    running.quit()?;
    let dump = Dump::read(&bytes).map_err(bad)?;
    let system = System::of(&dump);
    let tasks = system.tasks().map_err(bad)?;
    let Some(task) = tasks.tasks.first().filter(|_| tasks.tasks.len() == 1) else {
        wrong.push(format!("{name}: a dump of one task has {}", tasks.tasks.len()));
        return Ok(0);
    };
    let state = tasks.state(task);
    if !state.starts_with("FAULT: ") || !state.contains(words) {
        wrong.push(format!("{name}: {state:?} does not say {words:?}"));
    }
    let stack = system.stack(task.index).map_err(bad)?;
    let last = stack.frames.last().and_then(|frame| frame.calls.last());
    if !last.is_some_and(|call| call.function.ends_with("main")) {
        wrong.push(format!("{name}: its stack does not end in its main: {stack:?}"));
    }
    let broken = ::contract::check(&dump.archive, Some((&bytes, &dump))).map_err(bad)?;
    // Behind what never returns Humility takes the next function for the caller;
    // a panic with a message is made of such calls (docs/debugging.md).
    let excused = |row: &::contract::Broken| name == "messages" && row.section == "6.3";
    let broken = broken.iter().filter(|row| !excused(row));
    wrong.extend(broken.map(|row| format!("{name}: {row}")));
    Ok(stack.frames.len())
}

/// The kernel of `image` panics when its supervisor faults, and says why.
fn kernel(image: &Image, wrong: &mut Vec<String>) -> Result<(), Stop> {
    let archive = open(image)?;
    let (pc, failed) = places(&archive).ok_or_else(|| bad("the kernel's record has no pc"))?;
    let mut running = Machine::new(&image.elf, COUNTED).start()?;
    fallen_task(image, &mut running)?;
    // When the supervisor wakes for the next death it is where nothing is.
    let until = Instant::now() + PATIENCE;
    loop {
        let mut gdb = running.debug()?;
        gdb.write(pc, &0x10_u32.to_le_bytes())?;
        gdb.detach()?;
        let failed = running.wait_until("the kernel's last words", A_DEATH, |memory| {
            let mut flag = [0];
            memory.read(failed, &mut flag)?;
            Ok(flag == [1])
        });
        match failed {
            // It was awake just then, and where it was is saved over what was written.
            Err(qemu::Error::Late(_)) if Instant::now() < until => {}
            failed => break failed?,
        }
    }
    let mut monitor = Monitor::new(&mut running.qmp)?;
    let bytes = take(&mut monitor, archive).map_err(bad)?.dump.write();
    running.quit()?;
    let dump = Dump::read(&bytes).map_err(bad)?;
    let tasks = System::of(&dump).tasks().map_err(bad)?;
    let head = tasks.head();
    if !head.starts_with("kernel has panicked: ") || tasks.epitaph.is_none_or(|e| e.is_empty()) {
        wrong.push(format!("no epitaph: {head:?}"));
    }
    let broken = ::contract::check(&dump.archive, Some((&bytes, &dump))).map_err(bad)?;
    // The supervisor is nowhere, so its stack leads nowhere.
    let broken = broken.iter().filter(|row| row.section != "6.3");
    wrong.extend(broken.map(|row| format!("kernel panic: {row}")));
    Ok(())
}

/// Where the supervisor's saved pc is, and the kernel's flag that it has failed.
fn places(archive: &Archive) -> Option<(Phys, Phys)> {
    let programs = Programs::of(archive);
    let types = programs.get(Which::Kernel).ok()?.types();
    let table = types.variable("HUBRIS_TASK_TABLE_SPACE")?.at;
    let member = |of: &str, name: &str| {
        let of = types.structure(types.named(of)?)?;
        Some(of.member(name)?.offset as u64)
    };
    let pc = table.plus(member("Task", "save")? + member("SavedState", "pc")?);
    Some((Phys(pc.0), Phys(types.variable("KERNEL_HAS_FAILED")?.at.0)))
}
