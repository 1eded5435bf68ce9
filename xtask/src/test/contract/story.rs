//! What the dump of a board tells that played for five seconds, and whose
//! headset was then pulled.

use super::bad;
use super::session::Session;
use crate::run::stage::Stop;
use dump::Dump;
use view::System;

/// Events that each task's ring has to tell of, in this order.
const RINGS: [(&str, &[&str]); 7] = [
    ("iommu", &["Attached", "Opened", "Placed", "Mapped", "Unmapping", "Displaced", "Closed"]),
    ("dsp_link", &["Link", "Received", "Sent"]),
    ("xhci", &["Startup", "Session"]),
    ("usb_core", &["Connected", "Step", "Attached", "Detached"]),
    ("usb_audio", &["CardAdded", "Opened", "Closed", "CardRemoved"]),
    ("offload_broker", &["Session"]),
    ("player", &["Taken", "Routed", "Finished"]),
];

/// Counters that have to have counted.
const COUNTERS: [(&str, &str, &str); 8] = [
    ("iommu", "RINGBUF", "Attached"),
    ("usb_core", "RINGBUF", "Attached"),
    ("usb_core", "RINGBUF", "Detached"),
    ("usb_core", "PAUSES", "Debounce"),
    ("usb_core", "HOLDS", "Taken"),
    ("usb_audio", "RINGBUF", "CardRemoved"),
    ("offload_broker", "VOTES", "Cast"),
    ("offload_broker", "VOTES", "Released"),
];

/// Servers: each counts by its code what it refuses.
const SERVERS: [&str; 7] =
    ["jefe", "iommu", "dsp_link", "xhci", "usb_core", "usb_audio", "offload_broker"];

/// Checks it; what is missing is told in `wrong`.
pub(super) fn check(session: &Session, wrong: &mut Vec<String>) -> Result<(), Stop> {
    let dump = Dump::read(&session.after).map_err(bad)?;
    let system = System::of(&dump);
    tasks(&system, &dump, wrong).map_err(bad)?;
    rings(&system, wrong).map_err(bad)?;
    counters(&system, wrong).map_err(bad)
}

fn tasks(system: &System<'_>, dump: &Dump, wrong: &mut Vec<String>) -> Result<(), view::Error> {
    let tasks = system.tasks()?;
    for task in &tasks.tasks {
        let name = &task.name;
        let state = tasks.state(task);
        if !state.starts_with("recv") && !state.starts_with("notif") {
            wrong.push(format!("{name} is {state:?}, and should wait for messages"));
        }
        if task.generation != 0 {
            wrong.push(format!("{name} died: it is of generation {}", task.generation));
        }
        let ours = system.stack(task.index)?;
        let last = ours.frames.last().and_then(|frame| frame.calls.last());
        if ours.broken.is_some() || !last.is_some_and(|call| call.function.ends_with("main")) {
            wrong.push(format!("the stack of {name} does not end in its main: {ours:?}"));
        }
        match ::contract::walk(&dump.archive, dump, task.index) {
            Err(why) => wrong.push(format!("Humility cannot walk the stack of {name}: {why}")),
            Ok(walk) => {
                let last = walk.frames.last().and_then(|frame| frame.functions.last());
                if !last.is_some_and(|function| function.ends_with("main")) {
                    wrong.push(format!("to Humility the stack of {name} ends in {last:?}"));
                }
                // It looks at where a call comes back to, and not at the call.
                let mut functions = walk.frames.iter().flat_map(|frame| &frame.functions);
                if let Some(function) = functions.find(|function| function.contains("panic")) {
                    wrong.push(format!("to Humility {name}, which waits, is in {function}"));
                }
            }
        }
    }
    Ok(())
}

fn rings(system: &System<'_>, wrong: &mut Vec<String>) -> Result<(), view::Error> {
    let rings = system.rings()?;
    for (task, events) in RINGS {
        let of_task = rings.iter().filter(|ring| ring.task == task);
        let entries = of_task.flat_map(|ring| &ring.entries);
        let told: Vec<&str> = entries.filter_map(|entry| entry.payload.name()).collect();
        let mut rest = told.iter();
        if !events.iter().all(|event| rest.any(|told| told == event)) {
            wrong.push(format!("the rings of {task} do not tell of {events:?}, but of {told:?}"));
        }
    }
    let jefe = rings.iter().filter(|ring| ring.task == "jefe");
    for entry in jefe.flat_map(|ring| &ring.entries) {
        wrong.push(format!("jefe tells of {}", view::Inline(&entry.payload)));
    }
    // Each event has its time, so that the rings can be read as one.
    let all = rings.iter().flat_map(|ring| &ring.entries);
    let timeless = all.filter(|entry| entry.time.is_none()).count();
    if timeless > 0 {
        wrong.push(format!("{timeless} events have no time"));
    }
    Ok(())
}

fn counters(system: &System<'_>, wrong: &mut Vec<String>) -> Result<(), view::Error> {
    let counters = system.counters()?;
    let count = |(task, name, event): (&str, &str, &str)| {
        let of = counters.iter().filter(|of| of.task == task && of.name.ends_with(name));
        let counts = of.flat_map(|of| &of.counts);
        // Of one with a payload that is counted too the name goes on.
        let of_event = counts.filter(|(known, _)| known.split('(').next() == Some(event));
        of_event.map(|(_, count)| count).sum::<u64>()
    };
    for counter in COUNTERS {
        if count(counter) == 0 {
            wrong.push(format!("{counter:?} counted nothing"));
        }
    }
    for server in SERVERS {
        let of = counters.iter().filter(|of| of.task == server).flat_map(|of| &of.counts);
        // A code that every interface has.
        let is = |event: &str| event.ends_with("Refused(ServerDied)");
        if !of.into_iter().any(|(event, _)| is(event)) {
            wrong.push(format!("{server} has no counters for its refusals"));
        }
    }
    let (cast, released) = (
        count(("offload_broker", "VOTES", "Cast")),
        count(("offload_broker", "VOTES", "Released")),
    );
    if cast != released {
        wrong.push(format!("{cast} votes were cast, {released} released"));
    }
    Ok(())
}
