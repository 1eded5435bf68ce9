//! The table of tasks: what each is, and what it is up to.

use crate::{Fields, Struct, Value};
use abi::TaskId;
use serde_json::{Value as Json, json};
use std::fmt::{self, Display, Formatter};

/// A notification bit of a task: its name and what sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// Its name in app.toml.
    pub name: String,
    /// Interrupts that set it.
    pub interrupts: Vec<u32>,
}

/// A task's timer that is set.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// When it ends, in milliseconds since start.
    pub deadline: u64,
    /// What is posted then.
    pub to_post: u32,
}

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its index.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Which incarnation it is.
    pub generation: u64,
    /// Its importance.
    pub priority: u64,
    /// What it is up to, in the shape of `abi::TaskState`.
    pub state: Value,
    /// Whether it runs, or ran last.
    pub current: bool,
    /// The bits that it waits for when it waits in RECV.
    pub mask: u32,
    /// Its timer.
    pub timer: Option<Timer>,
    /// What it said when it panicked.
    pub last_words: Option<String>,
    /// Where it gave up, when it did without words: a panic of an image that
    /// keeps places alone is an illegal instruction.
    pub gave_up: Option<String>,
    /// Its notification bits, from bit 0.
    pub notifications: Vec<Notification>,
}

/// The tasks of a system.
#[derive(Clone, Debug)]
pub struct Tasks {
    /// Milliseconds since start, as the kernel last noted them.
    pub now: u64,
    /// The kernel's last words, when it has panicked.
    pub epitaph: Option<String>,
    /// Names of all tasks, by index.
    pub names: Vec<String>,
    /// The tasks.
    pub tasks: Vec<Task>,
}

/// Columns of a page.
const WIDTH: usize = 80;

impl Display for Tasks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.head())?;
        for task in &self.tasks {
            writeln!(f, "{}", self.row(task))?;
        }
        Ok(())
    }
}

impl Tasks {
    /// The lines above the table.
    #[must_use]
    pub fn head(&self) -> String {
        let columns = "ID TASK                       GEN PRI STATE";
        let head = format!("system time = {}\n{columns}", self.now);
        match &self.epitaph {
            Some(epitaph) => format!("kernel has panicked: {epitaph}\n{head}"),
            None => head,
        }
    }

    /// One task's line. What of its state does not fit into 80 columns goes on below.
    #[must_use]
    pub fn row(&self, task: &Task) -> String {
        let Task { index, name, generation, priority, .. } = task;
        let mut row = format!("{index:2} {name:<21} {generation:>8} {priority:>3}");
        let indent = row.chars().count();
        let mut column = indent;
        for word in self.state(task).split(' ') {
            let width = 1 + word.chars().count();
            if column + width > WIDTH && column > indent {
                row += &format!("\n{:indent$}", "");
                column = indent;
            }
            row += &format!(" {word}");
            column += width;
        }
        row
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let tasks = self.tasks.iter().map(|task| {
            json!({
                "id": task.index,
                "task": task.name,
                "generation": task.generation,
                "priority": task.priority,
                "state": self.state(task),
            })
        });
        json!({
            "system_time": self.now,
            "epitaph": self.epitaph,
            "tasks": tasks.collect::<Vec<_>>(),
        })
    }

    /// What a task is up to, in words.
    #[must_use]
    pub fn state(&self, task: &Task) -> String {
        let Some(name) = task.state.name() else { return senseless(&task.state) };
        match (name, task.state.field("fault"), task.state.field("original_state")) {
            ("Healthy", ..) => match task.state.at(0) {
                Some(state) => self.scheduling(task, state),
                None => senseless(&task.state),
            },
            ("Faulted", Some(fault), Some(was)) => {
                let (fault, was) = (self.fault(task, fault), self.scheduling(task, was));
                format!("FAULT: {fault} (was: {was})")
            }
            _ => senseless(&task.state),
        }
    }

    fn scheduling(&self, task: &Task, state: &Value) -> String {
        let other = || state.at(0).map_or_else(|| "?".into(), |other| self.task(other));
        match state.name() {
            Some("Stopped") => "not started".into(),
            Some("Runnable") if task.current => "RUNNING".into(),
            Some("Runnable") => "ready".into(),
            Some("InSend") if state.at(0).is_some_and(is_kernel) => "HALT: send to kernel".into(),
            Some("InSend") => format!("wait: send to {}", other()),
            Some("InReply") => format!("wait: reply from {}", other()),
            Some("InRecv") => self.receiving(task, state.at(0)),
            _ => senseless(state),
        }
    }

    /// From whom and which bits it waits for.
    fn receiving(&self, task: &Task, from: Option<&Value>) -> String {
        let from = from.and_then(|from| from.at(0));
        let bits = self.bits(task);
        match from {
            None if bits.is_empty() => "recv".into(),
            None => format!("recv, notif:{bits}"),
            Some(from) if is_kernel(from) && bits.is_empty() => "(DEAD)".into(),
            Some(from) if is_kernel(from) => format!("notif:{bits}"),
            Some(from) if bits.is_empty() => format!("recv({} only)", self.task(from)),
            Some(from) => format!("recv({} only), notif:{bits}", self.task(from)),
        }
    }

    /// The bits that it waits for, with what sets each.
    fn bits(&self, task: &Task) -> String {
        let mut words = String::new();
        for bit in (0..32).filter(|bit| task.mask & 1 << bit != 0) {
            let known = task.notifications.get(bit);
            let name = known.map_or_else(|| format!("bit{bit}"), |known| known.name.clone());
            let timer = task.timer.filter(|timer| timer.to_post & 1 << bit != 0);
            let mut causes = Vec::new();
            if let Some(timer) = timer {
                let left = i128::from(timer.deadline) - i128::from(self.now);
                causes.push(format!("T{left:+}"));
            }
            let interrupts = known.into_iter().flat_map(|known| &known.interrupts);
            causes.extend(interrupts.map(|irq| format!("irq{irq}")));
            words.push(' ');
            words.push_str(&name);
            if !causes.is_empty() {
                words.push_str(&format!("({})", causes.join("/")));
            }
        }
        words
    }

    fn fault(&self, task: &Task, fault: &Value) -> String {
        match fault.name() {
            Some("MemoryAccess") => format!("mem fault ({}){}", address(fault), source(fault)),
            Some("BusError") => format!("bus fault ({}){}", address(fault), source(fault)),
            Some("StackOverflow") => {
                let at = fault.field("address").and_then(Value::number).unwrap_or(0);
                format!("stack overflow; sp={at:#x}")
            }
            Some("DivideByZero") => "divide by zero".into(),
            Some("IllegalText") => "jump to non-executable mem".into(),
            Some("IllegalInstruction") => match &task.gave_up {
                Some(place) => format!("illegal instruction: panicked at {place}"),
                None => "illegal instruction".into(),
            },
            Some("InvalidOperation") => {
                let code = fault.at(0).and_then(Value::number).unwrap_or(0);
                format!("general fault, cfsr={code:#x}")
            }
            Some("SyscallUsage") => format!("in syscall: {}", usage(fault.at(0))),
            Some("Panic") => {
                task.last_words.clone().unwrap_or_else(|| "panic with invalid message".into())
            }
            Some("Injected") => {
                let by = fault.at(0).map_or_else(|| "?".into(), |by| self.task(by));
                format!("killed by {by}")
            }
            Some("FromServer") => {
                let server = fault.at(0).map_or_else(|| "?".into(), |server| self.task(server));
                let reason = fault.at(1).and_then(Value::name).unwrap_or("?");
                format!("reply fault: task id {server}, reason {reason}")
            }
            _ => senseless(fault),
        }
    }

    /// A task in words: its name and incarnation.
    fn task(&self, id: &Value) -> String {
        let Some(id) = id.number().and_then(|id| u16::try_from(id).ok()).map(TaskId) else {
            return senseless(id);
        };
        if id == TaskId::KERNEL {
            return "kernel".into();
        }
        let generation = id.generation().0;
        match self.names.get(id.index()) {
            Some(name) => format!("{name}/gen{generation}"),
            None => format!("unknown#{}/gen{generation}", id.index()),
        }
    }
}

fn is_kernel(id: &Value) -> bool {
    id.number() == Some(TaskId::KERNEL.0.into())
}

fn senseless(value: &Value) -> String {
    format!("<{}>", crate::Inline(value))
}

/// The address of a fault, if the hardware told it.
fn address(fault: &Value) -> String {
    let address = fault.field("address").and_then(|option| option.at(0)).and_then(Value::number);
    address.map_or_else(|| "imprecise".into(), |address| format!("precise: {address:#x}"))
}

fn source(fault: &Value) -> &'static str {
    match fault.field("source").and_then(Value::name) {
        Some("Kernel") => " in syscall",
        _ => " in task code",
    }
}

fn usage(error: Option<&Value>) -> &'static str {
    match error.and_then(Value::name) {
        Some("BadSyscallNumber") => "undefined syscall number",
        Some("InvalidSlice") => "sent malformed slice to kernel",
        Some("TaskOutOfRange") => "used bogus task index",
        Some("IllegalTask") => "illegal task operation",
        Some("LeaseOutOfRange") => "bad caller lease index",
        Some("OffsetOutOfRange") => "bad caller lease offset",
        Some("NoIrq") => "referred to undefined interrupt",
        Some("BadKernelMessage") => "sent nonsense IPC to kernel",
        _ => "unknown usage error",
    }
}

/// The state, the deadline of its timer and the like of a task's record, as far
/// as the record makes sense.
impl Task {
    /// The task whose record is `record`, in the shape of `kern::Task`.
    #[must_use]
    pub fn from_record(index: usize, name: &str, record: &Value) -> Self {
        let number = |field: &str| record.field(field).and_then(Value::number).unwrap_or(0);
        let timer = record.field("timer").and_then(|timer| {
            let deadline = timer.field("deadline")?.at(0)?.number()?;
            let to_post = timer.field("to_post")?.number()? as u32;
            Some(Timer { deadline, to_post })
        });
        let nothing = Value::Struct(Struct { name: String::new(), fields: Fields::None });
        Self {
            index,
            name: name.into(),
            generation: number("generation"),
            priority: number("priority"),
            state: record.field("state").cloned().unwrap_or(nothing),
            current: false,
            mask: 0,
            timer,
            last_words: None,
            gave_up: None,
            notifications: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Notification, Task, Tasks};
    use crate::Value;

    fn state(record: &str, mask: u32) -> String {
        let record = Value::from_debug(record).expect(record);
        let mut task = Task::from_record(1, "beta", &record);
        task.mask = mask;
        task.current = true;
        task.last_words = Some("no way, main.rs:3".into());
        task.notifications = vec![
            Notification { name: "irq".into(), interrupts: vec![80, 81] },
            Notification { name: "peer".into(), interrupts: Vec::new() },
        ];
        let names = vec!["jefe".into(), "beta".into()];
        Tasks { now: 1000, epitaph: None, names, tasks: Vec::new() }.state(&task)
    }

    fn healthy(state: &str) -> String {
        format!("Task {{ state: Healthy({state}), timer: Timer {{ deadline: None, to_post: 0 }} }}")
    }

    #[test]
    fn a_state_is_in_humilitys_words() {
        assert_eq!(state(&healthy("Stopped"), 0), "not started");
        assert_eq!(state(&healthy("Runnable"), 0), "RUNNING");
        assert_eq!(state(&healthy("InRecv(None)"), 0), "recv");
        assert_eq!(state(&healthy("InSend(TaskId(1024))"), 0), "wait: send to jefe/gen1");
        assert_eq!(state(&healthy("InSend(TaskId(65535))"), 0), "HALT: send to kernel");
        assert_eq!(state(&healthy("InReply(TaskId(7))"), 0), "wait: reply from unknown#7/gen0");
        assert_eq!(state(&healthy("InRecv(Some(TaskId(0)))"), 0), "recv(jefe/gen0 only)");
        assert_eq!(state(&healthy("InRecv(Some(TaskId(65535)))"), 2), "notif: peer");
    }

    #[test]
    fn bits_name_what_sets_them() {
        let record = "Task { state: Healthy(InRecv(None)), timer: Timer { deadline: \
                      Some(Timestamp(1024)), to_post: NotificationSet(2147483648) } }";
        assert_eq!(state(record, 0x8000_0003), "recv, notif: irq(irq80/irq81) peer bit31(T+24)");
    }

    #[test]
    fn a_long_state_goes_on_below_itself() {
        let record = Value::from_debug(&healthy("InRecv(None)")).expect("it is one");
        let mut task = Task::from_record(6, "offload_broker", &record);
        task.mask = 0b11_1111;
        task.notifications = ["usb_audio", "usb_core", "xhci", "dsp_link", "iommu", "notice"]
            .map(|name| Notification { name: name.into(), interrupts: Vec::new() })
            .to_vec();
        let tasks = Tasks { now: 0, epitaph: None, names: Vec::new(), tasks: Vec::new() };
        let row = tasks.row(&task);
        let lines: Vec<&str> = row.lines().collect();
        assert_eq!(
            lines,
            [
                " 6 offload_broker               0   0 recv, notif: usb_audio usb_core xhci",
                "                                      dsp_link iommu notice",
            ]
        );
        assert!(lines[0].len() <= 80);
    }

    #[test]
    fn a_fault_says_what_was_before() {
        let faulted = |fault: &str| {
            state(
                &format!(
                    "Task {{ state: Faulted {{ fault: {fault}, original_state: Runnable }} }}"
                ),
                0,
            )
        };
        assert_eq!(faulted("Panic"), "FAULT: no way, main.rs:3 (was: RUNNING)");
        assert_eq!(
            faulted("MemoryAccess { address: Some(16), source: User }"),
            "FAULT: mem fault (precise: 0x10) in task code (was: RUNNING)"
        );
        assert_eq!(faulted("Injected(TaskId(0))"), "FAULT: killed by jefe/gen0 (was: RUNNING)");
    }

    #[test]
    fn a_record_that_makes_no_sense_is_shown_as_it_is() {
        assert_eq!(state("Task { state: 7 }", 0), "<0x7>");
        assert_eq!(state("Task { }", 0), "<()>");
    }
}
