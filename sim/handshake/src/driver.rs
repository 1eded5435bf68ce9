//! `xhci`, as far as the handshake goes: its gate and its pages are its own
//! code, and so is what an answer of `iommu` means; what it does with registers
//! of the controller is taken as done.

use crate::ground::{ANSWERS, FRAME, GATE, REGISTERS, RING_PAGES, RINGS};
use crate::world::{BROKER, RING_POOL, xhci};
use abi::TaskId;
use dma::Pool;
use dsp_abi::bell;
use dsp_abi::control::{GateEntry, GateRing};
use handles::{Handle, Raw};
use iommu::mapper::Mapper;
use iommu_api::{Access, GrantHandle, Part, WindowHandle};
use mmio::Registers;
use std::sync::LazyLock;
use xhci::gate::{Gate, GateIndex, Voided};
use xhci::pages::Page;
use xhci::rings::{Held, Rings, displaced, released};
use xhci_api::{GateOpening, PlacedRing, Placement, SidebandHandle, XhciError};

/// For the monitor to confirm a change of the gate.
const GATE_MS: u64 = 300;
/// For it to confirm that everything is closed, at start-up.
const VOID_MS: u64 = 50;
/// The register that the monitor watches, of the primary interrupter.
const PRIMARY: u32 = REGISTERS.low() + 0x1038;

static CONFIG: LazyLock<xhci::Config> = LazyLock::new(|| {
    let nothing = || Registers::simulated(REGISTERS, 0);
    xhci::Config {
        controller: 0,
        function: nothing(),
        bar: nothing(),
        bells: Registers::simulated(FRAME, 0x1000),
        dma_xhci: Pool::simulated(3, RINGS, 0),
        dma_ring: Pool::simulated(RING_POOL, RINGS, RING_PAGES),
        gate: Pool::simulated(4, GATE, 1),
        answers: Pool::simulated(5, ANSWERS, 1),
        primary_vector: bell::CONTROLLER0_PRIMARY,
        dsp_vectors: bell::CONTROLLER0_DSP,
        irq: 1,
        gate_bell: 2,
        iommu: 4,
        peer_changed: 8,
        usb_core: 5,
        offload_broker: BROKER.index() as u16,
        hubs: false,
    }
});

/// How far it is with the controller.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// What earlier lives opened is being closed.
    Void {
        /// When it is looked at again.
        until: u64,
    },
    /// The controller runs.
    Runs,
}

/// A wait for the monitor's word.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Wait {
    sequence: u32,
    deadline: u64,
}

/// How a session's gate is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum GateState {
    /// Not opened.
    Shut,
    Opening(Wait),
    Open,
    /// Being closed; whether that undoes an opening that failed.
    Closing(Wait, bool),
    /// The monitor said that it is, or was not there to have opened it.
    Closed,
    /// The same of an opening that failed, and nobody was told yet.
    Undone,
    /// The monitor did not say in time that it is closed.
    Unconfirmed,
}

impl GateState {
    const fn wait(self) -> Option<Wait> {
        match self {
            Self::Opening(wait) | Self::Closing(wait, _) => Some(wait),
            Self::Shut | Self::Open | Self::Closed | Self::Undone | Self::Unconfirmed => None,
        }
    }

    const fn may_be_open(self) -> bool {
        !matches!(self, Self::Shut | Self::Closed | Self::Undone)
    }
}

/// A page on the controller's bus.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Placed {
    page: Page,
    on_bus: bool,
}

/// A session's pages.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Pages {
    window: WindowHandle,
    event: Placed,
    event_grant: Option<GrantHandle>,
    real: Placed,
    shadow: Page,
    shadow_grant: Option<GrantHandle>,
}

/// The one sideband.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Sideband {
    handle: SidebandHandle,
    pages: Option<Pages>,
    gate: GateState,
    held: Option<Held>,
}

/// What became of something that the driver was asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It ended.
    Answer(Result<(), XhciError>),
    /// The controller was reset, and runs.
    Ready,
}

/// The driver.
#[derive(Clone, Debug, Hash)]
pub struct Driver {
    life: u32,
    gate: Gate<'static>,
    rings: Rings<'static>,
    stage: Stage,
    sideband: Option<Sideband>,
    registered: u16,
}

impl Driver {
    /// A life of the driver begins.
    pub fn start(life: u32, now: u64) -> Self {
        let stage = Stage::Void { until: 0 };
        let (gate, rings) = (Gate::new(&CONFIG, life), Rings::new(&CONFIG.dma_ring));
        let mut driver = Self { life, gate, rings, stage, sideband: None, registered: 0 };
        driver.begin(now);
        driver
    }

    /// Its controller is of no more use, and is started anew.
    pub fn begin(&mut self, now: u64) {
        self.gate.void(self.life + 1);
        self.stage = Stage::Void { until: now + VOID_MS };
    }

    /// Who it is.
    pub const fn task(&self) -> TaskId {
        xhci(self.life)
    }

    /// Whether the controller runs.
    pub fn runs(&self) -> bool {
        self.stage == Stage::Runs
    }

    /// When it looks by itself.
    pub fn due(&self) -> Option<u64> {
        let stage = match self.stage {
            Stage::Void { until, .. } => Some(until),
            Stage::Runs => None,
        };
        let wait = self.sideband.and_then(|sideband| sideband.gate.wait());
        stage.into_iter().chain(wait.map(|wait| wait.deadline)).min()
    }

    /// The gate index and the page of the session whose gate the monitor said it
    /// closed: nothing may be published there.
    pub fn closed(&self) -> Option<(u32, u32)> {
        let sideband = self.sideband.filter(|it| it.gate == GateState::Closed)?;
        let real = sideband.pages?.real.page;
        Some((sideband.handle.raw().index.into(), CONFIG.dma_ring.phys(real.offset()).low()))
    }

    /// The page that the session whose gate is open, or may be, publishes on.
    pub fn open(&self) -> Option<u32> {
        let sideband = self.sideband.filter(|it| it.gate.may_be_open())?;
        Some(CONFIG.dma_ring.phys(sideband.pages?.real.page.offset()).low())
    }

    /// Takes every page there is; how many.
    pub fn take_all(&mut self) -> usize {
        std::iter::from_fn(|| self.rings.take(&self.gate)).count()
    }

    /// Gives the sideband out.
    pub fn register(&mut self) -> Result<SidebandHandle, XhciError> {
        if !self.runs() {
            return Err(XhciError::NotReady);
        }
        let index = self.registered % 2;
        self.registered += 1;
        let raw = Raw { index, seq: self.registered, epoch: self.life };
        let handle = SidebandHandle::from_raw(raw);
        self.sideband = Some(Sideband { handle, pages: None, gate: GateState::Shut, held: None });
        Ok(handle)
    }

    /// Gives a session its pages.
    pub fn place(
        &mut self,
        mapper: &mut Mapper<'_>,
        handle: SidebandHandle,
        window: WindowHandle,
    ) -> Result<Placement, XhciError> {
        if !self.runs() {
            return Err(XhciError::NotReady);
        }
        let task = self.task();
        let sideband = self.sideband.as_mut().filter(|it| it.handle == handle);
        let sideband = sideband.ok_or(XhciError::Stale)?;
        let mut take = || self.rings.take(&self.gate).ok_or(XhciError::NoRingMemory);
        let fresh = |page| Placed { page, on_bus: false };
        let mut pages = Pages {
            window,
            event: fresh(take()?),
            event_grant: None,
            real: fresh(take()?),
            shadow: take()?,
            shadow_grant: None,
        };
        let gate = self.gate.next_opening(GateIndex::new(handle.raw().index));
        let placed = place_all(mapper, task, &mut pages, gate);
        sideband.pages = Some(pages);
        if placed.is_err() {
            self.displace(mapper, handle)?;
        }
        placed
    }

    /// Begins to open the gate.
    pub fn start_arm(&mut self, handle: SidebandHandle, now: u64) -> Result<(), XhciError> {
        if !self.runs() {
            return Err(XhciError::NotReady);
        }
        let sideband = self.sideband.as_mut().filter(|it| it.handle == handle);
        let sideband = sideband.ok_or(XhciError::Stale)?;
        let pages = sideband.pages.ok_or(XhciError::WrongPhase)?;
        let phys = |page: Page| CONFIG.dma_ring.phys(page.offset()).low();
        let mut entry = GateEntry {
            window: pages.window.raw().index.into(),
            slot: 1,
            interrupter: 1,
            vector: bell::CONTROLLER0_DSP.into(),
            event_ring: phys(pages.event.page),
            event_bus: 0x1000,
            erdp: REGISTERS.low() + 0x1058,
            doorbell: REGISTERS.low() + 0x2004,
            ..GateEntry::default()
        };
        entry.rings[0] = GateRing {
            dci: 2,
            is_in: 0,
            real: phys(pages.real.page),
            shadow: phys(pages.shadow),
            bus: 0x2_2000,
            max_payload: 192,
        };
        let sequence = self.gate.open(GateIndex::new(handle.raw().index), entry);
        sideband.gate = GateState::Opening(Wait { sequence, deadline: now + GATE_MS });
        Ok(())
    }

    /// Begins to close the gate; whether there is something to wait for.
    pub fn start_close(&mut self, handle: SidebandHandle, now: u64) -> Result<bool, XhciError> {
        let sideband = self.sideband.as_mut().filter(|it| it.handle == handle);
        let sideband = sideband.ok_or(XhciError::Stale)?;
        match sideband.gate {
            // An opening that failed was undone.
            GateState::Shut | GateState::Closed => Err(XhciError::WrongPhase),
            GateState::Unconfirmed => Err(XhciError::WrongPhase),
            _ => {
                close(&mut self.gate, sideband, now, false);
                Ok(sideband.gate.wait().is_some())
            }
        }
    }

    /// Takes a session's pages back.
    pub fn displace(
        &mut self,
        mapper: &mut Mapper<'_>,
        handle: SidebandHandle,
    ) -> Result<(), XhciError> {
        let task = self.task();
        let sideband = self.sideband.as_mut().filter(|it| it.handle == handle);
        let sideband = sideband.ok_or(XhciError::Stale)?;
        let Some(pages) = &mut sideband.pages else { return Ok(()) };
        for grant in [&mut pages.event_grant, &mut pages.shadow_grant] {
            if let Some(given) = *grant {
                released(mapper.release(task, given))?;
                *grant = None;
            }
        }
        for (part, placed) in
            [(Part::EventRing, &mut pages.event), (Part::DataRing, &mut pages.real)]
        {
            if placed.on_bus {
                displaced(mapper.displace(task, pages.window, part))?;
                placed.on_bus = false;
            }
        }
        for page in [pages.event.page, pages.real.page, pages.shadow] {
            match sideband.held {
                Some(why) => self.rings.hold(page, why),
                None => self.rings.give(page),
            }
        }
        (sideband.pages, sideband.held, sideband.gate) = (None, None, GateState::Shut);
        Ok(())
    }

    /// Gives the sideband back.
    pub fn unregister(&mut self, handle: SidebandHandle) -> Result<(), XhciError> {
        self.sideband.take_if(|it| it.handle == handle).map(|_| ()).ok_or(XhciError::Stale)
    }

    /// Takes what nobody confirmed for confirmed (a mistake to be found).
    pub fn forget_doubts(&mut self) {
        if let Some(sideband) = &mut self.sideband {
            sideband.held = None;
        }
    }

    /// The mapper died, and with it the controller.
    pub fn mapper_died(&mut self, now: u64) {
        self.begin(now);
        if let Some(sideband) = &mut self.sideband
            && matches!(sideband.gate, GateState::Opening(_))
        {
            close(&mut self.gate, sideband, now, true);
        }
    }

    /// Looks at what the monitor confirmed, and at deadlines.
    pub fn look(&mut self, mapper: &mut Mapper<'_>, now: u64) -> Vec<News> {
        let mut news = Vec::new();
        if let Stage::Void { until } = self.stage {
            match self.gate.voided(now >= until) {
                Voided::Yes => {
                    mapper.attach(self.task()).expect("the SMMU answers");
                    self.stage = Stage::Runs;
                    let pages = self.sideband.and_then(|sideband| sideband.pages);
                    let used = pages.map(|it| [it.event.page, it.real.page, it.shadow]);
                    self.rings.reset(used.into_iter().flatten());
                    self.gate.watch(PRIMARY);
                    news.push(News::Ready);
                }
                Voided::NotYet => {}
                Voided::TellAgain => self.begin(now),
            }
        }
        if let Some(sideband) = &mut self.sideband
            && let Some(wait) = sideband.gate.wait()
        {
            let said = self.gate.confirmed(wait.sequence);
            // Without a monitor nothing can be open.
            let closed = said || !self.gate.monitor_is_up();
            match sideband.gate {
                GateState::Opening(_) if said => {
                    sideband.gate = GateState::Open;
                    news.push(News::Answer(Ok(())));
                }
                GateState::Opening(_) if now >= wait.deadline => {
                    close(&mut self.gate, sideband, now, true);
                }
                GateState::Closing(_, undoes) if closed => {
                    sideband.gate = GateState::Closed;
                    news.push(News::Answer(answer(undoes, Ok(()))));
                }
                GateState::Closing(_, undoes) if now >= wait.deadline => {
                    sideband.gate = GateState::Unconfirmed;
                    sideband.held = Some(Held::UntilGate(wait.sequence));
                    news.push(News::Answer(answer(undoes, Err(XhciError::GateTimeout))));
                }
                _ => {}
            }
        }
        if let Some(sideband) = self.sideband.as_mut().filter(|it| it.gate == GateState::Undone) {
            sideband.gate = GateState::Closed;
            news.push(News::Answer(answer(true, Ok(()))));
        }
        news
    }
}

/// How an operation ends whose gate was closed.
const fn answer(undoes: bool, closed: Result<(), XhciError>) -> Result<(), XhciError> {
    if undoes { Err(XhciError::GateTimeout) } else { closed }
}

fn close(gate: &mut Gate<'_>, sideband: &mut Sideband, now: u64, undoes: bool) {
    sideband.gate = match gate.close(GateIndex::new(sideband.handle.raw().index)) {
        Some(sequence) => GateState::Closing(Wait { sequence, deadline: now + GATE_MS }, undoes),
        None if undoes => GateState::Undone,
        None => GateState::Closed,
    };
}

fn place_all(
    mapper: &mut Mapper<'_>,
    task: TaskId,
    pages: &mut Pages,
    gate: GateOpening,
) -> Result<Placement, XhciError> {
    let failed = |_| XhciError::MapFailed;
    let place = |mapper: &mut Mapper<'_>, part, placed: &mut Placed, access| {
        let named = (RING_POOL, placed.page.0, 1);
        let bus = mapper.place(task, pages.window, part, named, access).map_err(failed)?;
        placed.on_bus = true;
        Ok(bus)
    };
    let event_bus = place(mapper, Part::EventRing, &mut pages.event, Access::ReadWrite)?;
    let real_bus = place(mapper, Part::DataRing, &mut pages.real, Access::Read)?;
    let grant = |mapper: &mut Mapper<'_>, page: Page| {
        let grantee = BROKER.index() as u16;
        mapper.grant(task, (RING_POOL, page.0, 1), grantee).map_err(failed)
    };
    let event = grant(mapper, pages.event.page)?;
    pages.event_grant = Some(event);
    let shadow = grant(mapper, pages.shadow)?;
    pages.shadow_grant = Some(shadow);
    Ok(Placement {
        event: PlacedRing { bus: event_bus, grant: event },
        data: PlacedRing { bus: real_bus, grant: shadow },
        sync: None,
        gate,
    })
}
