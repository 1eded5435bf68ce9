//! `app.toml` as the simulator runs it: each task's crate with the values that
//! a board's build would generate for it, and the auditor on top.

use crate::auditor::{self, Findings};
use crate::monitor::Places;
use addr::{PAGE, Phys};
use app::{App, Owner, TaskIndex};
use fabric::{DeviceId, StreamId};
use host::{Access, Image, Irq, Span, Task};
use offload_broker::refusal::Dialect;
use std::path::Path;

/// The image's description, with the lists that its tasks refer to. It lives as
/// long as the process, because tasks hold parts of it for ever.
#[derive(Debug)]
pub struct Description {
    app: App,
    /// By task: the indices of its neighbours.
    neighbours: Vec<&'static [u16]>,
    /// By task: its neighbours as a set.
    neighbour_sets: &'static [u32],
    iommu_pools: &'static [iommu::PoolSpec],
    iommu_controllers: &'static [iommu::ControllerSpec],
}

/// The crates of tasks that the simulator knows how to start.
const KNOWN: [&str; 9] = [
    "jefe",
    "iommu",
    "dsp-link",
    "xhci",
    "usb-core",
    "usb-audio",
    "offload-broker",
    "player",
    "power",
];

impl Description {
    /// Reads `app.toml` at `path`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn load(path: &Path) -> Result<&'static Self, String> {
        let app = App::load(path).map_err(|refusals| refusals.to_string())?;
        let strange = app.tasks.iter().find(|task| !KNOWN.contains(&task.krate.as_str()));
        if let Some(task) = strange {
            return Err(format!(
                "{}: task {} is made of crate {}, which the simulator cannot start; it knows {}",
                path.display(),
                task.name,
                task.krate,
                KNOWN.join(", ")
            ));
        }
        Ok(Box::leak(Box::new(Self::new(app))))
    }

    fn new(app: App) -> Self {
        let tasks: Vec<TaskIndex> = app.indexed().map(|(index, _)| index).collect();
        let neighbours = |&index: &TaskIndex| {
            let indices: Vec<u16> = app.neighbours(index).iter().map(|task| task.0).collect();
            &*indices.leak()
        };
        let set =
            |&index: &TaskIndex| app.neighbours(index).iter().fold(0, |set, n| set | 1 << n.0);
        let pools = app.dma_pools().map(|(pool, owner)| iommu::PoolSpec {
            id: pool.id.0,
            base: pool.base,
            pages: pool.pages as u16,
            owner: owner.0,
        });
        let pools: Vec<iommu::PoolSpec> = pools.collect();
        let controllers = app.controllers().into_iter().map(|controller| iommu::ControllerSpec {
            stream: controller.stream,
            driver: controller.driver.0,
        });
        let controllers: Vec<iommu::ControllerSpec> = controllers.collect();
        Self {
            neighbours: tasks.iter().map(neighbours).collect(),
            neighbour_sets: tasks.iter().map(set).collect::<Vec<u32>>().leak(),
            iommu_pools: pools.leak(),
            iommu_controllers: controllers.leak(),
            app,
        }
    }

    /// The image's description as the build sees it.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Controllers of the image.
    #[must_use]
    pub fn controllers(&self) -> usize {
        self.iommu_controllers.len()
    }

    /// Where the DSP's monitor finds its pages.
    #[must_use]
    pub fn places(&self) -> Places {
        let span = |pool: &app::Pool| monitor::Span {
            base: pool.base,
            bytes: u64::from(pool.pages) * u64::from(PAGE),
        };
        let controllers = self.app.controllers();
        let controller = |of: &app::Controller<'_>| monitor::Controller {
            gate: of.gate.base,
            registers: monitor::Span {
                base: of.registers.address,
                bytes: of.registers.size.into(),
            },
            rings: span(of.rings),
        };
        Places {
            monitor: monitor::Places {
                controllers: std::array::from_fn(|n| controllers.get(n).map(controller)),
                answers: self.pool("answers").base,
                windows: self.pool("tables").base,
                mailbox: self.pool("mailbox").base,
            },
            media: span(self.pool("media")),
            recording: span(self.pool("recording")),
            device: DeviceId(0),
        }
    }

    /// The pool called `name`.
    ///
    /// # Panics
    /// When the image has none: the tasks could not run either.
    #[must_use]
    pub fn pool(&self, name: &str) -> &app::Pool {
        self.app.pool(name).unwrap_or_else(|| panic!("the image has no pool {name}"))
    }

    /// The pools that controllers can be given pages of, and the stream of the
    /// only one that can, if there is such a one: the driver's own.
    pub fn dma_pools(&self) -> impl Iterator<Item = (&app::Pool, Option<StreamId>)> {
        let stream = |owner: TaskIndex| {
            let mut controllers = self.iommu_controllers.iter();
            controllers.find(|spec| spec.driver == owner.0).map(|spec| StreamId(spec.stream))
        };
        self.app.dma_pools().map(move |(pool, owner)| (pool, stream(owner)))
    }

    /// Bytes of PCM that the media pool holds.
    #[must_use]
    pub fn room(&self) -> usize {
        (self.pool("media").pages * PAGE - dsp_abi::media::PCM) as usize
    }

    /// The registers called `name`.
    ///
    /// # Panics
    /// When the chip has none.
    #[must_use]
    pub fn registers(&self, name: &str) -> (Phys, u32) {
        let found = self.app.peripheral(name);
        let found = found.unwrap_or_else(|| panic!("the chip has no peripheral {name}"));
        (found.address, found.size)
    }

    /// The tasks as the host runs them, with nothing on the DSP. The auditor
    /// writes to `findings`.
    #[must_use]
    pub fn image(&'static self, findings: &Findings) -> Image {
        let mut tasks: Vec<Task> =
            self.app.indexed().map(|(index, task)| self.task(index, task)).collect();
        let findings = Findings::clone(findings);
        let second = self.app.index(auditor::SECOND_DRIVER);
        let has_second = second.is_some();
        let mut auditor = Task::new(auditor::NAME, move || auditor::main(&findings, has_second))
            .irq(Irq(u32::from(auditor::BELL)), auditor::BELL_BIT)
            .irq(Irq(u32::from(auditor::VOLUME_BELL)), auditor::VOLUME_BIT)
            .irq(Irq(u32::from(auditor::ERRAND_BELL)), auditor::ERRAND_BIT);
        for slot in auditor::SLOTS {
            let server = self.app.index(slot).expect("the image has all servers");
            auditor = auditor.slot(slot, server.0);
        }
        if let Some(server) = second {
            auditor = auditor.slot(auditor::SECOND_DRIVER, server.0);
        }
        tasks.push(auditor);
        Image::new(tasks)
    }

    fn task(&'static self, index: TaskIndex, task: &'static app::Task) -> Task {
        let mut made = self.entry(index, task);
        for slot in &task.slots {
            made = made.slot(&slot.name, slot.task.0);
        }
        for notify in &task.notifies {
            made = made.notifies(notify.client.0, notify.bit.mask());
        }
        for interrupt in &task.interrupts {
            made = made.irq(Irq(u32::from(interrupt.intid.0)), interrupt.bit.mask());
        }
        for registers in &task.uses {
            let len = u64::from(registers.size);
            made = made.memory(Span { base: registers.address, len, access: Access::Device });
        }
        for pool in &self.app.pools {
            let len = u64::from(pool.pages) * u64::from(PAGE);
            if pool.owner == Owner::Task(index) {
                made = made.memory(Span { base: pool.base, len, access: Access::Dma });
            } else if pool.readers.contains(&index) {
                made = made.memory(Span { base: pool.base, len, access: Access::DmaRead });
            }
        }
        if task.start { made } else { made.held_back() }
    }

    /// The task with its `main` and what the build would tell it.
    fn entry(&'static self, index: TaskIndex, task: &'static app::Task) -> Task {
        let bit = |name: &str| {
            task.notification(name)
                .unwrap_or_else(|| panic!("task {} has no notification {name}", task.name))
        };
        let bits = task.notifications.iter().fold(0, |mask, name| mask | bit(name));
        let neighbours = self.neighbours[usize::from(index.0)];
        match task.krate.as_str() {
            "jefe" => {
                let config = jefe::Config {
                    neighbours: self.neighbour_sets,
                    fault: bit("fault"),
                    keep: |_| {},
                    backoff: jefe::Backoff {
                        first: number(task, "first-delay-ms") as u64,
                        longest: number(task, "longest-delay-ms") as u64,
                        quiet: number(task, "quiet-ms") as u64,
                    },
                };
                Task::new(&task.name, move || jefe::main(&config))
            }
            "iommu" => {
                let config = iommu::Config {
                    smmu: self.mmio("smmu"),
                    bells: self.mmio("gicv2m"),
                    tables: self.dma("tables"),
                    answers: self.dma("answers"),
                    pools: self.iommu_pools,
                    controllers: self.iommu_controllers,
                    fault: bit("fault"),
                    tlb: bit("tlb"),
                    peer_changed: bit("peer_changed"),
                    clients: neighbours,
                };
                Task::new(&task.name, move || iommu::main(&config))
            }
            "dsp-link" => {
                let config = dsp_link::Config {
                    mailbox: self.dma("mailbox"),
                    bells: self.mmio("gicv2m"),
                    mail: bit("mail"),
                    peer_changed: bit("peer_changed"),
                    clients: neighbours,
                };
                Task::new(&task.name, move || dsp_link::main(&config))
            }
            "xhci" => {
                let controllers = self.app.controllers();
                let own = controllers.iter().find(|controller| controller.driver == index);
                let own = own.expect("the rules see to it that a driver has a controller");
                let config = xhci::Config {
                    controller: own.number,
                    function: self.mmio(&own.function.name),
                    bar: self.mmio(&own.registers.name),
                    bells: self.mmio("gicv2m"),
                    dma_xhci: self.dma(&own.contexts.name),
                    dma_ring: self.dma(&own.rings.name),
                    gate: self.dma(&own.gate.name),
                    answers: self.dma("answers"),
                    primary_vector: own.primary.0,
                    dsp_vectors: own.dsp_first.0,
                    irq: bit("irq"),
                    gate_bell: bit("gate"),
                    iommu: bit("iommu"),
                    peer_changed: bit("peer_changed"),
                    usb_core: self.index("usb_core"),
                    offload_broker: self.index("offload_broker"),
                    hubs: has_hubs(task),
                };
                Task::new(&task.name, move || xhci::main(&config))
            }
            "usb-core" => {
                let config = usb_core::Config {
                    neighbours,
                    peer_changed: bit("peer_changed"),
                    xhci: bit("xhci"),
                    power: self.app.index("power").map(|index| index.0),
                    autosuspend_ms: number(task, "autosuspend-ms") as u32,
                    hubs: hub_limits(task),
                };
                match self.app.controllers().len() {
                    1 => Task::new(&task.name, move || usb_core::main::<1>(&config)),
                    _ => Task::new(&task.name, move || usb_core::main::<2>(&config)),
                }
            }
            "usb-audio" => {
                let config = usb_audio::Config {
                    neighbours,
                    peer_changed: bit("peer_changed"),
                    usb_core: bit("usb_core"),
                };
                Task::new(&task.name, move || usb_audio::main(&config))
            }
            "offload-broker" => {
                let hints = ["usb_audio", "usb_core", "xhci", "dsp_link", "iommu"];
                let config = offload_broker::Config {
                    dialect: match self.app.dialect {
                        app::Dialect::Upstream => Dialect::Upstream,
                        app::Dialect::Precise => Dialect::Precise,
                    },
                    sid: number(task, "sid") as u8,
                    peer_deadline_ms: number(task, "peer-deadline-ms") as u32,
                    media: self.dma("dma_media"),
                    answers: self.dma("answers"),
                    controllers: self.app.controllers().len() as u8,
                    index: index.0,
                    hints: hints.into_iter().map(bit).fold(0, |hints, hint| hints | hint),
                    notice: bit("notice"),
                    peer_changed: bit("peer_changed"),
                    neighbours,
                };
                Task::new(&task.name, move || offload_broker::main(&config))
            }
            "player" => {
                let config = player::Config {
                    media: self.dma("media"),
                    bell: bit("command"),
                    peer_changed: bit("peer_changed"),
                    mask: bits,
                    index: index.0,
                };
                Task::new(&task.name, move || player::main(&config))
            }
            "power" => {
                let config = power::Config {
                    suspend: bit("suspend"),
                    hibernate: bit("hibernate"),
                    resume: bit("resume"),
                    peer_changed: bit("peer_changed"),
                    mask: bits,
                };
                Task::new(&task.name, move || power::main(&config))
            }
            other => unreachable!("crate {other} passed the check of known crates"),
        }
    }

    fn index(&self, name: &str) -> u16 {
        self.app.index(name).unwrap_or_else(|| panic!("the image has no task {name}")).0
    }

    fn mmio(&self, name: &str) -> mmio::Registers {
        let (base, len) = self.registers(name);
        mmio::Registers::simulated(base, len)
    }

    fn dma(&self, name: &str) -> dma::Pool {
        let pool = self.pool(name);
        dma::Pool::simulated(pool.id.0, pool.base, pool.pages as u16)
    }
}

/// Whether the image has the task built for hubs. The simulator has every task
/// built for them.
fn has_hubs(task: &app::Task) -> bool {
    task.features.iter().any(|feature| feature == "hubs")
}

/// How many hubs the image serves.
fn hub_limits(task: &app::Task) -> usb_core::Limits {
    if !has_hubs(task) {
        return usb_core::Limits::default();
    }
    let limit = |key| number(task, key) as u8;
    usb_core::Limits { hubs: limit("hubs"), ports: limit("hub-ports"), depth: limit("hub-depth") }
}

/// A number in a task's own table.
///
/// # Panics
/// When it is not there, or not a number: the task could not run on a board
/// either.
fn number(task: &app::Task, key: &str) -> i64 {
    let value = task.config.get(key).and_then(toml::Value::as_integer);
    value.unwrap_or_else(|| panic!("[tasks.{}.config] has no number {key}", task.name))
}
