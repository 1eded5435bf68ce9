//! What is wrong with a description, and where.

use serde::de::DeserializeOwned;
use std::fmt::{Display, Formatter, Result as FmtResult};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The rules. Each has a failing example in `tests/bad`, named after it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The files can be read.
    Readable,
    /// The files are TOML with the keys and kinds of value that are documented.
    Syntax,
    /// Names are lower-case words that debuggers show whole.
    Name,
    /// There are at most 32 tasks, supervisor and idle task among them.
    TaskCount,
    /// The supervisor is there and the most important.
    Supervisor,
    /// Every task has a priority of its own.
    OwnPriority,
    /// A stack fits its task's RAM and keeps its alignment.
    StackSize,
    /// What tasks and pools may take fits the memory.
    MemorySize,
    /// A slot names a task of the image, once.
    SlotTarget,
    /// A SEND goes to a more important task.
    SlotUphill,
    /// No task waits for itself through others.
    NoCycle,
    /// The supervisor sends to nobody but the kernel.
    SupervisorSendsNobody,
    /// Notification names are unique in their task.
    NotificationUnique,
    /// A task has at most 31 notifications besides its timer.
    NotificationCount,
    /// `notifies` names a task and one of its notifications.
    NotifyTarget,
    /// A hint goes to a client, that is, up a slot's edge; or from the
    /// supervisor.
    NotifyEdge,
    /// A server hints a client with one bit.
    NotifyOneBit,
    /// The supervisor tells every neighbour of deaths.
    PeerChanged,
    /// An interrupt is one of the chip's.
    InterruptKnown,
    /// An interrupt becomes one of the task's notifications.
    InterruptNotification,
    /// An interrupt has one task.
    InterruptOneTask,
    /// An interrupt belongs to registers that its task uses, or that are shared.
    InterruptUsed,
    /// Registers named by a task are the chip's.
    PeripheralKnown,
    /// Registers have one task, unless sharing is stated with its reason.
    PeripheralOneTask,
    /// Stated sharing is real.
    SharedUseful,
    /// A pool's owner and readers are tasks of the image, each once; the owner
    /// may be the DSP's monitor.
    PoolOwner,
    /// A pool is page-aligned, in RAM, and not empty.
    PoolPlace,
    /// Pools do not overlap.
    PoolOverlap,
    /// The gate is of a kind that is built.
    GateBuilt,
    /// What the cores tell one another through is zero before either looks.
    PoolZeroed,
    /// A socket is a task's, and one of its notifications'.
    SocketOwner,
    /// Controllers are numbered from 0 on, and each has one driver.
    ControllerNumber,
    /// Each controller has a StreamID of its own.
    ControllerStream,
    /// A driver has its controller's registers and pools of its own.
    ControllerParts,
    /// Who sends to a driver sends to each, by slots that go with their numbers.
    ControllerSlot,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 35] = [
        Self::Readable,
        Self::Syntax,
        Self::Name,
        Self::TaskCount,
        Self::Supervisor,
        Self::OwnPriority,
        Self::StackSize,
        Self::MemorySize,
        Self::SlotTarget,
        Self::SlotUphill,
        Self::NoCycle,
        Self::SupervisorSendsNobody,
        Self::NotificationUnique,
        Self::NotificationCount,
        Self::NotifyTarget,
        Self::NotifyEdge,
        Self::NotifyOneBit,
        Self::PeerChanged,
        Self::InterruptKnown,
        Self::InterruptNotification,
        Self::InterruptOneTask,
        Self::InterruptUsed,
        Self::PeripheralKnown,
        Self::PeripheralOneTask,
        Self::SharedUseful,
        Self::PoolOwner,
        Self::PoolPlace,
        Self::PoolOverlap,
        Self::GateBuilt,
        Self::PoolZeroed,
        Self::SocketOwner,
        Self::ControllerNumber,
        Self::ControllerStream,
        Self::ControllerParts,
        Self::ControllerSlot,
    ];
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The rule it breaks.
    pub rule: Rule,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub right: String,
    /// The line itself.
    pub text: String,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        writeln!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.wrong)?;
        if !self.text.trim().is_empty() {
            writeln!(f, "{:>5} | {}", self.line, self.text)?;
            writeln!(f, "      | {:>width$}", "^", width = self.column)?;
        }
        write!(f, "      = {}", self.right)
    }
}

/// Everything that is wrong, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals(pub Vec<Refusal>);

impl Display for Refusals {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        for (n, refusal) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{refusal}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusals {}

/// A place in a file, in bytes.
pub(crate) type Span = Range<usize>;

/// A file and its text.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub(crate) fn read(path: &Path) -> Result<Self, Refusals> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(error) => {
                let empty = Self { path: path.to_owned(), text: String::new() };
                Err(Refusals(vec![empty.refuse(
                    0..0,
                    Rule::Readable,
                    format!("cannot be read: {error}"),
                    "name a file that can".into(),
                )]))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The same file with another text.
    pub(crate) fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// The first place where `word` stands.
    pub(crate) fn first(&self, word: &str) -> Span {
        self.text.find(word).map_or(0..0, |start| start..start + word.len())
    }

    /// Reads a file that this one names at `span`.
    pub(crate) fn beside(&self, path: &Path, span: Span) -> Result<Self, Refusals> {
        Self::read(path).map_err(|refusals| {
            let why = refusals.0.into_iter().map(|refusal| refusal.wrong).collect::<String>();
            let folder = self.path.parent().unwrap_or(Path::new(""));
            let path = path.strip_prefix(folder).unwrap_or(path);
            Refusals(vec![self.refuse(
                span,
                Rule::Readable,
                format!("{} {why}", path.display()),
                "a chip is a folder beside app.toml that holds chip.toml and memory.toml".into(),
            )])
        })
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusals> {
        toml::from_str(&self.text).map_err(|error| {
            Refusals(vec![self.refuse(
                error.span().unwrap_or(0..0),
                Rule::Syntax,
                error.message().trim_end().replace('\n', "; "),
                "docs/app-toml.md lists every key and its values".into(),
            )])
        })
    }

    pub(crate) fn refuse(&self, span: Span, rule: Rule, wrong: String, right: String) -> Refusal {
        let start = span.start.min(self.text.len());
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Refusal {
            file: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            rule,
            wrong,
            right,
            text: self.text[line_start..].lines().next().unwrap_or_default().to_owned(),
        }
    }
}
