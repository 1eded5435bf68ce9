//! The files as they are written, before any rule but "no unknown key".
//!
//! Every value that a rule can be broken by carries its place in the file.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

pub(crate) type Text = Spanned<String>;

/// `app.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct File {
    pub(crate) name: Text,
    pub(crate) target: String,
    pub(crate) cpu: Option<String>,
    pub(crate) board: String,
    pub(crate) chip: Text,
    pub(crate) gate: Option<Spanned<Gate>>,
    #[serde(default)]
    pub(crate) qmi: Qmi,
    #[serde(default)]
    pub(crate) panics: Panics,
    pub(crate) kernel: Kernel,
    #[serde(default)]
    pub(crate) shared: BTreeMap<Text, String>,
    #[serde(default)]
    pub(crate) pools: BTreeMap<Text, Pool>,
    pub(crate) tasks: BTreeMap<Text, Task>,
    #[serde(default)]
    pub(crate) config: Config,
}

/// Who writes the rings that the controller reads.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Gate {
    Shadow,
    Direct,
}

/// How the QMI service answers what it refuses.
#[derive(Copy, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    #[default]
    Precise,
    Upstream,
}

/// What a task leaves behind that gives up.
#[derive(Copy, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Panics {
    #[default]
    Messages,
    Places,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Qmi {
    #[serde(default)]
    pub(crate) dialect: Dialect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) features: Vec<String>,
}

/// What of the image is for several tasks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) net: Net,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Net {
    #[serde(default)]
    pub(crate) sockets: BTreeMap<Text, Socket>,
}

/// Where a debugger reaches a task by network; as Hubris writes it, every field of
/// which Humility asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for whoever reads the archive's app.toml")]
pub(crate) struct Socket {
    kind: SocketKind,
    pub(crate) owner: SocketOwner,
    port: u16,
    tx: SocketBuffer,
    rx: SocketBuffer,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SocketKind {
    Udp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocketOwner {
    pub(crate) name: Text,
    pub(crate) notification: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for Humility, which reads the archive's app.toml")]
struct SocketBuffer {
    packets: u32,
    bytes: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pool {
    pub(crate) base: Spanned<u64>,
    pub(crate) pages: Spanned<u32>,
    pub(crate) owner: Text,
    #[serde(default)]
    pub(crate) readers: Vec<Text>,
    #[serde(default)]
    pub(crate) monitor: MonitorAccess,
    #[serde(default)]
    pub(crate) zeroed: bool,
}

#[derive(Copy, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MonitorAccess {
    #[default]
    None,
    Read,
    Write,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Task {
    /// The crate.
    pub(crate) name: Text,
    pub(crate) priority: Spanned<u8>,
    pub(crate) stacksize: Spanned<u32>,
    pub(crate) max_sizes: MaxSizes,
    #[serde(default)]
    pub(crate) start: bool,
    #[serde(default)]
    pub(crate) features: Vec<String>,
    #[serde(default)]
    pub(crate) uses: Vec<Text>,
    #[serde(default)]
    pub(crate) task_slots: Vec<Spanned<TaskSlot>>,
    #[serde(default)]
    pub(crate) notifications: Vec<Text>,
    #[serde(default)]
    pub(crate) notifies: Vec<Text>,
    #[serde(default)]
    pub(crate) interrupts: BTreeMap<Text, Text>,
    #[serde(default)]
    pub(crate) config: toml::Table,
}

/// `"iommu"`, or `{ controller = "xhci" }` when the slot goes by another name
/// than the task in it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum TaskSlot {
    Same(String),
    Renamed(BTreeMap<String, String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaxSizes {
    pub(crate) flash: Spanned<u32>,
    pub(crate) ram: Spanned<u32>,
}

/// `chip.toml`: peripherals.
pub(crate) type ChipFile = BTreeMap<String, Peripheral>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peripheral {
    pub(crate) address: u64,
    pub(crate) size: u32,
    #[serde(default)]
    pub(crate) interrupts: BTreeMap<String, u16>,
}

/// `memory.toml`: what RAM and flash there is, by kind.
pub(crate) type MemoryFile = BTreeMap<String, Vec<Memory>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    pub(crate) address: u64,
    pub(crate) size: u64,
}
