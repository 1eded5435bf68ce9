//! A run told step by step.

use crate::stage::Image;
use fabric::{Record, Time};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Something that happened, and when.
pub type Line = (Time, String);

/// Collects what is worth telling of a run. Clones tell one story.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story(Rc<RefCell<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    lines: Vec<Line>,
    /// Packets of each endpoint since something else was told of it, and the
    /// line that tells of them.
    streams: BTreeMap<(u8, u8, u8), (usize, u32, Time)>,
}

/// A stream that was silent for this long has ended.
const PAUSE: Time = Time::ms(10);

impl Story {
    /// Tells of something.
    pub(crate) fn tell(&self, at: Time, text: String) {
        self.0.borrow_mut().lines.push((at, text));
    }

    /// What was told, in order of time.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = self.0.borrow().lines.clone();
        lines.sort_by_key(|&(at, _)| at);
        lines
    }

    /// Hears of a record.
    pub(crate) fn hear(&self, image: Image, at: Time, record: &Record) {
        let task = |n: u16| image.task(n);
        // Where there is one controller it need not be named.
        let at_controller = |n: u8| match image.description.controllers() {
            1 => String::new(),
            _ => format!("controller {n}: "),
        };
        match *record {
            Record::Fault { task: n, kind } => self.tell(at, format!("{} dies: {kind}", task(n))),
            Record::Restart { task: n, generation } if generation > 0 => {
                self.tell(at, format!("{} begins its life {}", task(n), generation + 1));
            }
            Record::Command { controller, words, code } => {
                let (kind, slot) = (words[3] >> 10 & 0x3F, words[3] >> 24);
                let name = COMMANDS.iter().find(|(number, _)| *number == kind);
                let name = name.map_or("command", |(_, name)| name);
                let dci = words[3] >> 16 & 0x1F;
                let endpoint = if dci == 0 { String::new() } else { format!(", endpoint {dci}") };
                let controller = at_controller(controller);
                self.tell(at, format!("{controller}{name}, slot {slot}{endpoint}: code {code}"));
            }
            Record::SmmuFault { kind, bus, .. } => {
                self.tell(at, format!("the SMMU blocks {:#x}: record {kind:#04x}", bus.0));
            }
            Record::Violation { kind } => self.tell(at, format!("violation: {kind}")),
            Record::Packet { controller, device, endpoint, .. } if endpoint & 0x7F != 0 => {
                self.packet(at, (controller, device, endpoint), &at_controller(controller));
            }
            _ => {}
        }
    }

    fn packet(&self, at: Time, key: (u8, u8, u8), controller: &str) {
        let Pages { lines, streams } = &mut *self.0.borrow_mut();
        let text = |count: u32, first: Time, last: Time| {
            let span = last.since(first).0 / 1_000_000;
            let (_, device, endpoint) = key;
            format!(
                "{controller}{count} packets, device {device}, endpoint {endpoint:#04x}, \
                 in {span} ms"
            )
        };
        match streams.get_mut(&key) {
            Some((line, count, last)) if at.since(*last) < PAUSE => {
                (*count, *last) = (*count + 1, at);
                let first = lines[*line].0;
                lines[*line].1 = text(*count, first, at);
            }
            _ => {
                streams.insert(key, (lines.len(), 1, at));
                lines.push((at, text(1, at, at)));
            }
        }
    }
}

/// Names of commands (xHCI 1.2, table 6-91).
const COMMANDS: [(u32, &str); 10] = [
    (9, "Enable Slot"),
    (10, "Disable Slot"),
    (11, "Address Device"),
    (12, "Configure Endpoint"),
    (13, "Evaluate Context"),
    (14, "Reset Endpoint"),
    (15, "Stop Endpoint"),
    (16, "Set TR Dequeue Pointer"),
    (17, "Reset Device"),
    (23, "No Op"),
];
